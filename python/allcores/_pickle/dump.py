"""Pickling for another process: by name where that means something there, by value where not."""

from __future__ import annotations

import copyreg
import io
import pickle
from multiprocessing import reduction

from allcores import _core, _standard
from allcores._pickle.main_module import main_is_importable as is_importable, main_reference

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

__all__ = ["PICKLING_ERRORS", "dump", "dumps", "reducers"]

PICKLING_ERRORS = (pickle.PicklingError, TypeError, AttributeError)
"""What picklers raise for an object that cannot be pickled; anything else is the object's own affair."""


def reducers(repeatable: frozenset[type] | None = None) -> _core.Reducers:
    """Return what `ForkingPickler` looks reducers up in, as one mapping; they may be registered at any time.

    ``repeatable``: those registered there that make nothing for a single receiver; whether others were used is noted.
    """
    return _core.Reducers(_standard.registered_reducers, copyreg.dispatch_table, repeatable)


def dump(obj: Any, file: io.BytesIO, *, main_is_importable: bool, forget: Callable[[], None] | None = None) -> None:
    """Pickle ``obj`` at the end of ``file``.

    By name first. What has no name in the receiver (lambdas, closures, everything of a main module that it cannot
    import) goes by value in a second attempt, before which ``forget`` drops what the first one noted. One of
    PICKLING_ERRORS, if it can be sent neither way.
    """
    start = file.tell()
    if main_is_importable:
        try:
            _dump_by_name(obj, file)
            return
        except PICKLING_ERRORS:
            file.seek(start)
            file.truncate()
            if forget is not None:
                forget()
    from allcores._pickle.by_value import dump_by_value  # cloudpickle is loaded when it is needed

    dump_by_value(obj, file, main_is_importable=main_is_importable)


_standard_dump, _StandardPickler = reduction.dump, reduction.ForkingPickler


def _dump_by_name(obj: Any, file: io.BytesIO) -> None:
    """Do what `reduction.dump` does, unless somebody has put another one there.

    It looks every type up in a chain of dicts that is written in Python, which takes longer than all the rest.
    """
    if reduction.dump is not _standard_dump or reduction.ForkingPickler is not _StandardPickler:
        reduction.dump(obj, file)
        return
    pickler = pickle.Pickler(file)
    pickler.dispatch_table = reducers()  # type: ignore[assignment]  # which only needs to be looked up in
    pickler.dump(obj)


def dumps(obj: Any) -> memoryview:
    """Return the pickle of ``obj`` for a process that was started by pickling; the same errors as `dump`."""
    file = io.BytesIO()
    dump(obj, file, main_is_importable=is_importable(main_reference()))
    return file.getbuffer()
