"""The shared list against Python's own: items, methods, slices, order, memory."""

import copy
import datetime
import gc
import pickle
import random
import threading
from collections.abc import Callable
from multiprocessing import managers
from typing import Any

import numpy
import pytest
from allcores import _core
from allcores._manager.shared_list import SharedList

ITEMS: list[Any] = [
    None,
    True,
    0,
    -1,
    2**54,
    -(2**55),
    2**55,
    2**63 - 1,
    2**64,
    0.0,
    1.5,
    float("inf"),
    "",
    "seven b",
    "eight by",
    "naïve ☃",
    "\ud800",
    b"",
    b"bytes",
    b"\0" * 9,
    "t" * 4000,
    b"b" * 100_000,
    (),
    (1, "a", None),
    [1, [2]],
    {"a": 1},
    {"a": [1]},
    {1, 2},
    bytearray(b"x" * 100_000),
    datetime.date(2020, 1, 1),
    list(range(3000)),
]


def name(item: Any) -> str:
    return f"{type(item).__name__} {str(item)[:20]!a}"


@pytest.mark.parametrize("item", ITEMS, ids=name)
def test_an_item_comes_back_as_a_copy_of_its_own(item: Any) -> None:
    shared = SharedList()
    for before in (1, "x" * 50, b"y" * 100_000):
        shared.append(before)
        shared.append(before)
        shared[0] = item
        found = shared[0]
        assert found == item and type(found) is type(item)
        assert shared[:] == [item, before]
        assert shared.index(item) == 0 and item in shared
        assert shared.pop() == before
        assert shared.pop(0) == item
    shared.insert(0, item)
    if isinstance(item, list):
        found.append("mine")
        assert shared[0] == item
    shared *= 3
    assert shared.copy() == [item] * 3
    shared.remove(item)
    assert shared.count(item) == 2


def test_a_list_is_made_of_what_a_list_is_made_of() -> None:
    assert SharedList().copy() == []
    assert SharedList("abc").copy() == ["a", "b", "c"]
    assert SharedList(numpy.arange(3)).copy() == [0, 1, 2]
    assert SharedList(SharedList(ITEMS)).copy() == ITEMS
    with pytest.raises(TypeError):
        SharedList(5)  # type: ignore[arg-type]


def test_methods_do_what_those_of_a_list_do() -> None:
    shared = SharedList([3, 1, 2])
    shared.extend(number for number in (5, 4))
    shared += (6,)
    assert isinstance(shared, SharedList)
    assert shared.copy() == copy.deepcopy(shared) == shared._getvalue() == [3, 1, 2, 5, 4, 6]
    seven = [7]
    assert shared + seven == [3, 1, 2, 5, 4, 6, 7]
    assert seven + shared == [7, 3, 1, 2, 5, 4, 6]
    assert shared + shared == shared * 2 == 2 * shared == 2 * [3, 1, 2, 5, 4, 6]
    shared.sort()
    assert shared[:] == [1, 2, 3, 4, 5, 6]
    shared.sort(key=lambda item: (item % 2, item), reverse=True)
    assert shared[:] == [5, 3, 1, 6, 4, 2]
    shared.reverse()
    assert list(shared) == [2, 4, 6, 1, 3, 5]
    assert list(reversed(shared)) == [5, 3, 1, 6, 4, 2]
    assert (shared.index(6), shared.index(6, 1), shared.index(6, -5, 3)) == (2, 2, 2)
    for bounds in ((3,), (0, 2), (-2,), (0, -4)):
        with pytest.raises(ValueError, match="6 is not in list"):
            shared.index(6, *bounds)
    with pytest.raises(ValueError, match="not in list"):
        shared.remove(9)
    assert (shared.count(6), shared.count(9), 9 in shared) == (1, 0, False)
    assert str(shared) == str(shared.copy())
    assert repr(shared).startswith("<ListProxy object, typeid 'list' at 0x")
    assert repr(SharedList.named("tasks")).startswith("<ListProxy 'tasks' object")
    assert shared == shared and shared != SharedList(shared), "as the standard library's: itself, not what is in it"
    shared *= 0
    assert not shared
    shared *= 5
    assert shared.copy() == []


