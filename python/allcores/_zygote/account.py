"""What is known about a child's end beyond its exit code, gathered where it is known and told with the code.

A child writes into its account, a memfd that it shares with the zygote: faulthandler the stack of a crash,
`note_exception` an exception that nobody caught. The zygote reads it when it reaps, and adds what the kernel says
about memory.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import os

from allcores import _core

__all__ = [
    "MemoryWatch",
    "close_account",
    "has_crashes",
    "held",
    "note_exception",
    "prepare_account",
    "uncaught_exception",
]

_BYTES = 24 * 1024
_EXCEPTION = b"\0exception\0"
_HIGH_DESCRIPTOR = 100
"""Out of the way of programs that close, or count on, low numbers."""

held: _core.Held | None = None
"""This process's account, in a child."""
has_crashes = False
"""Whether faulthandler writes to it, and not where the program wants it to."""


def prepare_account() -> int:
    """Have crashes of all children leave their stacks in their accounts, in the zygote, once the main module is there.

    Returns the descriptor at which each child is to have its account.
    """
    global has_crashes
    account = os.memfd_create("allcores-account")
    with contextlib.suppress(OSError):  # the limit of open files is lower than that
        high = fcntl.fcntl(account, fcntl.F_DUPFD_CLOEXEC, _HIGH_DESCRIPTOR)
        os.close(account)
        account = high
    has_crashes = not faulthandler.is_enabled()
    if has_crashes:
        faulthandler.enable(account)
    return account


def close_account() -> None:
    """In a fork of the child, which is somebody else."""
    global held
    if held is not None and held.is_ours():
        faulthandler.disable()
        os.close(held.number)
    held = None


def note_exception(error: BaseException) -> None:
    """Keep an exception that nobody caught, in the process that it ends."""
    import traceback

    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    try:
        text = str(error)
        shown = "".join(traceback.format_exception(error))
    except Exception:
        text, shown = "(its text could not be made)", ""
    parts = (_first(kind, 500), _first(text, _BYTES // 4), _last(shown, _BYTES // 2))
    record = _EXCEPTION + b"\0".join(part.replace(b"\0", b" ") for part in parts)
    # The program may have closed all descriptors, and the number may be a file of its own now.
    if held is not None and held.is_ours():
        with contextlib.suppress(OSError):
            os.pwrite(held.number, record, 0)


def uncaught_exception(account: bytes) -> tuple[str, str, str] | None:
    """Return type, text and traceback of an exception from an account, None if it has none."""
    if not account.startswith(_EXCEPTION):
        return None
    kind, text, shown, *_ = (account[len(_EXCEPTION) :] + b"\0\0").split(b"\0")
    return kind.decode(errors="replace"), text.decode(errors="replace"), shown.decode(errors="replace")


def _first(text: str, count: int) -> bytes:
    return text.encode(errors="replace")[:count]


def _last(text: str, count: int) -> bytes:
    return text.encode(errors="replace")[-count:]


class MemoryWatch:
    """Notices that the kernel killed for want of memory in this process's cgroup, between two looks."""

    def __init__(self, events_file: str | None = None) -> None:
        """Take the first look at the file in which a cgroup counts kills; by default that of this process's own."""
        self._file = events_file or _memory_events()
        self._kills = self._count()

    def look(self) -> str:
        """Return evidence that there was a kill since the last look, or nothing."""
        before, self._kills = self._kills, self._count()
        if self._kills <= before:
            return ""
        return f"the kernel's out-of-memory killer was at work in the cgroup ({self._file}: oom_kill {self._kills})"

    def _count(self) -> int:
        if self._file is None:
            return 0
        try:
            with open(self._file, "rb") as file:
                fields = dict(line.split() for line in file.read().splitlines())
            return int(fields.get(b"oom_kill", 0))
        except (OSError, ValueError):
            return 0


def _memory_events() -> str | None:
    """Return the file in which this process's cgroup counts kills, if there is one."""
    try:
        with open("/proc/self/cgroup") as file:
            for line in file:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                if controllers == "":
                    found = f"/sys/fs/cgroup{path}/memory.events"
                elif "memory" in controllers.split(","):
                    found = f"/sys/fs/cgroup/memory{path}/memory.oom_control"
                else:
                    continue
                if os.path.exists(found):
                    return found
    except (OSError, ValueError):
        pass
    return None
