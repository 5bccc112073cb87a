"""Bringing a zygote to life: a fresh interpreter, or a fork of a program that has not run any user code yet."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from allcores import _arena, _core, _standard
from allcores._zygote.surroundings import HELD_SIGNALS

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterator

__all__ = ["above_streams", "fork_ahead", "launch", "open_ends", "reap"]


# Forked first of all, so that it is no child of the program's, which may wait for all children it knows of.
_PROGRAM = """\
import os, sys
if os.fork():
    os._exit(0)
sys.path[:] = {path!r}
from allcores._zygote.server import main
main{arguments!r}
"""


def launch(root_pidfd: int, *, without_main: bool) -> tuple[int, int, int]:
    """Start a zygote as a fresh interpreter; return the way to it: the ends for requests and offers, and the bell."""
    with _Ends() as ends:
        descriptors = (*ends.zygotes, root_pidfd, _arena.descriptor())
        arguments = (*descriptors, without_main)
        program = _PROGRAM.format(path=_import_path(), arguments=arguments)
        executable = _standard.executable()
        command: list[str | bytes] = [executable, *_standard.interpreter_flags(), "-c", program]
        with _signals_held():
            _launched.append(_standard.spawn_program(executable, command, descriptors))
        return ends.callers


def fork_ahead(root_pidfd: int) -> tuple[int, int, int]:
    """Fork a zygote off this process, which must be single-threaded and must not have run user code yet."""
    arena = _arena.descriptor()
    with _Ends() as ends:
        # A copy: the one handed in belongs to the session, which closes it in every fork.
        root = os.dup(root_pidfd)
        open_ends.discard(ends)  # this fork is to have them
        with _signals_held():
            pid = os.fork()
            if pid == 0:
                try:
                    if os.fork():
                        os._exit(0)
                    from allcores._zygote.server import main

                    _standard.forget_exit_functions()
                    main(*ends.zygotes, root, arena, False)
                finally:
                    os._exit(1)
        os.close(root)
        os.waitpid(pid, 0)  # it has forked the zygote, and ended
        return ends.callers


class _Ends:
    """What lies between callers and a new zygote. The callers' ends stay open, unless the block fails."""

    def __enter__(self) -> _Ends:
        self._requests, self._offers = _core.socket_pair(), _core.socket_pair()
        self._bell = above_streams(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        open_ends.add(self)
        return self

    @property
    def zygotes(self) -> tuple[int, int, int, int, int]:
        """What the zygote begins with: its ends, and the callers'."""
        return self._requests[0], self._offers[0], *self.callers

    @property
    def callers(self) -> tuple[int, int, int]:
        """The ends for requests and for offers, and the bell."""
        return self._requests[1], self._offers[1], self._bell

    def __exit__(self, failure: object, *_: object) -> None:
        open_ends.discard(self)
        for descriptor in (self._requests[0], self._offers[0], *(self.callers if failure else ())):
            os.close(descriptor)

    def abandon(self) -> None:
        """In a process that another thread has forked meanwhile: a zygote's end that stays open hides its death."""
        for descriptor in (self._requests[0], self._offers[0], *self.callers):
            os.close(descriptor)


def above_streams(descriptor: int) -> int:
    """Keep the numbers of the standard streams free, in a process that has closed one."""
    if descriptor > 2:
        return descriptor
    import fcntl

    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return moved


open_ends: set[_Ends] = set()
"""Those of zygotes that are being launched; a process that another thread forks meanwhile abandons them."""


_launched: list[int] = []
"""Pids of the processes that forked a zygote and ended; they are reaped when the first answer has come."""


def reap() -> None:
    """Reap them; the program may have done so itself, by os.wait() or by ignoring SIGCHLD."""
    while True:
        try:
            pid = _launched.pop()  # another thread may be at it, too
        except IndexError:
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


os.register_at_fork(after_in_child=_launched.clear)


def _import_path() -> list[str]:
    """Where this program finds allcores, wherever the zygote's own interpreter would look."""
    return [_standard.original_directory() or "" if entry == "" else entry for entry in sys.path]


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let a process that is started here begin with the zygote's signals blocked, as it stays."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
