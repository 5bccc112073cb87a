"""The zygote's loop. It calls; how many spares there are is decided in ``spares``, what a child does in ``child``.

It must stay single-threaded: it forks, and its children are bound to the life of the thread that forked them.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import select
import signal
import time
import weakref

from allcores import _arena, _core, _standard
from allcores._segments import folder
from allcores._zygote import account, rehearsal, spare
from allcores._zygote.child import prepare_standard_input
from allcores._zygote.memory import TRACKER_NAME
from allcores._zygote.news import receive_news
from allcores._zygote.preload import MainModule
from allcores._zygote.remains import Remains
from allcores._zygote.spares import SpareKeeper
from allcores._zygote.surroundings import ignored_signals

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import NoReturn

__all__ = ["Zygote", "main"]

_FINALIZERS_SECONDS = 2
"""How long finalizers of the main module may take at the end of a session."""
_ROOT_SECONDS = 0.2
"""How long a root may take from closing its descriptors to its end, if it ends."""
_KEEPING_SECONDS = 1
"""How often one that has nothing left to do looks whether it is still needed for the arena's sake."""
_LINGER_SECONDS = 0.2
"""How long one that has nothing left to do stays at least: who closes all descriptors has closed some, at first."""
_DEATHS_SECONDS = 2
"""How long children may take to die of SIGKILL."""


def main(
    requests: int,
    offers: int,
    callers_requests: int,
    callers_offers: int,
    bell: int,
    root: int,
    arena: int,
    without_main: bool,
) -> NoReturn:
    """Be a zygote until the process behind the pidfd ``root`` ends. Called with the held signals blocked."""
    try:
        os.close(callers_requests)
        if _core.arena_descriptor() is None:  # unlike in a fork
            _arena.join(arena)
        _core.name_process_in_arena("zygote")
        for descriptor in (requests, offers, callers_offers, bell, root):
            os.set_inheritable(descriptor, False)
        _core.set_process_name("allcores-zygote")
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, perhaps, in the program that launched this
        _leave_the_terminal()
        Zygote(requests, offers, callers_offers, bell, root, MainModule(wanted=not without_main)).serve()
    finally:
        # Never the interpreter's own end: exit functions of the main module belong to the children.
        os._exit(1)


