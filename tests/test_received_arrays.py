"""A large message that was received is the receiver's own: after a fork, too, nobody sees what another one writes."""

import os
import time
from collections.abc import Callable
from typing import Any

import allcores
import numpy
import pytest
from allcores import _core

CONTEXT = allcores.get_context("fork")


def by_queue(array: Any) -> Any:
    queue: Any = CONTEXT.Queue()
    queue.put(array)
    return queue.get()


def by_pipe(array: Any) -> Any:
    reader, writer = CONTEXT.Pipe(duplex=False)
    writer.send(array)
    return reader.recv()


@pytest.mark.parametrize("receive", [by_queue, by_pipe])
@pytest.mark.parametrize("length", [1000, 20_000, 70_000, 5_000_000])
def test_a_child_that_is_forked_has_its_own_copy_of_what_its_parent_has_received(
    receive: Callable[[Any], Any], length: int
) -> None:
    received = receive(numpy.zeros(length, numpy.uint8))
    seen, go = CONTEXT.Queue(), CONTEXT.Event()

    def child() -> None:
        received[::500] = 1
        seen.put("written")
        go.wait()
        seen.put(received[:501].tolist())

    process = CONTEXT.Process(target=child)
    process.start()
    assert seen.get(timeout=30) == "written"
    assert not received.any()
    received[1] = 2
    go.set()
    assert seen.get(timeout=30) == [1, *[0] * 499, 1]
    process.join()
    assert received.sum() == 2


def test_so_it_is_for_grandchildren_and_plain_forks() -> None:
    received = by_queue(numpy.zeros(1_000_000, numpy.uint8))
    received[0] = 1
    pid = os.fork()
    if pid == 0:
        received[0] += 1
        second = os.fork()
        if second == 0:
            received[0] += 1
            os._exit(int(received[0]))
        _, status = os.waitpid(second, 0)
        os._exit(10 * os.waitstatus_to_exitcode(status) + int(received[0]))
    _, status = os.waitpid(pid, 0)
    assert (os.waitstatus_to_exitcode(status), received[0]) == (32, 1)


def test_what_is_shared_stays_shared() -> None:
    shared = by_queue(allcores.share(numpy.zeros(1_000_000), writable=True))
    process = CONTEXT.Process(target=shared.__setitem__, args=(0, 5))
    process.start()
    process.join()
    assert shared[0] == 5


def test_the_memory_of_received_messages_is_given_back_whether_there_was_a_fork_or_not() -> None:
    def account() -> tuple[int, ...]:
        _core.sweep_arena()
        return _core.arena_account()

    queue: Any = CONTEXT.Queue()
    queue.put(numpy.zeros(1_000_000))
    queue.get()
    before = account()
    for forks in (False, True, True):
        received = [by_queue(numpy.ones(length)) for length in (10_000, 100_000, 1_000_000)]
        if forks:
            process = CONTEXT.Process(target=len, args=(received,))
            process.start()
            process.join()
        assert [array.sum() for array in received] == [10_000, 100_000, 1_000_000]
        del received
    deadline = time.monotonic() + 30
    while account() != before:
        assert time.monotonic() < deadline, (account(), before)
