"""Pickles that are written without a pickler are those of a pickler, and what it must write is left to it."""

from __future__ import annotations

import abc
import collections
import copyreg
import dataclasses
import datetime
import enum
import gc
import pickle
import pickletools
import sys
import weakref
from typing import Any, NamedTuple

import pytest
from allcores import _core
from hypothesis import given, strategies
from running import run

LONGEST = 100_000


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 2.5


class Derived(Point):
    """With a method or two, which change nothing."""

    def __hash__(self) -> int:
        return 1

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, is_set=True)


class Nameless:
    """With no attributes, and a `__new__`."""

    def __new__(cls) -> Nameless:
        return super().__new__(cls)

    def __eq__(self, other: object) -> bool:
        return type(other) is Nameless

    __hash__ = None  # type: ignore[assignment]


class Named(NamedTuple):
    x: int


class Colour(enum.Enum):
    RED = 1


class WithSlots:
    __slots__ = ("x",)


class WithAsSlot:
    __slots__ = ("__dict__", "x")


class Reduced:
    def __reduce__(self) -> Any:
        return Point, (1,)


class ReducedBy:
    def __reduce_ex__(self, protocol: Any) -> Any:
        return Point, (protocol,)


class WithState:
    def __init__(self) -> None:
        self.x = 1

    def __getstate__(self) -> Any:
        return {"x": 3}


class WithArguments:
    def __new__(cls, x: int = 0) -> WithArguments:
        made = super().__new__(cls)
        made.x = x  # type: ignore[attr-defined]
        return made

    def __getnewargs__(self) -> Any:
        return (5,)


class WithKeywords(WithArguments):
    def __getnewargs_ex__(self) -> Any:
        return (6,), {}


class AnswersAll:
    def __getattr__(self, name: str) -> Any:
        if name == "__getnewargs_ex__":
            return lambda: ((), {})
        raise AttributeError(name)


class SeesAll:
    def __getattribute__(self, name: str) -> Any:
        return {"x": 7} if name == "__dict__" else super().__getattribute__(name)


class Registered:
    x = 1


copyreg.pickle(Registered, lambda _: (Point, (8,)))  # type: ignore[arg-type,return-value]


class Disguised:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return Point


class SomeDict(dict[str, int]):
    pass


class SomeInt(int):
    pass


class SomeDay(datetime.date):
    pass


class Restored:
    def __setstate__(self, state: dict[str, Any]) -> None:
        raise AssertionError("an object without attributes has no state")


class Public:
    """With other attributes than its own."""

    def __init__(self) -> None:
        self._x = 1

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._x = state["_x"]


