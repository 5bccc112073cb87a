"""The backend for joblib: batches as tasks of a pool, which is kept from one call to the next.

joblib is imported here and nowhere else in the package.
"""

from __future__ import annotations

import functools
import gc
import io
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable
from multiprocessing import util
from typing import Any

from joblib._parallel_backends import AutoBatchingMixin, FallbackToBackend, ParallelBackendBase, SequentialBackend
from joblib.parallel import BACKENDS

from allcores import context as _context
from allcores._cpus import usable_cpus
from allcores._pickle.by_value import dump_by_value
from allcores._pickle.main_module import main_is_importable, main_reference
from allcores.arrays import received, share
from allcores.mapping import LimitedPool, limits_of_workers

__all__ = ["AllcoresBackend"]

_IDLE_SECONDS = 300.0
"""How long workers are kept that have nothing to do, as by joblib's own backend."""


class AllcoresBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib has no types
    """What joblib asks of those who run its batches."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    def __init__(self, **options: Any) -> None:
        """Have options of `register_joblib`, and what joblib gives every backend."""
        super().__init__(**options)
        self._pools: list[_KeptPool] = []
        """That of the last call, and of others that are not over: within one `parallel_config` all share a backend."""
        self._calls = 0
        self._arrays: _Arrays | None = None

    @property
    def _pool(self) -> _KeptPool | None:
        """The workers, under the name at which joblib's tests look."""
        return self._pools[-1] if self._pools else None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many workers there are for that ``n_jobs``."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return max(usable_cpus() + 1 + n_jobs, 1) if n_jobs < 0 else n_jobs

    def configure(
        self,
        n_jobs: int | None = 1,
        parallel: Any = None,
        max_nbytes: int | None = 1 << 20,
        mmap_mode: str | None = "r",
        temp_folder: object = None,
        prefer: object = None,
        require: object = None,
        verbose: object = None,
        context: object = None,
        **options: Any,
    ) -> int:
        """Have workers for a call, or several; return how many."""
        size = self.effective_n_jobs(n_jobs)
        if size == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        made_for = size, self.inner_max_num_threads, {**self.backend_kwargs, **options}
        if self._pool is None or self._pool.made_for != made_for:
            self._pools.append(_take_pool(*made_for))
        self._calls += 1
        self._arrays = _Arrays(max_nbytes, mmap_mode)
        return size

    def submit(self, func: Any, callback: Callable[[Any], object] | None = None) -> Any:
        """Have a batch done; ``callback`` gets what `retrieve_result_callback` takes."""
        pool, arrays = self._pool, self._arrays
        if pool is None or arrays is None:
            raise RuntimeError(
                "another call of Parallel, which shares its workers with this one, has failed or was left"
            )
        try:
            task = arrays.pickled(func)
        except Exception as error:
            raise pickle.PicklingError(
                f"Could not pickle the task to send it to the workers: {type(error).__name__}: {error}"
            ) from error
        if callback is None:
            return pool.apply_async(_run, (task,))
        # These keep the batch, and so its arrays, until it is done.
        succeeded, failed = (functools.partial(_tell, (func, arrays), callback, success) for success in (True, False))
        return pool.apply_async(_run, (task,), callback=succeeded, error_callback=failed)

    def retrieve_result_callback(self, out: tuple[bool, Any]) -> Any:
        """Return what a batch has returned, or raise what it has raised."""
        success, value = out
        if success:
            return value
        raise value

    def terminate(self) -> None:
        """Keep the workers for the next call, when this was the last one."""
        self._calls = max(0, self._calls - 1)
        if self._calls == 0:
            self._end(_keep_pool)

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End the workers, whatever they do."""
        self._calls = 0
        self._end(_KeptPool.terminate)
        if ensure_ready:
            self.configure(self.parallel.n_jobs, self.parallel, **self.parallel._backend_kwargs)

    def _end(self, end: Callable[[_KeptPool], object]) -> None:
        pools, self._pools = self._pools, []
        for pool in pools:
            end(pool)
        self._arrays = None
        self.reset_batch_stats()


BACKENDS.setdefault("allcores", AllcoresBackend)  # in workers, too


def _run(task: bytes) -> Any:
    return pickle.loads(task)()


def _tell(kept: Any, callback: Callable[[Any], object], success: bool, value: Any) -> None:
    callback((success, value))


# ---- large arrays


class _Arrays:
    """The large arrays of a call: each is shared once, for all tasks that have it."""

    def __init__(self, most_bytes: int | None, mode: str | None) -> None:
        """Share those of more bytes, if a mode is given as joblib means it; "r+" and "w+" are writable."""
        self._most_bytes = most_bytes if mode in ("r", "r+", "w+") else None
        self._is_writable = mode in ("r+", "w+")
        self._shared: dict[int, Any] = {}
        """Identity of an array that lives -> the shared one."""
        self._lock = threading.RLock()

    def pickled(self, func: Any) -> bytes:
        """Return the pickle of a batch, in which large arrays are handles."""
        file = io.BytesIO()
        numpy = sys.modules.get("numpy")
        reducers = {} if numpy is None or self._most_bytes is None else {numpy.ndarray: self._reduced}
        dump_by_value(func, file, main_is_importable=main_is_importable(main_reference()), reducers=reducers)
        return file.getvalue()

    def _reduced(self, array: Any) -> Any:
        assert self._most_bytes is not None
        if array.nbytes <= self._most_bytes or array.dtype.hasobject:
            return array.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        with self._lock:
            shared = self._shared.get(id(array))
            if shared is None:
                shared = self._shared[id(array)] = share(array, writable=self._is_writable)
                weakref.finalize(array, _let_go, weakref.ref(self), id(array)).atexit = False
        return shared.__reduce_ex__(pickle.HIGHEST_PROTOCOL)

    def let_go(self, identity: int) -> None:
        """Free the memory for an array that is no more, so no batch has it that is not done."""
        shared = self._shared.pop(identity, None)
        if shared is not None:
            received(shared)

    def __del__(self) -> None:
        """Free all of it: the call is over, and its last batch done."""
        for identity in list(self._shared):
            self.let_go(identity)


def _let_go(arrays: weakref.ref[_Arrays], identity: int) -> None:
    those = arrays()
    if those is not None:
        those.let_go(identity)


# ---- pools that are kept


class _KeptPool(LimitedPool):
    """A pool, and what it was made for."""

    made_for: Any


_kept: list[_KeptPool] = []
_lock = threading.Lock()
_timer: threading.Timer | None = None
_pid = 0


def _take_pool(size: int, threads: int | None, options: dict[str, Any]) -> _KeptPool:
    """Return a pool that nobody else uses: the one that was kept, if it is what is wanted, or a new one."""
    global _pid
    made_for = size, threads, options
    with _lock:
        if _pid != os.getpid():
            _pid = os.getpid()
            _kept.clear()  # the parent's
            util.Finalize(None, _end_kept, exitpriority=16)
        if _timer is not None:
            _timer.cancel()
        pool = _kept.pop() if _kept else None
    if pool is not None and pool.made_for == made_for:
        return pool
    if pool is not None:
        pool.terminate()
    gc.collect()  # before processes are made: what is garbage need not be theirs
    pool = _made(size, threads, **options)
    pool.made_for = made_for
    return pool


def _made(
    size: int,
    threads: int | None,
    start_method: str | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: Any = (),
    max_memory_per_worker: int | None = None,
    max_tasks_per_worker: int | None = None,
    niceness: int | None = None,
    affinity: Any = None,
) -> _KeptPool:
    limits = limits_of_workers(max_memory_per_worker, affinity, niceness, threads)
    context = _context._default_context.get_context(start_method)
    return _KeptPool(limits, size, initializer, initargs, max_tasks_per_worker, context)


def _keep_pool(pool: _KeptPool) -> None:
    """Keep it for the next call; one is kept, and for a time."""
    global _timer
    with _lock:
        others = list(_kept)
        _kept[:] = [pool]
        if _timer is not None:
            _timer.cancel()
        _timer = threading.Timer(_IDLE_SECONDS, _end_kept)
        _timer.daemon = True
        _timer.start()
    for other in others:
        other.terminate()


def _end_kept() -> None:
    with _lock:
        ended = list(_kept) if _pid == os.getpid() else []
        _kept.clear()
    for pool in ended:
        pool.terminate()
