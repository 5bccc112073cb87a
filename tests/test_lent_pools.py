"""A pool that is used by a process which did not make it: by an argument, or by a fork, and nobody waits for ever."""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import allcores as mp
import pytest
from allcores._pool import lent
from allcores.pool import Pool
from running import METHODS, Outcome, guarded, program, run

HANG_LIMIT_SECONDS = 60


@pytest.fixture(params=METHODS)
def pool(request: pytest.FixtureRequest) -> Iterator[Any]:
    with mp.get_context(request.param).Pool(2) as pool:
        yield pool


@pytest.fixture
def warm() -> Iterator[Any]:
    with mp.get_context("warm").Pool(2) as pool:
        yield pool


def square(number: int) -> int:
    return number * number


def fibonacci(pool: Any, number: int) -> int:
    if number < 2:
        return number
    first, second = (pool.apply_async(fibonacci, (pool, number - less)) for less in (1, 2))
    return int(first.get() + second.get())


def many_pools(questions: Any, answers: Any) -> None:
    """Use one pool of another process after the other."""
    while (pool := questions.get()) is not None:
        answers.put((pool.map(square, range(5)), len(os.listdir("/proc/self/fd"))))
    answers.put(len(lent._engines))


def squares(pool: Any, count: int) -> list[Any]:
    """The same by every method."""
    called: list[int] = []
    result = pool.map_async(square, range(count), callback=called.extend)
    result.wait()
    ways = [
        pool.map(square, range(count)),
        pool.starmap(square, [(number,) for number in range(count)], 2),
        list(pool.imap(square, iter(range(count)))),
        sorted(pool.imap_unordered(square, list(range(count)), chunksize=3)),
        [pool.apply(square, (number,)) for number in range(count)],
        called,
    ]
    assert result.get() == called
    return ways


def meet(folder: str, number: int) -> int:
    """Wait until somebody does the same for the other number, which has to be another process."""
    Path(folder, str(number)).touch()
    while not Path(folder, str(1 - number)).exists():
        os.sched_yield()
    return os.getpid()


def have_two_meet(pool: Any, folder: str) -> int:
    return len(set(pool.starmap(meet, [(folder, 0), (folder, 1)], chunksize=1)))


def test_tasks_of_tasks_are_done_however_deep_they_are(pool: Any) -> None:
    assert pool.apply_async(fibonacci, (pool, 10)).get(HANG_LIMIT_SECONDS) == 55


def test_every_method_works_in_a_worker_while_all_of_them_use_it(pool: Any) -> None:
    expected = [[number * number for number in range(20)]] * 6
    results = [pool.apply_async(squares, (pool, 20)) for _ in range(4)]
    assert [result.get(HANG_LIMIT_SECONDS) for result in results] == [expected] * 4


def test_workers_that_have_time_help(pool: Any, tmp_path: Path) -> None:
    assert pool.apply_async(have_two_meet, (pool, str(tmp_path))).get(HANG_LIMIT_SECONDS) == 2


def wide(pool: Any, depth: int) -> int:
    return 1 if depth == 0 else sum(pool.starmap(wide, [(pool, depth - 1)] * 120, chunksize=1))


def test_many_tasks_that_all_wait_are_not_done_in_one_another(warm: Any) -> None:
    # Were they, the stack of calls would be as deep as there are tasks.
    assert warm.apply_async(wide, (warm, 2)).get(HANG_LIMIT_SECONDS) == 120 * 120


def poll(pool: Any, number: int) -> int:
    result = pool.apply_async(square, (number,))
    while not result.ready():
        os.sched_yield()
    return int(result.get())


def test_who_only_asks_whether_it_is_ready_gets_it_also_when_all_are_busy(warm: Any) -> None:
    results = [warm.apply_async(poll, (warm, number)) for number in range(4)]
    assert [result.get(HANG_LIMIT_SECONDS) for result in results] == [0, 1, 4, 9]


def ask_and_forget(pool: Any, folder: str) -> None:
    pool.apply_async(Path(folder, "done").touch)


def test_what_a_task_does_not_wait_for_is_done_by_the_others(warm: Any, tmp_path: Path) -> None:
    warm.apply(ask_and_forget, (warm, str(tmp_path)))
    deadline = time.monotonic() + HANG_LIMIT_SECONDS
    while not (tmp_path / "done").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def fail(number: int) -> None:
    raise ValueError(number)


