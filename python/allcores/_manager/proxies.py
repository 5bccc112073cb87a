"""Proxies: the standard library's, that call by a lane, and say clearly when their server is gone."""

from __future__ import annotations

import contextlib
import threading
from multiprocessing import managers as _std, process

from allcores import _core, _standard
from allcores._manager import lanes
from allcores.errors import ManagerEndedError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

__all__ = ["PROXIES", "AutoProxy", "BaseProxy", "MakeProxyType", "ended", "ours", "reached"]

_S: dict[str, Any] = vars(_std)
_GONE = (EOFError, ConnectionError, FileNotFoundError)
"""What tells that nobody is at the other end."""


_MOMENT_SECONDS = 1.0
"""For how long a server's end is waited for whose connections have been closed."""


class BaseProxy(_std.BaseProxy):
    """What stands for an object in a manager's server; a call of a method is done there, on the object.

    Calls from a process of the same program go through the session's shared memory. `errors.ManagerEndedError` when
    the server has ended. A call that a signal handler's exception interrupts leaves nothing behind; whether it was done
    is not known.
    """

    if TYPE_CHECKING:
        _token: Any
        _authkey: bytes
        _id: str
        _manager: Any
        _serializer: str
        _tls: Any
        _Client: Any

    def _connect(self) -> None:
        name = process.current_process().name
        if threading.current_thread() is not threading.main_thread():
            name += "|" + threading.current_thread().name
        with reached(self._ended):
            self._tls.connection = lanes.connect(self._Client, self._token.address, self._authkey, name)

    def _incref(self) -> None:
        with reached(self._ended):
            super()._incref()  # type: ignore[misc]

    def _ended(self) -> ManagerEndedError:
        return ended(f"the server of this {self._token.typeid} object", self._token.address, self._manager)

    def _callmethod(self, methodname: str, args: Sequence[Any] = (), kwds: Mapping[str, Any] = {}) -> Any:
        # While a call waits it has the connection for itself: a signal handler that calls, too, would take its answer.
        own = vars(self._tls)
        if "connection" not in own:
            self._connect()
        connection = own.pop("connection")
        try:
            connection.send((self._id, methodname, args, kwds))
            kind, result = connection.recv()
        except BaseException as error:  # an answer that comes yet would be taken for that of the next call
            connection.close()
            if isinstance(error, _GONE):
                raise self._ended() from error
            raise
        own["connection"] = connection
        if kind == "#RETURN":
            return result
        if kind == "#PROXY":
            return self._proxy_of(*result)
        raise _S["convert_to_error"](kind, result)

    def _proxy_of(self, exposed: Any, token: Any) -> Any:
        """Return a proxy of what a method has returned, which the server keeps until there is one."""
        registry = getattr(self._manager or _std.SyncManager, "_registry")  # noqa: B009  (type checkers do not know it)
        make = registry[token.typeid][-1] if token.typeid in registry else AutoProxy
        token.address = self._token.address
        proxy = make(token, self._serializer, manager=self._manager, authkey=self._authkey, exposed=exposed)
        connection = self._Client(token.address, authkey=self._authkey)
        _S["dispatch"](connection, None, "decref", (token.id,))
        return proxy

    def __reduce__(self) -> Any:
        if _core.is_pickled_for_all():
            self._be_kept()
        rebuild, (make, *rest) = super().__reduce__()
        return rebuild, (AutoProxy if make is _S["AutoProxy"] else make, *rest)

    def _be_kept(self) -> None:
        """Have the server keep the object as long as it runs: a shared dict keeps its pickle, nobody tells how long."""
        kept = self._token.address, self._id
        if kept in _kept:
            return
        with reached(self._ended):
            connection = self._Client(self._token.address, authkey=self._authkey)
            try:
                _S["dispatch"](connection, None, "incref", (self._id,))
            finally:
                connection.close()
        _kept.add(kept)


_kept: set[tuple[Any, str]] = set()
"""Addresses of servers, and the objects that they keep as long as they run, by this process's wish."""


@contextlib.contextmanager
def reached(says: Callable[[], ManagerEndedError]) -> Iterator[None]:
    """A block that talks to a server: when nobody is there, the error is what ``says`` returns."""
    try:
        yield
    except ManagerEndedError:
        raise
    except _GONE as error:
        raise says() from error


def ended(what: str, address: Any, manager: Any) -> ManagerEndedError:
    """Return the error of who finds that a server is gone: why it is, if that is known here."""
    owner = None if manager is None else _ended_process(manager)
    if getattr(getattr(manager, "_state", None), "value", None) == _S["State"].SHUTDOWN:
        why = "its manager was shut down. Use it before that, inside the manager's `with` block"
    elif owner is not None:
        why = f"{getattr(owner, 'exit_reason', None) or f'exit code {owner.exitcode}'}. What was in it is lost"
    else:
        why = "its manager was shut down, or died. Keep the manager for as long as its objects are used"
    return ManagerEndedError(f"{what}, at {address!r}, is gone: {why}")


def _ended_process(manager: Any) -> Any:
    """Return the manager's server process, if that is a child of this one and has ended, or is about to."""
    server: Any = getattr(manager, "_process", None)
    with contextlib.suppress(AssertionError, AttributeError):  # another one's child; never started
        server.join(_MOMENT_SECONDS)
        return server if server.exitcode is not None else None
    return None


MakeProxyType: Callable[..., Any] = _standard.with_other_names(
    _S["MakeProxyType"], BaseProxy=BaseProxy, __name__="allcores.managers"
)
MakeProxyType.__defaults__ = ({},)  # what it has made: not what the standard one has
AutoProxy: Callable[..., Any] = _standard.with_other_names(
    _S["AutoProxy"], MakeProxyType=MakeProxyType, __name__="allcores.managers"
)


_ours: dict[Any, Any] = {_std.BaseProxy: BaseProxy, _S["AutoProxy"]: AutoProxy}
"""Standard proxy type: ours, which is a subclass of it."""

PROXIES: dict[str, Any] = {}
"""Ours, by the names that the standard library's have in their module."""

for _name, _standard_type in list(_S.items()):
    if isinstance(_standard_type, type) and issubclass(_standard_type, _std.BaseProxy) and _standard_type not in _ours:
        _bases = (*(_ours.get(base, base) for base in _standard_type.__bases__), _standard_type)
        PROXIES[_name] = type(_name, _bases, {"__module__": "allcores.managers", "__doc__": _standard_type.__doc__})
        _ours[_standard_type] = PROXIES[_name]


def ours(proxytype: Any) -> Any:
    """Return our own in the place of a proxy type of the standard library, others as they are."""
    return AutoProxy if proxytype is None else _ours.get(proxytype, proxytype)
