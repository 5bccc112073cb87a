"""Arrays of numpy whose memory is a block of the session's arena, and which pickle as handles to it.

numpy is imported here and nowhere else in the package; `allcores.arrays` imports this when it is first needed.

An array's memory is kept by its ``base``, as numpy has it: a `Block`. Which block that is an array knows besides
(``_block``), since some of numpy's functions put objects of their own between a view and its base. Whether an array
really lies in the block is looked at whenever one is derived from another, and once more when it is pickled: by
address, which is enough because nothing else can be where a block is mapped.
"""

from __future__ import annotations

import contextlib
import copy
import math
import weakref
from typing import TYPE_CHECKING, Any

import numpy

from allcores import _arena, _core
from allcores.errors import HandleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["SharedArray", "array_at", "block_of", "filled", "made", "shown"]


class Block:
    """A block of the arena, mapped in this process, as numpy takes memory from others.

    One that is not writable is mapped without the right to write. numpy learns that it is read-only and, as it is no
    buffer that could be asked for more, never lets an array over it be made writable.
    """

    def __init__(self, memory: _core.Memory, writable: bool) -> None:
        self._memory = memory
        self.address = memory._address()
        self.start, self.size, self.position = memory.address, memory.size, memory.position
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "shape": (self.size,),
            "data": (self.start, not writable),
        }
        _blocks[self.address, writable] = self

    def has(self, array: NDArray[Any]) -> bool:
        """Whether all of an array's memory lies here."""
        start = _start_of(array)
        low, high = _reach(array.shape, array.strides, array.itemsize)
        return self.start <= start + low and start + high <= self.start + self.size


_blocks: weakref.WeakValueDictionary[tuple[_core._Address, bool], Block] = weakref.WeakValueDictionary()
"""Those of this process, so that none is mapped twice in the same way."""


def _attached(address: _core._Address, writable: bool) -> Block:
    return _blocks.get((address, writable)) or Block(_core.Memory(0, address, writable), writable)


def _start_of(array: NDArray[Any]) -> int:
    start: int = array.__array_interface__["data"][0]
    return start


def _place_of(array: NDArray[Any]) -> tuple[Any, ...]:
    return _start_of(array), array.shape, array.strides, array.dtype


def _reach(shape: Sequence[int], strides: Sequence[int], item_size: int) -> tuple[int, int]:
    """How many bytes before and behind the address of its first element an array has memory."""
    if 0 in shape:
        return 0, 0
    steps = [(extent - 1) * stride for extent, stride in zip(shape, strides, strict=True)]
    return sum(step for step in steps if step < 0), sum(step for step in steps if step > 0) + item_size


class SharedArray(numpy.ndarray[Any, numpy.dtype[Any]]):
    """An array in the session's shared memory: what `allcores.share` and `allcores.empty` return.

    It pickles as a handle of some 200 bytes, and so do its views (slices, reshaped or transposed arrays, other dtypes);
    who unpickles one, in a process of the same program, has the same memory. (To keep the data in a file, pickle a
    copy.) What numpy computes from it is an ordinary array, and so is a copy, also that of `copy.copy` and
    `copy.deepcopy`: it has memory of its own and is pickled with its data. So is what `numpy.asarray` makes of it,
    until `allcores.share` makes that a shared array again, without a copy.
    """

    _block: Block | None = None
    _name: str | None = None

    @property
    def name(self) -> str | None:
        """The name it was given."""
        return self._name

    def __array_finalize__(self, obj: NDArray[Any] | None, /) -> None:
        """Belong to the same block as the array that this one comes from, if its memory lies there."""
        block = getattr(obj, "_block", None)
        if block is not None and block.has(self):
            self._block, self._name = block, obj._name  # type: ignore[union-attr]

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = True, /) -> Any:
        """Return what was computed as numpy returns it for ordinary arrays; an array given as ``out`` as it is."""
        if _place_of(array) == _place_of(self):
            return self
        plain = array.view(numpy.ndarray)
        return plain[()] if return_scalar and plain.ndim == 0 else plain

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        """Pickle as a handle, or as an ordinary array where that is what it is."""
        block = self._block
        if block is None or not block.has(self):
            return self._plain().__reduce_ex__(protocol)
        offset = _start_of(self) - block.start
        strides = None if self.flags.c_contiguous else self.strides
        arguments = (block.address, self._name, self.flags.writeable, self.shape, self.dtype, offset, strides)
        return _arena.reduce(array_at, arguments, block, block.address)

    def __reduce__(self) -> Any:
        """Pickle as every protocol does."""
        return self.__reduce_ex__(2)

    def __copy__(self) -> Any:
        """Return an ordinary array with a copy of the data."""
        return copy.copy(self._plain())

    def __deepcopy__(self, memo: Any, /) -> Any:
        """Return an ordinary array with a copy of the data."""
        return copy.deepcopy(self._plain(), memo)

    def copy(self, order: Any = "C") -> Any:
        """Return an ordinary array with a copy of the data."""
        return self._plain().copy(order)

    def _plain(self) -> NDArray[Any]:
        return self.view(numpy.ndarray)

    def __repr__(self) -> str:
        """Show the data, the name, and whether it may be written."""
        if self._block is None:
            return repr(self._plain())
        name = "" if self._name is None else f"name={self._name!r}, "
        return f"{numpy.array_repr(self)[:-1]}, {name}writable={self.flags.writeable})"


