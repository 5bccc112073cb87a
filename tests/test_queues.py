"""What Queue and JoinableQueue mean, in one process and between processes of every start method."""

import os
import queue as threads_queue
import threading
import time
from collections.abc import Callable
from multiprocessing import queues as standard
from pathlib import Path
from typing import Any

import allcores
import pytest
from allcores.queues import Empty, Full, ShutDown
from lock_programs import prints
from running import METHODS

KINDS = ("Queue", "JoinableQueue")


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Any:
    return getattr(allcores, request.param)


HANG_LIMIT_SECONDS = 30


def started_thread(function: Callable[..., Any], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def end_of(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(HANG_LIMIT_SECONDS)
        assert not thread.is_alive(), "it hangs"


def until_waited_for(queue: Any, count: int = 1) -> None:
    """Return when just so many threads wait for it."""
    since = time.monotonic()
    while queue._channel._waiters() != count:
        assert time.monotonic() - since < HANG_LIMIT_SECONDS, f"{queue!r} should be waited for by {count}"
        os.sched_yield()


# ---- one process


def test_it_is_the_standard_librarys_kind_of_queue(make: Any) -> None:
    assert isinstance(make(), getattr(standard, make.__name__))
    assert (Empty, Full) == (threads_queue.Empty, threads_queue.Full)
    assert ShutDown is getattr(threads_queue, "ShutDown", ShutDown)


def test_what_was_put_is_there_at_once_and_the_sizes_are_exact(make: Any) -> None:
    queue = make(3)
    assert (queue.qsize(), queue.empty(), queue.full()) == (0, True, False)
    for number in range(3):
        queue.put(number)
        assert (queue.qsize(), queue.empty(), queue.full()) == (number + 1, False, number == 2)
    assert [queue.get() for _ in range(3)] == [0, 1, 2]
    assert (queue.qsize(), queue.empty(), queue.full()) == (0, True, False)


@pytest.mark.parametrize(
    "how", [{"block": False}, {"timeout": 0}, {"timeout": -1}, {"timeout": -float("inf")}], ids=str
)
def test_an_empty_queue_says_so_at_once_and_so_does_a_full_one(make: Any, how: dict[str, Any]) -> None:
    queue = make(1)
    with pytest.raises(Empty):
        queue.get(**how)
    queue.put("first", **how)
    with pytest.raises(Full):
        queue.put("second", **how)
    assert queue.get(**how) == "first"
    assert queue.empty()


def test_nowait_is_not_to_block(make: Any) -> None:
    queue = make(1)
    with pytest.raises(Empty):
        queue.get_nowait()
    queue.put_nowait(1)
    with pytest.raises(Full):
        queue.put_nowait(2)
    assert queue.get_nowait() == 1


def test_a_time_out_lasts_as_long_as_was_asked_for(make: Any) -> None:
    queue = make(1)
    began = time.monotonic()
    with pytest.raises(Empty):
        queue.get(True, 0.1)
    assert time.monotonic() - began >= 0.1
    queue.put(1)
    began = time.monotonic()
    with pytest.raises(Full):
        queue.put(2, timeout=0.1)
    assert time.monotonic() - began >= 0.1
    assert queue.qsize() == 1


def test_who_does_not_block_takes_no_notice_of_the_time_out(make: Any) -> None:
    with pytest.raises(Empty):
        make().get(False, float("inf"))


def test_an_endless_time_out_is_for_ever(make: Any) -> None:
    queue, got = make(1), list[int]()
    thread = started_thread(lambda: got.append(queue.get(timeout=float("inf"))))
    until_waited_for(queue)
    queue.put(1, timeout=float("inf"))
    end_of(thread)
    queue.put(2)
    thread = started_thread(lambda: queue.put(3, timeout=1e300))
    until_waited_for(queue)
    assert queue.get() == 2
    end_of(thread)
    assert (got, queue.get()) == ([1], 3)


@pytest.mark.parametrize("timeout", ["1", (), object()], ids=repr)
def test_what_is_no_time_out_is_a_type_error_and_nothing_is_put(make: Any, timeout: object) -> None:
    queue = make()
    with pytest.raises(TypeError):
        queue.put(1, timeout=timeout)
    with pytest.raises(TypeError):
        queue.get(timeout=timeout)
    assert queue.empty()


@pytest.mark.parametrize("maxsize", [0, -1, -(2**40), 2**31 - 1, 2**31, 2**40])
def test_there_is_no_bound_or_one_that_is_never_met(make: Any, maxsize: int) -> None:
    queue = make(maxsize)
    for number in range(100):
        queue.put(number, block=False)
    assert (queue.qsize(), queue.full()) == (100, False)
    assert [queue.get(block=False) for _ in range(100)] == list(range(100))


def test_a_closed_queue_is_a_value_error_in_this_process(make: Any) -> None:
    queue = make()
    queue.put(1)
    queue.close()
    queue.close()
    for use in (lambda: queue.put(2), queue.get, lambda: queue.put_nowait(2), queue.get_nowait):
        with pytest.raises(ValueError, match="is closed"):
            use()
    queue.join_thread()


def test_only_a_closed_queue_is_joined(make: Any) -> None:
    queue = make()
    queue.cancel_join_thread()
    with pytest.raises(AssertionError, match="not closed"):
        queue.join_thread()


def test_the_repr_tells_name_size_bound_and_how_many_wait() -> None:
    queue = allcores.get_context("fork").JoinableQueue(5, name="orders")
    queue.put(1)
    queue.put(2)
    assert repr(queue) == "<JoinableQueue 'orders' size=2/5 unfinished=2 waiters=0>"
    assert repr(allcores.Queue(7, maxbytes=1000)) == "<Queue size=0/7 maxbytes=1000 waiters=0>"
    queue = allcores.Queue()
    assert repr(queue) == "<Queue size=0 waiters=0>"
    thread = started_thread(queue.get)
    until_waited_for(queue)
    assert repr(queue) == "<Queue size=0 waiters=1>"
    queue.put(1)
    end_of(thread)
    assert repr(queue) == "<Queue size=0 waiters=0>"
    queue.close()
    assert "Queue" in repr(queue)


def test_one_message_wakes_one_of_those_who_wait_and_many_wake_all() -> None:
    queue, got = allcores.Queue(), threads_queue.Queue[int]()
    threads = [started_thread(lambda: got.put(queue.get())) for _ in range(5)]
    until_waited_for(queue, 5)
    queue.put(0)
    assert got.get() == 0
    until_waited_for(queue, 4)
    assert got.empty()
    for number in range(1, 5):
        queue.put(number)
    end_of(*threads)
    assert sorted(got.get() for _ in range(4)) == [1, 2, 3, 4]


def test_many_producers_who_wait_for_room_go_on_one_by_one() -> None:
    queue = allcores.Queue(1)
    queue.put(0)
    threads = [started_thread(queue.put, number) for number in range(1, 6)]
    until_waited_for(queue, 5)
    assert queue.qsize() == 1
    got = [queue.get() for _ in range(6)]
    end_of(*threads)
    assert got[0] == 0 and sorted(got) == list(range(6))


def test_the_end_of_the_pipe_can_be_polled_as_programs_do(make: Any) -> None:
    queue = make()
    assert not queue._reader.poll()
    assert not queue._reader.poll(0.01)
    queue.put(1)
    assert queue._reader.poll() and queue._reader.poll(None)
    queue._writer.close()
    assert (queue._reader.closed, queue._writer.closed) == (False, True)
    queue._reader.close()
    assert queue._reader.closed and queue.get() == 1, "as executors count on when a worker was killed"
    queue.close()
    assert queue._reader.closed


# ---- tasks


def test_a_task_is_done_once() -> None:
    queue = allcores.JoinableQueue()
    with pytest.raises(ValueError, match="called too many times"):
        queue.task_done()
    queue.put(1)
    queue.put(2)
    queue.task_done()
    queue.task_done()
    with pytest.raises(ValueError, match="called too many times"):
        queue.task_done()
    queue.join()
    assert queue.qsize() == 2, "saying so gets nothing"


def test_join_waits_until_all_tasks_are_done_and_wakes_everybody() -> None:
    queue = allcores.JoinableQueue()
    for number in range(3):
        queue.put(number)
    threads = [started_thread(queue.join) for _ in range(3)]
    until_waited_for(queue, 3)
    for _ in range(2):
        queue.get()
        queue.task_done()
    queue.get()
    until_waited_for(queue, 3)
    queue.task_done()
    end_of(*threads)
    queue.join()


@pytest.mark.parametrize("method", METHODS)
def test_workers_do_the_tasks_of_a_queue(method: str, tmp_path: Path) -> None:
    definitions = """
def work(tasks, answers):
    while (task := tasks.get()) is not None:
        answers.put((os.getpid(), task))
        tasks.task_done()
    tasks.task_done()
"""
    main = """
tasks, answers = context.JoinableQueue(4), context.Queue()
processes = [context.Process(target=work, args=(tasks, answers)) for _ in range(3)]
for process in processes:
    process.start()
for task in range(300):
    tasks.put(task)
tasks.join()
print(answers.qsize(), sorted(answers.get()[1] for _ in range(300)) == list(range(300)), answers.empty())
for _ in processes:
    tasks.put(None)
tasks.join()
for process in processes:
    process.join()
print([process.exitcode for process in processes])
"""
    assert prints(tmp_path, definitions, main, method) == "300 True True\n[0, 0, 0]\n"


# ---- shutdown


def test_after_a_shutdown_nothing_is_put_and_what_is_there_can_be_got(make: Any) -> None:
    queue = make()
    queue.put(1)
    queue.put(2)
    queue.shutdown()
    queue.shutdown()
    with pytest.raises(ShutDown):
        queue.put(3)
    with pytest.raises(ShutDown):
        queue.put_nowait(3)
    assert (queue.get(), queue.get_nowait(), queue.qsize()) == (1, 2, 0)
    for _ in range(2):
        with pytest.raises(ShutDown):
            queue.get()
        with pytest.raises(ShutDown):
            queue.get_nowait()


def test_an_immediate_shutdown_drops_what_is_there(make: Any) -> None:
    queue = make()
    for message in (1, bytes(100_000), make):
        queue.put(message)
    queue.shutdown(immediate=True)
    assert queue.empty()
    with pytest.raises(ShutDown):
        queue.get()


def test_an_immediate_shutdown_makes_nothing_of_what_it_drops(make: Any) -> None:
    queue = make()
    queue.put(Explodes())
    queue.put(1)
    queue.shutdown(immediate=True)
    assert queue.empty()


class Explodes:
    """What cannot be made of its pickle."""

    def __reduce__(self) -> Any:
        return explode, ()


def explode() -> None:
    raise RuntimeError("made of a pickle")


def test_dropped_tasks_are_done_and_those_in_hand_are_not() -> None:
    queue = allcores.JoinableQueue()
    for number in range(3):
        queue.put(number)
    queue.get()
    thread = started_thread(queue.join)
    until_waited_for(queue)
    queue.shutdown(immediate=True)
    assert queue._channel._unfinished() == 1
    queue.task_done()
    end_of(thread)
    with pytest.raises(ValueError, match="called too many times"):
        queue.task_done()


def test_an_immediate_shutdown_wakes_who_joins() -> None:
    queue = allcores.JoinableQueue()
    queue.put(1)
    thread = started_thread(queue.join)
    until_waited_for(queue)
    queue.shutdown(immediate=True)
    end_of(thread)


def test_a_shutdown_leaves_the_tasks_that_are_there_to_be_done() -> None:
    queue = allcores.JoinableQueue()
    queue.put(1)
    queue.shutdown()
    thread = started_thread(queue.join)
    until_waited_for(queue)
    assert queue.get() == 1
    queue.task_done()
    end_of(thread)


def test_one_gets_until_the_queue_is_shut_down_and_empty(make: Any) -> None:
    queue, got = make(), list[int]()
    thread = started_thread(lambda: got.extend(queue))
    for number in range(5):
        queue.put(number)
    until_waited_for(queue)
    queue.shutdown()
    end_of(thread)
    assert got == [0, 1, 2, 3, 4]
    assert list(queue) == []


@pytest.mark.parametrize("method", METHODS)
def test_a_shutdown_wakes_those_who_wait_in_every_process(method: str, tmp_path: Path) -> None:
    definitions = """
from allcores.queues import ShutDown

def attempt(use, *arguments):
    try:
        return use(*arguments)
    except ShutDown:
        return "shut"

def work(empty, full, connection):
    for use in (empty.get, lambda: full.put(2), lambda: list(empty)):
        connection.send(os.getpid())
        connection.send(attempt(use))
"""
    main = """
empty, full = context.Queue(), context.Queue(1)
full.put(1)
receiver, sender = context.Pipe(duplex=False)
process = context.Process(target=work, args=(empty, full, sender))
process.start()
until_asleep(receiver.recv())
print(in_thread(empty.qsize), end=" ")
empty.shutdown()
print(receiver.recv(), end=" ")
until_asleep(receiver.recv())
full.shutdown()
print(receiver.recv(), full.get(), receiver.recv() == process.pid, receiver.recv())
process.join()
"""
    assert prints(tmp_path, definitions, main, method) == "0 shut shut 1 True []\n"


# ---- several processes


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("maxsize", [0, 3])
def test_each_message_arrives_once_and_in_its_producers_order(maxsize: int, method: str, tmp_path: Path) -> None:
    definitions = """
def produce(queue, producer):
    for number in range(500):
        queue.put((producer, number))

def consume(queue, answers):
    answers.put([message for message in iter(queue.get, None)])

def in_threads(function, *argument_lists):
    threads = [threading.Thread(target=function, args=arguments) for arguments in argument_lists]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

def produce_twice(queue, producer):
    in_threads(produce, (queue, producer), (queue, producer + 1))

def consume_twice(queue, answers):
    in_threads(consume, (queue, answers), (queue, answers))
"""
    main = f"""
queue, answers = context.Queue({maxsize}), context.Queue()
producers = [context.Process(target=produce_twice, args=(queue, 2 * n)) for n in range(2)]
consumers = [context.Process(target=consume_twice, args=(queue, answers)) for _ in range(2)]
for process in producers + consumers:
    process.start()
in_threads(produce, (queue, 4))
for process in producers:
    process.join()
for _ in range(4):
    queue.put(None)
lists = [answers.get() for _ in range(4)]
for process in consumers:
    process.join()
for got in lists:
    for producer in range(5):
        numbers = [number for who, number in got if who == producer]
        assert numbers == sorted(numbers)
print(sorted(sum(lists, [])) == [(producer, number) for producer in range(5) for number in range(500)], queue.empty())
"""
    assert prints(tmp_path, definitions, main, method) == "True True\n"


ENOUGH = 100


def get_until_none(queue: Any, counts: Any, consumer: int) -> None:
    while queue.get() is not None:
        counts[consumer] += 1


def put_until_enough(queue: Any, counts: Any, producer: int) -> None:
    while min(counts) < ENOUGH:
        queue.put(1)
        counts[producer] += 1


def test_no_consumer_starves_beside_others_who_are_as_fast_as_the_producer() -> None:
    context = allcores.get_context("fork")
    queue, counts = context.Queue(), context.RawArray("q", 3)
    consumers = [context.Process(target=get_until_none, args=(queue, counts, n), daemon=True) for n in range(3)]
    for process in consumers:
        process.start()
    since = time.monotonic()
    while min(counts) < ENOUGH:
        assert time.monotonic() - since < HANG_LIMIT_SECONDS, f"one of them starves: {list(counts)}"
        for number in range(1000):
            queue.put(number)
    for _ in consumers:
        queue.put(None)
    for process in consumers:
        process.join(HANG_LIMIT_SECONDS)
        assert process.exitcode == 0


def test_no_producer_starves_at_a_bound() -> None:
    context = allcores.get_context("fork")
    queue, counts = context.Queue(2), context.RawArray("q", 3)
    producers = [context.Process(target=put_until_enough, args=(queue, counts, n), daemon=True) for n in range(3)]
    for process in producers:
        process.start()
    since = time.monotonic()
    while any(process.is_alive() for process in producers):
        assert time.monotonic() - since < HANG_LIMIT_SECONDS, f"one of them starves: {list(counts)}"
        for _ in range(100):
            if not queue.empty():
                queue.get()
    assert [process.exitcode for process in producers] == [0] * 3


@pytest.mark.parametrize("method", METHODS)
def test_many_producers_respect_the_bound(method: str, tmp_path: Path) -> None:
    definitions = """
def produce(queue):
    for number in range(200):
        queue.put(number, timeout=random.choice((None, 40)))
        assert queue.qsize() <= 3
"""
    main = """
queue = context.Queue(3)
processes = [context.Process(target=produce, args=(queue,)) for _ in range(3)]
for process in processes:
    process.start()
total = 0
for _ in range(600):
    assert queue.qsize() <= 3
    total += queue.get()
for process in processes:
    process.join()
print(total, [process.exitcode for process in processes], queue.empty(), queue.full())
"""
    assert prints(tmp_path, definitions, main, method) == f"{3 * sum(range(200))} [0, 0, 0] True False\n"


def test_a_queue_never_seems_to_have_more_than_it_may(tmp_path: Path) -> None:
    definitions = """
def pass_on(queue):
    for _ in range(20_000):
        queue.put(None)
        queue.get()
"""
    main = """
queue = context.Queue(3)
processes = [context.Process(target=pass_on, args=(queue,)) for _ in range(3)]
for process in processes:
    process.start()
most = 0
while any(process.is_alive() for process in processes):
    for _ in range(100):
        most = max(most, queue.qsize())
print(most <= 3, queue.empty())
"""
    assert prints(tmp_path, definitions, main, "fork") == "True True\n"


@pytest.mark.parametrize("method", METHODS)
def test_closing_it_in_one_process_leaves_it_to_the_others(method: str, tmp_path: Path) -> None:
    definitions = """
def work(queue):
    queue.put("from the child")
    queue.close()
    queue.join_thread()
"""
    main = """
queue = context.Queue()
process = context.Process(target=work, args=(queue,))
process.start()
print(queue.get())
process.join()
queue.put(1)
print(queue.get(), process.exitcode)
"""
    assert prints(tmp_path, definitions, main, method) == "from the child\n1 0\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_process_that_waits_is_woken_by_one_that_puts_or_gets(method: str, tmp_path: Path) -> None:
    definitions = """
def work(empty, full, tasks, connection):
    for use in (empty.get, lambda: empty.get(timeout=100), lambda: full.put(2), lambda: full.put(3, timeout=100)):
        connection.send(os.getpid())
        connection.send(use())
    connection.send(os.getpid())
    tasks.join()
    connection.send("joined")
"""
    main = """
empty, full, tasks = context.Queue(), context.Queue(1), context.JoinableQueue()
full.put(1)
tasks.put(1)
receiver, sender = context.Pipe(duplex=False)
process = context.Process(target=work, args=(empty, full, tasks, sender))
process.start()
for end in (lambda: empty.put("a"), lambda: empty.put("b"), full.get, full.get, tasks.task_done):
    until_asleep(receiver.recv())
    end()
    print(receiver.recv(), end=" ")
process.join()
print(full.get(), full.empty())
"""
    assert prints(tmp_path, definitions, main, method) == "a b None None joined 3 True\n"
