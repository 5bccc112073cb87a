"""``allcores.aio``: calls in worker processes, awaited in asyncio, without threads.

>>> import asyncio
>>> from allcores import aio
>>> async def main():
...     print(await aio.run(pow, 2, 5))
...     async for result in aio.map(abs, [-1, 2]):
...         print(result)
>>> asyncio.run(main())  # doctest: +SKIP
32
1
2

The event loop itself collects replies and looks after the workers. Cancelling an await cancels its call, though it runs
already: then its worker is killed, and no other call.
"""

from __future__ import annotations

import asyncio
import collections
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from multiprocessing import util
from typing import Any, ParamSpec, TypeVar

from allcores import context as _context
from allcores._cpus import usable_cpus
from allcores._pool.chunks import tasks_ahead
from allcores._pool.in_loop import LoopEngine

__all__ = ["Pool", "map", "run"]

_R = TypeVar("_R")
_P = ParamSpec("_P")


class Pool:
    """Worker processes for one event loop. They are started as calls need them; used as ``async with Pool() as pool``.

    >>> async def main():
    ...     async with Pool(2) as pool:
    ...         return [result async for result in pool.map(abs, [-1, 2])]
    >>> asyncio.run(main())  # doctest: +SKIP
    [1, 2]
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        max_tasks_per_worker: int | None = None,
        start_method: str | None = None,
    ) -> None:
        """Have at most ``workers`` of them, by default one for each CPU that this process may use.

        Each calls ``initializer(*initargs)`` first, and is replaced after ``max_tasks_per_worker`` calls.
        """
        if workers is not None and workers < 1:
            raise ValueError(f"workers is a whole number, 1 or more, not {workers!r}")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer is called in each worker, and {initializer!r} cannot be")
        self._size = usable_cpus() if workers is None else workers
        self._orders = (initializer, initargs, max_tasks_per_worker)
        self._context = _context._default_context.get_context(start_method)
        self._engine: LoopEngine | None = None
        self._loop: Any = None
        self._is_closed = False

    def _engine_here(self) -> LoopEngine:
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise RuntimeError("this pool was closed")
        if self._engine is None:
            method = self._context.get_start_method()
            self._engine, self._loop = LoopEngine(self._size, self._context.Process, self._orders, method), loop
            self._engine.at_exit = util.Finalize(None, self._engine.end, exitpriority=15)
        elif self._loop is not loop:
            raise RuntimeError("a pool belongs to the event loop that has used it first: make one for each loop")
        return self._engine

    async def run(self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Return ``function(*args, **kwargs)``, called in a worker.

        Raises what the call raises; what pickling the arguments raises; `WorkerDiedError` when its worker was killed.
        Of calls with large arguments 48 MB are sent at once, and the rest when there is room.
        """
        engine = self._engine_here()
        result: _R = await engine.result_of(engine.submit(function, args, kwargs))
        return result

    def map(
        self,
        function: Callable[..., _R],
        *iterables: Iterable[Any],
        ordered: bool = True,
        window: int | None = None,
    ) -> AsyncIterator[_R]:
        """Return an asynchronous iterator over ``function(item)`` for each item, called in workers.

        With several iterables, over ``function(item_of_the_first, item_of_the_second, …)``. Results come in the order
        of the items, or if not ``ordered`` as they are ready. Iterables are read as results are taken, ``window`` items
        ahead: by default 64, or 16 for each worker. The first error is raised, and ends it. Whatever ends it, calls
        are cancelled that are on their way.
        """
        if not iterables:
            raise TypeError("map needs something to iterate over: map(function, items)")
        if window is None:
            window = tasks_ahead(self._size)
        if window < 1:
            raise ValueError(f"window is a whole number, 1 or more, not {window!r}")
        items = zip(*iterables, strict=False)
        return (_in_order if ordered else _as_ready)(self._engine_here, function, items, window)

    async def aclose(self) -> None:
        """End the workers. Calls that are not done fail with `PoolTerminatedError`."""
        if not self._is_closed:
            self._is_closed = True
            if self._engine is not None:
                await self._engine.end_in_loop()

    async def __aenter__(self) -> Pool:
        """Return itself."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """End the workers."""
        await self.aclose()


async def _in_order(
    engine_here: Callable[[], LoopEngine], function: Any, items: Iterator[tuple[Any, ...]], window: int
) -> AsyncGenerator[Any, None]:
    engine = engine_here()
    ahead: collections.deque[Any] = collections.deque()
    try:
        while True:
            while len(ahead) < window and (item := next(items, None)) is not None:
                ahead.append(engine.submit(function, item, {}))
            if not ahead:
                return
            yield await engine.result_of(ahead.popleft())
    finally:
        for future in ahead:
            engine.give_up(future)


async def _as_ready(
    engine_here: Callable[[], LoopEngine], function: Any, items: Iterator[tuple[Any, ...]], window: int
) -> AsyncGenerator[Any, None]:
    engine = engine_here()
    ahead: set[Any] = set()
    ready: asyncio.Queue[Any] = asyncio.Queue()
    try:
        while True:
            while len(ahead) < window and (item := next(items, None)) is not None:
                future: Any = engine.submit(function, item, {})
                ahead.add(future)
                if future._ready:
                    ready.put_nowait(future)
                else:
                    future.notify = ready.put_nowait
            if not ahead:
                return
            future = await ready.get()
            ahead.remove(future)
            yield future.result()
    finally:
        for future in ahead:
            engine.give_up(future)


# ---- the pool of a loop

_pools: weakref.WeakKeyDictionary[Any, tuple[Pool, Any]] = weakref.WeakKeyDictionary()
"""Loop -> its pool, and what ends it with the loop."""


async def _kept(pool: Pool) -> AsyncGenerator[None, None]:
    """End a pool with the loop, whose last act it is to close the asynchronous generators that it has met."""
    try:
        yield
    finally:
        await pool.aclose()


async def _pool_here() -> Pool:
    loop = asyncio.get_running_loop()
    if loop not in _pools:
        pool = Pool()
        keeper = _kept(pool)
        _pools[loop] = pool, keeper
        await anext(keeper)
    return _pools[loop][0]


async def run(function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Return ``function(*args, **kwargs)``, called in a worker process of the running loop's own pool; see `Pool.run`.

    The pool has a worker for each CPU that this process may use, and ends with the loop (`asyncio.run`).
    """
    return await (await _pool_here()).run(function, *args, **kwargs)


async def map(
    function: Callable[..., _R], *iterables: Iterable[Any], ordered: bool = True, window: int | None = None
) -> AsyncGenerator[_R, None]:
    """Yield ``function(item)`` for each item, called in workers of the running loop's own pool; see `Pool.map`."""
    results = (await _pool_here()).map(function, *iterables, ordered=ordered, window=window)
    try:
        async for result in results:
            yield result
    finally:
        await results.aclose()  # type: ignore[attr-defined]  # a generator
