"""Pickling for another process: by name where that means something there, by value where not."""

from __future__ import annotations

import copyreg
import io
import pickle
from multiprocessing import reduction

from allcores import _standard
from allcores._pickle.main_module import main_is_importable as is_importable, main_reference

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

    _Table = dict[type, Callable[[Any], Any]]
else:
    _Table = dict

__all__ = ["PICKLING_ERRORS", "Reducers", "dump", "dumps"]

PICKLING_ERRORS = (pickle.PicklingError, TypeError, AttributeError)
"""What picklers raise for an object that cannot be pickled; anything else is the object's own affair."""


class Reducers(_Table):
    """What `ForkingPickler` looks reducers up in, as one dict; they may be registered at any time."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        """Look where they are registered. KeyError for a type without one."""
        registered = _standard.registered_reducers
        return registered[kind] if kind in registered else copyreg.dispatch_table[kind]


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
    pickler.dispatch_table = Reducers()
    pickler.dump(obj)


def dumps(obj: Any) -> memoryview:
    """Return the pickle of ``obj`` for a process that was started by pickling; the same errors as `dump`."""
    file = io.BytesIO()
    dump(obj, file, main_is_importable=is_importable(main_reference()))
    return file.getbuffer()
