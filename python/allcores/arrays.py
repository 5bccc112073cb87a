"""``allcores.arrays``: arrays of numpy that processes share instead of sending copies.

`share` copies an array once into the session's shared memory, `empty` makes one there. What they return is an array of
numpy's that pickles as a handle of some 200 bytes: as an argument of a process, through queues, pipes and pools. numpy
itself is imported when one of them is first called.

>>> import allcores, numpy
>>> table = allcores.share(numpy.arange(6).reshape(2, 3))
>>> with allcores.Pool(2) as pool:  # doctest: +SKIP
...     pool.map(numpy.sum, [table[0], table[1]])  # neither row is copied
[3, 12]
"""

from __future__ import annotations

import operator

from allcores import _arena

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself, and numpy ten times that
    from types import ModuleType
    from typing import Any, Literal, SupportsIndex

    from numpy.typing import ArrayLike, DTypeLike

    from allcores._shared_array import SharedArray

__all__ = ["SharedArray", "empty", "received", "share"]


def share(array: ArrayLike, *, writable: bool = False, name: str | None = None) -> SharedArray:
    """Return an array in the session's shared memory with the shape, dtype and data of ``array``, copied there once.

    It is in C order, or in Fortran order if ``array`` is. Later changes of ``array`` do not show in it. With
    ``writable`` every process that gets it may write, and all see what is written, without any lock; otherwise
    nobody may: ``setflags(write=True)`` is refused, and code beneath numpy that writes all the same is ended by the
    kernel (SIGSEGV). ``name`` is shown in `repr` and in errors.

    An array that lies in the shared memory already is not copied: what is returned shows the same memory, read-only if
    that is asked for, though whoever has the writable one may go on writing. Only a writable one of what is read-only
    is a copy.

    The memory is freed when no process has the array, or a view of it, any more, and no message, task or shared dict
    either. As an argument of a process it is kept as long as the `Process` object. Children of ``fork`` have whatever
    their parent had at the fork. (For who pickles it himself see `received`.)

    TypeError for Python objects (dtype object, or a field of it) and masked arrays; ArenaFullError when there is no
    room; ImportError when numpy is not installed.

    >>> import allcores
    >>> primes = allcores.share([2, 3, 5, 7], name="primes")
    >>> primes[1:3]
    SharedArray([3, 5], name='primes', writable=False)
    >>> primes + 1
    array([3, 4, 6, 8])
    """
    numpy, ours = _numpy()
    if isinstance(array, numpy.ma.MaskedArray):
        raise TypeError("a masked array is two arrays: share its data and its mask (numpy.ma.getmaskarray), each apart")
    source = numpy.asarray(array)
    _without_objects(source.dtype)
    block = ours.block_of(array if isinstance(array, numpy.ndarray) else source)
    if block is not None and (source.flags.writeable or not writable):
        if name is None and isinstance(array, ours.SharedArray):
            name = array.name
        shared: SharedArray = ours.shown(source, block, writable, name)
        return shared
    made: SharedArray = ours.filled(source, name)
    return made if writable else share(made, name=name)


def empty(
    shape: SupportsIndex | tuple[SupportsIndex, ...],
    dtype: DTypeLike = float,
    *,
    order: Literal["C", "F"] = "C",
    name: str | None = None,
) -> SharedArray:
    """Return a new writable array in the session's shared memory. It is all zeroes, which costs nothing there.

    ``shape`` is a number of elements, or one for each dimension; ``order`` "C" (rows are contiguous) or "F" (columns
    are). Who has it, how long it lives, and the errors, are as with `share`; ValueError for a shape or order that there
    is not.

    >>> import allcores
    >>> sums = allcores.empty((2, 2))
    >>> sums[0] += 1
    >>> sums
    SharedArray([[1., 1.],
                 [0., 0.]], writable=True)
    """
    numpy, ours = _numpy()
    if order not in ("C", "F"):
        raise ValueError(f"order must be 'C' or 'F', not {order!r}")
    one = numpy.empty(1, dtype)  # so numpy says what it makes of a dtype with a shape, or text of no length
    _without_objects(one.dtype)
    try:
        lengths = (shape,) if hasattr(shape, "__index__") else tuple(shape)
        extents = (*map(operator.index, lengths), *one.shape[1:])
    except TypeError:
        raise TypeError(f"shape must be an integer or a tuple of integers, not {shape!r}") from None
    if min(extents, default=0) < 0:
        raise ValueError(f"the shape {extents} has a negative dimension")
    made: SharedArray = ours.made(extents, one.dtype, order, name)
    return made


def received(array: SharedArray) -> None:
    """Say that whoever got a pickle of ``array`` has it, or needs it no more.

    What is sent through queues, pipes and pools of allcores needs that not: the message keeps the array. But a process
    keeps what it pickles itself, for a socket or a file, since nobody tells it when that was read for the last time.
    One that does so again and again says it of each array, and its memory is freed as soon as nobody has it. Pickles
    that are still on their way then may become a HandleError where they arrive.

    >>> import allcores, pickle
    >>> batch = allcores.share(range(1000))
    >>> pickle.loads(pickle.dumps(batch))[999]
    999
    >>> allcores.arrays.received(batch)
    """
    _, ours = _numpy()
    block = ours.block_of(array)
    if block is not None:
        _arena.received(block.address)


def _without_objects(dtype: Any) -> None:
    if dtype.hasobject:
        raise TypeError(
            f"an array of dtype {dtype} cannot be shared: its memory is pointers to Python objects, which mean nothing "
            "in another process. Give it a dtype of fixed size (numbers, 'U20' for text, fields of these: "
            "array.astype(...)), or send it as it is: then it is pickled"
        )


def _numpy() -> tuple[ModuleType, ModuleType]:
    """Import numpy, and what stands on it."""
    try:
        import numpy
    except ModuleNotFoundError as error:
        raise ImportError("shared arrays are numpy's, which is not installed here: pip install numpy") from error
    from allcores import _shared_array

    return numpy, _shared_array


def __getattr__(name: str) -> Any:
    """Import numpy for the one name that needs it."""
    if name == "SharedArray":
        return _numpy()[1].SharedArray
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
