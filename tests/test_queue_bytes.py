"""Queues that are bounded by bytes: Queue(maxbytes=...)."""

import asyncio
import contextlib
import queue as threads_queue
import threading
from pathlib import Path
from typing import Any

import allcores
import numpy
import pytest
from lock_programs import prints
from running import METHODS
from test_queues import end_of, started_thread, until_waited_for
from test_queues_and_deaths import BLOCKS

KINDS = ("Queue", "JoinableQueue")
KILOBYTE = bytes(1024)


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Any:
    return getattr(allcores, request.param)


def filled(queue: Any, message: Any) -> int:
    """Put until there is no room, and return how many there are then."""
    while True:
        try:
            queue.put_nowait(message)
        except threads_queue.Full:
            count: int = queue.qsize()
            return count


@pytest.mark.parametrize("length", [0, 100, 1024, 10_000, 20_000])
def test_what_has_no_room_for_its_bytes_is_not_put(make: Any, length: int) -> None:
    queue = make(maxbytes=64 << 10)
    assert not queue.full()
    count = filled(queue, bytes(length))
    assert (count - 1) * (length + 8) < 64 << 10, "eight more for each, at least"
    assert count * (length + 64) >= 64 << 10
    for _ in range(3):
        assert queue.get() == bytes(length)
        queue.put(bytes(length), timeout=0)
        with pytest.raises(threads_queue.Full):
            queue.put(bytes(length), timeout=0)
    assert filled(queue, bytes(length)) == count
    assert [queue.get() for _ in range(count)] == [bytes(length)] * count
    assert queue.empty() and not queue.full()


def test_below_the_bound_there_is_room_for_a_message_of_any_size(make: Any) -> None:
    queue = make(maxbytes=10_000)
    for message in (bytes(9000), numpy.arange(100_000)):
        queue.put_nowait(message)
    assert queue.full()
    for next_one in (1, bytes(5000)):
        with pytest.raises(threads_queue.Full):
            queue.put_nowait(next_one)
    queue.get()
    assert queue.full()
    queue.get()
    assert not queue.full()


def test_a_large_message_does_not_wait_for_as_long_as_small_ones_come(make: Any) -> None:
    queue = make(maxbytes=100_000)
    stop = threading.Event()

    def put_small_ones() -> None:
        while not stop.is_set():
            queue.put(bytes(5000))

    small = [started_thread(put_small_ones) for _ in range(3)]
    until_waited_for(queue, len(small))
    large = started_thread(queue.put, bytes(90_000))
    got = 0
    while len(queue.get(timeout=30)) != 90_000:
        got += 1
        assert got < 10_000
    stop.set()
    while any(thread.is_alive() for thread in small) or not queue.empty():
        with contextlib.suppress(threads_queue.Empty):
            queue.get(timeout=0.01)
    end_of(large, *small)


def test_both_bounds_hold(make: Any) -> None:
    queue = make(3, maxbytes=2500)
    assert filled(queue, 1) == 3 and queue.full()
    while not queue.empty():
        queue.get()
    assert filled(queue, bytes(2000)) == 2


@pytest.mark.parametrize("maxbytes", [0, -1, -(2**40)])
def test_there_is_no_bound_of_bytes(make: Any, maxbytes: int) -> None:
    queue = make(maxbytes=maxbytes)
    for _ in range(100):
        queue.put_nowait(bytes(50_000))
    assert not queue.full()


@pytest.mark.parametrize("maxbytes", [1 << 32, 1 << 40, (1 << 63) - 1])
def test_a_large_bound_is_one_that_is_never_met(make: Any, maxbytes: int) -> None:
    queue = make(maxbytes=maxbytes)
    for _ in range(100):
        queue.put_nowait(bytes(50_000))
    assert not queue.full()


@pytest.mark.parametrize("maxbytes", [1.5, "1", None], ids=repr)
def test_what_is_no_number_of_bytes_is_a_type_error(make: Any, maxbytes: Any) -> None:
    with pytest.raises(TypeError):
        make(maxbytes=maxbytes)


def test_after_many_messages_the_bound_is_as_before() -> None:
    queue = allcores.Queue(maxbytes=100_000)
    count = filled(queue, KILOBYTE)
    for _ in range(70_000):
        queue.get()
        queue.put_nowait(KILOBYTE)
    with pytest.raises(threads_queue.Full):
        queue.put_nowait(KILOBYTE)
    assert queue.qsize() == count


def test_who_waits_for_room_is_woken_by_the_first_that_is_got(make: Any) -> None:
    queue = make(maxbytes=10_000)
    count = filled(queue, KILOBYTE)
    large = started_thread(queue.put, bytes(5000))
    until_waited_for(queue)
    assert queue.get() == KILOBYTE
    end_of(large)
    rest = [queue.get() for _ in range(queue.qsize())]
    assert rest == [KILOBYTE] * (count - 1) + [bytes(5000)]


def test_small_and_large_ones_that_wait_for_room_all_go_on(make: Any) -> None:
    queue = make(maxbytes=10_000)
    queue.put(bytes(10_000))
    messages = [bytes(length) for length in (8000, 10, 6000, 20_000, 100, 5000)]
    threads = [started_thread(queue.put, bytes(2000) + message) for message in messages]
    until_waited_for(queue, len(threads))
    got = [queue.get(timeout=30) for _ in range(7)]
    end_of(*threads)
    assert sorted(map(len, got[1:])) == sorted(2000 + len(message) for message in messages)


