"""What children leave to give their memory back behind their end (``src/sys/ending.rs``): the zygote reaps it."""

from __future__ import annotations

import contextlib
import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Container

__all__ = ["Remains"]

_FIRST_SECONDS = 0.005
_LAST_SECONDS = 0.5
_ROOM_SECONDS = 0.05
"""How long a fork for which there is no room waits for the next remains to end."""


class Remains:
    """When to look for remains. They end a moment after their process, which is when nobody waits; nothing says so."""

    def __init__(self) -> None:
        """Expect none."""
        self._pause_seconds = 0.0
        self._look_at: float | None = None

    def expect(self, now: float) -> None:
        """A child has ended: look soon, and some more times later, should it take long."""
        self._pause_seconds = _FIRST_SECONDS
        if self._look_at is None or self._look_at > now + _FIRST_SECONDS:
            self._look_at = now + _FIRST_SECONDS

    def seconds_to_look(self, now: float) -> float | None:
        """Return after how long to `reap`; None: nothing is expected."""
        return None if self._look_at is None else max(0.0, self._look_at - now)

    def make_room_for(self, fork: Callable[[], int], children: Container[int]) -> int:
        """Return what ``fork`` does, again when it fails since there are too many processes: remains go, and count."""
        try:
            return fork()
        except BlockingIOError:
            if self._look_at is None:
                raise
        with contextlib.ExitStack() as stack, select.epoll() as ends:
            for pid in _children():
                if pid not in children:
                    pidfd = os.pidfd_open(pid)  # not reaped yet, so it is that one
                    stack.callback(os.close, pidfd)
                    ends.register(pidfd, select.EPOLLIN)
            while ended := ends.poll(_ROOM_SECONDS):
                for pidfd, _ in ended:
                    ends.unregister(pidfd)
                self.reap(time.monotonic(), children)
                with contextlib.suppress(BlockingIOError):
                    return fork()
        return fork()

    def reap(self, now: float, children: Container[int]) -> None:
        """Reap every child of this process that has ended and is none of ``children``, which are pids."""
        self._pause_seconds *= 10
        self._look_at = now + self._pause_seconds if self._pause_seconds <= _LAST_SECONDS else None
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid in children:
                    return  # its pidfd says so, too; those behind it have their turn then
                os.waitpid(ended.si_pid, 0)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []  # a kernel that does not tell
