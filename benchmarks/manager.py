"""What managers give: dicts, lists, namespaces in shared memory, classes in a server, against the standard library's.

    python benchmarks/manager.py            seven rounds of a third of a second for each figure and contestant
    python benchmarks/manager.py --quick    three short rounds: whether it works, not how fast it is

Each ratio is theirs / ours: above 1, ours is faster; beside it stands what we owe. Where UltraDict is installed
(``pip install UltraDict``; it is no dependency) it takes part. Figures of ours alone: what two processes get at once
against one, what memory a dict of many keys and a list of many items have, and how long the longest set and the longest
append take while they grow.
"""

from __future__ import annotations

import dataclasses
import datetime
import gc
import importlib
import multiprocessing.managers
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import allcores
from allcores import managers
from allcores._manager.shared_dict import SharedDict
from allcores._manager.shared_list import SharedList
from harness import calibrated, machine, measure, together

try:
    UltraDict: Any = importlib.import_module("UltraDict").UltraDict
except ImportError:
    UltraDict = None

QUICK = "--quick" in sys.argv
ROUNDS = 3 if QUICK else 7
ROUND_SECONDS = 0.03 if QUICK else 0.3
MANY = 20_000 if QUICK else 1_000_000
FORK: Any = multiprocessing.get_context("fork")


@dataclasses.dataclass
class Record:
    """A value that whoever gets it may change."""

    number: int
    text: str
    share: float


PAYLOADS: dict[str, tuple[Any, float]] = {
    "int": (7, 100),
    "str": ("some text", 100),
    "bytes": (b"some bytes", 100),
    "dict of a list": ({"key": [1, 2.5]}, 30),
    "pickled": (datetime.date(2026, 1, 1), 30),
    "dataclass": (Record(7, "some text", 2.5), 30),
}
"""What is stored, and how many times the standard dict's speed we owe."""

LIST_OWED = 40
"""How many times the standard list's speed we owe."""

NAMESPACE_OWED = 40
"""How many times the standard namespace's speed we owe."""

Make = Callable[[], Any]
"""Makes a dict, a list or a namespace."""

ValueLoop = Callable[[Any, Make, int], float]
"""Does something so many times with a value and what was made, and returns how long that took, in seconds."""


class Counter:
    """A class to register."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.number = 0

    def add(self, number: int) -> int:
        """Add a number."""
        self.number += number
        return self.number


class OurManager(managers.BaseManager):
    """One of ours that has it."""


class TheirManager(multiprocessing.managers.BaseManager):
    """One of the standard library's that has it."""


for _manager in (OurManager, TheirManager):
    _manager.register("Counter", Counter)


