"""The shared dict against Python's own: keys, values, methods, order, memory."""

import copy
import datetime
import enum
import gc
import pickle
import random
import string
import threading
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from multiprocessing import managers
from typing import Any, NamedTuple

import numpy
import pytest
from allcores import _core
from allcores._manager.shared_dict import SharedDict


class Colour(enum.IntEnum):
    RED = 1
    GREEN = 2


class Word(enum.StrEnum):
    YES = "yes"


class Point(NamedTuple):
    x: int
    y: int


class Text(str):
    """A str with an attribute, which makes its pickle long."""

    note: str


class Label:
    """Equal by its name, hashed as a str is: differently in each process."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Label) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


class Plain:
    """Equal to itself only."""


def long_text() -> Text:
    text = Text("short")
    text.note = "n" * 9000
    return text


KEYS: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    7,
    2**63 - 1,
    -(2**63),
    2**63,
    2**64 + 1,
    10**400,
    0.5,
    -0.0,
    1e300,
    float("inf"),
    "",
    "a",
    "naïve ☃",
    "a\ud800",
    b"",
    b"a",
    b"\0" * 9,
    (),
    (1, "a", (None, b"x")),
    (1.0, True),
    (10**30,),
    ("\ud800", 1),
    "k" * 512,
    "k" * 513,
    "k" * 1500,
    "k" * 100_000,
    b"k" * 3000,
    ("k" * 3000, 1.0),
    Colour.GREEN,
    Word.YES,
    Point(5, 6),
    Decimal(8),
    Decimal("0.1"),
    Fraction(9),
    Fraction(1, 3),
    complex(10, 0),
    complex(10, 1),
    numpy.int64(11),
    numpy.float32(0.25),
    numpy.str_("numpy"),
    datetime.date(2020, 1, 1),
    (datetime.date(2020, 1, 1), 1),
    frozenset({1, 2}),
    frozenset(range(3000)),
    Label("one"),
    Label("n" * 9000),
    long_text(),
    int,
    range(5),
]


def name(key: Any) -> str:
    return f"{type(key).__name__} {str(key)[:20]!a}"


@pytest.mark.parametrize("key", KEYS, ids=name)
def test_a_key_is_found_and_comes_back_as_it_was(key: Any) -> None:
    shared, other = SharedDict(), SharedDict()
    shared[key] = "value"
    twin = pickle.loads(pickle.dumps(key))
    assert shared[key] == shared[twin] == shared.get(twin) == "value"
    assert key in shared and twin in shared
    shared[twin] = "another"
    assert shared.items() == [(key, "another")]
    assert [type(one) for one in shared] == [type(key)]
    assert shared.setdefault(twin, "default") == "another"
    assert shared.compare_and_set(twin, "another", ["new"])
    assert shared.popitem() == (key, ["new"])
    assert key not in shared
    assert shared.setdefault(key, "default") == "default"
    assert shared.pop(twin) == "default"
    assert shared.pop(key, "none") == "none"
    other.update({key: 1, "beside": 2})
    del other[twin]
    assert other.copy() == {"beside": 2}
    with pytest.raises(KeyError) as raised:
        other[key]
    assert raised.value.args[0] is key
    with pytest.raises(KeyError):
        del other[key]


def test_keys_that_are_equal_are_one_as_in_a_dict() -> None:
    shared, own = SharedDict(), dict[Any, Any]()
    for key in KEYS:
        shared[key] = own[key] = name(key)
    for key in [1, 1.0, 2.0, 8, 9.0, 10, 11, 0.25, "yes", "numpy", (5, 6), (1, 1), "short", float(2**63), complex(7)]:
        assert key in own and key in shared, key
        shared[key] = own[key] = "again"
    assert shared.keys() == list(own)
    assert [type(key) for key in shared] == [type(key) for key in own]
    assert shared.values() == list(own.values())
    assert shared.items() == list(own.items())
    assert len(shared) == len(own)
    assert list(reversed(shared)) == list(reversed(own))


def test_what_is_never_equal_is_never_found() -> None:
    shared = SharedDict()
    for key in (float("nan"), (float("nan"),), Plain()):
        for _ in range(2):
            shared[key] = 1
        assert key not in shared
    assert len(shared) == 6
    shared.clear()
    assert shared.keys() == []


@pytest.mark.parametrize("key", [[], {}, set(), ([],), bytearray()], ids=name)
def test_what_is_not_hashable_is_no_key(key: Any) -> None:
    shared = SharedDict()
    calls: list[Callable[[], object]] = [
        lambda: shared[key],
        lambda: shared.update([(key, 1)]),
        lambda: key in shared,
        lambda: shared.pop(key),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="unhashable"):
            call()
    with pytest.raises(TypeError, match="unhashable"):
        shared[key] = 1


def test_what_cannot_be_pickled_is_an_error_of_that_call_and_changes_nothing() -> None:
    shared = SharedDict(a=1)
    for call in (
        lambda: shared.__setitem__("b", threading.Lock()),
        lambda: shared.update({"b": 2, "c": threading.Lock()}),
        lambda: shared.setdefault("b", threading.Lock()),
        lambda: shared.__setitem__(frozenset({threading.Lock()}), 1),
        lambda: shared.compare_and_set("a", 1, threading.Lock()),
    ):
        with pytest.raises((TypeError, pickle.PicklingError)):
            call()
    assert shared.copy() == {"a": 1}


VALUES: list[Any] = [
    None,
    True,
    10**30,
    1.5,
    "text",
    "\ud800",
    b"bytes",
    "t" * 3040,
    "t" * 3041,
    "t" * 4000,
    "t" * 100_000,
    b"b" * 100_000,
    (1, "a", None),
    [1, [2]],
    {"a": 1},
    {"a": [1]},
    {1, 2},
    bytearray(b"x" * 100_000),
    datetime.date(2020, 1, 1),
    list(range(3000)),
]


@pytest.mark.parametrize("value", VALUES, ids=name)
def test_a_value_comes_back_as_a_copy_of_its_own(value: Any) -> None:
    shared = SharedDict()
    for before in (1, "x" * 50, b"y" * 100_000):
        shared["key"] = before
        shared["key"] = value
        found = shared["key"]
        assert found == value and type(found) is type(value)
    if isinstance(value, list):
        found.append("mine")
        assert shared["key"] == value
    assert shared.values() == [value]
    assert shared.pop("key") == value


def test_a_large_array_is_not_copied_until_it_is_written_to_and_then_for_its_writer_only() -> None:
    shared = SharedDict(array=numpy.arange(1_000_000.0))
    first, second = shared["array"], shared["array"]
    assert not first.flags.owndata
    assert first.flags.writeable
    first[0] = 7
    assert (second[0], shared["array"][0]) == (0, 0)
    shared["array"] = 1
    assert (first[:3].tolist(), second[:3].tolist()) == ([7, 1, 2], [0, 1, 2])


def test_methods_do_what_those_of_a_dict_do() -> None:
    shared = SharedDict({"a": 1}, b=2)
    shared.update([("c", 3)], d=4)
    shared |= {"e": 5}
    assert isinstance(shared, SharedDict)
    assert shared.copy() == copy.deepcopy(shared) == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    assert shared | {"a": 9} == {"a": 9, "b": 2, "c": 3, "d": 4, "e": 5}
    assert {"z": 0} | shared == {"z": 0, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    assert shared.get("x") is None
    assert shared.get("x", 5) == 5
    assert shared.pop("a") == 1
    with pytest.raises(KeyError):
        shared.pop("a")
    with pytest.raises(TypeError):
        shared.pop("a", 1, 2)
    assert str(shared) == str(shared.copy())
    assert repr(shared).startswith("<DictProxy object, typeid 'dict' at 0x")
    while shared:
        shared.popitem()
    with pytest.raises(KeyError, match="empty"):
        shared.popitem()
    shared.clear()
    assert "a" not in shared
    assert repr(SharedDict.named("counts")).startswith("<DictProxy 'counts' object")


def test_the_methods_of_the_standard_library_s_proxy_are_there() -> None:
    exposed = {*managers.DictProxy._exposed_}  # type: ignore[attr-defined]
    assert {method for method in exposed - {"fromkeys"} if not hasattr(SharedDict, method)} == set()


def test_add_counts_whatever_number_there_is() -> None:
    shared = SharedDict(real=1.5, text="x")
    assert [shared.add("new"), shared.add("new", 5), shared.add("new", -7)] == [1, 6, -1]
    assert shared.add("real", 1) == 2.5
    assert shared.add("new", 0.5) == -0.5
    shared["big"] = 2**63 - 1
    assert shared.add("big") == shared["big"] == 2**63
    assert shared.add(datetime.date(2020, 1, 1), 3) == 3
    assert shared.add("k" * 5000, 3) == 3
    with pytest.raises(TypeError):
        shared.add("text")
    assert shared["text"] == "x"
    with pytest.raises(TypeError):
        shared.add("none yet", "text")
    assert "none yet" not in shared


def test_compare_and_set_compares_as_python_does() -> None:
    shared = SharedDict(a=1, b=[1, 2], c="x" * 100_000)
    assert shared.compare_and_set("a", 1.0, 2)
    assert not shared.compare_and_set("a", 1, 3)
    assert shared.compare_and_set("b", [1, 2], None)
    assert shared.compare_and_set("c", "x" * 100_000, "y" * 100_000)
    assert not shared.compare_and_set("missing", None, 1)
    assert shared.copy() == {"a": 2, "b": None, "c": "y" * 100_000}


def test_a_dict_is_what_its_model_is_whatever_is_done() -> None:
    shared, own, chance = SharedDict(), dict[Any, Any](), random.Random(5)

    def any_value() -> Any:
        length = chance.choice([0, 5, 30, 300, 3000, 30_000])
        return chance.choice([length, "v" * length, [length] * (length // 10), float(length), (length, None)])

    def any_key() -> Any:
        return chance.choice([chance.randrange(300), chance.choice(string.ascii_letters), chance.choice(KEYS)])

    for step in range(6000):
        key, value = any_key(), any_value()
        match chance.randrange(10):
            case 0 | 1 | 2 | 3:
                shared[key] = own[key] = value
            case 4 | 5:
                assert shared.pop(key, None) == own.pop(key, None)
            case 6:
                assert shared.setdefault(key, value) == own.setdefault(key, value)
            case 7:
                changes = {any_key(): any_value() for _ in range(chance.randrange(6))}
                shared.update(changes)
                own.update(changes)
            case 8 if own:
                assert shared.popitem() == own.popitem()
            case _:
                assert shared.get(key) == own.get(key)
                assert (key in shared) == (key in own)
        if step % 300 == 0:
            assert shared.items() == list(own.items())
            assert len(shared) == len(own)
    assert shared.items() == list(own.items())
    _core.arena_account()


def test_iteration_goes_on_while_keys_come_and_go() -> None:
    shared = SharedDict({number: None for number in range(10_000)})
    seen = []
    for key in shared:
        seen.append(key)
        if key % 2 == 0:
            del shared[key]
        if key % 100 == 0 and key < 10_000:
            shared[10_000 + key] = None
    assert seen[:10_000] == list(range(10_000))
    assert len(seen) == len(set(seen))


def test_memory_goes_with_keys_and_with_the_last_handle() -> None:
    def account() -> tuple[int, ...]:
        gc.collect()
        return _core.arena_account()

    before = account()
    shared = SharedDict()
    empty = account()
    for number in range(20_000):
        shared[number] = "v" * (number % 200)
    array = shared["array"] = numpy.arange(100_000)
    for number in range(20_000):
        del shared[number]
    del shared["array"], array
    # A page is kept for moving long slots, and one for references.
    assert account()[0] <= empty[0] + 2
    shared.update({number: numpy.arange(100_000) for number in range(3)})
    del shared
    assert account() == before


def test_threads_may_do_what_they_like() -> None:
    shared = SharedDict()

    def count(offset: int) -> None:
        for number in range(2000):
            shared.add("all")
            shared[offset + number] = number
            assert shared.pop(offset + number) == number

    threads = [threading.Thread(target=count, args=(offset,)) for offset in (0, 10_000, 20_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared.copy() == {"all": 6000}


class Zone(datetime.tzinfo):
    """One that can be changed."""

    def __init__(self) -> None:
        self.name = "here"

    def utcoffset(self, _: Any) -> datetime.timedelta:
        return datetime.timedelta(0)

    dst = utcoffset

    def tzname(self, _: Any) -> str:
        return self.name


class Day(datetime.date):
    """One with attributes."""


def test_what_nobody_can_change_is_the_same_object_each_time() -> None:
    noon = datetime.datetime(2026, 1, 1, 12)
    values = [
        noon,
        noon.date(),
        noon.time(),
        noon.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
        datetime.timedelta(3),
        datetime.UTC,
        Decimal("1.5"),
        uuid.UUID(int=7),
    ]
    shared = SharedDict(enumerate(values))
    for number, value in enumerate(values):
        assert shared[number] == value and type(shared[number]) is type(value)
        assert shared[number] is shared[number]
        shared[number] = noon.replace(year=2000 + number)
        assert shared[number] == noon.replace(year=2000 + number)


def test_what_can_be_changed_is_another_object_each_time() -> None:
    day = Day(2026, 1, 1)
    day.note = "x"  # type: ignore[attr-defined]
    for value in (datetime.datetime(2026, 1, 1, tzinfo=Zone()), day, Plain(), [datetime.date(2026, 1, 1)]):
        shared = SharedDict(value=value)
        assert shared["value"] is not shared["value"]
    shared = SharedDict(value=datetime.datetime(2026, 1, 1, tzinfo=Zone()))
    shared["value"].tzinfo.name = "there"
    assert shared["value"].tzname() == "here"


def test_thousands_of_values_that_nobody_can_change_are_each_what_they_were() -> None:
    first = datetime.datetime(2026, 1, 1)
    values = [first + datetime.timedelta(number, number) for number in range(3000)]
    values += [Decimal(number) for number in range(1000)]  # type: ignore[misc]
    shared = SharedDict(enumerate(values))
    for _ in range(2):
        assert [shared[number] for number in range(len(values))] == values
        assert list(shared.values()) == values
    assert [type(value) for value in shared.values()] == [type(value) for value in values]