def test_what_is_sorted_keeps_its_order_where_it_is_equal() -> None:
    pairs = [(number % 7, number) for number in range(3000)]
    for reverse in (False, True):
        shared, own = SharedList(pairs), list(pairs)
        shared.sort(key=lambda pair: pair[0], reverse=reverse)
        own.sort(key=lambda pair: pair[0], reverse=reverse)
        assert shared.copy() == own


def test_a_sort_begins_again_when_the_items_change_meanwhile() -> None:
    shared, asked = SharedList([3, 1, 2]), list[int]()

    def key(item: int) -> int:
        asked.append(item)
        if len(asked) == 2:
            shared.append(0)
        return item

    shared.sort(key=key)
    assert shared[:] == [0, 1, 2, 3]
    assert asked == [3, 1, 2, 3, 1, 2, 0]
    with pytest.raises(TypeError):
        SharedList([1, "a"]).sort()


def test_an_order_that_is_none_changes_nothing() -> None:
    shared = SharedList("abc")
    for order in ([], [0, 1], [0, 1, 1], [0, 1, 3], [0, 1, 2, 2]):
        version, _ = shared._snapshot()
        with pytest.raises(ValueError, match="no order"):
            shared._arrange(version, order)
    assert shared[:] == ["a", "b", "c"]


def test_errors_are_those_of_a_list() -> None:
    shared, own = SharedList([1, 2, 3]), [1, 2, 3]
    calls: list[Callable[[Any], object]] = [
        lambda it: it[3],
        lambda it: it[-4],
        lambda it: it[2**70],
        lambda it: it["a"],
        lambda it: it[1.0],
        lambda it: it[::0],
        lambda it: it["a":],
        lambda it: it.__setitem__(3, 1),
        lambda it: it.__setitem__("a", 1),
        lambda it: it.__setitem__(slice(0, 1), 5),
        lambda it: it.__setitem__(slice(None, None, 2), [1]),
        lambda it: it.__delitem__(-4),
        lambda it: it.pop(3),
        lambda it: it.pop("a"),
        lambda it: it.extend(5),
        lambda it: it.insert("a", 1),
        lambda it: it.index(1, "a"),
        lambda it: it + 1,
        lambda it: it * 1.5,
        lambda it: it.sort(key=lambda item: item.missing),
        lambda it: [].pop() if isinstance(it, list) else SharedList().pop(),
    ]
    for call in calls:
        raised = []
        for it in (shared, own):
            with pytest.raises(Exception) as error:
                call(it)
            raised.append(error.type)
        assert raised[0] is raised[1], raised
    assert shared.copy() == own == [1, 2, 3]


def test_what_cannot_be_pickled_is_an_error_of_that_call_and_changes_nothing() -> None:
    shared = SharedList([1, 2])
    for call in (
        lambda: shared.append(threading.Lock()),
        lambda: shared.extend([3, threading.Lock()]),
        lambda: shared.insert(0, threading.Lock()),
        lambda: shared.__setitem__(0, threading.Lock()),
        lambda: shared.__setitem__(slice(0, 1), [3, threading.Lock()]),
    ):
        with pytest.raises((TypeError, pickle.PicklingError)):
            call()
    assert shared.copy() == [1, 2]


def test_the_methods_of_the_standard_library_s_proxy_are_there() -> None:
    exposed = {*managers.BaseListProxy._exposed_, *vars(managers.ListProxy)}  # type: ignore[attr-defined]
    assert {method for method in exposed if not hasattr(SharedList, method)} <= {"__imul__", "__weakref__"}


BOUNDS = [None, 0, 1, 3, 7, 8, 50, -1, -3, -8, -50, 2**70, -(2**70)]


