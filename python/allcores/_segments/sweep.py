"""The sweep: removing segments that are marked, whose owner has ended, and which nobody has open.

What is not marked, of the standard library's for instance, is never touched; nor is another user's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from allcores._segments import mark, owner
from allcores._segments.folder import FOLDER, files_with_marks

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable

__all__ = ["Removed", "remove_if_abandoned", "sweep"]


class Removed:
    """A segment that was removed."""

    def __init__(self, name: str, size_bytes: int, owner: int) -> None:
        """``name`` is what `SharedMemory` was called with."""
        self.name, self.size_bytes, self.owner = name, size_bytes, owner


def _has_ended(owner_: int) -> bool:
    return not owner.is_alive(owner_)


def sweep(may_remove: Callable[[int], bool] = _has_ended) -> list[Removed]:
    """Remove what is abandoned, by owners whom ``may_remove`` allows (default: those that have ended)."""
    removed = []
    for file in list(files_with_marks()):
        with contextlib.suppress(OSError):
            one = remove_if_abandoned(file, may_remove)
            if one is not None:
                removed.append(one)
    return removed


def remove_if_abandoned(file: str, may_remove: Callable[[int], bool] = _has_ended) -> Removed | None:
    """Remove one segment by its file's name, if it is abandoned. OSError when it is gone or cannot be opened."""
    path = os.path.join(FOLDER, file)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        its_owner = mark.owner_of(descriptor)
        if its_owner is None or found.st_uid != os.geteuid() or not may_remove(its_owner):
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None  # somebody has it open
        # From here on who opens it waits for our lock, and sees then that the name is gone.
        if not os.path.samestat(found, os.stat(path, follow_symlinks=False)):
            return None  # unlinked, and made anew by the same name
        os.unlink(path)
        return Removed(file, found.st_size, its_owner)
    finally:
        os.close(descriptor)
