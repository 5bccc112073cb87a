"""What a queue does to the objects that it brings."""

from __future__ import annotations

from typing import Any

import allcores
import pytest

DICTS: list[Any] = [
    {},
    {"text": 1, 2: None, (1, "x"): b"bytes", True: 1.5},
    {"nested": {"dict": [1]}},
    {1 << 80: "a long int"},
    {"x" * 20_000: "long"},
    {number: number for number in range(5000)},
]


@pytest.mark.parametrize("message", DICTS, ids=range(len(DICTS)))
def test_a_dict_arrives_equal_and_in_its_order(message: dict[Any, Any]) -> None:
    queue = allcores.Queue()
    queue.put(message)
    got = queue.get()
    assert list(got.items()) == list(message.items())


def test_what_was_one_object_twice_arrives_as_one() -> None:
    queue, item = allcores.Queue(), [1]
    queue.put({"a": item, "b": item})
    got = queue.get()
    assert got["a"] is got["b"]


def test_a_subclass_of_dict_arrives_as_one() -> None:
    from collections import Counter

    queue = allcores.Queue()
    queue.put(Counter("aab"))
    assert type(queue.get()) is Counter
