"""A manager's Namespace, Value and Array, in shared memory."""

from __future__ import annotations

import array
from multiprocessing import managers as _std

from allcores import _core
from allcores._manager.ending import Ending
from allcores._manager.in_session import InSession
from allcores._manager.proxies import PROXIES
from allcores._manager.shared_dict import SharedDict

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

    from allcores._manager.proxies import BaseProxy

    class _Namespace(BaseProxy): ...

    class _Value(BaseProxy): ...

    class _Array(BaseProxy): ...

else:
    _Namespace, _Value, _Array = (PROXIES[f"{name}Proxy"] for name in ("Namespace", "Value", "Array"))

__all__ = ["MAKERS", "ArrayProxy", "NamespaceProxy", "ValueProxy"]


class _Attributes(SharedDict):
    _typeid = "Namespace"


class _Content(SharedDict):
    _typeid = "Value"


class NamespaceProxy(InSession, _Namespace):
    """An object whose attributes are shared, but for those that begin with an underscore: these are the handle's."""

    def __getattr__(self, key: str) -> Any:
        if key[0] == "_":
            return object.__getattribute__(self, key)
        try:
            return self._object[key]
        except KeyError:
            raise _no_attribute(key) from None

    def __setattr__(self, key: str, value: Any) -> None:
        if key[0] == "_":
            object.__setattr__(self, key, value)
        else:
            self._object[key] = value

    def __delattr__(self, key: str) -> None:
        if key[0] == "_":
            object.__delattr__(self, key)
            return
        try:
            del self._object[key]
        except KeyError:
            raise _no_attribute(key) from None

    def _getvalue(self) -> Any:
        return _std.Namespace(**self._object.copy())

    def _text(self) -> str:
        return repr(self._getvalue())


def _no_attribute(key: str) -> AttributeError:
    return AttributeError(f"'Namespace' object has no attribute {key!r}", name=key)


class ValueProxy(InSession, _Value):
    """A value of any type."""

    _shared = (*InSession._shared, "_typecode")
    _typecode: Any

    def get(self) -> Any:
        """Return it."""
        return self._object["value"]

    def set(self, value: Any) -> None:
        """Have another one."""
        self._object["value"] = value

    value = property(get, set)

    def add(self, number: Any = 1) -> Any:
        """Add to it, at once, and return the sum."""
        return self._object.add("value", number)

    def compare_exchange(self, old: Any, new: Any) -> bool:
        """Have it be ``new`` if it equals ``old``; whether it did."""
        return bool(self._object.compare_and_set("value", old, new))

    def _getvalue(self) -> Any:
        return vars(_std)["Value"](self._typecode, self.get())

    def _text(self) -> str:
        return repr(self._getvalue())


class ArrayProxy(InSession, _Array):
    """Numbers (or characters) of one type, as `array.array` has them; one item is read and written at once.

    Its length stays what it is.
    """

    _shared = (*InSession._shared, "_typecode", "_length")
    _typecode: str
    _length: int

    def __len__(self) -> int:
        self._look()
        return int(self._length)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return self._read(start, stop)
            return self._read(0, self._length)[index]
        at = self._place(index)
        return self._read(at, at + 1)[0]

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(index, slice):
            at = self._place(index)
            self._write(at, array.array(self._typecode, [value]))
            return
        items = self._read(0, len(self))
        items[index] = value._getvalue() if isinstance(value, ArrayProxy) else value
        if len(items) != self._length:
            raise ValueError(f"a shared array stays as long as it is: {self._length} items, not {len(items)}")
        for at in range(*index.indices(self._length)):
            self._write(at, items[at : at + 1])

    def _place(self, index: Any) -> int:
        at = index.__index__()
        at += self._length if at < 0 else 0
        if not 0 <= at < len(self):
            raise IndexError("array index out of range")
        return int(at)

    def _read(self, start: int, stop: int) -> array.array[Any]:
        items = array.array(self._typecode)
        if stop > start:
            items.frombytes(self._bytes()[start * items.itemsize : stop * items.itemsize])
        return items

    def _write(self, start: int, items: array.array[Any]) -> None:
        size = items.itemsize
        self._bytes()[start * size : (start + len(items)) * size] = memoryview(items).cast("B")

    def _bytes(self) -> memoryview:
        self._look()
        try:
            view: memoryview = vars(self)["_view"]
        except KeyError:
            view = self.__dict__["_view"] = self._object.create_memoryview().cast("B")
        return view

    def _getvalue(self) -> Any:
        return self._read(0, len(self))

    def _text(self) -> str:
        return repr(self._getvalue())


def _namespace(ending: Ending, /, **attributes: Any) -> NamespaceProxy:
    return NamespaceProxy(_Attributes._typeid, None, _Attributes.made(ending.event, attributes))


def _value(ending: Ending, typecode: Any, value: Any, lock: Any = True) -> ValueProxy:
    proxy = ValueProxy(_Content._typeid, None, _Content.made(ending.event, {"value": value}))
    proxy._typecode = typecode
    return proxy


def _array(ending: Ending, typecode: str, sequence: Any, lock: Any = True) -> ArrayProxy:
    from allcores._memory_view import Block  # which loads ctypes

    items = array.array(typecode, sequence)
    proxy = ArrayProxy("Array", ending.event, Block(_core.Memory(len(items) * items.itemsize)))
    proxy._typecode, proxy._length = typecode, len(items)
    if items:
        proxy._write(0, items)
    return proxy


MAKERS: dict[str, Callable[..., Any]] = {"Namespace": _namespace, "Value": _value, "Array": _array}
"""Type of a manager: what makes one, of the manager's ending and the arguments of the user's."""
