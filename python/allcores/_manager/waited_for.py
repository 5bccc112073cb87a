"""A manager's locks, events, barriers and queues: the session's own, with the manners of the `threading` ones.

In the standard library they are objects of `threading` and `queue` in the server, so that is what they accept, and what
they raise. When the manager is shut down, those who wait are woken and told so.
"""

from __future__ import annotations

import contextlib
import queue
import threading

from allcores._manager.ending import Ending, ended
from allcores._manager.in_session import InSession
from allcores._manager.proxies import PROXIES
from allcores.errors import OwnerDiedError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from multiprocessing.context import BaseContext
    from typing import Any

    from allcores._manager.proxies import BaseProxy

    class _Acquirer(BaseProxy): ...

    class _Condition(BaseProxy):
        def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any: ...

    class _Event(BaseProxy): ...

    class _Barrier(BaseProxy): ...

else:
    _Acquirer, _Condition, _Event, _Barrier = (
        PROXIES[f"{name}Proxy"] for name in ("Acquirer", "Condition", "Event", "Barrier")
    )

__all__ = ["MAKERS", "AcquirerProxy", "BarrierProxy", "ConditionProxy", "EventProxy", "QueueProxy"]

_SEMAPHORES = ("Semaphore", "BoundedSemaphore")
_MOMENT_SECONDS = 1.0
"""For how long a condition's lock is waited for, to wake those who wait: else its owner does when it gives it back."""


class AcquirerProxy(InSession, _Acquirer):
    """A lock or semaphore."""

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Acquire it, within ``timeout`` seconds if that is given; whether that was done."""
        lock = self._used()
        if timeout is None:
            done: bool = lock.acquire(blocking)
        elif self._typeid in _SEMAPHORES:
            if not blocking:
                raise ValueError("can't specify timeout for non-blocking acquire")
            done = lock.acquire(True, timeout)
        else:
            if timeout != -1 and (timeout < 0 or not blocking):
                return threading.Lock().acquire(blocking, timeout)  # which raises what it does on this Python
            done = lock.acquire(blocking, None if timeout == -1 else timeout)
        if self._end.is_set():
            if done:
                lock.release()  # for the next one that waits
            raise ended(self._typeid)
        return done

    def release(self) -> None:
        """Release it."""
        try:
            self._object.release()
        except (ValueError, AssertionError):
            self._look()
            if self._typeid == "BoundedSemaphore":
                raise ValueError("Semaphore released too many times") from None
            is_lock = type(getattr(self._object, "_lock", self._object)).__name__ == "Lock"
            text = "release unlocked lock" if is_lock else "cannot release un-acquired lock"
            raise RuntimeError(text) from None
        self._look()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exception: object) -> None:
        self.release()

    def _wake(self) -> None:
        if self._typeid != "RLock":  # whose owner gives it back: nobody else can
            with contextlib.suppress(ValueError, AssertionError):
                self._object.release()


class ConditionProxy(AcquirerProxy, _Condition):
    """A condition."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is notified; False when that took longer than ``timeout`` seconds."""
        with _as_threading("cannot wait on un-acquired lock"):
            done: bool = self._used().wait(timeout)
        self._look()
        return done

    def notify(self, n: int = 1) -> None:
        """Wake ``n`` of those who wait, at most."""
        with _as_threading("cannot notify on un-acquired lock"):
            self._used().notify(n)

    def notify_all(self) -> None:
        """Wake all who wait."""
        with _as_threading("cannot notify on un-acquired lock"):
            self._used().notify_all()

    def release(self) -> None:
        """Release its lock."""
        if self._end.is_set():  # who ended it may not have got the lock
            with contextlib.suppress(AssertionError):
                self._object.notify_all()
        super().release()

    def _wake(self) -> None:
        try:
            is_mine = self._object.acquire(True, _MOMENT_SECONDS)
        except OwnerDiedError:  # once: it is free now
            is_mine = self._object.acquire(True, _MOMENT_SECONDS)
        if is_mine:
            self._object.notify_all()
            self._object.release()


@contextlib.contextmanager
def _as_threading(text: str) -> Any:
    try:
        yield
    except AssertionError:
        raise RuntimeError(text) from None


