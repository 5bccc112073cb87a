"""What short pickles are of is made here, and is what the standard unpickler makes of them."""

from __future__ import annotations

import collections
import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import importlib
import pickle
import pickletools
import sys
import threading
import time
import types
import weakref
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import allcores
import pytest
from allcores import _core
from allcores._manager.shared_dict import SharedDict
from hypothesis import given, strategies as st
from running import PYTHON, run

LONGEST = 100_000


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 2.5


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: Any
    y: Any = 2.5


@dataclasses.dataclass
class Restored:
    x: Any

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, is_restored=True)


class Empty:
    """With nothing."""


class Pair(NamedTuple):
    x: Any
    y: Any


class Colour(enum.Enum):
    RED = 1
    GREEN = "green"


class SomeList(list[Any]):
    pass


class SomeDict(dict[Any, Any]):
    pass


class SomeSet(set[Any]):
    pass


class Named:
    """With keywords for its ``__new__``."""

    def __new__(cls, *, x: Any) -> Named:
        made = super().__new__(cls)
        made.x = x  # type: ignore[attr-defined]
        return made

    def __getnewargs_ex__(self) -> Any:
        return (), {"x": self.x}  # type: ignore[attr-defined]


class Outer:
    class Inner:
        """Whose name has a dot."""


class BothStates:
    """With a ``__dict__`` and a slot."""

    __slots__ = ("__dict__", "slot")

    def __init__(self, value: Any) -> None:
        self.slot, self.attribute = value, value


class Filled:
    """Its items come after it, by its own ``append``."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def append(self, item: Any) -> None:
        self.items.append(item)

    def __reduce__(self) -> Any:
        return Filled, (), None, iter(self.items)


class OwnAttributes:
    """Its ``__dict__`` is no dict."""

    kept: SomeDict

    def __new__(cls) -> OwnAttributes:
        made = super().__new__(cls)
        OwnAttributes.kept = SomeDict()
        return made

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return OwnAttributes.kept


class Changed(Point):
    """Which a test changes."""


def is_same(one: Any, other: Any, seen: dict[int, int]) -> bool:
    """Whether both are of the same types all through, equal, and the same object at the same places."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (type(None), bool, int, str, bytes, type, types.BuiltinFunctionType, types.FunctionType)):
        return bool(one == other)
    if isinstance(one, float):
        return repr(one) == repr(other)
    if id(one) in seen:
        return seen[id(one)] == id(other)
    seen[id(one)] = id(other)
    if isinstance(one, (set, frozenset)):
        return len(one) == len(other) and all(any(is_same(a, b, dict(seen)) for b in other) for a in one)
    parts = []
    for thing in (one, other):
        found: list[Any] = []
        if isinstance(thing, dict):
            found += [part for item in thing.items() for part in item]
        elif isinstance(thing, (list, tuple, collections.deque)):
            found += list(thing)
        slots = [name for name, kind in vars(type(thing)).items() if isinstance(kind, types.MemberDescriptorType)]
        found += [getattr(thing, name) for name in slots]
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict) and not isinstance(thing, enum.Enum):
            found += [part for item in attributes.items() for part in item]
        parts.append(found)
    if not parts[0] and not parts[1]:
        return bool(one == other) or type(one).__eq__ is object.__eq__
    return len(parts[0]) == len(parts[1]) and all(map(is_same, *parts, [seen] * len(parts[0])))


def outcome(loads: Any, pickled: bytes) -> Any:
    try:
        return True, loads(pickled)
    except Exception as error:
        return False, (type(error), str(error))


def again(pickled: bytes) -> Any:
    """Load a pickle that has come before, most likely."""
    return _core.loads(pickled, True)


WAYS = [_core.loads, again, again, again]


def assert_loads_as_ever(pickled: bytes) -> None:
    theirs = outcome(pickle.loads, pickled)
    for loads in WAYS:
        ours = outcome(loads, pickled)
        assert ours[0] == theirs[0], (ours, theirs, pickled)
        assert is_same(ours[1], theirs[1], {}), (ours, theirs, pickled)


plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(),
    st.sampled_from(["\udc80", "a" * 300, "x", "y"]),
    st.binary(max_size=300),
)
hashable = st.recursive(
    plain | st.sampled_from([Colour.RED, Colour.GREEN, datetime.date(2020, 1, 1), decimal.Decimal("1.5")]),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4) | st.builds(Pair, inner, inner),
    max_leaves=4,
)
others = st.sampled_from(
    [
        fractions.Fraction(1, 3),
        complex(1, 2),
        range(5),
        datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        len,
        Point,
        collections.Counter("abca"),
        bytearray(b"abc"),
        Outer.Inner(),
    ]
)


