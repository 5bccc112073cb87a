"""``allcores.sharedctypes``: ctypes objects in the session's shared memory.

What ``multiprocessing.sharedctypes`` has, on blocks of the arena: there is no file behind them, they are zeroed, and
they can be pickled into any process of the session, through a queue, too.

>>> from allcores.sharedctypes import Array
>>> numbers = Array("d", 3)
>>> numbers[0] = 1.5
>>> numbers[:]
[1.5, 0.0, 0.0]
"""

from __future__ import annotations

import ctypes
from multiprocessing import sharedctypes as _std
from multiprocessing.reduction import ForkingPickler
from multiprocessing.sharedctypes import SynchronizedBase as SynchronizedBase

from allcores import _core, context as _context
from allcores._memory_view import Block
from allcores._standard import typed_as
from allcores.errors import HandleError

# Bound now: install() puts ours under these names in the standard module.
_standard_synchronized = _std.synchronized
_standard_reduce = vars(_std)["reduce_ctype"]
_types: dict[Any, Any] = vars(_std)["typecode_to_type"]

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from multiprocessing.sharedctypes import (  # by __getattr__
        Synchronized as Synchronized,
        SynchronizedArray as SynchronizedArray,
        SynchronizedString as SynchronizedString,
    )
    from typing import Any

__all__ = ["Array", "RawArray", "RawValue", "Value", "copy", "synchronized"]


@typed_as(_std.RawValue)
def RawValue(typecode_or_type: Any, *args: Any) -> Any:
    """Return a ctypes object in shared memory, made of ``args``, without a lock."""
    type_ = _types.get(typecode_or_type, typecode_or_type)
    obj = _new(type_)
    obj.__init__(*args)
    return obj


@typed_as(_std.RawArray)
def RawArray(typecode_or_type: Any, size_or_initializer: Any) -> Any:
    """Return a ctypes array in shared memory, of a size (zeroes) or of what an initializer has, without a lock."""
    type_ = _types.get(typecode_or_type, typecode_or_type)
    if isinstance(size_or_initializer, int):
        return _new(type_ * size_or_initializer)
    obj = _new(type_ * len(size_or_initializer))
    obj.__init__(*size_or_initializer)
    return obj


@typed_as(_std.copy)
def copy(obj: Any) -> Any:
    """Return a copy of a ctypes object, in shared memory."""
    new = _new(type(obj))
    ctypes.pointer(new)[0] = obj
    return new


def _new(type_: Any) -> Any:
    return _rebuild(type_, Block(_core.Memory(ctypes.sizeof(type_))), None)


def _rebuild(type_: Any, block: Block, length: int | None) -> Any:
    if length is not None:
        type_ = type_ * length
    if ctypes.sizeof(type_) > block._memory.size:
        raise HandleError(f"the shared memory that this handle means is too small for {type_.__name__}")
    ForkingPickler.register(type_, _reduce)
    obj = type_.from_address(block._memory.address)
    obj._wrapper = block
    return obj


def _reduce(obj: Any) -> Any:
    """Pickle an object of a type that both this module and the standard library's may have made one of."""
    block = getattr(obj, "_wrapper", None)
    if not isinstance(block, Block):
        return _standard_reduce(obj)
    if isinstance(obj, ctypes.Array):
        return _rebuild, (obj._type_, block, obj._length_)
    return _rebuild, (type(obj), block, None)


@typed_as(_std.Value)
def Value(typecode_or_type: Any, *args: Any, lock: Any = True, ctx: Any = None) -> Any:
    """Return a shared ctypes object of ``typecode_or_type``, synchronized unless ``lock`` is False."""
    return _guarded(RawValue(typecode_or_type, *args), lock, ctx)


@typed_as(_std.Array)
def Array(typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True, ctx: Any = None) -> Any:
    """Return a shared ctypes array, synchronized unless ``lock`` is False."""
    return _guarded(RawArray(typecode_or_type, size_or_initializer), lock, ctx)


