"""Every type a manager offers, used from a child.

Each line printed at the end names one type and what the child did with it.
"""

from dataclasses import dataclass
from multiprocessing import Manager, Process
from typing import Any

PATIENCE_SECONDS = 30


@dataclass
class Ship:
    """What the captain (the parent) and the mate (the child) share."""

    lock: Any
    rlock: Any
    semaphore: Any
    bounded: Any
    condition: Any
    event: Any
    barrier: Any
    queue: Any
    value: Any
    array: Any
    stores: Any  # dict
    log: Any  # list
    flags: Any  # Namespace


def mate(ship):
    """Use each of the ship's things once, from another process."""
    with ship.lock:
        ship.stores["biscuits"] += 10
    with ship.rlock, ship.rlock:
        ship.log.append("both knots tied")
    with ship.semaphore, ship.bounded:
        ship.flags.hoisted += 1

    ship.event.wait(PATIENCE_SECONDS)
    with ship.condition:
        ship.flags.anchor = "up"
        ship.condition.notify_all()

    ship.barrier.wait(PATIENCE_SECONDS)
    ship.queue.put(("bottle post", ship.value.value))
    ship.value.value = 270
    ship.array[1] = 12.5


def build(manager):
    """Ask the manager for one of each."""
    return Ship(
        lock=manager.Lock(),
        rlock=manager.RLock(),
        semaphore=manager.Semaphore(2),
        bounded=manager.BoundedSemaphore(2),
        condition=manager.Condition(),
        event=manager.Event(),
        barrier=manager.Barrier(2),
        queue=manager.Queue(),
        value=manager.Value("i", 90),
        array=manager.Array("d", [0.5, 1.5]),
        stores=manager.dict(biscuits=30),
        log=manager.list(["left harbour"]),
        flags=manager.Namespace(hoisted=1, anchor="down"),
    )


if __name__ == "__main__":
    with Manager() as manager:
        ship = build(manager)
        first_mate = Process(target=mate, args=(ship,))
        first_mate.start()

        with ship.condition:
            ship.event.set()
            weighed = ship.condition.wait_for(lambda: ship.flags.anchor == "up", PATIENCE_SECONDS)
        ship.barrier.wait(PATIENCE_SECONDS)
        post = ship.queue.get(timeout=PATIENCE_SECONDS)
        first_mate.join()

        print("Event:     is set:", ship.event.is_set())
        print("Condition: the wait came true:", weighed)
        print("Barrier:   parties:", ship.barrier.parties, "broken:", ship.barrier.broken)
        print("Queue:    ", post, "empty now:", ship.queue.empty())
        print("Value:    ", ship.value.value)
        print("Array:    ", list(ship.array))
        print("dict:     ", ship.stores.copy())
        print("list:     ", list(ship.log))
        print("Namespace: hoisted", ship.flags.hoisted, "anchor", ship.flags.anchor)
        for type_name in ("Lock", "RLock", "Semaphore"):
            lock = getattr(ship, type_name.lower())
            print(f"{type_name + ':':<10} free again:", lock.acquire(blocking=False))
            lock.release()
        try:
            ship.bounded.release()
        except ValueError as error:
            print("BoundedSemaphore: ValueError:", error)
        print("the mate's exit code:", first_mate.exitcode)
