"""The main module as a child could import it."""

from __future__ import annotations

import functools
import os
import stat
import sys

from allcores import _standard

__all__ = ["look_at_main", "main_is_importable", "main_reference"]

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    MainLook = tuple[tuple[str, str] | None, tuple[int, int] | None]

_last: tuple[object, object, object, str | None, str | None] = (None, None, None, None, None)
"""What the last look saw (``__spec__``, ``__file__``, the directory) and found (a name, a file)."""


def look_at_main() -> MainLook:
    """Return `main_reference`, and what changes when the file does: its time of change in nanoseconds, and its size."""
    global _last
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    directory = _standard.original_directory()
    if _last[0] is not spec or _last[1] is not file or _last[2] is not directory:
        _last = (spec, file, directory, getattr(spec, "name", None), _absolute(file, directory))
    name, path = _last[3:]
    version = None
    if path is not None:
        try:
            status = os.stat(path)
        except OSError:
            path = None
        else:
            version = status.st_mtime_ns, status.st_size
            if not stat.S_ISREG(status.st_mode):
                path = None
    if name is not None:
        return ("name", name), version
    return None if path is None else ("path", path), version


def _absolute(file: str | None, directory: str | None) -> str | None:
    if file is None:
        return None
    if not os.path.isabs(file) and directory is not None:
        file = os.path.join(directory, file)
    return os.path.normpath(file)


def main_reference() -> tuple[str, str] | None:
    """Say how a child can import this process's main module: ('name', its name), ('path', its file) or None.

    As `multiprocessing.spawn.get_preparation_data` decides it, except that a file which is not there (standard input,
    or a program that was deleted) is none.
    """
    return look_at_main()[0]


@functools.lru_cache(4)
def main_is_importable(reference: tuple[str, str] | None) -> bool:
    """Whether a child that gets this reference has the main module's functions and classes under their names."""
    if reference is None:
        return False
    kind, value = reference
    if kind == "name":
        return value.rpartition(".")[2] != "__main__"
    return os.path.splitext(os.path.basename(value))[0] != "ipython"
