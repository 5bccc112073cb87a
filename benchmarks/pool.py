"""Pools side by side: the standard library's and allcores', each of 2 workers, by fork unless it says so.

    python benchmarks/pool.py [PART OF A TITLE]

Rounds are interleaved; a ratio is how many times the time of allcores. What is owed is at the end of each title.
"""

from __future__ import annotations

import concurrent.futures
import gc
import multiprocessing
import random
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import Any

import allcores
import numpy
from harness import machine, measure

WORKERS = 2
ROUNDS, START_ROUNDS, SETTLING_SECONDS = 9, 41, 0.05
CALLS, TRIPS, ITEMS = 20_000, 300, 200_000
SKEWED, SHORT_SECONDS, LONG_SECONDS, LONG_SHARE = 2000, 0.0002, 0.02, 0.02
ARRAYS, ARRAY_BYTES = 64, 8_000_000
PACKAGES: dict[str, Any] = {"allcores": allcores, "standard": multiprocessing}


def add_one(number: int) -> int:
    """Be a task that is hardly one."""
    return number + 1


def spin(seconds: float) -> None:
    """Use the CPU for so long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def total(array: Any) -> float:
    """Read all of an array."""
    return float(array[:: 4096 // 8].sum())


def ones(_: int) -> Any:
    """Make an array."""
    return numpy.ones(ARRAY_BYTES // 8)


def timed(call: Callable[[], object]) -> float:
    """Return how long a call takes, in seconds."""
    gc.collect()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def calls(pool: Any) -> float:
    """Call many times, and get all results."""

    def call() -> None:
        results = [pool.apply_async(add_one, (number,)) for number in range(CALLS)]
        assert [result.get() for result in results] == list(range(1, CALLS + 1))

    return timed(call)


def submits(executor: Any) -> float:
    """Submit many calls, and get all results."""

    def call() -> None:
        futures = [executor.submit(add_one, number) for number in range(CALLS)]
        assert [future.result() for future in futures] == list(range(1, CALLS + 1))

    return timed(call)


def completions(executor: Any) -> float:
    """Submit many calls, and take futures as they are done."""

    def call() -> None:
        futures = [executor.submit(add_one, number) for number in range(CALLS)]
        assert sum(1 for _ in concurrent.futures.as_completed(futures)) == CALLS

    return timed(call)


def round_trips(executor: Any) -> float:
    """Submit one call after the other; the seconds of one call."""
    return timed(lambda: [executor.submit(add_one, number).result() for number in range(TRIPS)]) / TRIPS


def trips(pool: Any) -> float:
    """Call one after the other; the seconds of one call."""
    return timed(lambda: [pool.apply(add_one, (number,)) for number in range(TRIPS)]) / TRIPS


def mapped(pool: Any, **how: Any) -> float:
    """Map over small items."""
    items = list(range(ITEMS))
    return timed(lambda: pool.map(add_one, items, **how))


def mapped_range(pool: Any) -> float:
    """Map over a range."""
    return timed(lambda: pool.map(add_one, range(ITEMS)))


def unordered(pool: Any) -> float:
    """Iterate over results of small items as they come."""

    def call() -> None:
        assert sum(1 for _ in pool.imap_unordered(add_one, range(ITEMS))) == ITEMS

    return timed(call)


def skewed(pool: Any, *, in_order: bool) -> float:
    """Do tasks few of which are long; the time beyond what 2 CPUs would take at best, as a ratio."""
    durations = [LONG_SECONDS if number < LONG_SHARE * SKEWED else SHORT_SECONDS for number in range(SKEWED)]
    random.Random(6).shuffle(durations)
    call = partial(pool.map, spin, durations) if in_order else lambda: list(pool.imap_unordered(spin, durations))
    return timed(call) / (sum(durations) / WORKERS)


def arrays_in(pool: Any) -> float:
    """Send arrays, and get their sums."""
    array = numpy.ones(ARRAY_BYTES // 8)
    return timed(lambda: pool.map(total, [array] * ARRAYS, chunksize=1))


def element(array: Any, index: int) -> float:
    """Read a little of an array that all tasks have."""
    return float(array[index])


def array_for_all(pool: Any) -> float:
    """Give all tasks the same array, by a partial."""
    array = numpy.ones(ARRAY_BYTES // 8)
    return timed(lambda: pool.map(partial(element, array), range(ARRAYS), chunksize=1))


def arrays_out(pool: Any) -> float:
    """Get arrays, and drop them as they come."""

    def call() -> None:
        for array in pool.imap_unordered(ones, range(ARRAYS)):
            assert array.nbytes == ARRAY_BYTES

    return timed(call)


def first_result(package: Any, method: str) -> float:
    """Make a pool and have its first result; the end of it is not counted."""
    began = time.perf_counter()
    pool = package.get_context(method).Pool(WORKERS)
    pool.apply(add_one, (1,))
    seconds = time.perf_counter() - began
    pool.close()
    pool.join()
    return seconds


def the_end(package: Any, method: str) -> float:
    """Close a pool and join it, when what its start has left to be done is done: spares that are forked, for one."""
    pool = package.get_context(method).Pool(WORKERS)
    pool.apply(add_one, (1,))
    time.sleep(SETTLING_SECONDS)

    def call() -> None:
        pool.close()
        pool.join()

    return timed(call)


def crowd(workers: int) -> float:
    """Do tasks of 1 ms of CPU with so many workers."""
    with allcores.get_context("fork").Pool(workers) as pool:
        pool.map(spin, [0.001] * workers * 2, chunksize=1)
        return timed(lambda: pool.map(spin, [0.001] * 1000, chunksize=1))


@contextmanager
def pools() -> Any:
    """Have a pool of each package."""
    made = {name: package.get_context("fork").Pool(WORKERS) for name, package in PACKAGES.items()}
    yield made
    for pool in made.values():
        pool.close()
        pool.join()


@contextmanager
def executors() -> Any:
    """Have an executor of each package."""
    with (
        allcores.ProcessPoolExecutor(WORKERS, "fork") as ours,
        concurrent.futures.ProcessPoolExecutor(WORKERS, multiprocessing.get_context("fork")) as standard,
    ):
        yield {"allcores": ours, "standard": standard}


IN_POOLS: dict[str, Callable[[Any], float]] = {
    f"{CALLS} apply_async, all results (owed: 8)": calls,
    "apply, one call (owed: 8)": trips,
    f"map of x + 1 over {ITEMS} ints (owed: 1.5)": mapped,
    f"map of x + 1 over a range of {ITEMS}": mapped_range,
    f"map of x + 1 over {ITEMS} ints, chunksize=1 (owed: 8)": partial(mapped, chunksize=1),
    f"imap_unordered of x + 1 over {ITEMS} ints": unordered,
    f"{SKEWED} skewed tasks, map: times 1/1000 of the ideal (owed: 1060)": partial(skewed, in_order=True),
    f"{SKEWED} skewed tasks, imap_unordered: times 1/1000 of the ideal (owed: 1100)": partial(skewed, in_order=False),
    f"{ARRAYS} arrays of {ARRAY_BYTES // 10**6} MB to workers (owed: 10)": arrays_in,
    f"{ARRAYS} tasks with the same array of {ARRAY_BYTES // 10**6} MB, by partial": array_for_all,
    f"{ARRAYS} arrays of {ARRAY_BYTES // 10**6} MB from workers (owed: 10)": arrays_out,
}
IN_EXECUTORS: dict[str, Callable[[Any], float]] = {
    f"{CALLS} submits, all results (owed: 20)": submits,
    f"{CALLS} submits, as_completed": completions,
    "submit and result, one call": round_trips,
    f"map of an executor, x + 1 over {CALLS} ints": lambda executor: timed(
        lambda: list(executor.map(add_one, range(CALLS)))
    ),
}
STARTS: dict[str, Callable[[Any, str], float]] = {
    "from making a pool to its first result (owed: 2 to fork, 10 to spawn)": first_result,
    "close and join (owed: 1 to fork)": the_end,
}


def main(wanted: str) -> int:
    """Measure and print."""
    print(machine())
    with pools() as made:
        for title, task in IN_POOLS.items():
            if wanted in title:
                contest = measure({name: partial(task, pool) for name, pool in made.items()}, ROUNDS)
                print(f"\n{title}, {ROUNDS} rounds\n{contest.table('allcores')}", flush=True)
    with executors() as made:
        for title, task in IN_EXECUTORS.items():
            if wanted in title:
                contest = measure({name: partial(task, executor) for name, executor in made.items()}, ROUNDS)
                print(f"\n{title}, {ROUNDS} rounds\n{contest.table('allcores')}", flush=True)
    for title, start in STARTS.items():
        if wanted in title:
            contestants = {f"std {method}": partial(start, multiprocessing, method) for method in ("fork", "spawn")}
            contestants |= {method: partial(start, allcores, method) for method in ("fork", "warm")}
            contest = measure(contestants, START_ROUNDS)
            print(f"\n{title}, {START_ROUNDS} rounds\n{contest.table('warm')}", flush=True)
    title = "1000 tasks of 1 ms with 64 workers and with 2 (owed: 0.9)"
    if wanted in title:
        contest = measure({"64 workers": partial(crowd, 64), "2 workers": partial(crowd, 2)}, ROUNDS // 2)
        print(f"\n{title}, {ROUNDS // 2} rounds\n{contest.table('64 workers')}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
