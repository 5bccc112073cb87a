"""``allcores.synchronize``: Lock, RLock, Semaphore, BoundedSemaphore, Condition, Event and Barrier.

They lie in the session's shared memory (``src/sync/README.md``): waiting is a futex, a process that is killed at any
moment leaves none of them stuck, and they can be pickled into any process of the session, through a queue, too. The
semantics, exceptions and texts are those of ``multiprocessing.synchronize``, whose classes these are subclasses of::

    Lock, RLock      whoever waits for one whose owner was killed gets `OwnerDiedError`, and the lock is free again
    Condition        a notification never goes to a waiter that has died
    Event            wait() returns True to everybody who waited when it was set, even if it is cleared at once
    Barrier          breaks, for all, when one of those who wait in it dies

>>> from allcores.synchronize import Lock
>>> accounts = Lock(name="accounts")
>>> with accounts:
...     accounts.acquire(block=False)
False
"""

from __future__ import annotations

import threading
import time
from multiprocessing import synchronize as _std

from allcores import _acquire_sites, _core
from allcores._in_arena import InArena, checked_name
from allcores._synchronize_names import Counted

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from multiprocessing.synchronize import (  # by __getattr__
        SemLock as SemLock,
    )
    from typing import Any, Self

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

_RECURSIVE_MUTEX, _SEMAPHORE = 0, 1
_SEM_VALUE_MAX = 2**31 - 1


class _SemLock(InArena):
    """What the locks and semaphores have, under the names that the standard library's have it."""

    if TYPE_CHECKING:

        def _is_mine(self) -> bool: ...
        def _count(self) -> int: ...

    SEM_VALUE_MAX = _SEM_VALUE_MAX
    _kind = _SEMAPHORE

    @property
    def _semlock(self) -> Any:
        """Itself: it has the methods of the C object that the standard classes wrap."""
        return self

    @property
    def kind(self) -> int:
        """Of a C `SemLock`: 0 for an RLock, 1 for the others."""
        return self._kind

    @property
    def handle(self) -> int:
        """A number that tells it from others of the session."""
        return self._address()[1]

    @property
    def name(self) -> str | None:
        """The name it was given."""
        return self._name()

    def _after_fork(self) -> None:
        """Do nothing: who owns it is known by process."""

    @classmethod
    def _at(cls, address: _core._Address) -> Any:
        make: Any = cls.__new__
        return make(cls, address=address)


class _Owned(_SemLock):
    """What Lock and RLock have."""

    if TYPE_CHECKING:

        def _holder(self) -> tuple[int, str] | None: ...

    maxvalue = 1

    def __repr__(self) -> str:
        """Show what it is called, and who has it or waits."""
        holder = self._holder()
        if holder is None:
            owner = "None"
        elif holder[0] == 0:
            owner = "SomeProcessThatEnded"
        else:
            owner = f"{holder[1] or 'SomeProcess'} pid={holder[0]}"
        return f"{self._title(type(self).__name__)} owner={owner} waiters={self._waiters()}>"


class Lock(_Owned, _core.Lock, _std.Lock):
    """A lock that any process or thread may release.

    ``name`` is shown in `repr` and in errors. Who waits for a lock whose owner was killed gets `OwnerDiedError`, once,
    and the lock is free again; ``recover=False`` leaves it locked for ever, for programs that hand locks on and are
    killed. A process that ends by itself with a lock leaves it locked.

    >>> lock = Lock()
    >>> with lock:
    ...     pass
    """

    def __new__(
        cls,
        *,
        ctx: Any = None,
        name: str | None = None,
        recover: bool | None = None,
        address: _core._Address | None = None,
    ) -> Self:
        """Make one, or (``address``) be a handle to one that exists."""
        return super().__new__(cls, checked_name(name), recover is not False, address)

    def __init__(self, *, ctx: Any = None, name: str | None = None, recover: bool | None = None) -> None:
        """Take what `__new__` has used."""


class RLock(_Owned, _core.RLock, _std.RLock):
    """A lock that its thread may acquire again, and has to release as often. ``name``, ``recover``: see `Lock`."""

    _kind = _RECURSIVE_MUTEX

    def __new__(
        cls,
        *,
        ctx: Any = None,
        name: str | None = None,
        recover: bool | None = None,
        address: _core._Address | None = None,
    ) -> Self:
        """Make one, or (``address``) be a handle to one that exists."""
        return super().__new__(cls, checked_name(name), recover is not False, address)

    def __init__(self, *, ctx: Any = None, name: str | None = None, recover: bool | None = None) -> None:
        """Take what `__new__` has used."""


class Semaphore(_SemLock, _core.Semaphore, _std.Semaphore):
    """A semaphore: a number that `acquire` waits to be above zero, and lowers; `release` raises it.

    With ``recover=True`` what a process had acquired and not released is given back when it is killed. That is slower,
    and for semaphores that are a resource, not a signal.
    """

    def __new__(
        cls,
        value: int = 1,
        *,
        ctx: Any = None,
        name: str | None = None,
        recover: bool | None = None,
        address: _core._Address | None = None,
    ) -> Self:
        """Make one, or (``address``) be a handle to one that exists. ValueError for a value that no semaphore has."""
        return super().__new__(cls, value, _SEM_VALUE_MAX, checked_name(name), bool(recover), address)

    def __init__(
        self, value: int = 1, *, ctx: Any = None, name: str | None = None, recover: bool | None = None
    ) -> None:
        """Take what `__new__` has used."""

    def get_value(self) -> int:
        """Return its value."""
        return self._get_value()

    def __repr__(self) -> str:
        """Show what it is called, and who has it or waits."""
        return f"{self._title(type(self).__name__)} value={self._get_value()} waiters={self._waiters()}>"


