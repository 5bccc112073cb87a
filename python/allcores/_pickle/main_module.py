"""The main module as a child could import it."""

from __future__ import annotations

import os
import sys

from allcores import _standard

__all__ = ["main_is_importable", "main_reference", "main_version"]


def main_reference() -> tuple[str, str] | None:
    """Say how a child can import this process's main module: ('name', its name), ('path', its file) or None.

    As `multiprocessing.spawn.get_preparation_data` decides it, except that a file which is not there (standard input,
    or a program that was deleted) is none.
    """
    main = sys.modules["__main__"]
    name = getattr(getattr(main, "__spec__", None), "name", None)
    if name is not None:
        return "name", name
    path = getattr(main, "__file__", None)
    if path is None:
        return None
    directory = _standard.original_directory()
    if not os.path.isabs(path) and directory is not None:
        path = os.path.join(directory, path)
    path = os.path.normpath(path)
    return ("path", path) if os.path.isfile(path) else None


def main_is_importable(reference: tuple[str, str] | None) -> bool:
    """Whether a child that gets this reference has the main module's functions and classes under their names."""
    if reference is None:
        return False
    kind, value = reference
    if kind == "name":
        return value.rpartition(".")[2] != "__main__"
    return os.path.splitext(os.path.basename(value))[0] != "ipython"


def main_version(reference: tuple[str, str] | None) -> tuple[int, int] | None:
    """Return what changes when the main module's file does: time of change in nanoseconds, and size in bytes."""
    path = reference[1] if reference is not None and reference[0] == "path" else None
    if path is None:
        path = getattr(sys.modules["__main__"], "__file__", None)
    try:
        status = os.stat(path or "")
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
