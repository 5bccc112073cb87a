"""A manager's Namespace and Value, in shared memory."""

from __future__ import annotations

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

else:
    _Namespace, _Value = PROXIES["NamespaceProxy"], PROXIES["ValueProxy"]

__all__ = ["MAKERS", "NamespaceProxy", "ValueProxy"]


class _Attributes(SharedDict):
    _typeid = "Namespace"


class _Content(SharedDict):
    _typeid = "Value"


_own = object.__getattribute__


class NamespaceProxy(InSession, _Namespace):
    """An object whose attributes are shared, but for those that begin with an underscore: these are the handle's."""

    if TYPE_CHECKING:  # the core has them, which takes less time, and comes here for what is rare

        def __getattribute__(self, key: str) -> Any: ...

        def __setattr__(self, key: str, value: Any) -> None: ...

    def _get_attribute(self, key: str) -> Any:
        if key[:1] == "_":
            return _own(self, key)
        try:
            return _own(self, "_object")[key]
        except KeyError:
            raise _no_attribute(key) from None

    def _lacks_attribute(self, key: str) -> Any:
        raise _no_attribute(key)

    def _set_attribute(self, key: str, value: Any) -> None:
        if key[:1] == "_":
            object.__setattr__(self, key, value)
        else:
            _own(self, "_object")[key] = value

    def __getattr__(self, key: str) -> Any:
        # What the standard class has here would ask the server.
        if key[:1] == "_":
            return _own(self, key)
        raise _no_attribute(key)

    def __delattr__(self, key: str) -> None:
        if key[:1] == "_":
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


_core.add_shared_attributes(NamespaceProxy)


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


def _namespace(ending: Ending, /, **attributes: Any) -> NamespaceProxy:
    return NamespaceProxy(_Attributes._typeid, None, _Attributes.made(ending.event, attributes))


def _value(ending: Ending, typecode: Any, value: Any, lock: Any = True) -> ValueProxy:
    proxy = ValueProxy(_Content._typeid, None, _Content.made(ending.event, {"value": value}))
    proxy._typecode = typecode
    return proxy


MAKERS: dict[str, Callable[..., Any]] = {"Namespace": _namespace, "Value": _value}
"""Type of a manager: what makes one, of the manager's ending and the arguments of the user's."""
