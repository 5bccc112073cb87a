"""What travels through a queue, and as what it arrives."""

import collections
import copyreg
import enum
import math
import os
import pickle
import struct
import subprocess
import sys
import threading
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from queue import Empty, Full
from typing import Any

import allcores
import numpy
import pytest
from lock_programs import prints
from running import METHODS


class Number(int):
    pass


class Text(str):
    pass


class Real(float):
    pass


class Raw(bytes):
    pass


class Row(tuple[Any, ...]):
    pass


class Color(enum.IntEnum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


def nested(depth: int, innermost: object = "the innermost") -> Any:
    return innermost if depth == 0 else (nested(depth - 1, innermost), depth)


def sent(message: Any) -> Any:
    queue = allcores.Queue()
    queue.put(message)
    assert queue.qsize() == 1
    got = queue.get()
    assert queue.empty()
    return got


def same(one: Any, other: Any) -> bool:
    """Whether they are equal, of exactly the same types, NaNs and signs of zeros included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return bool(one == other)


MESSAGES: list[Any] = [
    *(None, True, False, 0, 1, -1, 255, 256, 2**31, -(2**31), 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**64, 10**400),
    *(0.0, -0.0, 1.5, math.nan, -math.nan, math.inf, -math.inf, 5e-324, sys.float_info.max, 1 + 2j),
    *("", "a", "ä", "€", "\U0001f600", "\0", "a\0b", "\ud800", "a\udfffb", "ü" * 5000, "x" * 16384, "€" * 10_000),
    *(b"", b"\0", bytes(range(256)), bytes(7), bytes(8), bytes(9)),
    *((), ((),), (1,), (None, True, False, 1, 2.5, "s", b"b", ()), (True, 1, 1.0), tuple(range(1000)), ("\ud800",)),
    *((1, -2, "s"), ((1, 2), 3), (1, 2, 2.5, 3), (-(2**63), 2**63 - 1), (1, 2**63), (1, True), ((), (7,) * 9)),
    *(("a",) * 8, ("a",) * 9, [2.5] * 8, [2.5] * 9, [[1.5], ("b", [None] * 8)], ("a", {"b": [("c",)]}, 2**64)),
    *((2**64, 1), (1, [2], {3: (4,)}), [], [1, (2, 3)], {}, {"a": 1}, {1, 2}, frozenset({1}), ..., NotImplemented),
    *(Number(7), Text("s"), Real(2.5), Raw(b"b"), Row((1, 2)), Color.RED, Point(1, "y"), (Point(1, 2), Number(3))),
    *(range(3), slice(1, 2), int, len, math.pi, bytearray(b"x"), bytearray(100_000), ValueError),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: f"{type(message).__name__} {message!r}"[:30])
def test_a_message_arrives_as_what_it_was(message: Any) -> None:
    assert same(sent(message), message)


@pytest.mark.parametrize(
    "block", [(), (True,), (False,), (True, 5), (True, None), (False, None), (True, 0.5), (1,), (0,)]
)
@pytest.mark.parametrize("message", [7, ("a", 1.5), b"b", bytes(20_000), "c" * 200, [Point(1, 2)], 2**64])
def test_a_message_arrives_by_whichever_call(message: Any, block: tuple[Any, ...]) -> None:
    queue = allcores.Queue()
    queue.put(message, *block)
    queue.put(obj=message)
    assert same(queue.get(*block), message)
    assert same(queue.get(*block), message)
    named = dict(zip(("block", "timeout"), block, strict=False))
    queue.put(message, **named)
    assert same(queue.get(**named), message)
    with pytest.raises(Empty):
        queue.get(block=False)
    with pytest.raises(Empty):
        queue.get(timeout=0)
    assert queue.empty()


class Truth:
    """An object whose truth is asked for as that of any other."""

    def __init__(self, value: bool) -> None:
        self.value = value

    def __bool__(self) -> bool:
        return self.value


@pytest.mark.parametrize("true", [True, 1, -1, "yes", Truth(True)], ids=str)
@pytest.mark.parametrize("false", [False, 0, "", None, Truth(False)], ids=str)
def test_whether_to_wait_is_the_truth_of_what_is_given(true: Any, false: Any) -> None:
    queue = allcores.Queue(2)
    queue.put(1, true)
    queue.put_many([2], true)
    with pytest.raises(Full):
        queue.put(3, false)
    with pytest.raises(Full):
        queue.put_many([3], block=false)
    assert queue.get(true) == 1
    assert queue.get_many(None, true) == [2]
    with pytest.raises(Empty):
        queue.get(false)
    with pytest.raises(Empty):
        queue.get(block=false)
    with pytest.raises(Empty):
        queue.get_many(None, false)


def test_an_error_of_asking_whether_to_wait_is_raised() -> None:
    class Neither:
        def __bool__(self) -> bool:
            raise KeyError("neither")

    queue, lock = allcores.Queue(), allcores.Lock()
    calls: list[Any] = [lambda: queue.put(1, Neither()), lambda: queue.get(Neither()), lambda: lock.acquire(Neither())]
    for call in calls:
        with pytest.raises(KeyError):
            call()
    assert queue.empty()
    assert lock.acquire(False)


def test_a_simple_queue_knows_no_time_outs() -> None:
    queue = allcores.SimpleQueue()
    calls: list[Any] = [
        lambda: queue.put(1, False),  # type: ignore[call-arg]
        lambda: queue.put(1, timeout=1),  # type: ignore[call-arg]
        lambda: queue.put(),  # type: ignore[call-arg]
        lambda: queue.get(True),  # type: ignore[call-arg]
        lambda: queue.get(timeout=0),  # type: ignore[call-arg]
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert queue.empty()
    queue.put(obj=1)
    queue.put([Point(1, 2)])
    assert queue.get() == 1
    assert queue.get() == [Point(1, 2)]


def test_a_call_that_is_none_is_an_error_and_nothing_is_put_or_got() -> None:
    queue = allcores.Queue()
    queue.put(1)
    calls: list[Any] = [
        lambda: queue.put(),  # type: ignore[call-arg]
        lambda: queue.put(1, True, None, 4),  # type: ignore[call-arg]
        lambda: queue.put(1, what=2),  # type: ignore[call-arg]
        lambda: queue.get(True, None, 3),  # type: ignore[call-arg]
        lambda: queue.get(what=2),  # type: ignore[call-arg]
        lambda: queue.put(1, obj=2),  # type: ignore[misc]
        lambda: queue.get(True, block=True),  # type: ignore[misc]
        lambda: queue.put(1, timeout="1"),  # type: ignore[arg-type]
        lambda: queue.get(False, "1"),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert queue.get() == 1
    assert queue.empty()


@pytest.mark.parametrize("depth", [*range(14, 20), 100])
def test_tuples_in_tuples_arrive_however_deep_they_are(depth: int) -> None:
    for innermost in ("the innermost", True, (), 2**70):
        assert same(sent(nested(depth, innermost)), nested(depth, innermost))


SHORT_LENGTHS = [0, 1, 7, 8, 9, 13, 14, 122, 123, 124, 128, 129]
LENGTHS = [*SHORT_LENGTHS, 1000, 4000, 4096, 16_370, 16_374, 16_379, 16_380, 16_384, 16_385, 20_000, 65_536, 1 << 20]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", [bytes, bytearray, str, tuple, list, numpy.array])
def test_messages_of_every_length_arrive_whole(kind: Any, length: int) -> None:
    content = os.urandom(length)
    message = (
        content.decode("latin-1")
        if kind is str
        else numpy.frombuffer(content, "B")
        if kind is numpy.array
        else kind(content)
    )
    got = sent(message)
    assert type(got) is type(message)
    assert numpy.array_equal(got, message) if kind is numpy.array else got == message


def test_a_hundred_megabytes_arrive() -> None:
    message = os.urandom(1 << 20) * 100
    assert sent(message) == message


@pytest.mark.parametrize("size", [0, 10, 2047, 2048, 2049, 100_000])
@pytest.mark.parametrize("order", ["C", "F", "strided", "read-only"])
def test_an_array_arrives_as_writable_as_it_was_and_shares_nothing_with_the_senders(order: str, size: int) -> None:
    array = numpy.arange(2.0 * size).reshape(2, size)
    if order == "strided":
        array = array[:, ::2]
    elif order == "F":
        array = numpy.asfortranarray(array)
    elif order == "read-only":
        array.flags.writeable = False
    expected = array.copy()
    queue = allcores.Queue()
    queue.put(array)
    if array.flags.writeable:
        array[:] = -1
    got = queue.get()
    assert numpy.array_equal(got, expected)
    assert got.flags.writeable == array.flags.writeable
    if got.flags.writeable:
        got[:] = -2
    assert not (array == -2).any()


def test_two_who_get_the_same_array_share_nothing() -> None:
    queue, array = allcores.Queue(), numpy.arange(10_000)
    queue.put((array, array))
    queue.put(array)
    (one, same_one), other = queue.get(), queue.get()
    assert one is same_one, "as a pickle has it"
    one[0] = 99
    assert other[0] == 0 == array[0]


def test_a_view_keeps_a_message_that_is_gone_otherwise() -> None:
    queue = allcores.Queue()
    queue.put([numpy.arange(100_000), "x" * 100_000])
    tail = queue.get()[0][99_990:]
    for number in range(20):
        queue.put(numpy.full(100_000, number))
        queue.get()
    assert tail.tolist() == list(range(99_990, 100_000))


def test_one_object_twice_in_a_message_of_two_is_one_object_there() -> None:
    shared = ["shared"]
    one, other = sent([shared, shared])
    assert one is other
    circle: list[Any] = []
    circle.append(circle)
    got = sent(circle)
    assert got[0] is got
    within: dict[str, Any] = {"list": [({},)]}
    within["list"][0][0]["again"] = within
    got = sent(within)
    assert got["list"][0][0]["again"] is got
    pair = (shared, 1)
    one, other = sent({"one": pair, "other": [pair]}).values()
    assert one[0] is other[0][0]


@pytest.mark.parametrize(
    "message",
    [
        [],
        [[], {}, (), [[]]],
        {"a": {"b": [1, 2.5, None, True, b"x", "\u00e9", ({},)]}, 1: [-1, 2**63 - 1, -(2**63)]},
        [1, 2**70],
        ["\ud800"],
        {(1, "x"): [1], None: {}},
        [[number] for number in range(63)],
        [[number] for number in range(64)],
        [{"id": number, "tags": ["a", "b"]} for number in range(100)],
        list(range(5000)),
        ["x" * 20_000],
    ],
    ids=lambda message: repr(message)[:30],
)
def test_lists_and_dicts_are_what_they_were(message: Any) -> None:
    got = sent(message)
    assert got == message and repr(got) == repr(message)


def test_lists_and_dicts_of_ones_own_classes_keep_them() -> None:
    counted: Any = [
        collections.Counter("aab"),
        collections.OrderedDict(b=1, a=2),
        collections.defaultdict(list, {"x": [1]}),
    ]
    got = sent(counted)
    assert got == counted and [type(thing) for thing in got] == [type(thing) for thing in counted]
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    assert sent(deep) == deep


def test_the_same_object_in_two_messages_is_two() -> None:
    queue, thing = allcores.Queue(), ["x"]
    queue.put(thing)
    thing.append("y")
    queue.put(thing)
    assert (queue.get(), queue.get()) == (["x"], ["x", "y"])


def test_texts_that_come_again_and_again_among_others_are_what_they_were() -> None:
    queue = allcores.Queue()
    often = ["", "a", "b", "ab", "é" * 12, "日本語", "\0", "x" * 24, "x" * 25, "y" * 200]
    for number in range(500):
        messages = [*often, str(number), ("task", str(number)), {"of": "b", str(number): "a"}]
        for message in messages:
            queue.put(message)
        assert [queue.get() for _ in messages] == messages


def test_tuples_that_have_one_another_many_times_do_not_become_long() -> None:
    # Written out this one would have 10 ** 14 items.
    message: Any = (0,) * 100
    for _ in range(6):
        message = (message,) * 100
    got = sent(message)
    for _ in range(6):
        assert len(got) == 100 and all(item is got[0] for item in got)
        got = got[0]
    assert got == (0,) * 100


# ---- what cannot be pickled


class Unpicklable:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError("no pickle of this")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (Unpicklable(), ZeroDivisionError),
        ((1, Unpicklable()), ZeroDivisionError),
        ([numpy.arange(10_000), Unpicklable()], ZeroDivisionError),
        (threading.Lock(), TypeError),
        ((x for x in ()), TypeError),
        (["x" * 2_000_000, threading.Lock()], TypeError),
        (sys.__stdin__, TypeError),
    ],
    ids=repr,
)
def test_what_cannot_be_pickled_is_an_error_for_who_puts_it_and_nothing_is_put(message: Any, error: Any) -> None:
    queue = allcores.JoinableQueue(1)
    for _ in range(3):
        with pytest.raises(error):
            queue.put(message)
    assert (queue.qsize(), queue.full(), queue._channel._unfinished()) == (0, False, 0)
    queue.put("the next one")
    assert queue.get() == "the next one"


class Fragile:
    def __reduce__(self) -> Any:
        return fail, ()


def fail() -> None:
    raise ZeroDivisionError("no object of this")


def test_what_cannot_be_unpickled_is_an_error_for_who_gets_it_and_the_next_one_follows() -> None:
    queue = allcores.Queue()
    for message in (Fragile(), [Fragile(), "x" * 100_000], "the next one"):
        queue.put(message)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            queue.get()
    assert (queue.get(), queue.empty()) == ("the next one", True)


def test_a_message_without_room_in_the_arena_is_an_error_and_the_next_one_is_put(tmp_path: Path) -> None:
    text = """
import allcores, numpy
queue = allcores.Queue()
for message in (bytes(40 << 20), numpy.zeros(5 << 20), "x" * (40 << 20), [bytes(40 << 20), lambda: 1]):
    for _ in range(2):
        try:
            queue.put(message)
        except MemoryError as error:
            print(type(error).__name__, queue.qsize())
    queue.put([message[:3]] if isinstance(message, list) is False else 1)
    queue.get()
"""
    environment = {**os.environ, "ALLCORES_ARENA_BYTES": str(32 << 20)}
    command = [sys.executable, "-c", text]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (answer.stderr, answer.stdout) == ("", "ArenaFullError 0\n" * 8)


# ---- by value, and by reducers


@pytest.mark.parametrize("method", METHODS)
def test_lambdas_closures_and_local_classes_go_by_value(method: str, tmp_path: Path) -> None:
    definitions = """
def work(tasks, answers):
    for function, argument in iter(tasks.get, None):
        answers.put(function(argument))
    class Local:
        x = 5
    answers.put(Local())
    answers.put(lambda: Local.x + len("x" * 50_000))
"""
    main = """
def adder(n):
    return lambda x: x + n
tasks, answers = context.Queue(), context.Queue()
process = context.Process(target=work, args=(tasks, answers))
process.start()
big = bytes(50_000)
for task in ((lambda x: x * 2, 4), (adder(10), 5), (lambda x: len(big) + x, 1), (len, "four")):
    tasks.put(task)
    print(answers.get(), end=" ")
tasks.put(None)
print(answers.get().x, answers.get()())
process.join()
"""
    assert prints(tmp_path, definitions, main, method) == "8 15 50001 4 5 50005\n"


@pytest.mark.parametrize("method", METHODS)
def test_queues_locks_values_and_arrays_travel_through_a_queue(method: str, tmp_path: Path) -> None:
    definitions = """
def work(queue):
    things = queue.get()
    things["value"].value += 1
    things["lock"].release()
    things["raw"][1] = 7
    things["shared"][:] = 3.5
    things["event"].set()
    things["queue"].put("through the inner one")
    things["tasks"].get()
    things["tasks"].task_done()
"""
    main = """
import numpy
queue = context.Queue()
process = context.Process(target=work, args=(queue,))
process.start()
things = {"value": context.Value("i", 41), "lock": context.Lock(), "raw": context.RawArray("i", 3)}
things |= {"shared": mp.share(numpy.zeros(1000), writable=True), "event": context.Event()}
things |= {"queue": context.Queue(1, name="inner"), "tasks": context.JoinableQueue()}
things["lock"].acquire()
things["tasks"].put(1)
queue.put(things)
things["event"].wait()
things["tasks"].join()
print(things["value"].value, things["lock"].acquire(False), list(things["raw"]), things["shared"].sum())
print(things["queue"].get(), things["queue"])
process.join()
copy = pickle.loads(pickle.dumps(things["queue"]))
copy.put(1)
print(things["queue"].full(), type(copy).__name__)
"""
    expected = "42 True [0, 7, 0] 3500.0\nthrough the inner one <Queue 'inner' size=0/1 waiters=0>\nTrue Queue\n"
    assert prints(tmp_path, definitions, main, method) == expected


def test_a_queue_in_itself_is_the_same_queue() -> None:
    queue = allcores.Queue()
    queue.put(queue)
    other = queue.get()
    other.put(1)
    assert queue.get() == 1


class Registered:
    def __init__(self, text: str) -> None:
        self.text = text


def made(text: str) -> Registered:
    return Registered(text)


def test_reducers_that_are_registered_later_are_honoured() -> None:
    try:
        assert sent(Registered("plain")).text == "plain"
        copyreg.pickle(Registered, lambda thing: (made, (thing.text + " by copyreg",)))
        assert sent(Registered("a")).text == "a by copyreg"
        ForkingPickler.register(Registered, lambda thing: (made, (thing.text + " by ForkingPickler",)))
        assert sent((Registered("b"),))[0].text == "b by ForkingPickler"
        ForkingPickler.register(Registered, lambda thing: (made, (thing.text + " anew",)))
        assert sent([Registered("c")])[0].text == "c anew"
    finally:
        copyreg.dispatch_table.pop(Registered, None)
        vars(ForkingPickler)["_extra_reducers"].pop(Registered, None)
    assert sent(Registered("plain")).text == "plain"


class PutsToo:
    """Whose reducer puts into queues itself."""

    def __init__(self, queue: Any, messages: list[Any]) -> None:
        self.queue, self.messages = queue, messages

    def __reduce__(self) -> Any:
        for message in self.messages:
            self.queue.put(message)
        return made, ("the outer one",)


@pytest.mark.parametrize("length", [1, 100_000, 2_000_000])
def test_a_reducer_may_put_into_a_queue(length: int) -> None:
    queue, beside = allcores.Queue(), "x" * length
    inner = [["a list"], numpy.arange(length), PutsToo(queue, [1, {}]), lambda: 5]
    queue.put([beside, PutsToo(queue, inner), beside, numpy.arange(5000)])
    assert queue.get() == ["a list"]
    assert numpy.array_equal(queue.get(), numpy.arange(length))
    assert (queue.get(), queue.get(), queue.get().text, queue.get()()) == (1, {}, "the outer one", 5)
    first, outer, last, array = queue.get()
    assert (first, outer.text, last, array.sum(), queue.empty()) == (beside, "the outer one", beside, 12497500, True)


class GetsToo:
    """Who gets from a queue when it is made."""

    def __init__(self, queue: Any) -> None:
        self.queue = queue

    def __reduce__(self) -> Any:
        return get_from, (self.queue,)


def get_from(queue: Any) -> Any:
    return queue.get()


def test_an_object_may_get_from_the_queue_when_it_is_made() -> None:
    queue = allcores.Queue()
    queue.put(("before", 1))
    queue.put([GetsToo(queue), "x" * 50_000])
    queue.put("the one behind")
    assert queue.get() == ("before", 1)
    assert queue.get()[0] == "the one behind"


def test_an_error_in_a_pickle_leaves_nothing_of_it_for_the_next_one() -> None:
    kept = ["in both"]
    queue = allcores.Queue()
    with pytest.raises(ZeroDivisionError):
        queue.put([kept, numpy.arange(10_000), Unpicklable()])
    queue.put([kept])
    assert queue.get() == [["in both"]]


def test_the_pickle_of_a_queue_of_another_program_is_no_queue_here(tmp_path: Path) -> None:
    text = "import allcores, pickle, sys; sys.stdout.write(pickle.dumps(allcores.Queue()).hex())"
    answer = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True)
    with pytest.raises(allcores.HandleError):
        pickle.loads(bytes.fromhex(answer.stdout))


def test_long_messages_of_fewer_parts_follow_those_of_more_in_the_same_memory() -> None:
    queue: Any = allcores.Queue()
    for _ in range(20):
        queue.put([numpy.full(30_000, -1), numpy.full(30_000, -2), numpy.full(30_000, -3)])
        assert [array[7] for array in queue.get()] == [-1, -2, -3]
        queue.put(b"\xff" * 700_000)
        assert queue.get() == b"\xff" * 700_000


class Shrinks:
    def __init__(self, data: bytearray) -> None:
        self.data = data

    def __reduce__(self) -> Any:
        self.data.clear()
        return int, ()


def test_what_is_pickled_already_stays_what_it_was_when_a_reducer_changes_it() -> None:
    queue: Any = allcores.Queue()
    data = bytearray(b"x" * 100_000)
    queue.put([data, Shrinks(data)])
    assert queue.get() == [bytearray(b"x" * 100_000), 0]