class EventProxy(InSession, _Event):
    """An event."""

    def is_set(self) -> bool:
        """Whether it is set."""
        return bool(self._used().is_set())

    def set(self) -> None:
        """Set it: all who wait go on."""
        self._used().set()

    def clear(self) -> None:
        """Clear it."""
        self._used().clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; False when that took longer than ``timeout`` seconds."""
        done: bool = self._used().wait(timeout)
        self._look()
        return done

    def _wake(self) -> None:
        self._object.set()


class BarrierProxy(InSession, _Barrier):
    """A barrier."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all have come; return which of them this was. `threading.BrokenBarrierError` when it is broken."""
        try:
            number: int = self._used().wait(timeout)
        except threading.BrokenBarrierError:
            self._look()
            raise
        return number

    def abort(self) -> None:
        """Break it."""
        self._used().abort()

    def reset(self) -> None:
        """Have it be whole, and empty."""
        self._used().reset()

    @property
    def parties(self) -> int:
        """How many have to come."""
        return int(self._used().parties)

    @property
    def n_waiting(self) -> int:
        """How many have come."""
        return int(self._used().n_waiting)

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return bool(self._used().broken)

    def _to_wake(self) -> InSession:
        barrier = self._object
        plain = type(barrier)._at(barrier._address(), barrier.parties, None, None)  # without its action
        return BarrierProxy(self._typeid, self._end, plain)

    def _wake(self) -> None:
        self._object.abort()


class QueueProxy(InSession):
    """A queue, joinable."""

    _exposed_ = tuple(name for name in dir(queue.Queue) if not name.startswith("_"))

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an object. `queue.Full` when there was no room in ``timeout`` seconds, or at once unless ``block``."""
        channel = self._waits(block, timeout)
        try:
            channel.put(item, block, timeout)
        except Exception:
            self._look()
            raise

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Get an object. `queue.Empty` when there was none in ``timeout`` seconds, or at once unless ``block``."""
        channel = self._waits(block, timeout)
        try:
            return channel.get(block, timeout)
        except Exception:
            self._look()
            raise

    def _waits(self, block: bool, timeout: float | None) -> Any:
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        return self._used()

    def put_nowait(self, item: Any) -> None:
        """Put an object, or raise `queue.Full` at once."""
        self.put(item, False)

    def get_nowait(self) -> Any:
        """Get an object, or raise `queue.Empty` at once."""
        return self.get(False)

    def qsize(self) -> int:
        """Return how many objects there are."""
        return int(self._used().qsize())

    def empty(self) -> bool:
        """Whether there is none."""
        return bool(self._used().empty())

    def full(self) -> bool:
        """Whether there is no room."""
        return bool(self._used().full())

    def task_done(self) -> None:
        """Say that a task that was got is done."""
        self._used().task_done()

    def join(self) -> None:
        """Wait until all tasks that were put are done."""
        self._used().join()
        self._look()

    def shutdown(self, immediate: bool = False) -> None:
        """Shut it, as `queue.Queue.shutdown` of Python 3.13 does."""
        self._used().shutdown(immediate)

    def __repr__(self) -> str:
        return f"<AutoProxy[{self._typeid}] object, typeid {self._typeid!r} at {id(self):#x}>"

    def _wake(self) -> None:
        self._object.shutdown(True)


def _maker(cls: type[InSession], typeid: str, make: Callable[..., Any]) -> Callable[..., Any]:
    def made(ending: Ending, /, *args: Any, **kwargs: Any) -> Any:
        proxy = cls(typeid, ending.event, make(ending.context, *args, **kwargs))
        ending.note(proxy)
        return proxy

    return made


def _semaphore(context: BaseContext, value: int = 1) -> Any:
    return context.Semaphore(value)


def _bounded_semaphore(context: BaseContext, value: int = 1) -> Any:
    return context.BoundedSemaphore(value)


def _condition(context: BaseContext, lock: Any = None) -> Any:
    return context.Condition(lock._object if isinstance(lock, AcquirerProxy) else lock)


def _barrier(
    context: BaseContext, parties: int, action: Callable[[], object] | None = None, timeout: float | None = None
) -> Any:
    return context.Barrier(parties, action, timeout)


def _queue(context: BaseContext, maxsize: int = 0) -> Any:
    return context.JoinableQueue(maxsize)


MAKERS: dict[str, Callable[..., Any]] = {
    "Lock": _maker(AcquirerProxy, "Lock", lambda context: context.Lock()),
    "RLock": _maker(AcquirerProxy, "RLock", lambda context: context.RLock()),
    "Semaphore": _maker(AcquirerProxy, "Semaphore", _semaphore),
    "BoundedSemaphore": _maker(AcquirerProxy, "BoundedSemaphore", _bounded_semaphore),
    "Condition": _maker(ConditionProxy, "Condition", _condition),
    "Event": _maker(EventProxy, "Event", lambda context: context.Event()),
    "Barrier": _maker(BarrierProxy, "Barrier", _barrier),
    "Queue": _maker(QueueProxy, "Queue", _queue),
    "JoinableQueue": _maker(QueueProxy, "JoinableQueue", _queue),
}
"""Type of a manager: what makes one, of the manager's ending and the arguments of the user's."""
