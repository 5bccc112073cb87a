"""How long a process takes to start and end, by start method, in a small program.

Two figures each: from start() to the first line of the target (by the monotonic clock, which processes share), and
start() to the end of join(). The children do nothing else. The first start of each method is not counted; it launches
the zygote or the forkserver.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

import allcores
from harness import machine, measure

ROUNDS = 40
METHODS = ("fork", "warm", "forkserver", "spawn")


def tell_time(connection: Any) -> None:
    """Send the time of the target's first line."""
    connection.send(time.monotonic())


def first_line_seconds(method: str) -> float:
    """Return the time from start() to the target's first line, in seconds."""
    context = allcores.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=tell_time, args=(sender,))
    began = time.monotonic()
    process.start()
    first_line: float = receiver.recv()
    process.join()
    receiver.close()
    sender.close()
    return first_line - began


def whole_seconds(method: str) -> float:
    """Return the time from start() to the end of join() of a process that does nothing, in seconds."""
    process = allcores.get_context(method).Process(target=int)
    began = time.monotonic()
    process.start()
    process.join()
    return time.monotonic() - began


def main() -> int:
    """Measure and print."""
    print(machine())
    for title, seconds in (
        ("start() to the first line of the target", first_line_seconds),
        ("start() to the end of join()", whole_seconds),
    ):
        contestants = {method: partial(seconds, method) for method in METHODS}
        print(f"\n{title}, {ROUNDS} rounds\n{measure(contestants, ROUNDS).table('fork')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
