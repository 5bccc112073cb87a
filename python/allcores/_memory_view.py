"""The bytes of a block of shared memory, as Python sees bytes."""

from __future__ import annotations

import ctypes

from allcores import _arena, _core
from allcores._in_arena import gone
from allcores.errors import HandleError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

__all__ = ["Block", "view_of"]


def view_of(memory: _core.Memory, kind: Any = ctypes.c_ubyte, owner: object = None) -> memoryview:
    """Return a block as items of a ctypes kind. It, or ``owner`` which has it, lives as long as the view."""
    array = (kind * memory.size).from_address(memory.address)
    array._wrapper = owner or memory
    return memoryview(array)


class Block:
    """The memory of an object, as the standard library's ``heap.BufferWrapper`` is."""

    def __init__(self, memory: _core.Memory) -> None:
        self._memory = memory

    def create_memoryview(self) -> memoryview:
        """Return all of it, as bytes."""
        return view_of(self._memory, ctypes.c_char, self)

    def __reduce__(self) -> Any:
        address = self._memory._address()
        return _arena.reduce(_block_at, (address,), self, address)


def _block_at(address: _core._Address) -> Block:
    try:
        return Block(_core.Memory(0, address))
    except HandleError as error:
        raise gone("Value or Array", error) from None
