"""How long a process takes to start and end, by start method: the standard library's, and ours (warm, "our fork").

    python benchmarks/start.py          a small program
    python benchmarks/start.py --big    numpy imported, and two gigabytes touched in pages of 4 KB

Three figures: from start() to the first line of the target (by the monotonic clock, which processes share), start() to
the end of join() of a process that does nothing, both with pauses in which spares can be made ready; and the same
without pauses, per process. Beside the first one, to compare: the mere hand-over of a function to a
process that waits for it. The first start of each method is not counted; it launches the zygote or the forkserver.

A start that counts comes after one of the same method that does not, as in a program that uses one method: a fork
leaves each page of its parent to be made writable again, which whoever is next would pay for (180 faults in start()).
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

BIG = "--big" in sys.argv
if BIG:
    os.environ["NUMPY_MADVISE_HUGEPAGE"] = "0"  # before numpy looks: 4 KB pages, as most memory of programs is
    import numpy

import allcores  # noqa: E402
from harness import machine, measure  # noqa: E402

ROUNDS = 30 if BIG else 60
METHODS = ("fork", "our fork", "warm", "forkserver", "spawn")
PAUSE_SECONDS = 0.02
BATCH = 20


def context_of(method: str) -> Any:
    """Return the context of a start method; the standard library's but for warm and 'our fork'."""
    package = allcores if method in ("warm", "our fork") else multiprocessing
    return package.get_context(method.removeprefix("our "))


def tell_time(connection: Any) -> None:
    """Send the time of the target's first line."""
    connection.send(time.monotonic())


def settle(context: Any) -> None:
    """Pay for what the contestant before has left behind, and pause."""
    process = context.Process(target=int)
    process.start()
    process.join()
    time.sleep(PAUSE_SECONDS)


def first_line_seconds(method: str) -> float:
    """Return the time from start() to the target's first line, in seconds."""
    context = context_of(method)
    settle(context)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=tell_time, args=(sender,))
    began = time.monotonic()
    process.start()
    first_line: float = receiver.recv()
    process.join()
    receiver.close()
    sender.close()
    return first_line - began


def hand_over_seconds() -> float:
    """Return the time from pickling a function to its first line in a process that has waited for it, in seconds.

    A start by hand-over has that to do and more: this process has no name, surroundings, signals, streams or exit code
    of its own. (It is not woken ahead, as spares of ``warm`` are.)
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        pickle.loads(theirs.recv(4096))(sender)
        os._exit(0)
    time.sleep(PAUSE_SECONDS)
    began = time.monotonic()
    ours.send(pickle.dumps(tell_time))
    first_line: float = receiver.recv()
    os.waitpid(pid, 0)
    for end in (ours, theirs, receiver, sender):
        end.close()
    return first_line - began


def whole_seconds(method: str) -> float:
    """Return the time from start() to the end of join() of a process that does nothing, in seconds."""
    context = context_of(method)
    settle(context)
    process = context.Process(target=int)
    began = time.monotonic()
    process.start()
    process.join()
    return time.monotonic() - began


def sustained_seconds(method: str) -> float:
    """Return the time per process when one follows the other at once, in seconds."""
    context = context_of(method)
    settle(context)
    began = time.monotonic()
    for _ in range(BATCH):
        process = context.Process(target=int)
        process.start()
        process.join()
    return (time.monotonic() - began) / BATCH


def main() -> int:
    """Measure and print."""
    print(machine() + (f", numpy {numpy.__version__} and 2 GB touched" if BIG else ", small program"))
    ballast = numpy.ones(2**28) if BIG else None
    for title, seconds, methods, rounds in (
        ("start() to the first line of the target, paced", first_line_seconds, METHODS, ROUNDS),
        ("start() to the end of join(), paced", whole_seconds, METHODS, ROUNDS),
        (f"start() to the end of join(), {BATCH} in a row, per process", sustained_seconds, METHODS[:3], ROUNDS // 3),
    ):
        contestants: dict[str, Callable[[], float]] = {method: partial(seconds, method) for method in methods}
        if seconds is first_line_seconds and not BIG:
            contestants["hand-over"] = hand_over_seconds  # it forks, and that takes long in a big program
        print(f"\n{title}, {rounds} rounds\n{measure(contestants, rounds).table('warm')}")
    del ballast
    return 0


if __name__ == "__main__":
    sys.exit(main())
