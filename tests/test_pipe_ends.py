"""The ends of pipes: sent, closed by another thread, and what stays of them."""

import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import allcores
import pytest
from allcores import _core
from running import PYTHON, run


def account() -> tuple[int, ...]:
    _core.sweep_arena()
    return _core.arena_account()


def answer(requests: Any) -> None:
    while (end := requests.recv()) is not None:
        end.send(bytes(100_000))
        end.close()
        requests.send("closed")


@pytest.mark.parametrize("method", ["fork", "warm"])
def test_a_pipe_for_each_request_leaves_nothing_behind(method: str) -> None:
    context = allcores.get_context(method)
    requests, its_end = context.Pipe()
    process = context.Process(target=answer, args=(its_end,))
    process.start()

    def ask() -> None:
        reader, writer = context.Pipe(duplex=False)
        requests.send(writer)
        writer.close()
        assert len(reader.recv()) == 100_000
        reader.close()
        assert requests.recv() == "closed"

    for _ in range(100):  # until segments and references have all the room that they will have
        ask()
    before = account()
    for _ in range(100):
        ask()
    deadline = time.monotonic() + 30
    while account() != before:
        assert time.monotonic() < deadline, (account(), before)
    requests.send(None)
    process.join()
    assert process.exitcode == 0


def test_an_end_that_was_sent_twice_is_there_for_both() -> None:
    queue = allcores.Queue()
    reader, writer = allcores.Pipe(duplex=False)
    queue.put(reader)
    queue.put(reader)
    writer.send("first")
    writer.send("second")
    reader.close()
    for text in ("first", "second"):
        with queue.get() as end:
            assert end.recv() == text


@pytest.mark.parametrize("duplex", [True, False])
def test_who_waits_at_an_end_that_another_thread_closes_leaves_other_files_alone(duplex: bool) -> None:
    one, other = allcores.Pipe(duplex)
    errors = list[OSError]()

    def receive() -> None:
        try:
            one.recv()
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=receive)
    thread.start()
    while not one._channels()[0]._waiters():
        time.sleep(0.001)
    number = one.fileno()
    here, there = socket.socketpair()
    with here, there:
        one.close()
        os.dup2(here.fileno(), number)  # as the next file that is opened would have it
        there.sendall(b"precious")
        thread.join(timeout=30)
        assert not thread.is_alive() and "closed" in str(errors[0])
        assert here.recv(100) == b"precious"
    os.close(number)
    other.close()


@pytest.mark.parametrize("length", [1000, 100_000])
def test_bytes_that_do_not_lie_in_one_piece_can_be_sent(length: int) -> None:
    reader, writer = allcores.Pipe(duplex=False)
    writer.send_bytes(memoryview(bytes(range(250)) * (length // 125))[::2])
    assert reader.recv_bytes() == (bytes(range(250)) * (length // 125))[::2]


def test_a_limit_on_the_size_of_files_is_named() -> None:
    program = "import allcores; allcores.Queue()"
    command = f"ulimit -f 1000; exec {subprocess.list2cmdline([*PYTHON, '-c', program])}"
    outcome = run(["bash", "-c", command])
    assert outcome.status == 1 and "ulimit -f" in outcome.err.splitlines()[-1], (outcome, sys.executable)
