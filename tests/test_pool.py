"""What programs do with a pool, beyond what CPython's own tests look at."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from multiprocessing import pool as standard
from pathlib import Path
from typing import Any

import allcores as mp
import numpy
import pytest
from allcores.pool import AsyncResult, Pool, ThreadPool
from running import guarded, program, run

HANG_LIMIT_SECONDS = 30


@pytest.fixture
def forked() -> Iterator[Any]:
    with mp.get_context("fork").Pool(2) as pool:
        yield pool
    pool.join()


def square(number: int) -> int:
    return number * number


def both(one: Any, other: Any) -> Any:
    return one, other


def fail(text: str) -> None:
    raise ValueError(text)


def pid(_: Any = None) -> int:
    return os.getpid()


def test_every_way_to_call(pool: Any) -> None:
    assert pool.apply(both, (1,), {"other": 2}) == (1, 2)
    assert pool.apply(both, [[1], {2: 3}]) == ([1], {2: 3})
    assert (
        pool.apply(int) == 0 and pool.apply(str.upper, ("a",)) == "A" and pool.apply("a".join, (["b", "c"],)) == "bac"
    )
    assert pool.map(square, range(1000)) == [square(number) for number in range(1000)]
    assert pool.map(square, iter(range(10)), 3) == [square(number) for number in range(10)]
    assert pool.map(len, "text") == [1] * 4 and pool.map(str, {1: 2}) == ["1"]
    assert pool.map(both_of, [[1], [2]]) == [[1], [2]]
    assert pool.starmap(both, [(1, 2), [3, 4], "56"]) == [(1, 2), (3, 4), ("5", "6")]
    assert pool.starmap_async(both, [(1, 2)]).get() == [(1, 2)]
    assert list(pool.imap(square, [3, 4], chunksize=2)) == [9, 16]
    assert sorted(pool.imap_unordered(square, iter([3, 4]))) == [9, 16]
    assert pool.map(functools.partial(both, 1), [2]) == [(1, 2)]
    number = 5
    assert pool.map(lambda other: other + number, [1, 2]) == [6, 7]


def both_of(items: Any) -> Any:
    return items


def test_results_say_what_they_are(pool: Any) -> None:
    result = pool.apply_async(square, (3,))
    assert isinstance(result, AsyncResult) and isinstance(result, standard.AsyncResult)
    assert isinstance(pool, standard.Pool)
    result.wait(HANG_LIMIT_SECONDS)
    assert result.ready() and result.successful() and result.get(0) == 9 and result.get() == 9
    failed = pool.apply_async(fail, ("no",))
    failed.wait(HANG_LIMIT_SECONDS)
    assert failed.ready() and not failed.successful()
    slow = pool.apply_async(time.sleep, (60,))
    assert not slow.ready()
    with pytest.raises(ValueError, match="not ready"):
        slow.successful()
    with pytest.raises(mp.TimeoutError):
        slow.get(0.01)


def test_who_only_asks_whether_it_is_ready_is_told_so(forked: Any) -> None:
    result, deadline = forked.apply_async(square, (3,)), time.monotonic() + HANG_LIMIT_SECONDS
    while not result.ready():
        assert time.monotonic() < deadline
    assert result.get(0) == 9


def test_the_first_of_the_failures_of_a_map_is_raised_when_all_is_done(pool: Any) -> None:
    with pytest.raises(ValueError, match="no"):
        pool.map(fail, ["no"] * 10, chunksize=1)
    assert pool._cache == {}


def test_an_infinite_iterable_is_read_as_far_as_results_are_taken(pool: Any) -> None:
    for imap in (pool.imap, pool.imap_unordered):
        read = itertools.count()
        results = imap(square, read)
        assert sorted(next(results) for _ in range(1000))[0] >= 0
        pool.apply(square, (1,))
        assert next(read) < 3000
        numbers = range(10**12)
        assert next(imap(square, numbers)) >= 0


def test_an_iterable_may_wait_for_results(pool: Any) -> None:
    numbers: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    numbers.put(2)
    found = []
    for result in pool.imap(square, iter(numbers.get, None)):
        found.append(result)
        numbers.put(result if result < 10_000 else None)
    assert found == [4, 16, 256, 65536]


def test_what_nobody_takes_is_done_when_the_pool_is_joined(method: str, tmp_path: Path) -> None:
    pool = mp.get_context(method).Pool(2)
    paths = [str(tmp_path / str(number)) for number in range(700)]
    pool.imap(touch, paths[:350])
    pool.imap_unordered(touch, iter(paths[350:]))
    pool.close()
    pool.join()
    assert len(list(tmp_path.iterdir())) == 700


def touch(path: str) -> None:
    Path(path).touch()


def test_what_reading_raises_is_raised_in_its_place(pool: Any) -> None:
    def items() -> Iterator[int]:
        yield 3
        raise LookupError("no more")

    results = pool.imap(square, items())
    assert next(results) == 9
    with pytest.raises(LookupError, match="no more"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("size", [0, -1])
def test_parts_have_a_size(forked: Any, size: int) -> None:
    for call in (forked.map, forked.starmap_async, forked.imap, forked.imap_unordered):
        with pytest.raises(ValueError, match="Chunksize must be 1"):
            call(square, [1], chunksize=size)


def test_many_threads_use_one_pool(pool: Any) -> None:
    wrong = []

    def use(number: int) -> None:
        for _ in range(20):
            call = random.choice(("apply", "map", "imap"))
            numbers = list(range(number, number + 20))
            results = (
                [pool.apply(square, (n,)) for n in numbers]
                if call == "apply"
                else list(getattr(pool, call)(square, numbers))
            )
            if results != [square(n) for n in numbers]:
                wrong.append((call, results))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_LIMIT_SECONDS)
        assert not thread.is_alive()
    assert wrong == []


def test_many_threads_wait_for_one_result(forked: Any) -> None:
    result, found = forked.apply_async(time.sleep, (0.1,)), []
    threads = [threading.Thread(target=lambda: found.append(result.get(HANG_LIMIT_SECONDS))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [None] * 10


class Interrupted(Exception):
    pass


def test_an_exception_of_a_signal_handler_loses_no_result(forked: Any) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(150):
            results = [forked.apply_async(square, (number,)) for number in range(20)]
            mapped = forked.map_async(square, range(30), chunksize=1)
            with contextlib.suppress(Interrupted):  # the last call, too, may be interrupted
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 2e-3))
                    for result in results:
                        result.get(HANG_LIMIT_SECONDS)
                    mapped.get(HANG_LIMIT_SECONDS)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            assert [result.get(HANG_LIMIT_SECONDS) for result in results] == [square(number) for number in range(20)]
            assert mapped.get(HANG_LIMIT_SECONDS) == [square(number) for number in range(30)]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_uses_the_pool_that_is_being_used(forked: Any) -> None:
    found = []
    before = signal.signal(signal.SIGALRM, lambda *_: found.append(forked.apply(square, (len(found),))))
    try:
        while len(found) < 50:
            signal.setitimer(
                signal.ITIMER_REAL, random.uniform(1e-5, 1e-3)
            )  # once: one that is slow meets no other one
            assert forked.map(square, range(100)) == [square(number) for number in range(100)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert found == [square(number) for number in range(len(found))]


def test_callbacks_come_before_the_result_is_ready_also_when_nobody_waits(pool: Any) -> None:
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    pool.apply_async(square, (3,), callback=told.put)
    assert told.get(timeout=HANG_LIMIT_SECONDS) == 9
    pool.apply_async(fail, ("no",), error_callback=told.put)
    assert repr(told.get(timeout=HANG_LIMIT_SECONDS)) == "ValueError('no')"
    for _ in range(200):
        result = pool.map_async(square, [1, 2], callback=told.put)
        assert result.get(HANG_LIMIT_SECONDS) == told.get(block=False) == [1, 4]


def test_a_callback_that_raises_is_shown_and_stops_nothing(forked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    assert forked.apply_async(square, (3,), callback=fail).get(HANG_LIMIT_SECONDS) == 9
    assert forked.apply_async(square, (4,), callback=shown.append).get(HANG_LIMIT_SECONDS) == 16
    assert shown[0].exc_type is ValueError and shown[1] == 16


def test_a_callback_may_use_the_pool(forked: Any) -> None:
    found: queue.SimpleQueue[int] = queue.SimpleQueue()
    forked.apply_async(square, (3,), callback=lambda nine: found.put(forked.apply(square, (nine,))))
    assert found.get(timeout=HANG_LIMIT_SECONDS) == 81


def test_workers_are_replaced_after_so_many_tasks(method: str) -> None:
    with mp.get_context(method).Pool(1, maxtasksperchild=3) as pool:
        pids = pool.map(pid, range(9), chunksize=1)
    assert [len(list(group)) for _, group in itertools.groupby(pids)] == [3, 3, 3] and len(set(pids)) == 3


def test_a_pool_in_a_worker(pool: Any) -> None:
    assert pool.apply(inner) == [1, 4, 9]


def inner() -> Any:
    with mp.Pool(2) as pool:
        return pool.map(square, [1, 2, 3])


def test_large_arrays_go_in_and_come_out(pool: Any) -> None:
    array = numpy.arange(200_000.0)
    for _ in range(3):
        doubled = pool.map(numpy.negative, [array, -array, array[::2]])
        assert all((found == -sent).all() for found, sent in zip(doubled, [array, -array, array[::2]], strict=True))
    doubled[0][:] = 1.0  # it is the receiver's own
    many = pool.map(numpy.sum, [numpy.full(1_000_000, number) for number in range(30)])
    assert many == [number * 1_000_000 for number in range(30)]


def test_arguments_and_results_are_let_go(forked: Any) -> None:
    class Thing:
        def __reduce__(self) -> Any:
            return int, ()

    thing = Thing()
    gone = weakref.ref(thing)
    result = forked.apply_async(both, (thing, 1))
    assert result.get() == (0, 1)
    del thing
    gc.collect()
    assert gone() is None


def test_a_pool_that_is_dropped_ends_and_says_so(method: str) -> None:
    pool = mp.get_context(method).Pool(2)
    processes = list(pool._pool)
    assert pool.apply(square, (2,)) == 4
    with pytest.warns(ResourceWarning, match="unclosed running multiprocessing pool"):
        del pool
        gc.collect()
    for process in processes:
        process.join(HANG_LIMIT_SECONDS)
        assert process.exitcode is not None


def test_a_pool_that_has_ended_keeps_no_descriptor_until_garbage_is_collected(method: str) -> None:
    def descriptors_after(pools: int) -> int:
        for _ in range(pools):
            with mp.get_context(method).Pool(2) as pool:
                assert pool.map(square, [3]) == [9]
        return len(os.listdir("/proc/self/fd"))

    gc.collect()
    gc.disable()
    try:
        assert descriptors_after(2) == descriptors_after(4)
    finally:
        gc.enable()


def test_a_pool_lives_as_long_as_a_result_is_waited_for() -> None:
    with pytest.warns(ResourceWarning):
        assert mp.get_context("fork").Pool(1).apply_async(square, (3,)).get(HANG_LIMIT_SECONDS) == 9
        gc.collect()


def test_a_pool_that_is_closed_takes_nothing_more(pool: Any) -> None:
    result = pool.apply_async(square, (3,))
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    pool.close()
    pool.close()
    for call in (pool.apply, pool.apply_async, pool.map, pool.imap, pool.imap_unordered, pool.starmap_async):
        with pytest.raises(ValueError, match="not running"):
            call(square, (3,))
    pool.join()
    pool.join()
    assert result.get(0) == 9
    pool.terminate()
    pool.terminate()


def test_a_pool_stays_where_it_is(forked: Any) -> None:
    with pytest.raises(NotImplementedError, match="cannot be passed"):
        forked.__reduce__()
    assert repr(forked) == "<allcores.pool.Pool state=RUN pool_size=2>"


def test_a_pool_of_threads_is_the_standard_one() -> None:
    with ThreadPool(2) as pool:
        assert pool.map(square, [1, 2]) == [1, 4] and isinstance(pool, standard.Pool)


def test_pools_of_threads_work_after_install(tmp_path: Path) -> None:
    source = """
