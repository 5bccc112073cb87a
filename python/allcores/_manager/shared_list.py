"""``SharedList``: a list in the session's shared memory, with the methods of the standard library's ``ListProxy``."""

from __future__ import annotations

import operator
import sys

from allcores import _core
from allcores._in_arena import InArena, checked_name

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, SupportsIndex

__all__ = ["SharedList"]


class SharedList(InArena, _core.List):
    """A list that every process of the program reads and writes in place: no server, no request.

    Items are any objects that can be pickled. What is read is a copy, as from the standard library's
    ``Manager().list()``; large buffers (arrays) are not copied until they are written to. Each method happens whole
    or not at all, also when its process is killed. It can be sent to any process of the program. It is freed when no
    process has it any more::

        numbers = SharedList([3, 1])
        numbers.append(2)
        numbers.sort()
        assert numbers[:] == [1, 2, 3]
        assert numbers.pop() == 3

    An index, ``append`` and ``pop`` at the end take the same time however long it is; in the middle ``insert`` and
    ``pop`` move some hundred items, and one for each thousand behind. Iteration is of one moment for each 4096 items;
    slices and ``copy`` are of one moment. `ArenaFullError` when there is no memory.
    """

    def __new__(cls, iterable: Iterable[Any] = ()) -> Any:
        """Make an empty one; what is in it comes with ``__init__``."""
        return super().__new__(cls)

    @classmethod
    def named(cls, name: str) -> SharedList:
        """Make an empty one with a name, which `repr` shows and errors say."""
        made: SharedList = _core.List.__new__(cls, checked_name(name))
        return made

    def __init__(self, iterable: Iterable[Any] = ()) -> None:
        """Have the items that ``list`` would have of the same argument."""
        self.extend(iterable)

    @classmethod
    def _at(cls, address: _core._Address) -> Any:
        return _core.List.__new__(cls, None, address)

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize, /) -> int:
        """Return the index of the first item that equals a value. ValueError when there is none."""
        found = self._find(value, _clamped(start), _clamped(stop))
        if found is None:
            raise ValueError(f"{value!r} is not in list")
        return found

    def count(self, value: Any, /) -> int:
        """Return how many items equal a value, at one moment."""
        return self.copy().count(value)

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        """Sort the items, as ``list.sort`` does, at one moment: if they change while it compares, it begins again."""
        while True:
            version, items = self._snapshot()
            keys = items if key is None else [key(item) for item in items]
            order = sorted(range(len(keys)), key=keys.__getitem__, reverse=reverse)
            if self._arrange(version, order):
                return

    def copy(self) -> list[Any]:
        """Return a list of this process's own with the same items."""
        items: list[Any] = self[:]
        return items

    def __iter__(self) -> Iterator[Any]:
        """Iterate by index, some thousand items at a time, as ``list`` does: what is behind a change meanwhile may be
        seen twice, or not at all.
        """
        start = 0
        while part := self._part(start):
            yield from part
            start += len(part)

    def __reversed__(self) -> Iterator[Any]:
        """Iterate over the items that there are now, the last one first."""
        return iter(self[::-1])

    def __add__(self, other: list[Any]) -> list[Any]:
        """Return a list of both."""
        return self.copy() + _own(other)

    def __radd__(self, other: list[Any]) -> list[Any]:
        """Return a list of both."""
        return _own(other) + self.copy()

    def __iadd__(self, other: Iterable[Any]) -> SharedList:
        """Extend it."""
        self.extend(other)
        return self

    def __mul__(self, times: SupportsIndex) -> list[Any]:
        """Return a list with the items so many times."""
        return self.copy() * times

    __rmul__ = __mul__

    def __imul__(self, times: SupportsIndex) -> SharedList:
        """Have the items so many times."""
        self._repeat(_clamped(times))
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        """Return a list, as the standard library's proxies do."""
        return self.copy()

    def _getvalue(self) -> list[Any]:
        """Return a list, as the standard library's proxies do."""
        return self.copy()

    def __repr__(self) -> str:
        """Show what it is, as the standard library's proxies do."""
        return f"{self._title('ListProxy')} object, typeid 'list' at {id(self):#x}>"

    def __str__(self) -> str:
        """Show what is in it."""
        return repr(self.copy())

    def _waiters(self) -> int:
        return 0


def _own(other: list[Any]) -> list[Any]:
    return other.copy() if isinstance(other, SharedList) else other


def _clamped(index: SupportsIndex) -> int:
    return max(-sys.maxsize, min(sys.maxsize, operator.index(index)))
