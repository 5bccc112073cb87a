"""The pool's rows of the crash table: what happens to a worker -> the exact outcome, and the pool works on."""

from __future__ import annotations

import concurrent.futures
import os
import pickle
import re
import signal
import sys
import threading
import time
from multiprocessing.pool import MaybeEncodingError
from pathlib import Path
from typing import Any

import allcores as mp
import pytest
from running import ends_with_its_program, guarded, program, run
from tasks import (
    Fussy,
    Unreadable,
    count_and_fail,
    crash,
    fork_and_die,
    killed,
    killed_at_five,
    leave,
    raise_it,
    square,
    unpicklable,
)

HANG_LIMIT_SECONDS = 30


def works(pool: Any) -> bool:
    results = [pool.apply_async(square, (number,)) for number in range(20)]
    return [result.get(HANG_LIMIT_SECONDS) for result in results] == [square(number) for number in range(20)]


def outcome(result: Any) -> BaseException:
    with pytest.raises(BaseException) as caught:
        result.get(HANG_LIMIT_SECONDS)
    return caught.value


@pytest.mark.parametrize(
    ("function", "arguments", "exit_code", "says"),
    [
        (killed, (signal.SIGKILL,), -9, "killed by SIGKILL"),
        (killed, (signal.SIGTERM,), -15, "killed by SIGTERM"),
        (crash, (), -11, "killed by SIGSEGV"),
        (leave, (0,), 0, "exit code 0"),
        (leave, (7,), 7, "exit code 7"),
    ],
)
def test_a_task_that_ends_its_worker_is_the_only_one_lost(
    pool: Any, function: Any, arguments: Any, exit_code: int, says: str
) -> None:
    before = [pool.apply_async(square, (number,)) for number in range(10)]
    fatal = pool.apply_async(function, arguments)
    after = [pool.apply_async(square, (number,)) for number in range(10)]
    error = outcome(fatal)
    assert type(error) is mp.WorkerDiedError
    assert isinstance(error, mp.AllcoresError)
    assert isinstance(error, concurrent.futures.process.BrokenProcessPool)
    assert error.exit_code == exit_code and error.pid not in (None, os.getpid())
    assert "PoolWorker" in error.worker_name and says in error.reason
    for part in (error.worker_name, str(error.pid), says, function.__name__):
        assert part in str(error)
    assert [result.get(HANG_LIMIT_SECONDS) for result in before + after] == [n * n for n in range(10)] * 2
    assert works(pool)
    pool._repopulate_pool()  # or wait until the pool's thread has done so
    assert len(pool._pool) == 2


def test_the_last_stack_of_a_crashed_worker_is_told() -> None:
    with mp.get_context("warm").Pool(1) as pool:
        error = outcome(pool.apply_async(crash))
    assert isinstance(error, mp.WorkerDiedError)
    assert error.stack is not None and "in crash" in error.stack and error.stack in str(error)


def test_all_workers_die_again_and_again(pool: Any) -> None:
    for _ in range(4):
        fatal = [pool.apply_async(killed, (signal.SIGKILL,)) for _ in range(4)]
        assert [type(outcome(result)) for result in fatal] == [mp.WorkerDiedError] * 4
        assert works(pool)


def test_idle_workers_that_are_killed_are_replaced(pool: Any) -> None:
    assert works(pool)
    for process in list(pool._pool):
        os.kill(process.pid, signal.SIGKILL)
    assert works(pool)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, ValueError])
def test_what_a_task_raises_is_raised(pool: Any, error: type[BaseException]) -> None:
    workers = [process.pid for process in pool._pool]
    raised = outcome(pool.apply_async(raise_it, (error, 3)))
    assert type(raised) is error and raised.args == (3,)
    assert "raise error(*arguments)" in str(raised.__cause__)
    assert works(pool)
    assert [process.pid for process in pool._pool] == workers


def test_an_exception_that_cannot_be_unpickled_is_told_of(pool: Any) -> None:
    error = outcome(pool.apply_async(raise_it, (Fussy, 1, 2)))
    assert type(error) is mp.RemoteError
    assert error.type_name.endswith("Fussy") and error.text == "1 and 2"
    assert "raise error(*arguments)" in error.traceback and "raise error(*arguments)" in str(error.__cause__)
    assert "Fussy: 1 and 2" in str(error)
    assert works(pool)


