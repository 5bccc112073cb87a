"""What programs do with ``ProcessPoolExecutor``, beyond what CPython's own tests look at."""

from __future__ import annotations

import concurrent.futures
import gc
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import allcores as mp
import numpy
import pytest
from allcores.futures import Future, ProcessPoolExecutor
from running import ALLCORES, MODES, guarded, program, run
from tasks import both, note_and_wait, note_and_wait_for, pid, square

HANG_LIMIT_SECONDS = 30


@pytest.fixture
def executor(method: str) -> Iterator[ProcessPoolExecutor]:
    """One of two workers, of each start method in turn."""
    with ProcessPoolExecutor(2, mp_context=method) as executor:
        yield executor


@pytest.fixture
def forked() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context="fork") as executor:
        yield executor


def until_there(path: Path) -> None:
    limit = time.monotonic() + HANG_LIMIT_SECONDS
    while not path.exists():
        assert time.monotonic() < limit
        os.sched_yield()


def until_running(future: Future) -> None:
    limit = time.monotonic() + HANG_LIMIT_SECONDS
    while not future.running():
        assert time.monotonic() < limit and not future.done()
        os.sched_yield()


def test_calls_of_every_kind(executor: ProcessPoolExecutor) -> None:
    number = 5
    assert executor.submit(both, 1, other=2).result() == (1, 2)
    assert executor.submit(lambda other: other + number, 1).result() == 6
    assert executor.submit(dict, self=1, fn=2).result() == {"self": 1, "fn": 2}
    assert list(executor.map(square, range(100), chunksize=7)) == [square(number) for number in range(100)]
    assert list(executor.map(both, [1, 2, 3], "ab")) == [(1, "a"), (2, "b")]
    assert list(executor.map(square, [])) == []
    futures = [executor.submit(square, number) for number in range(3000)]
    assert [future.result() for future in futures] == [square(number) for number in range(3000)]
    array = numpy.arange(100_000)
    assert (executor.submit(numpy.negative, array).result() == -array).all()


def test_futures_are_those_of_the_standard_library(forked: ProcessPoolExecutor) -> None:
    assert isinstance(forked, concurrent.futures.ProcessPoolExecutor)
    future = forked.submit(square, 3)
    assert isinstance(future, concurrent.futures.Future) and type(future) is Future
    assert future.result() == 9 and future.done() and not future.running() and not future.cancelled()
    assert future.exception() is None and not future.cancel() and not future.cancel(running=True)
    assert "state=finished returned int" in repr(future)
    futures = [forked.submit(square, number) for number in range(50)]
    assert {future.result() for future in concurrent.futures.as_completed(futures)} == {n * n for n in range(50)}
    assert concurrent.futures.wait([forked.submit(square, 1)]).not_done == set()
    with pytest.raises(TimeoutError):
        forked.submit(time.sleep, 0.5).result(0.01)
    with pytest.raises(concurrent.futures.TimeoutError):
        forked.submit(time.sleep, 0.5).exception(0)


def test_a_future_that_nobody_waits_for_resolves_and_lets_its_arguments_go(forked: ProcessPoolExecutor) -> None:
    class Big:
        def __reduce__(self) -> Any:
            return int, ()

    gone = threading.Event()
    big = Big()
    weakref.finalize(big, gone.set)
    future = forked.submit(square, big)
    del big
    assert gone.wait(HANG_LIMIT_SECONDS)
    assert future._state == "FINISHED"


def test_callbacks_are_called_by_another_thread_and_may_use_the_executor(executor: ProcessPoolExecutor) -> None:
    called: list[tuple[int, int]] = []
    done = threading.Event()

    def call(future: Future) -> None:
        again = executor.submit(square, future.result()).result()
        called.append((again, threading.get_ident()))
        done.set()

    executor.submit(time.sleep, 0.05).add_done_callback(lambda _: 1 / 0)
    future = executor.submit(square, 2)
    executor.submit(time.sleep, 0.01)
    future.add_done_callback(call)
    assert future.result() == 4
    assert done.wait(HANG_LIMIT_SECONDS)
    assert called[0][0] == 16
    late: list[Any] = []
    future.add_done_callback(late.append)
    assert late == [future]


