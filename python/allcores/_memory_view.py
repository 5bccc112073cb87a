"""The bytes of a block of shared memory, as Python sees bytes."""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

    from allcores import _core

__all__ = ["view_of"]


def view_of(memory: _core.Memory, kind: Any = ctypes.c_ubyte, owner: object = None) -> memoryview:
    """Return a block as items of a ctypes kind. It, or ``owner`` which has it, lives as long as the view."""
    array = (kind * memory.size).from_address(memory.address)
    array._wrapper = owner or memory
    return memoryview(array)
