"""The shared set against Python's own."""

import copy
import operator
import pickle
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from allcores import _core
from allcores._manager.shared_set import SharedSet
from test_shared_dict import KEYS


def test_what_is_put_in_is_there_as_it_was() -> None:
    shared, own = SharedSet(KEYS), set(KEYS)
    assert shared.copy() == own and len(shared) == len(own)
    assert list(shared) == list(dict.fromkeys(KEYS)), "in the order of insertion"
    assert all(key in shared and pickle.loads(pickle.dumps(key)) in shared for key in KEYS)
    for key in KEYS[::2]:
        shared.discard(key)
        own.discard(key)
    assert shared.copy() == own
    shared.add(1.0)
    own.add(1.0)
    assert [type(key) for key in shared if key == 1] == [type(key) for key in own if key == 1]
    assert SharedSet("abc").pop() == "c"
    with pytest.raises(KeyError, match="pop from an empty set"):
        SharedSet().pop()
    with pytest.raises(KeyError):
        shared.remove("missing")
    with pytest.raises(TypeError, match="unhashable"):
        shared.add([])


def test_operators_and_methods_are_those_of_a_set() -> None:
    sets = [set(), {1, 2}, {2, 3, "x"}, {1, 2, 3, "x"}]
    binary = [
        operator.or_,
        operator.and_,
        operator.sub,
        operator.xor,
        operator.le,
        operator.lt,
        operator.ge,
        operator.gt,
    ]
    methods = ["union", "intersection", "difference", "symmetric_difference", "isdisjoint", "issubset", "issuperset"]
    in_place: list[Callable[[Any, Any], Any]] = [operator.ior, operator.iand, operator.isub, operator.ixor]
    for one in sets:
        for other in sets:
            for function in binary:
                wanted = function(one, other)
                found = [function(SharedSet(one), other), function(SharedSet(one), SharedSet(other))]
                assert found == [wanted, wanted], (function, one, other)
                assert function(one, SharedSet(other)) == wanted, (function, one, other)
            for name in methods:
                wanted = getattr(one, name)(other)
                assert getattr(SharedSet(one), name)(list(other)) == wanted, (name, one, other)
                assert getattr(SharedSet(one), name)(SharedSet(other)) == wanted, (name, one, other)
            for function in in_place:
                for its in (other, SharedSet(other)):
                    shared = SharedSet(one)
                    assert function(shared, its) is shared
                    assert shared.copy() == function(set(one), other), (function, one, other)
    shared = SharedSet([1])
    for function in (*binary, *in_place):
        with pytest.raises(TypeError):
            function(shared, [1])
    shared.update("ab", [2], SharedSet("c"))
    shared.difference_update("a", [1])
    shared.intersection_update("bc", {"b", "c", 2})
    assert shared.copy() == copy.deepcopy(shared) == {"b", "c"}
    assert str(shared) in ("{'b', 'c'}", "{'c', 'b'}")
    assert repr(shared).startswith("<SetProxy object, typeid 'set' at 0x")
    assert repr(SharedSet.named("seen")).startswith("<SetProxy 'seen' object")
    assert shared == shared and shared != SharedSet(shared) and {shared: 1}[shared] == 1
    shared.clear()
    assert not shared


def test_a_handle_is_to_the_same_set() -> None:
    shared = SharedSet("a")
    other, copied = pickle.loads(pickle.dumps(shared)), copy.copy(shared)
    copied.add("b")
    other |= {"c"}
    assert shared.copy() == {"a", "b", "c"}
    nested = SharedSet()
    with pytest.raises(TypeError):
        shared.add(threading.Lock())
    nested.add(("a", 1))
    assert ("a", True) in nested


def test_a_set_is_what_its_model_is_whatever_is_done() -> None:
    shared, own, chance = SharedSet(), set[Any](), random.Random(3)
    for step in range(4000):
        key = chance.choice([chance.randrange(200), chance.choice(KEYS)])
        some = {chance.randrange(200) for _ in range(chance.randrange(30))}
        match chance.randrange(8):
            case 0 | 1:
                shared.add(key)
                own.add(key)
            case 2:
                shared.discard(key)
                own.discard(key)
            case 3:
                shared |= some
                own |= some
            case 4:
                shared -= some
                own -= some
            case 5:
                shared ^= some
                own ^= some
            case 6 if step % 20 == 0:
                shared &= some | {key}
                own &= some | {key}
            case _:
                assert (key in shared) == (key in own)
        if step % 200 == 0:
            assert shared.copy() == own
    assert shared.copy() == own
    _core.arena_account()
