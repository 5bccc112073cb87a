"""Queues, ours against the standard library's, between children of fork.

    python benchmarks/queues.py            seven rounds of a third of a second for each figure and contestant
    python benchmarks/queues.py --quick    three short rounds: whether it works, not how fast it is

Each ratio is theirs / ours: above 1, ours is faster; beside it stands what we owe. Where faster-fifo is installed
(``pip install faster-fifo``; it is no dependency) it takes part. One figure is of ours alone: what memory a queue has
that nobody gets from.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.reduction import ForkingPickler
from typing import Any

import allcores
import numpy
from harness import Contest, calibrated, machine, measure, together

try:
    faster_fifo: Any = importlib.import_module("faster_fifo")
except ImportError:
    faster_fifo = None

QUICK = "--quick" in sys.argv
ROUNDS = 3 if QUICK else 7
ROUND_SECONDS = 0.03 if QUICK else 0.3
HELD_MESSAGES = 10_000 if QUICK else 1_000_000
FIFO_BYTES = 64 << 20
"""faster-fifo's queues have a fixed size; this one is seldom full."""
ARRAYS_AT_ONCE = 4
"""What of large arrays may be in a queue, or the producer's memory would be what is measured."""
BATCH_MESSAGES = 1000
OURS: Any = allcores.get_context("fork")
FORK: Any = multiprocessing.get_context("fork")

Make = Callable[[], Any]
"""Makes a queue."""

MAKERS: dict[str, Make] = {"ours": OURS.Queue, "theirs": FORK.Queue}
if faster_fifo is not None:
    MAKERS["faster-fifo"] = partial(faster_fifo.Queue, FIFO_BYTES)

PAYLOADS: dict[str, tuple[Any, float | None]] = {
    "int": (7, 25),
    "small tuple": (("key", 7, 1.5), 20),
    "bytes, 1 KB": (bytes(1024), 20),
    "small dict": ({"key": 7, "value": 1.5}, 7),
    "small dict, pickled": ({"key": 7, "value": [1.5]}, 7),
    "bytes, 100 B": (bytes(100), None),
}
"""What is sent, and how many times Queue's speed we owe."""


def put_all(queue: Any, message: Any, times: int) -> None:
    """Put a message so many times."""
    put = queue.put
    for _ in range(times):
        put(message)


def get_all(queue: Any, times: int) -> None:
    """Get so many messages."""
    get = queue.get
    for _ in range(times):
        get()


