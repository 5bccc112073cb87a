"""``allcores.managers``: objects that live in a server process, and their proxies.

The standard library's managers, started through our contexts: without ``ctx=`` they use the start method in force
*here*, where the standard classes would ask their own package. Servers and proxies talk to any program's in the
standard library's protocol, and to one another, in one program, through its shared memory (`_manager/lanes.py`).

>>> class Counter:
...     def __init__(self): self.count = 0
...     def add(self, number): self.count += number; return self.count
>>> class MyManager(BaseManager): pass
>>> MyManager.register("Counter", Counter)
>>> with MyManager() as manager:
...     manager.Counter().add(3)
3
"""

from __future__ import annotations

import contextlib as _contextlib
from multiprocessing import managers as _std
from multiprocessing.managers import Namespace, RemoteError, Token

from allcores import _arena, _standard, context as _context, shared_memory as _shared_memory
from allcores._manager import lanes as _lanes, late as _late, proxies as _proxies, sets as _sets
from allcores._manager.proxies import AutoProxy, BaseProxy, MakeProxyType
from allcores._manager.usual import MAKERS as _MAKERS

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from multiprocessing.managers import BaseListProxy as BaseListProxy  # below
    from typing import Any

    from allcores._manager.typed import (
        ArrayProxy as ArrayProxy,
        DictProxy as DictProxy,
        ListProxy as ListProxy,
        SetProxy as SetProxy,
        SyncManager as _StandardSyncManager,
        ValueProxy as ValueProxy,
    )
else:
    _StandardSyncManager = vars(_std)["SyncManager"]  # which jedi would believe, too

globals().update(_proxies.PROXIES, SetProxy=_sets.SERVER_PROXY)

__all__ = [
    "AutoProxy",
    "BaseManager",
    "BaseProxy",
    "MakeProxyType",
    "Namespace",
    "RemoteError",
    "Server",
    "SharedMemoryManager",
    "SharedMemoryServer",
    "SyncManager",
    "Token",
]


class Server(_lanes.ServesLanes, _std.Server):
    """What runs in a manager's process, and what `BaseManager.get_server` returns."""

    public = _lanes.with_request(_std.Server.public)


class BaseManager(_std.BaseManager):
    """The base of managers with registered types of their own."""

    _Server: type[_std.Server] = Server

    def __init__(
        self,
        address: Any = None,
        authkey: bytes | None = None,
        serializer: str = "pickle",
        ctx: Any = None,
        *,
        shutdown_timeout: float = 1.0,
    ) -> None:
        """Prepare a manager; ``start()`` or ``with`` starts its server process."""
        ctx = ctx or _context._default_context.get_context()
        super().__init__(address, authkey, serializer, ctx, shutdown_timeout=shutdown_timeout)

    def start(self, initializer: Any = None, initargs: Any = ()) -> None:
        """Start the server's process, which calls ``initializer(*initargs)`` first."""
        with _contextlib.suppress(OSError):  # without it, as in a program that may have no long files, by the socket
            _arena.descriptor()  # so that the server is in this session
        super().start(initializer, initargs)

    get_server = _standard.with_other_names(_std.BaseManager.get_server, Server=Server)

    @classmethod
    def register(
        cls,
        typeid: str,
        callable: Any = None,
        proxytype: Any = None,
        exposed: Any = None,
        method_to_typeid: Any = None,
        create_method: bool = True,
    ) -> None:
        """Register a type: ``manager.typeid(...)`` calls ``callable`` in the server and returns a proxy of the result.

        ``exposed`` names the methods of the proxy (default: the public ones), ``method_to_typeid`` those whose results
        stay in the server, too, with the type that their proxies have. Without ``create_method`` there is no
        ``manager.typeid``.
        """
        super().register(typeid, callable, _proxies.ours(proxytype), exposed, method_to_typeid, create_method)

    def _create(self, typeid: str, /, *args: Any, **kwds: Any) -> Any:
        with _proxies.reached(lambda: _proxies.ended("the server of this manager", self.address, self)):
            return super()._create(typeid, *args, **kwds)  # type: ignore[misc]


class SyncManager(_late.StartsLate, BaseManager, _StandardSyncManager):  # type: ignore[misc]  # shutdown: an object there
    """A manager of the usual types: dict, list, Namespace, Lock ... Queue; what ``Manager()`` returns.

    Those of `_manager/usual.py` live in the session's shared memory, the others in a server, which is started when one
    of them is made. Where the manager has an address all of them live in the server: other programs may ask it.
    """

    _makes = _context._default_context

    def _is_usual(self) -> bool:
        return vars(type(self)).get("_registry", SyncManager._registry) is SyncManager._registry


def _register_usual() -> None:
    for typeid, (make, exposed, types, proxytype) in vars(_std.SyncManager)["_registry"].items():
        SyncManager.register(typeid, make, proxytype, exposed, types, hasattr(_std.SyncManager, typeid))
    if "set" not in SyncManager._registry:  # before Python 3.14
        SyncManager.register("set", set, _sets.SERVER_PROXY)
    for typeid, make in _MAKERS.items():
        setattr(SyncManager, typeid, _late.in_session(typeid, make, getattr(SyncManager, typeid)))


_register_usual()


def _make_pool(*args: Any, **kwargs: Any) -> Any:
    """Make a pool of ours, in a manager's server."""
    from allcores.pool import Pool  # only there

    return Pool(*args, **kwargs)


SyncManager.register("Pool", _make_pool, vars(_std)["PoolProxy"])


def _with_ours(function: Any) -> Any:
    """Return a function of the standard module that makes and opens segments of ours."""
    return _standard.with_other_names(function, shared_memory=_shared_memory)


_StandardTracker: Any = vars(_std)["_SharedMemoryTracker"]  # which type checkers do not know


class _SharedMemoryTracker(_StandardTracker):  # type: ignore[misc]
    """What a server keeps of the segments that it is to unlink."""

    destroy_segment = _with_ours(_StandardTracker.destroy_segment)


class SharedMemoryServer(_lanes.ServesLanes, _std.SharedMemoryServer):
    """The server of a SharedMemoryManager."""

    public = _lanes.with_request(_std.SharedMemoryServer.public)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what the standard library's takes."""
        super().__init__(*args, **kwargs)
        name = vars(self)["shared_memory_context"].shared_memory_context_name
        self.shared_memory_context = _SharedMemoryTracker(name, [])


class SharedMemoryManager(BaseManager, _std.SharedMemoryManager):
    """A manager that unlinks the SharedMemory blocks made through it when it ends."""

    _Server = SharedMemoryServer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what `BaseManager` takes."""
        super().__init__(*args, **kwargs)

    SharedMemory = _with_ours(_std.SharedMemoryManager.SharedMemory)
    ShareableList = _with_ours(_std.SharedMemoryManager.ShareableList)


def __getattr__(name: str) -> Any:
    """Everything else, private names included, is the standard module's."""
    return getattr(_std, name)
