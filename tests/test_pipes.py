"""What the connections of a pipe mean in one process: objects, bytes, ends."""

import math
import os
import pickle
from multiprocessing import connection as standard
from pathlib import Path
from typing import Any

import allcores
import numpy
import pytest
from lock_programs import prints
from test_queue_messages import MESSAGES, Fragile, Unpicklable, same

LENGTHS = [0, 1, 7, 8, 9, 1000, 4096, 16_370, 16_384, 16_385, 65_536, 1 << 20, (1 << 20) + 1, 5 << 20]
TWO_GIGABYTES = 1 << 31
ENOUGH_KILOBYTES = 8 << 20
"""Of memory, for a message of more than 2 GB and its copies."""


def is_in_arena(view: Any) -> bool:
    """Whether what it shows lies in the session's memory."""
    descriptor = allcores._core.arena_descriptor()
    assert descriptor is not None
    inode, address = os.fstat(descriptor).st_ino, numpy.frombuffer(view, "B").ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        extent, _, _, _, its_inode, *_ = line.split()
        begin, end = (int(number, 16) for number in extent.split("-"))
        if begin <= address < end:
            return int(its_inode) == inode
    raise AssertionError("it is nowhere")


def sent(message: Any) -> Any:
    """What arrives, by both directions of a duplex pipe and by the only one of another."""
    here, there = allcores.Pipe()
    reader, writer = allcores.Pipe(duplex=False)
    with here, there, reader, writer:
        here.send(message)
        there.send(there.recv())
        writer.send(here.recv())
        got = reader.recv()
        assert not any(end.poll() for end in (here, there, reader))
        return got


# ---- objects


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: f"{type(message).__name__} {message!r}"[:30])
def test_an_object_arrives_as_what_it_was(message: Any) -> None:
    assert same(sent(message), message)


def test_functions_without_a_name_closures_and_local_classes_arrive() -> None:
    class Local:
        number = 5

    big = bytes(50_000)
    assert sent(lambda x: x + Local.number + len(big))(1) == 50_006
    assert sent(Local()).number == 5


@pytest.mark.parametrize("length", LENGTHS)
def test_bytes_and_arrays_of_every_length_arrive_whole(length: int) -> None:
    here, there = allcores.Pipe()
    content = os.urandom(length)
    for message in (content, bytearray(content)):
        here.send(message)
        assert same(there.recv(), message)
    here.send(numpy.frombuffer(content, "B"))
    assert there.recv().tobytes() == content
    there.send_bytes(content)
    assert here.recv_bytes() == content


@pytest.mark.parametrize("order", ["C", "F", "strided", "read-only"])
def test_a_large_array_is_not_copied_by_who_receives_it_and_shares_nothing_with_the_senders(order: str) -> None:
    here, there = allcores.Pipe()
    matrix = numpy.arange(200_000.0).reshape(2, 100_000)
    if order == "strided":
        matrix = matrix[:, ::2]
    elif order == "F":
        matrix = numpy.asfortranarray(matrix)
    matrix.flags.writeable = order != "read-only"
    expected = matrix.copy()
    here.send(matrix)
    if order != "read-only":
        matrix[:] = -1
    got = there.recv()
    assert numpy.array_equal(got, expected)
    assert got.flags.writeable == matrix.flags.writeable
    assert order == "strided" or is_in_arena(got.ravel("K")), "numpy pickles those in pieces, which are copied"
    here.close()
    there.close()
    assert numpy.array_equal(got, expected), "it is the receiver's for as long as it likes"


def test_large_bytes_are_bytes_and_a_view_of_an_array_keeps_it() -> None:
    here, there = allcores.Pipe()
    here.send([numpy.arange(100_000), "x" * 100_000, bytes(100_000)])
    numbers, text, zeros = there.recv()
    assert (type(text), type(zeros)) == (str, bytes)
    tail = numbers[99_990:]
    del numbers
    for number in range(20):
        here.send(numpy.full(100_000, number))
        there.recv()
    assert tail.tolist() == list(range(99_990, 100_000))


@pytest.mark.parametrize("message", [Unpicklable(), [numpy.arange(10_000), Unpicklable()]], ids=["small", "large"])
def test_what_cannot_be_pickled_is_an_error_for_who_sends_it_and_nothing_is_sent(message: Any) -> None:
    here, there = allcores.Pipe()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            here.send(message)
    assert not there.poll()
    here.send("the next one")
    assert there.recv() == "the next one"


def test_what_cannot_be_unpickled_is_an_error_for_who_receives_it_and_the_next_one_follows() -> None:
    here, there = allcores.Pipe()
    for message in (Fragile(), [Fragile(), "x" * 100_000], "the next one"):
        here.send(message)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            there.recv()
    assert there.recv() == "the next one" and not there.poll()


def test_pickling_that_sends_by_the_same_end_sends_first() -> None:
    here, there = allcores.Pipe()

    class Sends:
        def __reduce__(self) -> Any:
            here.send("by the pickling")
            return int, (7,)

    here.send(Sends())
    assert (there.recv(), there.recv()) == ("by the pickling", 7)


def test_unpickling_that_receives_by_the_same_end_gets_the_next_one() -> None:
    here, there = allcores.Pipe()
    here.send(Receives(there.fileno()))
    here.send("the next one")
    ENDS[there.fileno()] = there
    assert there.recv() == ["the next one"]
    assert not there.poll()


