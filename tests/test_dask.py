"""dask's scheduler of processes on allcores' pools and executors, and under `allcores run`."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import allcores
import dask
import pytest
from running import ALLCORES, guarded, program, run

HANG_LIMIT_SECONDS = 120


def next_of(number: int) -> tuple[int, int]:
    return number + 1, os.getpid()


def die_of_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def computed(function: Callable[[int], Any], count: int) -> tuple[Any, ...]:
    calls = [dask.delayed(function)(number) for number in range(count)]
    results: tuple[Any, ...] = dask.compute(*calls)
    return results


@pytest.mark.parametrize("kind", [allcores.Pool, allcores.ProcessPoolExecutor])
def test_the_scheduler_of_processes_takes_our_pools(kind: Any) -> None:
    with kind(2) as pool, dask.config.set(pool=pool, scheduler="processes"):
        for _ in range(2):
            results = computed(next_of, 50)
            assert [number for number, _ in results] == list(range(1, 51))
            workers = pool._pool if kind is allcores.Pool else pool._processes.values()
            assert {pid for _, pid in results} <= {worker.pid for worker in workers}
        with pytest.raises(allcores.WorkerDiedError, match="SIGKILL"):
            computed(die_of_three, 6)
        assert computed(die_of_three, 3) == (0, 1, 2)


@pytest.mark.parametrize("method", ["fork", "warm"])
def test_what_it_makes_itself_is_ours_after_install(method: str, tmp_path: Path) -> None:
    definitions = """
import allcores, dask, multiprocessing

def doubled(number):
    return 2 * number, type(multiprocessing.current_process()).__module__.split(".")[0]
"""
    main = """
calls = [dask.delayed(doubled)(number) for number in range(20)]
results = dask.compute(*calls, scheduler="processes", num_workers=2)
assert dask.multiprocessing.ProcessPoolExecutor is allcores.ProcessPoolExecutor
print(sum(result for result, _ in results), {whose for _, whose in results})
"""
    path = program(tmp_path, guarded(definitions, main))
    outcome = run([*ALLCORES, "--start-method", method, path], hang_limit_seconds=HANG_LIMIT_SECONDS)
    assert (outcome.status, outcome.out, outcome.err) == (0, "380 {'allcores'}\n", "")
