"""``SharedDict``: a dict in the session's shared memory, with the methods of the standard library's ``DictProxy``."""

from __future__ import annotations

from allcores import _core
from allcores._in_arena import InArena, checked_name

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, Self

    from allcores._manager.transaction import Block

__all__ = ["SharedDict"]


class SharedDict(InArena, _core.Table):
    """A dict that every process of the program reads and writes in place: no server, no request.

    Keys are any hashable objects that can be pickled, with Python's equality; values any that can be pickled. What is
    read is a copy, as from the standard library's ``Manager().dict()``; large buffers (arrays) are not copied until
    they are written to. Each method happens whole or not at all, also when its process is killed. It can be sent to any
    process of the program. It is freed when no process has it any more::

        counts = SharedDict(apples=2)
        counts["pears"] = 3
        counts.add("apples", 5)
        assert counts.copy() == {"apples": 7, "pears": 3}

    Keys come in the order of insertion. ``keys``, ``values``, ``items``, ``copy`` and iteration are of one moment up to
    4096 keys; of larger dicts, of one moment for each 4096. `ArenaFullError` when there is no memory.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make an empty one; what is in it comes with ``__init__``."""
        return super().__new__(cls)

    @classmethod
    def named(cls, name: str) -> SharedDict:
        """Make an empty one with a name, which `repr` shows and errors say."""
        made: SharedDict = _core.Table.__new__(cls, checked_name(name))
        return made

    @classmethod
    def made(cls, end: Any, content: Mapping[Any, Any]) -> Self:
        """Make one that ends with an event: who uses it then is told that it was a ``_typeid``, as its class says."""
        made = _core.Table.__new__(cls, None, None, end)
        if content:
            made.update(content)
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Have the keys and values that ``dict`` would have of the same arguments."""
        if args or kwargs:
            self.update(*args, **kwargs)

    @classmethod
    def _at(cls, address: _core._Address) -> Any:
        return _core.Table.__new__(cls, None, address)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Take over keys and values as ``dict.update`` does, all of them at one moment."""
        changes = dict(*args, **kwargs)
        if changes:
            self._apply(list(changes.items()))

    def add(self, key: Any, number: Any = 1) -> Any:
        """Add to the number that a key has, 0 when there is none, and return the sum. TypeError for no number."""
        if type(number) is int and -(1 << 63) <= number < 1 << 63:
            total = self._add(key, number)
            if total is not None:
                return total
        while True:
            mark, before = self._seen(key) or (None, 0)
            total = before + number
            if self._apply([(key, self._as_stored(total))], [(key, mark)]):
                return total

    def _as_stored(self, value: Any) -> Any:
        """Return what is stored in the place of a value."""
        return value

    def transaction(self) -> Block:
        """Return a block at whose end all that is done in it happens at once, or nothing, whoever is killed::

            with accounts.transaction():
                accounts["alice"] -= 5
                accounts["bob"] += 5

        In the block this thread, by this handle, sees what it has done; others see nothing of it until the end. An
        exception that leaves the block gives it up. Transactions of one dict wait for one another. When somebody else
        has changed meanwhile what the block has read, that is a `TransactionConflictError` at its end, and nothing is
        done.
        """
        from allcores._manager.transaction import Block  # with the first one

        return Block(self)

    def copy(self) -> dict[Any, Any]:
        """Return a dict of this process's own with the same keys and values."""
        return dict(self.items())

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the keys. What is inserted or deleted meanwhile may be seen or not."""
        scan = self._scan()
        while (part := scan.next_part()) is not None:
            yield from part

    def __reversed__(self) -> Iterator[Any]:
        """Iterate over the keys that there are now, the last one first."""
        return iter(self.keys()[::-1])

    def __or__(self, other: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return a dict of both."""
        return self.copy() | _own(other)

    def __ror__(self, other: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return a dict of both."""
        return _own(other) | self.copy()

    def __ior__(self, other: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> SharedDict:
        """Update it."""
        self.update(other)
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        """Return a dict, as the standard library's proxies do."""
        return self._getvalue()

    def _getvalue(self) -> dict[Any, Any]:
        """Return a dict, as the standard library's proxies do."""
        return self.copy()

    def __repr__(self) -> str:
        """Show what it is, as the standard library's proxies do."""
        return f"{self._title('DictProxy')} object, typeid 'dict' at {id(self):#x}>"

    def __str__(self) -> str:
        """Show what is in it."""
        return repr(self.copy())

    def _waiters(self) -> int:
        return 0


def _own(other: Mapping[Any, Any]) -> dict[Any, Any]:
    return other.copy() if isinstance(other, SharedDict) else other  # type: ignore[return-value]
