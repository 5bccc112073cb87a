"""Running programs under python and under allcores, with a hang limit that takes all their processes along."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PYTHON = [sys.executable]
ALLCORES = [sys.executable, "-m", "allcores", "run"]
HANG_LIMIT_SECONDS = 60
END_LIMIT_SECONDS = 30
BUSY_ASLEEP_OR_STOPPED = """
def work(connection, depth, how):
    if depth:
        mp.Process(target=work, args=(connection, depth - 1, how)).start()
    connection.send((os.getpid(), os.getppid()))
    if how == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    while how == "busy":
        sum(range(10**6))
    signal.pause()
"""
"""For a program: the target of a tree of processes, which tells who it is and then does one thing for ever."""
METHODS = ("fork", "spawn", "forkserver", "warm")
MODES: dict[str, list[str]] = {"default": []} | {method: ["--start-method", method] for method in METHODS}


@dataclass(frozen=True)
class Outcome:
    """How a program ended and what it printed."""

    status: int
    out: str
    err: str

    @property
    def sorted_lines(self) -> tuple[int, list[str], list[str]]:
        """The same, for programs whose processes race."""
        return self.status, sorted(self.out.splitlines()), sorted(self.err.splitlines())


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    hang_limit_seconds: float | None = HANG_LIMIT_SECONDS,
) -> Outcome:
    """Run a command in a session of its own. A hang kills the whole session and fails with what was printed."""
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout=hang_limit_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"{command} hung\n--- printed\n{out}\n--- errors\n{err}") from None
    return Outcome(process.returncode, out, err)


@contextlib.contextmanager
def started(command: Sequence[str | Path]) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a session of its own, and kill what is left of the session at the end of the block."""
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ends_with_its_program(command: Sequence[str | Path], workers: int, *, whole_group: bool) -> None:
    """Kill a program whose workers have printed their pids, alone or with its group; they end, too."""
    with started(command) as root:
        assert root.stdout is not None
        pidfds = [os.pidfd_open(int(root.stdout.readline())) for _ in range(workers)]
        if whole_group:
            os.killpg(root.pid, signal.SIGKILL)
        else:
            root.kill()
        for pidfd in pidfds:
            assert select.select([pidfd], [], [], END_LIMIT_SECONDS)[0], "a worker lives on"
            os.close(pidfd)


def program(folder: Path, source: str, name: str = "program.py") -> Path:
    """Write a program to a file."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    return file


def guarded(definitions: str, main: str) -> str:
    """Return the source of a program whose main part stands under the usual guard."""
    body = "\n".join("    " + line for line in main.strip().splitlines())
    return f"{definitions}\nif __name__ == '__main__':\n{body}\n"
