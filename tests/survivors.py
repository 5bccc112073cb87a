"""What must hold when a process was killed in the middle of something, for its partner and for who made the thing.

A partner waits for the thing, or holds it, while the victim is at work. Who made it looks at it afterwards: ``answer``
tells what the partner's wait came to; returned is which of the possible outcomes it was.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import allcores as mp

PATIENCE_SECONDS = 30
"""Nothing here may take longer. What is no error takes a second at most."""

Answer = Callable[[], Any]


def acquire_in_the_end(lock: Any) -> int:
    """Acquire a lock, and return how often that told of a death before."""
    deaths = 0
    while True:
        try:
            assert lock.acquire(timeout=PATIENCE_SECONDS), "a lock that nobody has is never free"
            return deaths
        except mp.OwnerDiedError:
            deaths += 1


def told_acquire(lock: Any, _told: Connection) -> str:
    """Wait for a lock as a partner; whoever is told of a death has not got it."""
    try:
        assert lock.acquire(timeout=PATIENCE_SECONDS), "a waiter never gets through"
    except mp.OwnerDiedError:
        return "owner died"
    lock.release()
    return "released"


def owned_or_free(lock: Any, _answer: Answer | None = None) -> str:
    """Exactly the owner's death is told, once; the lock excludes and is free as ever."""
    is_owned = lock._holder() is not None
    assert acquire_in_the_end(lock) == is_owned
    in_use(lock)
    lock.release()
    return "owner died" if is_owned else "free"


def in_use(lock: Any) -> None:
    """Look that a lock that this thread has excludes another one."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(lock.acquire(False)))
    thread.start()
    thread.join()
    assert answers == [False]


def lock_with_waiter(lock: Any, answer: Answer) -> str:
    outcome: str = answer()
    assert owned_or_free(lock) == "free", "it was told already, or released"
    return outcome


def hold_until_wanted(lock: Any, told: Connection) -> str:
    """As a partner: have a lock until somebody waits for it, or the victim was killed before that."""
    lock.acquire()
    told.send("held")
    while not lock._waiters() and not told.poll():
        os.sched_yield()
    lock.release()
    return "handed on"


def after_handing_on(lock: Any, answer: Answer) -> str:
    answer()
    return owned_or_free(lock)


def still_mine(lock: Any, _answer: Answer) -> str:
    assert lock._holder()[0] == os.getpid(), "one that gave up changes nothing"
    lock.release()
    return owned_or_free(lock)


def value_of(semaphore: Any, at_most: int) -> int:
    """How often a semaphore can be acquired, by acquiring it."""
    value = 0
    while value <= at_most and semaphore.acquire(False):
        value += 1
    return value


def refill(semaphore: Any, value: int, full: int) -> None:
    assert value <= full, "released more often than acquired"
    for _ in range(full):
        semaphore.release()


def lost_at_most_one(semaphore: Any, _answer: Answer) -> str:
    value = value_of(semaphore, 2)
    refill(semaphore, value, 2)
    assert value in (1, 2)
    return f"{value} left"


def released_at_most_once(semaphore: Any, answer: Answer) -> str:
    """Once more is enough for one waiter, whether the victim has released it or not."""
    semaphore.release()
    assert answer() is True
    value = value_of(semaphore, 1)
    assert value in (0, 1)
    return "released" if value else "not released"


def acquired_by_nobody(semaphore: Any, _answer: Answer) -> str:
    assert value_of(semaphore, 1) == 0
    semaphore.release()
    assert value_of(semaphore, 1) == 1
    return "gave up"


def given_back(semaphore: Any, _answer: Answer) -> str:
    """All that the dead had is there again: as often as ever, and not once more."""
    for _ in range(2):
        assert semaphore.acquire(timeout=PATIENCE_SECONDS)
    assert not semaphore.acquire(False)
    refill(semaphore, 2, 2)
    return "given back"


def given_to_the_waiter(semaphore: Any, answer: Answer) -> str:
    assert answer() is True
    assert not semaphore.acquire(False), "what the dead had was given back twice"
    semaphore.release()
    return "given back"


def wait_in(condition: Any, _told: Connection) -> str:
    condition.acquire()
    try:
        assert condition.wait(PATIENCE_SECONDS), "a notification never comes"
    except mp.OwnerDiedError:
        return "owner died"
    condition.release()
    return "notified"


def notified(condition: Any, answer: Answer) -> str:
    """Notified by the victim or not: once more reaches the waiter, or finds nobody. A death is told once at most."""
    deaths = acquire_in_the_end(condition)
    condition.notify()
    condition.release()
    deaths += answer() == "owner died"
    assert deaths <= 1
    assert owned_or_free(condition._lock) == "free"
    return "owner died" if deaths else "free"


def nobody_waits_in(condition: Any, _answer: Answer) -> str:
    outcome = owned_or_free(condition._lock)
    assert condition._waiters() == 0
    return outcome


def set_in_the_end(event: Any, answer: Answer) -> str:
    was_set = event.is_set()
    if not was_set:
        event.set()
    assert answer() is True, "who waits for an event that is set never gets through"
    event.clear()
    return "set" if was_set else "not set"


def waited_for_by_nobody(event: Any, _answer: Answer) -> str:
    assert (event._waiters(), event.is_set()) == (0, False)
    return "gave up"


def pass_barrier(barrier: Any, _told: Connection | None = None) -> str:
    try:
        barrier.wait(PATIENCE_SECONDS)
    except threading.BrokenBarrierError:
        return "broken"
    return "passed"


def passed_or_broken(barrier: Any, answer: Answer) -> str:
    if barrier.n_waiting == 1:
        barrier.abort()  # the victim had not come, and nobody else will
    outcome: str = answer()
    barrier.reset()
    return outcome


def no_stranger_is_counted(barrier: Any, _answer: Answer) -> str:
    """A victim that had come breaks it; otherwise it is as new."""
    if had_come := barrier.n_waiting == 1 or barrier.broken:
        assert pass_barrier(barrier) == "broken", "a dead party is met"
    barrier.reset()
    others = [threading.Thread(target=pass_barrier, args=(barrier,)) for _ in range(barrier.parties - 1)]
    for other in others:
        other.start()
    assert pass_barrier(barrier) == "passed"
    for other in others:
        other.join()
    return "broken" if had_come else "as new"


def as_before(_thing: Any, _answer: Answer) -> str:
    """Nothing but what the heap's account says, which is looked at after each victim."""
    return "swept"