def transfers(message: Any, producers: int, consumers: int, make: Make, times: int) -> float:
    """Bring messages from some children to others; return the seconds until all were got."""
    times = max(times, producers * consumers)
    queue = make()
    putters = [partial(put_all, queue, message, times // producers)] * producers
    # Each gets its part, the first one what is left over, too.
    put = times // producers * producers
    parts = [put // consumers] * consumers
    parts[0] += put - sum(parts)
    getters = [partial(get_all, queue, part) for part in parts]
    return together(FORK, lambda: None, *getters, *putters)


def put_batches(queue: Any, times: int) -> None:
    """Put so many ints, a batch at a time."""
    for start in range(0, times, BATCH_MESSAGES):
        queue.put_many(list(range(start, min(times, start + BATCH_MESSAGES))))


def get_batches(queue: Any, times: int) -> None:
    """Get so many messages, as many at a time as there are, up to a batch."""
    while times > 0:
        times -= len(queue.get_many(BATCH_MESSAGES))


def batches(make: Make, times: int) -> float:
    """Bring ints from one child to another in batches; return the seconds until all were got."""
    queue = make()
    return together(FORK, lambda: None, partial(get_batches, queue, times), partial(put_batches, queue, times))


def report_batches() -> None:
    """Measure and print batches of ints, against one by one and against faster-fifo's batches."""
    makers: dict[str, Make] = {"ours": OURS.Queue}
    if faster_fifo is not None:
        makers["faster-fifo"] = MAKERS["faster-fifo"]
    contestants = {name: calibrated(batches, make, ROUND_SECONDS) for name, make in makers.items()}
    contestants["one by one"] = calibrated(partial(transfers, 7, 1, 1), OURS.Queue, ROUND_SECONDS)
    found = measure(contestants, ROUNDS)
    ours = found.median("ours")
    line = f"int, put_many, get_many {1e-3 / ours:12,.0f}   one by one / ours {found.median('one by one') / ours:.1f}"
    if faster_fifo is not None:
        line += f"   faster-fifo's / ours {found.median('faster-fifo') / ours:.1f}{owing(2)}"
    print(line, flush=True)


def round_trips(make: Make, times: int) -> float:
    """Send an int to another process and back, by two queues."""
    there, back = make(), make()

    def first() -> None:
        for _ in range(times):
            there.put(1)
            back.get()

    def second() -> None:
        for _ in range(times):
            there.get()
            back.put(1)

    return together(FORK, lambda: None, first, second)


def burn() -> None:
    """Keep a CPU busy."""
    while True:
        pass


def contest(loops: dict[str, Callable[[Make, int], float]], makers: dict[str, Make]) -> Contest:
    """Measure each loop with each maker, interleaved; a contestant's name is the loop's and the maker's."""
    contestants = {
        f"{loop} {maker}": calibrated(loops[loop], makers[maker], ROUND_SECONDS) for loop in loops for maker in makers
    }
    return measure(contestants, ROUNDS)


def owing(owed: float | None) -> str:
    """Say what is owed."""
    return "" if owed is None else f"  (owed {owed:g})"


def report_transfers(title: str, message: Any, owed: float | None) -> None:
    """Measure and print a line for one producer and one consumer."""
    found = contest({"": partial(transfers, message, 1, 1)}, MAKERS)
    ours, theirs = found.median(" ours"), found.median(" theirs")
    line = f"{title:24}{1e-3 / ours:12,.0f}{1e-3 / theirs:12,.0f}{theirs / ours:9.1f}{owing(owed):12}"
    if faster_fifo is not None:
        line += f"  faster-fifo / ours {found.median(' faster-fifo') / ours:.1f}"
    print(line, flush=True)


def report_crowds() -> None:
    """Measure and print two producers or two consumers, against one of each and against Queue."""
    shapes = {"1->1": (1, 1), "2->1": (2, 1), "1->2": (1, 2)}
    found = contest({name: partial(transfers, 7, *shape) for name, shape in shapes.items()}, MAKERS)
    for name in ("2->1", "1->2"):
        ours, theirs = found.median(f"{name} ours"), found.median(f"{name} theirs")
        print(
            f"int, {name:19}{1e-3 / ours:12,.0f}{1e-3 / theirs:12,.0f}{theirs / ours:9.1f}{owing(15):12}"
            f"  {found.median('1->1 ours') / ours:.2f} of 1->1{owing(0.7)}",
            flush=True,
        )


def report_round_trips(title: str, owed: dict[str, float]) -> None:
    """Measure and print round trips, against Queue and SimpleQueue."""
    makers = {**MAKERS, "Queue": FORK.Queue, "SimpleQueue": FORK.SimpleQueue}
    del makers["theirs"]
    contestants = {name: calibrated(round_trips, make, ROUND_SECONDS) for name, make in makers.items()}
    found = measure(contestants, ROUNDS)
    ours = found.median("ours")
    peers = (f"{name} {found.median(name) / ours:.1f}{owing(owed.get(name))}" for name in makers if name != "ours")
    print(f"{title:32}{ours * 1e6:9.1f} us   " + "   ".join(peers), flush=True)


def array_copies(array: Any, _context: Any, times: int) -> float:
    """Copy an array to memory that is there already."""
    there = numpy.zeros_like(array)
    began = time.perf_counter()
    for _ in range(times):
        numpy.copyto(there, array)
    return time.perf_counter() - began


def report_arrays() -> None:
    """Measure and print arrays of 8 MB, one to one; those that are shared are not copied at all."""
    array = numpy.ones(1_000_000)
    shared = allcores.share(array)
    makers = {"ours": partial(OURS.Queue, ARRAYS_AT_ONCE), "theirs": partial(FORK.Queue, ARRAYS_AT_ONCE)}
    contestants = {
        name: calibrated(partial(transfers, array, 1, 1), make, ROUND_SECONDS) for name, make in makers.items()
    }
    contestants["shared"] = calibrated(partial(transfers, shared, 1, 1), makers["ours"], ROUND_SECONDS)
    contestants["memcpy"] = calibrated(partial(array_copies, array), None, ROUND_SECONDS)
    found = measure(contestants, ROUNDS)
    ours, theirs, handles, copy = (found.median(name) for name in ("ours", "theirs", "shared", "memcpy"))
    rates = "".join(f" {name} {array.nbytes / found.median(name) / 1e9:.2f}" for name in contestants)
    print(
        f"\n8 MB float64 arrays, GB/s:{rates}; ratio to Queue {theirs / ours:.1f}{owing(20)}, "
        f"to memcpy {copy / ours:.2f}{owing(0.6)}, shared to Queue {theirs / handles:.0f}{owing(100)}",
        flush=True,
    )


def arena_bytes() -> int:
    """Return what memory the session's arena has, in bytes."""
    descriptor = allcores._core.arena_descriptor()
    assert descriptor is not None
    return os.fstat(descriptor).st_blocks * 512


def report_memory() -> None:
    """Print what memory a queue has that nobody gets from, and what of it is given back."""
    queue, message = OURS.Queue(), bytes(100)
    queue.put(message)
    queue.get()
    gc.collect()
    before, pickled = arena_bytes(), HELD_MESSAGES * len(ForkingPickler.dumps(message))
    put_all(queue, message, HELD_MESSAGES)
    held = arena_bytes() - before
    get_all(queue, HELD_MESSAGES)
    left = arena_bytes() - before
    print(
        f"{HELD_MESSAGES:,} messages of {len(message)} bytes before the first get: {held / 1e6:.1f} MB, "
        f"{held / pickled:.2f} of the pickles{owing(1.3)}; {100 * (1 - left / held):.1f} % given back when all are got",
        flush=True,
    )


def main() -> int:
    """Measure and print."""
    print(machine() + f", {ROUNDS} rounds of {ROUND_SECONDS} s, children of fork on both sides")
    if faster_fifo is None:
        print("faster-fifo is absent: pip install faster-fifo has it take part")
    print(f"\n{'1000 messages/s':24}{'ours':>12}{'theirs':>12}{'ratio':>9}")
    for title, (message, owed) in PAYLOADS.items():
        report_transfers(title, message, owed)
    report_crowds()
    report_batches()
    print()
    report_round_trips("int, there and back", {"Queue": 6, "SimpleQueue": 3})
    burners = [FORK.Process(target=burn, daemon=True) for _ in range(2)]
    for burner in burners:
        burner.start()
    report_round_trips("the same beside two CPU burners", {})
    for burner in burners:
        burner.kill()
        burner.join()
    report_arrays()
    report_memory()
    return 0


if __name__ == "__main__":
    sys.exit(main())
