"""The executor's rows of the crash table: what happens to a worker -> the exact outcome, and the executor works on."""

from __future__ import annotations

import os
import pickle
import re
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import allcores as mp
import pytest
from allcores.futures import ProcessPoolExecutor
from running import ends_with_its_program, guarded, program, run
from tasks import (
    Fussy,
    Leaving,
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
from test_executor import block

HANG_LIMIT_SECONDS = 30


@pytest.fixture
def executor(method: str) -> Iterator[ProcessPoolExecutor]:
    """One of two workers, of each start method in turn."""
    with ProcessPoolExecutor(2, mp_context=method) as executor:
        yield executor


def works(executor: ProcessPoolExecutor) -> bool:
    futures = [executor.submit(square, number) for number in range(20)]
    return [future.result(HANG_LIMIT_SECONDS) for future in futures] == [square(number) for number in range(20)]


def outcome(future: Any) -> BaseException:
    error = future.exception(HANG_LIMIT_SECONDS)
    assert isinstance(error, BaseException)
    return error


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
def test_a_call_that_ends_its_worker_is_the_only_one_lost(
    executor: ProcessPoolExecutor, function: Any, arguments: Any, exit_code: int, says: str
) -> None:
    before = [executor.submit(square, number) for number in range(10)]
    fatal = executor.submit(function, *arguments)
    after = [executor.submit(square, number) for number in range(10)]
    error = outcome(fatal)
    assert type(error) is mp.WorkerDiedError and isinstance(error, BrokenProcessPool)
    assert error.exit_code == exit_code and error.pid not in (None, os.getpid())
    for part in (error.worker_name, str(error.pid), says, function.__name__):
        assert part in str(error)
    assert [future.result(HANG_LIMIT_SECONDS) for future in before + after] == [n * n for n in range(10)] * 2
    assert works(executor) and not executor._broken


def test_all_workers_die_again_and_again(executor: ProcessPoolExecutor) -> None:
    for _ in range(4):
        fatal = [executor.submit(killed, signal.SIGKILL) for _ in range(4)]
        assert [type(outcome(future)) for future in fatal] == [mp.WorkerDiedError] * 4
        assert works(executor)


def test_idle_workers_that_are_killed_are_replaced(executor: ProcessPoolExecutor) -> None:
    assert works(executor)
    for pid in list(executor._processes or ()):
        os.kill(pid, signal.SIGKILL)
    assert works(executor)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, ValueError])
def test_what_a_call_raises_is_raised(executor: ProcessPoolExecutor, error: type[BaseException]) -> None:
    raised = outcome(executor.submit(raise_it, error, 3))
    assert type(raised) is error and raised.args == (3,)
    assert "raise error(*arguments)" in str(raised.__cause__)
    with pytest.raises(error):
        executor.submit(raise_it, error, 3).result()
    assert works(executor)


def test_an_exception_that_cannot_be_unpickled_is_told_of(executor: ProcessPoolExecutor) -> None:
    error = outcome(executor.submit(raise_it, Fussy, 1, 2))
    assert type(error) is mp.RemoteError and error.type_name.endswith("Fussy") and error.text == "1 and 2"
    assert works(executor)


def test_a_result_that_cannot_be_pickled_fails_its_call_with_what_pickling_raised(
    executor: ProcessPoolExecutor,
) -> None:
    error = outcome(executor.submit(unpicklable))
    assert type(error) is TypeError and "lock" in str(error) and "Traceback" in str(error.__cause__)
    assert works(executor)


@pytest.mark.parametrize("arguments", [(Unreadable,), (square, Unreadable())])
def test_what_cannot_be_unpickled_fails_its_call(executor: ProcessPoolExecutor, arguments: Any) -> None:
    assert outcome(executor.submit(*arguments)).args == ("no such thing here",)
    assert works(executor)


@pytest.mark.parametrize("arguments", [(Leaving,), (square, Leaving())])
def test_unpickling_that_exits_fails_its_call(executor: ProcessPoolExecutor, arguments: Any) -> None:
    assert type(outcome(executor.submit(*arguments))) is SystemExit
    assert works(executor)


def test_an_argument_that_cannot_be_pickled_fails_its_call_at_once(executor: ProcessPoolExecutor) -> None:
    future = executor.submit(square, threading.Lock())
    assert future._state == "FINISHED"
    with pytest.raises((TypeError, pickle.PicklingError), match="lock") as raised:
        future.result()
    assert "args[0] is a _thread.lock" in raised.value.__notes__[0]
    assert executor._pending_work_items == {}
    assert works(executor)


def test_a_death_in_the_midst_of_a_map(executor: ProcessPoolExecutor) -> None:
    for chunksize in (1, 3):
        with pytest.raises(mp.WorkerDiedError, match="killed_at_five"):
            list(executor.map(killed_at_five, range(10), chunksize=chunksize))
    assert works(executor)