ENDS: dict[int, Any] = {}


class Receives:
    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return receive, (self.number,)


def receive(number: int) -> list[Any]:
    return [ENDS[number].recv()]


# ---- bytes and objects are the same messages


def test_bytes_that_are_a_pickle_are_received_as_an_object() -> None:
    here, there = allcores.Pipe()
    for message in ({"a": [1]}, bytes(100_000), list(range(100_000))):
        here.send_bytes(pickle.dumps(message))
        assert there.recv() == message


def test_bytes_that_are_no_pickle_are_received_as_an_error_and_gone() -> None:
    here, there = allcores.Pipe()
    for text in (b"no pickle", b"no pickle" * 10_000):
        here.send_bytes(text)
        with pytest.raises(pickle.UnpicklingError):
            there.recv()
    here.send_bytes(b"")
    with pytest.raises(EOFError, match="Ran out of input"):
        there.recv()
    here.send(1)
    assert there.recv() == 1


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: f"{type(message).__name__} {message!r}"[:30])
def test_an_object_is_received_as_bytes_that_are_a_pickle_of_it(message: Any) -> None:
    here, there = allcores.Pipe()
    here.send(message)
    assert same(pickle.loads(there.recv_bytes()), message)


def test_large_objects_are_received_as_bytes_that_are_a_pickle_of_them() -> None:
    here, there = allcores.Pipe()
    for message in (bytes(100_000), "ü" * 100_000, [b"x" * 50_000, {"a": "b" * 50_000}]):
        here.send(message)
        assert pickle.loads(there.recv_bytes()) == message
    here.send([numpy.arange(100_000), numpy.arange(3)])
    pickled = bytearray(2_000_000)
    large, small = pickle.loads(memoryview(pickled)[: there.recv_bytes_into(pickled)])
    assert large.sum() == sum(range(100_000)) and small.tolist() == [0, 1, 2]


# ---- ends


def test_the_ends_are_the_standard_librarys_kind_of_connection() -> None:
    for end in (*allcores.Pipe(), *allcores.Pipe(duplex=False)):
        assert isinstance(end, standard.Connection)
        end.tag = "mine"
        assert end.tag == "mine"


def test_each_direction_has_its_own_order() -> None:
    here, there = allcores.Pipe()
    for number in range(100):
        here.send(number)
        there.send(-number)
    assert [there.recv() for _ in range(100)] == list(range(100))
    assert [here.recv() for _ in range(100)] == [-number for number in range(100)]


def test_the_repr_tells_what_it_can_do_and_how_many_messages_there_are() -> None:
    reader, writer = allcores.Pipe(duplex=False)
    writer.send(1)
    assert repr(reader) == f"<PipeConnection readable handle={reader.fileno()} messages=1>"
    assert repr(writer) == f"<PipeConnection writable handle={writer.fileno()}>"
    writer.close()
    assert repr(writer) == "<PipeConnection closed>"


def test_the_end_of_messages_comes_behind_them_and_again_and_again() -> None:
    for duplex in (False, True):
        receiver, sender = allcores.Pipe(duplex)
        for number in range(3):
            sender.send([number, bytes(50_000)])
        sender.close()
        assert [receiver.recv()[0] for _ in range(3)] == [0, 1, 2]
        for _ in range(3):
            assert receiver.poll() and receiver.poll(None) and receiver.poll(5)
            for receive_it, arguments in (("recv", ()), ("recv_bytes", ()), ("recv_bytes_into", (bytearray(9),))):
                with pytest.raises(EOFError):
                    getattr(receiver, receive_it)(*arguments)


def test_an_end_that_nobody_refers_to_is_closed() -> None:
    receiver, sender = allcores.Pipe(duplex=False)
    sender.send(1)
    del sender
    assert receiver.recv() == 1
    with pytest.raises(EOFError):
        receiver.recv()
    receiver, sender = allcores.Pipe()
    del receiver
    with pytest.raises(BrokenPipeError) as caught:
        sender.send(1)
    assert caught.value.errno == 32


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -math.inf, 0.01])
def test_poll_says_that_there_is_nothing(timeout: float) -> None:
    here, there = allcores.Pipe()
    assert here.poll(timeout) is False
    there.send(None)
    assert here.poll(timeout) is True
    assert here.recv() is None
    assert here.poll(timeout) is False


def available_kilobytes() -> int:
    text = Path("/proc/meminfo").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("MemAvailable"))


@pytest.mark.skipif(available_kilobytes() < ENOUGH_KILOBYTES, reason="needs 8 GB of memory")
def test_a_message_of_more_than_two_gigabytes_arrives(tmp_path: Path) -> None:
    main = f"""
import numpy
here, there = context.Pipe()
numbers = numpy.zeros({TWO_GIGABYTES // 8} + 3, "q")
numbers[0], numbers[-1] = 5, 7
here.send(numbers)
got = there.recv()
print(got.nbytes, got[0], got[-1], there.poll())
here.send_bytes(numbers)
del numbers
got[:: 1 << 10] = 1
print(there.recv_bytes_into(got), got[0], got[1 << 10], got[-1], there.poll())
"""
    assert prints(tmp_path, "", main) == f"{TWO_GIGABYTES + 24} 5 7 False\n{TWO_GIGABYTES + 24} 5 0 7 False\n"
