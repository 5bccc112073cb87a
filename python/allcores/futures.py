"""``allcores.futures``: ``ProcessPoolExecutor``, as in ``concurrent.futures``, on the engine of allcores' pools.

>>> from allcores.futures import ProcessPoolExecutor
>>> with ProcessPoolExecutor(2) as executor:  # doctest: +SKIP
...     executor.submit(pow, 2, 5).result()
32

Its futures are those of ``concurrent.futures``: `wait`, `as_completed` and ``loop.run_in_executor`` take them.
"""

from __future__ import annotations

import functools
import itertools
import signal
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import _base, process as _std
from multiprocessing import context as _std_context, util
from typing import Any, Literal, ParamSpec, Self, TypeVar

from allcores import _standard, context as _context
from allcores._cpus import usable_cpus
from allcores._pool.futures_engine import FuturesEngine, engines
from allcores._pool.marks import STARMAP

TYPE_CHECKING = __name__ == ""
_T = TypeVar("_T")
_P = ParamSpec("_P")
if TYPE_CHECKING:  # whose result a type checker knows

    class Future(_base.Future[_T]):
        """What a call will return, from `ProcessPoolExecutor.submit`."""

        def cancel(self, *, running: bool = False) -> bool:
            """Have the call not be made, or with ``running`` not go on; return whether it is cancelled."""

else:
    from allcores._pool.future import Future

__all__ = ["Future", "ProcessPoolExecutor"]

# Not by its name, under which install() puts ours in the standard module.
_StandardExecutor: Any = _std.ProcessPoolExecutor
_OF_STANDARD = (_std_context.ForkContext, _std_context.SpawnContext, _std_context.ForkServerContext)

_is_exiting = False


def _finish_all() -> None:
    """At the interpreter's end: have no further calls, and wait for those that there are; after Ctrl-C, end them."""
    global _is_exiting
    _is_exiting = True
    running = list(engines)
    is_interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt
    for engine in running:
        if is_interrupted:
            engine.abandon(signal.SIGTERM)
        else:
            engine.close()
    for engine in running:
        if engine.thread is not None:
            engine.thread.join()


_standard.before_threads_end(_finish_all)


