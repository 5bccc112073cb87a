#!/usr/bin/env python3
"""`make conformance`: CPython's own tests of multiprocessing and of executors against allcores, for each start method.

    python tests/stdlib/conformance.py [--methods fork,spawn,forkserver,warm] [--suites multiprocessing,futures]
        [--sample] [--jobs 2] [--docs]

Exit status 1 when a start method is below its floor, hangs, crashes, borrows, or counts no test at all.
The last line printed is `N passed, N failed`.
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from futures_suite import FOLDER_OF_BREAKING, MODES, lay_packages, python_with_tests, selection
from judging import EXCLUSIONS, load_exclusions
from sessions import kill_session, sessions_below
from summary import document, last_line, terminal_summary
from verdict import FUTURES, RunResult, all_good, floor_for, floors, parse_floor, result_from_json, verdict

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUNNER = HERE / "run.py"
DOCUMENT = ROOT / "docs" / "conformance.md"

METHODS = "fork,spawn,forkserver,warm"
SUITES = "multiprocessing,futures"

# One class for each thing that users hold in their hands, and each way to start and stop a process.  Left out are the
# classes which take long for what they say: barriers and conditions, waiting with time-outs, the threads' variants
# (no process is started), and the command line (every start goes through it).  With genuine multiprocessing, two jobs
# on two cores: 36 s for spawn, 19 s for forkserver.
SAMPLE = (
    r"^(WithProcessesTest(Process|SubclassingProcess|Queue|Lock|Event|Connection|Value|SharedMemory|Pool\w*)"
    r"|WithManagerTest(Queue|Lock|Pool|Containers|MyManager)"
    r"|TestSyncManagerTypes|TestSimpleQueue|TestStartMethod|TestNoForkBomb)\."
)

RUN_LIMIT_SECONDS = 30 * 60  # a whole run takes 2-3 minutes; one test has its own limit, in run.py
CLEAN_UP_SECONDS = 30  # what run.py gets to end its workers once it is told to stop
RESULT_STATUSES = (0, 1)  # run.py's exit statuses when it has come to a result


@dataclass(frozen=True)
class Options:
    """How to call run.py, apart from the start method."""

    module: str
    paths: tuple[str, ...]
    select: str
    jobs: int
    test_timeout_seconds: float
    python: str = sys.executable
    executor: str = ""  # of the suite of futures


def run_command(options: Options, method: str, result_file: Path) -> list[str]:
    command = [sys.executable, str(RUNNER), options.module, "--start-method", method]
    command += ["--jobs", str(options.jobs), "--timeout", str(options.test_timeout_seconds)]
    command += ["--select", options.select, "--json", str(result_file), "--python", options.python]
    if options.executor:
        command += ["--suite", "futures", "--executor", options.executor]
    for path in options.paths:
        command += ["--path", path]
    return command


def run_method(options: Options, method: str, keep: Path | None, title: str = "") -> RunResult:
    """One call of run.py; never raises for what the call comes to."""
    title = title or method
    print(f"\n{options.module}, {title}:", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        result_file = (keep or Path(scratch)) / f"{title.replace(' ', '-')}.json"
        result_file.unlink(missing_ok=True)
        began = time.monotonic()
        trouble = run_to_its_end(run_command(options, method, result_file), RUN_LIMIT_SECONDS)
        seconds = time.monotonic() - began
        try:
            return result_from_json(title, seconds, json.loads(result_file.read_text()), trouble)
        except FileNotFoundError:
            return RunResult(title, seconds, trouble=trouble or "run.py wrote no result; its message is above")
        except (ValueError, KeyError, TypeError) as error:
            return RunResult(title, seconds, trouble=trouble or f"run.py's result cannot be read: {error!r}")


def run_futures(options: Options, methods: list[str], keep: Path | None) -> list[RunResult]:
    """The suite of futures: for each start method what is run in either mode."""
    python = python_with_tests()
    if python is None:
        print("\nfutures: not run, no Python of this machine has test_concurrent_futures", file=sys.stderr, flush=True)
        return []
    with tempfile.TemporaryDirectory(prefix="conformance-") as packages:
        lay_packages(Path(packages))
        paths = (packages, str(FOLDER_OF_BREAKING), *options.paths)
        return [
            run_method(
                replace(options, paths=paths, python=python, executor=executor, select=selection(mode, options.select)),
                method,
                keep,
                f"{FUTURES} {method} {mode}",
            )
            for method in methods
            for mode, executor in MODES.items()
        ]


def run_to_its_end(command: list[str], limit_seconds: float) -> str:
    """Run a program in its own session, its report unread; "" or how it ended otherwise than with a result."""
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        status = program.wait(limit_seconds)
    except subprocess.TimeoutExpired:
        return f"run.py had not ended after {limit_seconds:g} s"
    finally:
        end_with_all_below(program)
    return "" if status in RESULT_STATUSES else f"run.py ended with exit status {status}"


def end_with_all_below(program: subprocess.Popen[bytes]) -> None:
    """End run.py and the sessions of its workers: politely first, since it cleans up after itself."""
    if program.poll() is not None:
        return
    sessions = sessions_below(program.pid)
    program.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(CLEAN_UP_SECONDS)
    for session in sessions | sessions_below(program.pid):
        kill_session(session)
    program.wait()


def current_commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    with contextlib.suppress(FileNotFoundError):
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if answer.returncode == 0:
            return answer.stdout.strip()
    return "none yet"


def parse_arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    p.add_argument("--methods", default=METHODS, help=f"start methods, default {METHODS}")
    p.add_argument("--suites", default=SUITES, help=f"whose tests, default {SUITES}")
    p.add_argument("--sample", action="store_true", help="only some classes, about a minute a start method")
    p.add_argument("--select", default="", metavar="REGEX", help="only these tests, matched on Class.test")
    p.add_argument("--jobs", type=int, default=2, help="classes run at a time (default 2)")
    p.add_argument("--docs", action="store_true", help=f"write {DOCUMENT.relative_to(ROOT)}")
    p.add_argument("--threshold", action="append", default=[], metavar="METHOD=PERCENT", help="another floor")
    p.add_argument("--timeout", type=float, default=60, help="seconds for one test (default 60)")
    p.add_argument("--path", action="append", default=[], help="directory to find the module in, e.g. python/")
    p.add_argument("--module", default="allcores", help="what to test; `multiprocessing` shows how CPython does")
    p.add_argument("--results", type=Path, metavar="DIR", help="keep each run's full result there, as METHOD.json")
    args = p.parse_args()
    args.methods = [method.strip() for method in args.methods.split(",") if method.strip()]
    if not args.methods:
        p.error("no start method given")
    args.suites = args.suites.split(",")
    if not set(args.suites) <= set(SUITES.split(",")):
        p.error(f"the suites are {SUITES}")
    if args.module != "allcores":
        args.suites = ["multiprocessing"]
    if args.sample and args.select:
        p.error("--sample is a selection already")
    if args.docs and (args.sample or args.select or args.module != "allcores"):
        p.error("the document is about all tests of allcores, not about a selection or another module")
    try:
        args.floors = floors(map(parse_floor, args.threshold))
    except ValueError:
        p.error("--threshold wants METHOD=PERCENT, for example warm=97.5")
    return args


def main() -> int:
    args = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` ends what was started
    select = SAMPLE if args.sample else args.select
    options = Options(args.module, tuple(args.path), select, args.jobs, args.timeout)
    if args.results:
        args.results.mkdir(parents=True, exist_ok=True)
    results = []
    if "multiprocessing" in args.suites:
        results += [run_method(options, method, args.results) for method in args.methods]
    if "futures" in args.suites and not args.sample:
        results += run_futures(options, args.methods, args.results)
    verdicts = [verdict(result, floor_for(result.method, args.floors)) for result in results]
    if args.docs:
        text = document(results, verdicts, load_exclusions(EXCLUSIONS), current_commit(), args.jobs)
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(text)
        print(f"\nwrote {DOCUMENT.relative_to(ROOT)}")
    tested = sorted({f"{result.module} on Python {result.python}" for result in results if result.module})
    print("", *tested, "", terminal_summary(results, verdicts), "", last_line(results), sep="\n")
    return 0 if all_good(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
