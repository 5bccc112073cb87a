"""What is rare of messages: pickles by value, and long ones. The pickler is `_core.dumps`.

A short message is bytes. A long one is a block of shared memory, which its receiver has for itself, and in it are the
large buffers (arrays, bytearrays), which are copied once when they are sent and not at all when they are received::

    lengths: the pickle's, each buffer's, 0      8 bytes each
    the pickle, each buffer                      each from a multiple of 64 on
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pickle
import sys
from multiprocessing import process
from multiprocessing.reduction import ForkingPickler
from types import MethodType

from allcores import _core
from allcores._pickle.dump import PICKLING_ERRORS, reducers
from allcores._pickle.main_module import main_is_importable, main_reference
from allcores._start_method import effective_start_method

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = [
    "PICKLING_ERRORS",
    "REDUCERS",
    "by_value",
    "dumps_for_many",
    "found_in_main",
    "given",
    "keep",
    "loads",
    "loads_copy",
    "prepare",
    "repickle",
    "whole",
]

_ALIGNMENT = 64


REDUCERS = reducers()


_REPEATABLE = frozenset((functools.partial, MethodType, type(list.append), type(int.__add__)))
"""What the standard library has registered that is nothing but names and parts."""


def dumps_for_many(
    obj: Any, longest: int, by_value: Callable[[Any, int], bytes | _core.Memory] | None = None
) -> bytes | _core.Memory | None:
    """Pickle an object for receivers that read it any number of times; None when somebody must read it once.

    So it is with descriptors, which are handed over to who asks first. ``by_value`` pickles where no name is known.
    What the object has handles to is there as long as its pickle, a block then.
    """
    handed_over, noting = _handed_over(), reducers(_REPEATABLE)

    def pickle_it() -> bytes | _core.Memory:
        if by_value is not None:
            return by_value(obj, longest)
        try:
            return _core.dumps_by_name(obj, longest, noting)
        except PICKLING_ERRORS:
            return _core.dumps(obj, longest)

    pickled = _core.with_handles(pickle_it)
    return None if noting.is_for_one or _handed_over() != handed_over else pickled


def _handed_over() -> int:
    """Return how many descriptors this process was to hand over up to now."""
    sharer: Any = sys.modules.get("multiprocessing.resource_sharer")
    return 0 if sharer is None else sharer._resource_sharer._key


def by_value(obj: Any, longest: int) -> bytes | _core.Memory:
    """Pickle an object by value; what the main module names by name, if its receiver will find that."""
    from allcores._pickle.by_value import dump_by_value  # cloudpickle is loaded when it is needed

    file = io.BytesIO()
    dump_by_value(obj, file, main_is_importable=not _children_lack_main())
    return whole([file.getvalue()], [], longest)


def found_in_main(obj: Any, longest: int, pickled: bytes | _core.Memory) -> bytes | _core.Memory:
    """Return the pickle of an object by name, or by value if it has names that its receiver will not find."""
    if _children_lack_main() and b"__main__" in _pickle_of(pickled):
        with contextlib.suppress(*PICKLING_ERRORS):
            return by_value(obj, longest)
    return pickled


_is_first_without_main: bool | None = None
"""Whether this is a program's first process, whose main module has no file (REPL, notebook, ``-c``); None: unknown."""


def _children_lack_main() -> bool:
    """Whether children have not got what the main module here defines, and will not find it under its name."""
    global _is_first_without_main
    if _is_first_without_main is None:
        is_first = process.parent_process() is None
        _is_first_without_main = is_first and not main_is_importable(main_reference())
        _core.note_main(not _is_first_without_main)  # then nobody asks again
    return _is_first_without_main and effective_start_method() != "fork"


def _forget_who_this_is() -> None:
    global _is_first_without_main
    _is_first_without_main = None
    _core.note_main(False)


def _await_import() -> None:
    """Let another thread that loads the module for long messages finish: in a fork it would never be loaded."""
    if _is_view_wanted:
        import allcores._memory_view  # noqa: F401


os.register_at_fork(before=_await_import, after_in_child=_forget_who_this_is)


def whole(pieces: list[bytes], buffers: Sequence[memoryview], longest: int) -> bytes | _core.Memory:
    """Return a pickle as a message: its bytes, or a block when it is a long one or has large buffers."""
    pickled = b"".join(pieces)
    return _in_block(memoryview(pickled), buffers) if buffers or len(pickled) > longest else pickled


def _in_block(pickled: memoryview, buffers: Sequence[memoryview]) -> _core.Memory:
    parts = [pickled, *buffers]
    lengths = [part.nbytes for part in parts]
    places = _places(lengths)
    memory = _core.Memory(places[-1].stop, zeroed=False)
    memory.fill(0, b"".join(length.to_bytes(8, "little") for length in (*lengths, 0)))
    for place, part in zip(places, parts, strict=True):
        memory.fill(place.start, part)
    return memory


def loads(message: _core.Memory) -> Any:
    """Make the object of a long message; its large buffers are the block itself, and can be written to.

    But for a block that has its pages together with others: those would be shared with forks of this process.
    """
    pickled, *buffers = _parts(message)
    return pickle.loads(pickled, buffers=buffers if message.is_apart else map(bytearray, buffers))


def loads_copy(message: _core.Memory) -> Any:
    """Make the object of a long message that stays as it is: its large buffers are copies."""
    pickled, *buffers = _parts(message)
    return pickle.loads(pickled, buffers=map(bytearray, buffers))


def _parts(message: _core.Memory) -> list[memoryview]:
    """Return a long message's pickle, and its large buffers."""
    view = _view(message)
    lengths: list[int] = []
    while length := int.from_bytes(view[8 * len(lengths) : 8 * len(lengths) + 8], "little"):
        lengths.append(length)
    return [view[place] for place in _places(lengths)]


def _pickle_of(message: bytes | _core.Memory) -> bytes:
    return message if isinstance(message, bytes) else bytes(_parts(message)[0])


def _places(lengths: Sequence[int]) -> list[slice]:
    """Return where parts of these lengths are, behind the lengths themselves."""
    at, places = 8 * (len(lengths) + 1), []
    for length in lengths:
        at += -at % _ALIGNMENT
        places.append(slice(at, at + length))
        at += length
    return places


def keep(part: memoryview) -> _core.Memory:
    """Return a block with these bytes and nothing else."""
    memory = _core.Memory(part.nbytes, zeroed=False)
    memory.fill(0, part if part.c_contiguous else part.tobytes())
    return memory


def given(message: _core.Memory) -> bytes:
    """Return the bytes that were kept in a block."""
    return bytes(_view(message))


def repickle(obj: Any) -> bytes:
    """Return the pickle of an object, as a pipe of the standard library would have carried it."""
    return bytes(ForkingPickler.dumps(obj))


_is_view_wanted = False
_view_of: Callable[[_core.Memory], memoryview] | None = None


def prepare() -> None:
    """Load what long messages need, before one is taken: without a descriptor left, say, this fails."""
    _loaded_view_of()


def _loaded_view_of() -> Callable[[_core.Memory], memoryview]:
    global _is_view_wanted, _view_of
    if _view_of is None:
        _is_view_wanted = True  # first: see _await_import
        from allcores._memory_view import view_of  # which loads ctypes, for long messages only

        _view_of = view_of
    return _view_of


def _view(memory: _core.Memory) -> memoryview:
    return (_view_of or _loaded_view_of())(memory).cast("B")
