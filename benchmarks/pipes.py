"""Pipes, ours against the standard library's, between children of fork.

    python benchmarks/pipes.py            seven rounds of a third of a second for each figure and contestant
    python benchmarks/pipes.py --quick    three short rounds: whether it works, not how fast it is

Each ratio is theirs / ours: above 1, ours is faster; beside it stands what we owe.
"""

from __future__ import annotations

import multiprocessing
import sys
from functools import partial
from typing import Any

import allcores
import numpy
from harness import Contest, calibrated, machine, measure, together

QUICK = "--quick" in sys.argv
ROUNDS = 3 if QUICK else 7
ROUND_SECONDS = 0.03 if QUICK else 0.3
OURS: Any = allcores.get_context("fork")
FORK: Any = multiprocessing.get_context("fork")
CONTEXTS = {"ours": OURS, "theirs": FORK}

PAYLOADS: dict[str, Any] = {
    "int": 7,
    "bytes, 1 KB": bytes(1024),
    "small dict": {"key": 7, "value": 1.5},
    "small dict, pickled": {"key": 7, "value": [1.5]},
}
"""What is sent one way."""


def one_way(message: Any, as_bytes: bool, context: Any, times: int) -> float:
    """Bring messages from one child to another; return the seconds until all were received."""
    receiver, sender = context.Pipe(duplex=False)
    receive = receiver.recv_bytes if as_bytes else receiver.recv
    send = sender.send_bytes if as_bytes else sender.send

    def receive_all() -> None:
        for _ in range(times):
            receive()

    def send_all() -> None:
        for _ in range(times):
            send(message)

    return together(FORK, lambda: None, receive_all, send_all)


def round_trips(message: Any, context: Any, times: int) -> float:
    """Send a message to another child and back."""
    here, there = context.Pipe()

    def first() -> None:
        for _ in range(times):
            here.send(message)
            here.recv()

    def second() -> None:
        for _ in range(times):
            there.send(there.recv())

    return together(FORK, lambda: None, first, second)


def contest(loop: Any) -> Contest:
    """Measure a loop with each library, interleaved."""
    contestants = {name: calibrated(loop, context, ROUND_SECONDS) for name, context in CONTEXTS.items()}
    return measure(contestants, ROUNDS)


def owing(owed: float | None) -> str:
    """Say what is owed."""
    return "" if owed is None else f"  (owed {owed:g})"


def report_one_way(title: str, message: Any, as_bytes: bool) -> None:
    """Measure and print a line for one sender and one receiver."""
    found = contest(partial(one_way, message, as_bytes))
    ours, theirs = found.median("ours"), found.median("theirs")
    print(f"{title:32}{1e-3 / ours:12,.0f}{1e-3 / theirs:12,.0f}{theirs / ours:9.1f}", flush=True)


def report_round_trips(title: str, owed: float | None) -> None:
    """Measure and print round trips of an int."""
    found = contest(partial(round_trips, 7))
    ours, theirs = found.median("ours"), found.median("theirs")
    print(f"{title:32}{ours * 1e6:9.1f} us{theirs * 1e6:9.1f} us{theirs / ours:9.1f}{owing(owed)}", flush=True)


def report_arrays() -> None:
    """Measure and print arrays of 8 MB, one way."""
    array = numpy.ones(1_000_000)
    found = contest(partial(one_way, array, False))
    rates = "".join(f" {name} {array.nbytes / found.median(name) / 1e9:.2f}" for name in CONTEXTS)
    ratio = found.median("theirs") / found.median("ours")
    print(f"\n8 MB float64 arrays, GB/s:{rates}; ratio {ratio:.1f}", flush=True)


def burn() -> None:
    """Keep a CPU busy."""
    while True:
        pass


def main() -> int:
    """Measure and print."""
    print(machine() + f", {ROUNDS} rounds of {ROUND_SECONDS} s, children of fork on both sides")
    print(f"\n{'one way, 1000 messages/s':32}{'ours':>12}{'theirs':>12}{'ratio':>9}")
    for title, message in PAYLOADS.items():
        report_one_way(title, message, False)
    report_one_way("send_bytes, 1 KB", bytes(1024), True)
    print(f"\n{'there and back':32}{'ours':>12}{'theirs':>12}{'ratio':>9}")
    report_round_trips("int", 2)
    burners = [FORK.Process(target=burn, daemon=True) for _ in range(2)]
    for burner in burners:
        burner.start()
    report_round_trips("the same beside two CPU burners", None)
    for burner in burners:
        burner.kill()
        burner.join()
    report_arrays()
    return 0


if __name__ == "__main__":
    sys.exit(main())
