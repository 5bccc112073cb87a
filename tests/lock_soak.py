"""Locks and their kin under fire: processes that use all of them are killed at random, one after the other.

    python tests/lock_soak.py METHOD KILLS

Every worker does everything, in random order, and is replaced when it was killed. What must hold all the while: nobody
is inside of a lock beside another one, a semaphore of two lets two in, no worker stands still. And afterwards:
everything can be acquired, and the arena has exactly the blocks that it had before.
"""

from __future__ import annotations

import faulthandler
import pickle
import random
import signal
import sys
import threading
from typing import Any

import allcores as mp
from soak_workers import HANG_LIMIT_SECONDS, Workers, blocks, warmed_up

WORKERS = 4
LOCKS = ("Lock", "RLock", "Value")


class Room:
    """Who is inside of a lock or semaphore: a place for each worker, which only that one writes."""

    def __init__(self, context: Any, capacity: int) -> None:
        self.capacity, self.inside = capacity, context.RawArray("b", WORKERS)

    def visit(self, place: int, condemned: Any) -> None:
        """Be inside for a moment. AssertionError when there are more than may be, the condemned apart."""
        self.inside[place] = 1
        for _ in range(random.choice((1, 1, 20))):
            inside = [n for n in range(WORKERS) if self.inside[n] and not condemned[n]]
            assert len(inside) <= self.capacity, f"{inside} are inside of what lets {self.capacity} in"
        self.inside[place] = 0


class Things:
    """All that the workers share."""

    def __init__(self, context: Any) -> None:
        self.locks: dict[str, Any] = {
            "Lock": context.Lock(name="a lock"),
            "RLock": context.RLock(),
            "Value": context.Value("q"),
        }
        self.semaphore = context.Semaphore(2, recover=True)
        self.condition, self.event, self.barrier = context.Condition(), context.Event(), context.Barrier(2)
        self.rooms = {kind: Room(context, 1) for kind in LOCKS} | {"Semaphore": Room(context, 2)}
        self.condemned = context.RawArray("b", WORKERS)
        """Set before a worker is killed: what it leaves behind counts no more."""
        self.progress = context.RawArray("q", WORKERS)


def use(things: Things, place: int) -> None:
    """Do one thing, of all that can be done."""
    what = random.choice((*LOCKS, "Semaphore", "Condition", "Event", "Barrier", "heap", "handle"))
    if what in LOCKS:
        lock = things.locks[what]
        for _ in range(10):
            with lock.get_lock() if what == "Value" else lock:
                things.rooms[what].visit(place, things.condemned)
    elif what == "Semaphore":
        for _ in range(10):
            with things.semaphore:
                things.rooms[what].visit(place, things.condemned)
    elif what == "Condition":
        with things.condition:
            things.condition.notify(random.choice((1, WORKERS)))
            things.condition.wait(0.002)
    elif what == "Event":
        things.event.set()
        things.event.wait(0.002)
        things.event.clear()
        things.event.wait(0.002)
    elif what == "Barrier":
        try:
            things.barrier.wait(0.004)
        except threading.BrokenBarrierError:
            things.barrier.reset()
    elif what == "heap":
        size = random.choice((1, 100, 10_000, 200_000))
        kept = [mp.RawArray("b", size), mp.Lock(name="n" * random.choice((1, 60)))]
        kept.append(mp.Event())
        random.shuffle(kept)
        kept.clear()
    else:
        copies = [pickle.loads(pickle.dumps(lock)) for lock in (things.locks["Lock"], things.event)]
        copies[1].is_set()


def attempt(things: Things, place: int) -> None:
    """Do one thing, in a world where owners die."""
    try:
        use(things, place)
    except mp.OwnerDiedError:
        pass
    except (AssertionError, ValueError) as error:
        # wait() told of a death, and the end of the with block released what is not held then.
        if not isinstance(error.__context__, mp.OwnerDiedError):
            raise


class LockWorkers(Workers):
    """Workers of whom the rooms know who is condemned."""

    def kill(self, place: int) -> None:
        """Kill one, wherever it is."""
        self.things.condemned[place] = 1
        super().kill(place)

    def replace(self, place: int) -> None:
        """Have another one in the place of one that was killed."""
        room: Room
        for room in self.things.rooms.values():
            room.inside[place] = 0
        self.things.condemned[place] = 0
        super().replace(place)


def main(method: str, kills: int) -> None:
    """Kill so many."""
    context = warmed_up(method)
    things = Things(context)
    before = blocks()
    workers = LockWorkers(method, attempt, things)
    workers.shoot(kills)
    for place in range(WORKERS):
        workers.kill(place)
    for what in (*things.locks.values(), things.semaphore, things.semaphore, things.condition):
        lock = what.get_lock() if hasattr(what, "get_lock") else what
        try:
            assert lock.acquire(timeout=HANG_LIMIT_SECONDS), f"{what} is stuck"
        except mp.OwnerDiedError:
            assert lock.acquire(timeout=0), f"{what}: told of the death, and not free"
    assert not things.semaphore.acquire(timeout=0), "a third one was let in where two may be"
    del workers
    assert blocks() == before, f"blocks, objects, bytes, spans: {before} before, {blocks()} after"
    print(f"{kills} kills among locks, {method}: {sum(things.progress)} steps, nothing stuck, doubled or lost")


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    main(sys.argv[1], int(sys.argv[2]))
