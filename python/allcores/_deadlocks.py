"""`allcores.deadlocks`, apart from the types of what it returns, which are loaded when there is something to return."""

from __future__ import annotations

from allcores import _core

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from allcores.deadlock import Deadlock

__all__ = ["deadlocks"]


def deadlocks() -> list[Deadlock]:
    """Return the deadlocks among the processes and threads of this program: `allcores.deadlock.Deadlock`.

    Any process of the program may ask, at any time; it stops nobody, and nobody is reported who was not blocked. Only
    those who wait for a Lock or RLock are looked at: semaphores, conditions, events and barriers have no owner. With
    ``ALLCORES_TRACE_LOCKS=1`` in the environment from the start, it is known where locks were acquired.

    >>> import allcores
    >>> for deadlock in allcores.deadlocks():
    ...     print(deadlock)
    """
    found = _core.read_deadlocks()
    if not found:
        return []
    from allcores.deadlock import of_blocked

    return [of_blocked(blocked) for blocked in found]
