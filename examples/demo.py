"""The demo: programs written for multiprocessing, run by python and by allcores, side by side.

Part one runs each program of ``examples/programs`` three ways and compares what it prints. Part two does a
real job, ``examples/complexity.py``, both ways and compares the two results byte by byte. Any difference,
failure or hang ends the demo with exit status 1. Run it with ``make demo``.
"""

import argparse
import ast
import importlib.util
import os
import platform
import shlex
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from side_by_side import Outcome, difference, problem, run

HERE = Path(__file__).resolve().parent
WAYS = {
    "python": [],
    "allcores": ["-m", "allcores", "run"],
    "warm": ["-m", "allcores", "run", "--start-method", "warm"],
}
DIFF_LINES = 30


def command(way: str, program: Path, *arguments: str) -> list[str]:
    """The command line that runs a program one of the `WAYS`."""
    return [sys.executable, *WAYS[way], str(program), *arguments]


def first_line(program: Path) -> str:
    """What a program shows: the first line of its docstring."""
    text = ast.get_docstring(ast.parse(program.read_bytes()))
    return (text or "").partition("\n")[0]


def style(text: str, code: int) -> str:
    """Give a text a terminal's colour or weight; on anything but a terminal leave it as it is."""
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        return f"\x1b[{code}m{text}\x1b[0m"
    return text


def bold(text: str) -> str:
    """A heading."""
    return style(text, 1)


def good(text: str) -> str:
    """In green: as it should be."""
    return style(text, 32)


def bad(text: str) -> str:
    """In red: not as it should be."""
    return style(text, 31)


def say(text: str = "") -> None:
    """Print at once: the reader follows along while the demo runs."""
    print(text, flush=True)


def run_programs() -> bool:
    """Part one; true when every program did the same every way."""
    say(bold("1. Nine programs written for multiprocessing, unchanged"))
    say("   The same program under `python`, `allcores run` and `allcores run --start-method warm`.\n")
    say(f"   {'program':<20}{'what it shows':<56}" + "".join(f"{way:>9}" for way in WAYS) + "   output")
    all_same = True
    for program in sorted((HERE / "programs").glob("*.py")):
        outcomes = {way: run(command(way, program)) for way in WAYS}
        failures = list(failures_of(program, outcomes))
        times = "".join(f"{outcome.seconds:>7.2f} s" for outcome in outcomes.values())
        verdict = bad("DIFFERS") if failures else good("same")
        say(f"   {program.stem:<20}{first_line(program):<56}{times}   {verdict}")
        for line in failures:
            say(f"      {line}")
        all_same = all_same and not failures
    say("\n   Times are of one run each, the interpreter's start included.")
    return all_same


def failures_of(program: Path, outcomes: dict[str, Outcome]) -> Iterator[str]:
    """Lines that say what went wrong with a program, and the command to see it again; none if all is well."""
    expected = outcomes["python"]
    if problem(expected):
        yield bad(f"under plain python: {problem(expected)}")
        yield from failure_report(expected.errors.splitlines(), command("python", program))
    for way, outcome in outcomes.items():
        diff = difference(expected, outcome)
        if diff:
            yield bad(f"under {shlex.join(['python', *WAYS[way]])}:")
            yield from failure_report(diff, command(way, program))


def failure_report(lines: Sequence[str], to_repeat: Sequence[str]) -> Iterator[str]:
    """The evidence, cut to a readable length, and what to do next."""
    yield from lines[:DIFF_LINES]
    if len(lines) > DIFF_LINES:
        yield f"... and {len(lines) - DIFF_LINES} lines more"
    yield f"See it again with: {shlex.join(to_repeat)}"


def run_real_job(rounds: int, options: Sequence[str]) -> bool:
    """Part two; true when every run ended well and gave the same result."""
    say(bold("\n2. A real job: how complex is every function of Python's standard library?"))
    say(f"   examples/complexity.py, a multiprocessing.Pool, {rounds} x python and {rounds} x allcores in turn.\n")
    seconds: dict[str, list[float]] = {"python": [], "allcores": []}
    first_result: bytes | None = None
    for way in turns(rounds):
        job = command(way, HERE / "complexity.py", *options)
        outcome, result = run_job(job)
        if problem(outcome):
            say(f"   {bad(f'{way}: {problem(outcome)}')}\n   See it again with: {shlex.join(job)}")
            return False
        if first_result is None:
            first_result = result
            say(textwrap.indent(outcome.output, "   "))
        elif result != first_result:
            plain_job = command("python", HERE / "complexity.py", *options)
            say(f"   {bad(f'{way}: its result differs from the first one.')}")
            say(f"   Compare: {shlex.join([*plain_job, '--json', 'a.json'])}")
            say(f"      with: {shlex.join([*job, '--json', 'b.json'])}")
            return False
        seconds[way].append(outcome.seconds)
        say(f"   {way:<9}{outcome.seconds:>6.1f} s")
    ratio = min(seconds["python"]) / min(seconds["allcores"])
    say(f"   {good('The results are equal.')} The best of python takes {ratio:.2f} times the best of allcores.")
    say("   The workers run the same Python code either way; what lies around it is measured by `make bench`.")
    return True


def turns(rounds: int) -> Iterator[str]:
    """Who runs when: in turn, and the first of a round is the second of the next."""
    for number in range(rounds):
        yield from ("python", "allcores") if number % 2 == 0 else ("allcores", "python")


def run_job(job: Sequence[str]) -> tuple[Outcome, bytes]:
    """Run the real job once; its outcome, and the result that it wrote (empty if it wrote none)."""
    with tempfile.TemporaryDirectory() as folder:
        result_file = Path(folder) / "result.json"
        outcome = run([*job, "--json", str(result_file)], show_errors=True)
        return outcome, result_file.read_bytes() if result_file.exists() else b""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Run multiprocessing programs under python and under allcores.")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="runs of the real job each way (2)")
    parser.add_argument("--limit", type=int, metavar="N", help="give the real job only the first N files")
    return parser.parse_args()


def main() -> int:
    """Run both parts; return the exit status."""
    options = parse_arguments()
    if importlib.util.find_spec("allcores") is None:
        say(f"allcores is not installed for {sys.executable}.\nNext: `make setup`, then `make demo`.")
        return 1
    machine = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} CPUs"
    say(bold(f"allcores beside multiprocessing: Python {platform.python_version()}, {machine}") + "\n")
    job_options = [] if options.limit is None else ["--limit", str(options.limit)]
    same = run_programs()
    equal = run_real_job(max(options.rounds, 1), job_options)
    if same and equal:
        say("\nYour turn: .venv/bin/python -m allcores run your_program.py")
        return 0
    say("\n" + bad("Not everything went as it should; the commands above show each case alone."))
    say("Next: `make setup` if the build may be out of date, then `make test`; then please report the case.")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
