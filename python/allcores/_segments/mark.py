"""The mark on a segment that says: allcores made it, and whose it is.

The sticky bit, which means nothing on a file, and the owner's number in an extended attribute. tmpfs has those from
Linux 6.6 on. On older kernels the number stands in the time of access, which then lies before the year 2001; the kernel
leaves that alone when the descriptor says so (`O_NOATIME`), as all of allcores' do. When another program reads or maps
such a segment the kernel sets the time, and then it counts as unmarked: nobody removes it. (Not the time of
modification: writing through a mapping sets it. Not the name: it is the program's. Not the content: its size is seen.)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat

from allcores._segments.folder import may_be_marked

__all__ = ["keep", "owner_of", "put"]

_ATTRIBUTE = "user.allcores"
_FIRST_OF_THE_KERNEL_NS = 10**18
"""The year 2001: the kernel's own times are later, owners are smaller numbers."""


def put(descriptor: int, owner: int) -> None:
    """Mark a segment that is locked."""
    found = os.fstat(descriptor)
    try:
        os.setxattr(descriptor, _ATTRIBUTE, b"%d" % owner)
    except OSError:
        os.utime(descriptor, ns=(owner, found.st_mtime_ns))
        keep(descriptor)
    os.fchmod(descriptor, stat.S_IMODE(found.st_mode) | stat.S_ISVTX)  # last: now the mark is complete


def keep(descriptor: int) -> None:
    """Let a use of a segment by this descriptor leave its mark alone."""
    with contextlib.suppress(OSError):  # another user's
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_NOATIME)


def owner_of(descriptor: int) -> int | None:
    """Return the owner of a segment; None when it has no mark."""
    found = os.fstat(descriptor)
    if not may_be_marked(found):
        return None
    with contextlib.suppress(OSError, ValueError):
        return int(os.getxattr(descriptor, _ATTRIBUTE))
    return found.st_atime_ns if 0 < found.st_atime_ns < _FIRST_OF_THE_KERNEL_NS else None