def catch(pool: Any) -> str:
    try:
        pool.map(fail, range(3))
    except ValueError as error:
        return str(type(error.__cause__).__name__)
    return "nothing"


def test_errors_come_to_who_has_asked(pool: Any) -> None:
    assert pool.apply_async(catch, (pool,)).get(HANG_LIMIT_SECONDS) == "RemoteTraceback"
    with pytest.raises(ValueError):
        pool.apply_async(pool_map_fails, (pool,)).get(HANG_LIMIT_SECONDS)


def pool_map_fails(pool: Any) -> None:
    pool.map(fail, range(3))


# ---- deaths


def die_unless(pid: int, folder: str, number: int) -> int:
    meet(folder, number)
    if os.getpid() != pid:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def lose_a_helper(pool: Any, folder: str) -> tuple[str, list[int]]:
    results = [pool.apply_async(die_unless, (os.getpid(), folder, number)) for number in (0, 1)]
    lost = []
    for result in results:
        try:
            result.get()
        except mp.WorkerDiedError as error:
            lost.append(error.task)
    return lost, pool.map(square, range(10))  # type: ignore[return-value]


def test_a_helper_that_is_killed_costs_the_task_that_it_had(pool: Any, tmp_path: Path) -> None:
    (lost,), rest = pool.apply_async(lose_a_helper, (pool, str(tmp_path))).get(HANG_LIMIT_SECONDS)
    assert lost.startswith("die_unless(")
    assert rest == [number * number for number in range(10)]
    assert pool.map_async(square, range(10)).get(HANG_LIMIT_SECONDS) == rest


def stay_longer(pid: int, folder: str, number: int) -> int:
    """Meet, and have the helper be the one that is waited for."""
    met = meet(folder, number)
    if met != pid:
        time.sleep(0.5)
    return met


