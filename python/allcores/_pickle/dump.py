"""Pickling for another process: by name where that means something there, by value where not."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable
from multiprocessing import reduction
from typing import Any

from allcores import _standard

__all__ = ["PICKLING_ERRORS", "dump", "dumps", "main_is_importable", "main_reference"]

PICKLING_ERRORS = (pickle.PicklingError, TypeError, AttributeError)
"""What picklers raise for an object that cannot be pickled; anything else is the object's own affair."""


def dump(obj: Any, file: io.BytesIO, *, main_is_importable: bool, forget: Callable[[], None] | None = None) -> None:
    """Pickle ``obj`` at the end of ``file``.

    By name first. What has no name in the receiver (lambdas, closures, everything of a main module that it cannot
    import) goes by value in a second attempt, before which ``forget`` drops what the first one noted. One of
    PICKLING_ERRORS, if it can be sent neither way.
    """
    start = file.tell()
    if main_is_importable:
        try:
            reduction.dump(obj, file)
            return
        except PICKLING_ERRORS:
            file.seek(start)
            file.truncate()
            if forget is not None:
                forget()
    from allcores._pickle.by_value import dump_by_value  # cloudpickle is loaded when it is needed

    dump_by_value(obj, file, main_is_importable=main_is_importable)


def dumps(obj: Any) -> memoryview:
    """Return the pickle of ``obj`` for a process that was started by pickling; the same errors as `dump`."""
    file = io.BytesIO()
    dump(obj, file, main_is_importable=main_is_importable(main_reference()))
    return file.getbuffer()


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
