"""``allcores run --report``: which processes a program started, said when it ends."""

from __future__ import annotations

import atexit
import collections
import os
import sys
import time
from multiprocessing import process as _process
from typing import Any

from allcores._zygote.memory import children_of, parent_of, private_bytes

__all__ = ["Tally", "report_at_exit"]


class Tally:
    """Counts of the processes that this process started."""

    def __init__(self) -> None:
        """Begin to measure the time."""
        self._began_seconds = time.monotonic()
        self._started: list[Any] = []
        self._zygote: int | None = None

    def note(self, process: Any) -> None:
        """Remember a process that was just started."""
        # Its Popen, not the Process: that one may be closed, and its end is what counts.
        self._started.append(process._popen)
        if process._popen.method == "warm":
            self._zygote = parent_of(process._popen.pid) or self._zygote

    def text(self) -> str:
        """Describe what was noted, in one line."""
        methods = collections.Counter(popen.method for popen in self._started)
        ends = collections.Counter(popen.returncode for popen in self._started)
        parts = [f"{count} by {name}" for name, count in methods.most_common()]
        parts += [
            f"{count} {'not waited for' if code is None else f'ended with {code}'}"
            for code, count in ends.most_common()
        ]
        seconds = time.monotonic() - self._began_seconds
        total = len(self._started)
        plural = "process" if total == 1 else "processes"
        text = f"allcores: {total} {plural} started" + "".join(f", {part}" for part in parts) + f"; {seconds:.2f} s"
        return text + self._memory()

    def _memory(self) -> str:
        """Describe what being ready costs."""
        own = None if self._zygote is None else private_bytes(self._zygote)
        if self._zygote is None or own is None:
            return ""
        popens = {popen.pid for popen in self._started if popen.returncode is None}
        spares = [private_bytes(pid) for pid in children_of(self._zygote) if pid not in popens]
        each = [size for size in spares if size is not None]
        text = f"; the zygote has {own / 1e6:.1f} MB of its own"
        return text + (f", each of {len(each)} spares {max(each) / 1e6:.1f} MB at most" if each else "")


def report_at_exit() -> None:
    """Print a `Tally` of this process to standard error when it ends."""
    tally, root = Tally(), os.getpid()
    start = _process.BaseProcess.start

    def noting_start(self: Any) -> None:
        start(self)
        if os.getpid() == root:
            tally.note(self)

    _process.BaseProcess.start = noting_start  # type: ignore[method-assign]

    def report() -> None:
        if os.getpid() == root:
            print(tally.text(), file=sys.stderr)

    atexit.register(report)