def test_a_callback_may_wait_for_what_this_thread_has(forked: ProcessPoolExecutor) -> None:
    lock = threading.Lock()
    future = forked.submit(time.sleep, 0.02)
    future.add_done_callback(lambda _: lock.acquire() and lock.release())
    with lock:
        assert forked.submit(square, 3).result() == 9  # whoever collects does not call it


def test_many_threads_use_one_executor(forked: ProcessPoolExecutor) -> None:
    results: list[Any] = []

    def use(start: int) -> None:
        for number in range(start, start + 100):
            results.append(forked.submit(square, number).result() == square(number))

    threads = [threading.Thread(target=use, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_LIMIT_SECONDS)
    assert results == [True] * 400


# ---- workers


def test_workers_are_started_as_they_are_needed(method: str) -> None:
    with ProcessPoolExecutor(4, mp_context=method) as executor:
        assert executor._processes == {}
        for number in range(3):
            assert executor.submit(square, number).result() == square(number)
        assert len(executor._processes or ()) == (4 if method == "fork" else 1)
        concurrent.futures.wait([executor.submit(time.sleep, 0.1) for _ in range(20)])
        assert len(executor._processes or ()) == 4


@pytest.mark.parametrize("name", ["fork", "spawn", "forkserver"])
def test_contexts_of_the_standard_library_stand_for_ours(name: str) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context(name)) as executor:
        assert executor._mp_context is mp.get_context(name)
        assert executor.submit(square, 3).result() == 9


def test_the_default_is_that_of_allcores() -> None:
    with ProcessPoolExecutor() as executor:
        assert executor._mp_context.get_start_method() == "warm" and executor._max_workers == mp.usable_cpus()


@pytest.mark.parametrize("method", ["spawn", "warm", "forkserver"])
def test_workers_are_replaced_after_so_many_calls(method: str) -> None:
    with ProcessPoolExecutor(1, mp.get_context(method), max_tasks_per_child=2) as executor:
        pids = [executor.submit(pid).result() for _ in range(6)]
    assert [len(set(pids[n : n + 2])) for n in (0, 2, 4)] == [1, 1, 1] and len(set(pids)) == 3


def initialize(value: int) -> None:
    global initialized
    initialized = value


def read_initialized() -> int:
    return initialized


def test_workers_are_initialized(method: str) -> None:
    with ProcessPoolExecutor(2, mp.get_context(method), initialize, (7,)) as executor:
        assert [executor.submit(read_initialized).result() for _ in range(4)] == [7] * 4


@pytest.mark.parametrize(
    ("keywords", "error", "says"),
    [
        ({"max_workers": 0}, ValueError, "greater than 0"),
        ({"max_workers": -1}, ValueError, "greater than 0"),
        ({"initializer": 3}, TypeError, "callable"),
        ({"max_tasks_per_child": 0}, ValueError, ">= 1"),
        ({"max_tasks_per_child": 1.5}, TypeError, "integer"),
        ({"max_tasks_per_child": 1, "mp_context": "fork"}, ValueError, "'fork'"),
        ({"mp_context": "nonsense"}, ValueError, "nonsense"),
        ({"on_worker_death": "weep"}, ValueError, "'heal' or 'break'"),
    ],
)
def test_what_cannot_be_is_an_error_at_once(keywords: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        ProcessPoolExecutor(**keywords)


# ---- map


def test_map_reads_and_sends_no_more_than_the_buffer(forked: ProcessPoolExecutor) -> None:
    read = itertools.count()
    last = 0

    def items() -> Iterator[int]:
        nonlocal last
        while True:
            last = next(read)
            yield last

    results = forked.map(square, items(), buffersize=4)
    assert [next(results) for _ in range(10)] == [square(number) for number in range(10)]
    assert last <= 14
    chunks = forked.map(square, itertools.count(), buffersize=2, chunksize=5)
    assert list(itertools.islice(chunks, 12)) == [square(number) for number in range(12)]
    results.close()  # type: ignore[attr-defined]  # a generator
    chunks.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("keywords", "error"),
    [({"chunksize": 0}, ValueError), ({"buffersize": 0}, ValueError), ({"buffersize": 1.0}, TypeError)],
)
def test_what_map_cannot_do_is_an_error_at_once(
    forked: ProcessPoolExecutor, keywords: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(keywords))):
        forked.map(square, [1], **keywords)


