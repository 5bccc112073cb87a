"""The caller's side: asks the session's zygote for a child, and launches or replaces the zygote when it must."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

from allcores import _standard
from allcores._pickle.main_module import main_reference, main_version
from allcores._zygote.launch import above_streams, launch, reap
from allcores._zygote.surroundings import capture
from allcores._zygote.wire import Ask, Exit, Kind, LineEnded, Offer, Work, send_detachment
from allcores.errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

__all__ = ["Child", "Session", "read_exit", "session"]

_ATTEMPTS = 4
"""How often a start is tried on a new zygote; each failure means that one died or retired under it."""
_SPARES_LOST = 32
"""How many spares that are offered but dead a start gets over; a zygote that was killed leaves a few."""


class Child:
    """A child that was started, as its caller holds it."""

    __slots__ = ("line", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, line: int) -> None:
        """Own the descriptors until somebody takes them."""
        self.pid, self.pidfd, self.line = pid, pidfd, line


class _Refused(Exception):
    """This zygote gave no child; another may. ``without_main``: it must not import the main module."""

    def __init__(self, *, without_main: bool = False) -> None:
        self.without_main = without_main


class _Held:
    """A descriptor that is kept for long. Programs close what they do not know, and its number may be reused."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._identity = _identity(number)

    def is_ours(self) -> bool:
        """Whether the number still means what it meant, as far as that can be told."""
        return self._identity is not None and _identity(self.number) == self._identity


class _Way:
    """A way to a zygote, and the credentials that its children will have."""

    def __init__(self, requests: int, offers: int, bell: int) -> None:
        self.numbers = [requests, offers, bell]
        self._requests, self.offers, self._bell = requests, offers, bell
        self._held = [_Held(number) for number in self.numbers]
        self._credentials = _credentials()

    def is_good(self) -> bool:
        """Whether it can be asked for children of this process."""
        return self._is_ours() and self._credentials == _credentials()

    def _is_ours(self) -> bool:
        return all(held.is_ours() for held in self._held)

    def __del__(self) -> None:
        # The last user has gone: a thread that sends on it keeps it open. All or none: where the program has closed
        # one it has closed others, and an eventfd cannot be told from another one under the same number.
        if self._is_ours():
            for number in self.numbers:
                os.close(number)

    def ask(self, ask: Ask) -> None:
        """Ask the zygote for something."""
        ask.send(self._requests)
        self.ring()

    def leave_word(self, kind: Kind, pid: int = 0) -> None:
        """Tell the zygote something that it will hear when it wakes next, and can do without."""
        with contextlib.suppress(OSError):
            Ask(kind, pid).send(self._requests, wait=False)

    def ring(self) -> None:
        """Wake the zygote."""
        with contextlib.suppress(BlockingIOError):  # rung two to the power of 64 times: it will wake
            os.eventfd_write(self._bell, 1)


