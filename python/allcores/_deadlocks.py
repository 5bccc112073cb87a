"""`allcores.deadlocks`, apart from the types of what it returns, which are loaded when there is something to return."""

from __future__ import annotations

from allcores import _core

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from allcores.deadlock import Deadlock

__all__ = ["deadlocks"]


def deadlocks() -> list[Deadlock]:
    """Return the deadlocks among the processes and threads of this program: `allcores.deadlock.Deadlock`.

    Any process of the program may ask, at any time; it stops nobody, and nobody is reported who was not blocked. Only
    those who wait for a Lock or RLock are looked at: semaphores, conditions, events, barriers and queues have no owner.
    With ``ALLCORES_TRACE_LOCKS=1`` in the environment from the start, it is known where locks were acquired.

    >>> import allcores
    >>> for deadlock in allcores.deadlocks():
    ...     print(deadlock)
    """
    return [_put_together(blocked) for blocked in _core.read_deadlocks()]


def _put_together(blocked: list[_core.Blocked]) -> Deadlock:
    """Put together a deadlock of those who are blocked, each of whom waits for a lock that the next one has."""
    from allcores.deadlock import Deadlock, Party, Wait

    parties = [Party(one.process_name, one.pid, one.thread_id) for one in blocked]
    waits = (
        Wait(
            waiter=waiter,
            holder=holder,
            lock_kind="RLock" if one.recursive else "Lock",
            lock_name=one.lock_name,
            lock_handle=one.lock_handle,
            waited_seconds=one.waited_seconds,
            has_timeout=one.has_timeout,
            waiting_at=one.waiting_at,
            acquired_at=one.acquired_at,
        )
        for one, waiter, holder in zip(blocked, parties, [*parties[1:], parties[0]], strict=True)
    )
    return Deadlock(tuple(waits))