class Borg:
    """They have one state, and keep that so."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state


class Meta(type):
    pass


class OfMeta(metaclass=Meta):
    pass


copyreg.pickle(Meta, lambda _: (eval, ("int",)))


class Refusing:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise AttributeError


class Abstract(abc.ABC):  # noqa: B024
    pass


class Outer:
    class Inner:
        pass


def described(thing: Any) -> Any:
    """What it is made of, also if it is equal to nothing but itself."""
    if isinstance(thing, tuple | list):
        return type(thing), [described(item) for item in thing]
    if type(thing).__module__ == __name__:
        return type(thing), getattr(thing, "__dict__", None)
    return type(thing), thing


def is_by_pickler(pickled: bytes) -> bool:
    """Whether a pickler wrote it: it would have begun a frame."""
    return any(opcode.name == "FRAME" for opcode, _, _ in pickletools.genops(pickled))


def dumps(thing: Any) -> bytes:
    pickled = _core.dumps_by_name(thing, LONGEST)
    assert isinstance(pickled, bytes)
    return pickled


NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC, fold=1)
SIMPLE = [
    NOON,
    datetime.date(1, 1, 1),
    datetime.time(1, 2, 3, 4, datetime.timezone(datetime.timedelta(hours=-1), "there"), fold=1),
    [datetime.timedelta(days=-1, microseconds=3), datetime.UTC],
    Point(1, "x"),
    Point(None, Point(True, Point(b"x", {1: [], "two": ((),)}))),
    Derived(2**40, -1),
    Nameless(),
    [Nameless(), Nameless()],
    Restored(),
    {Derived(1): frozenset({1, 2.5}), "set": {"x" * 300, b"x" * 300}},
    (NOON, -300, 70_000, -(2**63), 2**63 - 1, 1, 2, 3),
    Point(float("inf"), list(range(1000))),
]
same, state = Point(1), {"x": 1}
NOT_SIMPLE = [
    Named(1),
    Colour.RED,
    WithSlots(),
    WithAsSlot(),
    Reduced(),
    ReducedBy(),
    WithState(),
    WithArguments(4),
    WithKeywords(4),
    AnswersAll(),
    SeesAll(),
    Registered(),
    SomeDict(x=1),
    SomeInt(3),
    SomeDay(2026, 1, 1),
    Outer.Inner(),
    Point,
    [same, same],
    [Borg(state), Borg(state)],
    Public(),
    OfMeta(),
    Refusing(),
    Abstract(),
    [Point(number) for number in range(12)],
    Point(1, collections.OrderedDict(x=1)),
    Point(2**63),
    Point("\ud800"),
    NotImplemented,
]


@pytest.mark.parametrize("thing", SIMPLE, ids=repr)
def test_a_simple_object_comes_back(thing: Any) -> None:
    pickled = dumps(thing)
    assert not is_by_pickler(pickled)
    assert described(pickle.loads(pickled)) == described(pickle.loads(pickle.dumps(thing)))


@pytest.mark.parametrize("thing", NOT_SIMPLE, ids=repr)
def test_what_is_not_simple_is_left_to_a_pickler(thing: Any) -> None:
    pickled = dumps(thing)
    assert is_by_pickler(pickled)
    assert described(pickle.loads(pickled)) == described(pickle.loads(pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)))


def test_what_cannot_be_pickled_raises_what_a_pickler_does(monkeypatch: pytest.MonkeyPatch) -> None:
    class Local:
        pass

    def fails(thing: Any) -> None:
        with pytest.raises((pickle.PicklingError, AttributeError, TypeError)) as expected:
            pickle.dumps(thing)
        with pytest.raises(type(expected.value)) as raised:
            dumps(thing)
        assert str(raised.value) == str(expected.value)

    fails([1, Local()])
    fails(Disguised())
    day, point = datetime.date(2026, 1, 1), Point(1)
    monkeypatch.setattr(datetime, "date", SomeDay)
    fails(day)
    monkeypatch.setattr(sys.modules[__name__], "Point", Local)
    fails(point)


def test_an_object_with_a_method_of_its_own() -> None:
    point = Point(1)
    assert not is_by_pickler(dumps(point))
    point.__reduce_ex__ = lambda _: (int, ("7",))  # type: ignore[method-assign]
    assert pickle.loads(dumps(point)) == 7


@pytest.mark.parametrize(
    ("name", "method", "expected"),
    [
        ("__getstate__", lambda _: {"x": 3, "y": 4}, Point(3, 4)),
        ("__reduce__", lambda _: (Point, (5,)), Point(5)),
        ("__getnewargs__", lambda _: (), Point(1)),
        ("__getattr__", lambda _, name: exec("raise AttributeError(name)"), Point(1)),
        ("__getattribute__", lambda thing, name: object.__getattribute__(thing, name), Point(1)),
    ],
)
def test_an_object_whose_class_has_changed(
    name: str, method: Any, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_by_pickler(dumps(Point(1)))
    monkeypatch.setattr(Point, name, method, raising=False)
    pickled = dumps(Point(1))
    assert is_by_pickler(pickled)
    assert pickle.loads(pickled) == expected


def test_a_class_ends_though_objects_of_it_were_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    def pickles(slots: dict[str, Any]) -> weakref.ref[type]:
        """Pickle an object of a class that is there for as long as this takes; what is left of it."""
        made = type("Passing", (), {"__module__": __name__, **slots})
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules[__name__], "Passing", made, raising=False)
            assert is_by_pickler(dumps(made())) == bool(slots)
        return weakref.ref(made)

    # Where one was another one may be, which is not to be taken for it.
    for number in range(50):
        left = pickles({"__slots__": ("x",)} if number % 2 else {})
        gc.collect()
        assert left() is None


def test_what_is_in_itself_or_deep_or_long_is_left_to_a_pickler() -> None:
    circle = Point(1)
    circle.y = [circle]
    there = pickle.loads(dumps(circle))
    assert there.y[0] is there
    deep: Any = Point(1)
    for _ in range(40):
        deep = Point(deep)
    assert pickle.loads(dumps(deep)) == deep
    long = _core.dumps_by_name(Point("x" * 1000), 500)
    assert isinstance(long, _core.Memory)


plain = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats(allow_nan=False)
    | strategies.text()
    | strategies.binary()
    | strategies.dates()
    | strategies.datetimes(timezones=strategies.just(datetime.UTC))
    | strategies.timedeltas(),
    lambda inner: (
        strategies.lists(inner)
        | strategies.tuples(inner, inner)
        | strategies.dictionaries(strategies.text(), inner)
        | strategies.builds(Point, inner, inner)
    ),
)


@given(plain)
def test_any_object_comes_back(thing: Any) -> None:
    assert pickle.loads(dumps(thing)) == thing


def test_objects_of_a_main_module_that_children_cannot_import_go_by_value() -> None:
    code = """if True:
        import allcores as mp

        class Mine:
            x = 5

        context = mp.get_context("warm")
        queue = context.Queue()
        for _ in range(2):
            queue.put(Mine())
        process = context.Process(target=lambda: print(queue.get().x, queue.get().x, flush=True))
        process.start()
        process.join()
    """
    outcome = run([sys.executable, "-c", code])
    assert (outcome.status, outcome.out) == (0, "5 5\n"), outcome.err


def test_a_program_that_has_dates_in_python_only() -> None:
    code = """if True:
        import pickle, sys
        sys.modules["_datetime"] = None
        import datetime
        from allcores import _core

        class Mine:
            def __init__(self):
                self.day = datetime.date(2026, 1, 1)

        print(pickle.loads(_core.dumps_by_name([Mine()], 1000))[0].day)
    """
    outcome = run([sys.executable, "-c", code])
    assert (outcome.status, outcome.out) == (0, "2026-01-01\n"), outcome.err
