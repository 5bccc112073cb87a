"""What is left when a process is killed, as far as others may find it: whether an instruction has changed it.

That is the session's shared memory, and the list of robust mutexes by which the kernel knows what a dead thread held.
All else that a process has goes with it, but for what it has the kernel do, by a system call.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct

from allcores import _arena

_SYS_GET_ROBUST_LIST = 274  # of x86-64
_HEAD = struct.Struct("QqQ")
"""``struct robust_list_head``: the first entry, an offset, and the lock that is being taken or given back."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]


class _Extent:
    """A part of the file that has data, and a copy of it."""

    def __init__(self, start: int, length: int) -> None:
        self.start, self.length = start, length
        self.copy = ctypes.create_string_buffer(length)
        self.take()

    def take(self) -> None:
        ctypes.memmove(self.copy, self.start, self.length)

    def differs(self) -> bool:
        return bool(_libc.memcmp(self.start, self.copy, self.length))


class LastingState:
    """What a process that is traced, of this session, leaves behind if it is killed now."""

    def __init__(self, pid: int, memory: int) -> None:
        """``memory`` is a descriptor of ``/proc/PID/mem``."""
        self._file = os.open(f"/proc/self/fd/{_arena.descriptor()}", os.O_RDWR)  # with a position of its own
        self._mapping = mmap.mmap(self._file, os.fstat(self._file).st_size)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._mapping))
        self._memory = memory
        head, size = ctypes.c_ulong(), ctypes.c_size_t()
        if _libc.syscall(_SYS_GET_ROBUST_LIST, pid, ctypes.byref(head), ctypes.byref(size)):
            raise OSError(ctypes.get_errno(), "get_robust_list")
        self._head = head.value
        self._robust = self._read_robust()
        self._blocks, self._extents = -1, list[_Extent]()
        self.has_changed()

    def _read_robust(self) -> bytes:
        return os.pread(self._memory, _HEAD.size, self._head) if self._head else b""

    def has_changed(self) -> bool:
        """Whether it is another one than when this was called last. (The list's entries lie in the shared memory.)"""
        robust, blocks = self._read_robust(), os.fstat(self._file).st_blocks
        changed = [extent for extent in self._extents if extent.differs()]
        for extent in changed:
            extent.take()
        is_other = bool(changed) or robust != self._robust
        self._robust = robust
        if blocks != self._blocks:  # it has got pages, or has lost some
            self._blocks, self._extents, is_other = blocks, self._read_extents(), True
        return is_other

    def _read_extents(self) -> list[_Extent]:
        found: list[_Extent] = []
        end = 0
        while True:
            try:
                start = os.lseek(self._file, end, os.SEEK_DATA)
            except OSError as error:
                assert error.errno == errno.ENXIO, error  # no data behind it
                return found
            end = os.lseek(self._file, start, os.SEEK_HOLE)
            found.append(_Extent(self._address + start, end - start))

    def close(self) -> None:
        """Have the file and its mapping no more."""
        os.close(self._file)  # the mapping goes with the last address that was taken of it
