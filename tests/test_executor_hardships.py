"""Executors where something goes wrong in between: signal handlers, callbacks, pickles, workers that cannot start."""

from __future__ import annotations

import concurrent.futures
import errno
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import allcores as mp
import pytest
from allcores import _core
from allcores._pool.crew import Crew
from allcores._pool.marks import WAKE
from allcores._pool.waiting import Latch
from allcores.futures import Future, ProcessPoolExecutor
from running import guarded, program, run

HANG_LIMIT_SECONDS = 30


class Interruption(BaseException):
    """What a signal handler raises."""


def square(number: int) -> int:
    return number * number


def touch_and_wait(path: Path) -> None:
    path.touch()
    time.sleep(HANG_LIMIT_SECONDS)


def until_there(path: Path) -> None:
    limit = time.monotonic() + HANG_LIMIT_SECONDS
    while not path.exists():
        assert time.monotonic() < limit
        time.sleep(0.001)


def interrupted_after(
    monkeypatch: pytest.MonkeyPatch, name: str, is_meant: Callable[..., bool] = lambda *_: True
) -> None:
    """Have a signal handler raise when that function of the core returns for the first time."""
    real, calls = getattr(_core, name), iter([True])

    def call(*arguments: Any) -> Any:
        result = real(*arguments)
        if is_meant(*arguments) and next(calls, False):
            raise Interruption
        return result

    core = types.SimpleNamespace(**{name: getattr(_core, name) for name in ("collect", "next_message", "put_labelled")})
    setattr(core, name, call)
    monkeypatch.setattr("allcores._pool.backlog._core", core)


# ---- workers


@pytest.mark.parametrize("operation", ["kill_workers", "terminate_workers"])
def test_calls_are_told_when_workers_are_ended_that_have_not_begun(method: str, operation: str) -> None:
    executor = ProcessPoolExecutor(2, mp_context=method)
    futures = [executor.submit(time.sleep, HANG_LIMIT_SECONDS) for _ in range(4)]
    getattr(executor, operation)()
    assert not concurrent.futures.wait(futures, timeout=HANG_LIMIT_SECONDS).not_done
    for future in futures:
        assert future.cancelled() or isinstance(future.exception(), concurrent.futures.process.BrokenProcessPool)


def test_a_call_for_which_no_worker_can_be_started_is_an_error_and_no_more_pending() -> None:
    with open(os.devnull) as file, ProcessPoolExecutor(1, "warm", print, (file,)) as executor:
        for _ in range(2):
            with pytest.raises(mp.UnpicklableArgumentError):
                executor.submit(square, 3)
            assert executor._pending_work_items == {}


def test_a_signal_handler_may_raise_while_the_first_worker_is_started() -> None:
    context, interruptions, left = mp.get_context("fork"), iter([True, True]), []

    class Process(context.Process):  # type: ignore[name-defined,misc]
        def start(self) -> None:
            super().start()
            if next(interruptions, False):
                left.append(self)
                raise Interruption

    class Forked(type(context)):  # type: ignore[misc]
        def __init__(self) -> None:
            self.Process = Process

        def get_start_method(self, allow_none: bool = False) -> str:
            return "spawn"  # so that workers are started as they are needed

    with ProcessPoolExecutor(1, mp_context=Forked()) as executor:
        for _ in range(2):
            with pytest.raises(Interruption):
                executor.submit(square, 3)
        assert executor.submit(square, 3).result(HANG_LIMIT_SECONDS) == 9
    for process in left:
        process.join(HANG_LIMIT_SECONDS)
        assert process.exitcode == -signal.SIGKILL


def test_no_worker_stays_when_no_descriptor_is_left_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    start_one = Crew._start_one

    def start(crew: Crew) -> None:
        start_one(crew)
        made.append(crew.processes[-1])

    def refuse(*_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Crew, "_start_one", start)
    monkeypatch.setattr(os, "eventfd", refuse)
    with pytest.raises(OSError, match="Too many"):
        mp.get_context("fork").Pool(2)
    assert [process.is_alive() for process in made] == [False, False]


def test_a_call_that_is_sent_while_the_executor_shuts_down_is_answered_or_refused() -> None:
    executor = ProcessPoolExecutor(1, "fork")
    executor.submit(square, 1).result(HANG_LIMIT_SECONDS)
    engine: Any = executor._engine
    numbers, shut = engine.numbers, engine.shut
    is_let_in, is_ending, is_sent = threading.Event(), threading.Event(), threading.Event()

    def number_late(count: int) -> int:
        is_let_in.set()
        is_ending.wait(HANG_LIMIT_SECONDS)
        number: int = numbers(count)
        return number

    def shut_late() -> None:
        is_ending.set()
        is_sent.wait(HANG_LIMIT_SECONDS)
        shut()

    futures: list[Future] = []

    def submit() -> None:
        futures.append(executor.submit(square, 3))
        is_sent.set()

    engine.numbers, engine.shut = number_late, shut_late
    thread = threading.Thread(target=submit)
    thread.start()
    assert is_let_in.wait(HANG_LIMIT_SECONDS)
    executor.shutdown(wait=False)
    thread.join(HANG_LIMIT_SECONDS)
    assert concurrent.futures.wait(futures, timeout=HANG_LIMIT_SECONDS).done == set(futures) != set()
    assert futures[0].result() == 9


# ---- callbacks and pickles


