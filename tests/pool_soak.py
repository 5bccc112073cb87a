"""A pool under fire: workers are killed at random, ten a second, whatever they do, while tasks of all kinds go on.

    python tests/pool_soak.py METHOD KILLS

Every task has its right result, or `WorkerDiedError` if its worker was killed; none runs twice, none is told of twice,
none hangs, and in the end nothing is left. Then `allcores.map` with retries does ten tasks for each kill: every result
is right, none is missing, none comes twice.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import allcores as mp
from allcores import _core

HANG_LIMIT_SECONDS = 30
WORKERS = 3
log = -1
NUMBER_BYTES = 8
LARGE_BYTES = 40_000


def note(number: int) -> None:
    """Write down that a task runs; such a write is whole or not at all."""
    os.write(log, number.to_bytes(NUMBER_BYTES, "little"))


def begin(path: str) -> None:
    """Open what tasks are written down in."""
    global log
    log = os.open(path, os.O_WRONLY | os.O_APPEND)


def answer_of(number: int) -> Any:
    """Return what a task returns: short, pickled, or so long that it lies in a block."""
    match number % 50:
        case 0:
            return bytearray(number.to_bytes(4, "little") * (LARGE_BYTES // 4))
        case 1:
            return [number]
        case _:
            return number * 3


def do(number: int, padding: Any = None) -> Any:
    """Be a task: a short one, or one that takes a moment."""
    note(number)
    if number % 7 == 0:
        deadline = time.monotonic() + random.uniform(0.0, 0.01)
        while time.monotonic() < deadline:
            pass
    return answer_of(number)


class Books:
    """What was asked, and what came of it."""

    def __init__(self) -> None:
        self.next, self.right, self.died = 0, 0, 0

    def numbers(self, count: int) -> list[int]:
        """Return numbers of new tasks."""
        first, self.next = self.next, self.next + count
        return list(range(first, self.next))

    def note(self, number: int, get: Callable[[], Any]) -> None:
        """Note how a task has ended."""
        try:
            result = get()
        except mp.WorkerDiedError:
            self.died += 1
        else:
            assert result == answer_of(number), (number, result)
            self.right += 1


def by_calls(pool: Any, books: Books) -> None:
    """Call one by one, some with large arguments."""
    padding = [None, "x" * 300, bytearray(LARGE_BYTES)]
    results = [(number, pool.apply_async(do, (number, random.choice(padding)))) for number in books.numbers(300)]
    for number, result in results:
        books.note(number, lambda result=result: result.get(HANG_LIMIT_SECONDS))  # type: ignore[misc]


def by_callbacks(pool: Any, books: Books) -> None:
    """Be told of each once, and of nothing twice."""
    told: Counter[int] = Counter()

    def tell(number: int) -> Callable[[Any], None]:
        return lambda _: told.update([number])

    numbers = books.numbers(100)
    results = [(n, pool.apply_async(do, (n,), callback=tell(n), error_callback=tell(n))) for n in numbers]
    for number, result in results:
        books.note(number, lambda result=result: result.get(HANG_LIMIT_SECONDS))  # type: ignore[misc]
    assert told == Counter(numbers)


def in_order(pool: Any, books: Books) -> None:
    """Iterate."""
    numbers = books.numbers(300)
    results = pool.imap(do, numbers)
    for number in numbers:
        books.note(number, lambda: results.next(HANG_LIMIT_SECONDS))
    assert next(results, "end") == "end"


def as_they_come(pool: Any, books: Books) -> None:
    """Iterate over what comes; a task that died does not say which one it was."""
    numbers = books.numbers(300)
    wanted = Counter(repr(answer_of(number)) for number in numbers)
    results, died = pool.imap_unordered(do, iter(numbers)), 0
    for _ in numbers:
        try:
            wanted.subtract([repr(results.next(HANG_LIMIT_SECONDS))])
        except mp.WorkerDiedError:
            died += 1
    assert all(count >= 0 for count in wanted.values()) and wanted.total() == died
    books.died, books.right = books.died + died, books.right + len(numbers) - died


def at_once(pool: Any, books: Books) -> None:
    """Map; one death fails all of it."""
    numbers = books.numbers(60)
    try:
        results = pool.map_async(do, numbers, chunksize=random.choice((1, 5, None))).get(HANG_LIMIT_SECONDS)
    except mp.WorkerDiedError:
        books.died += len(numbers)
    else:
        assert results == [answer_of(number) for number in numbers]
        books.right += len(numbers)


def kill(pool: Any, kills: int, done: threading.Event) -> None:
    """Kill workers, whatever they do."""
    for _ in range(kills):
        if done.wait(random.uniform(0.0, 0.2)):
            return
        for process in random.sample(list(pool._pool), 1) if pool._pool else []:
            process.kill()
    done.set()


def takes_a_moment(number: int) -> Any:
    """Be a task of half a millisecond."""
    deadline = time.process_time() + random.expovariate(2000)
    while time.process_time() < deadline:
        pass
    return answer_of(number)


def kill_children(done: threading.Event) -> int:
    """Kill one of this program's processes ten times a second; return how many."""
    kills = 0
    while not done.wait(0.1):
        children = mp.active_children()
        if children:
            random.choice(children).kill()
            kills += 1
    return kills


