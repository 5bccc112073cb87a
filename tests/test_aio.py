"""Calls that are awaited: without threads, and cancelled with their awaits."""

from __future__ import annotations

import asyncio
import itertools
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import allcores as mp
import pytest
from allcores import aio
from running import guarded, program, run
from tasks import Unreadable, killed, leave, raise_it, square, unpicklable

HANG_LIMIT_SECONDS = 30
_T = TypeVar("_T")


def within_limit(main: Callable[[], Awaitable[_T]]) -> _T:
    """Run a coroutine in a loop of its own."""

    async def limited() -> _T:
        return await asyncio.wait_for(main(), HANG_LIMIT_SECONDS)

    return asyncio.run(limited())


def note_and_wait(folder: Path, name: str) -> None:
    (folder / name).touch()
    time.sleep(HANG_LIMIT_SECONDS)


async def until_there(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.001)


async def works(pool: aio.Pool) -> bool:
    results = await asyncio.gather(*(pool.run(square, number) for number in range(20)))
    return results == [square(number) for number in range(20)]


def test_calls_are_awaited_without_any_thread(method: str) -> None:
    async def main() -> None:
        threads = threading.active_count()
        async with aio.Pool(2, start_method=method) as pool:
            assert await pool.run(square, 3) == 9
            assert await pool.run(pow, 2, exp=5) == 32
            assert await works(pool)
            assert [result async for result in pool.map(square, range(500))] == [n * n for n in range(500)]
            assert [result async for result in pool.map(pow, [2, 3], [4, 5])] == [16, 243]
            unordered = [result async for result in pool.map(square, range(500), ordered=False)]
            assert sorted(unordered) == [n * n for n in range(500)]
            assert [result async for result in pool.map(square, [])] == []
            assert threading.active_count() == threads

    within_limit(main)


def test_the_loop_s_own_pool_ends_with_it(tmp_path: Path) -> None:
    source = guarded(
        "import asyncio, os\nfrom allcores import aio\n",
        """
async def main():
    print(await aio.run(abs, -3))
    print([result async for result in aio.map(abs, [-1, 2])])
    print(await aio.run(os.getpid))

for _ in range(2):
    asyncio.run(main())
""",
    )
    outcome = run([sys.executable, "-W", "error", program(tmp_path, source)])
    assert outcome.err == ""
    lines = outcome.out.splitlines()
    assert lines[:2] == lines[3:5] == ["3", "[1, 2]"]
    for pid in map(int, (lines[2], lines[5])):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_loop_that_waits_uses_no_cpu() -> None:
    async def main() -> float:
        async with aio.Pool(2, start_method="fork") as pool:
            await works(pool)
            before = time.process_time()
            await pool.run(time.sleep, 1)
            return time.process_time() - before

    assert within_limit(main) < 0.5  # not a matter of speed: a loop that is always awake uses all of it


def test_cancelling_the_await_stops_the_call_and_no_other_one(method: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with aio.Pool(2, start_method=method) as pool:
            this = asyncio.ensure_future(pool.run(note_and_wait, tmp_path, "this"))
            other = asyncio.ensure_future(pool.run(time.sleep, 0.3))
            await until_there(tmp_path / "this")
            waiting = [asyncio.ensure_future(pool.run(note_and_wait, tmp_path, str(n))) for n in range(20)]
            await asyncio.sleep(0)
            for task in [*waiting, this]:
                task.cancel()
            assert [type(error) for error in await asyncio.gather(this, *waiting, return_exceptions=True)] == [
                asyncio.CancelledError
            ] * 21
            assert await other is None
            assert await works(pool)
            assert {path.name for path in tmp_path.iterdir()} <= {"this", "0"}

    within_limit(main)


def test_a_time_limit_is_that_of_asyncio(method: str) -> None:
    async def main() -> None:
        async with aio.Pool(1, start_method=method) as pool:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(pool.run(time.sleep, HANG_LIMIT_SECONDS), 0.05)
                assert await pool.run(square, 3) == 9

    within_limit(main)


@pytest.mark.parametrize("ordered", [True, False])
def test_map_reads_ahead_by_the_window_and_cancels_what_nobody_takes(ordered: bool) -> None:
    async def main() -> None:
        last = 0

        def items() -> Iterator[int]:
            nonlocal last
            while True:
                last += 1
                yield last

        async with aio.Pool(2) as pool:
            results: Any = pool.map(square, items(), ordered=ordered, window=5)
            taken = [await anext(results) for _ in range(10)]
            assert last <= 15 and set(taken) <= {n * n for n in range(1, 16)}
            await results.aclose()
            assert pool._engine is not None
            while pool._engine.pending:
                await asyncio.sleep(0.001)
            assert await works(pool)

    within_limit(main)


@pytest.mark.parametrize("ordered", [True, False])
def test_the_first_error_ends_a_map(ordered: bool) -> None:
    async def main() -> None:
        async with aio.Pool(2) as pool:
            with pytest.raises(ZeroDivisionError):
                async for _ in pool.map(divmod, itertools.count(9), [3, 2, 1, 0, 5], ordered=ordered):
                    pass
            assert await works(pool)

    within_limit(main)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((killed, signal.SIGKILL), mp.WorkerDiedError),
        ((leave, 0), mp.WorkerDiedError),
        ((raise_it, SystemExit, 3), SystemExit),
        ((raise_it, ValueError, 3), ValueError),
        ((unpicklable,), TypeError),
        ((Unreadable,), LookupError),
        ((square, Unreadable()), LookupError),
        ((square, threading.Lock()), (TypeError, pickle.PicklingError)),
    ],
    ids=str,
)
def test_what_happens_to_a_call_is_told_and_the_pool_works_on(method: str, arguments: Any, error: Any) -> None:
    async def main() -> None:
        async with aio.Pool(2, start_method=method) as pool:
            for _ in range(2):
                with pytest.raises(error):
                    await pool.run(*arguments)
                assert await works(pool)

    within_limit(main)