def test_map_has_a_time_limit_and_cancels_the_rest(forked: ProcessPoolExecutor, tmp_path: Path) -> None:
    names = [str(number) for number in range(20)]
    results = forked.map(note_and_wait, itertools.repeat(tmp_path), names, itertools.repeat(0.5), timeout=0.1)
    with pytest.raises(TimeoutError):
        list(results)
    forked.shutdown()
    assert len(list(tmp_path.iterdir())) < 10


# ---- cancelling


def block(executor: ProcessPoolExecutor, folder: Path, number: int) -> Future:
    """Have a worker wait for a file with the name 'end'."""
    future = executor.submit(note_and_wait_for, folder, f"blocking{number}", "end")
    until_there(folder / f"blocking{number}")
    return future


def test_what_is_cancelled_before_it_runs_never_runs(executor: ProcessPoolExecutor, tmp_path: Path) -> None:
    blocking = [block(executor, tmp_path, number) for number in range(2)]
    futures = [executor.submit(note_and_wait, tmp_path, str(number), 0) for number in range(100)]
    called: list[Any] = []
    futures[30].add_done_callback(called.append)
    assert not any(future.cancel() for future in blocking)
    assert all(future.running() and "state=running" in repr(future) for future in blocking)
    assert all(future.cancel() for future in futures[::3]) and all(future.cancelled() for future in futures[::3])
    assert all(future.cancel() for future in futures[::3])
    assert called == [futures[30]]
    with pytest.raises(concurrent.futures.CancelledError):
        futures[0].result()
    (tmp_path / "end").touch()
    more = [executor.submit(square, number) for number in range(50)]
    assert [future.result() for future in more] == [square(number) for number in range(50)]
    concurrent.futures.wait(futures)
    assert {int(path.name) for path in tmp_path.glob("[0-9]*")} == set(range(100)) - set(range(0, 100, 3))


def test_large_and_odd_arguments_survive_another_call_s_cancellation(
    executor: ProcessPoolExecutor, tmp_path: Path
) -> None:
    blocking = [block(executor, tmp_path, number) for number in range(2)]
    array, number = numpy.arange(100_000), 7
    arguments: list[Any] = [array, b"x" * 100_000, b"short", "text", {"a": [1]}, (1, 2.5), None]
    futures = [executor.submit(both, each, 1) for each in arguments]
    by_value = executor.submit(lambda: number)
    cancelled = executor.submit(square, 1)
    assert cancelled.cancel()
    (tmp_path / "end").touch()
    for argument, future in zip(arguments, futures, strict=True):
        returned, one = future.result()
        assert one == 1
        if argument is array:
            assert (returned == array).all()
        else:
            assert returned == argument
    assert by_value.result() == 7
    concurrent.futures.wait(blocking)


def test_who_waits_for_what_is_cancelled_hears_of_it(forked: ProcessPoolExecutor, tmp_path: Path) -> None:
    blocking = [block(forked, tmp_path, number) for number in range(2)]
    future = forked.submit(square, 2)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            future.result()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert future.cancel() and not any(each.done() for each in blocking)
    (tmp_path / "end").touch()
    for thread in threads:
        thread.join(HANG_LIMIT_SECONDS)
    assert [type(error) for error in errors] == [concurrent.futures.CancelledError] * 3
    assert concurrent.futures.wait([future], timeout=HANG_LIMIT_SECONDS).done == {future}


