"""Part of the soak: processes write to one shared dict or list and are killed at random; it never differs from a model.

    python tests/shared_soak.py METHOD KILLS [dict | list]

What belongs to each process is told by its number: keys of its own in the dict; items of its own, in their order, in
the list, and some have a list that they alone write to. It does with them what its seed says; how far it has come
stands in shared memory. So a model that does the same says what they must be: as before the operation in flight, or as
after it. All of them count in the same place, too.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import random
import signal
import sys
from contextlib import nullcontext
from typing import Any

import allcores as mp
from allcores import _core
from allcores._manager.shared_dict import SharedDict
from allcores._manager.shared_list import SharedList

HANG_LIMIT_SECONDS = 30
PROCESSES = 4
KEYS = 30
ITEMS = 60
VALUES = [7, 1.5, "text", "x" * 200, "x" * 2000, b"x" * 20_000, b"x" * 200_000, ["pickled", 1], (1, "tuple")]


class Dicts:
    """A shared dict, in which each process has keys of its own."""

    shared: Any = SharedDict
    own: Any = dict
    """What the model is."""

    @staticmethod
    def do(step: int, own: int, chance: random.Random, shared: Any) -> None:
        """Do the operation of a step with a dict, which may be Python's own."""
        kind, first = chance.randrange(8), chance.randrange(KEYS)
        value = chance.choice(VALUES)
        key = (own, first)
        if kind < 3:
            shared[key] = value
        elif kind < 5:
            shared.pop(key, None)
        elif kind == 5:
            shared.update({(own, (first + more) % KEYS): (step, value) for more in range(4)})
        elif kind == 6:
            shared.setdefault(key, value)
        else:
            with shared.transaction() if isinstance(shared, SharedDict) else nullcontext():
                shared[key] = [step, value]
                shared.pop((own, (first + 1) % KEYS), None)
                shared[own, (first + 2) % KEYS] = shared.get((own, (first + 3) % KEYS))

    @staticmethod
    def count(shared: Any) -> None:
        """Count one more."""
        shared.add("count")

    @staticmethod
    def take_count(shared: Any) -> int:
        """Return to how much was counted, which is then gone."""
        counted: int = shared.pop("count", 0)
        return counted

    @staticmethod
    def of(own: int, shared: Any) -> list[Any]:
        """Return what belongs to a process, in order."""
        return [(key, value) for key, value in shared.items() if key != "count" and key[0] == own]

    @staticmethod
    def take(own: int, shared: Any) -> None:
        """Have nothing any more that belongs to a process."""
        for key, _ in Dicts.of(own, shared):
            del shared[key]


class Lists:
    """A shared list, in which each process has items of its own: its number, that of the step, and a value."""

    shared: Any = SharedList
    own: Any = list

    @staticmethod
    def do(step: int, own: int, chance: random.Random, shared: Any) -> None:
        """Do the operation of a step with a list: at an end or by value, since others have items anywhere."""
        kind, number = chance.randrange(10), chance.randrange(step)
        value = chance.choice(VALUES)
        if kind == 0:
            shared.append((own, step, value))
        elif kind == 1:
            shared.insert(0, (own, step, value))
        elif kind == 2:
            shared.extend([(own, step, value), (own, step, None)])
        elif kind == 3:
            shared[:0] = [(own, step, value), (own, step, None)]
        elif kind == 4:
            shared.sort(key=lambda item: item[0])  # which leaves each one's in their order
        else:
            mine = Lists.of(own, shared)
            if mine:
                shared.remove(mine[number % len(mine)])

    @staticmethod
    def count(shared: Any) -> None:
        """Count one more."""
        shared.append((0,))

    @staticmethod
    def take_count(shared: Any) -> int:
        """Return to how much was counted, which is then gone."""
        counted = shared.count((0,))
        for _ in range(counted):
            shared.remove((0,))
        return int(counted)

    @staticmethod
    def of(own: int, shared: Any) -> list[Any]:
        """Return what belongs to a process, in order."""
        return [item for item in shared[:] if item[0] == own]

    @staticmethod
    def take(own: int, shared: Any) -> None:
        """Have nothing any more that belongs to a process."""
        for item in Lists.of(own, shared):
            shared.remove(item)


