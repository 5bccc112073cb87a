"""``allcores.shared_memory``: SharedMemory and ShareableList.

The standard library's classes, shared by name with any program, but without its resource tracker: what a program makes
and does not unlink is removed when the program has ended *and* nobody has it open any more. How, stands in
``_segments/README.md``.
"""

from __future__ import annotations

import _posixshmem
import mmap
import os
from multiprocessing import shared_memory as _std

from allcores import _standard
from allcores._segments import held, leftovers, owner, segment, session

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any, TypeVar

    _Element = TypeVar("_Element", int, float, bool, str, bytes, None)
else:
    _Element = None

__all__ = ["ShareableList", "SharedMemory"]


def _make_filename() -> str:
    """Return a random name."""
    name: str = vars(_std)["_make_filename"]()
    return name


class SharedMemory(_std.SharedMemory):
    """A block of memory that processes share by its name.

    >>> from allcores.shared_memory import SharedMemory
    >>> memory = SharedMemory(create=True, size=16)
    >>> memory.buf[:5] = b"hello"
    >>> other = SharedMemory(memory.name)  # as another process would
    >>> bytes(other.buf[:5])
    b'hello'
    >>> other.close(); memory.close(); memory.unlink()
    """

    _mode: int  # the standard class's, unknown to type checkers
    _prepend_leading_slash: bool
    _track = True
    _inode: tuple[int, int] | None = None
    """Of which the descriptor holds a lock; see `allcores._segments.held`."""

    def __init__(self, name: str | None = None, create: bool = False, size: int = 0, *, track: bool = True) -> None:
        """Make a block of ``size`` bytes, or open the one called ``name`` (None: a new name).

        One that is made belongs to the program: it is removed when that has ended, with a warning, and nobody has it
        open; with ``track=False`` it stays until somebody calls `unlink`. Opening one never makes this process
        responsible for it. (``track=`` is the standard library's from Python 3.13 on, and here on all.)

        FileExistsError or FileNotFoundError by the name; OSError for what the kernel refuses; ValueError for a size
        that is not positive, or no name where there must be one.
        """
        if not size >= 0:
            raise ValueError("'size' must be a positive integer")
        if create:
            self._flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
            if size == 0:
                raise ValueError("'size' must be a positive number different from zero")
        if name is None and not self._flags & os.O_EXCL:
            raise ValueError("'name' can only be None if create=True")
        self._track = track
        if name is not None:
            self._open("/" + name if self._prepend_leading_slash else name, create, size)
            return
        while True:
            try:
                self._open(_make_filename(), create, size)
            except FileExistsError:
                continue
            return

    def _open(self, name: str, create: bool, size: int) -> None:
        root = session.root() if create and self._track else None
        if root is not None:
            if root == owner.this_process():
                leftovers.sweep_once()
            self._fd, self._mmap = segment.create(name, self._flags, self._mode, size, root)
            is_held = True
        elif create:
            self._fd, self._mmap = segment.create_for_ever(name, self._flags, self._mode, size)
            is_held = False
        else:
            self._fd, is_held = segment.open_existing(name, self._flags, self._mode)
            self._mmap = mmap.mmap(self._fd, os.fstat(self._fd).st_size)  # should it fail, closing is for __del__
        self._name, self._size = name, len(self._mmap)
        self._buf = memoryview(self._mmap)
        if is_held:
            held.add(self)

    def unlink(self) -> None:
        """Remove the name, once in all processes; who has the block open can go on using it, until it is closed.

        FileNotFoundError when somebody has done so before.
        """
        if self._name and self._name.lstrip("/") not in leftovers.removed_at_end:
            _posixshmem.shm_unlink(self._name)


class ShareableList(_std.ShareableList[_Element]):
    """A list of fixed length in a block of shared memory, of int, float, bool, str, bytes and None.

    >>> from allcores.shared_memory import ShareableList
    >>> numbers = ShareableList([1, 2.5, "three"])
    >>> numbers[0] = 4
    >>> list(ShareableList(name=numbers.shm.name))
    [4, 2.5, 'three']
    >>> numbers.shm.close(); numbers.shm.unlink()
    """

    shm: SharedMemory

    if not TYPE_CHECKING:  # it has overloads
        __init__ = _standard.with_other_names(_std.ShareableList.__init__, SharedMemory=SharedMemory)


def __getattr__(name: str) -> Any:
    """Everything else, private names included, is the standard module's."""
    return getattr(_std, name)


session.root()  # now, so that children know, also those that the standard library starts
