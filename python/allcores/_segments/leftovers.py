"""What others have left behind, at the first segment of a session; and what this one leaves, at its root's end."""

from __future__ import annotations

import os
import warnings

from allcores._segments import held, owner
from allcores._segments.sweep import Removed, sweep

__all__ = ["clean", "clean_and_warn", "removed_at_end", "sweep_once"]

_SHOWN = 5
"""How many names a warning has."""

_swept_by_pid = 0
"""Which this process may be a fork of."""


removed_at_end: set[str] = set()
"""Names, for exit functions of the program that run later and unlink what is gone already."""


def sweep_once() -> None:
    """Remove what sessions that were killed have left, when this process has not done so before."""
    global _swept_by_pid
    if _swept_by_pid != os.getpid():
        _swept_by_pid = os.getpid()
        sweep()


def clean(own: int | None) -> list[Removed]:
    """Remove what belongs to ``own``, this process, unless another has it open; and what others have left."""
    held.let_go()
    return sweep(lambda other: other == own or not owner.is_alive(other))


def clean_and_warn(own: int) -> None:
    """Do so at the end of the program, and say once what that had forgotten."""
    names = sorted(one.name for one in clean(own) if one.owner == own)
    removed_at_end.update(names)
    if names:
        shown = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
        warnings.warn(
            f"allcores: There appear to be {len(names)} leaked shared_memory objects to clean up at shutdown: {shown}. "
            "They have been removed. Whoever uses one last should call its unlink()",
            UserWarning,
            stacklevel=1,
        )
