"""The SharedMemory objects of this process whose descriptors hold a lock: what a fork and the end have to do with it.

A lock belongs to the open file description, which forked children share: it holds until the last of them has closed it,
mappings included. But unlocking is for all of them at once. So a forked child is given locks of its own, and then the
end of the program may unlock.
"""

from __future__ import annotations

import _thread
import contextlib
import fcntl
import itertools
import os
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterator
    from typing import Protocol

    class Memory(Protocol):
        """A SharedMemory of ours."""

        _fd: int
        _inode: tuple[int, int] | None


__all__ = ["add", "let_go"]

_objects: weakref.WeakValueDictionary[int, Memory] = weakref.WeakValueDictionary()
"""By id, since a subclass may not be hashable."""


def add(memory: Memory) -> None:
    """Remember an object whose descriptor holds a lock."""
    found = os.fstat(memory._fd)
    memory._inode = found.st_dev, found.st_ino
    _objects[id(memory)] = memory


def let_go() -> None:
    """Unlock all, at the end. They still work; but if nobody else has them open, they can be swept."""
    for descriptor in _descriptors():
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _before_fork() -> None:
    """Open and lock everything anew, for the child: afterwards would be too late, should this process end at once."""
    for descriptor in _descriptors():
        with contextlib.suppress(OSError):
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
            _for_child.setdefault(_thread.get_ident(), []).append((own, descriptor))
            fcntl.flock(own, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _in_parent() -> None:
    for own, _ in _for_child.pop(_thread.get_ident(), ()):
        os.close(own)


def _in_child() -> None:
    for own, descriptor in _for_child.pop(_thread.get_ident(), ()):
        with contextlib.suppress(OSError):
            os.dup2(own, descriptor, inheritable=os.get_inheritable(descriptor))
        os.close(own)
    for own, _ in itertools.chain.from_iterable(_for_child.values()):  # of threads that were forking as well
        os.close(own)
    _for_child.clear()


_for_child: dict[int, list[tuple[int, int]]] = {}
"""While a thread forks, by its identifier: descriptors for the child, and what they take the place of."""


def _descriptors() -> Iterator[int]:
    """Yield those that are still what they were: programs close what they do not know, and numbers are used again."""
    for memory in list(_objects.values()):
        with contextlib.suppress(OSError):
            found = os.fstat(memory._fd)  # -1 when it was closed
            if (found.st_dev, found.st_ino) == memory._inode:
                yield memory._fd


os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
