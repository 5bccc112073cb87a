"""How soon pools and executors tell of what happens to a worker or a task: from the call to its outcome.

    python benchmarks/pool_deaths.py

Owed: under a second, each time. The pool is used again after each, but for a new one where an initializer raises.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import allcores
from allcores.futures import ProcessPoolExecutor
from harness import machine

ROUNDS = 25
METHODS = ("fork", "warm", "forkserver", "spawn")


def kill(number: int) -> None:
    """End this worker by a signal."""
    os.kill(os.getpid(), number)


def crash() -> None:
    """Read where nothing is."""
    faulthandler.disable()
    ctypes.string_at(0)


def leave() -> None:
    """End this worker without a word."""
    os._exit(0)


class Fussy(Exception):
    """Cannot be unpickled."""

    def __init__(self, one: int, two: int) -> None:
        """Have a text."""
        super().__init__(f"{one} and {two}")


def raise_fussy() -> None:
    """Raise what cannot be unpickled."""
    raise Fussy(1, 2)


def exit_by_exception() -> None:
    """Raise SystemExit."""
    sys.exit(3)


def refuse() -> None:
    """Be an initializer that raises, of which nothing is printed."""
    logging.disable()
    raise ValueError("no")


class InPool:
    """A pool, as the rows see it."""

    def __init__(self, method: str, initializer: Callable[[], None] | None = None) -> None:
        """Start two workers."""
        self.pool: Any = allcores.get_context(method).Pool(2, initializer)
        self.call = self.pool.apply

    def processes(self) -> list[Any]:
        """Return the workers."""
        return list(self.pool._pool)

    def end(self) -> None:
        """End them."""
        self.pool.terminate()
        self.pool.join()


class InExecutor:
    """An executor, as the rows see it."""

    def __init__(self, method: str, initializer: Callable[[], None] | None = None) -> None:
        """Start workers as calls come."""
        self.executor = ProcessPoolExecutor(2, allcores.get_context(method), initializer)

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...] = ()) -> Any:
        """Have a call made."""
        return self.executor.submit(function, *arguments).result()

    def processes(self) -> list[Any]:
        """Return the workers."""
        return list((self.executor._processes or {}).values())

    def end(self) -> None:
        """End them."""
        self.executor.shutdown()


Workers = InPool | InExecutor
Row = Callable[[Workers, str], None]


def expect(error: type[BaseException], call: Callable[..., object], *arguments: object) -> None:
    """Return when a call raises that."""
    try:
        call(*arguments)
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


def raises(error: type[BaseException], function: Callable[..., object], *arguments: object) -> Row:
    """Return a row: a task whose outcome is that."""
    return lambda workers, _: expect(error, workers.call, function, arguments)


def idle_killed(workers: Workers, _: str) -> None:
    """Be a row: all workers are killed, and then one is needed."""
    for process in workers.processes():
        process.kill()
    assert workers.call(abs, (-1,)) == 1


PARENT = """
import os, sys, time
from pool_deaths import InExecutor, InPool, say_and_work
if __name__ == "__main__":
    kind = {"InPool": InPool, "InExecutor": InExecutor}[sys.argv[1]]
    kind(sys.argv[2]).call(say_and_work)
"""


def say_and_work() -> None:
    """Be busy for ever, and say who is."""
    os.write(1, f"{os.getpid()}\n".encode())
    while True:
        sum(range(1000))


def is_gone(pid: int) -> bool:
    """Whether a process is no more, or dead and not yet waited for by init."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def gone_seconds(kind: type[Workers], method: str) -> float:
    """Return how long a busy worker outlives its parent, which is SIGKILLed, in seconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as program:
        program.write(PARENT)
        program.flush()
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
        command = [sys.executable, program.name, kind.__name__, method]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
            assert parent.stdout is not None
            worker = int(parent.stdout.readline())
            began = time.perf_counter()
            parent.kill()
            while not is_gone(worker):
                os.sched_yield()
            return time.perf_counter() - began


def initializer_raises(workers: Workers, method: str) -> None:
    """Be a row: new ones, whose initializer raises."""
    made = type(workers)(method, refuse)
    expect(allcores.InitializerError, made.call, abs, (-1,))
    made.end()


ROWS: dict[str, Row] = {
    "a task's worker is SIGKILLed": raises(allcores.WorkerDiedError, kill, signal.SIGKILL),
    "a task's worker crashes": raises(allcores.WorkerDiedError, crash),
    "os._exit(0) in a task": raises(allcores.WorkerDiedError, leave),
    "a task raises SystemExit": raises(SystemExit, exit_by_exception),
    "its exception cannot be unpickled": raises(allcores.RemoteError, raise_fussy),
    "its result cannot be pickled": raises(Exception, threading.Lock),
    "its argument cannot be pickled": raises(TypeError, id, threading.Lock()),
    "an initializer raises (start and end, too)": initializer_raises,
    "idle workers SIGKILLed, then a task": idle_killed,
}


def show(seconds: list[float]) -> None:
    """Print a median and the longest."""
    print(f"{statistics.median(seconds) * 1e3:8.1f}{max(seconds) * 1e3:8.1f}", end="", flush=True)


def main() -> int:
    """Measure and print."""
    print(machine())
    print(f"\nfrom the call to the outcome, ms, {ROUNDS} times each: median, longest (owed: 1000)")
    print(" " * 53 + "".join(f"{method:>16}" for method in METHODS))
    for title, row in ROWS.items():
        for kind in (InPool, InExecutor):
            print(f"{title:43}{kind.__name__.removeprefix('In').lower():10}", end="")
            for method in METHODS:
                seconds = []
                workers = kind(method)
                for _ in range(ROUNDS):
                    assert [workers.call(abs, (-number,)) for number in range(4)] == [0, 1, 2, 3]
                    began = time.perf_counter()
                    row(workers, method)
                    seconds.append(time.perf_counter() - began)
                workers.end()
                show(seconds)
            print()
    for kind in (InPool, InExecutor):
        print(f"{'parent SIGKILLed: a busy worker is gone':43}{kind.__name__.removeprefix('In').lower():10}", end="")
        for method in METHODS:
            show([gone_seconds(kind, method) for _ in range(ROUNDS)])
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
