"""The methods of a pipe's connections, call by call: as the standard library's end, or more."""

import array
import io
import multiprocessing
import threading
from collections.abc import Callable
from typing import Any

import allcores
import numpy
import pytest

Use = Callable[[Any, Any], Any]
"""What is done with the end that receives and the one that sends."""

DIGITS = b"0123456789"
INTS = array.array("i", range(5))
MANY_INTS = array.array("i", range(10_000))


def outcome(use: Use, make: Any, duplex: bool) -> Any:
    """What a call returns or raises, with its text, beside what there is to be seen of both ends then."""
    receiver, sender = make(duplex)
    with receiver, sender:
        try:
            answer = ("returned", use(receiver, sender))
        except multiprocessing.BufferTooShort as error:
            answer = ("BufferTooShort", error.args)
        except Exception as error:
            answer = (type(error).__name__, str(error), getattr(error, "errno", None))
        return answer, receiver.closed, receiver.readable, sender.closed, sender.writable


SENT_BYTES: dict[str, tuple[Any, ...]] = {
    **{f"from {offset}": (DIGITS, offset) for offset in (0, 3, 10, 11, -1, True)},
    **{f"from {offset}, {size}": (DIGITS, offset, size) for offset in (0, 5, 10) for size in (0, 5, 6, 11, -1, None)},
    **{repr(thing): (thing,) for thing in ("text", None, 5, [1], bytearray(DIGITS), b"", INTS, array.array("i"))},
    **{f"ints from {offset}": (INTS, offset) for offset in (3, 4, 20, 21)},
    "ints from 4, 8": (INTS, 4, 8),
    "ints from 3, 2": (INTS, 3, 2),
    "part of a view": (memoryview(DIGITS)[2:5],),
    **{f"format {kind}": (memoryview(DIGITS).cast(kind),) for kind in ("c", "b", "B")},
    "two bools": (memoryview(b"\0\1").cast("?"),),
    "every second int": (memoryview(INTS)[::2],),
    "matrix of ints": (memoryview(bytes(range(48))).cast("i", (3, 4)),),
    "doubles": (numpy.arange(3.0),),
    "matrix by columns": (numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),),
    "one number": (numpy.array(5),),
    "texts": (numpy.array(["a"]),),
    "large": (b"x" * 50_000,),
    "most of what is large": (b"x" * 50_000 + b"y", 1),
    "many ints": (MANY_INTS,),
    "part of many ints": (MANY_INTS, 3, 30_001),
    "a file's": (io.BytesIO(DIGITS).getbuffer(),),
}
SEND_BYTES: dict[str, Use] = {
    f"send_bytes {name}": lambda receiver, sender, a=arguments: (sender.send_bytes(*a), receiver.recv_bytes())
    for name, arguments in SENT_BYTES.items()
}


def received_with(message: bytes, *arguments: Any) -> Use:
    def use(receiver: Any, sender: Any) -> Any:
        sender.send_bytes(message)
        sender.send_bytes(b"next")
        try:
            return receiver.recv_bytes(*arguments), receiver.recv_bytes()
        except (ValueError, TypeError) as error:
            return type(error).__name__, str(error), receiver.recv_bytes()

    return use


RECEIVE_BYTES: dict[str, Use] = {
    f"recv_bytes of {len(message)}, maxlength {length!r}": received_with(message, length)
    for message in (b"", DIGITS, DIGITS * 5000)
    for length in (None, 0, 9, 10, 9.5, 10.5, 49_999, 50_000, 2**70, True, -1, -0.5, "text")
}


def received_into(message: bytes, make: Callable[[], Any], *offset: Any) -> Use:
    def use(receiver: Any, sender: Any) -> Any:
        sender.send_bytes(message)
        sender.send_bytes(b"next")
        there = make()
        try:
            got: Any = receiver.recv_bytes_into(there, *offset)
        except multiprocessing.BufferTooShort as error:
            got = error.args
        except (ValueError, TypeError) as error:
            got = type(error).__name__, str(error)
        return got, there, receiver.recv_bytes()

    return use


def dots(length: int) -> Callable[[], bytearray]:
    return lambda: bytearray(b"." * length)


def nines() -> Any:
    return array.array("i", [9] * 5)


INTO: dict[str, Use] = {
    **{
        f"into {length} from {offset}": received_into(DIGITS, dots(length), offset)
        for length in (0, 5, 10, 15)
        for offset in (0, 4, 5, 6, 15, 16, -1)
    },
    "into, no offset": received_into(DIGITS, dots(12)),
    **{f"nothing into {length} from 4": received_into(b"", dots(length), 4) for length in (0, 3, 4, 5)},
    "nothing into nothing": received_into(b"", dots(0)),
    "ints": received_into(bytes(range(8)), nines),
    "ints from 4": received_into(bytes(range(8)), nines, 4),
    "too many ints": received_into(bytes(24), nines),
    "into no bytes": received_into(DIGITS, lambda: "text"),
    "into None": received_into(DIGITS, lambda: None),
    "into signed bytes": received_into(DIGITS, lambda: array.array("b", [0] * 12)),
    "into part of a view": received_into(DIGITS, lambda: memoryview(bytearray(20))[5:]),
    "much": received_into(bytes(50_000), dots(50_000)),
    "too much": received_into(bytes(50_000), dots(49_999)),
}
METHODS_OF_ENDS: dict[str, Callable[[Any], Any]] = {
    "send": lambda end: end.send(1),
    "send what cannot be": lambda end: end.send(threading.Lock()),
    "send_bytes": lambda end: end.send_bytes(b"x"),
    "send_bytes of no bytes": lambda end: end.send_bytes("text", -1),
    "recv_bytes, negative": lambda end: end.recv_bytes(-1),
    "recv_bytes_into no bytes": lambda end: end.recv_bytes_into("text"),
    "recv_bytes_into, negative": lambda end: end.recv_bytes_into(bytearray(1), -1),
    "flags": lambda end: (end.closed, end.readable, end.writable),
    "with": lambda end: (end.__enter__() is end, end.__exit__(None, None, None), end.closed),
    "close twice": lambda end: (end.close(), end.close(), end.closed),
    "poll": lambda end: end.poll(),
    "poll at once": lambda end: end.poll(-1),
    "poll awhile": lambda end: end.poll(0.01),
}
WAITING_METHODS: dict[str, Callable[[Any], Any]] = {
    "recv": lambda end: end.recv(),
    "recv_bytes": lambda end: end.recv_bytes(),
    "recv_bytes_into": lambda end: end.recv_bytes_into(bytearray(1)),
    "poll for ever": lambda end: end.poll(None),
    "fileno": lambda end: end.fileno(),
}


