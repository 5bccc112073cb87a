"""Many objects at a time: put_many and get_many."""

import os
import pickle
import queue as threads_queue
import threading
import time
from pathlib import Path
from typing import Any

import allcores
import numpy
import pytest
from allcores.queues import ShutDown
from lock_programs import prints
from running import METHODS


class Refuses:
    """What cannot be pickled, or cannot be unpickled."""

    def __init__(self, *, to_be_made: bool) -> None:
        self.to_be_made = to_be_made

    def __reduce__(self) -> Any:
        if self.to_be_made:
            return int, ("no number",)
        raise pickle.PicklingError("refused")


def test_a_batch_arrives_in_order_whatever_is_in_it() -> None:
    queue: Any = allcores.Queue()
    batch = [1, "two", b"x" * 50_000, {"four": 4}, None, (5, 5.5), list(range(10_000)), 8]
    queue.put_many(batch)
    queue.put_many(iter(()))
    assert queue.qsize() == len(batch)
    assert queue.get_many(3) == batch[:3]
    assert queue.get_many() == batch[3:]
    queue.put_many([numpy.arange(100_000), 7])
    array, seven = queue.get_many()
    assert seven == 7
    assert (array == numpy.arange(100_000)).all()


def test_there_is_at_least_one_or_it_is_empty() -> None:
    queue: Any = allcores.Queue()
    assert queue.get_many(0) == []
    with pytest.raises(threads_queue.Empty):
        queue.get_many(block=False)
    with pytest.raises(threads_queue.Empty):
        queue.get_many(5, timeout=0.01)
    timer = threading.Timer(0.05, queue.put, (1,))
    timer.start()
    assert queue.get_many(timeout=30) == [1]
    timer.join()


def test_what_has_no_room_in_time_is_not_put_and_its_number_is_told() -> None:
    queue: Any = allcores.Queue(3)
    for options in ({"block": False}, {"timeout": 0.01}):
        with pytest.raises(threads_queue.Full) as error:
            queue.put_many(range(5), **options)
        assert error.value.args == (3,)
        assert queue.get_many() == [0, 1, 2]


def test_a_batch_that_is_larger_than_the_queue_goes_in_as_others_get() -> None:
    queue: Any = allcores.Queue(3)
    thread = threading.Thread(target=queue.put_many, args=(range(1000),))
    thread.start()
    got: list[int] = []
    while len(got) < 1000:
        got += queue.get_many(7)
    assert got == list(range(1000))
    thread.join()


def test_nothing_is_put_of_a_batch_with_something_that_cannot_be_pickled() -> None:
    queue: Any = allcores.Queue()
    with pytest.raises(pickle.PicklingError, match="refused"):
        queue.put_many([1, Refuses(to_be_made=False), 3])
    assert queue.empty()


def test_the_others_are_there_when_one_cannot_be_unpickled() -> None:
    queue: Any = allcores.Queue()
    queue.put_many([1, Refuses(to_be_made=True), 3])
    with pytest.raises(ValueError, match="no number") as error:
        queue.get_many()
    assert error.value.got == [1, 3]
    assert queue.empty()


def test_a_batch_is_refused_by_a_closed_queue_and_by_one_that_is_shut_down() -> None:
    queue: Any = allcores.Queue()
    queue.put(1)
    queue.shutdown()
    with pytest.raises(ShutDown):
        queue.put_many([1, 2])
    assert queue.get_many() == [1]
    with pytest.raises(ShutDown):
        queue.get_many()
    queue.close()
    for call in (lambda: queue.put_many([1]), queue.get_many):
        with pytest.raises(ValueError, match="is closed"):
            call()


def test_several_sleepers_are_woken_by_one_batch() -> None:
    queue: Any = allcores.Queue()
    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(queue.get(timeout=30))) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)  # most of them sleep by then; if not, nothing is wrong
    queue.put_many(range(5))
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(5))


@pytest.mark.parametrize("method", METHODS)
def test_batches_of_several_processes_keep_their_order_and_lose_nothing(method: str, tmp_path: Path) -> None:
    definitions = """
def work(queue, number):
    for start in range(0, 1000, 50):
        queue.put_many([(number, start + index) for index in range(50)])
"""
    main = """
queue = context.Queue(120)
processes = [context.Process(target=work, args=(queue, number)) for number in range(3)]
for process in processes:
    process.start()
got = []
while len(got) < 3000:
    got += queue.get_many(90)
for process in processes:
    process.join()
print([[index for number, index in got if number == each] == list(range(1000)) for each in range(3)], queue.qsize())
"""
    assert prints(tmp_path, definitions, main, method) == "[True, True, True] 0\n"


def test_a_batch_of_a_killed_producer_is_there_up_to_where_it_was(tmp_path: Path) -> None:
    definitions = """
def work(queue):
    while True:
        queue.put_many(range(100))
"""
    main = """
for _ in range(30):
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    while not queue.qsize():
        os.sched_yield()
    time.sleep(random.uniform(0, 0.003))
    process.kill()
    process.join()
    got = queue.get_many()
    assert got == [index % 100 for index in range(len(got))], got
    queue.put("still in order")
    assert queue.get() == "still in order"
print("fine")
"""
    assert prints(tmp_path, definitions, main) == "fine\n"


def test_a_forked_process_has_the_same_queue() -> None:
    queue: Any = allcores.Queue()
    pid = os.fork()
    if pid == 0:
        queue.put_many([1, 2])
        os._exit(0)
    os.waitpid(pid, 0)
    assert queue.get_many() == [1, 2]
