"""Processes that are killed at random, one after the other, and replaced: what the soaks have in common."""

from __future__ import annotations

import faulthandler
import gc
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing import connection
from typing import Any, ClassVar

import allcores as mp
from allcores import _core

__all__ = ["HANG_LIMIT_SECONDS", "Workers", "blocks", "warmed_up"]

HANG_LIMIT_SECONDS = 30


def warmed_up(method: str) -> Any:
    """Return the context of a start method that has started a process: what that leaves in the arena is there then."""
    context = mp.get_context(method)
    process = context.Process(target=int)
    process.start()
    process.join()
    return context


def _work(step: Callable[[Any, int], None], things: Any, place: int) -> None:
    """Do one step after the other for ever."""
    faulthandler.register(signal.SIGUSR1)
    random.seed()
    while True:
        step(things, place)
        things.progress[place] += 1


class Workers:
    """Those that live, each in its place, and how far each of them was at a time.

    ``step`` is a function of ``things``, which all of them share, and a place. ``things.progress`` has how many steps
    were made in each place.
    """

    mean_pause_seconds: ClassVar = {"fork": 0.002, "warm": 0.002, "forkserver": 0.01, "spawn": 0.1}
    """Between two kills: a process should have begun to do something before it is killed."""

    def __init__(self, method: str, step: Callable[[Any, int], None], things: Any) -> None:
        self.method, self.step, self.things = method, step, things
        self.processes = [self.start(place) for place in range(len(things.progress))]
        self.seen = [(0, time.monotonic())] * len(self.processes)

    def start(self, place: int) -> Any:
        """Have a process in a place."""
        process = mp.get_context(self.method).Process(target=_work, args=(self.step, self.things, place), daemon=True)
        process.start()
        return process

    def kill(self, place: int) -> None:
        """Kill one, wherever it is."""
        process = self.processes[place]
        process.kill()
        process.join(HANG_LIMIT_SECONDS)
        assert process.exitcode == -signal.SIGKILL, f"it ended before it was killed: {process.exit_reason}"
        process.close()

    def replace(self, place: int) -> None:
        """Have another one in the place of one that was killed."""
        self.processes[place] = self.start(place)
        self.seen[place] = (self.things.progress[place], time.monotonic())

    def shoot(self, kills: int) -> None:
        """Kill and replace so many, at random times."""
        for _ in range(kills):
            sentinels = [process.sentinel for process in self.processes]
            dead = connection.wait(sentinels, random.expovariate(1 / self.mean_pause_seconds[self.method]))
            assert not dead, f"ended by itself: {[p.exit_reason for p in self.processes if p.sentinel in dead]}"
            self.look()
            place = random.randrange(len(self.processes))
            self.kill(place)
            self.replace(place)

    def look(self) -> None:
        """See that nobody stands still."""
        now = time.monotonic()
        for place, (progress, since) in enumerate(self.seen):
            if self.things.progress[place] != progress:
                self.seen[place] = (self.things.progress[place], now)
            elif now - since > HANG_LIMIT_SECONDS:
                for process in self.processes:
                    os.kill(process.pid, signal.SIGUSR1)
                time.sleep(1)  # they write their stacks
                sys.exit(f"the worker in place {place} has stood still for {HANG_LIMIT_SECONDS} s")


def blocks() -> tuple[int, ...]:
    """Walk the heap: live blocks, objects, their bytes, large spans. Raises when the arena's own say otherwise."""
    gc.collect()
    _core.sweep_arena()
    return tuple(_core.arena_account()[:4])