def report_calls() -> None:
    """Measure and print calls of a registered class."""

    def calls(counter: Any, times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            counter.add(1)
        return time.perf_counter() - began

    with OurManager(ctx=FORK) as ours, TheirManager(ctx=FORK) as theirs:
        counters = {"ours": ours.Counter(), "theirs": theirs.Counter()}  # type: ignore[attr-defined]
        found = measure({name: calibrated(calls, counter, ROUND_SECONDS) for name, counter in counters.items()}, ROUNDS)
    us, them = found.median("ours"), found.median("theirs")
    print(f"{'registered class: call':30}{us * 1e6:9.3f}{them * 1e6:11.2f}{them / us:9.1f}  (owed 2)", flush=True)


def set_all(shared: Any, value: Any, times: int) -> None:
    """Set a key so many times."""
    for _ in range(times):
        shared["key"] = value


def get_all(shared: Any, times: int) -> None:
    """Get a key so many times."""
    for _ in range(times):
        shared["key"]


def sets(value: Any, make: Make, times: int) -> float:
    """Return the seconds that so many sets take."""
    shared = make()
    began = time.perf_counter()
    set_all(shared, value, times)
    return time.perf_counter() - began


def gets(value: Any, make: Make, times: int) -> float:
    """Return the seconds that so many gets take."""
    shared = make()
    shared["key"] = value
    began = time.perf_counter()
    get_all(shared, times)
    return time.perf_counter() - began


def turns(value: Any, make: Make, times: int) -> float:
    """Return the seconds that so many gets take, each behind a set of another key: nothing can be kept of the dict."""
    shared = make()
    shared["key"] = value
    began = time.perf_counter()
    for number in range(times):
        shared["other"] = number
        shared["key"]
    return time.perf_counter() - began


def at_once(loop: Callable[[Any, int], None], processes: int, value: Any, make: Make, times: int) -> float:
    """Return the seconds in which each of some processes does so many."""
    shared = make()
    shared["key"] = value
    return together(FORK, lambda: None, *[partial(loop, shared, times)] * processes)


def report_payload(title: str, value: Any, owed: float, makers: dict[str, Make]) -> None:
    """Measure and print sets and gets of a value, from one process and from two."""
    loops: dict[str, Callable[[Make, int], float]] = {
        "set": partial(sets, value),
        "get": partial(gets, value),
        "set other, get": partial(turns, value),
        "set, two": partial(at_once, partial(_set, value), 2, value),
        "get, two": partial(at_once, get_all, 2, value),
        "get, one": partial(at_once, get_all, 1, value),
    }
    contestants = {
        f"{loop} {maker}": calibrated(loops[loop], make, ROUND_SECONDS)
        for loop in loops
        for maker, make in makers.items()
        if maker != "ultra" or loop in ("set", "get", "set other, get")
    }
    # A plain dict of each process's own: what two processes get done at once on this machine, just now.
    contestants |= {f"{loop} plain": calibrated(loops[loop], dict, ROUND_SECONDS) for loop in ("get, two", "get, one")}
    found = measure(contestants, ROUNDS)
    for loop in ("set", "get", "set other, get", "set, two", "get, two"):
        ours, theirs = found.median(f"{loop} ours"), found.median(f"{loop} theirs")
        line = f"{title + ': ' + loop:30}{ours * 1e6:9.3f}{theirs * 1e6:11.2f}{theirs / ours:9.0f}  (owed {owed:g})"
        if f"{loop} ultra" in found.seconds:
            line += f"  UltraDict / ours {found.median(f'{loop} ultra') / ours:.2f}"
        if loop == "get, two":
            both = {
                name: 2 * found.median(f"get, one {name}") / found.median(f"{loop} {name}")
                for name in ("ours", "plain")
            }
            line += f"  two get {both['ours']:.2f} of one's (owed 1.6), of plain dicts {both['plain']:.2f}"
        print(line, flush=True)


def _set(value: Any, shared: Any, times: int) -> None:
    set_all(shared, value, times)


def appends(value: Any, make: Make, times: int) -> float:
    """Return the seconds that so many appends take."""
    shared = make()
    began = time.perf_counter()
    for _ in range(times):
        shared.append(value)
    return time.perf_counter() - began


def indexes(value: Any, make: Make, times: int) -> float:
    """Return the seconds that so many items take to be read."""
    shared = make()
    shared.extend([value] * 100)
    began = time.perf_counter()
    for _ in range(times):
        shared[50]
    return time.perf_counter() - began


def attribute_sets(value: Any, make: Make, times: int) -> float:
    """Return the seconds that so many sets of an attribute take."""
    shared = make()
    began = time.perf_counter()
    for _ in range(times):
        shared.attribute = value
    return time.perf_counter() - began


def attribute_gets(value: Any, make: Make, times: int) -> float:
    """Return the seconds that so many gets of an attribute take."""
    shared = make()
    shared.attribute = value
    began = time.perf_counter()
    for _ in range(times):
        shared.attribute  # noqa: B018  (a get)
    return time.perf_counter() - began


def report_loops(title: str, value: Any, loops: dict[str, ValueLoop], makers: dict[str, Make], owed: float) -> None:
    """Measure and print some loops over a value, from one process."""
    contestants = {
        f"{name} {maker}": calibrated(partial(loop, value), make, ROUND_SECONDS)
        for name, loop in loops.items()
        for maker, make in makers.items()
    }
    found = measure(contestants, ROUNDS)
    for name in loops:
        ours, theirs = found.median(f"{name} ours"), found.median(f"{name} theirs")
        line = f"{title + ': ' + name:30}{ours * 1e6:9.3f}{theirs * 1e6:11.2f}{theirs / ours:9.0f}"
        print(f"{line}  (owed {owed:g})", flush=True)


def longest_of(does: Callable[[int], object]) -> float:
    """Do something with many numbers, and return the longest time that it took with one."""
    longest = 0.0
    gc.collect()
    gc.disable()
    for number in range(MANY):
        began = time.perf_counter()
        does(number)
        longest = max(longest, time.perf_counter() - began)
    gc.enable()
    return longest


def arena_bytes() -> int:
    """Return how much memory the arena has."""
    descriptor = allcores._core.arena_descriptor()
    assert descriptor is not None
    return os.fstat(descriptor).st_blocks * 512


def report_many_items() -> None:
    """Print what lists of many items cost, and the longest append. First of all, while no freed memory is kept."""
    lists = []
    kinds: dict[str, Callable[[int], Any]] = {"ints": int, "floats": float, "texts of 20 bytes": "{:020}".format}
    for title, kind in kinds.items():
        lists.append(shared := SharedList())
        before = arena_bytes()
        longest = longest_of(lambda number, shared=shared, kind=kind: shared.append(kind(number)))  # type: ignore[misc]
        bytes_per_item = (arena_bytes() - before) / MANY
        print(
            f"list of {MANY:,} {title}: {bytes_per_item:.1f} bytes an item; "
            f"longest append {longest * 1e3:.2f} ms (owed 10)"
        )


def report_many() -> None:
    """Print what a dict of many keys costs, and the longest set on the way there."""
    allcores._core.sweep_arena()
    blocks = allcores._core.arena_account()[0]
    shared = SharedDict()
    longest = longest_of(lambda number: shared.__setitem__(number, number))
    # Most blocks are pages of 64 KB.
    bytes_per_key = (allcores._core.arena_account()[0] - blocks) * (64 << 10) / MANY
    print(
        f"{MANY:,} ints by ints: {bytes_per_key:.0f} bytes a key, 18 of them key and value (owed 82); "
        f"longest set {longest * 1e3:.2f} ms (owed 10)"
    )
    longest, began = 0.0, time.perf_counter()
    scan = shared._scan()
    while True:
        part = time.perf_counter()
        if scan.next_part() is None:
            break
        longest = max(longest, time.perf_counter() - part)
    print(
        f"iterating over them {time.perf_counter() - began:.2f} s, in parts of {longest * 1e3:.1f} ms at most (owed 10)"
    )


def main() -> int:
    """Measure and print."""
    print(machine() + f", {ROUNDS} rounds of {ROUND_SECONDS} s, children of fork on both sides")
    report_many_items()
    if UltraDict is None:
        print("UltraDict is absent: pip install UltraDict has it take part")
    print(f"\n{'us for each':30}{'ours':>9}{'theirs':>11}{'ratio':>9}")
    with allcores.Manager() as ours, FORK.Manager() as manager:
        makers: dict[str, Make] = {"ours": ours.dict, "theirs": manager.dict}
        if UltraDict is not None:
            makers["ultra"] = UltraDict
        for title, (value, owed) in PAYLOADS.items():
            report_payload(title, value, owed, makers)
        lists: dict[str, Make] = {"ours": SharedList, "theirs": manager.list}
        for title, (value, _) in PAYLOADS.items():
            report_loops(title, value, {"list append": appends, "list index": indexes}, lists, LIST_OWED)
        loops: dict[str, ValueLoop] = {"namespace set": attribute_sets, "namespace get": attribute_gets}
        namespaces: dict[str, Make] = {"ours": ours.Namespace, "theirs": manager.Namespace}
        for title, (value, _) in PAYLOADS.items():
            report_loops(title, value, loops, namespaces, NAMESPACE_OWED)
    report_calls()
    report_many()
    return 0


if __name__ == "__main__":
    sys.exit(main())
