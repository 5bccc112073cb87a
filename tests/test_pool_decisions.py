"""A pool's decisions, which are plain functions on plain data."""

import signal

import pytest
from allcores._pool.chunks import adapted, fixed
from allcores._pool.judge import (
    Death,
    Stillbirths,
    is_orderly,
    task_lost,
    threads_per_worker,
    workers_needed,
    workers_wanted,
)
from allcores._pool.marks import INITIALIZER_EXIT_CODE
from allcores._unguarded import POOL_WORKER_EXIT_CODE

NOTED = (7, 3)


@pytest.mark.parametrize(
    ("noted", "was_taken", "noted_by_others", "lost"),
    [
        (None, False, set(), None),  # it never looked for a task
        ((0, 0), False, set(), None),  # it had none
        (NOTED, True, set(), 7),
        (NOTED, True, {8, 0}, 7),
        (NOTED, False, set(), None),  # killed before it was taken: it is still there
        (NOTED, True, {7}, None),  # killed before; another one has taken it
    ],
)
def test_which_task_is_lost(
    noted: tuple[int, int] | None, was_taken: bool, noted_by_others: set[int], lost: int | None
) -> None:
    assert task_lost(Death(-9, noted, was_taken, noted_by_others)) == lost


@pytest.mark.parametrize(
    ("size", "alive", "waiting", "is_shut", "wanted"),
    [
        (4, 4, 9, False, 0),
        (4, 1, 0, False, 3),
        (4, 1, 0, True, 0),
        (4, 1, 2, True, 2),
        (4, 1, 9, True, 3),
        (2, 3, 9, False, 0),
    ],
)
def test_how_many_workers_are_started(size: int, alive: int, waiting: int, is_shut: bool, wanted: int) -> None:
    assert workers_wanted(size, alive, waiting, is_shut) == wanted


@pytest.mark.parametrize(
    ("size", "most", "pending", "needed"),
    [
        (0, 4, 1, 1),
        (1, 4, 1, 1),  # one that comes after the other has one worker
        (1, 4, 3, 3),
        (1, 4, 99, 4),
        (3, 4, 0, 3),  # who is there stays
        (4, 4, 99, 4),
    ],
)
def test_how_many_workers_an_executor_has(size: int, most: int, pending: int, needed: int) -> None:
    assert workers_needed(size, most, pending) == needed


@pytest.mark.parametrize(
    ("exit_code", "noted", "orderly"),
    [
        (0, (0, 0), True),
        (0, NOTED, False),  # os._exit(0) in a task
        (0, None, False),  # before it looked for one
        (1, (0, 0), False),
        (-9, (0, 0), False),
    ],
)
def test_which_ends_break_an_executor(exit_code: int, noted: tuple[int, int] | None, orderly: bool) -> None:
    assert is_orderly(Death(exit_code, noted, False, ())) is orderly


@pytest.mark.parametrize("code", [INITIALIZER_EXIT_CODE, POOL_WORKER_EXIT_CODE])
def test_an_end_that_every_worker_would_have_is_enough(code: int) -> None:
    assert Stillbirths(8).note(Death(code, None, False, ()))


@pytest.mark.parametrize(("code", "patience"), [(1, 8), (-signal.SIGSEGV, 8), (-signal.SIGKILL, 80)])
def test_workers_that_end_at_once_are_given_up_some_time(code: int, patience: int) -> None:
    stillbirths = Stillbirths(2)
    told = [stillbirths.note(Death(code, None, False, ())) for _ in range(patience)]
    assert told == [False] * (patience - 1) + [True]


def test_a_worker_that_began_ends_the_series() -> None:
    stillbirths = Stillbirths(2)
    for _ in range(100):
        assert not stillbirths.note(Death(1, None, False, ()))
        assert not stillbirths.note(Death(-9, NOTED, True, ()))


@pytest.mark.parametrize(("length", "size"), [(0, 5), (1, 5), (5, 5), (6, 5), (17, 1)])
def test_parts_of_one_size(length: int, size: int) -> None:
    lengths = fixed(length, size)
    assert sum(lengths) == length and set(lengths[:-1]) <= {size} and all(0 < part <= size for part in lengths)


@pytest.mark.parametrize("workers", [1, 2, 64])
@pytest.mark.parametrize("length", [0, 1, 7, 1000, 123_456])
def test_adapted_parts_become_less_and_less(length: int, workers: int) -> None:
    lengths = adapted(length, workers)
    assert sum(lengths) == length
    assert lengths == sorted(lengths, reverse=True)
    if lengths:
        assert lengths[0] <= -(-length // (4 * workers)), "no longer than the standard library's"
        assert lengths[-1] == 1
        assert len(lengths) < 64 * 8 * workers + length // 256


@pytest.mark.parametrize(
    ("cpus", "workers", "threads"), [(8, 1, None), (8, 2, 4), (8, 3, 2), (8, 8, 1), (8, 20, 1), (1, 2, 1)]
)
def test_the_cpus_are_divided_among_the_workers(cpus: int, workers: int, threads: int | None) -> None:
    assert threads_per_worker(cpus, workers) == threads