SHARED: Any = SharedDict()


def containers(inner: Any) -> Any:
    return st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(hashable, inner, max_size=4),
        st.sets(hashable, max_size=5),
        st.builds(Point, inner, inner),
        st.builds(Slotted, inner, inner),
        st.builds(Empty),
        st.builds(Point, st.builds(Empty), inner),
        st.builds(Point, inner, st.builds(Empty)),
        st.builds(Restored, inner),
        st.builds(Pair, inner, inner),
        st.builds(BothStates, inner),
        st.builds(lambda x: Named(x=x), inner),
        st.lists(inner, max_size=3).map(SomeList),
        st.dictionaries(hashable, inner, max_size=3).map(SomeDict),
        st.sets(hashable, max_size=3).map(SomeSet),
        st.lists(inner, max_size=3).map(collections.deque),
        st.dictionaries(hashable, inner, max_size=3).map(collections.OrderedDict),
        inner.map(lambda twice: [twice, twice, {"again": twice}]),
        inner.map(lambda inside: _in_itself([inside])),
    )


def _in_itself(items: list[Any]) -> list[Any]:
    items.append(items)
    return items


objects = st.recursive(hashable | others, containers, max_leaves=12)


@given(objects, st.integers(2, pickle.HIGHEST_PROTOCOL), st.booleans())
def test_what_is_made_of_a_pickle_is_what_the_standard_unpickler_makes(
    thing: Any, protocol: int, is_short: bool
) -> None:
    pickled = pickle.dumps(thing, protocol)
    assert_loads_as_ever(pickletools.optimize(pickled) if is_short else pickled)
    ours = _core.dumps(thing, LONGEST)
    assert isinstance(ours, bytes)
    assert_loads_as_ever(ours)


@given(objects)
def test_what_is_got_again_is_what_it_was_the_first_time(thing: Any) -> None:
    SHARED["thing"] = thing
    wanted = pickle.loads(pickle.dumps(thing))
    for _ in range(4):
        assert is_same(SHARED["thing"], wanted, {})


EXAMPLES: list[Any] = [
    Point(1, "text"),
    Point(Point(1, 2), [Point(3, None)]),
    [Point(1), Slotted(2), Restored(3), Pair(4, 5)],
    Point(Empty(), Empty()),
    Point(1, Empty()),
    Point(Empty(), 1),
    Colour.RED,
    BothStates(1),
    Named(x=1),
    {"a": [1, 2.5, None, True, b"bytes", (1,), {2}, frozenset({3})], 5: -1},
    SomeList([1, 2, 3]),
    SomeDict(a=1, b=2),
    collections.deque([1, 2]),
    _in_itself([1]),
    [-(2**31) - 1, 2**40, -(2**63), 255, 65535, 65536],
    datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    bytearray(b"bytes"),
]