def closing(closed: str, method: Callable[[Any], Any], used: str) -> Use:
    """Use one end when this or the other one is closed."""

    def use(receiver: Any, sender: Any) -> Any:
        {"receiver": receiver, "sender": sender}[closed].close()
        return method({"receiver": receiver, "sender": sender}[used])

    return use


ENDS_OF_USE: dict[str, Use] = {
    **{
        f"{end} closed, {name}": closing(end, method, end)
        for end in ("receiver", "sender")
        for name, method in (METHODS_OF_ENDS | WAITING_METHODS).items()
    },
    **{
        f"sender closed, receiver's {name}": closing("sender", method, "receiver")
        for name, method in (METHODS_OF_ENDS | WAITING_METHODS).items()
        if not name.startswith(("send", "fileno"))
    },
    **{
        f"receiver closed, sender's {name}": closing("receiver", method, "sender")
        for name, method in METHODS_OF_ENDS.items()
        if not name.startswith(("recv", "poll"))
    },
    **{f"receiver's {name}": lambda r, s, m=method: m(r) for name, method in METHODS_OF_ENDS.items()},
    "closed for sending much": lambda r, s: (r.close(), s.send_bytes(bytes(3 << 20))),
    "closed for sending nothing": lambda r, s: (r.close(), s.send_bytes(b"")),
}
ONE_WAY: dict[str, Use] = {
    f"sender's {name}": lambda r, s, m=method: m(s)
    for name, method in (METHODS_OF_ENDS | WAITING_METHODS).items()
    if name != "fileno"
}


@pytest.mark.parametrize("duplex", [False, True], ids=["one way", "duplex"])
@pytest.mark.parametrize("name", SEND_BYTES | RECEIVE_BYTES | INTO | ENDS_OF_USE)
def test_a_call_ends_as_the_standard_librarys_does(name: str, duplex: bool) -> None:
    use = (SEND_BYTES | RECEIVE_BYTES | INTO | ENDS_OF_USE)[name]
    assert outcome(use, allcores.Pipe, duplex) == outcome(use, multiprocessing.Pipe, duplex)


@pytest.mark.parametrize("name", ONE_WAY)
def test_the_end_that_only_sends_is_used_as_the_standard_librarys_is(name: str) -> None:
    assert outcome(ONE_WAY[name], allcores.Pipe, False) == outcome(ONE_WAY[name], multiprocessing.Pipe, False)


# ---- where ours do more


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (memoryview(DIGITS)[::2], DIGITS[::2]),
        (memoryview(DIGITS)[::-1], DIGITS[::-1]),
        (memoryview(bytes(200_000))[::2], bytes(100_000)),
        (memoryview(bytes(range(12))).cast("B", (3, 4)), bytes(range(12))),
        (numpy.array(5, "B"), b"\5"),
    ],
    ids=["every second", "backwards", "every second of many", "a matrix", "one byte"],
)
def test_bytes_of_views_of_every_shape_are_sent(view: Any, expected: bytes) -> None:
    here, there = allcores.Pipe()
    here.send_bytes(view)
    assert there.recv_bytes() == expected
    here.send_bytes(expected)
    assert there.recv_bytes() == expected


def test_bytes_are_received_into_matrices_and_at_every_place_of_ints() -> None:
    here, there = allcores.Pipe()
    matrix = numpy.zeros((3, 4), "i")
    here.send_bytes(bytes(range(48)))
    assert there.recv_bytes_into(matrix) == 48
    assert matrix.tobytes() == bytes(range(48))
    numbers = array.array("i", [0] * 3)
    here.send_bytes(b"0123456")
    assert there.recv_bytes_into(numbers, 3) == 7
    assert numbers.tobytes() == b"\0\0\0" + b"0123456" + b"\0\0"


def test_what_cannot_be_written_to_is_an_error() -> None:
    here, there = allcores.Pipe()
    here.send_bytes(DIGITS)
    with pytest.raises(TypeError):
        there.recv_bytes_into(bytes(20))


@pytest.mark.parametrize("timeout", ["1", [], object()], ids=repr)
def test_what_is_no_time_out_is_a_type_error(timeout: Any) -> None:
    here, _there = allcores.Pipe()
    with pytest.raises(TypeError):
        here.poll(timeout)


@pytest.mark.parametrize("argument", ["1", 1.0, object()], ids=repr)
def test_what_is_no_offset_or_size_is_a_type_error_and_nothing_is_sent(argument: Any) -> None:
    here, there = allcores.Pipe()
    for arguments in ((argument,), (0, argument)):
        with pytest.raises(TypeError):
            here.send_bytes(DIGITS, *arguments)
    assert not there.poll()
