"""`allcores.map`: what comes of each item, whatever becomes of its task, and nothing stays."""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import allcores as mp
import pytest
from allcores._pool.overdue import Timekeeper, overdue
from running import METHODS, guarded, program, run

HANG_LIMIT_SECONDS = 60


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def no_process_stays() -> Iterator[None]:
    before = set(mp.active_children())
    yield
    gc.collect()
    assert set(mp.active_children()) - before == set()


def square(number: int) -> int:
    return number * number


def pid_of_worker(_: object = None) -> int:
    return os.getpid()


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def note(folder: str, number: int) -> None:
    """Note a run, by a byte."""
    with open(Path(folder, str(number)), "ab") as file:
        file.write(b".")


def noted(folder: Path, number: int) -> int:
    file = folder / str(number)
    return file.stat().st_size if file.exists() else 0


# ---- results


def test_results_come_in_the_order_of_the_items(method: str) -> None:
    assert list(mp.map(square, range(300), workers=2, start_method=method)) == [n * n for n in range(300)]


def test_the_shortest_iterable_ends_it() -> None:
    assert list(mp.map(pow, [2, 3, 4], itertools.count(1), workers=2)) == [2, 9, 64]
    assert list(mp.map(pow, [], itertools.count(1))) == []


def wait_for_the_other(folder: str, number: int) -> int:
    if number == 0:
        while not Path(folder, "1").exists():
            os.sched_yield()
    note(folder, number)
    return number


@pytest.mark.parametrize("ordered", [True, False])
def test_results_come_as_they_are_ready_if_not_ordered(ordered: bool, tmp_path: Path) -> None:
    arguments = itertools.repeat(str(tmp_path)), range(2)
    results = list(mp.map(wait_for_the_other, *arguments, workers=2, ordered=ordered))
    assert results == ([0, 1] if ordered else [1, 0])


@pytest.mark.parametrize("ordered", [True, False])
def test_an_infinite_iterable_is_read_no_farther_ahead_than_the_window(ordered: bool) -> None:
    read = []

    def numbers() -> Iterator[int]:
        for number in itertools.count():
            read.append(number)
            yield number

    results = mp.map(square, numbers(), workers=2, window=5, ordered=ordered)
    assert read == []
    for taken in range(1, 100):
        next(results)
        assert len(read) < taken + 5
    results.close()


def test_an_iterable_that_is_slow_holds_no_result_back() -> None:
    read = []

    def numbers() -> Iterator[int]:
        for number in itertools.count():
            time.sleep(0.01)
            read.append(number)
            yield number

    with mp.map(square, numbers(), workers=2, window=1_000_000) as results:
        assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert len(read) < 5000


def test_what_reading_an_iterable_raises_comes_after_the_results_before_it() -> None:
    def numbers() -> Iterator[int]:
        yield from range(5)
        raise LookupError("no more numbers")

    for chunksize in (1, 3):
        results = mp.map(square, numbers(), workers=2, chunksize=chunksize)
        assert list(itertools.islice(results, 5)) == [0, 1, 4, 9, 16]
        with pytest.raises(LookupError, match="no more numbers"):
            next(results)
        assert list(results) == []


def test_chunks_are_several_calls_in_one_task(method: str) -> None:
    pids = list(mp.map(pid_of_worker, range(10), workers=2, chunksize=10, start_method=method))
    assert len(pids) == 10 and len(set(pids)) == 1
    assert list(mp.map(pow, range(10), range(10), workers=2, chunksize=3)) == [n**n for n in range(10)]


def squares_of(numbers: list[int]) -> list[int]:
    return list(mp.map(square, numbers, workers=2))


def test_workers_may_use_it_too(method: str) -> None:
    results = mp.map(squares_of, [[1, 2], [3, 4, 5]], workers=2, start_method=method)
    assert list(results) == [[1, 4], [9, 16, 25]]


def test_a_function_that_cannot_be_pickled_is_an_error_of_the_first_result() -> None:
    lock = threading.Lock()
    results = mp.map(lambda number: (lock, number), range(3), workers=1, start_method="warm")
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError), match=r"lock|lambda"):
        next(results)
    assert list(results) == []


def test_functions_without_a_name_are_called() -> None:
    factor = 3
    assert list(mp.map(lambda number: number * factor, range(5), workers=1)) == [0, 3, 6, 9, 12]