def test_a_result_that_cannot_be_pickled_fails_its_task(pool: Any) -> None:
    error = outcome(pool.apply_async(unpicklable))
    assert type(error) is MaybeEncodingError and "lock" in error.value
    assert works(pool)


def test_a_result_that_cannot_be_unpickled_fails_its_task(pool: Any) -> None:
    assert outcome(pool.apply_async(Unreadable)).args == ("no such thing here",)
    assert works(pool)


def test_an_argument_that_cannot_be_unpickled_fails_its_task(pool: Any) -> None:
    assert outcome(pool.apply_async(square, (Unreadable(),))).args == ("no such thing here",)
    assert works(pool)


@pytest.mark.parametrize("call", ["apply_async", "map_async", "starmap_async", "map", "apply"])
def test_an_argument_that_cannot_be_pickled_is_an_error_at_the_call(pool: Any, call: str) -> None:
    lock = threading.Lock()
    arguments = [(lock,)] if call.startswith("star") else [lock]
    with pytest.raises((TypeError, pickle.PicklingError), match="lock") as raised:
        getattr(pool, call)(square, arguments)
    place = {"apply": "args[0]", "map": "items[0]", "starmap": "items[0][0]"}[call.removesuffix("_async")]
    assert raised.value.__notes__[0].startswith(f"{place} is a _thread.lock, which can be sent")
    assert works(pool)
    assert pool._cache == {}


@pytest.mark.parametrize("call", ["imap", "imap_unordered"])
def test_an_argument_of_an_iterator_that_cannot_be_pickled_fails_its_task(pool: Any, call: str) -> None:
    results = getattr(pool, call)(square, [2, threading.Lock(), 3])
    found = []
    for _ in range(3):
        try:
            found.append(results.next(HANG_LIMIT_SECONDS))
        except TypeError as error:
            assert "items[0] is a _thread.lock" in error.__notes__[0]
            found.append("error")
    assert sorted(map(str, found)) == ["4", "9", "error"]
    if call == "imap":
        assert found == [4, "error", 9]
    with pytest.raises(StopIteration):
        results.next(HANG_LIMIT_SECONDS)
    assert works(pool)


@pytest.mark.parametrize("call", ["map", "imap", "imap_unordered"])
def test_a_death_in_the_midst_of_a_map(pool: Any, call: str) -> None:
    with pytest.raises(mp.WorkerDiedError, match="killed_at_five"):
        list(getattr(pool, call)(killed_at_five, range(10), chunksize=1))
    assert works(pool)


def test_a_callback_is_called_when_a_worker_dies(pool: Any) -> None:
    called: list[BaseException] = []
    result = pool.apply_async(killed, (signal.SIGKILL,), error_callback=called.append)
    result.wait(HANG_LIMIT_SECONDS)
    assert [type(error) for error in called] == [mp.WorkerDiedError]
    assert works(pool)


@pytest.mark.parametrize("call", ["apply", "map", "imap"])
def test_an_initializer_that_raises_fails_all_tasks_and_no_worker_is_started_again(
    method: str, call: str, tmp_path: Path
) -> None:
    with mp.get_context(method).Pool(2, count_and_fail, (str(tmp_path),)) as pool:
        for _ in range(2):
            with pytest.raises(mp.InitializerError, match="ValueError: no initializing") as caught:
                list(getattr(pool, call)(square, [1, 2]))
            assert type(caught.value.__cause__) is ValueError
            assert "in count_and_fail" in str(caught.value.__cause__.__cause__)
        pool.close()
        pool.join()
    assert 1 <= len(list(tmp_path.iterdir())) <= 2


@pytest.mark.parametrize(("end", "arguments"), [(leave, (3,)), (killed, (signal.SIGSEGV,))])
def test_workers_that_all_die_in_the_initializer_are_given_up(method: str, end: Any, arguments: Any) -> None:
    with mp.get_context(method).Pool(1, end, arguments) as pool:
        error = outcome(pool.apply_async(square, (2,)))
        assert type(error) is mp.InitializerError and "before they take a task" in str(error)
        pool.close()
        pool.join()


