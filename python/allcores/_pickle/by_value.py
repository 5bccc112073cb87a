"""Pickling functions and classes by value, with cloudpickle, where a name would mean nothing in the child.

What has a name in the sender's main module gets the same name in the receiver's: from there on it pickles by name, so
an instance of a class from a notebook can be sent back as an instance of that very class.
"""

from __future__ import annotations

import collections
import io
import pickle
import sys
import types

import cloudpickle

from allcores import _standard

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import IO, Any

__all__ = ["dump_by_value", "keep_in_main"]


class _ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle, with the reducers that multiprocessing and libraries registered for travel between processes."""

    def __init__(self, file: IO[bytes], *, main_is_importable: bool, reducers: dict[type, Any]) -> None:
        # Before __init__, which is where the pickler in C looks at it.
        self.dispatch_table = collections.ChainMap(
            reducers, _standard.registered_reducers, *cloudpickle.Pickler.dispatch_table.maps
        )
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._main_is_importable = main_is_importable

    def reducer_override(self, obj: Any) -> Any:
        """Keep what the child's main module has under the same name: a copy would be another class there."""
        if isinstance(obj, io.TextIOWrapper):
            # cloudpickle would send what the file holds, in place of the file.
            raise TypeError("cannot pickle '_io.TextIOWrapper' object")
        if self._main_is_importable and isinstance(obj, (type, types.FunctionType)) and _is_named_in_main(obj):
            return NotImplemented
        reduced = super().reducer_override(obj)
        if isinstance(reduced, tuple) and len(reduced) == 6 and "." not in obj.__qualname__ and _is_named_in_main(obj):
            make, arguments, state, _, _, set_state = reduced
            return make, arguments, (set_state, state), None, None, keep_in_main
        return reduced


def keep_in_main(obj: type | types.FunctionType, state: tuple[Callable[[Any, Any], None], Any]) -> None:
    """Complete a function or class that was made anew here, and give it its name in the main module."""
    set_state, itself = state
    set_state(obj, itself)
    setattr(sys.modules["__main__"], obj.__qualname__, obj)


def _is_named_in_main(obj: type | types.FunctionType) -> bool:
    if obj.__module__ not in ("__main__", "__mp_main__"):
        return False
    found: Any = sys.modules.get(obj.__module__)
    for part in obj.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is obj


def dump_by_value(
    obj: Any, file: IO[bytes], *, main_is_importable: bool, reducers: dict[type, Any] | None = None
) -> None:
    """Pickle ``obj`` to ``file``, types with reducers by these; the plain ``pickle.load`` reads it."""
    _ByValuePickler(file, main_is_importable=main_is_importable, reducers=reducers or {}).dump(obj)