def test_large_arguments_and_results_are_not_sent_far_ahead() -> None:
    read = []

    def blocks() -> Iterator[bytes]:
        for number in range(40):
            read.append(number)
            yield bytes([number]) * (8 << 20)

    results = mp.map(bytes, blocks(), workers=2)
    assert next(results)[:1] == b"\0"
    assert len(read) <= 20
    assert [block[0] for block in results] == list(range(1, 40))


# ---- errors


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three", number)
    return number


def test_an_error_is_raised_in_its_place_and_ends_it(method: str) -> None:
    results = mp.map(fail_at_three, itertools.count(), workers=2, start_method=method)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three") as caught:
        next(results)
    assert caught.value.args == ("three", 3) and "in fail_at_three" in str(caught.value.__cause__)
    assert list(results) == []
    assert mp.active_children() == []


def test_an_error_comes_in_the_place_of_a_result(method: str) -> None:
    results = list(mp.map(fail_at_three, range(6), workers=2, on_error="return", start_method=method))
    error = results.pop(3)
    assert results == [0, 1, 2, 4, 5]
    assert type(error) is ValueError and error.args == ("three", 3)


def test_an_error_is_left_out(method: str) -> None:
    assert list(mp.map(fail_at_three, range(6), workers=2, on_error="skip", start_method=method)) == [0, 1, 2, 4, 5]
    unordered = mp.map(fail_at_three, range(6), workers=2, on_error="skip", ordered=False, start_method=method)
    assert sorted(unordered) == [0, 1, 2, 4, 5]


def leave(kind: type[BaseException], number: int) -> int:
    if number == 1:
        raise kind(number)
    return number


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_would_end_a_process_is_an_error_of_its_task(kind: type[BaseException]) -> None:
    zero, error, two = mp.map(leave, itertools.repeat(kind), range(3), workers=1, on_error="return")
    assert (zero, type(error), two) == (0, kind, 2)


@pytest.mark.parametrize("on_error", ["return", "skip", "raise"])
@pytest.mark.parametrize("retries", [0, 2])
def test_an_argument_that_cannot_be_pickled_is_its_task_s_error(on_error: Any, retries: int) -> None:
    results = mp.map(type, [1, threading.Lock(), 2], workers=2, on_error=on_error, retries=retries)
    if on_error == "raise":
        assert next(results) is int
        with pytest.raises(TypeError, match="lock") as raised:
            next(results)
        assert "arguments[0][0] is a _thread.lock" in raised.value.__notes__[0]
    elif on_error == "skip":
        assert list(results) == [int, int]
    else:
        first, error, second = results
        assert (first, second) == (int, int) and "lock" in str(error)


def kill_worker_at_three(folder: str, number: int) -> int:
    note(folder, number)
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_dies_fails_its_task_only(method: str, tmp_path: Path) -> None:
    arguments = itertools.repeat(str(tmp_path)), range(8)
    results = list(mp.map(kill_worker_at_three, *arguments, workers=2, on_error="return", start_method=method))
    error = results.pop(3)
    assert results == [0, 1, 2, 4, 5, 6, 7]
    assert type(error) is mp.WorkerDiedError and error.exit_code == -signal.SIGKILL
    assert "kill_worker_at_three(" in error.task and error.task.endswith(", 3)")
    assert [noted(tmp_path, number) for number in range(8)] == [1] * 8


# ---- retries


def flaky(folder: str, number: int) -> int:
    note(folder, number)
    if noted(Path(folder), number) <= number:
        raise ValueError(f"not yet: {number}")
    return number


@pytest.mark.parametrize("ordered", [True, False])
def test_a_task_that_fails_is_run_again(ordered: bool, tmp_path: Path) -> None:
    arguments = itertools.repeat(str(tmp_path)), range(3)
    results = list(mp.map(flaky, *arguments, workers=2, retries=2, ordered=ordered))
    assert sorted(results) == [0, 1, 2]
    assert not ordered or results == [0, 1, 2]
    assert [noted(tmp_path, number) for number in range(3)] == [1, 2, 3]


def test_a_task_that_fails_too_often_is_given_up(tmp_path: Path) -> None:
    arguments = itertools.repeat(str(tmp_path)), range(5)
    *results, error = mp.map(flaky, *arguments, workers=2, retries=3, on_error="return")
    assert results == [0, 1, 2, 3]
    assert type(error) is ValueError and error.__notes__ == [
        "the task failed 4 times, and is not tried again: retries=3"
    ]
    assert noted(tmp_path, 4) == 4