class ProcessPoolExecutor(_StandardExecutor):  # type: ignore[misc]  # of a class that stubs have, by another name
    """Calls functions in worker processes; see ``concurrent.futures.ProcessPoolExecutor``.

    A worker that is killed costs the call it had, whose future raises `allcores.WorkerDiedError`; the executor goes on
    with another one.
    """

    _engine: FuturesEngine | None = None

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        on_worker_death: Literal["heal", "break"] = "heal",
    ) -> None:
        """Prepare an executor, which starts workers when there are calls, each running ``initializer(*initargs)``.

        * ``max_workers``: how many processes; by default one for each CPU that this process may use.
        * ``mp_context``: a context of allcores or of multiprocessing, or the name of a start method.
        * ``max_tasks_per_child``: after so many calls a worker is replaced. Not with ``fork``; then the start method is
          ``spawn`` if none was given.
        * ``on_worker_death``: with ``"heal"`` the call that a worker had fails, and another worker takes its place;
          with ``"break"`` all calls fail with `BrokenProcessPool`, now and later, as in the standard library.

        ValueError and TypeError for what cannot be.
        """
        if max_workers is None:
            max_workers = usable_cpus()
        elif max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if mp_context is None and max_tasks_per_child is not None:
            mp_context = "spawn"
        self._max_workers, self._mp_context = max_workers, _context_of(mp_context)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
            if self._mp_context.get_start_method() == "fork":
                raise ValueError(
                    "max_tasks_per_child is incompatible with the 'fork' multiprocessing start method; "
                    "supply a different mp_context."
                )
        if on_worker_death not in ("heal", "break"):
            raise ValueError(f"on_worker_death is 'heal' or 'break', not {on_worker_death!r}")
        self._initializer, self._initargs = initializer, initargs
        self._max_tasks_per_child, self._breaks = max_tasks_per_child, on_worker_death == "break"
        self._shutdown_lock = threading.RLock()
        self._is_shut = False
        self._error: BaseException | None = None
        """Why it could not begin."""

    # ---- what CPython's tests, and others, read

    @property
    def _processes(self) -> dict[int, Any] | None:
        if self._is_shut:
            return None
        engine = self._engine
        return {} if engine is None else {process.pid: process for process in list(engine.crew.processes)}

    @property
    def _executor_manager_thread(self) -> threading.Thread | None:
        return None if self._is_shut or self._engine is None else self._engine.thread

    @property
    def _call_queue(self) -> Any:
        return None if self._is_shut else _CallQueue()

    @property
    def _broken(self) -> Any:
        if self._engine is not None:
            self._engine.look()
        error = self._error or (self._engine and self._engine.broken)
        return False if error is None else str(error)

    @property
    def _shutdown_thread(self) -> bool:
        return self._is_shut

    @property
    def _pending_work_items(self) -> dict[int, Any]:
        return {} if self._engine is None else self._engine.pending

    # ---- calls

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Have ``fn(*args, **kwargs)`` called in a worker; return its future at once.

        Arguments are pickled now; while large ones of 48 MB are on their way, those of further ones when there is room.
        If that fails, it is the error of the future. RuntimeError after `shutdown`, and `BrokenProcessPool`, which is
        one, when no worker can be started any more.
        """
        engine = self._engine
        if engine is None or _is_exiting:
            engine = self._begin()
        return engine.submit(fn, args, kwargs)

    def _begin(self) -> FuturesEngine:
        with self._shutdown_lock:
            if self._error is not None:
                raise self._error
            if self._is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if _is_exiting:
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            if self._engine is not None:
                return self._engine
            method = self._mp_context.get_start_method()
            orders = (self._initializer, self._initargs, self._max_tasks_per_child)
            try:
                engine = FuturesEngine(self._max_workers, self._mp_context.Process, orders, method, breaks=self._breaks)
            except RuntimeError as error:  # no thread can be started any more
                self._error = _std.BrokenProcessPool(f"the executor could not begin: {error}")
                raise self._error from error
            self._engine = engine
            weakref.finalize(self, engine.close).atexit = False
            engine.at_exit = util.Finalize(None, engine.end, exitpriority=15)
            return engine

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[_T]:
        """Return an iterator over ``fn(item_of_the_first, …)`` for the items of all iterables, in their order.

        * ``timeout``: seconds from now after which asking for a result that is not there is a TimeoutError.
        * ``chunksize``: how many calls are sent to a worker as one.
        * ``buffersize``: how many calls, or chunks, are sent at most whose results were not taken. By default all items
          are read and sent at once.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        end = None if timeout is None else timeout + time.monotonic()
        parts = _parts(zip(*iterables, strict=False), chunksize)
        first = parts if buffersize is None else itertools.islice(parts, buffersize)
        futures = deque(self._submit_part(fn, part, chunksize) for part in first)
        more: Callable[[], Any] = _nothing_more
        if buffersize is not None:
            more = functools.partial(_submit_next, weakref.ref(self), fn, parts, chunksize)
        results = _results(futures, end, more)
        return results if chunksize == 1 else _items_of(results)

    def _submit_part(self, function: Any, part: tuple[Any, ...], chunksize: int) -> Any:
        if chunksize == 1:
            return self.submit(function, *part[0])
        engine = self._engine
        if engine is None or _is_exiting:
            engine = self._begin()
        return engine.submit_part(STARMAP, engine.packing.head(function), function, part)

    # ---- the end

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no further calls; workers end when all are done. With ``wait``, return then.

        With ``cancel_futures``, calls are cancelled that no worker has begun with.
        """
        with self._shutdown_lock:
            self._is_shut = True
            engine = self._engine
        if engine is None:
            return
        engine.refuse()  # first: so nothing is sent any more that would not be cancelled
        if cancel_futures:
            engine.withdraw_all()
        engine.close()
        if wait and engine.thread is not None:
            engine.thread.join()

    def terminate_workers(self) -> None:
        """End the workers by SIGTERM, whatever they do, and shut down; what they did fails, the rest is cancelled."""
        self._abandon(signal.SIGTERM)

    def kill_workers(self) -> None:
        """End the workers by SIGKILL; else as `terminate_workers`."""
        self._abandon(signal.SIGKILL)

    def _abandon(self, number: int) -> None:
        with self._shutdown_lock:
            self._is_shut = True
        if self._engine is not None:
            self._engine.abandon(number)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        """Shut down, and wait; after Ctrl-C as `terminate_workers` does."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.terminate_workers()
        self.shutdown()


class _CallQueue:
    """What stands for the standard executor's queue of calls."""

    def join_thread(self) -> None:
        """Do nothing: there is no thread."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


def _context_of(context: Any) -> Any:
    """Return our context for a name, a standard context, or None; another one as it is."""
    if context is None or isinstance(context, str):
        return _context._default_context.get_context(context)
    if type(context) in _OF_STANDARD:
        return _context._default_context.get_context(context.get_start_method())
    if isinstance(context, _std_context.DefaultContext) and not isinstance(context, _context.DefaultContext):
        return _context._default_context.get_context(context.get_start_method())
    return context


def _parts(items: Iterator[tuple[Any, ...]], chunksize: int) -> Iterator[tuple[Any, ...]]:
    while part := tuple(itertools.islice(items, chunksize)):
        yield part


def _nothing_more() -> None:
    return None


def _submit_next(reference: Any, function: Any, parts: Iterator[Any], chunksize: int) -> Any:
    executor = reference()
    part = None if executor is None else next(parts, None)
    return None if part is None else executor._submit_part(function, part, chunksize)


def _results(futures: deque[Any], end: float | None, more: Callable[[], Any]) -> Iterator[Any]:
    """Yield the results, and keep none; cancel the rest when that ends early."""
    try:
        while futures:
            another = more()
            if another is not None:
                futures.append(another)
            yield _result_or_cancel(futures.popleft(), None if end is None else end - time.monotonic())
    finally:
        for future in futures:
            future.cancel()


def _result_or_cancel(future: Any, timeout: float | None) -> Any:
    try:
        try:
            return future.result(timeout)
        finally:
            future.cancel()
    finally:
        del future  # its exception's traceback keeps this frame


def _items_of(results: Iterator[Any]) -> Iterator[Any]:
    for part in results:
        rest = list(part)
        del part
        rest.reverse()
        while rest:
            yield rest.pop()


def __getattr__(name: str) -> Any:
    """Everything else is the standard module's: BrokenProcessPool, wait, as_completed, private names, too."""
    return getattr(_base if hasattr(_base, name) else _std, name)
