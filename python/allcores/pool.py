"""``allcores.pool``: Pool over processes, ThreadPool over threads.

A pool's engine is allcores' own (``allcores/_pool/README.md``): workers take tasks from shared memory themselves, and
results are collected by whoever waits for them. When a worker dies, the task that it had fails with
`allcores.WorkerDiedError`, and another worker takes its place.

>>> from allcores.pool import Pool
>>> with Pool(2) as pool:  # doctest: +SKIP
...     pool.map(abs, [-1, 2])
[1, 2]
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable, Iterable
from multiprocessing import pool as _std, util
from multiprocessing.reduction import ForkingPickler
from typing import Any

from allcores import _standard, context as _context
from allcores._cpus import usable_cpus
from allcores._pool import chunks
from allcores._pool.engine import Engine
from allcores._pool.iterators import IMapIterator as _Iterator, IMapUnorderedIterator as _UnorderedIterator
from allcores._pool.marks import MAP, STARMAP
from allcores._pool.results import ApplyResult as _Result, MapResult as _MapResult
from allcores._pool.room import Room

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:
    from multiprocessing.pool import (  # by __getattr__
        CLOSE as CLOSE,
        INIT as INIT,
        RUN as RUN,
        TERMINATE as TERMINATE,
        ApplyResult as ApplyResult,
        AsyncResult as AsyncResult,
        IMapIterator as IMapIterator,
        IMapUnorderedIterator as IMapUnorderedIterator,
        MapResult as MapResult,
    )
else:
    from allcores._pool.iterators import IMapIterator, IMapUnorderedIterator
    from allcores._pool.results import ApplyResult, MapResult

    AsyncResult = ApplyResult

__all__ = ["ApplyResult", "AsyncResult", "IMapIterator", "IMapUnorderedIterator", "MapResult", "Pool", "ThreadPool"]

# Not by their names, under which install() puts ours in the standard module.
_StandardPool, _StandardThreadPool = _std.ThreadPool.__bases__[0], _std.ThreadPool


class Pool(_std.Pool):
    """A pool of worker processes; see ``multiprocessing.pool.Pool`` for its methods."""

    _engine: Engine

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
    ) -> None:
        """Start ``processes`` workers, each running ``initializer(*initargs)`` first.

        Without a number there is one for each CPU that this process may use (`usable_cpus`). After ``maxtasksperchild``
        tasks a worker is replaced by a new one.
        """
        if isinstance(self, _StandardThreadPool):  # whose module has this class instead of its own, after install()
            _StandardPool.__init__(self, processes, initializer, initargs)  # type: ignore[misc]
            return
        self._pool: list[Any] = []  # for __del__, if this raises
        self._state = _std.INIT
        self._ctx = context or _context._default_context.get_context()
        if processes is None:
            processes = usable_cpus()
        if processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._processes, self._maxtasksperchild = processes, maxtasksperchild
        self._initializer, self._initargs = initializer, initargs
        orders = (initializer, initargs, maxtasksperchild)
        self._engine = Engine(processes, _maker(self), orders, self._ctx.get_start_method())
        self._pool = self._engine.crew.processes
        self._terminate = util.Finalize(self, Engine.end, args=(self._engine,), exitpriority=15)
        util.register_after_fork(self, Pool._be_lent)
        self._state = _std.RUN

    def __del__(self, _warn: Any = warnings.warn, RUN: str = _std.RUN) -> None:
        """Warn about a pool that nobody has closed; its workers end."""
        if self._state == RUN:
            _warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)

    @property
    def _cache(self) -> dict[int, Any]:
        """Tasks that are not done yet."""
        return self._engine.pending

    def _repopulate_pool(self) -> None:
        """Start workers for those that have ended."""
        self._engine.crew.hire()

    @_standard.typed_as(_std.Pool.apply)
    def apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Any = {},  # noqa: B006  # the standard signature
    ) -> Any:
        """Return ``func(*args, **kwds)``, called in a worker."""
        return self.apply_async(func, args, kwds).get()

    @_standard.typed_as(_std.Pool.apply_async)
    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Any = {},  # noqa: B006  # the standard signature
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> Any:
        """Have ``func(*args, **kwds)`` called in a worker, and return at once; the result has `get`.

        What cannot be pickled is an error here. (While large arguments of 48 MB are on their way, a further call is
        pickled and sent when there is room, and such an error is its result's.) ``callback`` is called with what the
        call returned, ``error_callback`` with what it raised, in a thread of this process.
        """
        self._check_running()  # type: ignore[attr-defined]  # not in the type stubs
        engine = self._engine
        result = _Result(self, callback, error_callback)
        result._call = func, args
        if engine.overflow is not None and engine.overflow.is_full():
            with _expected(result):
                engine.overflow.add_call(result, func, args, kwds)
            return result
        try:
            mark, task = engine.packing.call(func, args, kwds)
            number = engine.numbers(1)
            if result._follows:
                with _expected(result):
                    size = engine.send(result, number, mark, task)
            else:
                size = engine.send(result, number, mark, task)
        except Exception as error:
            engine.packing.note(error, function=func, args=args, kwargs=kwds)
            raise
        if size:
            result._call = func, None  # they are large: not kept for the text of an error
            engine.note_large(result, number, size)
        return result

    @_standard.typed_as(_std.Pool.map)
    def map(self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None = None) -> Any:
        """Return a list of ``func(item)`` for each item, in its order.

        Workers get parts of ``chunksize`` items; by default large ones first and small ones at last, so that they end
        at the same time. The first call that raises has its exception raised here, when all are done.
        """
        return self._send_map(func, iterable, MAP, chunksize, waits=True).get()

    @_standard.typed_as(_std.Pool.starmap)
    def starmap(self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None = None) -> Any:
        """Return a list of ``func(*item)`` for each item, as `map` does."""
        return self._send_map(func, iterable, STARMAP, chunksize, waits=True).get()

    @_standard.typed_as(_std.Pool.map_async)
    def map_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> Any:
        """Do what `map` does, and return at once; large arguments and callbacks as for `apply_async`."""
        return self._send_map(func, iterable, MAP, chunksize, callback, error_callback)

    @_standard.typed_as(_std.Pool.starmap_async)
    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> Any:
        """Do what `starmap` does, and return at once; large arguments and callbacks as for `apply_async`."""
        return self._send_map(func, iterable, STARMAP, chunksize, callback, error_callback)

    def _send_map(
        self,
        function: Callable[..., Any],
        iterable: Iterable[Any],
        mark: int,
        chunksize: int | None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        *,
        waits: bool = False,
    ) -> _MapResult:
        self._check_running()  # type: ignore[attr-defined]  # not in the type stubs
        items: Any = iterable
        if type(items) is not list and (type(items) is not range or chunksize == 1):
            items = list(items)
        result = _MapResult(self, chunksize, len(items), callback, error_callback)
        result._call = function, None
        if not items:
            result._be_ready()
            return result
        if chunksize is None:
            lengths = chunks.adapted(len(items), self._processes)
        else:
            lengths = chunks.fixed(len(items), _checked(chunksize))
        if waits:
            result._room = Room()
        with _expected(result):
            self._engine.send_parts(result, mark, function, items, lengths)
        return result

    @_standard.typed_as(_std.Pool.imap)
    def imap(self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int = 1) -> Any:
        """Return an iterator over ``func(item)`` for each item, in its order.

        The iterable is read as results are taken, some hundred tasks ahead; all of it when the pool is joined.
        """
        return self._imap(_Iterator, func, iterable, chunksize)

    @_standard.typed_as(_std.Pool.imap_unordered)
    def imap_unordered(self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int = 1) -> Any:
        """Return an iterator over ``func(item)`` for each item, as they come; else as `imap`."""
        return self._imap(_UnorderedIterator, func, iterable, chunksize)

    def _imap(self, kind: type[_Iterator], function: Any, iterable: Iterable[Any], chunksize: int) -> Any:
        self._check_running()  # type: ignore[attr-defined]  # not in the type stubs
        results = kind(self)
        results._begin(function, iterable, _checked(chunksize))
        return results if chunksize == 1 else (item for part in results for item in part)

    def __reduce__(self) -> Any:
        """Refuse: a pool's pickle means something in processes of its program alone, to which arguments are sent."""
        raise NotImplementedError(
            "pool objects cannot be passed between processes or pickled, but as arguments of processes of their program"
        )

    def _be_lent(self) -> None:
        """Be the pool of another process, in a child that was forked and has a copy of it."""
        from allcores._pool.lent import disown

        engine: Engine | None = self.__dict__.pop("_engine", None)
        if engine is not None:
            self._lender = engine.tasks
            disown(engine)
        self._pool, self._terminate = [], _nothing  # type: ignore[assignment]
        self.__class__ = type(type(self).__name__, (_Lent, type(self)), {})

    def close(self) -> None:
        """Take no further tasks; workers end when all are done."""
        if self._state == _std.RUN:
            self._state = _std.CLOSE
            self._engine.close()

    def terminate(self) -> None:
        """End the workers now. Tasks that are not done fail with `allcores.PoolTerminatedError`."""
        self._state = _std.TERMINATE
        self._terminate()

    def join(self) -> None:
        """Wait until the workers have ended, after `close` or `terminate`."""
        if self._state == _std.RUN:
            raise ValueError("Pool is still running")
        if self._state not in (_std.CLOSE, _std.TERMINATE):
            raise ValueError("In unknown state")
        self._engine.join()


class _Lent:
    """What is different where a pool is another process's: tasks are done here, too, and no worker is to be ended."""

    _lender: Any
    _processes: int
    _ctx: Any

    @property
    def _engine(self) -> Engine:
        from allcores._pool.lent import lent_engine

        return lent_engine(self._lender, self._processes, self._ctx.get_start_method())

    def __del__(self) -> None:
        """Warn of nothing."""


class _LentPool(_Lent, Pool):  # type: ignore[misc, override]  # a property in the place of an attribute
    """A pool of another process, that has come as an argument."""

    def __init__(self, lender: Any, size: int, method: str) -> None:
        """Be the pool of so many workers that takes tasks from there."""
        self._pool = []
        self._lender, self._processes = lender, size
        self._ctx = _context._default_context.get_context(method)
        self._maxtasksperchild, self._initializer, self._initargs = None, None, ()
        self._terminate, self._state = _nothing, _std.RUN  # type: ignore[assignment]


def _nothing() -> None:
    """End nothing: the workers are another process's."""


def _send(pool: Any) -> Any:
    """Have a pool be sent to a process of its program."""
    return _LentPool, (
        pool._engine.tasks if type(pool) is Pool else pool._lender,
        pool._processes,
        str(pool._ctx.get_start_method()),
    )


ForkingPickler.register(Pool, _send)
ForkingPickler.register(_LentPool, _send)


class ThreadPool(_std.ThreadPool):
    """The same interface over threads: the standard library's."""


def _checked(chunksize: int) -> int:
    if chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize!r}")
    return chunksize


class _expected:
    """Have a result's callbacks expected, and forgotten when it could not be sent."""

    __slots__ = ("_result",)

    def __init__(self, result: _Result) -> None:
        self._result = result

    def __enter__(self) -> None:
        result = self._result
        if result._follows:
            result._engine.expect_callback(result)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        result = self._result
        if kind is not None and result._engine.callbacks is not None:
            result._engine.callbacks.forget(result)


def _maker(pool: Pool) -> Callable[..., Any]:
    """Return what makes worker processes: the pool's own `Process`, which a subclass may have defined anew.

    It is kept by the engine, and does not keep the pool.
    """
    context, make = pool._ctx, pool.Process
    if getattr(make, "__self__", None) is not pool:
        return functools.partial(make, context)
    reference, function = weakref.ref(pool), make.__func__  # type: ignore[attr-defined]  # a bound method
    return lambda **keywords: function(reference(), context, **keywords)


def __getattr__(name: str) -> Any:
    """Everything else, private names included, is the standard module's."""
    return getattr(_std, name)
