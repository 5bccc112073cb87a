"""Transactions of a shared dict: what is done in a block happens at its end, at once, or not at all.

Reads and writes of the block go to a `Transaction`, which notes what was read and what is to be written. Its end is one
`_apply`, whole or not at all, whoever is killed, if what was read is as it was. Transactions of one dict go one after
another, by a lock that its owner's death frees: nothing was written by then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import MutableMapping

from allcores import _core
from allcores.errors import OwnerDiedError, TransactionConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterator
    from typing import Any

    from allcores._manager.shared_dict import SharedDict

    _Mapping = MutableMapping[Any, Any]
else:
    _Mapping = MutableMapping

__all__ = ["Block", "Transaction"]

_GONE: Any = object()
"""In the place of a value: the key is to be deleted."""
_PLAIN = (type(None), bool, int, float, str, bytes)


class Transaction(_Mapping):
    """What a block has read and is to write. Its methods are those of the dict."""

    def __init__(self, shared: SharedDict) -> None:
        """Begin, with a dict that is as it is."""
        self._shared = shared
        self._written: dict[Any, Any] = {}
        self._seen: dict[Any, bytes | None] = {}
        self._again: set[Any] = set()
        """Keys that are to be deleted and inserted again: they come last then."""
        self._version: int | None = None
        self._copies: SharedDict | None = None

    def __getitem__(self, key: Any) -> Any:
        if key in self._written:
            value = self._written[key]
            if value is _GONE:
                raise KeyError(key)
            return self._read(value)
        found = _core.Table._seen(self._shared, key)
        mark = None if found is None else found[0]
        if self._seen.setdefault(key, mark) != mark:
            raise _conflict(key)
        if found is None:
            raise KeyError(key)
        return found[1]

    def __setitem__(self, key: Any, value: Any) -> None:
        hash(key)
        value = self._shared._as_stored(value)
        if type(value) not in _PLAIN:  # as it is now: what cannot be pickled is an error here
            if self._copies is None:
                from allcores._manager.shared_dict import SharedDict

                self._copies = SharedDict()
            number = self._copies.add("copies")
            self._copies[number] = value
            value = _Copy(number)
        if self._written.get(key) is _GONE:
            self._again.add(key)
            del self._written[key]
        self._written[key] = value

    def __delitem__(self, key: Any) -> None:
        self[key]
        self._written[key] = _GONE

    def _read(self, value: Any) -> Any:
        return self._copies[value.number] if isinstance(value, _Copy) and self._copies is not None else value

    def _items(self) -> dict[Any, Any]:
        """Return all keys and values, as they would be. Nothing in the dict may change from now on."""
        while True:
            version = _core.Table._version(self._shared)
            items = dict(_core.Table.items(self._shared))
            if _core.Table._version(self._shared) == version:
                break
        if self._version not in (None, version):
            raise _conflict()
        self._version = version
        for key, value in self._written.items():
            if value is _GONE or key in self._again:
                items.pop(key, None)
            if value is not _GONE:
                items[key] = self._read(value)
        return items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __reversed__(self) -> Iterator[Any]:
        return iter([*self._items()][::-1])

    def __len__(self) -> int:
        return len(self._items())

    def popitem(self) -> tuple[Any, Any]:
        """Delete the key that was inserted last; return it and its value. KeyError when there is none."""
        items = self._items()
        if not items:
            raise KeyError("popitem(): dictionary is empty")
        key, value = items.popitem()
        del self[key]
        return key, value

    def keys(self) -> Any:
        """Return a list of the keys."""
        return list(self._items())

    def values(self) -> Any:
        """Return a list of the values."""
        return list(self._items().values())

    def items(self) -> Any:
        """Return a list of the keys with their values."""
        return list(self._items().items())

    def clear(self) -> None:
        """Delete all keys."""
        for key in self._items():
            del self[key]

    def copy(self) -> dict[Any, Any]:
        """Return a dict with the same keys and values."""
        return self._items()

    def add(self, key: Any, number: Any = 1) -> Any:
        """Add to the number that a key has, 0 when there is none, and return the sum."""
        self[key] = total = self.get(key, 0) + number
        return total

    def compare_and_set(self, key: Any, old: Any, new: Any) -> bool:
        """Set a key to ``new`` if its value equals ``old``; whether it did."""
        if key not in self or self[key] != old:
            return False
        self[key] = new
        return True

    def commit(self) -> None:
        """Write all at once. TransactionConflictError, and nothing is written, if what was read is not as it was."""
        changes: list[tuple[Any, ...]] = []
        for key, value in self._written.items():
            if value is _GONE or key in self._again:
                changes.append((key,))
            if value is not _GONE:
                changes.append((key, self._read(value)))
        seen = list(self._seen.items())
        if not _core.Table._apply(self._shared, changes, seen, self._version):
            raise _conflict()


class _Copy:
    def __init__(self, number: int) -> None:
        self.number = number


def _conflict(*key: Any) -> TransactionConflictError:
    what = "; ".join(f"the key {part!r}" for part in key) or "what the block has read"
    return TransactionConflictError(
        f"nothing of the transaction was done: {what} was changed meanwhile, outside of a transaction. Do the block "
        "again, or have everybody who writes these keys do so in transactions, which wait for one another"
    )


class Block:
    """The block of a ``with`` statement in which a dict is one of a transaction, for the thread that is in it."""

    def __init__(self, shared: SharedDict) -> None:
        """Be for a dict, or rather for this handle to it."""
        self._shared: Any = shared

    def __enter__(self) -> Any:
        shared = self._shared
        self._turn = shared._turn()
        if self._turn._is_mine():
            raise RuntimeError("this thread is in a transaction of this dict already: end that first")
        while True:
            try:
                self._turn.acquire()
                break
            except OwnerDiedError:  # before its transaction was done, or after it
                continue
        shared.__dict__["_transaction"] = _this_thread(), Transaction(shared)
        self._class = type(shared)
        shared.__class__ = _during(self._class)
        return shared

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        shared = self._shared
        shared.__class__ = self._class
        _, transaction = shared.__dict__.pop("_transaction")
        try:
            if kind is None:
                transaction.commit()
        finally:
            self._turn.release()


def _this_thread() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()  # a fork's first thread has the number of its parent's


_classes: dict[type, type] = {}


def _during(cls: type) -> type:
    """Return the class that a dict of a class has while one of its threads is in a transaction."""
    if cls not in _classes:
        methods = {name: _method(cls, name) for name in _METHODS}
        names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        _classes[cls] = type(cls.__name__, (cls,), {**methods, **names, "__reduce__": _reducer(cls)})
    return _classes[cls]


def _reducer(cls: Any) -> Callable[[Any], Any]:
    def __reduce__(shared: Any) -> Any:
        """Return what it is outside of its transaction."""
        rebuild, (_, *rest) = cls.__reduce__(shared)
        return rebuild, (cls, *rest)

    return __reduce__


_METHODS = (
    *("__contains__", "__getitem__", "__setitem__", "__delitem__", "__len__", "__iter__", "__reversed__"),
    *("get", "pop", "popitem", "setdefault", "update", "clear", "keys", "values", "items", "copy"),
    *("add", "compare_and_set"),
)


def _method(cls: Any, name: str) -> Callable[..., Any]:
    plain = getattr(cls, name)

    def method(shared: Any, /, *args: Any, **kwargs: Any) -> Any:
        thread, transaction = shared.__dict__.get("_transaction", (None, None))
        if thread != _this_thread():
            return plain(shared, *args, **kwargs)
        return getattr(transaction, name)(*args, **kwargs)

    method.__name__ = name
    return method
