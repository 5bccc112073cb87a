"""Run one command with a time limit, and compare what two commands printed.

Processes may overtake each other, so the *sorted* lines are compared, with the exit status. A command that
runs out of time is asked for the stacks of all its processes (faulthandler, SIGABRT) before it is killed.
"""

import contextlib
import difflib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple

TIME_LIMIT_SECONDS = 120
LAST_WORDS_SECONDS = 5


class Outcome(NamedTuple):
    """How a command ended: its status (minus the signal's number if one killed it), and what it printed."""

    exit_status: int | None
    """None: it ran out of time."""
    output: str
    errors: str
    """Empty when standard error was passed through."""
    seconds: float


def run(command: Sequence[str], show_errors: bool = False) -> Outcome:
    """Run a command to its end or to the time limit; `show_errors` passes its standard error through."""
    _keep_no_core_files()
    begin = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if show_errors else subprocess.PIPE,
        text=True,
        errors="replace",
        env=os.environ | {"PYTHONFAULTHANDLER": "1"},
        start_new_session=True,  # one group of processes, to be ended together
    )
    try:
        output, errors = process.communicate(timeout=TIME_LIMIT_SECONDS)
        status: int | None = process.returncode
    except subprocess.TimeoutExpired:
        output, errors = _end_with_stacks(process)
        status = None
    except BaseException:  # Ctrl-C: the group has a session of its own, so the terminal does not reach it
        _signal_group(process, signal.SIGKILL)
        raise
    return Outcome(status, output or "", errors or "", time.perf_counter() - begin)


def problem(outcome: Outcome) -> str | None:
    """Say in a few words what is wrong with how a command ended; None when it ended well."""
    if outcome.exit_status is None:
        return f"no end within {TIME_LIMIT_SECONDS} s"
    if outcome.exit_status < 0:
        return f"killed by {signal.Signals(-outcome.exit_status).name}"
    if outcome.exit_status > 0:
        return f"exit status {outcome.exit_status}"
    return None


def difference(expected: Outcome, actual: Outcome) -> list[str]:
    """What differs between two outcomes, as lines to read; empty when they are the same.

    Standard output comes as a diff of the sorted lines, standard error as it was written.
    """
    lines = list(difflib.unified_diff(_account(expected), _account(actual), "python", "allcores", lineterm="", n=1))
    if sorted(expected.errors.splitlines()) != sorted(actual.errors.splitlines()):
        lines += ["on standard error:", *actual.errors.splitlines()]
    return lines


def _account(outcome: Outcome) -> list[str]:
    return [*sorted(outcome.output.splitlines()), f"({problem(outcome) or 'exit status 0'})"]


def _end_with_stacks(process: subprocess.Popen[str]) -> tuple[str, str]:
    for last_word in (signal.SIGABRT, signal.SIGKILL):
        _signal_group(process, last_word)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=LAST_WORDS_SECONDS)
    return "", "a process that outlived its group still holds the output open"


def _signal_group(process: subprocess.Popen[str], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _keep_no_core_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
