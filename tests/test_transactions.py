"""Transactions of shared dicts: all of a block at once, or nothing of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from allcores import TransactionConflictError
from allcores._manager.shared_dict import SharedDict
from lock_programs import prints
from running import METHODS

IMPORT = """
from allcores import _core
from allcores._manager.shared_dict import SharedDict
"""


def other(shared: SharedDict) -> Any:
    """Return another handle to the same dict, as another process has one."""
    return SharedDict._at(shared._address())


def test_a_block_happens_at_its_end_and_sees_itself() -> None:
    shared = SharedDict(a=1, b=2, c=3)
    others = other(shared)
    with shared.transaction() as same:
        assert same is shared
        shared["a"] += 10
        shared["new"] = [1]
        del shared["b"]
        assert (shared["a"], shared.get("b"), "new" in shared, len(shared)) == (11, None, True, 3)
        assert shared.copy() == {"a": 11, "c": 3, "new": [1]} and str(shared) == "{'a': 11, 'c': 3, 'new': [1]}"
        assert others.copy() == {"a": 1, "b": 2, "c": 3}
    assert shared.copy() == others.copy() == {"a": 11, "c": 3, "new": [1]}
    assert type(shared) is SharedDict


def test_a_block_that_raises_has_done_nothing() -> None:
    shared = SharedDict(a=1)
    with pytest.raises(ZeroDivisionError), shared.transaction():
        shared["a"] = 2
        shared.clear()
        raise ZeroDivisionError
    assert shared.copy() == {"a": 1}
    with pytest.raises(TypeError), shared.transaction():
        shared["a"] = 2
        shared["b"] = threading.Lock()
    assert shared.copy() == {"a": 1}
    with shared.transaction():
        shared["a"] = 3
    assert shared.copy() == {"a": 3}


def test_all_methods_do_in_a_block_what_they_do_outside() -> None:
    def use(d: Any) -> list[Any]:
        found: list[Any] = [d.pop("a"), d.pop("none", 5), d.setdefault("b", 7), d.setdefault("x", [1])]
        d.update({"c": 1, (1, 2): "tuple"}, d=4)
        d["c"] = 8
        d["a"] = 9  # comes last: it was gone
        del d["d"]
        found += [list(d), list(reversed(d)), d.keys(), d.items(), d.values(), len(d), d == 3, "a" in d, 1.0 in d]
        found += [
            d.popitem(),
            d.add("count", 2),
            d.add("count"),
            d.compare_and_set("b", 2, 6),
            d.compare_and_set("b", 2, 6),
        ]
        for bad in (lambda: d["none"], lambda: d.pop("none"), lambda: d.__delitem__("none")):
            with pytest.raises(KeyError):
                bad()
        with pytest.raises(TypeError):
            d[[]] = 1
        d |= {"or": 1}
        found.append(d.copy())
        d["x"].append(2)  # a copy
        return found

    outside, inside = SharedDict(a=1, b=2, c=3), SharedDict(a=1, b=2, c=3)
    expected = use(outside)
    with inside.transaction():
        assert use(inside) == expected
    assert inside.items() == outside.items()
    with inside.transaction():
        inside.clear()
        assert len(inside) == 0
        with pytest.raises(KeyError):
            inside.popitem()
        inside["again"] = 1
    assert inside.copy() == {"again": 1}


def test_values_are_taken_as_they_are_when_they_are_set() -> None:
    shared, value = SharedDict(), [1]
    with shared.transaction():
        shared["a"] = value
        value.append(2)
        shared["a"].append(3)
    assert shared["a"] == [1]


@pytest.mark.parametrize("change", [lambda d: d.update(a=2), lambda d: d.pop("a"), lambda d: d.update(missing=1)])
def test_what_was_read_and_is_changed_by_others_is_a_conflict(change: Any) -> None:
    shared = SharedDict(a=1, b=2)
    with pytest.raises(TransactionConflictError), shared.transaction():
        shared["b"] = shared["a"] + shared.get("missing", 0)
        change(other(shared))
    assert shared["b"] == 2
    with pytest.raises(TransactionConflictError), shared.transaction():
        shared["b"] = len(shared)
        other(shared)["further"] = 1
    with shared.transaction():
        shared["b"] = shared["b"] + 1
        other(shared)["unread"] = 1
    assert (shared["b"], shared["unread"]) == (3, 1)


def test_keys_that_are_compared_one_by_one_are_looked_after_too() -> None:
    key, further = frozenset("ab"), frozenset("cd")
    shared = SharedDict({key: 1})
    with shared.transaction():
        shared[key] += 1
        shared[further] = 5
    with pytest.raises(TransactionConflictError), shared.transaction():
        shared[key] = shared[frozenset("ba")] + 1
        other(shared)[key] = 9
    with pytest.raises(TransactionConflictError), shared.transaction():
        shared["x"] = frozenset("xy") in shared
        other(shared)[frozenset("xy")] = 9
    assert shared.copy() == {key: 9, further: 5, frozenset("xy"): 9}


def test_a_thread_has_one_transaction_at_a_time_and_other_threads_none_of_it() -> None:
    shared = SharedDict(a=1)
    seen = []
    with shared.transaction():
        shared["a"] = 2
        thread = threading.Thread(target=lambda: seen.append(shared["a"]))
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="already"), shared.transaction():
            pass
    assert seen == [1] and shared["a"] == 2


@pytest.mark.parametrize("method", METHODS)
def test_transactions_of_processes_and_threads_go_one_after_another(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + """
def work(shared):
    for _ in range(200):
        with shared.transaction():
            shared["a"], shared["b"] = shared["a"] - 1, [shared["b"][0] + 1]
def in_threads(shared):
    threads = [threading.Thread(target=work, args=(shared,)) for _ in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""
    )
    main = """
shared = SharedDict(a=800, b=[0])
processes = [context.Process(target=in_threads, args=(shared,)) for _ in range(2)]
for process in processes: process.start()
while any(process.is_alive() for process in processes):
    items = shared.copy()
    assert items["a"] + items["b"][0] == 800, items
for process in processes: process.join()
print([process.exitcode for process in processes], shared)
"""
    assert prints(tmp_path, definitions, main, method) == "[0, 0] {'a': 0, 'b': [800]}\n"


@pytest.mark.parametrize("method", METHODS)
def test_who_is_killed_in_a_transaction_has_done_nothing_and_keeps_nobody(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + """
def die(shared):
    with shared.transaction():
        shared["a"] = 2
        os.kill(os.getpid(), signal.SIGKILL)
def in_a_fork(shared): shared["child"] = True; return 0
"""
    )
    main = """
shared = SharedDict(a=1)
process = context.Process(target=die, args=(shared,))
process.start(); process.join()
with shared.transaction():
    shared["b"] = shared["a"]
    assert end_of(forked(in_a_fork, shared)) == 0
print(process.exitcode, shared)
"""
    assert prints(tmp_path, definitions, main, method) == "-9 {'a': 1, 'child': True, 'b': 1}\n"
