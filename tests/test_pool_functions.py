"""What many tasks call, when it has no name: pickled once, sent once, and to each task as if it had come with it."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable, Iterable
from multiprocessing import connection
from typing import Any

import allcores
import numpy
import pytest
from allcores import _core
from allcores._pool.tasks import Once, Packing
from running import METHODS

MEGABYTE = 1 << 20
Map = Callable[[Any, Iterable[Any]], list[Any]]
WAYS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "map": lambda pool, function, items: pool.map(function, items, chunksize=1),
    "map without chunksize": lambda pool, function, items: pool.map(function, list(items)),
    "starmap": lambda pool, function, items: pool.starmap(function, [(item,) for item in items], chunksize=1),
    "map_async": lambda pool, function, items: pool.map_async(function, items, 2).get(60),
    "imap": lambda pool, function, items: list(pool.imap(function, items)),
    "imap_unordered": lambda pool, function, items: sorted(pool.imap_unordered(function, items)),
    "imap in chunks of an iterator": lambda pool, function, items: list(pool.imap(function, iter(items), 2)),
}


class Counted:
    """Counts how often it was pickled here, and called since it was made."""

    def __init__(self, size: int) -> None:
        self.bytes = bytes(size)
        self.pickles = self.calls = 0

    def __reduce__(self) -> Any:
        self.pickles += 1
        return Counted, (len(self.bytes),)

    def __call__(self, number: int) -> tuple[int, int]:
        self.calls += 1
        return number, self.calls

    def method(self, number: int) -> tuple[int, int]:
        return self(number)


def call(counted: Counted, number: int) -> tuple[int, int]:
    return counted(number)


FORMS: dict[str, Callable[[Counted], Any]] = {
    "partial": lambda counted: functools.partial(call, counted),
    "method": lambda counted: counted.method,
    "object": lambda counted: counted,
}


@pytest.mark.parametrize("size", [10, MEGABYTE])
@pytest.mark.parametrize("form", FORMS)
def test_it_is_pickled_once_and_each_part_has_it_as_it_was(form: str, size: int) -> None:
    with allcores.Pool(2) as pool:
        for way, do in WAYS.items():
            counted = Counted(size)
            results = do(pool, FORMS[form](counted), range(20))
            assert [number for number, _ in results] == list(range(20)), way
            assert counted.pickles == 1, way
            if way in ("map", "starmap", "imap", "imap_unordered"):  # parts of one item
                assert {calls for _, calls in results} == {1}, way


@pytest.mark.parametrize("size", [10, MEGABYTE])
@pytest.mark.parametrize("form", FORMS)
def test_a_worker_of_allcores_map_has_one_for_all_of_its_tasks(form: str, size: int) -> None:
    counted = Counted(size)
    results = list(allcores.map(FORMS[form](counted), range(20), workers=1))
    assert results == [(number, number + 1) for number in range(20)]
    assert counted.pickles == 1


def element(array: Any, index: int) -> float:
    array[index] += 1
    return float(array[index])


@pytest.mark.parametrize("method", METHODS)
def test_a_large_array_arrives_whole_and_each_part_may_change_it(method: str) -> None:
    array = numpy.arange(MEGABYTE // 8, dtype=float)
    function = functools.partial(element, array)
    expected = [index + 1.0 for index in range(10)]
    with allcores.get_context(method).Pool(2) as pool:
        assert pool.map(function, range(10), chunksize=1) == expected
        assert pool.map(function, [3] * 10, chunksize=1) == [4.0] * 10
        assert list(pool.imap(lambda index: float(array[index]), range(10))) == list(range(10))
    assert list(allcores.map(function, range(10), workers=2, start_method=method)) == expected
    assert array[0] == 0


def test_the_memory_of_a_long_one_is_free_when_all_is_done() -> None:
    packing = Packing("warm")

    class Owner:
        _sent_once: Any = None

    owner = Owner()
    head = packing.head(functools.partial(element, numpy.ones(MEGABYTE)), owner)
    assert type(head) is bytes and len(head) < 500
    address = owner._sent_once._address()
    _core.Memory(0, address, False)
    owner._sent_once = None
    with pytest.raises(allcores.HandleError):
        _core.Memory(0, address, False)
    with allcores.Pool(2) as pool:
        result = pool.map_async(functools.partial(element, numpy.ones(MEGABYTE)), range(3))
        result.get(60)
        assert result._sent_once is None


def send_pid(sender: Any, number: int) -> int:
    sender.send(os.getpid())
    return number


def test_what_can_be_received_once_is_pickled_for_each_task() -> None:
    receiver, sender = connection.Pipe(duplex=False)  # the standard library's: its descriptor goes to who asks first
    with allcores.get_context("spawn").Pool(2) as pool:
        assert pool.map(functools.partial(send_pid, sender), range(6), chunksize=1) == list(range(6))
    assert {receiver.recv() for _ in range(6)}
    ours, theirs = socket.socketpair()
    with allcores.get_context("spawn").Pool(2) as pool:
        assert pool.map(functools.partial(send_byte, theirs), range(6), chunksize=1) == list(range(6))
    assert len(ours.recv(100)) == 6
    for end in (ours, theirs, receiver, sender):
        end.close()


def send_byte(end: socket.socket, number: int) -> int:
    end.send(b".")
    return number


def test_one_that_cannot_be_pickled_is_an_error_of_the_call() -> None:
    with allcores.Pool(2) as pool, open(os.devnull) as file:
        function = functools.partial(call, file)
        for do in (pool.map, pool.imap, pool.starmap_async):
            with pytest.raises(TypeError, match="TextIOWrapper"):
                do(function, [(1,)])
        assert pool.map(abs, [-1]) == [1]
        with pytest.raises(TypeError, match="TextIOWrapper"):
            list(allcores.map(function, [1]))


def test_it_travels_as_a_few_bytes() -> None:
    once = Once(None, (1, 2, 3), False)
    make, arguments = once.__reduce__()
    assert make(*arguments).is_kept is False