def test_a_batch_is_put_as_far_as_it_has_room(make: Any) -> None:
    queue = make(maxbytes=10_000)
    for options in ({"block": False}, {"timeout": 0.01}):
        with pytest.raises(threads_queue.Full) as caught:
            queue.put_many([KILOBYTE] * 20, **options)
        assert caught.value.args == (queue.qsize(),)
        assert queue.qsize() == 10
        assert queue.get_many() == [KILOBYTE] * 10
    thread = started_thread(queue.put_many, [bytes([number]) * 3000 for number in range(50)])
    got = list[bytes]()
    while len(got) < 50:
        got += queue.get_many(timeout=30)
    end_of(thread)
    assert got == [bytes([number]) * 3000 for number in range(50)]


def test_a_batch_has_messages_that_are_larger_than_the_bound(make: Any) -> None:
    queue = make(maxbytes=1000)
    batch = [bytes(5000), 1, 2, bytes(50_000), 3, numpy.arange(10_000)]
    thread = started_thread(queue.put_many, batch)
    got = [queue.get(timeout=30) for _ in batch]
    end_of(thread)
    assert got[:5] == batch[:5] and numpy.array_equal(got[5], batch[5])


def test_a_coroutine_waits_for_room(make: Any) -> None:
    queue = make(maxbytes=5000)

    async def put() -> None:
        for number in range(100):
            await queue.aput((number, bytes(10_000 if number % 10 == 0 else 1000)))

    async def main() -> list[int]:
        putter = asyncio.ensure_future(put())
        got = [(await queue.aget())[0] for _ in range(100)]
        await putter
        return got

    assert asyncio.run(asyncio.wait_for(main(), 30)) == list(range(100))


def test_a_cancelled_wait_for_room_puts_nothing(make: Any) -> None:
    queue = make(maxbytes=1000)
    queue.put(KILOBYTE)

    async def main() -> None:
        waiting = asyncio.ensure_future(queue.aput(1))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert queue.get() == KILOBYTE and queue.empty()


def test_tasks_are_joined_as_without_a_bound() -> None:
    queue = allcores.JoinableQueue(maxbytes=2500)
    assert filled(queue, KILOBYTE) == 3
    thread = started_thread(queue.join)
    for _ in range(3):
        queue.get()
    until_waited_for(queue)
    for _ in range(3):
        queue.task_done()
    end_of(thread)


def test_a_shutdown_wakes_who_waits_for_room_and_frees_what_is_there(make: Any) -> None:
    queue = make(maxbytes=1000)
    queue.put(KILOBYTE)
    errors = list[Exception]()

    def put() -> None:
        try:
            queue.put(1)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    until_waited_for(queue)
    queue.shutdown(immediate=True)
    end_of(thread)
    assert isinstance(errors[0], allcores.queues.ShutDown)
    assert queue.empty()


@pytest.mark.parametrize("method", METHODS)
def test_producers_and_consumers_respect_the_bound_of_bytes(method: str, tmp_path: Path) -> None:
    definitions = """
def produce(queue, who):
    for number in range(300):
        queue.put((who, number, bytes((10, 1000, 30_000)[number % 3])))

def consume(queue, answers):
    answers.put([(who, number) for who, number, load in iter(queue.get, None)])
"""
    main = """
queue, answers = context.Queue(maxbytes=50_000), context.Queue()
producers = [context.Process(target=produce, args=(queue, who)) for who in range(2)]
consumers = [context.Process(target=consume, args=(queue, answers)) for _ in range(2)]
for process in producers + consumers:
    process.start()
for process in producers:
    process.join()
for _ in consumers:
    queue.put(None)
lists = [answers.get() for _ in consumers]
for process in consumers:
    process.join()
print(sorted(sum(lists, [])) == [(who, number) for who in range(2) for number in range(300)], queue.empty())
"""
    assert prints(tmp_path, definitions, main, method) == "True True\n"


@pytest.mark.parametrize("method", METHODS)
def test_the_bound_is_as_before_when_producers_and_consumers_were_killed(method: str, tmp_path: Path) -> None:
    definitions = (
        BLOCKS
        + """
def produce(queue):
    while True:
        queue.put(bytes(random.choice((10, 1000, 30_000))))

def consume(queue):
    while True:
        queue.get()
"""
    )
    main = """
queue = context.Queue(maxbytes=40_000)
def room():
    while not queue.empty():
        queue.get()
    count = 0
    while True:
        try:
            queue.put_nowait(bytes(1000))
            count += 1
        except mp.queues.Full:
            return count
import allcores.queues
process = context.Process(target=int)
process.start()
process.join()
before = room()
for _ in range(10):
    processes = [context.Process(target=work, args=(queue,)) for work in (produce, consume, produce)]
    for process in processes:
        process.start()
    processes[1].join(random.uniform(0.01, 0.05))
    for process in random.sample(processes, 3):
        process.kill()
        process.join()
print(room() == before)
"""
    assert prints(tmp_path, definitions, main, method) == "True\n"