def test_a_task_that_kills_its_workers_is_given_up(method: str, tmp_path: Path) -> None:
    arguments = itertools.repeat(str(tmp_path)), range(20)
    results = list(
        mp.map(kill_worker_at_three, *arguments, workers=2, retries=2, on_error="return", start_method=method)
    )
    error = results.pop(3)
    assert results == [number for number in range(20) if number != 3]
    assert type(error) is mp.WorkerDiedError and "failed 3 times" in error.__notes__[0]
    assert [noted(tmp_path, number) for number in range(20)] == [3 if number == 3 else 1 for number in range(20)]


def hang_once(folder: str, number: int) -> int:
    note(folder, number)
    if number == 3 and noted(Path(folder), number) == 1:
        time.sleep(HANG_LIMIT_SECONDS * 10)
    return number


def test_a_task_that_took_too_long_is_run_again(method: str, tmp_path: Path) -> None:
    arguments = itertools.repeat(str(tmp_path)), range(6)
    assert list(mp.map(hang_once, *arguments, workers=2, timeout=1, retries=1, start_method=method)) == list(range(6))
    assert noted(tmp_path, 3) == 2


# ---- time limits


def be_busy() -> None:
    while True:
        pass


def sleep_long() -> None:
    time.sleep(HANG_LIMIT_SECONDS * 10)


def be_in_c_code() -> None:
    ctypes.PyDLL(None).sleep(HANG_LIMIT_SECONDS * 10)  # with the GIL


def ignore_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    sleep_long()


def call(function: Any) -> Any:
    return function()


@pytest.mark.parametrize("hang", [be_busy, sleep_long, be_in_c_code, ignore_signals])
def test_a_task_that_takes_too_long_is_ended_with_its_worker(method: str, hang: Any) -> None:
    work = [os.getpid, hang, os.getpid, os.getpid]
    first, error, *others = mp.map(call, work, workers=1, timeout=1, on_error="return", start_method=method)
    assert type(error) is mp.TaskTimeoutError
    assert isinstance(error, TimeoutError) and isinstance(error, mp.AllcoresError)
    assert error.pid == first and error.seconds == 1 and "PoolWorker" in error.worker_name
    for part in (error.worker_name, str(error.pid), "timeout=1 seconds", hang.__name__):
        assert part in str(error)
    assert not runs(error.pid)
    assert len(set(others)) == 1 and others[0] != first


def run_and_note(folder: str, number: int, seconds: float) -> int:
    note(folder, number)
    time.sleep(seconds)
    return number


def test_no_other_task_is_hit_by_a_time_limit(method: str, tmp_path: Path) -> None:
    lengths = [HANG_LIMIT_SECONDS if number % 100 == 50 else 0 for number in range(300)]
    arguments = itertools.repeat(str(tmp_path)), range(300), lengths
    results = list(mp.map(run_and_note, *arguments, workers=3, timeout=1.5, on_error="return", start_method=method))
    for number, (length, result) in enumerate(zip(lengths, results, strict=True)):
        assert type(result) is mp.TaskTimeoutError if length else result == number
    assert [noted(tmp_path, number) for number in range(300)] == [1] * 300


def test_tasks_that_end_just_in_time_are_done_or_too_late(method: str, tmp_path: Path) -> None:
    lengths = [0.05 if number % 2 else 0 for number in range(60)]
    arguments = itertools.repeat(str(tmp_path)), range(60), lengths
    results = list(mp.map(run_and_note, *arguments, workers=2, timeout=0.0501, on_error="return", start_method=method))
    for number, result in enumerate(results):
        if type(result) is not mp.TaskTimeoutError:
            assert result == number
    # A short one is late only when this machine was busy elsewhere, and none is run twice.
    assert all(noted(tmp_path, number) <= 1 for number in range(60))
    assert all(noted(tmp_path, number) == 1 for number, result in enumerate(results) if result == number)


def test_waiting_for_a_worker_does_not_count() -> None:
    results = mp.map(time.sleep, [0.3] * 8, workers=1, timeout=1.5)
    assert list(results) == [None] * 8


def test_a_worker_that_dies_by_itself_is_not_said_to_be_late(tmp_path: Path) -> None:
    arguments = itertools.repeat(str(tmp_path)), range(5)
    results = list(mp.map(kill_worker_at_three, *arguments, workers=2, timeout=30, on_error="return"))
    assert type(results[3]) is mp.WorkerDiedError