@given(st.sampled_from(EXAMPLES), st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_pickle_is_what_it_is_to_the_standard_unpickler(thing: Any, at: int, byte: int) -> None:
    pickled = bytearray(_core.dumps(thing, LONGEST) if at % 2 else pickle.dumps(thing, 5))  # type: ignore[arg-type]
    at = at // 2 % len(pickled)
    for damaged in (pickled[:at], pickled[:at] + bytes([byte]) + pickled[at + 1 :], pickled[:at] + pickled[at + 1 :]):
        ours, theirs = outcome(_core.loads, bytes(damaged)), outcome(pickle.loads, bytes(damaged))
        assert ours[0] == theirs[0], (ours, theirs, damaged)
        if not ours[0]:
            assert ours[1][0] is theirs[1][0], (ours, theirs, damaged)


def test_these_are_made_without_the_standard_unpickler(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        f"""
import pickle, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
def refused(pickled):
    raise AssertionError(pickled)
pickle.loads = refused  # before it has been looked for
from test_unpickler import EXAMPLES, LONGEST, is_same
from allcores import _core
pickles = [pickle.dumps((len, thing), protocol) for thing in EXAMPLES for protocol in (4, 5)]
pickles += [_core.dumps((len, thing), LONGEST) for thing in EXAMPLES]
pickles = [pickled for pickled in pickles if len(pickled) <= 160]
assert len(pickles) > 2 * len(EXAMPLES)
print(sum(is_same(_core.loads(pickled), pickle._loads(pickled), {{}}) for pickled in pickles) == len(pickles))
try:
    _core.loads(pickle.dumps([2**100], 0))
except AssertionError:
    print("this one goes there")
"""
    )
    made = run([*PYTHON, program])
    assert made.out == "True\nthis one goes there\n", made.err


class Counted:
    """Counts how often it is made."""

    made = 0

    def __init__(self) -> None:
        Counted.made += 1

    def __reduce__(self) -> Any:
        return Counted, ()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_a_pickle_calls_is_called_once_whatever_comes_behind(protocol: int) -> None:
    inside: list[Any] = []
    recursive = (inside,)
    inside.append(recursive)  # a pickler writes what is seldom written for that
    pickled = pickle.dumps([Counted(), recursive, 2**100], protocol)
    Counted.made = 0
    _core.loads(pickled)
    assert Counted.made == 1


def test_a_class_is_the_one_that_has_the_name_now() -> None:
    with allcores.Manager() as manager:
        shared = manager.dict(point=Point(1, 2))
        assert all(type(shared["point"]) is Point for _ in range(5))
        before = Point
        replaced = dataclasses.make_dataclass("Point", ["x", "y"])
        try:
            globals()["Point"] = replaced
            assert type(shared["point"]) is replaced
        finally:
            globals()["Point"] = before
        assert type(shared["point"]) is before


def test_what_a_class_says_of_its_objects_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    with allcores.Manager() as manager:
        shared = manager.dict(point=Point(1, 2))
        assert all(shared["point"] == Point(1, 2) for _ in range(5))
        monkeypatch.setattr(Point, "__setstate__", lambda self, state: vars(self).update(state, x=5), raising=False)
        assert shared["point"] == Point(5, 2)
        monkeypatch.undo()
        assert shared["point"] == Point(1, 2)
        shared["point"] = Changed(1)
        assert all(shared["point"].x == 1 for _ in range(5))
        Changed.__new__ = lambda cls: object.__new__(Restored)  # type: ignore[assignment,method-assign]
        assert type(shared["point"]) is Restored


def test_each_get_is_an_object_of_its_own() -> None:
    with allcores.Manager() as manager:
        shared = manager.dict(point=Point([1], {"a": [2]}))
        for _ in range(5):
            point = shared["point"]
            assert point == Point([1], {"a": [2]})
            point.x.append(2)
            point.y["a"].append(3)
            point.z = 1


def test_the_audit_event_is_raised_for_each_name(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        """
import collections, pickle, sys
from allcores import _core
class Point: pass
p = Point()
p.x = collections.OrderedDict(a=1)
pickled = pickle.dumps([p, p.x])
_core.loads(pickled)
seen = []
sys.addaudithook(lambda event, arguments: seen.append(arguments) if event == "pickle.find_class" else None)
_core.loads(pickled)
ours = seen[:]
seen.clear()
pickle.loads(pickled)
print(ours == seen, ours)
"""
    )
    made = run([*PYTHON, program])
    assert made.out == "True [('__main__', 'Point'), ('collections', 'OrderedDict')]\n", made.err


def test_a_module_that_is_not_loaded_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "module_of_its_own.py").write_text("class Thing:\n    class Inner: pass\n")
    pickled = b"\x80\x05\x8c\x11module_of_its_own\x8c\x05Thing\x93."
    assert outcome(_core.loads, pickled)[1][0] is ModuleNotFoundError
    sys.path.insert(0, str(tmp_path))
    try:
        assert _core.loads(pickled).__name__ == "Thing"
        assert _core.loads(pickled.replace(b"\x05Thing", b"\x0bThing.Inner")).__name__ == "Inner"
        assert outcome(_core.loads, pickled.replace(b"Thing", b"Thong"))[1][0] is AttributeError
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["module_of_its_own"]


class Told:
    """Tells what is called, and has no ``__setstate__``."""

    told: ClassVar[list[Any]] = []

    def __init__(self, *arguments: Any) -> None:
        Told.told.append(arguments)

    def add(self, item: Any) -> None:
        Told.told.append(("add", item))

    def extend(self, items: Any) -> None:
        Told.told.append(("extend", items))

    def __hash__(self) -> int:
        Told.told.append("hash")
        return 5

    def __eq__(self, other: object) -> bool:
        return type(other) is Told


def named(module: str, name: str) -> bytes:
    """The opcodes that look a name up."""
    return b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name)) + b"\x93"