def test_a_running_call_is_stopped_and_no_other_one(executor: ProcessPoolExecutor, tmp_path: Path) -> None:
    other = executor.submit(note_and_wait, tmp_path, "other", 0.5)
    future = executor.submit(note_and_wait, tmp_path, "this")
    until_there(tmp_path / "this")
    assert not future.cancel()
    assert future.cancel(running=True)
    assert future.cancelled() and future.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()
    assert other.result() is None
    assert [executor.submit(square, number).result() for number in range(10)] == [n * n for n in range(10)]


def test_cancelling_running_calls_again_and_again(forked: ProcessPoolExecutor) -> None:
    for _ in range(20):
        futures = [forked.submit(time.sleep, HANG_LIMIT_SECONDS) for _ in range(2)]
        quick = [forked.submit(square, number) for number in range(10)]
        for future in futures:
            until_running(future)
        assert all(future.cancel(running=True) for future in futures)
        assert [future.result() for future in quick] == [n * n for n in range(10)]


def test_stopping_races_with_the_end_of_a_call(forked: ProcessPoolExecutor) -> None:
    outcomes = set()
    for number in range(200):
        future = forked.submit(square, number)
        others = [forked.submit(square, number) for _ in range(3)]
        outcomes.add(future.cancel(running=True))
        if not future.cancelled():
            assert future.result() == square(number)
        assert [other.result() for other in others] == [square(number)] * 3
    assert outcomes <= {True, False}


# ---- the end


def test_shutdown_finishes_what_was_sent_and_refuses_the_rest(method: str) -> None:
    executor = ProcessPoolExecutor(2, mp_context=method)
    futures = [executor.submit(time.sleep, 0.01) for _ in range(10)]
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(square, 1)
    executor.shutdown()
    assert all(future.done() for future in futures)
    assert executor._processes is None
    executor.shutdown(cancel_futures=True)


def test_shutdown_before_the_first_call() -> None:
    executor = ProcessPoolExecutor(2)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.map(square, [1])


def test_shutdown_cancels_what_has_not_begun(executor: ProcessPoolExecutor) -> None:
    futures = [executor.submit(time.sleep, 0.1) for _ in range(50)]
    executor.shutdown(cancel_futures=True)
    cancelled = [future for future in futures if future.cancelled()]
    assert len(cancelled) > 40 and all(future.done() for future in futures)
    assert [future.result() for future in futures if not future.cancelled()] == [None] * (50 - len(cancelled))


@pytest.mark.parametrize(("end", "sent"), [("terminate_workers", signal.SIGTERM), ("kill_workers", signal.SIGKILL)])
def test_workers_are_ended_at_once(method: str, end: str, sent: int, tmp_path: Path) -> None:
    executor = ProcessPoolExecutor(2, mp_context=method)
    running = [executor.submit(note_and_wait, tmp_path, str(number)) for number in range(2)]
    waiting = [executor.submit(square, 1) for _ in range(5)]
    for number in range(2):
        until_there(tmp_path / str(number))
    getattr(executor, end)()
    for future in running:
        error = future.exception(HANG_LIMIT_SECONDS)
        assert isinstance(error, mp.WorkerDiedError) and error.exit_code == -sent
    assert all(future.cancelled() for future in waiting)
    with pytest.raises(RuntimeError):
        executor.submit(square, 1)
    executor.shutdown()
    getattr(executor, end)()


def test_an_executor_that_nobody_has_ends_when_its_calls_are_done(method: str) -> None:
    executor = ProcessPoolExecutor(2, mp_context=method)
    future = executor.submit(pid)
    results = executor.map(square, range(5))
    thread = executor._executor_manager_thread
    assert thread is not None
    del executor
    gc.collect()
    thread.join(HANG_LIMIT_SECONDS)
    assert not thread.is_alive()
    assert list(results) == [0, 1, 4, 9, 16]
    with pytest.raises(ProcessLookupError):
        os.kill(future.result(), 0)


@pytest.mark.parametrize("end", ["terminate_workers", "kill_workers"])
def test_workers_that_are_ended_before_they_have_begun_leave_nothing_pending(method: str, end: str) -> None:
    for _ in range(5):
        executor = ProcessPoolExecutor(2, mp_context=method)
        futures = [executor.submit(square, number) for number in range(50)]
        getattr(executor, end)()
        executor.shutdown()
        assert all(future.done() for future in futures)