@pytest.mark.parametrize("step", [None, 1, 2, 3, 2**70, -1, -2, -5, -(2**70)])
def test_slices_are_those_of_a_list(step: int | None) -> None:
    for start in BOUNDS:
        for stop in BOUNDS:
            which, own = slice(start, stop, step), list(range(8))
            shared = SharedList(own)
            assert shared[which] == own[which], which
            new = [100 + number for number in range(len(own[which]))]
            shared[which] = own[which] = new
            if step in (None, 1):
                shared[which] = own[which] = [200, 201]
                shared[which], own[which] = shared, list(own)  # itself
            del shared[which], own[which]
            assert shared.copy() == own, which


def test_a_list_is_what_its_model_is_whatever_is_done() -> None:
    shared, own, chance = SharedList(), list[Any](), random.Random(5)

    def any_item() -> Any:
        length = chance.choice([0, 5, 30, 300, 3000, 30_000])
        return chance.choice([length, "v" * length, [length] * (length // 10), float(length), (length, None)])

    for step in range(6000):
        item, first = any_item(), chance.randrange(-5, len(own) + 5)
        second = first + chance.randrange(30)
        # Few items, then thousands of them.
        match chance.randrange(7 if len(own) < step else 12):
            case 0 | 1:
                shared.append(item)
                own.append(item)
            case 2:
                shared.insert(first, item)
                own.insert(first, item)
            case 3:
                more = [any_item() for _ in range(chance.randrange(20))]
                shared.extend(more)
                own.extend(more)
            case 4:
                more = [any_item() for _ in range(chance.randrange(40))]
                shared[first:second] = own[first:second] = more
            case 5 if 0 <= first < len(own):
                shared[first] = own[first] = item
            case 6:
                assert shared[first:second] == own[first:second]
                assert (item in shared) == (item in own)
            case 7 | 8 if own:
                assert shared.pop() == own.pop()
            case 9 if 0 <= first < len(own):
                assert shared.pop(first) == own.pop(first)
            case 10:
                del shared[first::-7], own[first::-7]
            case 11 if step % 50 == 0:
                shared.reverse()
                own.reverse()
                shared.sort(key=str)
                own.sort(key=str)
        if step % 300 == 0:
            assert shared.copy() == own
            assert len(shared) == len(own)
    assert list(shared) == own
    assert len(own) > 2000
    _core.arena_account()


def test_a_large_array_is_not_copied_until_it_is_written_to_and_then_for_its_writer_only() -> None:
    shared = SharedList([numpy.arange(1_000_000.0)])
    first, second = shared[0], shared[:][0]
    assert not first.flags.owndata
    assert first.flags.writeable
    first[0] = 7
    assert (second[0], shared[0][0]) == (0, 0)
    shared[0] = 1
    assert (first[:3].tolist(), second[:3].tolist()) == ([7, 1, 2], [0, 1, 2])


def test_iteration_sees_what_is_appended_meanwhile() -> None:
    shared, seen = SharedList(range(10_000)), []
    for item in shared:
        seen.append(item)
        if item == 5:
            shared.append(10_000)
    assert seen == list(range(10_001))


def test_memory_goes_with_items_and_with_the_last_handle() -> None:
    def account() -> tuple[int, ...]:
        gc.collect()
        return _core.arena_account()

    before = account()
    shared = SharedList()
    empty = account()
    for number in range(20_000):
        shared.append("v" * (number % 200))
    array = numpy.arange(100_000)
    shared.append(array)
    shared *= 2
    for _ in range(3000):
        shared.pop(random.randrange(len(shared)))
    while shared:
        shared.pop()
    # A page is kept for moving long slots, and one for references.
    assert account()[0] <= empty[0] + 2
    shared.extend([array] * 3)
    del shared
    assert account() == before


def test_threads_may_do_what_they_like() -> None:
    shared = SharedList([0])

    def work(offset: int) -> None:
        for number in range(1000):
            shared.append(offset + number)
            shared.insert(0, -offset - number)
            shared.remove(offset + number)
            shared.sort(key=abs)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (10_000, 20_000, 30_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = [-offset - number for offset in (10_000, 20_000, 30_000) for number in range(1000)]
    assert sorted(shared) == sorted([0, *wanted])
