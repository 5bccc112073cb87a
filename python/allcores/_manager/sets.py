"""A manager's set, in shared memory; and the proxy of one in a server, which Python has from 3.14 on."""

from __future__ import annotations

from allcores import _core
from allcores._manager.in_session import TableProxy
from allcores._manager.proxies import PROXIES, MakeProxyType
from allcores._manager.shared_set import SharedSet

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterable
    from typing import Any

    from allcores._manager.ending import Ending

    class _Exposing: ...

else:
    _Exposing = MakeProxyType(
        "BaseSetProxy",
        (
            *("__and__", "__contains__", "__ge__", "__gt__", "__iand__", "__ior__", "__isub__", "__iter__", "__ixor__"),
            *("__le__", "__len__", "__lt__", "__or__", "__rand__", "__ror__", "__rsub__", "__rxor__", "__sub__"),
            *("__xor__", "add", "clear", "copy", "difference", "difference_update", "discard", "intersection"),
            *("intersection_update", "isdisjoint", "issubset", "issuperset", "pop", "remove", "symmetric_difference"),
            *("symmetric_difference_update", "union", "update"),
        ),
    )

__all__ = ["MAKERS", "SERVER_PROXY", "ServerSetProxy", "SetProxy"]


class ServerSetProxy(_Exposing):
    """The proxy of a set in a server."""

    if TYPE_CHECKING:

        def _callmethod(self, methodname: str, args: tuple[Any, ...] = ()) -> Any: ...

    def __iter__(self) -> Any:
        return iter(self._callmethod("copy"))

    def __ior__(self, other: Any) -> Any:
        self._callmethod("__ior__", (other,))
        return self

    def __iand__(self, other: Any) -> Any:
        self._callmethod("__iand__", (other,))
        return self

    def __isub__(self, other: Any) -> Any:
        self._callmethod("__isub__", (other,))
        return self

    def __ixor__(self, other: Any) -> Any:
        self._callmethod("__ixor__", (other,))
        return self


SERVER_PROXY: Any = PROXIES.get("SetProxy", ServerSetProxy)
"""The proxy type of a set in a server."""

if TYPE_CHECKING:

    class _SetProxy: ...

else:
    _SetProxy = SERVER_PROXY


class _Table(_core.Table):
    _typeid = "set"


class SetProxy(TableProxy, SharedSet, _SetProxy):
    """A `SharedSet` that a manager hands out: it is not to be used any more when that was shut down."""

    _typeid = _Table._typeid
    _Table = _Table

    @classmethod
    def made(cls, end: Any, content: set[Any]) -> SetProxy:
        """Make one that ends with an event."""
        made: SetProxy = cls._with(_Table(None, None, end))
        made.update(content)
        return made


def _set(ending: Ending, iterable: Iterable[Any] = (), /) -> SetProxy:
    return SetProxy.made(ending.event, set(iterable))


MAKERS: dict[str, Callable[..., Any]] = {"set": _set}
"""Type of a manager: what makes one, of the manager's ending and the arguments of the user's."""
