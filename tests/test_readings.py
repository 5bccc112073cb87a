"""What is kept of a shared dict's values that are got again: they are as they are now, whoever has changed them."""

import dataclasses
import datetime
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from allcores._manager.shared_dict import SharedDict
from lock_programs import prints
from running import METHODS

KEPT_FROM = 5
"""So often is got what is kept then: the first time it may be anything, and its recipe is made the second time."""


@dataclasses.dataclass
class Record:
    number: int
    text: str = "text"


class Stateful:
    """It makes its state something else when it is unpickled."""

    def __init__(self) -> None:
        self.number = 1


VALUES: list[Any] = [
    7,
    2.5,
    "text",
    "t" * 900,
    b"bytes",
    None,
    True,
    (1, "two"),
    [1, 2],
    {"a": 1},
    datetime.date(2026, 1, 1),
    Record(7),
    [Record(7), Record(8)],
    {"a": Record(7)},
    "t" * 10_000,
]

KEYS: list[Any] = ["key", 7, b"key", 2.0, True, None, (1, "a"), datetime.date(2026, 1, 1), "k" * 40, "k" * 5000]


def gets(shared: SharedDict, key: Any) -> Any:
    """Get a value until it is kept, and once more."""
    found = [shared[key] for _ in range(KEPT_FROM)]
    assert all(value == found[0] for value in found)
    assert shared.get(key) == found[0]
    return found[-1]


CHANGES: dict[str, Callable[[SharedDict, Any, Any], object]] = {
    "set": lambda shared, key, value: shared.__setitem__(key, value),
    "update": lambda shared, key, value: shared.update({"other": 1, key: value}),
    "delete, set": lambda shared, key, value: (shared.pop(key), shared.__setitem__(key, value)),
    "clear, setdefault": lambda shared, key, value: (shared.clear(), shared.setdefault(key, value)),
    "compare and set": lambda shared, key, value: shared.compare_and_set(key, shared[key], value),
}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key)[:20])
def test_a_value_that_was_got_again_and_again_is_what_it_was_set_to_last(key: Any) -> None:
    shared = SharedDict({key: 0, "z": 1})
    for change in CHANGES.values():
        for value in VALUES:
            change(shared, key, value)
            assert gets(shared, key) == value
            shared["beside"] = 1
            assert gets(shared, key) == value


def test_a_key_that_was_got_again_and_again_is_gone_when_it_is_deleted() -> None:
    shared = SharedDict()
    for value in VALUES:
        shared["key"] = value
        gets(shared, "key")
        del shared["key"]
        for _ in range(KEPT_FROM):
            assert shared.get("key") is None and shared.get("key", 5) == 5
            with pytest.raises(KeyError, match="key"):
                shared["key"]


def test_counters_and_transactions_are_seen_at_once() -> None:
    shared = SharedDict(count=0)
    for number in range(20):
        assert gets(shared, "count") == 2 * number
        shared.add("count")
        assert gets(shared, "count") == 2 * number + 1
        with shared.transaction():
            shared["count"] = shared["count"] + 1


def test_what_can_be_changed_is_made_anew_each_time() -> None:
    shared = SharedDict()
    for value in ([1], {"a": 1}, Record(7), [Record(7)], {"a": [1]}):
        shared["key"] = value
        objects = [shared["key"] for _ in range(2 * KEPT_FROM)]
        assert len({id(found) for found in objects}) == len(objects)
    shared["key"] = Record(7)
    for _ in range(KEPT_FROM):
        found = shared["key"]
        assert found == Record(7)
        found.number = 8


def test_equal_keys_mean_the_same_value() -> None:
    shared = SharedDict({1: "one"})
    for key in (1, True, 1.0, 1):
        assert gets(shared, key) == "one"
    shared[1.0] = "two"
    for key in (1, True, 1.0):
        assert gets(shared, key) == "two"


def test_dicts_with_the_same_keys_are_kept_apart_also_when_one_comes_in_the_place_of_another() -> None:
    for number in range(200):
        shared = SharedDict(key=number, other=str(number))
        assert (gets(shared, "key"), gets(shared, "other")) == (number, str(number))
    several = [SharedDict(key=number) for number in range(50)]
    for _ in range(2 * KEPT_FROM):
        assert [shared["key"] for shared in several] == list(range(50))


def test_nothing_is_kept_of_a_dict_that_is_gone() -> None:
    key, value = "a key of its own " * 2, "a value of its own"
    shared = SharedDict({key: value})
    before = sys.getrefcount(key)
    found = gets(shared, key)
    assert sys.getrefcount(key) == before + 1
    kept = sys.getrefcount(found)
    del shared
    assert sys.getrefcount(key) == before
    assert sys.getrefcount(found) == kept - 1


