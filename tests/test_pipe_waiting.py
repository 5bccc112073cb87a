"""Waiting for a pipe: by its descriptor, in coroutines, in poll and recv, and for room; and signals meanwhile."""

import asyncio
import multiprocessing
import os
import select
import socket
import threading
from collections.abc import Callable
from multiprocessing import connection
from pathlib import Path
from typing import Any

import allcores
import pytest
from lock_programs import HANDLES_AND_GOES_ON, INTERRUPTED_AND_AS_BEFORE, IS_INTERRUPTED, SAYS_IT_HANDLES, prints
from running import METHODS

HANG_LIMIT_SECONDS = 30


def by_select(end: Any) -> bool:
    return bool(select.select([end], [], [], 0)[0])


def by_poll(end: Any) -> bool:
    poll = select.poll()
    poll.register(end, select.POLLIN)
    return bool(poll.poll(0))


def by_epoll(end: Any) -> bool:
    with select.epoll() as epoll:
        epoll.register(end, select.EPOLLIN)
        return bool(epoll.poll(0))


def by_wait(end: Any) -> bool:
    return connection.wait([end], 0) == [end]


def by_itself(end: Any) -> bool:
    return bool(end.poll())


WAYS = [by_select, by_poll, by_epoll, by_wait, by_itself]


@pytest.fixture(params=[False, True], ids=["one way", "duplex"])
def ends(request: pytest.FixtureRequest) -> Any:
    return allcores.Pipe(request.param)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("load", [1, bytes(50_000)], ids=["small", "large"])
def test_an_end_is_readable_exactly_while_there_is_something_or_the_end(
    ends: Any, way: Callable[[Any], bool], load: Any
) -> None:
    receiver, sender = ends
    assert not way(receiver)
    for turn in range(3):
        for number in range(3):
            sender.send((number, load))
        for number in range(3):
            assert way(receiver)
            assert receiver.recv() == (number, load)
        assert not way(receiver), f"turn {turn}"
    sender.send("last")
    sender.close()
    assert way(receiver)
    assert receiver.recv() == "last"
    assert way(receiver)
    with pytest.raises(EOFError):
        receiver.recv()
    assert way(receiver), "the end stays"


def test_a_number_that_was_asked_for_before_stays_exact(ends: Any) -> None:
    receiver, sender = ends
    number = receiver.fileno()
    for _ in range(100):
        assert not by_select(number)
        sender.send(1)
        sender.send(2)
        assert by_select(number)
        receiver.recv()
        assert by_select(number)
        receiver.recv()
    assert not by_select(number)


def test_an_end_that_has_something_is_readable_from_the_first_look_on(ends: Any) -> None:
    receiver, sender = ends
    sender.send(1)
    assert by_select(receiver)
    assert receiver.recv() == 1
    assert not by_select(receiver)


def test_an_end_made_of_another_one_is_readable_with_it(ends: Any) -> None:
    receiver, sender = ends
    reader, writer = allcores.Pipe(duplex=False)
    writer.send(receiver)
    other = reader.recv()
    assert not by_select(other)
    sender.send(1)
    assert by_select(other) and by_select(receiver)
    assert receiver.recv() == 1
    assert not by_select(other) and not by_select(receiver)


def test_a_duplex_end_can_be_written_to_and_read_from_at_once() -> None:
    here, there = allcores.Pipe()
    there.send(1)
    assert not by_select(there), "what it sent is not for itself"
    assert by_select(here)
    assert here.recv() == 1
    here.send(2)
    assert by_select(there) and there.recv() == 2