TOLD = named(__name__, "Told") + b")R"
POINT = named(__name__, "Point") + b")\x81"
HAND_MADE = [
    TOLD + POINT + b"K\x01b\x86.",  # a state that is no dict
    TOLD + POINT + b"N}K\x01K\x02s\x86b\x86.",  # a slot whose name is no str
    TOLD + POINT + b"}\x8c\x01aK\x01sN\x86b\x86.",  # no slots, and told so
    TOLD + named(__name__, "is_same") + b")\x81\x86.",  # objects of what is no class
    TOLD + named("types", "GeneratorType") + b")\x81\x86.",  # which makes none
    TOLD + POINT[:-2] + b"K\x01\x81\x86.",
    TOLD + POINT[:-2] + b")K\x01\x92\x86.",
    TOLD + POINT[:-2] + b"K\x01R\x86.",
    TOLD + b"(K\x01K\x02\x90.",  # by its own method
    TOLD + b"(\x90.",
    TOLD + b"(e.",
    TOLD + b"(K\x01K\x02e.",
    named(__name__, "SomeSet") + b")\x81(K\x01K\x02\x90.",
    POINT + b"}(" + TOLD + b"K\x01ub.",  # a key that is hashed
    POINT + b"}(]K\x01ub.",
    POINT + b"}(e(\x8c\x01aK\x02ub.",
    POINT + b"}\x94(\x8c\x01aK\x02h\x00K\x03ub.",
    POINT + b"}\x94(\x8c\x01aK\x02ub0h\x00.",
    b")\x94h\x00(e\x86.",
    b"](\x94e.",  # marks cannot be reached over
    b"]((ee.",
    b"](K\x01ae.",
    b"N}}(K\x01K\x01sb(K\x01K\x01sbeub.",
    POINT + b"(}b.",
    POINT + b"}(\x8c\x01z}(\x8c\x01xK\x01ub\x8c\x01vub.",  # a key that is to have a state
    POINT + b"\x94}\x94(\x8c\x01z}(\x8c\x01xK\x01ub\x8c\x01vub.",
    POINT + b"\x94}\x94(\x8c\x01zK\x05}(\x8c\x01xK\x01ubub.",
    POINT + b"\x94}\x94(\x8c\x01z" + POINT + b"\x94}\x94(\x8c\x01xK\x01ubub.",
    named("collections", "OrderedDict.fromkeys") + b".",
    named("allcores", "<locals>") + b".",
]


@pytest.mark.parametrize("pickled", HAND_MADE)
def test_what_nobody_pickles_is_what_it_is_to_the_standard_unpickler(pickled: bytes) -> None:
    found = []
    for loads in (pickle.loads, *WAYS):
        Told.told.clear()
        found.append((outcome(loads, b"\x80\x05" + pickled), Told.told[:]))
    theirs = found[0]
    for ours in found[1:]:
        assert ours[0][0] == theirs[0][0]
        assert ours[1] == theirs[1]
        assert is_same(ours[0][1], theirs[0][1], {})


def test_names_of_older_protocols_are_looked_up_as_then() -> None:
    assert_loads_as_ever(b"\x80\x02" + named("__builtin__", "xrange") + b".")
    assert_loads_as_ever(named("collections", "OrderedDict.fromkeys") + b".")


class AsksOnce:
    """Its method for its state is a property."""

    asked = 0

    @property
    def __setstate__(self) -> Any:
        AsksOnce.asked += 1
        return vars(self).update


class Fails:
    """As `AsksOnce`, which fails."""

    error: type[BaseException] = ValueError

    @property
    def __setstate__(self) -> Any:
        raise self.error("for its state")


def test_a_property_for_the_state_is_asked_once_and_may_raise() -> None:
    thing: Any = AsksOnce()
    vars(thing).update(x=1)
    pickled = pickle.dumps(thing)
    AsksOnce.asked = 0
    assert vars(_core.loads(pickled)) == {"x": 1}
    assert AsksOnce.asked == 1
    fails: Any = Fails()
    vars(fails).update(x=1)
    pickled = pickle.dumps(fails)
    for Fails.error in (ValueError, KeyboardInterrupt):
        with pytest.raises(Fails.error, match="for its state"):
            _core.loads(pickled)


class Connection:
    """One for each name, while anybody has it."""

    known: ClassVar[weakref.WeakValueDictionary[str, Connection]] = weakref.WeakValueDictionary()
    made = 0

    def __init__(self, name: str) -> None:
        self.name = name
        Connection.made += 1

    def __reduce__(self) -> Any:
        return connected, (self.name,)