def test_who_is_overdue_and_when_to_look_again() -> None:
    assert overdue([], 100, 50) == ([], 150)
    assert overdue([None, (1, 1, 90)], 100, 50) == ([], 140)
    assert overdue([(1, 1, 50), None, (2, 2, 49), (3, 3, 51)], 100, 50) == ([0, 2], 101)
    assert overdue([(1, 1, 10)], 100, 50) == ([0], 150)


class Worker:
    """Of a crew that is played, at a task since the machine was started."""

    pid = -1  # so it is not in /proc, as if it had stopped

    def __init__(self, *claims: tuple[int, int, int] | None) -> None:
        self.claims = list(claims)

    def _noted_since(self) -> tuple[int, int, int] | None:
        return self.claims.pop(0)


STOP, KILL, GO_ON = signal.SIGSTOP, signal.SIGKILL, signal.SIGCONT


@pytest.mark.parametrize(
    ("claims", "replied_to", "ended", "taken", "signals"),
    [
        ([(5, 1, 0), (5, 1, 0)], set(), False, True, [STOP, KILL]),
        ([(5, 1, 0), (6, 2, 9)], set(), False, True, [STOP, GO_ON]),  # it has another task by now
        ([(5, 1, 0), None], set(), False, True, [STOP, GO_ON]),
        ([(5, 1, 0), (5, 1, 0)], {2}, False, True, [STOP, GO_ON]),  # the reply was there when it had stopped
        ([(5, 1, 0)], {1}, False, True, []),  # it was there before
        ([(5, 1, 0), (5, 1, 0)], set(), False, False, [STOP, GO_ON]),  # noted, and not taken
        ([(5, 1, 0)], set(), True, True, [STOP]),
        ([(7, 1, 0)], set(), False, True, []),  # no task of this job
        ([(5, 1, 1 << 62)], set(), False, True, []),
        ([None], set(), False, True, []),
    ],
)
def test_who_is_late_is_killed_if_he_still_is_when_he_has_stopped(
    monkeypatch: pytest.MonkeyPatch, claims: Any, replied_to: set[int], ended: bool, taken: bool, signals: list[int]
) -> None:
    worker, running, sent = Worker(*claims), {5: "task"}, []
    looks = itertools.count(1)

    def collect() -> None:
        if next(looks) in replied_to:
            running.clear()

    def send(_: object, number: int) -> bool:
        sent.append(number)
        return not ended

    crew = types.SimpleNamespace(
        at_work=lambda: [(worker, worker)], signal=send, stop=lambda process: send(process, STOP) or None
    )
    monkeypatch.setattr("allcores._core.has_given", lambda tasks, message: taken)
    keeper: Any = Timekeeper(types.SimpleNamespace(crew=crew, tasks=None), 0.001, collect, running)  # type: ignore[arg-type]
    keeper.look()
    assert sent == signals
    error = mp.WorkerDiedError("W", -1, -9, "killed by SIGKILL", "f(5)")
    assert type(keeper.explained(5, error)) is (mp.TaskTimeoutError if KILL in signals else mp.WorkerDiedError)
    assert keeper.explained(5, error) is error


# ---- the end


def test_no_worker_is_started_before_a_result_is_asked_for() -> None:
    results = mp.map(square, [1, 2], workers=2)
    assert mp.active_children() == []
    results.close()
    assert list(results) == []


def test_the_last_result_ends_the_workers_in_order(method: str, tmp_path: Path) -> None:
    arguments = itertools.repeat(str(tmp_path)), range(4)
    pids = set(mp.map(note_at_exit, *arguments, workers=2, start_method=method))
    assert mp.active_children() == []
    assert not any(map(runs, pids))
    assert all((tmp_path / str(pid)).exists() for pid in pids)


def note_at_exit(folder: str, _: int) -> int:
    from multiprocessing import util

    util.Finalize(None, note, (folder, os.getpid()), exitpriority=1)
    return os.getpid()


@pytest.mark.parametrize("how", ["dropped", "closed", "left"])
def test_workers_end_when_the_iterator_does(method: str, how: str) -> None:
    results = mp.map(pid_of_worker, itertools.count(), workers=2, start_method=method)
    pids = {next(results) for _ in range(50)}
    if how == "dropped":
        del results
    elif how == "closed":
        results.close()
    else:
        with results:
            pass
    assert not any(map(runs, pids))
    assert mp.active_children() == []


