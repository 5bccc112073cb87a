"""A manager's Array, in shared memory: numbers or characters of one type, of which there may be more or fewer later."""

from __future__ import annotations

import array
import contextlib

from allcores import _core
from allcores._manager.ending import Ending
from allcores._manager.in_session import InSession
from allcores._manager.proxies import PROXIES
from allcores._manager.shared_dict import SharedDict
from allcores.errors import OwnerDiedError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterator
    from typing import Any

    from allcores._manager.proxies import BaseProxy

    class _Array(BaseProxy): ...

else:
    _Array = PROXIES["ArrayProxy"]

__all__ = ["MAKERS", "ArrayProxy"]

_CHARACTERS = ("u", "w")
"""Type codes of characters, which a memoryview has as numbers of this format."""
_FORMAT = "I"


class _Table(SharedDict):
    _typeid = "Array"


class ArrayProxy(InSession, _Array):
    """Numbers (or characters) of one type, as `array.array` has them: items and slices, read and written at once."""

    _shared = (*InSession._shared, "_typecode")
    _typecode: str
    _seen: tuple[int, memoryview] | None = None
    """The table's version, and the view that is to be used then."""

    def __len__(self) -> int:
        return len(self._view())

    def __getitem__(self, index: Any) -> Any:
        if hasattr(index, "__index__"):
            try:
                item = self._view()[index]
            except IndexError:
                return self._getvalue()[index]  # which raises it as an array does
            return chr(item) if self._typecode in _CHARACTERS else item
        with self._alone() as view:
            if isinstance(index, slice) and index.step in (None, 1):
                return self._array_of(view[index])
            return self._array_of(view)[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, ArrayProxy):
            value = value._getvalue()
        turn = self._acquired()
        try:
            view = self._seen_now()
            if hasattr(index, "__index__"):
                try:
                    view[index] = self._as_in_view(value)
                    return
                except Exception:  # which is raised below as an array does it
                    pass
            self._set_items(view, index, value)
        finally:
            turn.release()

    def _set_items(self, view: memoryview, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(view))
            if step == 1 and self._is_like(value) and len(value) == stop - start:
                self._write(view, start, value)
                return
        items = self._array_of(view)
        items[index] = value
        if len(items) == len(view):
            self._write(view, 0, items)
        else:
            self._seen = None  # which keeps the block that there was
            self._object["block"] = _block_of(items)

    def _write(self, view: memoryview, start: int, items: array.array[Any]) -> None:
        """Write items in place, all or none: who finds the note, if this process is killed, goes on with it."""
        if items:
            self._object["note"] = start, items.tobytes()
            self._see(view)

    def _as_in_view(self, item: Any) -> Any:
        if self._typecode not in _CHARACTERS:
            return item
        if not isinstance(item, str):
            raise TypeError("not a character")
        return ord(item)

    def _is_like(self, value: Any) -> bool:
        return isinstance(value, array.array) and value.typecode == self._typecode

    def _acquired(self) -> _core.RLock:
        """Return the table's lock, which is this thread's now: nobody else writes meanwhile."""
        turn: _core.RLock = self.__dict__.get("_turn") or self.__dict__.setdefault("_turn", self._object._turn())
        while True:
            try:
                turn.acquire()
                return turn
            except OwnerDiedError:  # what it has noted is in the table
                continue

    @contextlib.contextmanager
    def _alone(self) -> Iterator[memoryview]:
        turn = self._acquired()
        try:
            yield self._seen_now()
        finally:
            turn.release()

    def _view(self) -> memoryview:
        """Return a view of which an item may be read."""
        seen = self._seen
        if seen is not None and seen[0] == self._object._version():
            return seen[1]
        with self._alone() as view:
            return view

    def _seen_now(self) -> memoryview:
        """Return the view that is to be used now; the lock is this thread's."""
        seen = self._seen
        if seen is not None and seen[0] == self._object._version():
            return seen[1]
        block, length = self._object["block"]
        code = _FORMAT if self._typecode in _CHARACTERS else self._typecode
        whole = block.create_memoryview().cast("B")[: length * array.array(self._typecode).itemsize]
        view = whole.cast(code) if length else memoryview(array.array(code))  # nothing cannot be cast
        self._see(view)
        return view

    def _see(self, view: memoryview) -> None:
        """Write what is noted, and use this view until the table changes again; the lock is this thread's."""
        note = self._object.get("note")
        if note is not None:
            start, content = note
            view.cast("B")[start * view.itemsize :][: len(content)] = content
            del self._object["note"]
        self._seen = self._object._version(), view

    def _array_of(self, view: memoryview) -> array.array[Any]:
        return array.array(self._typecode, view.tobytes())

    def _getvalue(self) -> Any:
        with self._alone() as view:
            return self._array_of(view)

    def _text(self) -> str:
        return repr(self._getvalue())


def _block_of(items: array.array[Any]) -> tuple[Any, int]:
    from allcores._memory_view import Block  # which loads ctypes

    content = items.tobytes()
    block = Block(_core.Memory(max(1, len(content))))
    block.create_memoryview().cast("B")[: len(content)] = content
    return block, len(items)


def _array(ending: Ending, typecode: str, sequence: Any, lock: Any = True) -> ArrayProxy:
    items = array.array(typecode, sequence)
    proxy = ArrayProxy(_Table._typeid, None, _Table.made(ending.event, {"block": _block_of(items)}))
    proxy._typecode = typecode
    return proxy


MAKERS: dict[str, Callable[..., Any]] = {"Array": _array}
"""Type of a manager: what makes one, of the manager's ending and the arguments of the user's."""
