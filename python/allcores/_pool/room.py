"""Room for large arguments on their way to the workers."""

from __future__ import annotations

import threading

from allcores._pool.chunks import MOST_BYTES_AHEAD
from allcores._pool.waiting import Waiter

__all__ = ["Room"]


class Room(Waiter):
    """That large arguments on their way are less than so many bytes: whoever waits for their results sends no more."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        self._is_over = False
        self._changing = threading.RLock()

    @property
    def _ready(self) -> bool:  # type: ignore[override]
        return self._bytes <= MOST_BYTES_AHEAD or self._is_over

    def give_up(self) -> None:
        """Have nobody wait for it any more."""
        self._is_over = True
        self._wake()

    def sent(self, number: int, size: int) -> None:
        """Note a task that was sent."""
        if size:
            with self._changing:
                self._sizes[number] = size
                self._bytes = sum(self._sizes.values())

    def arrived(self, number: int) -> None:
        """Note that it is done."""
        if self._bytes:  # also when this was interrupted, and is told again
            with self._changing:
                self._sizes.pop(number, 0)
                self._bytes = sum(self._sizes.values())
            self._wake()
