"""The owner of a segment: the process whose life its name is bound to, the root of the session that made it.

An owner is one number, which travels to children as it is and stands on each segment (`mark.py`). Read as a time:

    seconds      the inode of its pid namespace, modulo 10**9: exact, since these inodes lie in a range of 2**28
    nanoseconds  pid * 238 + its start time in clock ticks, modulo 238

A pid can be reused. When its new bearer happens to have the same remainder, one time in 238, the owner is taken to be
alive for as long as that lives: the segment stays longer. No owner that lives is ever taken to be dead.
"""

from __future__ import annotations

import contextlib
import os

__all__ = ["is_alive", "this_process"]

_SECOND = 10**9
_TICKS = 238
"""As many as fit: the greatest pid is 2**22."""

_known: tuple[int, int] | None = None
"""This process's pid and number, once looked up; a fork has another pid."""


def this_process() -> int | None:
    """Return this process as an owner; None where /proc does not tell, or tells of another pid namespace."""
    global _known
    pid = os.getpid()
    if _known is not None and _known[0] == pid:
        return _known[1]
    namespace = _namespace()
    if namespace is None:
        return None
    with contextlib.suppress(OSError, ValueError, IndexError):
        _known = (pid, namespace * _SECOND + pid * _TICKS + _ticks_and_whether_it_ended(pid)[0] % _TICKS)
        return _known[1]
    return None


def is_alive(owner: int) -> bool:
    """Whether an owner may still be alive: also, when it is of another pid namespace, which nobody here can tell."""
    namespace, rest = divmod(owner, _SECOND)
    pid, ticks = divmod(rest, _TICKS)
    if namespace != _namespace():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's: /proc has it, unless it is hidden
    try:
        started, ended = _ticks_and_whether_it_ended(pid)
    except (OSError, ValueError, IndexError):
        return True
    return started % _TICKS == ticks and not ended


def _namespace() -> int | None:
    """Return the number of this process's pid namespace; None where /proc is of another, or is not there."""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return None
        return os.stat("/proc/self/ns/pid").st_ino % _SECOND
    except OSError:
        return None


def _ticks_and_whether_it_ended(pid: int) -> tuple[int, bool]:
    """Return when a process started, in clock ticks since the machine did, and whether it waits to be reaped."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()  # behind the name, which may have any byte
    state, threads, ticks = fields[0], int(fields[17]), int(fields[19])
    return ticks, state in (b"Z", b"X") and threads <= 1  # a first thread may end before the others do