def test_an_end_can_be_waited_for_beside_sockets_sentinels_and_the_standard_librarys() -> None:
    receiver, sender = allcores.Pipe(duplex=False)
    theirs, their_sender = multiprocessing.Pipe(duplex=False)
    one, other = socket.socketpair()
    process = allcores.get_context("fork").Process(target=other.recv, args=(1,))
    process.start()
    everything = [receiver, theirs, one, process.sentinel]
    assert connection.wait(everything, 0) == []
    sender.send(1)
    assert connection.wait(everything, HANG_LIMIT_SECONDS) == [receiver]
    their_sender.send(2)
    assert connection.wait(everything, HANG_LIMIT_SECONDS) == [receiver, theirs]
    assert receiver.recv() == 1
    assert connection.wait(everything, HANG_LIMIT_SECONDS) == [theirs]
    assert theirs.recv() == 2
    one.send(b"!")
    assert connection.wait(everything, HANG_LIMIT_SECONDS) == [process.sentinel]
    other.send(b"!")
    assert connection.wait(everything, HANG_LIMIT_SECONDS) == [one, process.sentinel]
    sender.close()
    assert connection.wait(everything, HANG_LIMIT_SECONDS) == [receiver, one, process.sentinel]
    process.join()
    for end in (one, other, theirs, their_sender):
        end.close()


@pytest.mark.parametrize("way", ["select", "poll", "wait", "recv"])
def test_a_thread_that_waits_is_woken_by_a_message_and_by_the_end(ends: Any, way: str) -> None:
    receiver, sender = ends
    for load in (1, None):
        end = (lambda: sender.send(1)) if load else sender.close
        timer = threading.Timer(0.05, end)
        timer.start()
        if way == "select":
            assert select.select([receiver], [], [], HANG_LIMIT_SECONDS)[0]
        elif way == "poll":
            assert receiver.poll(HANG_LIMIT_SECONDS)
        elif way == "wait":
            assert connection.wait([receiver], HANG_LIMIT_SECONDS)
        if load:
            assert receiver.recv() == 1
        else:
            with pytest.raises(EOFError):
                receiver.recv()
        timer.join()


def test_edges_are_told_by_epoll_once_for_each_time_that_it_was_empty(ends: Any) -> None:
    receiver, sender = ends
    with select.epoll() as epoll:
        epoll.register(receiver, select.EPOLLIN | select.EPOLLET)
        for _ in range(10):
            assert epoll.poll(0) == []
            sender.send(1)
            assert epoll.poll(0) == [(receiver.fileno(), select.EPOLLIN)]
            assert receiver.recv() == 1


def test_an_event_loop_reads_each_object_once(ends: Any) -> None:
    receiver, sender = ends

    async def main() -> list[int]:
        loop, got, done = asyncio.get_running_loop(), list[int](), asyncio.Event()

        def read() -> None:
            while receiver.poll():
                try:
                    got.append(receiver.recv())
                except EOFError:
                    loop.remove_reader(receiver)
                    return done.set()

        loop.add_reader(receiver, read)
        for number in range(200):
            sender.send(number)
            if number % 7 == 0:
                await asyncio.sleep(0)
        sender.close()
        await asyncio.wait_for(done.wait(), HANG_LIMIT_SECONDS)
        return got

    assert asyncio.run(main()) == list(range(200))


def test_an_event_loop_that_reads_one_at_a_time_is_called_for_each(ends: Any) -> None:
    receiver, sender = ends

    async def main() -> list[int]:
        loop, got, done = asyncio.get_running_loop(), list[int](), asyncio.Event()

        def read() -> None:
            got.append(receiver.recv())  # it would wait if there were nothing
            if len(got) == 50:
                loop.remove_reader(receiver)
                done.set()

        loop.add_reader(receiver, read)
        for number in range(50):
            sender.send(number)
        await asyncio.wait_for(done.wait(), HANG_LIMIT_SECONDS)
        return got

    assert asyncio.run(main()) == list(range(50))


@pytest.mark.parametrize("method", METHODS)
def test_event_loops_of_two_processes_talk(method: str, tmp_path: Path) -> None:
    definitions = """
import asyncio

async def messages(end):
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(end, ready.set)
    try:
        while True:
            await ready.wait()
            ready.clear()
            if end.poll():
                yield end.recv()
    except EOFError:
        loop.remove_reader(end)

async def answer(end):
    async for number in messages(end):
        end.send(number + 1)

def work(end, other):
    other.close()
    asyncio.run(answer(end))

async def ask(end):
    total = number = 0
    end.send(number)
    async for answered in messages(end):
        total, number = total + answered, number + 1
        if number == 200:
            end.close()
            return total
        end.send(number)
"""
    main = """
ours, theirs = context.Pipe()
process = context.Process(target=work, args=(theirs, ours))
process.start()
theirs.close()
print(asyncio.run(ask(ours)))
process.join()
print(process.exitcode)
"""
    assert prints(tmp_path, definitions, main, method) == f"{sum(range(1, 201))}\n0\n"