def test_who_waits_is_woken_though_a_callback_exits(tmp_path: Path) -> None:
    main = """
with mp.ProcessPoolExecutor(1) as executor:
    for _ in range(2):
        future = executor.submit(time.sleep, 0.2)
        future.add_done_callback(leave)
        others = [threading.Thread(target=future.result) for _ in range(2)]
        for other in others:
            other.start()
        print(future.result(), flush=True)
        for other in others:
            other.join()
    future = executor.submit(time.sleep, 30)
    queued = [executor.submit(abs, -1) for _ in range(5)]
    queued[-1].add_done_callback(leave)
    other = threading.Thread(target=concurrent.futures.wait, args=(queued[-1:],))
    other.start()
    try:
        queued[-1].cancel()
    except SystemExit:
        other.join()
        print("cancelled")
    executor.kill_workers()
"""
    definitions = """
import concurrent.futures, threading, time, allcores as mp

def leave(_):
    time.sleep(0.1)
    raise SystemExit
"""
    done = run([sys.executable, program(tmp_path, guarded(definitions, main))])
    assert (done.out, done.status) == ("None\nNone\ncancelled\n", 0), done.err


class Leaving(Exception):
    """Cannot be unpickled, and ends the thread that tries."""

    def __reduce__(self) -> Any:
        return sys.exit, (4,)


class Interrupting:
    def __reduce__(self) -> Any:
        return interrupt, ()


class Secret(Exception):
    def __reduce__(self) -> Any:
        raise ValueError("not pickled")

    def __repr__(self) -> str:
        raise ValueError("not shown")


def interrupt() -> None:
    raise Interruption


def raise_one(kind: Any) -> None:
    raise kind


@pytest.mark.parametrize("by_collector", [False, True])
def test_pickles_that_raise_anything_fail_their_calls_alone(by_collector: bool) -> None:
    with ProcessPoolExecutor(1, "fork") as executor:
        for function, argument, error in (
            (raise_one, Leaving, mp.RemoteError),
            (Interrupting, None, Interruption),
            (raise_one, Secret, Exception),
        ):
            future = executor.submit(function, *([] if argument is None else [argument]))
            if by_collector:
                assert concurrent.futures.wait([future], timeout=HANG_LIMIT_SECONDS).done == {future}
            raised: BaseException | None = None
            for _ in range(2):  # who waits in the main thread may take the first one for a signal handler's
                try:
                    raised = future.exception(HANG_LIMIT_SECONDS)
                except Interruption:
                    assert not by_collector
            assert isinstance(raised, error)
            assert not isinstance(raised, mp.WorkerDiedError)
        assert executor.submit(square, 3).result(HANG_LIMIT_SECONDS) == 9


# ---- signal handlers


def test_who_follows_is_woken_by_what_is_told_again() -> None:
    class Interrupted(Future):
        interruptions = iter([True])

        def _wake(self) -> None:
            if next(self.interruptions, False):
                raise Interruption
            super()._wake()

    engine: Any = None
    future, latch = Interrupted(engine, 1, (square, (3,))), Latch()
    future._latches = [latch]
    with pytest.raises(Interruption):
        future._arrive(1, True, 9)
    assert latch._lock.locked()
    future._arrive(1, True, 9)
    assert not latch._lock.locked()


@pytest.mark.parametrize("when", ["drained", "fed", "withdrawn"])
def test_a_signal_handler_may_raise_while_tasks_are_taken_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str
) -> None:
    with ProcessPoolExecutor(1, "fork") as executor:
        executor.submit(square, 0).result(HANG_LIMIT_SECONDS)
        blocking = executor.submit(touch_and_wait, tmp_path / "there")
        until_there(tmp_path / "there")
        futures = [executor.submit(square, number) for number in range(10)]
        name = "collect" if when == "drained" else "put_labelled"
        interrupted_after(monkeypatch, name)
        target = futures[-1 if when == "withdrawn" else 5]
        with pytest.raises(Interruption):
            target.cancel()
        assert not target.cancelled()
        assert blocking.cancel(running=True)
        assert not concurrent.futures.wait(futures, timeout=HANG_LIMIT_SECONDS).not_done
        errors = [future.exception() for future in futures]
        assert sum(error is not None for error in errors) == (when != "drained")


# ---- stopped workers


def reply_without_end(path: Path, size: int) -> None:
    """Put replies that are nobody's, as a worker puts its own, so that it is in the middle of that most of the time."""
    frame: Any = sys._getframe()
    while "results" not in frame.f_locals:
        frame = frame.f_back
    results, reply = frame.f_locals["results"], bytes(size)
    path.touch()
    while True:
        _core.put_labelled(results, reply, 0, WAKE, False)
        end = time.perf_counter() + 0.00005  # so that who collects is as fast
        while time.perf_counter() < end:
            pass


@pytest.mark.parametrize("size", [16_000, 20_000], ids=["short", "long"])
def test_who_is_stopped_in_the_middle_of_a_reply_holds_up_nobody(tmp_path: Path, size: int) -> None:
    with ProcessPoolExecutor(1, "fork") as executor:
        for number in range(60):
            future = executor.submit(reply_without_end, tmp_path / str(number), size)
            until_there(tmp_path / str(number))
            assert future.cancel(running=True)
        assert executor.submit(square, 3).result(HANG_LIMIT_SECONDS) == 9


def test_a_call_whose_worker_is_about_to_take_it_is_cancelled_when_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ProcessPoolExecutor(1, "fork") as executor:
        future = executor.submit(touch_and_wait, tmp_path / "there")
        until_there(tmp_path / "there")
        real, not_yet = _core.has_given, iter([False] * 3)
        monkeypatch.setattr(_core, "has_given", lambda *of: next(not_yet, True) and real(*of))
        assert future.cancel(running=True)
        assert executor.submit(square, 3).result(HANG_LIMIT_SECONDS) == 9
