"""Large arguments of an executor's calls: so many bytes are on their way, the rest waits for room."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import allcores
import pytest
from allcores import aio
from allcores.futures import ProcessPoolExecutor
from running import METHODS, guarded, program, run
from test_pool_overflow import SIZE, die_once, note, wait_for_go

HANG_LIMIT_SECONDS = 60


@pytest.fixture
def executor() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2) as executor:
        yield executor


def assert_nothing_is_left(executor: ProcessPoolExecutor) -> None:
    backlog: Any = executor._engine.backlog  # type: ignore[union-attr]
    until_so = threading.Event()
    for _ in range(1000):
        if not backlog.is_used and backlog._room._sizes == {}:
            until_so.set()
            break
        until_so.wait(0.01)
    assert until_so.is_set(), (backlog._tasks, backlog._room._sizes)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("call", ["submit", "map", "as_completed"])
def test_what_does_not_fit_waits_and_all_of_it_is_done(method: str, call: str, tmp_path: Path) -> None:
    definitions = f"""
import allcores, concurrent.futures, os, time
def wait_for_go(data, number):
    while not os.path.exists("go"):
        time.sleep(0.01)
    return number, len(data)
SIZE = {SIZE}
"""
    main = f"""
with allcores.ProcessPoolExecutor(2, {method!r}) as executor:
    data = bytes(SIZE)
    if {call!r} == "map":
        results = executor.map(wait_for_go, [data] * 60, range(60))
    else:
        futures = [executor.submit(wait_for_go, data, number) for number in range(60)]
    open("go", "w").close()  # who had waited for room in the calls above would never have come here
    if {call!r} == "submit":
        results = [future.result() for future in futures]
    elif {call!r} == "as_completed":
        results = sorted(future.result() for future in concurrent.futures.as_completed(futures))
    assert list(results) == [(number, SIZE) for number in range(60)]
    assert executor.submit(len, data).result() == SIZE
    print("done")
"""
    command = ["env", "-C", tmp_path, "ALLCORES_ARENA_BYTES=150000000", sys.executable]
    outcome = run([*command, program(tmp_path, guarded(definitions, main))])
    assert (outcome.status, outcome.out, outcome.err) == (0, "done\n", "")


def test_they_are_done_in_their_order_and_small_ones_wait_their_turn(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1) as executor:
        first = executor.submit(wait_for_go, str(tmp_path), bytes(SIZE), 0)
        for number in range(30):
            executor.submit(note, str(tmp_path), bytes(SIZE if number % 3 else 1), number)
        (tmp_path / "go").touch()
        assert first.result(HANG_LIMIT_SECONDS) == (0, SIZE)
    assert (tmp_path / "order").read_text().split() == [str(number) for number in range(30)]


def test_what_waits_can_be_cancelled_and_what_cannot_be_pickled_fails(
    executor: ProcessPoolExecutor, tmp_path: Path
) -> None:
    arguments = str(tmp_path), bytes(SIZE)
    futures = [executor.submit(wait_for_go, *arguments, number) for number in range(20)]
    with open(os.devnull) as file:
        bad = executor.submit(wait_for_go, *arguments, file)  # type: ignore[arg-type]
        last = executor.submit(wait_for_go, *arguments, 20)
        for number in (4, 12, 19):
            assert futures[number].cancel()
        (tmp_path / "go").touch()
        with pytest.raises(TypeError, match="TextIOWrapper"):
            bad.result(HANG_LIMIT_SECONDS)
    for number, future in enumerate(futures):
        if number not in (4, 12, 19):
            assert future.result(HANG_LIMIT_SECONDS) == (number, SIZE)
    assert last.result(HANG_LIMIT_SECONDS) == (20, SIZE)
    assert_nothing_is_left(executor)


def test_all_that_is_on_its_way_may_be_cancelled_and_the_rest_goes_on(
    executor: ProcessPoolExecutor, tmp_path: Path
) -> None:
    busy = [executor.submit(wait_for_go, str(tmp_path), bytes(SIZE), number) for number in range(2)]
    futures = [executor.submit(len, bytes(SIZE)) for _ in range(20)]
    cancelled = [future for future in futures[:8] if future.cancel()]
    for future in busy:
        future.cancel(running=True)
    assert len(cancelled) >= 6
    assert not concurrent.futures.wait(futures, timeout=HANG_LIMIT_SECONDS).not_done
    assert [future.result() for future in futures if not future.cancelled()] == [SIZE] * (20 - len(cancelled))
    assert_nothing_is_left(executor)


def test_a_worker_that_dies_frees_the_room_of_its_call(executor: ProcessPoolExecutor, tmp_path: Path) -> None:
    futures = [executor.submit(die_once, str(tmp_path), bytes(SIZE), number) for number in range(30)]
    (tmp_path / "go").touch()
    for number, future in enumerate(futures):
        if number == 3:
            with pytest.raises(allcores.WorkerDiedError, match="SIGKILL"):
                future.result(HANG_LIMIT_SECONDS)
        else:
            assert future.result(HANG_LIMIT_SECONDS) == number
    assert_nothing_is_left(executor)


@pytest.mark.parametrize("end", ["shutdown", "kill_workers"])
def test_an_executor_ends_with_calls_that_wait(end: str, tmp_path: Path) -> None:
    executor = ProcessPoolExecutor(2)
    futures = [executor.submit(wait_for_go, str(tmp_path), bytes(SIZE), number) for number in range(20)]
    if end == "shutdown":
        executor.shutdown(wait=False, cancel_futures=True)
        (tmp_path / "go").touch()
    else:
        executor.kill_workers()
    assert not concurrent.futures.wait(futures, timeout=HANG_LIMIT_SECONDS).not_done
    executor.shutdown()
    assert all(future.cancelled() for future in futures[4:])


def test_pickling_what_waits_may_use_the_executor(executor: ProcessPoolExecutor, tmp_path: Path) -> None:
    futures = [executor.submit(wait_for_go, str(tmp_path), bytes(SIZE), number) for number in range(10)]
    asking = executor.submit(len, Asking(executor))  # type: ignore[arg-type]
    (tmp_path / "go").touch()
    assert [future.result(HANG_LIMIT_SECONDS) for future in futures] == [(number, SIZE) for number in range(10)]
    assert asking.result(HANG_LIMIT_SECONDS) == 3
    assert_nothing_is_left(executor)


class Asking:
    """What uses an executor while it is pickled."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self.executor = executor

    def __reduce__(self) -> Any:
        self.executor.submit(len, "").cancel()
        return str, ("abc",)


def test_calls_in_an_event_loop_wait_for_room_too(tmp_path: Path) -> None:
    async def main() -> list[Any]:
        async with aio.Pool(2) as pool:
            calls = [asyncio.ensure_future(pool.run(wait_for_go, str(tmp_path), bytes(SIZE), n)) for n in range(30)]
            await asyncio.sleep(0)
            assert pool._engine is not None and pool._engine.backlog.is_full()
            (tmp_path / "go").touch()
            return await asyncio.wait_for(asyncio.gather(*calls), HANG_LIMIT_SECONDS)

    assert asyncio.run(main()) == [(number, SIZE) for number in range(30)]
