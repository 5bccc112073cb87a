"""Tasks as messages: what the caller sends, and what the worker makes of it.

A task is a function and its arguments, as a tuple. Functions that have a name are pickled once and travel as bytes, by
which a worker knows them again; with arguments that are numbers and strings nothing then is pickled at all.
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
from types import BuiltinFunctionType, FunctionType, ModuleType

from allcores import _core
from allcores._pickle.dump import PICKLING_ERRORS, dumps as _dumps_for_child
from allcores._pickle.main_module import main_is_importable, main_reference
from allcores._pickle.messages import dumps_for_many, loads_copy, whole
from allcores._pool.marks import BY_VALUE, CALL, MAP

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

__all__ = ["Packing", "learn_first", "opened", "run"]

_SHORT_BYTES = 1 << 12
_MOST_KNOWN = 256

_names: dict[Any, bytes] = {}
_known: dict[bytes, Any] = {}


def name_of(function: Any) -> Any:
    """Return a pickle by which workers know the function, if it is one with a name; otherwise itself."""
    kind = type(function)
    if kind is not FunctionType and kind is not type and kind is not BuiltinFunctionType:
        return function
    try:
        return _names[function]
    except KeyError:
        return _new_name_of(function)


def _new_name_of(function: Any) -> Any:
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType):
        return function  # of an object, which may be another one next time
    try:
        name = _core.dumps_by_name(function, _SHORT_BYTES)
    except PICKLING_ERRORS:
        return function
    if not isinstance(name, bytes):
        return function
    if len(_names) >= _MOST_KNOWN:
        _names.clear()
    _names[function] = name
    return name


class Once:
    """A callable without a name that many tasks call: pickled once, and read where it lies."""

    __slots__ = ("_address", "_pickled", "is_kept")

    def __init__(self, pickled: bytes | None, address: _core._Address | None, is_kept: bool) -> None:
        """Have the pickle, or where it lies, and whether who reads it keeps what it makes."""
        self._pickled, self._address, self.is_kept = pickled, address, is_kept

    def __reduce__(self) -> Any:
        """Travel as that."""
        return Once, (self._pickled, self._address, self.is_kept)

    def make(self) -> Callable[..., Any]:
        """Make the callable anew."""
        made: Callable[..., Any]
        if self._pickled is not None:
            made = pickle.loads(self._pickled)
        else:
            made = loads_copy(_core.Memory(0, self._address, False))
        return made


class Packing:
    """How a pool's tasks travel: by name where workers have the main module, by value where they cannot import it."""

    def __init__(self, start_method: object) -> None:
        """Workers that are forked have the main module as it is."""
        self.by_value = start_method != "fork" and not main_is_importable(main_reference())

    def call(self, function: Any, arguments: Any, keywords: Any) -> tuple[int, Any]:
        """Return mark and object for a call."""
        if self.by_value:
            return CALL | BY_VALUE, bytes(_dumps_for_child((function, arguments, keywords)))
        name = name_of(function)
        if type(arguments) is not tuple:
            arguments = tuple(arguments)
        return CALL, (name, arguments, keywords) if keywords else (name, arguments)

    def note(self, error: BaseException, **parts: Any) -> None:
        """Note beside an error which part of a task, by its name, cannot be pickled, if that is what it is.

        It asks objects what they are made of, so a signal handler may raise here: what must be done is done then, too.
        """
        if isinstance(error, PICKLING_ERRORS):
            from allcores._pickle.culprit import note_in_task  # cloudpickle is loaded when it is needed

            with contextlib.suppress(Exception):  # theirs; the error is told without
                note_in_task(error, not self.by_value, **parts)

    def head(self, function: Any, owner: Any = None, *, is_kept: bool = False) -> Any:
        """Return what stands for the function in many tasks: bytes, or itself where it has to be pickled for each.

        One without a name is pickled once. A long pickle lies in a block, which the owner keeps as ``_sent_once`` until
        all tasks are done; without an owner it is pickled for each task. ``is_kept``: a worker makes it once for all of
        its tasks, and not for each.
        """
        if not self.by_value:
            name = name_of(function)
            if type(name) is bytes:
                return name
        pickled = dumps_for_many(function, _SHORT_BYTES, _by_value if self.by_value else None)
        if pickled is None:
            return function
        if isinstance(pickled, bytes):
            if is_kept or type(function) is FunctionType:
                return pickled  # which is known as a name is
            return pickle.dumps(Once(pickled, None, False), pickle.HIGHEST_PROTOCOL)
        if owner is None:
            return function
        owner._sent_once = pickled
        return pickle.dumps(Once(None, pickled._address(), is_kept), pickle.HIGHEST_PROTOCOL)

    def part(self, mark: int, head: Any, items: tuple[Any, ...] | range) -> tuple[int, Any]:
        """Return mark and object for a part of a sequence."""
        if self.by_value:
            return mark | BY_VALUE, bytes(_dumps_for_child((head, items)))
        return mark, (head, items)


def opened(mark: int, task: Any) -> tuple[int, Any]:
    """Return mark and task of one that came by value."""
    return mark ^ BY_VALUE, _core.loads(task)


def _by_value(function: Any, longest: int) -> Any:
    return whole([bytes(_dumps_for_child(function))], [], longest)


def run(mark: int, task: Any) -> Any:
    """Do a task, in the worker, and return what it returns; of a part, a tuple of that."""
    function = task[0]
    if type(function) is bytes:
        known = _known.get(function)  # no try: what learning it raises would have a KeyError before it
        function = _learn(function) if known is None else known
        if type(function) is Once:
            function = function.make()  # as if it had come with the task: a task may change it
    if mark == CALL:
        return function(*task[1]) if len(task) == 2 else function(*task[1], **task[2])
    if mark == MAP:
        return tuple(map(function, task[1]))
    return tuple(itertools.starmap(function, task[1]))


def learn_first(name: bytes, initializer: Callable[..., object] | None, initargs: Any) -> None:
    """Know a function before the first task comes, as a worker's initializer: importing its module may take seconds.

    What that raises, the first task raises again.
    """
    with contextlib.suppress(Exception):
        _learn(name)
    if initializer is not None:
        initializer(*initargs)


def _learn(name: bytes) -> Any:
    function = pickle.loads(name)
    if type(function) is Once and function.is_kept:
        function = function.make()
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[name] = function
    return function