def connected(name: str) -> Connection:
    """Return the one of a name."""
    return Connection.known.get(name) or Connection.known.setdefault(name, Connection(name))


class User:
    """Has a connection while it is being made."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __setstate__(self, state: Any) -> None:
        vars(self).update(state, connection=None)


def test_what_is_numbered_lives_until_all_is_made() -> None:
    pickled = pickle.dumps([User(Connection("one")), User(Connection("one"))])
    Connection.made = 0
    _core.loads(pickled)
    assert Connection.made == 1


def test_a_module_that_another_thread_imports_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "imported_slowly.py").write_text(
        "import time\nclass Thing:\n    early = True\ntime.sleep(0.5)\nThing.early = False\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        importer = threading.Thread(target=importlib.import_module, args=("imported_slowly",))
        importer.start()
        while not hasattr(sys.modules.get("imported_slowly"), "Thing"):
            time.sleep(0.001)
        assert not _core.loads(b"\x80\x05" + named("imported_slowly", "Thing") + b".").early
        importer.join()
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("imported_slowly", None)


def test_an_audit_hook_is_told_before_the_name_is_looked_up(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    pickled = b"\x80\x05" + named("__main__", "found") + b"."
    program.write_text(
        f"""
import sys, __main__
from allcores import _core
found = "early"
def told(event, arguments):
    if event == "pickle.find_class":
        __main__.found = "late"
sys.addaudithook(told)
print(_core.loads({pickled!r}))
"""
    )
    assert run([*PYTHON, program]).out == "late\n"


def test_keys_that_are_no_attributes_are_not_interned() -> None:
    """Who interns a text keeps it for ever, with some versions of Python."""
    (key,) = _core.loads(pickle.dumps({"not the name of anything": {1}}))
    assert sys.intern("not the name " + "of anything") is not key


def test_names_of_attributes_are_interned_in_a_class_that_has_none() -> None:
    class_of_its_own = type("Fresh", (), {"__module__": __name__})
    globals()["Fresh"] = class_of_its_own
    made: Any = class_of_its_own()
    made.kind = "name_of_another"
    made.name_of_another = 1
    setattr(made, "long" * 20, 2)
    for pickled in (pickle.dumps(made), _core.dumps(made, LONGEST)):
        globals()["Fresh"] = type("Fresh", (), {"__module__": __name__})
        assert isinstance(pickled, bytes)
        for name in vars(_core.loads(pickled)):
            assert name is sys.intern("".join(list(name)))


def test_attributes_go_where_the_object_says() -> None:
    pickled = b"\x80\x05\x8c\x0etest_unpickler\x8c\x0dOwnAttributes\x93)\x81}(\x8c\x01xK\x01\x8c\x01yK\x02ub."
    for loads in (pickle.loads, _core.loads):
        assert vars(loads(pickled)) == {"x": 1, "y": 2}
        assert type(OwnAttributes.kept) is SomeDict


def test_names_of_attributes_are_those_of_the_code() -> None:
    for _ in range(2):
        (name, *_rest) = vars(_core.loads(pickle.dumps(Point(1, 2))))
        assert name is sys.intern("x")


class Refusing(dict[str, Any]):
    """No attributes can be had in it."""

    def __setitem__(self, key: str, value: Any) -> None:
        raise KeyError(key)


class Ending:
    """It says when it ends."""

    ended: ClassVar[list[str]] = []

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copyreg.__newobj__, (type(self),), {"x": 1}  # type: ignore[attr-defined]

    def __del__(self) -> None:
        self.ended.append(type(self).__name__)


class Unmakeable(Ending):
    """No state can be given to it."""

    __dict__ = property(lambda self: Refusing())  # type: ignore[assignment]


def test_what_a_failed_pickle_has_made_ends_in_the_same_order() -> None:
    one, other = Ending(), Unmakeable()
    for thing in ((one, other), (one, other, other), [one, one, {"x": other}], (one, Ending(), Ending(), other)):
        for pickled in (pickle.dumps(thing), pickletools.optimize(pickle.dumps(thing))):
            found = []
            for loads in (pickle.loads, *WAYS):
                Ending.ended.clear()
                with pytest.raises(KeyError):
                    loads(pickled)
                found.append(Ending.ended[:])
            assert found[1:] == found[:1] * len(WAYS)
    del thing, one, other
