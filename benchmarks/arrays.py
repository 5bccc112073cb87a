"""Arrays of numpy for another process: shared, in the standard library's shared memory by hand, and pickled.

    python benchmarks/arrays.py            eleven rounds
    python benchmarks/arrays.py --quick    three rounds: whether it works, not how fast it is

The receiver adds all elements up and answers, so every contestant's data is read once. "by hand" is what a program
writes without allcores: make a `SharedMemory`, copy, send name, shape and dtype, and open it in the receiver. Both
sides' processes are made in the same way; what is pickled goes through the standard library's queues and processes.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import allcores
import numpy
from harness import machine, measure

ROUNDS = 3 if "--quick" in sys.argv else 11
MEGABYTES = (0.01, 1, 100)

Sender = Callable[[Any], tuple[Any, Callable[[], object]]]
"""Makes of an array what is sent, and what ends that when it was received."""


def pickled(array: Any) -> tuple[Any, Callable[[], object]]:
    """Send the array itself."""
    return array, lambda: None


def by_hand(array: Any) -> tuple[Any, Callable[[], object]]:
    """Send where the standard library's shared memory has it."""
    memory = SharedMemory(create=True, size=array.nbytes)
    numpy.ndarray(array.shape, array.dtype, memory.buf)[...] = array

    def end() -> None:
        memory.close()
        memory.unlink()

    return (memory.name, array.shape, array.dtype), end


def shared(array: Any) -> tuple[Any, Callable[[], object]]:
    """Send a handle of ours."""
    made = allcores.share(array)
    return made, partial(allcores.arrays.received, made)


SENDERS: dict[str, tuple[Any, Sender]] = {
    "allcores": (allcores, shared),
    "by hand": (multiprocessing, by_hand),
    "pickled": (multiprocessing, pickled),
}


def total(message: Any) -> float:
    """Add up the elements of what was sent."""
    if isinstance(message, numpy.ndarray):
        return float(message.sum())
    name, shape, dtype = message
    memory = SharedMemory(name)
    answer = float(numpy.ndarray(shape, dtype, memory.buf).sum())
    memory.close()
    return answer


def receive(tasks: Any, answers: Any) -> None:
    """Answer until None comes."""
    while (message := tasks.get()) is not None:
        answers.put(total(message))
        del message


class Receiver:
    """A process that waits for arrays in a queue."""

    def __init__(self, context: Any) -> None:
        self._tasks, self._answers = context.Queue(), context.Queue()
        self._process = context.Process(target=receive, args=(self._tasks, self._answers))
        self._process.start()

    def total(self, message: Any) -> float:
        """Send something, and return the answer."""
        self._tasks.put(message)
        answer: float = self._answers.get()
        return answer

    def end(self) -> None:
        """End the process."""
        self._tasks.put(None)
        self._process.join()


def new_each_time(receiver: Receiver, sender: Sender, array: Any) -> float:
    """Make of an array what is sent, send it, have the answer, and end it; return how long that took, in seconds."""
    began = time.perf_counter()
    message, end = sender(array)
    answer = receiver.total(message)
    del message
    end()
    seconds = time.perf_counter() - began
    assert answer == array.size
    return seconds


def sent_again(receiver: Receiver, message: Any, size: int) -> float:
    """Send what is there already, and have the answer; return how long that took, in seconds."""
    began = time.perf_counter()
    assert receiver.total(message) == size
    return time.perf_counter() - began


def as_argument(package: Any, sender: Sender, array: Any) -> float:
    """Start a process with an array as its argument, and join it; return how long that took, in seconds."""
    began = time.perf_counter()
    message, end = sender(array)
    process = package.get_context("forkserver").Process(target=total, args=(message,))
    process.start()
    process.join()
    del message
    end()
    seconds = time.perf_counter() - began
    assert process.exitcode == 0
    return seconds


def report(title: str, contestants: dict[str, Callable[[], float]]) -> None:
    """Measure and print one table."""
    print(f"\n{title}, {ROUNDS} rounds\n{measure(contestants, ROUNDS).table('allcores')}", flush=True)


def main() -> int:
    """Measure and print."""
    print(machine())
    resource_tracker.ensure_running()  # or each receiver has one of its own, which warns of what others unlink
    for megabytes in MEGABYTES:
        array = numpy.ones(round(megabytes * 1e6 / 8))
        receivers = {name: Receiver(package.get_context("fork")) for name, (package, _) in SENDERS.items()}
        report(
            f"{megabytes} MB through a queue, an array that is new each time",
            {n: partial(new_each_time, receivers[n], sender, array) for n, (_, sender) in SENDERS.items()},
        )
        made = {name: sender(array) for name, (_, sender) in SENDERS.items()}
        report(
            f"{megabytes} MB through a queue, the same array each time",
            {name: partial(sent_again, receivers[name], made[name][0], array.size) for name in SENDERS},
        )
        for _, end in made.values():
            end()
        for receiver in receivers.values():
            receiver.end()
    array = numpy.ones(round(MEGABYTES[-1] * 1e6 / 8))
    report(
        f"{MEGABYTES[-1]} MB as the argument of a process (forkserver)",
        {name: partial(as_argument, package, sender, array) for name, (package, sender) in SENDERS.items()},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