import allcores
allcores.install()
import multiprocessing.pool, multiprocessing.dummy
for make in (multiprocessing.pool.ThreadPool, multiprocessing.dummy.Pool, allcores.pool.ThreadPool):
    with make(2) as pool:
        print(pool.map(len, ["a", "bc"]), list(pool.imap(len, ["a"])), pool.apply(len, ("abc",)))
"""
    outcome = run([sys.executable, program(tmp_path, source)])
    assert (outcome.status, outcome.out) == (0, "[1, 2] [1] 3\n" * 3), outcome.err


class Quiet(Pool):
    def Process(self, ctx: Any, *args: Any, **kwds: Any) -> Any:  # type: ignore[override]
        return ctx.Process(*args, **{**kwds, "name": "Quiet"})


def test_a_subclass_makes_its_workers_and_is_dropped_all_the_same() -> None:
    pool = Quiet(1, context=mp.get_context("fork"))
    assert pool.apply(worker_s_name) == "Quiet"
    gone = weakref.ref(pool)
    pool.terminate()
    del pool
    gc.collect()
    assert gone() is None


def worker_s_name() -> str:
    return mp.current_process().name


def test_a_program_that_ends_with_a_pool_ends(method: str, tmp_path: Path) -> None:
    source = guarded(
        "import time\nimport allcores as mp\n",
        f"""
pool = mp.get_context({method!r}).Pool(2)
pool.map_async(time.sleep, [60] * 10, callback=print)
pool.imap(time.sleep, iter([60] * 10))
print(pool.apply_async(abs, (-3,), callback=print).ready())
""",
    )
    outcome = run([sys.executable, program(tmp_path, source)], hang_limit_seconds=HANG_LIMIT_SECONDS)
    assert (outcome.status, outcome.out, outcome.err) == (0, "False\n", "")


def test_a_program_without_a_file_has_tasks_of_its_own() -> None:
    source = """
import allcores as mp
class Point:
    def __init__(self, x): self.x = x
def move(point): return Point(point.x + 1)
with mp.Pool(2) as pool:
    print([type(p) is Point and p.x for p in pool.map(move, [Point(1), Point(2)])], pool.apply(move, (Point(5),)).x)
    print([p.x for p in pool.imap(move, iter([Point(1)]))])
"""
    answer = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert (answer.stdout, answer.stderr) == ("[2, 3] 6\n[2]\n", "")