# ---- room

FILL = """
def filling(sender, length):
    # A thread that sends twice as much as there is room for, and the list of what it has sent so far.
    total, done = (2 << 20) // length, []
    def send_all():
        for number in range(total):
            sender.send_bytes(number.to_bytes(4, "little") + bytes(length - 4))
            done.append(number)
    thread = threading.Thread(target=send_all)
    thread.start()
    until_asleep(os.getpid(), thread.native_id)
    assert len(done) < total
    return thread, total, len(done)

def drain(receiver, thread, total):
    numbers = [int.from_bytes(receiver.recv_bytes()[:4], "little") for _ in range(total)]
    thread.join()
    return numbers == list(range(total)) and not receiver.poll()
"""


@pytest.mark.parametrize("length", [8, 1000, 50_000])
def test_a_full_pipe_blocks_its_sender_until_there_is_room_and_loses_nothing(length: int, tmp_path: Path) -> None:
    main = f"""
for duplex in (False, True):
    receiver, sender = context.Pipe(duplex)
    thread, total, sent = filling(sender, {length})
    assert (sent - 1) * {length} < 1 << 20 <= sent * ({length} + 24), sent
    assert drain(receiver, thread, total)
print("fine")
"""
    assert prints(tmp_path, FILL, main) == "fine\n"


def test_behind_a_message_larger_than_the_room_others_wait(tmp_path: Path) -> None:
    main = """
receiver, sender = context.Pipe(duplex=False)
sender.send(bytes(5 << 20))
thread = threading.Thread(target=sender.send, args=(1,))
thread.start()
until_asleep(os.getpid(), thread.native_id)
print(len(receiver.recv()) == 5 << 20, receiver.recv())
thread.join()
sender.send(bytes(1 << 20))
thread = threading.Thread(target=sender.send, args=(bytes(5 << 20),))
thread.start()
until_asleep(os.getpid(), thread.native_id)
print(len(receiver.recv()) == 1 << 20, len(receiver.recv()) == 5 << 20, receiver.poll())
thread.join()
"""
    assert prints(tmp_path, "", main) == "True 1\nTrue True False\n"


def test_the_directions_of_a_duplex_pipe_have_their_own_room(tmp_path: Path) -> None:
    main = """
here, there = context.Pipe()
one, other = filling(here, 1000), filling(there, 1000)
print(one[2] == other[2], drain(there, *one[:2]), drain(here, *other[:2]))
"""
    assert prints(tmp_path, FILL, main) == "True True True\n"


# ---- signals

WAITS = """
def waits():
    # What a process does to wait, and what another does to end that.
    empty, feeds = context.Pipe(duplex=False)
    ours, theirs = context.Pipe()
    drains, full = context.Pipe(duplex=False)
    pair, full_pair = context.Pipe()
    for end in (full, full_pair):
        end.send(bytes(2 << 20))
    keep.extend((empty, feeds, ours, theirs, drains, full, pair, full_pair))
    return {
        "recv": (lambda: empty.recv() == 5, lambda: feeds.send(5)),
        "recv, duplex": (lambda: ours.recv() == 5, lambda: theirs.send(5)),
        "recv_bytes": (lambda: empty.recv_bytes() == b"5", lambda: feeds.send_bytes(b"5")),
        "recv_bytes_into": (lambda: ours.recv_bytes_into(bytearray(5)) == 1, lambda: theirs.send_bytes(b"5")),
        "poll": (lambda: empty.poll(None), lambda: feeds.send(5)),
        "poll, time-out": (lambda: ours.poll(100), lambda: theirs.send(5)),
        "send": (lambda: full.send(2) is None, drains.recv),
        "send, duplex": (lambda: full_pair.send([2]) is None, pair.recv),
        "send_bytes": (lambda: full_pair.send_bytes(bytes(50_000)) is None, pair.recv),
        "wait": (lambda: bool(mp.connection.wait([empty, ours])), lambda: theirs.send(5)),
    }

import allcores.connection
keep = []
WAY_NAMES = list(waits())
"""


