"""Measuring side by side: interleaved runs, medians, ratios, and the machine beside them.

These machines are shared and noisy. Contestants therefore take turns within one run, and what is quoted is the ratio of
their medians; a second alone means nothing.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Contest", "Loop", "calibrated", "machine", "measure", "together"]

Loop = Callable[[Any, int], float]
"""Does something so many times with the objects of a context, and returns how long that took, in seconds."""


@dataclass(frozen=True)
class Contest:
    """The times of every contestant, in seconds, in the order of the rounds."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Return a contestant's median, in seconds."""
        return statistics.median(self.seconds[name])

    def table(self, reference: str) -> str:
        """Return one line per contestant: median, spread, and how many times the reference's time it took."""
        lines = [f"{'':14}{'median ms':>11}{'quartiles ms':>19}{'ratio':>8}"]
        for name, times in self.seconds.items():
            low, _, high = statistics.quantiles(times, n=4)
            ratio = self.median(name) / self.median(reference)
            lines.append(f"{name:14}{self.median(name) * 1e3:11.2f}{low * 1e3:10.2f} -{high * 1e3:7.2f}{ratio:8.2f}")
        return "\n".join(lines)


def measure(contestants: Mapping[str, Callable[[], float]], rounds: int) -> Contest:
    """Let each contestant run once a round, in an order that rotates; each returns its own time in seconds."""
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        contestants[name]()  # caches, bytecode: not counted
    for turn in range(rounds):
        for step in range(len(names)):
            name = names[(turn + step) % len(names)]
            seconds[name].append(contestants[name]())
    return Contest(seconds)


def together(context: Any, first: Callable[[], object], *others: Callable[[], object]) -> float:
    """Run one function here and each other in a child that waits to begin; return how long all took, in seconds."""
    pipes, processes = [], []
    for other in others:
        ours, theirs = context.Pipe()

        def child(end: Any = theirs, call: Callable[[], object] = other) -> None:
            end.send("ready")
            end.recv()
            call()
            end.send("done")

        processes.append(context.Process(target=child))
        processes[-1].start()
        ours.recv()
        pipes.append(ours)
    began = time.perf_counter()
    for pipe in pipes:
        pipe.send("begin")
    first()
    for pipe in pipes:
        pipe.recv()
    seconds = time.perf_counter() - began
    for process in processes:
        process.join()
    return seconds


def calibrated(loop: Loop, context: Any, turn_seconds: float) -> Callable[[], float]:
    """Return a contestant whose turns take about so long, and which returns the seconds of one repetition."""
    times = 50
    while (seconds := loop(context, times)) < turn_seconds / 5:
        times *= 4
    count = max(1, round(times * turn_seconds / seconds))
    return lambda: loop(context, count) / count


def machine() -> str:
    """Describe where and what was measured."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return (
        f"{len(os.sched_getaffinity(0))} CPUs, {platform.machine()}, Linux {platform.release()}, "
        f"CPython {platform.python_version()}, commit {commit or 'unknown'}"
    )