def test_idle_workers_that_are_killed_are_replaced(method: str) -> None:
    async def main() -> None:
        async with aio.Pool(2, start_method=method) as pool:
            assert await works(pool)
            assert pool._engine is not None
            for process in list(pool._engine.crew.processes):
                os.kill(process.pid, signal.SIGKILL)
            assert await works(pool)

    within_limit(main)


def test_an_initializer_that_raises_fails_all_calls(method: str) -> None:
    async def main() -> None:
        async with aio.Pool(2, initializer=raise_it, initargs=(ValueError, "no"), start_method=method) as pool:
            for _ in range(2):
                with pytest.raises(mp.InitializerError, match="ValueError: no"):
                    await pool.run(square, 1)

    within_limit(main)


@pytest.mark.parametrize("method", ["warm", "spawn"])
def test_workers_are_replaced_after_so_many_calls(method: str) -> None:
    async def main() -> None:
        async with aio.Pool(1, max_tasks_per_worker=2, start_method=method) as pool:
            pids = [await pool.run(os.getpid) for _ in range(6)]
        assert len(set(pids)) == 3

    within_limit(main)


def test_a_pool_that_is_closed_fails_what_is_not_done_and_ends_its_workers(method: str, tmp_path: Path) -> None:
    async def main() -> None:
        pool = aio.Pool(2, start_method=method)
        running = asyncio.ensure_future(pool.run(note_and_wait, tmp_path, "this"))
        await until_there(tmp_path / "this")
        assert pool._engine is not None
        pids = [process.pid for process in pool._engine.crew.processes]
        await pool.aclose()
        with pytest.raises(mp.PoolTerminatedError):
            await running
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        with pytest.raises(RuntimeError, match="closed"):
            await pool.run(square, 1)
        await pool.aclose()

    within_limit(main)


def test_a_pool_belongs_to_one_loop() -> None:
    pool = aio.Pool(1)

    async def use() -> int:
        return await pool.run(square, 3)

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(use()) == 9
    with pytest.raises(RuntimeError, match="one for each loop"):
        within_limit(use)
    loop.run_until_complete(pool.aclose())
    loop.close()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: aio.Pool(0), ValueError),
        (lambda: aio.Pool(initializer=3), TypeError),  # type: ignore[arg-type]
        (lambda: aio.Pool(start_method="nonsense"), ValueError),
        (lambda: aio.Pool().map(square), TypeError),
        (lambda: aio.Pool().map(square, [1], window=0), ValueError),
    ],
)
def test_what_cannot_be_is_an_error_at_once(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_a_program_that_is_interrupted_ends_with_its_workers(tmp_path: Path) -> None:
    source = guarded(
        "import asyncio, os, signal, time\nfrom allcores import aio\n\n\n"
        "def slow():\n    os.write(1, b'%d\\n' % os.getpid())\n    time.sleep(60)\n",
        """
async def main():
    task = asyncio.ensure_future(aio.run(slow))
    await asyncio.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)
    await task

asyncio.run(main())
""",
    )
    outcome = run([sys.executable, program(tmp_path, source)])
    assert outcome.status == -signal.SIGINT and outcome.err.rstrip().endswith("KeyboardInterrupt")
    with pytest.raises(ProcessLookupError):
        os.kill(int(outcome.out), 0)


async def _typed(pool: aio.Pool) -> AsyncIterator[str]:
    number: int = await pool.run(square, 3)
    async for text in pool.map(str, [number]):
        yield text


def test_a_loop_that_is_closed_with_calls_on_their_way_is_no_trouble_at_the_end(tmp_path: Path) -> None:
    definitions = "import asyncio, time\nfrom allcores import aio"
    main = """
loop = asyncio.new_event_loop()
task = loop.create_task(aio.run(time.sleep, 60))
loop.run_until_complete(asyncio.sleep(0.5))
loop.close()
print("closed")
"""
    done = run([sys.executable, program(tmp_path, guarded(definitions, main))])
    assert (done.out, done.status) == ("closed\n", 0)
    assert "Traceback" not in done.err, done.err