@pytest.mark.parametrize("shutdown", ["", "executor.shutdown(wait=False)", "del executor"])
def test_a_program_ends_when_its_calls_are_done(method: str, shutdown: str, tmp_path: Path) -> None:
    source = guarded(
        "import os, time\nimport allcores\n\n\n"
        "def slow(number):\n    time.sleep(0.2)\n    os.write(1, b'%d\\n' % number)\n",
        f"""
executor = allcores.ProcessPoolExecutor(2, {method!r})
for number in range(4):
    executor.submit(slow, number)
{shutdown}
""",
    )
    outcome = run([sys.executable, program(tmp_path, source)])
    assert (outcome.status, outcome.err) == (0, "")
    assert sorted(outcome.out.split()) == ["0", "1", "2", "3"]


def test_nothing_is_submitted_at_the_interpreter_s_end(tmp_path: Path) -> None:
    source = guarded(
        "import atexit\nimport allcores\n",
        """
executor = allcores.ProcessPoolExecutor(1)
executor.submit(int).result()
atexit.register(lambda: executor.submit(int))
""",
    )
    outcome = run([sys.executable, program(tmp_path, source)])
    assert "RuntimeError: cannot schedule new futures after" in outcome.err


def test_a_forked_child_has_no_use_for_its_copy_and_does_no_harm(forked: ProcessPoolExecutor) -> None:
    futures = [forked.submit(time.sleep, 0.3) for _ in range(2)]
    asked = forked.submit(square, 5)
    asked.add_done_callback(lambda _: None)
    process = mp.get_context("fork").Process(target=use_copy, args=(forked, [*futures, asked]))
    process.start()
    process.join(HANG_LIMIT_SECONDS)
    assert process.exitcode == 0
    assert [future.result() for future in futures] == [None, None] and asked.result() == 25
    assert [forked.submit(square, number).result() for number in range(5)] == [0, 1, 4, 9, 16]


def use_copy(executor: ProcessPoolExecutor, futures: list[Future]) -> None:
    with pytest.raises(RuntimeError, match="make another one here"):
        executor.submit(square, 1)
    for future in futures:
        assert isinstance(future.exception(), RuntimeError)
    executor.kill_workers()
    executor.shutdown(cancel_futures=True)
    with ProcessPoolExecutor(1) as another:
        assert another.submit(square, 3).result() == 9


UNMODIFIED = """
import asyncio, os
from concurrent.futures import ProcessPoolExecutor, as_completed


def square(number):
    return number * number


async def main(executor):
    loop = asyncio.get_running_loop()
    print(await asyncio.gather(*(loop.run_in_executor(executor, square, number) for number in range(5))))
    endless = loop.run_in_executor(executor, square, 3)
    print(await asyncio.wait_for(endless, 30))


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as executor:
        print(sorted(future.result() for future in as_completed(executor.submit(square, n) for n in range(5))))
        asyncio.run(main(executor))
        try:
            executor.submit(os._exit, 3).result()
        except Exception as error:
            print(type(error).__name__)
        print(type(executor).__module__)
"""


@pytest.mark.parametrize("mode", MODES)
def test_a_program_of_the_standard_library_gets_ours(mode: str, tmp_path: Path) -> None:
    outcome = run([*ALLCORES, *MODES[mode], program(tmp_path, UNMODIFIED)])
    assert outcome.err == ""
    assert outcome.out.splitlines() == [*["[0, 1, 4, 9, 16]"] * 2, "9", "WorkerDiedError", "allcores.futures"]


def test_workers_have_executors_of_their_own(executor: ProcessPoolExecutor) -> None:
    assert executor.submit(nested).result(HANG_LIMIT_SECONDS) == [0, 1, 4]


def nested() -> list[int]:
    assert not multiprocessing.current_process().daemon
    with ProcessPoolExecutor(1) as executor:
        return list(executor.map(square, range(3)))
