"""Iterators of results, as they come or in the order of what they are results of."""

from __future__ import annotations

import collections
import threading
from multiprocessing import TimeoutError, pool as _std

from allcores._pool.descriptions import name_of
from allcores._pool.feed import Feed
from allcores._pool.waiting import Waiter

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterable
    from typing import Any

__all__ = ["IMapIterator", "IMapUnorderedIterator"]

_StdIMapIterator: Any = _std.IMapIterator


class IMapIterator(Waiter, _StdIMapIterator):  # type: ignore[misc]  # of a class that stubs have, by another name
    """The results of many calls in the order of the arguments, from `Pool.imap`."""

    def __init__(self, pool: Any) -> None:
        self._pool, self._engine, self._function = pool, pool._engine, None
        self._came: dict[int, tuple[bool, Any]] = collections.OrderedDict()
        """Index of the task -> whether it succeeded, and with what."""
        self._indexes: dict[int, int] = {}
        """Number of a task on its way -> its index."""
        self._sizes: dict[int, int] = {}
        self._sent = self._index = self._bytes = 0
        self._length: int | None = None
        self._taking = threading.RLock()
        self._feed: Feed | None = None

    def _begin(self, function: Any, iterable: Iterable[Any], chunksize: int) -> None:
        """Have tasks sent."""
        self._function = function
        self._feed = Feed(self._engine, self, function, iterable, chunksize)

    @property
    def _ready(self) -> bool:  # type: ignore[override]
        return self._index in self._came or self._index == self._length

    @property
    def _ahead(self) -> int:
        """How many tasks were sent whose results were not taken."""
        return self._sent - self._index

    def __iter__(self) -> Any:
        return self

    def next(self, timeout: float | None = None) -> Any:
        """Return the next result, or raise what the call has raised; TimeoutError after so many seconds."""
        while True:
            if not self._ready and not self._engine.wait(self, timeout):
                raise TimeoutError from None
            with self._taking:
                if self._index == self._length:
                    self._pool = None
                    raise StopIteration from None
                came = self._take()
                if came is not None:
                    break
        if self._feed is not None:
            self._feed.taken()
        success, value = came
        if success:
            return value
        raise value

    __next__ = next

    def _take(self) -> tuple[bool, Any] | None:
        came = self._came.pop(self._index, None)
        self._index += came is not None
        return came

    def _expect(self, number: int) -> None:
        self._indexes[number] = self._sent
        self._sent += 1

    def _note_size(self, number: int, size: int) -> None:
        if size and number in self._indexes:
            self._sizes[number] = size
            self._bytes += size

    def _arrive(self, number: int, success: bool, value: Any) -> None:
        index = self._indexes.get(number)
        if index is not None:
            self._came[index] = success, value
            del self._indexes[number]
            if self._sizes:
                self._bytes -= self._sizes.pop(number, 0)
        if self._latches:
            self._wake()

    def _fail_next(self, error: BaseException) -> None:
        """Have an error for what could not be read."""
        index = self._sent
        self._sent += 1
        self._came[index] = False, error
        self._wake()

    def _be_complete(self) -> None:
        """Note that nothing more will be sent."""
        self._length = self._sent
        self._feed = None
        self._wake()

    def _describe(self, number: int) -> str:
        return f"{name_of(self._function)} for part {self._indexes.get(number, '?')} of an iterable"


class IMapUnorderedIterator(IMapIterator):
    """The results of many calls as they come, from `Pool.imap_unordered`."""

    _came: collections.OrderedDict[int, tuple[bool, Any]]

    @property
    def _ready(self) -> bool:  # type: ignore[override]
        return bool(self._came) or self._index == self._length

    def _take(self) -> tuple[bool, Any] | None:
        try:
            _, came = self._came.popitem(last=False)
        except KeyError:
            return None
        self._index += 1
        return came
