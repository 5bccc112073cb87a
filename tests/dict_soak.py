"""Part of the soak: processes write to one shared dict and are killed at random; it never differs from a model of it.

    python tests/dict_soak.py METHOD KILLS

Each process has keys of its own, and does with them what its seed says; how far it has come stands in shared memory. So
a model that does the same says what its keys must be: as before the operation in flight, or as after it. All of them
count in one key, too.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import random
import signal
import sys
from typing import Any

import allcores as mp
from allcores import _core
from allcores._manager.shared_dict import SharedDict

HANG_LIMIT_SECONDS = 30
PROCESSES = 4
KEYS = 30
VALUES = [7, 1.5, "text", "x" * 200, "x" * 2000, b"x" * 20_000, b"x" * 200_000, ["pickled", 1], (1, "tuple")]


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
        shared[key] = [step, value]


def work(shared: Any, own: int, seed: int, begun: Any, done: Any) -> None:
    """Do one step after another, and count, until this is killed."""
    chance = random.Random(seed)
    step = 0
    while True:
        step += 1
        begun.value = step
        if step % 5 == 0:
            shared.add("count")
        else:
            do(step, own, chance, shared)
        done.value = step


def model_of(own: int, seed: int, steps: int) -> tuple[dict[Any, Any], int]:
    """Return what a process's keys are after so many steps, and how often it has counted."""
    model: dict[Any, Any] = {}
    chance = random.Random(seed)
    for step in range(1, steps + 1):
        if step % 5:
            do(step, own, chance, model)
    return model, steps // 5


class Worker:
    """A process, what it does, and how far it has come."""

    def __init__(self, context: Any, shared: Any, own: int) -> None:
        self.own, self.seed = own, random.randrange(1 << 30)
        self.begun: Any = mp.Value(ctypes.c_uint64, lock=False)
        self.done: Any = mp.Value(ctypes.c_uint64, lock=False)
        arguments = shared, own, self.seed, self.begun, self.done
        self.process = context.Process(target=work, args=arguments, daemon=True)
        self.process.start()

    def await_progress(self) -> None:
        """Return when it has done something since: it does not stand still."""
        seen = self.done.value
        while self.done.value == seen:
            os.sched_yield()

    def end(self, shared: Any) -> tuple[int, int]:
        """Kill it, and look at what it leaves; return the least and the most that it has counted."""
        self.process.kill()
        self.process.join()
        begun, done = self.begun.value, self.done.value
        (before, least), (after, most) = (model_of(self.own, self.seed, steps) for steps in (done, begun))
        found = {key: value for key, value in shared.items() if key != "count" and key[0] == self.own}
        assert found in (before, after), f"{self.seed} {done} {begun}: {found.keys() ^ before.keys()}"
        if found != before:
            assert list(found) == list(after), "in order"
        for key in found:
            del shared[key]
        return least, most


def main(method: str, kills: int) -> None:
    """Let processes write, kill one after another, and look."""
    context = mp.get_context(method)
    shared = SharedDict()
    own = least = most = 0
    workers: list[Worker] = []
    for _ in range(kills):
        faulthandler.dump_traceback_later(HANG_LIMIT_SECONDS, exit=True)
        while len(workers) < PROCESSES:
            own += 1
            workers.append(Worker(context, shared, own))
        worker = workers.pop(random.randrange(PROCESSES))
        worker.await_progress()
        signal.sigtimedwait((), random.uniform(0, 0.01))
        few, many = worker.end(shared)
        least, most = least + few, most + many
    for worker in workers:
        few, many = worker.end(shared)
        least, most = least + few, most + many
    count = shared.pop("count", 0)
    assert least <= count <= most, (least, count, most)
    assert shared.copy() == {}
    _core.sweep_arena()
    _core.arena_account()
    faulthandler.cancel_dump_traceback_later()
    print(f"dict, {method}: {kills} kills, counted to {count}")


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    main(sys.argv[1], int(sys.argv[2]))