def test_an_initializer_that_exits_fails_all_tasks(method: str) -> None:
    with mp.get_context(method).Pool(1, sys.exit, (3,)) as pool:
        assert type(outcome(pool.apply_async(square, (2,)))) is mp.InitializerError


def test_a_pool_that_is_closed_ends_though_workers_die(method: str) -> None:
    pool = mp.get_context(method).Pool(2)
    results = [pool.apply_async(killed if number % 3 == 0 else square, (9,)) for number in range(9)]
    pool.close()
    pool.join()
    kinds = [type(outcome(result)) if number % 3 == 0 else result.get(0) for number, result in enumerate(results)]
    assert kinds == [mp.WorkerDiedError, 81, 81] * 3


def test_a_worker_that_dies_while_its_child_lives_is_noticed(pool: Any) -> None:
    assert type(outcome(pool.apply_async(fork_and_die))) is mp.WorkerDiedError
    assert works(pool)


def test_a_terminated_pool_fails_what_is_not_done(method: str) -> None:
    pool = mp.get_context(method).Pool(1)
    assert pool.apply(square, (3,)) == 9
    done, running, waiting = (pool.apply_async(*call) for call in [(square, (4,)), (time.sleep, (60,)), (square, (5,))])
    assert done.get(HANG_LIMIT_SECONDS) == 16
    pool.terminate()
    pool.join()
    assert [type(outcome(result)) for result in (running, waiting)] == [mp.PoolTerminatedError] * 2


def test_who_waits_in_another_thread_hears_of_the_end(method: str) -> None:
    pool = mp.get_context(method).Pool(1)
    result, errors = pool.apply_async(time.sleep, (60,)), []
    threads = [threading.Thread(target=lambda: errors.append(outcome(result))) for _ in range(3)]
    for thread in threads:
        thread.start()
    pool.terminate()
    for thread in threads:
        thread.join(HANG_LIMIT_SECONDS)
    assert [type(error) for error in errors] == [mp.PoolTerminatedError] * 3


def test_a_died_worker_s_error_travels() -> None:
    error = mp.WorkerDiedError("W-1", 17, -9, "killed by SIGKILL", "f(1)", "a stack")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.pid, copy.task) == (type(error), str(error), 17, "f(1)")
    assert copy.stack == "a stack"
    remote = mp.RemoteError("E", "text", "trace", "why")
    assert str(pickle.loads(pickle.dumps(remote))) == str(remote)


def test_ctrl_c_ends_a_pool_with_one_traceback(method: str, tmp_path: Path) -> None:
    source = guarded(
        "import os, signal, sys, time\nimport allcores as mp\n\n\ndef slow(number):\n    time.sleep(30)\n",
        f"""
mp.set_start_method({method!r})
with mp.Pool(2) as pool:
    result = pool.map_async(slow, range(1000), chunksize=1)
    pool.apply_async(int)
    while pool._engine.tasks._length() > 999:
        os.sched_yield()
    os.killpg(0, signal.SIGINT)
    result.get()
""",
    )
    outcome = run([sys.executable, program(tmp_path, source)], hang_limit_seconds=HANG_LIMIT_SECONDS)
    assert outcome.status == -signal.SIGINT
    assert outcome.err.count("Traceback") == 1 and re.search(r"^KeyboardInterrupt$", outcome.err, re.MULTILINE)


BUSY = """
import os, sys, time
import allcores as mp

def busy(seconds):
    os.write(1, b"%d\\n" % os.getpid())
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10**6))

if __name__ == "__main__":
    with mp.get_context(sys.argv[1]).Pool(2) as pool:
        pool.map(busy, [60] * 4, chunksize=1)
"""


@pytest.mark.parametrize("whole_group", [False, True])
def test_workers_end_with_a_program_that_is_killed(method: str, whole_group: bool, tmp_path: Path) -> None:
    ends_with_its_program([sys.executable, program(tmp_path, BUSY), method], 2, whole_group=whole_group)


def test_importing_allcores_does_not_load_the_heavy_base_of_an_error() -> None:
    code = (
        "import sys, allcores; sys.exit('concurrent.futures' in sys.modules or 'allcores._pool.engine' in sys.modules)"
    )
    assert run([sys.executable, "-c", code]).status == 0