class BoundedSemaphore(Semaphore, _std.BoundedSemaphore):
    """A semaphore that cannot be released above the value it began with: that is a ValueError."""

    def __new__(
        cls,
        value: int = 1,
        *,
        ctx: Any = None,
        name: str | None = None,
        recover: bool | None = None,
        address: _core._Address | None = None,
    ) -> Self:
        """Make one, or (``address``) be a handle to one that exists. ValueError for a value that no semaphore has."""
        return _core.Semaphore.__new__(cls, value, value, checked_name(name), bool(recover), address)

    def __repr__(self) -> str:
        """Show what it is called, and who has it or waits."""
        text = f"{self._title(type(self).__name__)} value={self._get_value()} maxvalue={self.maxvalue}"
        return f"{text} waiters={self._waiters()}>"


_core.add_fast_methods(Lock, RLock, Semaphore)
if _acquire_sites.are_wanted():
    _acquire_sites.record(Lock)
    _acquire_sites.record(RLock)


class Condition(InArena, _core.Condition, _std.Condition):
    """A place to wait, without ``lock`` (default: a new RLock), until somebody says that something has changed.

    Who notifies has the lock. A notification goes to those who wait longest, and never to one that has died.
    """

    def __new__(
        cls,
        lock: Any = None,
        *,
        ctx: Any = None,
        name: str | None = None,
        address: _core._Address | None = None,
    ) -> Self:
        """Make one, or (``address``) be a handle to one that exists."""
        return super().__new__(cls, lock or RLock(), checked_name(name), address)

    def __init__(self, lock: Any = None, *, ctx: Any = None, name: str | None = None) -> None:
        """Have the lock's methods."""
        self._have_lock()

    def _have_lock(self) -> None:
        vars(self).update(acquire=self._lock.acquire, release=self._lock.release)

    @classmethod
    def _at(cls, address: _core._Address, lock: Any) -> Any:
        condition = cls.__new__(cls, lock, address=address)
        condition._have_lock()
        return condition

    def _state(self) -> tuple[Any, ...]:
        return (self._lock,)

    def __enter__(self) -> bool:
        """Acquire the lock."""
        entered: bool = self._lock.__enter__()
        return entered

    def __exit__(self, *exception: Any) -> None:
        """Release the lock."""
        return self._lock.__exit__(*exception)  # type: ignore[no-any-return]

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """Wait until ``predicate()``, called with the lock held, is true; return what it returned last."""
        result = predicate()
        if result:
            return result
        end = None if timeout is None else time.monotonic() + timeout
        while not result:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return result

    @property
    def _sleeping_count(self) -> Counted:
        return Counted(self._waiters())

    @property
    def _woken_count(self) -> Counted:
        return Counted(0)

    @property
    def _wait_semaphore(self) -> Counted:
        return Counted(0)

    def __repr__(self) -> str:
        """Show what it is called, and who has it or waits."""
        return f"{self._title(type(self).__name__)} {self._lock!r} waiters={self._waiters()}>"


class Event(InArena, _core.Event, _std.Event):
    """A flag that can be waited for."""

    def __new__(cls, *, ctx: Any = None, name: str | None = None, address: _core._Address | None = None) -> Self:
        """Make one, or (``address``) be a handle to one that exists."""
        return super().__new__(cls, checked_name(name), address)

    def __init__(self, *, ctx: Any = None, name: str | None = None) -> None:
        """Take what `__new__` has used."""

    @classmethod
    def _at(cls, address: _core._Address) -> Any:
        return cls.__new__(cls, address=address)

    def __repr__(self) -> str:
        """Show what it is called, and who has it or waits."""
        state = "set" if self.is_set() else "unset"
        return f"{self._title(f'{type(self).__name__} at {id(self):#x}')} waiters={self._waiters()} {state}>"


class Barrier(InArena, _core.Barrier, _std.Barrier):
    """A place where ``parties`` threads or processes meet; the last one calls ``action`` before all go on.

    `threading.BrokenBarrierError` when it is broken: by `abort`, a time-out, an action that fails, or the death of one
    that waits in it.
    """

    def __new__(
        cls,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        ctx: Any = None,
        name: str | None = None,
        address: _core._Address | None = None,
    ) -> Self:
        """Make one, or (``address``) be a handle to one that exists."""
        return super().__new__(cls, parties, checked_name(name), address)

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        ctx: Any = None,
        name: str | None = None,
    ) -> None:
        """Have what this process's handle alone has."""
        self._action, self._timeout = action, timeout

    @classmethod
    def _at(cls, address: _core._Address, parties: int, action: Any, timeout: float | None) -> Any:
        barrier = cls.__new__(cls, parties, address=address)
        barrier._action, barrier._timeout = action, timeout
        return barrier

    def _state(self) -> tuple[Any, ...]:
        return self.parties, self._action, self._timeout

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all have come; return which one of them this was, from 0 on."""
        index = self._pass(self._timeout if timeout is None else timeout, self._action)
        if index < 0:
            raise threading.BrokenBarrierError
        return index

    def __repr__(self) -> str:
        """Show what it is called, and who has it or waits."""
        if self.broken:
            return f"{self._title(type(self).__name__)} broken>"
        return f"{self._title(type(self).__name__)} waiters={self.n_waiting}/{self.parties}>"


def __getattr__(name: str) -> Any:
    """Everything else, private names included, is the standard module's."""
    return getattr(_std, name)
