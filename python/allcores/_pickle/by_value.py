"""Pickling functions and classes by value, with cloudpickle, where a name would mean nothing in the child.

What has a name in the sender's main module gets the same name in the receiver's: from there on it pickles by name, so
an instance of a class from a notebook can be sent back as an instance of that very class.

And where the receiver's main module is empty otherwise, functions of the sender's have it for their globals: so what an
initializer sets there, or a function keeps there, others find. A global comes with a function that uses it, and is set
unless the receiver has got that very object's before: since then it is the receiver's own.
"""

from __future__ import annotations

import collections
import io
import itertools
import os
import pickle
import sys
import types
import weakref

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
        if not self._main_is_importable and isinstance(reduced, tuple) and _has_main_for_globals(obj):
            reduced = _reduced_to_main(reduced)
        if isinstance(reduced, tuple) and len(reduced) == 6 and "." not in obj.__qualname__ and _is_named_in_main(obj):
            make, arguments, state, _, _, set_state = reduced
            return make, arguments, (set_state, state), None, None, keep_in_main
        return reduced


def keep_in_main(obj: type | types.FunctionType, state: tuple[Callable[[Any, Any], None], Any]) -> None:
    """Complete a function or class that was made anew here, and give it its name in the main module."""
    set_state, itself = state
    set_state(obj, itself)
    setattr(sys.modules["__main__"], obj.__qualname__, obj)


def _has_main_for_globals(obj: Any) -> bool:
    return isinstance(obj, types.FunctionType) and obj.__globals__ is vars(sys.modules["__main__"])


def _reduced_to_main(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a function is made of where its globals are those of the main module, which are there already."""
    _, (code, _, _, _, closure), state, _, _, set_state = reduced
    names = state[1]["__globals__"]
    sent = set_state, state, _SENDER[0], {name: _number_of(name, value) for name, value in names.items()}
    return _made_in_main, (code, closure), sent, None, None, _complete_in_main


def _made_in_main(code: types.CodeType, closure: Any) -> types.FunctionType:
    return types.FunctionType(code, vars(sys.modules["__main__"]), None, None, closure)


def _complete_in_main(function: types.FunctionType, sent: tuple[Any, Any, bytes, dict[str, int]]) -> None:
    """Complete a function that was made here, and set the globals that it came with as far as they are new."""
    set_state, (attributes, slots), sender, numbers = sent
    known, builtins = _received.setdefault(sender, {}), function.__globals__["__builtins__"]
    later = {name: number for name, number in numbers.items() if number > known.get(name, -1)}
    known.update(later)
    is_own = sender == _SENDER[0]
    new = {name: value for name, value in slots["__globals__"].items() if name in later and not is_own}
    set_state(function, (attributes, {**slots, "__globals__": new}))
    function.__globals__["__builtins__"] = builtins  # cloudpickle sets a dict, which is a module in a main module


_SENDER = [os.urandom(8)]
"""What this process is known by to those who get functions from it."""

_received: dict[bytes, dict[str, int]] = {}
"""By sender and name, the number of the global that was received last."""

_sent: dict[str, tuple[Any, int]] = {}
"""By name, the global that was sent last, or a weak reference to it, and its number."""

_numbers = itertools.count()


def _number_of(name: str, value: Any) -> int:
    """Return a number for a global of the main module: another one when it has become another object."""
    sent, number = _sent.get(name, (None, -1))
    if number < 0 or (sent() if isinstance(sent, weakref.ref) else sent) is not value:
        number = next(_numbers)
    try:
        _sent[name] = weakref.ref(value), number
    except TypeError:
        _sent[name] = value, number
    return number


def _forget_what_was_sent() -> None:
    _SENDER[0] = os.urandom(8)
    _sent.clear()


os.register_at_fork(after_in_child=_forget_what_was_sent)


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
    main = vars(sys.modules["__main__"])
    for name, (sent, _) in list(_sent.items()):
        if not isinstance(sent, weakref.ref) and main.get(name) is not sent:
            del _sent[name]  # the program has it no more
    _ByValuePickler(file, main_is_importable=main_is_importable, reducers=reducers or {}).dump(obj)
