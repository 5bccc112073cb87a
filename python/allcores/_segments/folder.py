"""Where the kernel's named shared memory lies as files, and which of them can be segments of ours."""

from __future__ import annotations

import contextlib
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterator

__all__ = ["FOLDER", "file_name", "files_with_marks", "may_be_marked"]

FOLDER = "/dev/shm"


def file_name(name: str) -> str | None:
    """Return the file's name of a segment's; None where ``shm_open`` knows better, such as why it is no name at all."""
    file = name.lstrip("/")
    return None if not file or "/" in file or "\0" in file or file in (".", "..") else file


def may_be_marked(found: os.stat_result) -> bool:
    """Whether a file can have a mark: the half of it that can be seen at once."""
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)


def files_with_marks() -> Iterator[str]:
    """Yield the names of files that may be marked."""
    with contextlib.suppress(OSError), os.scandir(FOLDER) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if may_be_marked(entry.stat(follow_symlinks=False)):
                    yield entry.name
