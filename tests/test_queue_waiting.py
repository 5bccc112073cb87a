"""Waiting for a queue by a descriptor, and in coroutines."""

import asyncio
import os
import pickle
import queue as threads_queue
import select
import socket
import threading
from multiprocessing import connection
from pathlib import Path
from typing import Any

import allcores
import pytest
from allcores.queues import ShutDown
from lock_programs import prints
from running import METHODS


def is_readable(*queues: Any) -> bool:
    return bool(select.select(queues, [], [], 0)[0])


def run(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 30))


def test_a_queue_is_readable_exactly_while_there_is_something() -> None:
    queue: Any = allcores.Queue()
    assert not is_readable(queue)
    for number in range(3):
        queue.put(number)
    for number in range(3):
        assert is_readable(queue)
        assert queue.get() == number
    assert not is_readable(queue)
    with pytest.raises(threads_queue.Empty):
        queue.get_nowait()
    queue.put(1)
    assert is_readable(queue)


def test_a_queue_that_has_something_is_readable_from_the_first_look_on() -> None:
    queue: Any = allcores.Queue()
    queue.put(1)
    assert is_readable(queue)


def test_a_queue_can_be_waited_for_beside_sockets_and_sentinels() -> None:
    queue: Any = allcores.Queue()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wait_beside(queue, ours, theirs)


def wait_beside(queue: Any, ours: socket.socket, theirs: socket.socket) -> None:
    process = allcores.get_context("fork").Process(target=lambda: (theirs.recv(1), queue.put("x"), theirs.recv(1)))
    process.start()
    everything = [queue, ours, process.sentinel]
    assert connection.wait(everything, 0) == []
    ours.send(b"!")
    assert connection.wait(everything, 30) == [queue]
    assert queue.get_nowait() == "x"
    ours.send(b"!")
    assert connection.wait(everything, 30) == [process.sentinel]
    process.join()


def test_a_thread_in_select_is_woken_by_a_thread_that_puts() -> None:
    queue: Any = allcores.Queue()
    timer = threading.Timer(0.05, queue.put, (5,))
    queue.fileno()
    timer.start()
    assert select.select([queue], [], [], 30)[0] == [queue]
    assert queue.get() == 5
    timer.join()


