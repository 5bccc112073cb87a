"""The caller's side: asks the session's zygote for a child, and launches or replaces the zygote when it must."""

from __future__ import annotations

import contextlib
import os
from _thread import RLock as _RLock  # that of threading is a function more, of which each spare would have a copy

from allcores import _core, _standard
from allcores._pickle.main_module import look_at_main
from allcores._zygote.launch import above_streams, launch, open_ends, reap
from allcores._zygote.surroundings import capture
from allcores.errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable

    from allcores._pickle.main_module import MainLook

    _Woken = tuple[_core.Way, _core.Offer]

__all__ = ["Session", "session"]

_ATTEMPTS = 4
"""How often a start is tried on a new zygote; each failure means that one died or retired under it."""
_PATIENCE_SECONDS = 1.0
"""How long an answer is waited for before it is asked for again; twice as long each time."""
_SPARES_LOST = 32
"""How many spares that are offered but dead a start gets over; a zygote that was killed leaves a few."""


class _Refused(Exception):
    """This zygote gave no child; another may. ``without_main``: it must not import the main module."""

    def __init__(self, *, without_main: bool = False) -> None:
        self.without_main = without_main


class Session:
    """This process's way to the zygote: one socket, shared by all processes of the session."""

    def __init__(self) -> None:
        """Begin outside of any session; the first start makes one."""
        self._way: _core.Way | None = None
        self._parents_way: _core.Way | None = None
        self._itself: _core.Held | None = None
        self._woken: list[_Woken] = []
        """Taken and told to get ready by starts that have just begun."""
        self._lock = _RLock()  # re-entrant: a signal handler may start a process while the zygote is launched

    def wake_one(self) -> _Woken | None:
        """Take a spare for the start that has just begun, and wake it: it rehearses while its work is made ready.

        That start calls `let_go` with what this returns, at its end.
        """
        way = self._way
        if way is None:
            return None
        try:
            offer = _take_and_wake(way)
        except (EOFError, OSError):
            return None  # the start will meet it, too
        if offer is None:
            return None
        woken = (way, offer)
        self._woken.append(woken)
        return woken

    def let_go(self, woken: _Woken | None) -> None:
        """Keep a spare no longer than the start that has woken it, which has failed if the spare is still here.

        Its descriptors are numbers, which a program may close and use for something else.
        """
        if woken in self._woken:
            with contextlib.suppress(ValueError):  # another thread has just taken it
                self._woken.remove(woken)

    def start(self, pickle_process: Callable[[MainLook], bytes], descriptors: list[int]) -> _core.Child:
        """Start the process that ``pickle_process`` returns; its arguments refer to ``descriptors`` by index.

        It is called, with what `look_at_main` saw, when a spare has been told to get ready. Either the child runs once
        or an exception is raised and nothing runs: that of ``pickle_process``, StartError when no zygote can be had, or
        the OSError of the kernel's fork.
        """
        process: bytes | None = None
        main = look_at_main()
        without_main, refusals, lost = False, 0, 0
        while refusals < _ATTEMPTS and lost < _SPARES_LOST:
            way = self._connect(without_main=without_main)
            try:
                spare = _take_or_ask(way, main, self._take_woken(way))
                if process is None:
                    process = pickle_process(main)
                    tracker, surroundings = _standard.resource_tracker(), capture(main)
                if spare is None:
                    spare = _wait_for_offer(way, main)
                    reap()
                try:
                    child = spare.hand_over(way, self.own_pidfd(), tracker, descriptors, surroundings, process)
                except ConnectionError as error:  # the program has closed the way meanwhile
                    raise _Refused from error
                if child is not None:
                    return child
                lost += 1  # the next one, or the end of the way, will show what happened
            except _Refused as refusal:
                refusals += 1
                without_main = without_main or refusal.without_main
                self._forget(way)
        raise StartError(
            "no process was started: the zygote, which warm children are forked from, failed "
            f"{refusals + lost} times in a row at this request. It may be short of memory or of open files; otherwise "
            "another start method, such as 'spawn', avoids it."
        )

    def detach(self, child: _core.Child) -> None:
        """Let a child outlive the session: a zygote that listens hears it, a retired one finds it on the line."""
        child.detach(self._way)

    def adopt(self, way: _core.Way) -> None:
        """Use this way to a zygote (in its children, and where it was forked ahead)."""
        self._way = way

    def rejoin(self) -> None:
        """In a process of the session that was forked: go on with the zygote of the process that forked it."""
        self._way = self._parents_way

    def own_pidfd(self) -> int:
        """Return a pidfd of this process, the same at each call."""
        if self._itself is None or not self._itself.is_ours():
            self._itself = _core.Held(above_streams(os.pidfd_open(os.getpid())))
        return self._itself.number

    def after_fork(self) -> None:
        """Forget what was this process's parent's.

        That includes its zygote: a process that the program forked by itself may be a daemon, which outlives it.
        """
        self._lock = _RLock()
        while open_ends:
            open_ends.pop().abandon()
        self._parents_way, self._way = self._way, None
        if self._itself is not None and self._itself.is_ours():
            os.close(self._itself.number)
        self._itself = None
        self._woken = []

    def _take_woken(self, way: _core.Way) -> _core.Offer | None:
        """Take a spare of this way that `wake_one` has woken, for whichever start."""
        while self._woken:
            try:
                of, offer = self._woken.pop()
            except IndexError:  # another thread was first
                return None
            if of is way:
                return offer
        return None

    def _connect(self, *, without_main: bool) -> _core.Way:
        with self._lock:
            if self._way is None or not self._way.is_good():
                way = _core.Way(*launch(self.own_pidfd(), without_main=without_main))
                self._way = way
                _core.sweep_arena()  # the children of one that was killed died with it, and only it would have told
                return way
            return self._way

    def _forget(self, way: _core.Way) -> None:
        """Drop a way that leads nowhere; another thread may have replaced it already."""
        with self._lock:
            if self._way is way:
                self._way = None


