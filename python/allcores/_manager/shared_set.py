"""``SharedSet``: a set in the session's shared memory, with the methods of Python 3.14's ``SetProxy``."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from itertools import chain

from allcores import _core
from allcores._in_arena import InArena, checked_name

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterable, Iterator
    from typing import Any

__all__ = ["SharedSet"]


class SharedSet(InArena):
    """A set that every process of the program reads and writes in place: no server, no request.

    What is in it are any hashable objects that can be pickled, with Python's equality, in the order of insertion. Each
    method happens whole or not at all, also when its process is killed. It can be sent to any process of the program.
    It is freed when no process has it any more::

        seen = SharedSet(["a"])
        seen.add("b")
        seen |= {"b", "c"}
        assert seen.copy() == {"a", "b", "c"}
        assert "c" in seen and seen - {"c"} == {"a", "b"}

    ``intersection_update`` and ``symmetric_difference_update`` (``&=``, ``^=``) go by what is there when they begin:
    what another process adds meanwhile stays. `ArenaFullError` when there is no memory.
    """

    _Table: type[_core.Table] = _core.Table
    _table: _core.Table

    def __init__(self, iterable: Iterable[Any] = (), /) -> None:
        """Have what ``set`` would have of the same argument."""
        self._table = self._Table()
        self.update(iterable)

    @classmethod
    def named(cls, name: str) -> SharedSet:
        """Make an empty one with a name, which `repr` shows and errors say."""
        made: SharedSet = cls._with(cls._Table(checked_name(name)))
        return made

    @classmethod
    def _with(cls, table: _core.Table) -> Any:
        made = cls.__new__(cls)
        made._table = table
        return made

    @classmethod
    def _at(cls, address: _core._Address) -> Any:
        return cls._with(cls._Table(None, address))

    def _address(self) -> _core._Address:
        return self._table._address()

    def _name(self) -> str | None:
        return self._table._name()

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, key: Any) -> bool:
        return key in self._table

    def __iter__(self) -> Iterator[Any]:
        """Iterate over what is in it. What comes or goes meanwhile may be seen or not."""
        scan = self._table._scan()
        while (part := scan.next_part()) is not None:
            yield from part

    def add(self, key: Any, /) -> None:
        """Have something in it."""
        self._table.setdefault(key, None)

    def discard(self, key: Any, /) -> None:
        """Have something no more, if it is there."""
        self._table.pop(key, None)

    def remove(self, key: Any, /) -> None:
        """Have something no more. KeyError when it is not there."""
        del self._table[key]

    def pop(self) -> Any:
        """Have no more what came last, and return it. KeyError when there is nothing."""
        try:
            return self._table.popitem()[0]
        except KeyError:
            raise KeyError("pop from an empty set") from None

    def clear(self) -> None:
        """Have nothing in it."""
        self._table.clear()

    def copy(self) -> set[Any]:
        """Return a set of this process's own of the same."""
        return set(self._table.keys())

    def update(self, *others: Iterable[Any]) -> None:
        """Have all that is in others, too, at one moment."""
        self._change(added=dict.fromkeys(chain(*others)))

    def difference_update(self, *others: Iterable[Any]) -> None:
        """Have nothing any more that is in others, at one moment."""
        self._change(gone=set().union(*others))

    def intersection_update(self, *others: Iterable[Any]) -> None:
        """Have nothing any more that is not in all others."""
        own = self.copy()
        self._change(gone=own - own.intersection(*others))

    def symmetric_difference_update(self, other: Iterable[Any], /) -> None:
        """Have what is in one of both only."""
        keys, own = set(other), self.copy()
        self._change(added=keys - own, gone=keys & own)

    def _change(self, added: Iterable[Any] = (), gone: Iterable[Any] = ()) -> None:
        changes: list[tuple[Any, ...]] = [(key,) for key in gone]
        changes.extend((key, None) for key in added)
        if changes:
            self._table._apply(changes)

    def union(self, *others: Iterable[Any]) -> set[Any]:
        """Return a set of this process's own of what is in any of them."""
        return self.copy().union(*others)

    def intersection(self, *others: Iterable[Any]) -> set[Any]:
        """Return a set of this process's own of what is in all of them."""
        return self.copy().intersection(*others)

    def difference(self, *others: Iterable[Any]) -> set[Any]:
        """Return a set of this process's own of what is in no other."""
        return self.copy().difference(*others)

    def symmetric_difference(self, other: Iterable[Any], /) -> set[Any]:
        """Return a set of this process's own of what is in one of both only."""
        return self.copy().symmetric_difference(other)

    def isdisjoint(self, other: Iterable[Any], /) -> bool:
        """Whether nothing is in both."""
        return self.copy().isdisjoint(other)

    def issubset(self, other: Iterable[Any], /) -> bool:
        """Whether all of it is in another one."""
        return self.copy().issubset(other)

    def issuperset(self, other: Iterable[Any], /) -> bool:
        """Whether all of another one is in it."""
        return self.copy().issuperset(other)

    def __or__(self, other: AbstractSet[Any]) -> set[Any]:
        return self.copy() | _own(other)

    def __and__(self, other: AbstractSet[Any]) -> set[Any]:
        return self.copy() & _own(other)

    def __sub__(self, other: AbstractSet[Any]) -> set[Any]:
        return self.copy() - _own(other)

    def __xor__(self, other: AbstractSet[Any]) -> set[Any]:
        return self.copy() ^ _own(other)

    __ror__, __rand__, __rxor__ = __or__, __and__, __xor__

    def __rsub__(self, other: AbstractSet[Any]) -> AbstractSet[Any]:
        return other - self.copy()

    def __le__(self, other: AbstractSet[Any]) -> bool:
        return self.copy() <= _own(other)

    def __lt__(self, other: AbstractSet[Any]) -> bool:
        return self.copy() < _own(other)

    def __ge__(self, other: AbstractSet[Any]) -> bool:
        return self.copy() >= _own(other)

    def __gt__(self, other: AbstractSet[Any]) -> bool:
        return self.copy() > _own(other)

    def __ior__(self, other: AbstractSet[Any]) -> SharedSet:
        self.update(_checked(other))
        return self

    def __iand__(self, other: AbstractSet[Any]) -> SharedSet:
        self.intersection_update(_checked(other))
        return self

    def __isub__(self, other: AbstractSet[Any]) -> SharedSet:
        self.difference_update(_checked(other))
        return self

    def __ixor__(self, other: AbstractSet[Any]) -> SharedSet:
        self.symmetric_difference_update(_checked(other))
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> set[Any]:
        """Return a set, as the standard library's proxies do."""
        return self.copy()

    def _getvalue(self) -> set[Any]:
        """Return a set, as the standard library's proxies do."""
        return self.copy()

    def __repr__(self) -> str:
        """Show what it is, as the standard library's proxies do."""
        return f"{self._title('SetProxy')} object, typeid 'set' at {id(self):#x}>"

    def __str__(self) -> str:
        """Show what is in it."""
        return repr(self.copy())

    def _waiters(self) -> int:
        return 0


def _own(other: AbstractSet[Any]) -> AbstractSet[Any]:
    return other.copy() if isinstance(other, SharedSet) else other


def _checked(other: AbstractSet[Any]) -> AbstractSet[Any]:
    """Return it if it is a set. TypeError for what an operator does not take."""
    if not isinstance(other, (SharedSet, set, frozenset)):
        raise TypeError(f"unsupported operand: a set is wanted, not {type(other).__name__!r}")
    return _own(other)
