"""Processes by session: every worker leads one, so that whatever it starts can be found and ended."""

import contextlib
import os
import signal
import time
from pathlib import Path

PROC = Path("/proc")
SETTLE_SECONDS = 0.3  # what a killed process's helpers get to notice and clean up
DEAD_STATES = "ZX"


def _stat(pid: str) -> tuple[str, int, int] | None:
    """State, parent and session of a process; None when it has gone."""
    try:
        fields = (PROC / pid / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return fields[0], int(fields[1]), int(fields[3])
    except (OSError, ValueError, IndexError):
        return None


def _live_processes() -> dict[int, tuple[int, int]]:
    """{pid: (parent, session)}."""
    stats = {int(entry.name): _stat(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()}
    return {pid: stat[1:] for pid, stat in stats.items() if stat and stat[0] not in DEAD_STATES}


def session_members(sid: int) -> list[tuple[int, str]]:
    """Live processes of a session, each with its command line."""
    found = []
    for pid, (_, session) in _live_processes().items():
        if session == sid:
            try:
                command = (PROC / str(pid) / "cmdline").read_text(errors="replace")
            except OSError:
                continue
            found.append((pid, command.replace("\0", " ").strip()[:160]))
    return found


def kill_session(sid: int) -> None:
    """End what is left; resource trackers last, so that they can unlink what the others held."""
    for spare in "resource_tracker", None:
        for pid, command in session_members(sid):
            if spare is None or spare not in command:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if session_members(sid):
            time.sleep(SETTLE_SECONDS)


def sessions_below(pid: int) -> set[int]:
    """The sessions of a process and of its descendants, never the caller's own."""
    processes = _live_processes()
    family, grew = {pid} & processes.keys(), True
    while grew:
        born = {child for child, (parent, _) in processes.items() if parent in family} - family
        family, grew = family | born, bool(born)
    return {processes[member][1] for member in family} - {os.getsid(0)}