def _guarded(obj: Any, lock: Any, ctx: Any) -> Any:
    if lock is False:
        return obj
    if lock in (True, None):
        lock = None
    elif not hasattr(lock, "acquire"):
        raise AttributeError(f"{lock!r} has no method 'acquire'")
    return synchronized(obj, lock, ctx)


@typed_as(_std.synchronized)
def synchronized(obj: Any, lock: Any = None, ctx: Any = None) -> Any:
    """Return a wrapper that guards the shared object ``obj`` with ``lock`` (default: a new RLock)."""
    ctx = ctx or _context._default_context.get_context()
    wrapper: SynchronizedBase[Any] = _standard_synchronized(obj, lock or ctx.RLock(), ctx)
    if isinstance(getattr(obj, "_wrapper", None), Block):
        wrapper.__class__ = _on_block(type(wrapper), obj)
    return wrapper


def _on_block(cls: Any, obj: Any) -> Any:
    """The subclass of a class of wrappers for such an object: pickled at any time, and with methods for numbers."""
    is_array = isinstance(obj, ctypes.Array)
    is_number = issubclass(obj._type_ if is_array else type(obj), _NUMBERS)
    key = cls, is_number
    if key not in _subclasses:
        name, ours = cls.__name__, ((_Numbers if is_array else _Number,) if is_number else ()) + (_PickledAnywhere,)
        _subclasses[key] = type(name, (*ours, cls), {"__module__": cls.__module__, "__qualname__": name})
    return _subclasses[key]


_subclasses: dict[Any, Any] = {}
_NUMBERS = tuple(_types[code] for code in "bBhHiIlLqQfd")
"""In this machine's order of bytes, and none that has bytes which are no part of the number."""


class _Number:
    _obj: Any

    def add(self, number: Any) -> Any:
        """Add to the number, and return what it is then: in one step, without the lock, though others do so, too.

        Too large an integer loses its upper bits, as it does when it is assigned. Who changes ``value`` with the lock
        does not see this coming: use either.

        >>> counter = Value("i", 5)
        >>> counter.add(2)
        7
        """
        obj = self._obj
        return _core.add_number(obj._wrapper._memory, 0, obj._type_, number)

    def compare_exchange(self, expected: Any, replacement: Any) -> bool:
        """Replace the number if it equals ``expected``, in one step and without the lock; return whether it did.

        >>> state = Value("i", 0)
        >>> state.compare_exchange(0, 1), state.compare_exchange(0, 2), state.value
        (True, False, 1)
        """
        obj = self._obj
        return _core.exchange_number(obj._wrapper._memory, 0, obj._type_, expected, replacement)


class _Numbers:
    _obj: Any

    def add(self, index: int, number: Any) -> Any:
        """Add to one of the numbers, and return what it is then; as `Value`'s.

        >>> counts = Array("q", 3)
        >>> counts.add(-1, 2), counts[:]
        (2, [0, 0, 2])
        """
        return _core.add_number(*self._place(index), number)

    def compare_exchange(self, index: int, expected: Any, replacement: Any) -> bool:
        """Replace one of the numbers if it equals ``expected``; return whether it did; as `Value`'s."""
        return _core.exchange_number(*self._place(index), expected, replacement)

    def _place(self, index: int) -> tuple[_core.Memory, int, str]:
        obj = self._obj
        try:
            at = range(len(obj))[index]
        except IndexError:
            raise IndexError("array index out of range") from None
        return obj._wrapper._memory, at * ctypes.sizeof(obj._type_), obj._type_._type_


class _PickledAnywhere:
    _obj: Any
    _lock: Any

    def __reduce__(self) -> Any:
        # Not the object itself, which a pickler that is not multiprocessing's would copy.
        return _guarded_at, (*_reduce(self._obj)[1], self._lock)


def _guarded_at(type_: Any, block: Block, length: int | None, lock: Any) -> Any:
    return synchronized(_rebuild(type_, block, length), lock)


def __getattr__(name: str) -> Any:
    """Everything else, private names included, is the standard module's."""
    return getattr(_std, name)