def have_a_helper_without_descriptors(pool: Any, folder: str) -> int:
    def refuse(*_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    pidfd_open, os.pidfd_open = os.pidfd_open, refuse
    try:
        return len(set(pool.starmap(stay_longer, [(os.getpid(), folder, number) for number in range(2)], chunksize=1)))
    finally:
        os.pidfd_open = pidfd_open


def test_a_helper_that_cannot_be_looked_at_is_not_taken_for_dead(pool: Any, tmp_path: Path) -> None:
    assert pool.apply_async(have_a_helper_without_descriptors, (pool, str(tmp_path))).get(HANG_LIMIT_SECONDS) == 2


def die_while_helped(pool: Any, folder: str) -> None:
    pool.apply_async(meet, (folder, 0))
    while not Path(folder, "0").exists():  # the helper has it
        os.sched_yield()
    os.kill(os.getpid(), signal.SIGKILL)


def test_who_is_killed_while_others_help_is_a_dead_worker_and_they_go_on(pool: Any, tmp_path: Path) -> None:
    with pytest.raises(mp.WorkerDiedError, match="die_while_helped"):
        pool.apply_async(die_while_helped, (pool, str(tmp_path))).get(HANG_LIMIT_SECONDS)
    Path(tmp_path, "1").touch()
    assert pool.apply_async(have_two_meet, (pool, str(tmp_path))).get(HANG_LIMIT_SECONDS) >= 1
    assert pool.map_async(square, range(100)).get(HANG_LIMIT_SECONDS) == [number * number for number in range(100)]


@pytest.mark.parametrize("at", range(0, 12))
def test_helpers_that_are_killed_at_any_time_lose_nothing_else(warm: Any, at: int) -> None:
    def of_warm() -> list[int]:
        return [process.pid for process in list(warm._pool)]

    result = warm.apply_async(tolerant, (warm, 300))
    time.sleep(at * 0.003)
    for pid in of_warm()[at % 2 :: 2]:
        os.kill(pid, signal.SIGKILL)
    try:
        assert result.get(HANG_LIMIT_SECONDS) == 300
    except mp.WorkerDiedError as error:
        assert error.task.startswith("tolerant(")
    assert warm.map_async(square, range(10)).get(HANG_LIMIT_SECONDS) == [number * number for number in range(10)]


def tolerant(pool: Any, count: int) -> int:
    """How many tasks came to an end, by a result or by a death."""
    ends = 0
    for result in [pool.apply_async(square, (number,)) for number in range(count)]:
        with contextlib.suppress(mp.WorkerDiedError):
            result.get()
        ends += 1
    return ends


# ---- whose it is


def use(pool: Any, results: Any) -> None:
    results.put(pool.map(square, range(5)))


def test_any_process_of_the_program_may_use_it(pool: Any) -> None:
    results: Any = mp.SimpleQueue()
    process = pool._ctx.Process(target=use, args=(pool, results))
    process.start()
    assert results.get() == [0, 1, 4, 9, 16]
    process.join()
    assert process.exitcode == 0


def end_it(pool: Any) -> list[int]:
    with pool:
        first = pool.map(square, range(3))
    pool.join()
    with pytest.raises(ValueError, match="not running"):
        pool.apply_async(square, (1,))
    return list(first)


def test_a_worker_that_ends_it_ends_only_its_own_use(pool: Any) -> None:
    for _ in range(3):
        assert pool.apply_async(end_it, (pool,)).get(HANG_LIMIT_SECONDS) == [0, 1, 4]


def use_when_told(pool: Any, folder: str) -> list[int]:
    Path(folder, "begun").touch()
    while not Path(folder, "go").exists():
        os.sched_yield()
    return list(pool.map(square, range(5)))


def test_a_task_may_still_use_it_when_it_was_closed(pool: Any, tmp_path: Path) -> None:
    result = pool.apply_async(use_when_told, (pool, str(tmp_path)))
    while not (tmp_path / "begun").exists():
        os.sched_yield()
    pool.close()
    (tmp_path / "go").touch()
    pool.join()
    assert result.get(0) == [0, 1, 4, 9, 16]


def test_it_cannot_be_pickled_for_anybody_else(warm: Any) -> None:
    with pytest.raises(NotImplementedError):
        pickle.dumps(warm)
    with pytest.raises(NotImplementedError):
        copy.copy(warm)


def test_a_copy_that_a_fork_has_made_works_and_what_the_parent_asked_for_is_the_parent_s(tmp_path: Path) -> None:
    definitions = """
import allcores, os, time
def square(number): return number * number
def slow(number):
    time.sleep(1)
    return number
def use():
    print(pool.map(square, range(4)), pool.apply(square, (5,)))
    try:
        result.get()
    except RuntimeError as error:
        print(error)
"""
    main = """
context = allcores.get_context("fork")
pool = context.Pool(2)
result = pool.apply_async(slow, (7,))
process = context.Process(target=use)
process.start()
process.join()
print(process.exitcode, result.get())
pool.close()
pool.join()
"""
    lines = [
        "[0, 1, 4, 9] 25",
        "this was asked for by the parent process, which gets it: ask for it again here",
        "0 7",
    ]
    outcome = run([sys.executable, program(tmp_path, guarded(definitions, main))])
    assert outcome == Outcome(0, "".join(line + "\n" for line in lines), "")


def test_a_class_of_the_program_s_own_stays_what_it_is_after_a_fork(tmp_path: Path) -> None:
    class Mine(Pool):
        def twice(self, number: int) -> Any:
            return self.apply(square, (number,)) * 2

    pool = Mine(2, context=mp.get_context("fork"))
    results: Any = mp.SimpleQueue()
    process = mp.get_context("fork").Process(target=lambda: results.put((pool.twice(3), isinstance(pool, Mine))))
    process.start()
    assert results.get() == (18, True)
    process.join()
    pool.terminate()
    pool.join()


@pytest.mark.parametrize("method", ["fork", "warm"])
def test_a_process_that_uses_many_pools_keeps_little_of_those_that_are_over(method: str) -> None:
    context = mp.get_context(method)
    questions, answers = context.Queue(), context.Queue()
    user = context.Process(target=many_pools, args=(questions, answers))
    user.start()
    descriptors = []
    for _ in range(lent._MOST_ENGINES + 10):
        with context.Pool(1) as pool:
            questions.put(pool)
            squared, number = answers.get(timeout=HANG_LIMIT_SECONDS)
            assert squared == [0, 1, 4, 9, 16]
            descriptors.append(number)
    questions.put(None)
    assert answers.get(timeout=HANG_LIMIT_SECONDS) <= lent._MOST_ENGINES
    user.join(HANG_LIMIT_SECONDS)
    assert max(descriptors[20:]) <= max(descriptors[:20]) + 1