def test_a_forked_child_has_a_descriptor_of_its_own() -> None:
    queue: Any = allcores.Queue()
    queue.fileno()
    pid = os.fork()
    if pid == 0:
        mine = select.select([queue], [], [], 30)[0] == [queue] and queue.get(timeout=30) == 1
        os._exit(0 if mine and not is_readable(queue) else 1)
    queue.put(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    # The child was faster; whoever looks finds that out.
    with pytest.raises(threads_queue.Empty):
        queue.get_nowait()
    assert not is_readable(queue)


def test_a_descriptor_that_the_program_closed_is_replaced_and_its_number_left_alone() -> None:
    queue: Any = allcores.Queue()
    number = queue.fileno()
    os.close(number)
    ours, theirs = os.pipe()  # one of them has the number now
    queue.put(1)
    assert is_readable(queue)
    assert queue.fileno() not in (ours, theirs)
    del queue
    os.write(theirs, b"!")
    assert os.read(ours, 1) == b"!"
    os.close(ours)
    os.close(theirs)


def test_a_sixteenth_descriptor_is_refused_until_another_one_is_closed() -> None:
    queue: Any = allcores.Queue()
    handles = [pickle.loads(pickle.dumps(queue)) for _ in range(16)]
    for handle in handles[:15]:
        handle.fileno()
    with pytest.raises(allcores.ArenaFullError, match="by a descriptor"):
        handles[15].fileno()
    del handles[0], handle
    queue.put(1)  # which finds that it is gone
    assert is_readable(*handles[:14])
    assert is_readable(handles[14])


def test_coroutines_get_each_object_once() -> None:
    queue: Any = allcores.Queue()

    async def getter() -> list[int]:
        return [await queue.aget() for _ in range(50)]

    async def main() -> list[int]:
        getters = [asyncio.ensure_future(getter()) for _ in range(4)]
        for number in range(200):
            queue.put(number)
            if number % 7 == 0:
                await asyncio.sleep(0)
        return sorted(number for numbers in await asyncio.gather(*getters) for number in numbers)

    assert run(main()) == list(range(200))


def test_a_coroutine_waits_for_room() -> None:
    queue: Any = allcores.Queue(2)

    async def main() -> list[int]:
        putter = asyncio.ensure_future(put())
        got = [await queue.aget() for _ in range(100)]
        await putter
        return got

    async def put() -> None:
        for number in range(100):
            await queue.aput(number)

    assert run(main()) == list(range(100))


def test_a_cancelled_wait_takes_nothing() -> None:
    queue: Any = allcores.Queue()

    async def main() -> Any:
        waiting = asyncio.ensure_future(queue.aget())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        queue.put("kept")
        return await queue.aget()

    assert run(main()) == "kept"


def test_other_coroutines_run_while_one_waits_and_no_thread_is_started() -> None:
    queue: Any = allcores.Queue()

    async def main() -> tuple[str, int]:
        waiting = asyncio.ensure_future(queue.aget())
        for _ in range(10):
            await asyncio.sleep(0)
        threads = threading.active_count()
        queue.put("x")
        return await waiting, threads

    before = threading.active_count()
    assert run(main()) == ("x", before)


def test_shutting_down_wakes_whoever_waits() -> None:
    queue: Any = allcores.Queue(1)

    async def main() -> None:
        waiting = asyncio.ensure_future(queue.aget())
        await asyncio.sleep(0)
        queue.shutdown()
        with pytest.raises(ShutDown):
            await waiting

    run(main())
    assert is_readable(queue)


@pytest.mark.parametrize("method", METHODS)
def test_coroutines_of_two_processes_talk(method: str, tmp_path: Path) -> None:
    definitions = """
import asyncio

async def answer(questions, answers):
    while (question := await questions.aget()) is not None:
        await answers.aput(question + 1)

def work(questions, answers):
    asyncio.run(answer(questions, answers))

async def ask(questions, answers):
    total = 0
    for number in range(200):
        await questions.aput(number)
        total += await answers.aget()
    await questions.aput(None)
    return total
"""
    main = """
questions, answers = context.Queue(), context.Queue(1)
process = context.Process(target=work, args=(questions, answers))
process.start()
print(asyncio.run(ask(questions, answers)))
process.join()
print(process.exitcode)
"""
    assert prints(tmp_path, definitions, main, method) == f"{sum(range(1, 201))}\n0\n"


def test_a_reader_in_select_gets_what_comes_although_producers_are_killed(tmp_path: Path) -> None:
    definitions = """
import select
from queue import Empty

def work(queue, number):
    while True:
        queue.put(number)
"""
    main = """
queue = context.Queue(5)
for number in range(100):
    process = context.Process(target=work, args=(queue, number))
    process.start()
    while not (select.select([queue], [], [], 30)[0] and queue.get() == number):
        pass
    time.sleep(random.uniform(0, 0.002))
    process.kill()
    process.join()
    # Whatever was put is heard of.
    while queue.qsize():
        assert select.select([queue], [], [], 0)[0]
        queue.get(timeout=0)
    if select.select([queue], [], [], 0)[0]:  # the producer was killed between what tells of a message and the message
        try:
            queue.get(timeout=0)
            print("qsize() did not see it")
        except Empty:  # who looks in vain takes that off
            pass
    assert not select.select([queue], [], [], 0)[0]
print("heard of all")
"""
    assert prints(tmp_path, definitions, main) == "heard of all\n"


def test_a_simple_queue_has_the_few_methods_and_its_ends_close_apart() -> None:
    queue: Any = allcores.SimpleQueue()
    assert queue.empty()
    queue.put([1])
    assert connection.wait([queue._reader], 30)
    assert not queue.empty() and queue.get() == [1]
    queue._writer.close()
    with pytest.raises(OSError, match="handle is closed"):
        queue._writer.send(1)
    queue.close()
    for call in (queue.get, queue.empty, lambda: queue.put(1)):
        with pytest.raises(OSError, match="handle is closed"):
            call()


@pytest.mark.parametrize("method", METHODS)
def test_a_simple_queue_travels(method: str, tmp_path: Path) -> None:
    definitions = """
def work(one, other):
    while (number := one.get()) is not None:
        other.put(number + 1)
"""
    main = """
one, other = context.SimpleQueue(), context.SimpleQueue()
process = context.Process(target=work, args=(one, other))
process.start()
for number in range(100):
    one.put(number)
one.put(None)
print(sum(other.get() for _ in range(100)), one)
process.join()
"""
    assert prints(tmp_path, definitions, main, method).startswith("5050 <SimpleQueue size=")


def test_handles_that_come_and_go_leave_their_descriptors_room() -> None:
    queue: Any = allcores.Queue()
    for _ in range(40):
        handle = pickle.loads(pickle.dumps(queue))
        assert not is_readable(handle)
        del handle
    queue.put(1)
    assert is_readable(queue)
