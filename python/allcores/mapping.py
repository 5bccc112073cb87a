"""``allcores.map``: a function called for each item, in worker processes, with time limits, retries and progress.

>>> import allcores
>>> list(allcores.map(abs, [-1, 2, -3]))  # doctest: +SKIP
[1, 2, 3]
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Literal, TypeVar, overload

from allcores import context as _context
from allcores._cpus import usable_cpus
from allcores._pool.chunks import tasks_ahead
from allcores._pool.descriptions import in_short, name_of
from allcores._pool.job import Job, Rules
from allcores._pool.progress import find_bar
from allcores._pool.tasks import learn_first, name_of as task_name_of
from allcores.limits import Limits
from allcores.pool import Pool

__all__ = ["LimitedPool", "MapIterator", "limits_of_workers", "map"]

_R = TypeVar("_R")


class LimitedPool(Pool):
    """A pool whose workers have limits."""

    def __init__(self, limits: dict[str, Any], *arguments: Any) -> None:
        """Start workers with these keyword arguments of `Process`."""
        self._limits = limits
        super().__init__(*arguments)

    def Process(self, context: Any, **keywords: Any) -> Any:  # type: ignore[override]  # a static method there
        """Return a worker that is not started."""
        return context.Process(**keywords, **self._limits)


class MapIterator(Iterator[_R], Generic[_R]):
    """The results of `map`, which come as they are taken.

    Workers are started when the first one is asked for. They end when there are no more results, when an error is
    raised, when this is closed, and when nobody has it any more. As a context manager it closes itself.
    """

    def __init__(self, start: Callable[[], tuple[Job, Any]]) -> None:
        """Begin by ``start``, which returns the job and a bar or None; `map` makes it."""
        self._start: Callable[[], tuple[Job, Any]] | None = start
        self._job: Job | None = None
        self._bar: Any = None
        self._is_closed = False
        self._taking = threading.RLock()
        self._pid = os.getpid()

    def __iter__(self) -> MapIterator[_R]:
        """Return itself."""
        return self

    def __next__(self) -> _R:
        """Return the next result, or raise the error of a task, after which there are no more results."""
        result: _R = self._take(Job.take)
        return result

    def _take(self, what: Callable[[Job], Any]) -> Any:
        """Return what ``what`` takes of the job, which begins with that. What it raises is the end."""
        with self._taking:
            try:
                if self._start is not None:
                    start, self._start = self._start, None
                    self._job, self._bar = start()
                if self._job is None or self._is_closed:  # perhaps by another thread, while it started
                    raise StopIteration
                return what(self._job)
            except BaseException as error:
                self._end(is_done=isinstance(error, StopIteration))
                raise

    def _refill(self) -> None:
        """Have the iterable asked again, which had `NOT_YET` to give."""
        job = self._job
        if job is not None:
            job.refill()

    def close(self) -> None:
        """End the workers now, whatever they do; there are no more results."""
        self._end(is_done=False)

    def _end(self, *, is_done: bool) -> None:
        job, bar, self._is_closed = self._job, self._bar, True
        self._start = self._job = self._bar = None
        if os.getpid() != self._pid:
            return  # a copy, in a child that was forked
        if job is not None:
            job.end(is_done=is_done)
        if bar is not None:
            bar.close()

    def __enter__(self) -> MapIterator[_R]:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """End the workers."""
        self.close()


@overload
def map(
    function: Callable[..., _R],
    *iterables: Iterable[Any],
    workers: int | None = None,
    ordered: bool = True,
    progress: bool = False,
    timeout: float | None = None,
    retries: int = 0,
    on_error: Literal["raise", "skip"] = "raise",
    chunksize: int = 1,
    window: int | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: Iterable[Any] = (),
    threads_per_worker: int | None = None,
    max_memory_per_worker: int | None = None,
    max_tasks_per_worker: int | None = None,
    niceness: int | None = None,
    affinity: Iterable[int] | None = None,
    start_method: str | None = None,
) -> MapIterator[_R]: ...
@overload
def map(
    function: Callable[..., _R],
    *iterables: Iterable[Any],
    workers: int | None = None,
    ordered: bool = True,
    progress: bool = False,
    timeout: float | None = None,
    retries: int = 0,
    on_error: Literal["return"],
    chunksize: int = 1,
    window: int | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: Iterable[Any] = (),
    threads_per_worker: int | None = None,
    max_memory_per_worker: int | None = None,
    max_tasks_per_worker: int | None = None,
    niceness: int | None = None,
    affinity: Iterable[int] | None = None,
    start_method: str | None = None,
) -> MapIterator[_R | BaseException]: ...
def map(
    function: Callable[..., Any],
    *iterables: Iterable[Any],
    workers: int | None = None,
    ordered: bool = True,
    progress: bool = False,
    timeout: float | None = None,
    retries: int = 0,
    on_error: str = "raise",
    chunksize: int = 1,
    window: int | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: Iterable[Any] = (),
    threads_per_worker: int | None = None,
    max_memory_per_worker: int | None = None,
    max_tasks_per_worker: int | None = None,
    niceness: int | None = None,
    affinity: Iterable[int] | None = None,
    start_method: str | None = None,
) -> MapIterator[Any]:
    """Return an iterator over ``function(item)`` for each item, called in worker processes.

    With several iterables, over ``function(item_of_the_first, item_of_the_second, …)``, until the shortest one ends.
    They may be infinite: they are read as results are taken, at most ``window`` items ahead. Workers start with the
    first result that is asked for, and end with the last one, or when the iterator is closed, dropped, or raises. The
    function is pickled once: arguments that all calls have are best given by ``functools.partial``, and each worker has
    one copy of them for all of its tasks.

    >>> import allcores
    >>> def divide(number):
    ...     return 12 // number
    >>> list(allcores.map(divide, [3, 0, 4], on_error="skip"))  # doctest: +SKIP
    [4, 3]

    * ``workers``: how many processes; by default one for each CPU that this process may use.
    * ``ordered``: results come in the order of the items; if false, as they are ready.
    * ``progress``: show a bar, by tqdm or rich: how many are done, how fast, how long it will take, how many failed.
    * ``timeout``: seconds that one run of one task may take, from when a worker has taken it. Then its worker is
      killed, and no other one; the error of the task is `TaskTimeoutError`. Looked at while a result is waited for.
    * ``retries``: how often a task is run again when it has failed, by an exception, by the death of its worker, or by
      the timeout. What failed at every run is not tried again, and the error of its last run is its error.
    * ``on_error``: what becomes of the error of a task. ``"raise"``: it is raised in its place, and ends the iterator;
      ``"return"``: the exception comes in the place of a result; ``"skip"``: it is left out.
    * ``chunksize``: how many calls are one task, for many that are short.
    * ``window``: how many items are read at most whose results were not taken; by default 64 tasks, or 16 for each
      worker. Large arguments are not sent far ahead, whatever this says.
    * ``initializer``: called in each worker, with ``initargs``, before its first task.
    * ``threads_per_worker``: how many threads BLAS and OpenMP libraries may use in a worker.
    * ``max_memory_per_worker``: bytes of private memory of a worker, beyond which allocating is a MemoryError.
    * ``max_tasks_per_worker``: after so many tasks a worker is replaced by a new one.
    * ``niceness``: of the workers, from -20 (first) to 19 (last).
    * ``affinity``: numbers of the CPUs that workers may use.
    * ``start_method``: how workers are started; by default as `Process` starts them.

    TypeError, ValueError and ImportError for what cannot be are raised by this call. `InitializerError`, when workers
    cannot begin, is raised whatever ``on_error`` says, as is what reading an iterable raises, after the results before
    it. An argument that cannot be pickled is the error of its task, which is not tried again.
    """
    if not callable(function):
        raise TypeError(f"map calls its first argument for each item, and {in_short(function)} cannot be called")
    if not iterables:
        raise TypeError("map needs something to iterate over: map(function, items)")
    if initializer is not None and not callable(initializer):
        raise TypeError(f"initializer is called in each worker, and {in_short(initializer)} cannot be")
    if timeout is not None and not (isinstance(timeout, int | float) and 0 < timeout < float("inf")):
        raise ValueError(f"timeout is a number of seconds above 0, or None for as long as it takes, not {timeout!r}")
    if on_error not in ("raise", "return", "skip"):
        raise ValueError(f"on_error is 'raise', 'return' or 'skip', not {on_error!r}")
    size = usable_cpus() if workers is None else _whole("workers", workers, 1)
    _whole("retries", retries, 0)
    _whole("chunksize", chunksize, 1)
    if max_tasks_per_worker is not None:
        _whole("max_tasks_per_worker", max_tasks_per_worker, 1)
    if chunksize > 1 and (timeout is not None or retries or on_error != "raise"):
        raise ValueError(
            "with chunksize above 1 several calls are one task, and timeout, retries and on_error are about one call. "
            "Leave chunksize out, or those three"
        )
    ahead = tasks_ahead(size) if window is None else max(1, _whole("window", window, 1) // chunksize)
    limits = limits_of_workers(max_memory_per_worker, affinity, niceness, threads_per_worker)
    context = _context._default_context.get_context(start_method)
    total = min(len(each) for each in iterables) if all(hasattr(each, "__len__") for each in iterables) else None  # type: ignore[arg-type]
    make_bar = find_bar() if progress else None
    rules = Rules(ordered, on_error, retries, timeout, chunksize, ahead)
    items = zip(*iterables, strict=False)

    def start() -> tuple[Job, Any]:
        orders: tuple[Any, Any] = (initializer, initargs)
        name = None if timeout is None else task_name_of(function)
        if isinstance(name, bytes):  # so that the time for the first task is for the task alone
            orders = learn_first, (name, initializer, tuple(initargs))
        pool = LimitedPool(limits, size, *orders, max_tasks_per_worker, context)
        try:
            bar = None if make_bar is None else make_bar(total, name_of(function))
            return Job(pool, function, items, rules, _ignore if bar is None else bar.advance), bar
        except BaseException:
            pool.terminate()
            raise

    return MapIterator(start)


def _ignore(done: int, failures: int) -> None:
    """Show nothing."""


def limits_of_workers(*limits: Any) -> dict[str, Any]:
    """Return keyword arguments of `Process`. What is wrong is said with the names that they have here."""
    try:
        checked = Limits(*limits)
    except (TypeError, ValueError) as error:
        name, text = str(error).split(" ", 1)
        ours = {
            "max_memory_bytes": "max_memory_per_worker",
            "cpu_affinity": "affinity",
            "threads": "threads_per_worker",
        }
        raise type(error)(f"{ours.get(name, name)} {text}") from None
    return {name: getattr(checked, name) for name in Limits.__slots__ if getattr(checked, name) is not None}


def _whole(name: str, number: object, least: int) -> int:
    if not isinstance(number, int):
        raise TypeError(f"{name} is a whole number, not {number!r}")
    if number < least:
        raise ValueError(f"{name} is a whole number, {least} or more, not {number}")
    return number
