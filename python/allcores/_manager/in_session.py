"""What a manager hands out that lives in the session's shared memory, and looks as a proxy does."""

from __future__ import annotations

from allcores._manager.ending import ended
from allcores._manager.proxies import BaseProxy

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["InSession", "TableProxy", "call_exposed"]


class InSession(BaseProxy):
    """A proxy without a server: the object itself is in every process that has it.

    A table looks itself whether its manager has ended; of other objects the proxy does, before each use.
    """

    if TYPE_CHECKING:
        _typeid: str
        _end: Any
        _object: Any
        _exposed_: tuple[str, ...]

    _manager = None
    _shared: tuple[str, ...] = ("_typeid", "_end", "_object")
    """The attributes that it has in every process."""

    def __init__(self, typeid: str, end: Any, thing: Any) -> None:
        """Stand for ``thing``, until the event ``end`` is set; None for a table, which looks itself."""
        vars(self).update(_typeid=typeid, _end=end, _object=thing)

    def _used(self) -> Any:
        """Return the object, to be used now. `ManagerEndedError` when the manager was shut down."""
        self._look()
        return self._object

    def _look(self) -> None:
        if self._end.is_set():
            raise ended(self._typeid)

    def _callmethod(self, methodname: str, args: Sequence[Any] = (), kwds: Mapping[str, Any] = {}) -> Any:
        return call_exposed(self, methodname, args, kwds)

    def _getvalue(self) -> Any:
        raise TypeError(f"cannot pickle {self._typeid!r} object")  # as the server says

    def _to_wake(self) -> InSession:
        """Return what can be pickled to be woken: itself, without what is the user's."""
        return self

    def _wake(self) -> None:
        """Have those go on who wait for it."""

    def __reduce__(self) -> Any:
        state = vars(self)
        return _rebuild, (type(self), {name: state[name] for name in self._shared})

    def __copy__(self) -> Any:
        state = vars(self)
        return _rebuild(type(self), {name: state[name] for name in self._shared})

    def __deepcopy__(self, memo: Any) -> Any:
        return self._getvalue()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object, typeid {self._typeid!r} at {id(self):#x}>"

    def __str__(self) -> str:
        try:
            return self._text()
        except Exception:
            return repr(self)[:-1] + "; '__str__()' failed>"

    def _text(self) -> str:
        """Show what it stands for."""
        return repr(self._used())


class TableProxy:
    """What a table is that looks as a proxy does: it is its own object, and looks itself whether it may be used."""

    if TYPE_CHECKING:
        _typeid: str

        def copy(self) -> Any: ...

    _manager = None

    def _callmethod(self, methodname: str, args: Sequence[Any] = (), kwds: Mapping[str, Any] = {}) -> Any:
        return call_exposed(self, methodname, args, kwds)

    def _text(self) -> str:
        return repr(self.copy())

    def __str__(self) -> str:
        try:
            return self._text()
        except Exception:
            return repr(self)[:-1] + "; '__str__()' failed>"


def _rebuild(cls: type[InSession], state: dict[str, Any]) -> InSession:
    proxy = cls.__new__(cls)
    vars(proxy).update(state)
    return proxy


def call_exposed(proxy: Any, methodname: str, args: Sequence[Any], kwds: Mapping[str, Any]) -> Any:
    """Call a method by its name, as `BaseProxy._callmethod` of the standard library does."""
    if methodname == "#GETVALUE":
        return proxy._getvalue()
    if methodname in ("__repr__", "__str__"):
        return proxy._text()
    if methodname not in proxy._exposed_:
        raise AttributeError(f"method {methodname!r} of a {proxy._typeid} object is not exposed")
    if methodname == "__getattribute__":
        return getattr(proxy, *args)
    return getattr(proxy, methodname)(*args, **kwds)
