"""The options of ``allcores map``: those of `allcores.map`, and what is to be read and written."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["of_map", "parser"]

_EXAMPLES = """\
each item is given to the function as text, or, with --json, as what it is in JSON. One line of JSON is written for
each on standard output: {"index": 0, "item": "a", "result": 1}, or, in the place of "result",
"error": {"type": "ValueError", "message": "…", "traceback": "…"}. What the function prints goes to standard error.
The exit status is 0 if all went well, 1 if an item failed, and 2 if nothing could begin.

examples:
  allcores map os.path:getsize *.txt
  allcores map --json math:sqrt 1 4 9
  find . -name '*.csv' | allcores map --unordered --timeout 60 --retries 1 work:visit -
  allcores map --journal done.jsonl --lines urls.txt work:fetch > results.jsonl
"""
_OF_MAP = (
    "workers",
    "retries",
    "timeout",
    "chunksize",
    "window",
    "threads_per_worker",
    "max_memory_per_worker",
    "max_tasks_per_worker",
    "niceness",
    "affinity",
    "start_method",
)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parser() -> argparse.ArgumentParser:
    """Return what parses the words after ``map``."""
    made = argparse.ArgumentParser(
        "allcores map",
        usage="allcores map [OPTIONS] MODULE:FUNCTION [ITEM ... | --lines FILE | -]",
        description="Call a function for each item, in worker processes, and write a line of JSON for each.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("function", metavar="MODULE:FUNCTION", help="as 'from MODULE import FUNCTION' finds it, also in this directory")
    add("items", metavar="ITEM", nargs="*", help="what to call it with, once each; - for the lines of standard input")
    add("--lines", metavar="FILE", help="the items are the lines of a file; empty ones are left out")
    add("--json", action="store_true", help="items are JSON: numbers, lists, objects …")
    add("--journal", metavar="FILE", help="note there what is done, and do not do again what it says was done")
    add("--unordered", action="store_true", help="write lines as results are ready, not in the order of the items")
    add("--workers", metavar="N", type=int, help="how many processes (default: one for each CPU)")
    add("--retries", metavar="N", type=int, default=0, help="how often what fails is run again (default: 0)")
    add("--timeout", metavar="SECONDS", type=float, help="after which a run of one item is killed, and has failed")
    add(
        "--on-error",
        choices=("return", "skip", "raise"),
        default="return",
        help="a failed item has a line with its error (return, the default), none (skip), or the last line (raise)",
    )
    add("--chunksize", metavar="N", type=int, default=1, help="how many items a worker takes at once (default: 1)")
    add(
        "--window",
        metavar="N",
        type=int,
        help="how many items are read ahead at most (default: 16 a worker, 64 at least)",
    )
    add("--progress", action="store_true", help="show a bar on standard error, by tqdm or rich")
    add("--threads-per-worker", metavar="N", type=int, help="of BLAS and OpenMP libraries")
    add("--max-memory-per-worker", metavar="BYTES", type=_size, help="beyond which is a MemoryError; also 500M, 2G")
    add("--max-tasks-per-worker", metavar="N", type=int, help="after which a worker is replaced by a new one")
    add("--niceness", metavar="N", type=int, help="of the workers, from -20 (first) to 19 (last)")
    add("--affinity", metavar="CPUS", type=_cpus, help="numbers of the CPUs that workers may use: 0,2-3")
    add("--start-method", metavar="METHOD", help="warm (the default), fork, spawn or forkserver")
    return made


def _size(text: str) -> int:
    number, unit = (text[:-1], _UNITS[text[-1].upper()]) if text[-1:].upper() in _UNITS else (text, 1)
    if not number.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes, such as 500000000, 500M or 2G")
    return int(number) * unit


def _cpus(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise argparse.ArgumentTypeError(f"{text!r} does not list CPUs, as 0,2-3 does")
        found |= set(range(int(first), int(last if dash else first) + 1))
    return found


def of_map(options: argparse.Namespace) -> dict[str, Any]:
    """Return those that are keyword arguments of `allcores.map` under the same names."""
    return {name: getattr(options, name) for name in _OF_MAP}