def _identity(number: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _credentials() -> tuple[Any, ...]:
    """Look at what a fork inherits and nobody can take over from another process."""
    return os.getresuid(), os.getresgid(), os.getgroups(), os.getpgrp(), os.getsid(0), _root_directory()


def _root_directory() -> tuple[int, int]:
    status = os.stat("/")
    return status.st_dev, status.st_ino


class Session:
    """This process's way to the zygote: one socket, shared by all processes of the session."""

    def __init__(self) -> None:
        """Begin outside of any session; the first start makes one."""
        self._given: tuple[int, int, int] | None = None
        """A way that was not looked at yet: most children start none of their own."""
        self._way: _Way | None = None
        self._parents_way: _Way | None = None
        self._itself: _Held | None = None
        self._lock = threading.RLock()  # re-entrant: a signal handler may start a process while the zygote is launched

    def start(self, pickle_process: Callable[[], bytes], descriptors: list[int]) -> Child:
        """Start the process that ``pickle_process`` returns; its arguments refer to ``descriptors`` by index.

        It is called when a spare has been told to get ready. Either the child runs once or an exception is raised and
        nothing runs: that of ``pickle_process``, StartError when no zygote can be had, or the OSError of the kernel's
        fork.
        """
        work: Work | None = None
        without_main, refusals, lost = False, 0, 0
        while refusals < _ATTEMPTS and lost < _SPARES_LOST:
            way = self._connect(without_main=without_main)
            spare: Offer | None = None
            try:
                spare = _take_or_ask(way)
                if work is None:
                    work = self._prepare(pickle_process, descriptors)
                if spare is None:
                    spare = _wait_for_offer(way)
                    reap()
                if _hand_over(way, spare, work):
                    return Child(spare.value, spare.pidfd, spare.line)
                lost += 1  # the next one, or the end of the way, will show what happened
                spare.close()
            except _Refused as refusal:
                refusals += 1
                without_main = without_main or refusal.without_main
                self._forget(way)
            except BaseException:
                if spare is not None:
                    spare.close()
                raise
        raise StartError(
            "no process was started: the zygote, which warm children are forked from, failed "
            f"{refusals + lost} times in a row at this request. It may be short of memory or of open files; otherwise "
            "another start method, such as 'spawn', avoids it."
        )

    def detach(self, pid: int, line: int) -> None:
        """Let a child outlive the session: a zygote that listens hears it, a retired one finds it on the line."""
        self._look_at_what_was_given()
        if self._way is not None:
            self._way.leave_word(Kind.DETACH, pid)
            self._way.ring()
        with contextlib.suppress(OSError):  # it has ended, with its zygote
            send_detachment(line)

    def adopt(self, requests: int, offers: int, bell: int) -> None:
        """Use this way to a zygote (in its children, and where it was forked ahead)."""
        self._given = (requests, offers, bell)

    def rejoin(self) -> None:
        """In a process of the session that was forked: go on with the zygote of the process that forked it."""
        self._way = self._parents_way

    def own_pidfd(self) -> int:
        """Return a pidfd of this process, the same at each call."""
        if self._itself is None or not self._itself.is_ours():
            self._itself = _Held(above_streams(os.pidfd_open(os.getpid())))
        return self._itself.number

    def after_fork(self) -> None:
        """Forget what was this process's parent's.

        That includes its zygote: a process that the program forked by itself may be a daemon, which outlives it.
        """
        self._lock = threading.RLock()
        self._look_at_what_was_given()
        self._parents_way, self._way = self._way, None
        if self._itself is not None and self._itself.is_ours():
            os.close(self._itself.number)
        self._itself = None

    def _connect(self, *, without_main: bool) -> _Way:
        with self._lock:
            self._look_at_what_was_given()
            if self._way is None or not self._way.is_good():
                way = _Way(*launch(self.own_pidfd(), without_main=without_main))
                self._way = way
                return way
            return self._way

    def _look_at_what_was_given(self) -> None:
        if self._given is not None:
            self._way, self._given = _Way(*self._given), None

    def _forget(self, way: _Way) -> None:
        """Drop a way that leads nowhere; another thread may have replaced it already."""
        with self._lock:
            if self._way is way:
                self._way = None

    def _prepare(self, pickle_process: Callable[[], bytes], descriptors: list[int]) -> Work:
        process = pickle_process()
        tracker = _standard.resource_tracker()
        return Work([], self.own_pidfd(), tracker, _streams(), descriptors, capture(), process)


def _take_or_ask(way: _Way) -> Offer | None:
    """Take a spare, which wakes while its work is made ready; or else ask for one, and come back later."""
    try:
        try:
            offer = Offer.receive(way.offers, wait=False)
            if offer.kind is not Kind.FAILED:
                os.eventfd_write(_suitable(way, offer).bell, 1)
                return offer
            _need(way)  # that was the answer to somebody else, who shall have another
        except BlockingIOError:
            pass
        _need(way)
    except (LineEnded, ConnectionError) as error:
        raise _Refused from error
    return None


def _need(way: _Way) -> None:
    way.ask(Ask(Kind.NEED, 0, capture(), _streams()))


def _wait_for_offer(way: _Way) -> Offer:
    try:
        return _suitable(way, Offer.receive(way.offers, wait=True))
    except LineEnded as error:
        raise _Refused from error


def _suitable(way: _Way, offer: Offer) -> Offer:
    """Return the offer if it is a spare with the main module as it is now."""
    if offer.kind is Kind.FAILED:
        raise OSError(offer.value, os.strerror(offer.value))
    if offer.kind is Kind.THREADED:
        raise _Refused(without_main=True)
    if offer.main_version is not None and offer.main_version != main_version(main_reference()):
        offer.close()
        way.leave_word(Kind.STALE)
        way.ring()
        raise _Refused
    return offer


def _hand_over(way: _Way, spare: Offer, work: Work) -> bool:
    """Give a spare its work; false when it is gone."""
    work.way = way.numbers
    way.leave_word(Kind.TAKEN, spare.value)  # first: the child may end before this process goes on
    try:
        work.send(spare.line)
    except ConnectionError:
        return False
    os.eventfd_write(spare.bell, 1)
    os.close(spare.bell)
    spare.bell = -1
    way.ring()
    return True


def _streams() -> list[int]:
    return [number if _is_open(number) else -1 for number in (0, 1, 2)]


def read_exit(line: int) -> tuple[int, str, bytes]:
    """Wait for a child's exit: code, evidence of a shortage of memory, account. It stays readable, for others.

    A zygote that died took its children with it: that is -9, as the kernel did it.
    """
    try:
        end = Exit.receive(line)
    except LineEnded:
        return -signal.SIGKILL, "", b""
    return end.code, end.out_of_memory, end.account


def _is_open(descriptor: int) -> bool:
    return _identity(descriptor) is not None


session = Session()
os.register_at_fork(after_in_child=session.after_fork)
