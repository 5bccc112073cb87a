"""Pickles of messages: as `multiprocessing.reduction.ForkingPickler` makes them, by a pickler that is used again.

A short message is bytes. A long one is a block of shared memory, which its receiver has for itself, and in it are the
large buffers (arrays, bytearrays), which are copied once when they are sent and not at all when they are received::

    lengths: the pickle's, each buffer's, 0      8 bytes each
    the pickle, each buffer                      each from a multiple of 64 on
"""

from __future__ import annotations

import copyreg
import io
import pickle
import threading

from allcores import _core, _standard
from allcores._pickle.dump import PICKLING_ERRORS

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["dumps", "loads"]

_KEPT_BYTES = 1 << 20
"""A pickler's buffer that became longer than that is not kept."""
_LARGE_BYTES = 1 << 14
"""A buffer of this length goes beside the pickle."""
_ALIGNMENT = 64


class _Reducers(dict[type, "Callable[[Any], Any]"]):
    """What `ForkingPickler` looks reducers up in, as one dict; they may be registered at any time."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        registered = _standard.registered_reducers
        return registered[kind] if kind in registered else copyreg.dispatch_table[kind]


class _Pickler:
    """A pickler, and where it writes."""

    def __init__(self) -> None:
        self.file, self.buffers = io.BytesIO(), list[memoryview]()
        self.pickler = pickle.Pickler(self.file, pickle.HIGHEST_PROTOCOL, buffer_callback=self._take)
        self.pickler.dispatch_table = _Reducers()
        self.is_busy = False

    def _take(self, buffer: pickle.PickleBuffer) -> bool:
        """Take a large buffer beside the pickle; True leaves it in there."""
        try:
            view = buffer.raw()
        except BufferError:  # it does not lie in one piece
            return True
        if view.nbytes < _LARGE_BYTES:
            return True
        self.buffers.append(view)
        return False

    def dump(self, obj: Any, longest: int) -> bytes | _core.Memory:
        try:
            self.pickler.dump(obj)
            if self.buffers or self.file.tell() > longest:
                # Closed at once: the traceback of an error would keep it, and the file cannot be truncated then.
                with self.file.getbuffer() as pickled:
                    return _in_block(pickled, self.buffers)
            return self.file.getvalue()
        finally:
            self.pickler.clear_memo()
            self.buffers.clear()


class _OfThread(threading.local):
    """The pickler that a thread uses again."""

    def __init__(self) -> None:
        self.pickler = _Pickler()


_of_thread = _OfThread()


def dumps(obj: Any, longest: int) -> bytes | _core.Memory:
    """Pickle an object: by name, or by value what cannot be by name. Raises what pickling it by name raises."""
    pickler = _of_thread.pickler
    if pickler.is_busy:
        pickler = _Pickler()  # a reducer puts something, too
    pickler.is_busy = True
    try:
        return pickler.dump(obj, longest)
    except PICKLING_ERRORS as error:
        return _by_value(obj, longest, error)
    finally:
        if pickler.file.tell() > _KEPT_BYTES:
            _of_thread.pickler = _Pickler()
        else:
            pickler.file.seek(0)
            pickler.file.truncate()
            pickler.is_busy = False


def _by_value(obj: Any, longest: int, error: Exception) -> bytes | _core.Memory:
    from allcores._pickle.by_value import dump_by_value  # cloudpickle is loaded when it is needed

    file = io.BytesIO()
    try:
        dump_by_value(obj, file, main_is_importable=True)
    except PICKLING_ERRORS:
        raise error from None
    return file.getvalue() if file.tell() <= longest else _in_block(file.getbuffer(), [])


def _in_block(pickled: memoryview, buffers: Sequence[memoryview]) -> _core.Memory:
    parts = [pickled, *buffers]
    at = 8 * (len(parts) + 1)
    places = []
    for part in parts:
        at += -at % _ALIGNMENT
        places.append(slice(at, at + part.nbytes))
        at += part.nbytes
    memory = _core.Memory(at, zeroed=False)
    view = _view(memory)
    for index, part in enumerate(parts):
        view[8 * index : 8 * index + 8] = part.nbytes.to_bytes(8, "little")
    for place, part in zip(places, parts, strict=True):
        view[place] = part
    return memory


def loads(message: bytes | _core.Memory) -> Any:
    """Make the object that was pickled; its large buffers are the message's block itself, and can be written to."""
    if isinstance(message, bytes):
        return pickle.loads(message)
    view = _view(message)
    lengths: list[int] = []
    while length := int.from_bytes(view[8 * len(lengths) : 8 * len(lengths) + 8], "little"):
        lengths.append(length)
    at, parts = 8 * (len(lengths) + 1), []
    for length in lengths:
        at += -at % _ALIGNMENT
        parts.append(view[at : at + length])
        at += length
    return pickle.loads(parts[0], buffers=parts[1:])


def _view(memory: _core.Memory) -> memoryview:
    from allcores._memory_view import view_of  # only now: few messages are long

    return view_of(memory).cast("B")