def with_retries(method: str, tasks: int) -> None:
    """Have so many tasks done, whoever dies."""
    done, killed = threading.Event(), []
    killer = threading.Thread(target=lambda: killed.append(kill_children(done)))
    killer.start()
    try:
        results = mp.map(takes_a_moment, range(tasks), workers=WORKERS, retries=20, start_method=method)
        for number in range(tasks):
            if number % 100 == 0:
                faulthandler.dump_traceback_later(2 * HANG_LIMIT_SECONDS, exit=True)
            assert next(results) == answer_of(number), number
        assert next(results, "end") == "end"
    finally:
        done.set()
        killer.join()
    faulthandler.cancel_dump_traceback_later()
    print(f"map with retries, {method}: {killed[0]} kills, {tasks} tasks, each with its result, in their order")


def ran(path: str) -> Iterator[int]:
    """Return the tasks that were written down."""
    with open(path, "rb") as file:
        while number := file.read(NUMBER_BYTES):
            yield int.from_bytes(number, "little")


def left() -> tuple[int, int, int, int]:
    """Return how much there is that would be left over: descriptors, threads, objects and references in the arena."""
    gc.collect()
    _core.sweep_arena()
    _, objects, _, _, references = _core.arena_account()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), objects, references


def is_gone(now: tuple[int, ...], before: tuple[int, ...]) -> bool:
    """Whether there is no more than before."""
    return all(count <= least for count, least in zip(now, before, strict=True))


def soak(method: str, kills: int) -> None:
    """Let a pool work until so many workers were killed."""
    books, context = Books(), mp.get_context(method)
    with tempfile.NamedTemporaryFile() as file:
        with context.Pool(1, begin, (file.name,)) as pool:  # what is made once only is there from now on
            by_callbacks(pool, books)
        pool.join()
        del pool
        before = left()
        pool = context.Pool(WORKERS, begin, (file.name,))
        done = threading.Event()
        killer = threading.Thread(target=kill, args=(pool, kills, done))
        killer.start()
        try:
            while not done.is_set():
                faulthandler.dump_traceback_later(2 * HANG_LIMIT_SECONDS, exit=True)
                random.choice((by_calls, by_callbacks, in_order, as_they_come, at_once))(pool, books)
        finally:
            done.set()
            killer.join()
        faulthandler.dump_traceback_later(2 * HANG_LIMIT_SECONDS, exit=True)
        by_calls(pool, books)
        pool.close()
        pool.join()
        assert not pool._cache and not pool._pool
        twice = [number for number, times in Counter(ran(file.name)).items() if times > 1]
        assert not twice, f"tasks {twice} ran more than once"
        del pool, killer
        deadline = time.monotonic() + HANG_LIMIT_SECONDS
        while not is_gone(now := left(), before) and time.monotonic() < deadline:
            os.sched_yield()  # spares that are being forked, threads that are about to end
        assert is_gone(now, before), f"left: {now}, before: {before} (descriptors, threads, objects, references)"
        faulthandler.cancel_dump_traceback_later()
    print(
        f"pool, {method}: {kills} kills, {books.right} tasks with their result, {books.died} with their worker's death"
    )


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    soak(sys.argv[1], int(sys.argv[2]))
    with_retries(sys.argv[1], 10 * int(sys.argv[2]))