def test_ctrl_c_interrupts_every_wait_and_the_pipe_is_as_before(tmp_path: Path) -> None:
    assert prints(tmp_path, WAITS + IS_INTERRUPTED, INTERRUPTED_AND_AS_BEFORE) == "fine\n"


def test_a_handler_that_returns_runs_during_the_wait_and_the_wait_goes_on(tmp_path: Path) -> None:
    assert prints(tmp_path, WAITS + SAYS_IT_HANDLES, HANDLES_AND_GOES_ON) == "fine\n"


def test_a_handler_may_send_what_is_waited_for(tmp_path: Path) -> None:
    definitions = """
def child(ours, theirs, sender):
    signal.signal(signal.SIGUSR1, lambda *_: theirs.send(["by the handler"]))
    os.write(sender, b"!")
    return 7 if ours.recv() == ["by the handler"] else 1
"""
    main = """
receiver, sender = os.pipe()
for duplex in (False, True):
    pid = forked(child, *context.Pipe(duplex), sender)
    os.read(receiver, 1)
    until_asleep(pid)
    os.kill(pid, signal.SIGUSR1)
    print(end_of(pid))
"""
    assert prints(tmp_path, definitions, main) == "7\n7\n"


def test_a_handler_that_closes_what_is_waited_for_ends_the_wait(tmp_path: Path) -> None:
    definitions = """
def child(ours, theirs, sender):
    signal.signal(signal.SIGUSR1, lambda *_: theirs.close())
    os.write(sender, b"!")
    try:
        ours.recv()
    except EOFError:
        return 7
"""
    main = """
receiver, sender = os.pipe()
for duplex in (False, True):
    ours, theirs = context.Pipe(duplex)
    pid = forked(child, ours, theirs, sender)
    theirs.close()
    os.read(receiver, 1)
    until_asleep(pid)
    os.kill(pid, signal.SIGUSR1)
    print(end_of(pid))
"""
    assert prints(tmp_path, definitions, main) == "7\n7\n"


def test_a_handler_that_sends_all_the_time_disturbs_nothing(tmp_path: Path) -> None:
    main = """
(reader, writer), (receiver, sender), numbers = context.Pipe(), context.Pipe(duplex=False), iter(range(10**9))
def put(*_):
    sender.send(["by the handler", next(numbers)])  # a handler may run in it, too
signal.signal(signal.SIGALRM, put)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
got = []
for number in range(20_000):
    writer.send([number, "a pickle"])
    assert reader.recv() == [number, "a pickle"]
    if receiver.poll():
        got.append(receiver.recv()[1])
signal.setitimer(signal.ITIMER_REAL, 0)
sender.close()
while receiver.poll(None):
    try:
        got.append(receiver.recv()[1])
    except EOFError:
        break
print(sorted(got) == list(range(next(numbers))), len(got) > 0)
"""
    assert prints(tmp_path, "", main) == "True True\n"


def test_signals_do_not_keep_a_sender_from_telling_who_waits_by_the_descriptor(tmp_path: Path) -> None:
    definitions = """
import select

def child(there, sender):
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    while (number := there.recv()) is not None:
        sender.send(number)
    return 7
"""
    main = """
(here, there), (receiver, sender) = context.Pipe(), context.Pipe(duplex=False)
pid = forked(child, there, sender)
for number in range(5000):
    here.send(number)
    assert select.select([receiver], [], [], 30)[0], number
    assert receiver.recv() == number
here.send(None)
print(end_of(pid))
"""
    assert prints(tmp_path, definitions, main) == "7\n"


def test_a_descriptor_that_the_program_closed_is_an_error_and_not_a_wait() -> None:
    receiver, _sender = allcores.Pipe(duplex=False)
    os.close(receiver.fileno())
    for use in (receiver.recv, lambda: receiver.poll(None)):
        with pytest.raises(OSError, match="Bad file descriptor"):
            use()
    receiver.close()