def _take_and_wake(way: _core.Way) -> _core.Offer | None:
    """Take what is offered; if it is a spare, it wakes while its work is made ready."""
    offer = way.take_offer(timeout=0)
    if offer is not None:
        offer.wake(way)
    return offer


def _take_or_ask(way: _core.Way, main: MainLook, offer: _core.Offer | None = None) -> _core.Offer | None:
    """Take a spare, if ``offer`` is none; or else ask for one, and come back later."""
    try:
        offer = offer or _take_and_wake(way)
        if offer is not None and not offer.error_number:
            _check(way, offer, main)
            return offer
        with _standard.resource_tracker_wanted() as tracker:
            way.need(capture(main), tracker)
        if offer is not None:
            way.need(capture(main), None)  # that was the answer to somebody else, who shall have another
    except (EOFError, ConnectionError) as error:
        raise _Refused from error
    return None


def _wait_for_offer(way: _core.Way, main: MainLook) -> _core.Offer:
    patience_seconds = _PATIENCE_SECONDS
    try:
        while (offer := way.take_offer(timeout=patience_seconds)) is None:
            # Another thread may have taken the one that was meant for this, and have found it in the queue itself.
            way.need(capture(main), None)
            patience_seconds *= 2  # importing the main module takes as long as it takes
    except (EOFError, ConnectionError) as error:
        raise _Refused from error
    if offer.error_number:
        raise OSError(offer.error_number, os.strerror(offer.error_number))
    _check(way, offer, main)
    return offer


def _check(way: _core.Way, offer: _core.Offer, main: MainLook) -> None:
    """Refuse an offer that is no spare, or one with a main module that has changed since."""
    if offer.threaded:
        raise _Refused(without_main=True)
    if not offer.is_of(main[1]):
        way.stale()
        raise _Refused


session = Session()
os.register_at_fork(after_in_child=session.after_fork)
