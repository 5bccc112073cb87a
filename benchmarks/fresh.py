"""Whole programs: what the first start() of a fresh program costs, and each example under allcores and under python."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from harness import machine, measure

ROUNDS = 21
PROGRAMS = sorted((Path(__file__).parents[1] / "examples" / "programs").glob("*.py"))

FIRST_START = """\
import time
import {package} as multiprocessing

def tell_time(began):
    print(time.monotonic() - began)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    process = context.Process(target=tell_time, args=(time.monotonic(),))
    process.start()
    process.join()
"""


def first_start_seconds(program: Path) -> float:
    """Return the time from the first start() to the first line of the target, in seconds."""
    answer = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True)
    return float(answer.stdout)


def run_seconds(command: list[str]) -> float:
    """Return how long a program takes, in seconds."""
    began = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def main() -> int:
    """Measure and print."""
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        contestants = {}
        for package, method in (("multiprocessing", "forkserver"), ("multiprocessing", "spawn"), ("allcores", "warm")):
            program = Path(folder, f"{method}.py")
            program.write_text(FIRST_START.format(package=package, method=method))
            contestants[method] = partial(first_start_seconds, program)
        table = measure(contestants, ROUNDS).table("forkserver")
        print(f"\nthe first start() of a fresh program, to the target's first line, {ROUNDS} rounds\n{table}")
    allcores = str(Path(sys.executable).with_name("allcores"))
    for program in PROGRAMS:
        commands = {
            "python": [sys.executable, str(program)],
            "allcores run": [allcores, "run", str(program)],
            "… warm": [allcores, "run", "--start-method", "warm", str(program)],
        }
        contestants = {name: partial(run_seconds, command) for name, command in commands.items()}
        print(f"\n{program.name}, {ROUNDS} rounds\n{measure(contestants, ROUNDS).table('python')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