def test_many_keys_at_once_are_each_what_they_are() -> None:
    shared = SharedDict((str(number), number) for number in range(2000))
    keys = list(shared)
    for _ in range(KEPT_FROM):
        for key in keys:
            assert [shared[key] for _ in range(3)] == [int(key)] * 3


def test_a_class_is_asked_at_each_get_what_it_is_and_how_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedDict(key=Stateful())
    for _ in range(KEPT_FROM):
        assert shared["key"].number == 1

    def set_state(self: Stateful, state: dict[str, int]) -> None:
        self.number = state["number"] + 1

    monkeypatch.setattr(Stateful, "__setstate__", set_state, raising=False)
    assert [shared["key"].number for _ in range(KEPT_FROM)] == [2] * KEPT_FROM
    monkeypatch.delattr(Stateful, "__setstate__")
    assert [shared["key"].number for _ in range(KEPT_FROM)] == [1] * KEPT_FROM

    class Other(Stateful):
        pass

    monkeypatch.setitem(globals(), "Stateful", Other)
    assert type(shared["key"]) is Other
    monkeypatch.delitem(globals(), "Stateful")
    for _ in range(KEPT_FROM):
        with pytest.raises(AttributeError, match="Stateful"):
            shared["key"]


def test_an_error_in_a_value_is_raised_at_each_get_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedDict(key=Stateful())
    gets_before = [shared["key"].number for _ in range(KEPT_FROM)]

    def set_state(self: Stateful, state: dict[str, int]) -> None:
        raise ZeroDivisionError("no")

    monkeypatch.setattr(Stateful, "__setstate__", set_state, raising=False)
    for _ in range(KEPT_FROM):
        with pytest.raises(ZeroDivisionError, match="no"):
            shared["key"]
    monkeypatch.delattr(Stateful, "__setstate__")
    assert [shared["key"].number for _ in range(KEPT_FROM)] == gets_before


@pytest.mark.parametrize("method", METHODS)
def test_what_another_process_has_set_before_it_said_so_is_seen(method: str, tmp_path: Path) -> None:
    definitions = """
from allcores._manager.shared_dict import SharedDict

def sets(shared, end):
    for number in range(3000):
        shared["number"] = number
        shared["text"] = str(number)
        end.send(number)
        end.recv()
"""
    main = """
shared = SharedDict(number=-1, text="-1")
ours, theirs = context.Pipe()
process = context.Process(target=sets, args=(shared, theirs))
process.start()
for number in range(3000):
    assert ours.recv() == number
    found = [(shared["number"], shared["text"]) for _ in range(5)]
    assert found == [(number, str(number))] * 5, (number, found)
    ours.send(None)
process.join()
print(process.exitcode)
"""
    assert prints(tmp_path, definitions, main, method) == "0\n"


def test_a_number_that_is_only_counted_up_never_seems_to_go_down(tmp_path: Path) -> None:
    definitions = """
from allcores._manager.shared_dict import SharedDict

def counts(shared):
    for number in range(100_000):
        shared["number"] = number
"""
    main = """
shared = SharedDict(number=-1)
process = context.Process(target=counts, args=(shared,))
process.start()
last = -1
while last < 99_999 and process.is_alive():
    found = [shared["number"] for _ in range(10)]
    assert found == sorted(found) and found[0] >= last, (last, found)
    last = found[-1]
process.join()
print(process.exitcode, shared["number"])
"""
    assert prints(tmp_path, definitions, main, "fork") == "0 99999\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_manager_s_end_is_seen_by_who_got_a_value_again_and_again(method: str, tmp_path: Path) -> None:
    main = """
manager = context.Manager()
shared = manager.dict(key=1)
print([shared["key"] for _ in range(5)])
manager.shutdown()
for _ in range(2):
    try:
        print(shared["key"])
    except Exception as error:
        print(type(error).__name__)
"""
    assert prints(tmp_path, "", main, method) == "[1, 1, 1, 1, 1]\nManagerEndedError\nManagerEndedError\n"


def test_a_fork_sees_what_has_changed_since(tmp_path: Path) -> None:
    main = """
from allcores._manager.shared_dict import SharedDict
shared = SharedDict(key=1)
print([shared["key"] for _ in range(5)])
import os
pid = os.fork()
if pid == 0:
    assert [shared["key"] for _ in range(5)] == [1] * 5
    shared["key"] = 2
    own = SharedDict(key=3)
    assert [own["key"] for _ in range(5)] == [3] * 5 and shared["key"] == 2
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
own = SharedDict(key=4)
print([shared["key"] for _ in range(5)], [own["key"] for _ in range(5)])
"""
    assert prints(tmp_path, "", main) == "[1, 1, 1, 1, 1]\n[2, 2, 2, 2, 2] [4, 4, 4, 4, 4]\n"