class OwnLists(Lists):
    """A shared list that one process alone writes to: whatever a list can."""

    @staticmethod
    def do(step: int, own: int, chance: random.Random, shared: Any) -> None:
        """Do the operation of a step with a list, at any index."""
        length = len(shared)
        kind, first, more = chance.randrange(12), chance.randrange(length + 1), chance.randrange(8)
        item = (own, step, chance.choice(VALUES))
        if kind < 3:
            shared.insert(first, item)
        elif kind < 5 and first < length:
            shared[first] = item
        elif kind < 7 and first < length:
            shared.pop(first)
        elif kind == 7:
            shared[first : first + more] = [item] * chance.randrange(8)
        elif kind == 8:
            del shared[first : first + more * 3 : 3]
        elif kind == 9:
            shared.reverse()
        elif kind == 10 and length < ITEMS:
            shared *= 2
        elif length > ITEMS:
            del shared[ITEMS // 2 :]


KINDS: dict[str, Any] = {"dict": Dicts, "list": Lists, "own list": OwnLists}


def work(kind: str, shared: Any, own: int, seed: int, begun: Any, done: Any) -> None:
    """Do one step after another, and count, until this is killed."""
    does, chance, step = KINDS[kind], random.Random(seed), 0
    while True:
        step += 1
        begun.value = step
        if step % 5 == 0 and kind != "own list":
            does.count(shared)
        else:
            does.do(step, own, chance, shared)
        done.value = step


def model_of(kind: str, own: int, seed: int, steps: int) -> tuple[list[Any], int]:
    """Return what a process has after so many steps, and how often it has counted."""
    does, chance = KINDS[kind], random.Random(seed)
    model, counted = does.own(), 0
    for step in range(1, steps + 1):
        if step % 5 == 0 and kind != "own list":
            counted += 1
        else:
            does.do(step, own, chance, model)
    return does.of(own, model), counted


class Worker:
    """A process, what it does, and how far it has come."""

    def __init__(self, context: Any, kind: str, shared: Any, own: int) -> None:
        self.kind, self.shared = kind, shared
        self.own, self.seed = own, random.randrange(1 << 30)
        self.begun: Any = mp.Value(ctypes.c_uint64, lock=False)
        self.done: Any = mp.Value(ctypes.c_uint64, lock=False)
        arguments = kind, shared, own, self.seed, self.begun, self.done
        self.process = context.Process(target=work, args=arguments, daemon=True)
        self.process.start()

    def await_progress(self) -> None:
        """Return when it has done something since: it does not stand still."""
        seen = self.done.value
        while self.done.value == seen:
            os.sched_yield()

    def end(self) -> tuple[int, int]:
        """Kill it, and look at what it leaves; return the least and the most that it has counted."""
        self.process.kill()
        self.process.join()
        begun, done = self.begun.value, self.done.value
        (before, least), (after, most) = (model_of(self.kind, self.own, self.seed, steps) for steps in (done, begun))
        found = KINDS[self.kind].of(self.own, self.shared)
        assert found in (before, after), f"{self.seed} {done} {begun}: {len(found)} {len(before)} {len(after)}"
        KINDS[self.kind].take(self.own, self.shared)
        return least, most


def main(method: str, kills: int, kind: str = "dict") -> None:
    """Let processes write, kill one after another, and look."""
    context = mp.get_context(method)
    shared = KINDS[kind].shared()
    own = least = most = 0
    workers: list[Worker] = []
    for _ in range(kills):
        faulthandler.dump_traceback_later(HANG_LIMIT_SECONDS, exit=True)
        while len(workers) < PROCESSES:
            own += 1
            alone = kind == "list" and own % 4 == 0
            workers.append(Worker(context, "own list" if alone else kind, SharedList() if alone else shared, own))
        worker = workers.pop(random.randrange(PROCESSES))
        worker.await_progress()
        signal.sigtimedwait((), random.uniform(0, 0.01))
        few, many = worker.end()
        least, most = least + few, most + many
    for worker in workers:
        few, many = worker.end()
        least, most = least + few, most + many
    workers.clear()
    counted = KINDS[kind].take_count(shared)
    assert least <= counted <= most, (least, counted, most)
    assert len(shared) == 0
    _core.sweep_arena()
    _core.arena_account()
    faulthandler.cancel_dump_traceback_later()
    print(f"{kind}, {method}: {kills} kills, counted to {counted}")


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