def _leave_the_terminal() -> None:
    """Hold nobody's output open; children get their caller's streams with each request."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    if null > 2:
        os.close(null)


class _Child:
    """A spare, or what became of it."""

    __slots__ = ("descriptors", "detached", "idle", "line", "pid", "pidfd")

    def __init__(self, pid: int, descriptors: tuple[int, int, int]) -> None:
        """``descriptors``: its pidfd, line and account."""
        self.pid, self.descriptors = pid, descriptors
        self.pidfd, self.line, _ = descriptors
        self.idle, self.detached = True, False


class Zygote:
    """Offers spares, reports exits, ends with the root."""

    def __init__(
        self, requests: int, offers: int, callers_offers: int, bell: int, root: int, main_module: MainModule
    ) -> None:
        """Own the descriptors; import nothing before the first request."""
        self._requests, self._offers, self._callers_offers = requests, offers, callers_offers
        self._bell, self._root = bell, root
        self._main_module = main_module
        self._keeper = SpareKeeper()
        self._children: dict[int, _Child] = {}  # by pidfd
        self._by_pid: dict[int, _Child] = {}
        self._memory = account.MemoryWatch()
        self._remains = Remains()
        self._rehearsal: list[Callable[[], object]] | None = None
        self._prepared = self._retired = False
        self._retired_at = 0.0
        self._asks: list[_core.Ask] = []
        """Those that are being answered, and those that want a resource tracker, which is forked when it is quiet."""
        self._news, news_in = _core.socket_pair()
        # The pid is looked at now: a child of a zygote that has just died would see another parent.
        self._children_have = spare.Inheritance(os.getpid(), news_in, resource.getrlimit(resource.RLIMIT_NOFILE))
        self._events = select.epoll()
        for descriptor in (bell, root, self._news):
            self._events.register(descriptor, select.EPOLLIN)
        self._events.register(requests, 0)  # its end; see "Bells" in the README

    def serve(self) -> NoReturn:
        """Answer what comes, for ever."""
        while True:
            events = dict(self._events.poll(self._seconds_to_wait()))
            ended = []
            for descriptor in events:
                if descriptor in self._children:
                    child = self._children[descriptor]
                    _core.reap(child.pid, child.descriptors, self._memory.look)  # first of all: somebody waits for that
                    ended.append(child)
                elif descriptor == self._bell:
                    _core.hear(descriptor)
            self._hear_callers()  # always, and before what follows: it says which children are spares no more
            for child in ended:
                self._forget(child)
            now = time.monotonic()
            if ended:
                self._remains.expect(now)
            if self._remains.seconds_to_look(now) == 0:
                self._remains.reap(now, self._by_pid)
            if self._root in events:
                self._end_session()
            if self._news in events:
                self._hear_children()
            self._keep_spares()
            is_idle = self._retired and not self._children and self._seconds_to_linger() <= 0
            if is_idle and not _core.arena_is_kept_here_only():
                self._end()

    def _seconds_to_wait(self) -> float | None:
        now = time.monotonic()
        if self._retired:
            if self._children:
                return self._remains.seconds_to_look(now)
            lingers = self._seconds_to_linger()
            return lingers if lingers > 0 else _KEEPING_SECONDS
        if not self._prepared:
            return None
        wait = self._keeper.seconds_to_fork(now)
        for other in (
            self._keeper.seconds_to_shrink(now),
            self._remains.seconds_to_look(now),
            self._keeper.seconds_to_quiet(now) if self._asks else None,
        ):
            if wait is None or (other is not None and other < wait):
                wait = other
        return wait

    def _seconds_to_linger(self) -> float:
        return self._retired_at + _LINGER_SECONDS - time.monotonic()

    def _hear_callers(self) -> None:
        while not self._retired:
            try:
                ask = _core.receive_ask(self._requests)
            except EOFError:
                self._retire()  # nobody is left who could ask: the program went on as another one (exec)
                return
            except OSError as error:
                if error.errno is not None:
                    raise
                continue  # a message that is none of ours, from a program that wrote to a socket it does not know
            if ask is None:
                return
            child = self._by_pid.get(ask.pid)
            if ask.kind == "need":
                self._offer_now(ask)
            elif ask.kind == "stale":
                self._retire()
            elif ask.kind == "detach" and child is not None:
                child.detached = True
            elif ask.kind == "taken" and child is not None and child.idle:
                child.idle = False
                self._keeper.taken(time.monotonic())

    def _hear_children(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._main_module.learn(receive_news(self._news))

    def _offer_now(self, ask: _core.Ask) -> None:
        """Offer a spare to a caller who waits for it, or say why there is none."""
        if not ask.complete:
            _core.offer_failed(self._offers, errno.EMFILE)
            return
        self._asks.append(ask)  # which spares close, and this process when it is answered in full
        first, self._prepared = not self._prepared, True
        if first and not self._main_module.prepare(ask):
            _core.offer_threaded(self._offers)
            self._retire()
            return
        if first:
            self._get_ready_to_fork()
        self._keeper.missed(time.monotonic())
        try:
            self._fork(rehearse=False)
        except OSError as error:
            _core.offer_failed(self._offers, error.errno or errno.EAGAIN)
        if ask.tracker is None:
            self._asks.remove(ask)
            ask.close()

    def _fork_trackers(self) -> None:
        """Fork the resource tracker that the session's first caller has asked for."""
        while self._asks:
            self._fork_tracker(self._asks.pop())

    def _fork_tracker(self, ask: _core.Ask) -> None:
        """Fork the session's resource tracker, instead of starting an interpreter for it. It belongs to nobody.

        Beside threads, too: what it does needs no lock that one could hold.

        Should that fail, whoever needs one finds its pipe closed and starts one by the standard library's own way.
        """
        descriptor, standard_error = ask.tracker, ask.streams[2]
        with contextlib.suppress(OSError):
            if descriptor is not None and os.fork() == 0:
                try:
                    _core.set_process_name(TRACKER_NAME)
                    if standard_error >= 0:
                        os.dup2(standard_error, 2)
                    os.closerange(3, descriptor)
                    os.closerange(descriptor + 1, self._children_have.open_files[1])
                    _standard.be_resource_tracker(descriptor)
                finally:
                    os._exit(0)
        ask.close()

    def _get_ready_to_fork(self) -> None:
        _disown_finalizers()
        ignored_signals()  # known to all children from now on
        hard = self._children_have.open_files[1]
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._children_have.account = account.prepare_account()  # at a high number
        prepare_standard_input()
        gc.freeze()

    def _keep_spares(self) -> None:
        if self._retired or not self._prepared:
            return
        now = time.monotonic()
        if self._asks and self._keeper.seconds_to_quiet(now) == 0:
            self._fork_trackers()
        if self._keeper.seconds_to_fork(now) == 0:
            try:
                self._fork(rehearse=not self._keeper.in_burst(now))
            except OSError:
                self._keeper.failed(now)
        for _ in range(self._keeper.surplus(now)):
            # Whoever takes an offer has the spare for itself; one that loses its line ends.
            with contextlib.suppress(EOFError):
                _core.take_back(self._callers_offers, self._offers)

    def _fork(self, *, rehearse: bool) -> None:
        """Fork a spare and offer it. OSError when the kernel does not, or the queue of offers is full."""
        if rehearse and self._rehearsal is None:
            self._rehearsal = rehearsal.prepare(self._main_module)
            gc.freeze()
        # All that a spare runs it has copies of: what can be known before the fork is made before it.
        parts, zygotes, birth = (self._rehearsal or []) if rehearse else [], self._own_descriptors(), _core.Birth()
        pid = self._remains.make_room_for(os.fork, self._by_pid)
        if pid == 0:
            self._events.close()
            for ask in self._asks:
                ask.close()
            spare.run(birth, zygotes, self._children_have, self._main_module, parts)
        _core.name_embryo(pid)
        descriptors = birth.offer(pid, self._events.fileno(), self._offers, self._main_module.version)
        self._children[descriptors[0]] = self._by_pid[pid] = _Child(pid, descriptors)
        self._keeper.forked()

    def _own_descriptors(self) -> list[int]:
        """Return what no child is to have."""
        descriptors = [self._requests, self._offers, self._callers_offers, self._bell, self._root, self._news]
        for child in self._children.values():
            descriptors += child.descriptors
        return descriptors

    def _forget(self, child: _Child) -> None:
        """Let go of one that was reaped."""
        del self._children[child.pidfd]
        if self._by_pid[child.pid] is child:  # since it was reaped another may have got its number
            del self._by_pid[child.pid]
        self._events.unregister(child.pidfd)  # closing does not, while a fork has a copy of it
        if child.idle:
            self._keeper.lost(time.monotonic())
        _core.close_all(child.descriptors)

    def _retire(self) -> None:
        """Offer no more, and end with the last child. Spares end when nobody can take their offers any more."""
        if not self._retired:
            self._fork_trackers()
            self._retired, self._retired_at = True, time.monotonic()
            for descriptor in (self._requests, self._bell):
                self._events.unregister(descriptor)
            for descriptor in (self._requests, self._offers, self._callers_offers, self._bell):
                os.close(descriptor)

    def _end_session(self) -> NoReturn:
        """Nothing outlives the root, but what was detached: for that the zygote stays, and offers nothing."""
        self._fork_trackers()
        detached = []
        for child in self._children.values():
            if child.detached or (not child.idle and _core.is_detached(child.line)):
                detached.append(child)
                continue
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        if detached:
            # Should they start processes, they see that this zygote is gone and launch one of their own.
            self._retire()
            with select.epoll() as ends:
                for child in detached:
                    ends.register(child.pidfd, select.EPOLLIN)
                while detached:
                    for descriptor, _ in ends.poll():
                        ends.unregister(descriptor)
                        child = self._children[descriptor]
                        detached.remove(child)
                        _core.reap(child.pid, child.descriptors, self._memory.look)
                        self._forget(child)
        self._end()

    def _remove_segments(self) -> None:
        """Remove the shared memory that a killed root has left, when the children that were killed have it no more."""
        if not any(True for _ in folder.files_with_marks()):
            return
        from allcores._segments import leftovers, owner  # only now: few sessions need them

        now = time.monotonic()
        deadlines = {self._root: now + _ROOT_SECONDS} | dict.fromkeys(self._children, now + _DEATHS_SECONDS)
        for pidfd, deadline in deadlines.items():
            with select.epoll() as death:
                death.register(pidfd, select.EPOLLIN)
                death.poll(max(0.0, deadline - time.monotonic()))
        leftovers.clean(owner.this_process())  # its own, too: importing the main module may have made some

    def _end(self) -> NoReturn:
        """End, with what importing the main module wanted to be done at the end."""
        self._remove_segments()
        _disown_finalizers()
        _run_finalizers()
        os._exit(0)


_finalizers: list[weakref.finalize[..., object]] = []


def _disown_finalizers() -> None:
    """Keep children from finalizing what importing the main module made once for all, such as a TemporaryDirectory."""
    for finalizer in list(vars(weakref.finalize)["_registry"]):
        if finalizer.atexit:
            finalizer.atexit = False
            _finalizers.append(finalizer)


def _run_finalizers() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_FINALIZERS_SECONDS)
    for finalizer in reversed(_finalizers):
        with contextlib.suppress(Exception):
            finalizer()
