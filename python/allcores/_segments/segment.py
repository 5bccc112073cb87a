"""Making a segment and opening one, so that at every moment somebody is responsible for it. README.md has the order."""

from __future__ import annotations

import _posixshmem
import contextlib
import errno
import fcntl
import mmap
import os

from allcores._segments import mark, owner, session, sweep
from allcores._segments.folder import FOLDER, file_name

__all__ = ["create", "create_for_ever", "open_existing"]


def create(name: str, flags: int, mode: int, size: int, root: int) -> tuple[int, mmap.mmap]:
    """Make a segment that belongs to ``root``; return its descriptor, which holds the lock, and its mapping.

    FileExistsError, or whatever else ``shm_open`` raises.
    """
    file = file_name(name)
    while file is not None:
        try:
            return _create_whole(file, mode, size, root)
        except FileExistsError:
            # Perhaps of this program itself, when it was killed before it was started again.
            if not _removed(file):
                break
        except OSError:
            break  # the other way says why, or does it where this one is not to be had
    return _create_by_name(name, flags, mode, size, root)


def _create_whole(file: str, mode: int, size: int, root: int) -> tuple[int, mmap.mmap]:
    """Make a file without a name, and give it one when it is all that a segment should be."""
    folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode, dir_fd=folder)
        try:
            mapping = _make_ready(descriptor, size, root)
            os.link(f"/proc/self/fd/{descriptor}", file, dst_dir_fd=folder)  # by dst_dir_fd it follows the link
        except BaseException:
            os.close(descriptor)
            raise
    finally:
        os.close(folder)
    return descriptor, mapping


def create_for_ever(name: str, flags: int, mode: int, size: int) -> tuple[int, mmap.mmap]:
    """Make a segment that belongs to nobody: unmarked, so nothing here will remove it. Raises what `create` does."""
    return _create_by_name(name, flags, mode, size, None)


def _create_by_name(name: str, flags: int, mode: int, size: int, root: int | None) -> tuple[int, mmap.mmap]:
    """Make it as the standard library does. A SIGKILL before the mark is put leaves it as that would: for ever."""
    descriptor: int = _posixshmem.shm_open(name, flags, mode=mode)
    try:
        return descriptor, _make_ready(descriptor, size, root)
    except BaseException:
        os.close(descriptor)
        _posixshmem.shm_unlink(name)
        raise


def _make_ready(descriptor: int, size: int, root: int | None) -> mmap.mmap:
    os.ftruncate(descriptor, size)
    mapping = mmap.mmap(descriptor, size)
    if root is not None:
        with contextlib.suppress(OSError):  # a file system without locks: unmarked, it is as the standard library's
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # first: what is marked and not locked is swept
            mark.put(descriptor, root)
    return mapping


def _removed(file: str) -> bool:
    try:
        return sweep.remove_if_abandoned(file) is not None
    except OSError:
        return False


def open_existing(name: str, flags: int, mode: int) -> tuple[int, bool]:
    """Open a segment; return its descriptor, and whether that holds the lock, as it does for those of allcores.

    One that is abandoned is removed instead: it is as if the program that made it had done so when it was killed.
    FileNotFoundError then, or whatever ``shm_open`` raises.
    """
    descriptor: int = _posixshmem.shm_open(name, flags, mode=mode)
    try:
        its_owner = mark.owner_of(descriptor)
        if its_owner is None:
            return descriptor, False
        mark.keep(descriptor)
        file = file_name(name)
        if file is not None and not session.is_ours(its_owner) and not owner.is_alive(its_owner):
            _removed(file)
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits for a sweep that looks at it
        if os.fstat(descriptor).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, True
