"""`allcores.deadlocks`, apart from the types of what it returns, which are loaded when there is something to return."""

from __future__ import annotations

from allcores import _core

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from allcores.deadlock import Deadlock, Party, Wait

__all__ = ["deadlocks"]


def deadlocks() -> list[Deadlock]:
    """Return the deadlocks among the processes and threads of this program: `allcores.deadlock.Deadlock`.

    Any process of the program may ask, at any time; it stops nobody, and nobody is reported who was not blocked. Only
    those who wait for a Lock or RLock are looked at: semaphores, conditions, events, barriers and queues have no owner.
    Reported, too, as `Deadlock.is_abandoned`, is who waits for a lock whose owner has ended without releasing it.
    With ``ALLCORES_TRACE_LOCKS=1`` in the environment from the start, it is known where locks were acquired.

    >>> import allcores
    >>> for deadlock in allcores.deadlocks():
    ...     print(deadlock)
    """
    return [_put_together(blocked) for blocked in _core.read_deadlocks()] + _abandoned()


def _put_together(blocked: list[_core.Blocked]) -> Deadlock:
    """Put together a deadlock of those who are blocked, each of whom waits for a lock that the next one has."""
    from allcores.deadlock import Deadlock

    parties = [_party(one) for one in blocked]
    holders = [*parties[1:], parties[0]]
    waits = (_wait(one, holder) for one, holder in zip(blocked, holders, strict=True))
    return Deadlock(tuple(waits))


def _abandoned() -> list[Deadlock]:
    """Put together, for each lock that stays locked because its owner has ended, those who wait for it."""
    by_lock: dict[int, list[Wait]] = {}
    for one, pid, name in _core.read_abandoned_waits():
        from allcores.deadlock import Party

        holder = Party(name, pid, thread_id=0, has_ended=True)
        by_lock.setdefault(one.lock_handle, []).append(_wait(one, holder))
    if not by_lock:
        return []
    from allcores.deadlock import Deadlock

    return [Deadlock(tuple(waits)) for waits in by_lock.values()]


def _party(one: _core.Blocked) -> Party:
    from allcores.deadlock import Party

    return Party(one.process_name, one.pid, one.thread_id)


def _wait(one: _core.Blocked, holder: Party) -> Wait:
    from allcores.deadlock import Wait

    return Wait(
        waiter=_party(one),
        holder=holder,
        lock_kind="RLock" if one.recursive else "Lock",
        lock_name=one.lock_name,
        lock_handle=one.lock_handle,
        waited_seconds=one.waited_seconds,
        has_timeout=one.has_timeout,
        waiting_at=one.waiting_at,
        acquired_at=one.acquired_at,
    )
