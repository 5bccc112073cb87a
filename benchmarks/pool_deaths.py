"""How soon a pool tells of what happens to a worker: from the call to its outcome, by start method.

    python benchmarks/pool_deaths.py

Owed: under a second, each time. The pool is used again after each.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import allcores
from harness import machine

ROUNDS = 25
METHODS = ("fork", "warm", "forkserver", "spawn")


def kill(number: int) -> None:
    """End this worker by a signal."""
    os.kill(os.getpid(), number)


def crash() -> None:
    """Read where nothing is."""
    faulthandler.disable()
    ctypes.string_at(0)


def leave() -> None:
    """End this worker without a word."""
    os._exit(0)


def fails(function: Callable[..., object], *arguments: object) -> Callable[[Any], None]:
    """Return a row: a task that ends its worker."""

    def row(pool: Any) -> None:
        try:
            pool.apply(function, arguments)
        except allcores.WorkerDiedError:
            return
        raise AssertionError("it lives")

    return row


def idle_killed(pool: Any) -> None:
    """Be a row: all workers are killed, and then one is needed."""
    for process in list(pool._pool):
        process.kill()
    assert pool.apply(abs, (-1,)) == 1


ROWS: dict[str, Callable[[Any], None]] = {
    "a task's worker is SIGKILLed": fails(kill, signal.SIGKILL),
    "a task's worker crashes": fails(crash),
    "os._exit(0) in a task": fails(leave),
    "idle workers SIGKILLed, then a task": idle_killed,
}


def main() -> int:
    """Measure and print."""
    print(machine())
    print(f"\nfrom the call to the outcome, ms, {ROUNDS} times each: median, longest")
    for title, row in ROWS.items():
        print(f"{title:40}", end="")
        for method in METHODS:
            seconds = []
            with allcores.get_context(method).Pool(2) as pool:
                for _ in range(ROUNDS):
                    pool.map(abs, range(4), chunksize=1)
                    began = time.perf_counter()
                    row(pool)
                    seconds.append(time.perf_counter() - began)
            print(f"{method:>12}{statistics.median(seconds) * 1e3:7.1f}{max(seconds) * 1e3:8.1f}", end="", flush=True)
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