def test_workers_that_are_busy_end_when_the_iterator_is_dropped(method: str) -> None:
    results = mp.map(call, [os.getpid, be_busy, be_busy, be_in_c_code], workers=2, start_method=method)
    pid = next(results)
    del results
    assert not runs(pid)
    assert mp.active_children() == []


def test_a_copy_in_a_forked_child_ends_nothing() -> None:
    with mp.map(square, range(100), workers=2) as results:
        assert next(results) == 0
        pid = os.fork()
        if pid == 0:
            results.close()
            os._exit(0)
        os.waitpid(pid, 0)
        assert list(results) == [number * number for number in range(1, 100)]


def test_who_waits_in_another_thread_hears_of_the_end() -> None:
    results, errors, began = mp.map(call, [int, sleep_long], workers=1), [], threading.Event()

    def take() -> None:
        try:
            next(results)
            began.set()
            next(results)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=take)
    thread.start()
    assert began.wait(HANG_LIMIT_SECONDS)
    results.close()
    thread.join(HANG_LIMIT_SECONDS)
    assert [type(error) in (mp.PoolTerminatedError, StopIteration) for error in errors] == [True]


def test_several_threads_take_from_one_iterator() -> None:
    results, found = mp.map(square, range(1000), workers=2), []
    threads = [threading.Thread(target=lambda: found.extend(results)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_LIMIT_SECONDS)
    assert sorted(found) == [number * number for number in range(1000)]


def test_ctrl_c_ends_it_with_one_traceback(method: str, tmp_path: Path) -> None:
    folder = tmp_path / "workers"
    folder.mkdir()
    source = guarded(
        """
import itertools, os, time
import allcores as mp

def slow(folder, number):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    while len(os.listdir(folder)) < 2:  # the other worker is not at work yet
        os.sched_yield()
    if number > 1:
        time.sleep(300)
    return os.getpid()
""",
        f"""
mp.set_start_method({method!r})
folders = itertools.repeat({str(folder)!r})
results = mp.map(slow, folders, range(1000), workers=2, retries=3, timeout=200, on_error="return")
print(next(results), flush=True)
print(next(results), flush=True)
next(results)
""",
    )
    with subprocess.Popen(
        [sys.executable, str(program(tmp_path, source))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        pids = [int(process.stdout.readline()) for _ in range(2)]
        os.killpg(process.pid, signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=HANG_LIMIT_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1 and re.search(r"^KeyboardInterrupt$", errors, re.MULTILINE)
    assert not any(map(runs, pids))


# ---- workers


def refuse(text: str) -> None:
    raise ValueError(text)


@pytest.mark.parametrize("on_error", ["raise", "return", "skip"])
def test_an_initializer_that_raises_ends_it(method: str, on_error: Any) -> None:
    results = mp.map(
        square,
        itertools.count(),
        workers=2,
        initializer=refuse,
        initargs=("no initializing",),
        on_error=on_error,
        retries=2,
        start_method=method,
    )
    with pytest.raises(mp.InitializerError, match="ValueError: no initializing"):
        next(results)
    assert list(results) == []


def set_variable(name: str, value: str) -> None:
    os.environ[name] = value


def test_an_initializer_is_called_in_each_worker(method: str) -> None:
    found = mp.map(
        os.getenv,
        ["MAP_TEST"] * 4,
        workers=2,
        initializer=set_variable,
        initargs=("MAP_TEST", "set"),
        start_method=method,
    )
    assert list(found) == ["set"] * 4


def limits_in_force(_: object) -> tuple[int, set[int], str]:
    try:
        bytearray(1 << 31)
        memory = "unlimited"
    except MemoryError:
        memory = "limited"
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), memory


def test_limits_are_in_force_in_workers(method: str) -> None:
    cpu = min(os.sched_getaffinity(0))
    results = mp.map(
        limits_in_force,
        range(2),
        workers=1,
        niceness=7,
        affinity=[cpu],
        max_memory_per_worker=1 << 30,
        threads_per_worker=1,
        start_method=method,
    )
    assert list(results) == [(7, {cpu}, "limited")] * 2


def threads_of_blas(_: object) -> set[int]:
    import threadpoolctl

    __import__("numpy")
    return {library["num_threads"] for library in threadpoolctl.threadpool_info()}


def test_blas_has_so_many_threads_in_workers(method: str) -> None:
    assert list(mp.map(threads_of_blas, [0], workers=1, threads_per_worker=1, start_method=method)) == [{1}]


def test_a_limit_that_is_refused_is_named() -> None:
    if os.geteuid() == 0:
        pytest.skip("root may have any niceness")
    with pytest.raises(mp.InitializerError, match="niceness=-5 is refused"):
        list(mp.map(square, [1], workers=1, niceness=-5))


def test_workers_are_replaced_after_so_many_tasks(method: str) -> None:
    pids = list(mp.map(pid_of_worker, range(9), workers=1, max_tasks_per_worker=3, start_method=method))
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 3]


@pytest.mark.parametrize(
    ("keywords", "error", "says"),
    [
        ({"workers": 0}, ValueError, "workers is a whole number, 1 or more, not 0"),
        ({"workers": "2"}, TypeError, "workers is a whole number, not '2'"),
        ({"timeout": 0}, ValueError, "timeout is a number of seconds above 0"),
        ({"timeout": float("nan")}, ValueError, "timeout is a number of seconds above 0"),
        ({"timeout": "1"}, ValueError, "timeout is a number of seconds above 0"),
        ({"retries": -1}, ValueError, "retries is a whole number, 0 or more"),
        ({"on_error": "ignore"}, ValueError, "on_error is 'raise', 'return' or 'skip', not 'ignore'"),
        ({"chunksize": 0}, ValueError, "chunksize is a whole number, 1 or more"),
        ({"window": 0}, ValueError, "window is a whole number, 1 or more"),
        ({"chunksize": 2, "timeout": 1}, ValueError, "Leave chunksize out, or those three"),
        ({"chunksize": 2, "retries": 1}, ValueError, "Leave chunksize out, or those three"),
        ({"chunksize": 2, "on_error": "skip"}, ValueError, "Leave chunksize out, or those three"),
        ({"initializer": 3}, TypeError, "initializer is called in each worker, and 3 cannot be"),
        ({"max_tasks_per_worker": 0}, ValueError, "max_tasks_per_worker is a whole number, 1 or more"),
        ({"max_memory_per_worker": -1}, ValueError, "max_memory_per_worker is a number of bytes"),
        ({"threads_per_worker": 0}, ValueError, "threads_per_worker is a number of threads above 0"),
        ({"niceness": 99}, ValueError, "niceness is between"),
        ({"affinity": [10**6]}, ValueError, "affinity names CPUs that this process may use"),
        ({"start_method": "teleport"}, ValueError, "teleport"),
    ],
)
def test_what_cannot_be_is_an_error_of_the_call(keywords: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=re.escape(says)):
        mp.map(square, [1], **keywords)


def test_a_call_without_function_or_items_says_what_is_missing() -> None:
    with pytest.raises(TypeError, match="3 cannot be called"):
        mp.map(3, [1])  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=re.escape("map(function, items)")):
        mp.map(square)
    with pytest.raises(TypeError, match="iter"):
        mp.map(square, 3)  # type: ignore[call-overload]


# ---- progress


def test_progress_is_shown_by_tqdm(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(mp.map(fail_at_three, range(6), workers=2, progress=True, on_error="skip")) == [0, 1, 2, 4, 5]
    shown = capfd.readouterr().err
    assert "fail_at_three: 100%" in shown and "6/6" in shown and "failed=1" in shown


def test_progress_without_a_known_end_counts(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(mp.map(square, iter(range(6)), workers=2, progress=True, chunksize=2)) == [0, 1, 4, 9, 16, 25]
    assert "square: 6it" in capfd.readouterr().err


def test_progress_without_tqdm_and_rich_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tqdm.auto", "rich.progress"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        mp.map(square, [1], progress=True)


def test_progress_is_shown_by_rich(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert list(mp.map(fail_at_three, range(6), workers=2, progress=True, on_error="skip")) == [0, 1, 2, 4, 5]
    shown = capfd.readouterr().out
    assert "fail_at_three" in shown and "6/6" in shown and "failed=1" in shown


# ---- the rest


def test_the_error_of_a_time_limit_travels() -> None:
    error = mp.TaskTimeoutError("W-1", 17, 2.5, "f(1)")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.pid, copy.seconds, copy.task) == (type(error), str(error), 17, 2.5, "f(1)")


def test_importing_allcores_does_not_load_the_map() -> None:
    code = "import sys, allcores; sys.exit('allcores.mapping' in sys.modules or 'allcores._pool' in sys.modules)"
    assert run([sys.executable, "-c", code]).status == 0
