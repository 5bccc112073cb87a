"""``allcores.sharedctypes``: ctypes objects in shared memory.

The standard library's objects; only the lock that protects them is made by the start method in force *here*, where the
standard functions would ask their own package.
"""

from __future__ import annotations

from multiprocessing import sharedctypes as _std
from multiprocessing.sharedctypes import RawArray, RawValue, copy
from typing import Any

from allcores import context as _context

# Bound now: install() puts ours under these names in the standard module.
_standard_value, _standard_array, _standard_synchronized = _std.Value, _std.Array, _std.synchronized

__all__ = ["Array", "RawArray", "RawValue", "Value", "copy", "synchronized"]


def Value(typecode_or_type: Any, *args: Any, lock: Any = True, ctx: Any = None) -> Any:
    """Return a shared ctypes object of ``typecode_or_type``, synchronized unless ``lock`` is False."""
    return _standard_value(typecode_or_type, *args, lock=lock, ctx=ctx or _context._default_context.get_context())


def Array(typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True, ctx: Any = None) -> Any:
    """Return a shared ctypes array, synchronized unless ``lock`` is False."""
    context = ctx or _context._default_context.get_context()
    return _standard_array(typecode_or_type, size_or_initializer, lock=lock, ctx=context)


def synchronized(obj: Any, lock: Any = None, ctx: Any = None) -> Any:
    """Return a wrapper that guards the shared object ``obj`` with ``lock`` (default: a new RLock)."""
    return _standard_synchronized(obj, lock, ctx or _context._default_context.get_context())


def __getattr__(name: str) -> Any:
    """Everything else, private names included, is the standard module's."""
    return getattr(_std, name)