_NO_ROOM_BYTES = 2**64 - 1
"""What no arena has room for, and the core can still say so."""


def made(shape: tuple[int, ...], dtype: numpy.dtype[Any], order: Any, name: str | None) -> SharedArray:
    """Make a writable array of zeroes in a block of its own."""
    size = math.prod(shape) * dtype.itemsize
    block = Block(_core.Memory(min(size, _NO_ROOM_BYTES)), writable=True)
    return _over(block, name, shape, dtype, order=order)


def filled(source: NDArray[Any], name: str | None) -> SharedArray:
    """Make a writable array in a block of its own, with the shape, order and data of another."""
    array = made(source.shape, source.dtype, "F" if source.flags.fnc else "C", name)
    block = block_of(array)
    if block is not None and source.flags.forc and source.nbytes >= _WRITTEN_FROM_BYTES:
        data: Any = source.ravel("A").view("u1")
        with contextlib.suppress(OSError):
            _arena.write(memoryview(data), block.position)
            return array
    numpy.copyto(array, source)
    return array


_WRITTEN_FROM_BYTES = 256 << 10
"""From here on writing to the file is faster than copying to where it is mapped."""


def shown(array: NDArray[Any], block: Block, writable: bool, name: str | None) -> SharedArray:
    """Return an array over the memory of one that lies in a block, which may be written or not."""
    offset = _start_of(array) - block.start
    block = _attached(block.address, writable)
    return _over(block, name, array.shape, array.dtype, offset, array.strides)


def block_of(array: Any) -> Block | None:
    """Return the block in which an array lies, of whatever class; None when there is none."""
    base, block = array, getattr(array, "_block", None)
    while block is None and isinstance(base, numpy.ndarray):
        base = base.base
        block = base if isinstance(base, Block) else None
    return block if isinstance(block, Block) and block.has(array) else None


def array_at(
    address: _core._Address,
    name: str | None,
    writable: bool,
    shape: tuple[int, ...],
    dtype: numpy.dtype[Any],
    offset: int,
    strides: tuple[int, ...] | None,
) -> SharedArray:
    """Return the array that a handle means. HandleError when it is not there, or the handle cannot be right."""
    title = "the shared array" if name is None else f"the shared array {name!r}"
    try:
        block = _attached(address, writable)
    except HandleError as error:
        raise HandleError(
            f"{title} of shape {shape} and dtype {dtype} is not there: {error}. It lives as long as a process of its "
            "program has it, or one that has sent it runs; to keep its data for longer, pickle array.copy()"
        ) from None
    # Not left to numpy, whose sums may overflow.
    low, high = _reach(shape, strides, dtype.itemsize) if strides else (0, math.prod(shape) * dtype.itemsize)
    if min(0, *shape, offset + low) < 0 or offset + high > block.size or dtype.hasobject:
        raise HandleError(
            f"the handle of {title} is damaged: shape {shape}, dtype {dtype}, offset {offset} and strides {strides} "
            f"do not fit into its {block.size} bytes"
        )
    return _over(block, name, shape, dtype, offset, strides)


def _over(
    block: Block,
    name: str | None,
    shape: tuple[int, ...],
    dtype: numpy.dtype[Any],
    offset: int = 0,
    strides: tuple[int, ...] | None = None,
    order: Any = None,
) -> SharedArray:
    memory = numpy.asarray(block)
    array = numpy.ndarray.__new__(SharedArray, shape, dtype, memory, offset, strides, order)
    array._block, array._name = block, name
    return array
