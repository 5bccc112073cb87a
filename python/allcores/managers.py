"""``allcores.managers``: objects that live in a server process, and their proxies.

The standard library's managers, started through our contexts: without ``ctx=`` they use the start method in force
*here*, where the standard classes would ask their own package.
"""

from __future__ import annotations

from multiprocessing import managers as _std
from multiprocessing.managers import BaseProxy, Namespace, RemoteError, Token

from allcores import _standard, context as _context, shared_memory as _shared_memory

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from multiprocessing.managers import (  # by __getattr__
        BaseListProxy as BaseListProxy,
        DictProxy as DictProxy,
        ListProxy as ListProxy,
        Server as Server,
        ValueProxy as ValueProxy,
    )
    from typing import Any

__all__ = [
    "BaseManager",
    "BaseProxy",
    "Namespace",
    "RemoteError",
    "SharedMemoryManager",
    "SharedMemoryServer",
    "SyncManager",
    "Token",
]


class BaseManager(_std.BaseManager):
    """The base of managers with registered types of their own."""

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


class SyncManager(BaseManager, _std.SyncManager):
    """A manager of the usual types: dict, list, Namespace, Lock ... Queue; what ``Manager()`` returns."""


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


class SharedMemoryServer(_std.SharedMemoryServer):
    """The server of a SharedMemoryManager."""

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
