"""Pools between two steps: deaths before a task is taken, interruptions at any moment, floods of replies."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import itertools
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import _base
from pathlib import Path
from typing import Any

import allcores as mp
import pytest
from allcores import _core
from allcores._in_arena import Channel
from allcores._pool import backlog, chunks, futures_engine, helpers, room as rooms
from allcores._pool.claim import Claim
from allcores._pool.helpers import Helpers
from allcores._pool.marks import CALL
from allcores._pool.worker import do_next
from allcores.futures import ProcessPoolExecutor

HANG_LIMIT_SECONDS = 30


class Interruption(BaseException):
    """What a signal handler raises."""


def square(number: int) -> int:
    return number * number


def touch_and_wait_for(there: Path, go: Path) -> None:
    there.touch()
    until_there(go)


def until_there(path: Path) -> None:
    until(path.exists)


def until(is_so: Callable[[], bool]) -> None:
    limit = time.monotonic() + HANG_LIMIT_SECONDS
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.001)


def note(claim: Any, number: int, message: int) -> None:
    """Have a claim say what it does when its worker has noted a message and not yet taken it."""
    other: Any = Channel()
    for _ in range(message + 1):
        _core.put_labelled(other, None, number, CALL, False)
    for _ in range(message + 1):
        _core.claim_task(other, claim, 0.0)
    assert claim._noted() == (number, message)


def states_of(pid: int) -> set[str]:
    """Return in which states the threads of a process are."""
    states = set()
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            states.add(Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(") ")[2][0])
    return states


# ---- a worker dies that has noted a task, and not taken it


@contextlib.contextmanager
def one_busy_and_one_about_to_take(folder: Path) -> Iterator[tuple[ProcessPoolExecutor, Any, Any, Any]]:
    """Give an executor, the call that one of its workers has noted and not taken, the next call, and that worker.

    The other worker is busy until there is ``go``.
    """
    with ProcessPoolExecutor(2, "fork") as executor:
        engine: Any = executor._engine or executor._begin()
        busy = executor.submit(touch_and_wait_for, folder / "there", folder / "go")
        until_there(folder / "there")
        ((process, claim),) = [(p, c) for p, c in engine.crew.at_work() if (c._noted() or (0,))[0] == 0]
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: states_of(process.pid) == {"T"})
        first, second = executor.submit(square, 3), executor.submit(square, 4)
        note(claim, first._number, 1)
        try:
            yield executor, first, second, process
        finally:
            (folder / "go").touch()
        assert busy.result(HANG_LIMIT_SECONDS) is None


def test_a_task_that_was_taken_out_and_put_back_is_not_told_to_have_died_with_who_was_about_to_take_it(
    tmp_path: Path,
) -> None:
    with one_busy_and_one_about_to_take(tmp_path) as (executor, first, second, process):
        assert second.cancel()  # which takes both out, and puts the first one back
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: process.pid not in (executor._processes or {}))
        assert first.result(HANG_LIMIT_SECONDS) == 9


def test_a_task_that_is_being_taken_out_is_not_told_to_have_died_with_who_was_about_to_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with one_busy_and_one_about_to_take(tmp_path) as (executor, first, second, process):
        collect = _core.collect

        def collect_and_see_it_die(*arguments: Any) -> bool:
            is_there = collect(*arguments)
            if process.pid in (executor._processes or {}):
                os.kill(process.pid, signal.SIGKILL)
                until(lambda: process.pid not in (executor._processes or {}))
                time.sleep(0.01)  # so that who buries it goes as far as it can
            return is_there

        core = types.SimpleNamespace(**vars(_core) | {"collect": collect_and_see_it_die})
        monkeypatch.setattr("allcores._pool.backlog._core", core)
        assert second.cancel()
        assert first.result(HANG_LIMIT_SECONDS) == 9


def test_what_who_is_dead_was_about_to_take_is_neither_running_nor_kept_from_being_cancelled(tmp_path: Path) -> None:
    with one_busy_and_one_about_to_take(tmp_path) as (executor, first, second, process):
        engine: Any = executor._engine
        with engine.crew._lock:  # so that it is not buried
            os.kill(process.pid, signal.SIGKILL)
            until(lambda: process.exitcode is not None)
            assert second.cancel()
            assert not first.running()
            assert first.cancel()


def test_a_task_is_not_told_to_have_died_with_a_helper_when_this_process_has_just_taken_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks: Any
    replies: Any
    tasks, replies, lender = Channel(), Channel(), Channel()
    lost: list[Any] = []
    crew = Helpers(1, lender, (tasks, replies), lambda *of: lost.append(of))
    _core.put_labelled(tasks, (square, (3,)), 7, CALL, True)
    crew.ask()
    (claim,) = crew._asked.values()
    note(claim, 7, 0)
    own = Claim()
    monkeypatch.setattr(crew, "_has_ended", lambda number: True)
    crew._working[0] = 1, None, None

    def look_while_it_is_taken(channel: Any, message: int) -> bool:
        if tasks._length():
            crew._own.append(own)
            assert _core.claim_task(tasks, own, 0.0) is not None
        return _core.has_given(channel, message)

    core = types.SimpleNamespace(**vars(_core) | {"has_given": look_while_it_is_taken})
    monkeypatch.setattr(helpers, "_core", core)
    assert crew.bury()
    assert lost == []
    own._clear()
    assert not do_next(tasks, replies, own, 0.0)


# ---- interruptions


@contextlib.contextmanager
def interrupted_at(moment: int) -> Iterator[list[str]]:
    """Have a signal handler raise at so many of the moments in the pool's code at which it can, and say where that was.

    Handlers are called when a function begins, and when one of C has returned.
    """
    files = str(Path(futures_engine.__file__).parent), _base.__file__
    left, where = itertools.count(moment, -1), []

    def profile(frame: Any, event: str, _: Any) -> None:
        is_moment = event in ("call", "c_return") and frame.f_code.co_filename.startswith(files)
        if is_moment and next(left) == 0:
            sys.setprofile(None)
            where.append(f"{event} in {frame.f_code.co_name}, line {frame.f_lineno}")
            raise Interruption

    sys.setprofile(profile)
    try:
        yield where
    except Interruption:
        pass
    finally:
        sys.setprofile(None)


def test_cancelling_may_be_interrupted_anywhere(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, "fork") as executor:
        busy = executor.submit(touch_and_wait_for, tmp_path / "there", tmp_path / "go")
        until_there(tmp_path / "there")
        futures = {}
        try:
            for moment in itertools.count():
                first, future = executor.submit(square, 3), executor.submit(square, 4)
                with interrupted_at(moment) as where:
                    future.cancel()
                if not where:
                    break
                futures[first], futures[future] = where[0], where[0]
            assert future.cancelled()
            assert len(futures) > 60
        finally:
            (tmp_path / "go").touch()
        assert busy.result(HANG_LIMIT_SECONDS) is None
        pending = concurrent.futures.wait(futures, timeout=HANG_LIMIT_SECONDS).not_done
        assert [futures[future] for future in pending] == []


def test_shutting_down_may_be_interrupted_anywhere(tmp_path: Path) -> None:
    for moment in itertools.count():
        executor = ProcessPoolExecutor(1, "fork")
        go = tmp_path / f"go{moment}"
        executor.submit(touch_and_wait_for, tmp_path / str(moment), go)
        until_there(tmp_path / str(moment))
        futures = [executor.submit(square, number) for number in range(3)]
        with interrupted_at(moment) as where:
            executor.shutdown(wait=False, cancel_futures=True)
        go.touch()
        assert not concurrent.futures.wait(futures, timeout=HANG_LIMIT_SECONDS).not_done, where
        executor.shutdown()
        if not where:
            break
    assert moment > 40
    assert all(future.cancelled() for future in futures)


def test_stopping_a_running_call_may_be_interrupted_anywhere(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, "fork") as executor:
        for moment in itertools.count():
            future = executor.submit(touch_and_wait_for, tmp_path / str(moment), tmp_path / "go")
            until_there(tmp_path / str(moment))
            with interrupted_at(moment) as where:
                future.cancel(running=True)
            if not where:
                break
            # Either it is over, or it goes on, and can be cancelled still.
            assert future.cancelled() or future.cancel(running=True), where
        assert future.cancelled()
        assert moment > 60


# ---- stopped workers


def test_a_stopped_worker_goes_on_though_no_descriptor_is_left(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def not_yet_and_no_descriptor_is_left(*_: Any) -> bool:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        return False

    with ProcessPoolExecutor(1, method) as executor:
        future = executor.submit(touch_and_wait_for, tmp_path / "there", tmp_path / "go")
        until_there(tmp_path / "there")
        (pid,) = executor._processes or {}
        with monkeypatch.context() as patched:
            patched.setattr(_core, "has_given", not_yet_and_no_descriptor_is_left)
            patched.setattr(type(executor._engine), "is_running", lambda *_: True)
            try:
                with pytest.raises(OSError, match="Too many open files"):
                    future.cancel(running=True)
            finally:
                for descriptor in taken:
                    os.close(descriptor)
                (tmp_path / "go").touch()
        assert taken
        until(lambda: not Path(f"/proc/{pid}").exists() or "T" not in states_of(pid))
        assert future.result(HANG_LIMIT_SECONDS) is None


def burn_in_threads(path: Path) -> None:
    for _ in range(4):
        threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"", b"", 1 << 30), daemon=True).start()
    path.touch()
    time.sleep(HANG_LIMIT_SECONDS)


def test_a_worker_has_stopped_when_all_of_its_threads_have(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, "fork") as executor:
        future = executor.submit(burn_in_threads, tmp_path / "there")
        until_there(tmp_path / "there")
        crew: Any = executor._engine.crew  # type: ignore[union-attr]
        ((process, _),) = crew.at_work()
        stopped = 0
        try:
            for _ in range(100):
                if crew.stop(process):
                    assert states_of(process.pid) == {"T"}
                    stopped += 1
                crew.signal(process, signal.SIGCONT)
                time.sleep(0.001)
            assert stopped
        finally:
            executor.kill_workers()
        with pytest.raises(mp.WorkerDiedError):
            future.result(HANG_LIMIT_SECONDS)


# ---- replies


@pytest.mark.parametrize("timeout", [None, 0.0, 0.05])
def test_a_flood_of_replies_does_not_keep_who_looks(timeout: float | None, tmp_path: Path) -> None:
    with mp.get_context("fork").Pool(1) as pool:
        engine: Any = pool._engine  # type: ignore[attr-defined]
        collect, calls = _core.collect, itertools.count()

        def collect_while_more_comes(*arguments: Any) -> bool:
            assert next(calls) < 100_000, "it would go on for ever"
            is_there = collect(*arguments)
            engine.nudge()
            return is_there

        result = pool.apply_async(touch_and_wait_for, (tmp_path / "there", tmp_path / "go"))
        engine.nudge()
        core = types.SimpleNamespace(**vars(_core) | {"collect": collect_while_more_comes})
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("allcores._pool.engine._core", core)
            if timeout is None:
                assert not result.ready()
            else:
                with pytest.raises(mp.TimeoutError):
                    result.get(timeout)
        (tmp_path / "go").touch()
        assert result.get(HANG_LIMIT_SECONDS) is None


@pytest.mark.parametrize("are_pickled", [True, False])
def test_who_only_looks_does_not_feed_all_that_waits(are_pickled: bool) -> None:
    fed, nudges = [], []

    class Workers:
        """A channel whose tasks are taken at once."""

        def _length(self) -> int:
            return 0

    def put(tasks: Any, task: Any, number: int, *_: Any) -> int:
        if isinstance(tasks, Workers):
            fed.append(number)
            return 0
        return _core.put_labelled(tasks, task, number, CALL, False)

    pending = {number: types.SimpleNamespace() for number in range(1000)}
    crew = types.SimpleNamespace(size=1)
    engine: Any = types.SimpleNamespace(
        tasks=Workers(), pending=pending, crew=crew, nudge=lambda: nudges.append(len(fed))
    )
    queue = backlog.Backlog(engine)
    for number in range(1000):
        queue._tasks[number] = (CALL, b"") if are_pickled else (None, (lambda task: (CALL, task), (number,)))
    core = types.SimpleNamespace(**vars(_core) | {"put_labelled": put, "next_message": lambda _: 0})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(backlog, "_core", core)
        queue.feed()
        assert 0 < len(fed) < 200
        assert nudges
        while queue.is_used:
            queue.feed()
    assert fed == list(range(1000))


def test_large_arguments_are_counted_right_when_one_comes_while_another_one_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room, threads = rooms.Room(), []

    def add_up_while_one_arrives(sizes: Any) -> int:
        total = sum(sizes)
        if not threads:
            threads.append(threading.Thread(target=room.arrived, args=(1,)))
            threads[0].start()
            threads[0].join(0.1)
        return total

    room.sent(1, chunks.MOST_BYTES_AHEAD)
    monkeypatch.setattr(rooms, "sum", add_up_while_one_arrives, raising=False)
    room.sent(2, 1)
    threads[0].join(HANG_LIMIT_SECONDS)
    assert room._ready


def test_a_death_is_told_though_its_task_was_struck_out_meanwhile() -> None:
    told = []

    class Handle:
        def _describe(self, number: int) -> str:
            del engine.pending[number]  # as another thread may
            engine._tell_death(2, "another", 3, -9, "killed", None)
            return "f(1)"

        def _arrive(self, number: int, success: bool, value: Any) -> None:
            told.append((number, success, value))

    with mp.get_context("fork").Pool(1) as pool:
        engine: Any = pool._engine  # type: ignore[attr-defined]
        engine.pending[1] = Handle()
        engine._tell_death(1, "worker", 4711, -9, "killed by SIGKILL", None)
        engine.look()
        ((number, success, error),) = told
        assert (number, success, error.pid, error.task) == (1, False, 4711, "f(1)")
        assert pool.apply(square, (3,)) == 9
