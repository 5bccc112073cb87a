"""Items of ``allcores map`` that are lines: of a file, or of something that may have to be waited for."""

from __future__ import annotations

import collections
import os
import stat
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterator

__all__ = ["lines_of"]

_AT_ONCE = 1 << 16
_MOST_WAITING = 1 << 12
"""How many lines are read at most that nobody has asked for."""


def lines_of(descriptor: int, refill: Callable[[], None]) -> Iterator[bytes | None]:
    """Return the lines of an open file, without their ends; None where there is none yet: ``refill`` will be called."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return _split(descriptor)
    return _Reader(descriptor, refill).lines()


def _split(descriptor: int) -> Iterator[bytes]:
    rest: list[bytes] = []
    while read := os.read(descriptor, _AT_ONCE):
        first, *others = read.split(b"\n")
        rest.append(first)
        for other in others:
            yield b"".join(rest)
            rest = [other]
    last = b"".join(rest)
    if last:
        yield last


class _Reader:
    """Reads a pipe or a terminal in a thread: results do not wait for the next line."""

    def __init__(self, descriptor: int, refill: Callable[[], None]) -> None:
        self._descriptor, self._refill = descriptor, refill
        self._read: collections.deque[bytes] = collections.deque()
        self._room = threading.Semaphore(_MOST_WAITING)
        self._is_over = self._is_dry = False
        self._error: OSError | None = None

    def _run(self) -> None:
        try:
            for line in _split(self._descriptor):
                self._room.acquire()
                self._read.append(line)
                if self._is_dry:
                    self._is_dry = False
                    self._refill()
        except OSError as error:
            self._error = error
        self._is_over = True
        self._refill()

    def lines(self) -> Iterator[bytes | None]:
        threading.Thread(target=self._run, name="allcores-map-lines", daemon=True).start()
        while True:
            is_over = self._is_over  # before the look, so that nothing comes after it
            if self._read:
                self._is_dry = False
                self._room.release()
                yield self._read.popleft()
            elif is_over:
                break
            elif self._is_dry:
                yield None
            else:
                self._is_dry = True  # then look again: what comes from now on is told
        if self._error is not None:
            raise self._error from None