def test_an_initializer_that_raises_fails_all_calls_and_no_worker_is_started_again(method: str, tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, method, count_and_fail, (str(tmp_path),)) as executor:
        error = outcome(executor.submit(square, 1))
        assert isinstance(error, mp.InitializerError) and isinstance(error, BrokenProcessPool)
        assert "ValueError: no initializing" in str(error) and type(error.__cause__) is ValueError
        assert "in count_and_fail" in str(error.__cause__.__cause__)
        with pytest.raises(BrokenProcessPool, match="no initializing"):
            executor.submit(square, 1)
        assert "no initializing" in executor._broken
    assert 1 <= len(list(tmp_path.iterdir())) <= 2


@pytest.mark.parametrize(("end", "arguments"), [(leave, (3,)), (killed, (signal.SIGSEGV,))])
def test_workers_that_all_die_in_the_initializer_are_given_up(method: str, end: Any, arguments: Any) -> None:
    with ProcessPoolExecutor(1, method, end, arguments) as executor:
        error = outcome(executor.submit(square, 2))
        assert isinstance(error, mp.InitializerError) and "before they take a task" in str(error)


def test_a_worker_that_dies_while_its_child_lives_is_noticed(executor: ProcessPoolExecutor) -> None:
    assert type(outcome(executor.submit(fork_and_die))) is mp.WorkerDiedError
    assert works(executor)


def test_a_death_while_calls_are_cancelled(executor: ProcessPoolExecutor, tmp_path: Path) -> None:
    blocking = [block(executor, tmp_path, number) for number in range(2)]
    futures = [executor.submit(killed if number % 5 == 0 else square, 9) for number in range(30)]
    assert all(future.cancel() for future in futures[1::5])
    (tmp_path / "end").touch()
    kinds = [
        type(outcome(future)) if number % 5 == 0 else future.result(HANG_LIMIT_SECONDS)
        for number, future in enumerate(futures)
        if number % 5 != 1
    ]
    assert kinds == [mp.WorkerDiedError, 81, 81, 81] * 6
    assert all(future.result() is None for future in blocking)


# ---- on_worker_death="break"


@pytest.mark.parametrize(
    "arguments",
    [(killed, signal.SIGKILL), (leave, 0), (crash,), (square, Unreadable()), (Unreadable,), (Leaving,)],
    ids=lambda arguments: arguments[0].__name__,
)
def test_an_executor_that_is_to_break_does_so_for_ever(method: str, arguments: Any) -> None:
    with ProcessPoolExecutor(2, method, on_worker_death="break") as executor:
        assert works(executor)
        other, fatal = executor.submit(time.sleep, 60), executor.submit(*arguments)
        assert isinstance(outcome(fatal), BrokenProcessPool)
        assert isinstance(outcome(other), BrokenProcessPool)
        with pytest.raises(BrokenProcessPool, match="on_worker_death='break'"):
            executor.submit(square, 1)
        assert executor._broken


def test_what_a_call_raises_breaks_nothing(method: str) -> None:
    with ProcessPoolExecutor(2, method, on_worker_death="break") as executor:
        assert type(outcome(executor.submit(raise_it, SystemExit))) is SystemExit
        assert type(outcome(executor.submit(unpicklable))) is TypeError
        running = executor.submit(time.sleep, HANG_LIMIT_SECONDS)
        while not running.running():
            os.sched_yield()
        assert running.cancel(running=True)
        assert works(executor)


def test_workers_that_have_done_enough_break_nothing() -> None:
    with ProcessPoolExecutor(2, "warm", max_tasks_per_child=1, on_worker_death="break") as executor:
        for _ in range(3):
            assert works(executor)


@pytest.mark.parametrize("with_block", [True, False])
def test_ctrl_c_ends_a_program_with_one_traceback(method: str, with_block: bool, tmp_path: Path) -> None:
    calls = """\
futures = [executor.submit(slow) for _ in range(1000)]
while not (futures[0].running() and futures[1].running()):  # or a child that starts would show it, too
    os.sched_yield()
os.killpg(0, signal.SIGINT)
futures[999].result()
"""
    source = guarded(
        "import os, signal, sys, time\nimport allcores as mp\n\n\ndef slow():\n    time.sleep(60)\n",
        f"with mp.ProcessPoolExecutor(2, {method!r}) as executor:\n" + textwrap.indent(calls, "    ")
        if with_block
        else f"executor = mp.ProcessPoolExecutor(2, {method!r})\n" + calls,
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
    with mp.ProcessPoolExecutor(2, sys.argv[1]) as executor:
        list(executor.map(busy, [60] * 4))
"""


@pytest.mark.parametrize("whole_group", [False, True])
def test_workers_end_with_a_program_that_is_killed(method: str, whole_group: bool, tmp_path: Path) -> None:
    ends_with_its_program([sys.executable, program(tmp_path, BUSY), method], 2, whole_group=whole_group)
