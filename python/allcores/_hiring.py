"""How a pool comes to its workers, where these import the main module; and the end of one whose workers cannot.

The pool starts a new worker for each that has ended. Of an unguarded program (`_unguarded.py`) all would end at once,
for ever. So when the first one has told that by its exit code, the pool gets a `Vacancy` instead of each further one,
and all its tasks, those that are on their way and those to come, fail with the error that a `Process` would have met.
"""

from __future__ import annotations

import threading
import weakref
from multiprocessing.reduction import ForkingPickler
from typing import Any

from allcores._pickle.dump import dumps
from allcores._unguarded import POOL_WORKER_EXIT_CODE, refused

__all__ = ["Hiring", "Vacancy"]

_PATIENCE_SECONDS = 0.01


class Vacancy:
    """The place of a worker that was not started, to the standard pool a worker that does nothing, and never ends."""

    name, daemon, pid, exitcode = "", True, 0, None

    def start(self) -> None:
        """Do nothing."""

    def terminate(self) -> None:
        """Do nothing."""

    def is_alive(self) -> bool:
        """Return False: there is nobody to wait for."""
        return False

    def join(self) -> None:
        """Do nothing."""


class Hiring:
    """What a pool starts workers by, and sends tasks by. It does not keep the pool."""

    def __init__(self, pool: Any) -> None:
        """Serve a pool that has its queues."""
        self._inqueue = pool._inqueue
        self._make = pool.Process
        self._pool = weakref.ref(pool)
        self._workers: list[Any] = []
        self._sending = threading.Lock()
        self._is_hopeless = False

    def put(self, task: Any) -> None:
        """Send a task to the workers, in the pool's thread for that. What is raised here fails the task."""
        with self._sending:
            if self._is_hopeless:
                if task is None:
                    return  # says to a worker that there are no more
                raise refused()
            self._inqueue._writer.send_bytes(dumps(task))

    def worker(self, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Return a worker that can be started. Called at the beginning, and for each worker that has ended."""
        ended = [worker.exitcode for worker in self._workers if worker.exitcode is not None]
        if POOL_WORKER_EXIT_CODE in ended and not self._is_hopeless:
            self._give_up()
        if self._is_hopeless:
            return Vacancy()
        worker = self._make(context, *args, **kwargs)
        self._workers = [other for other in self._workers if other.exitcode is None] + [worker]
        return worker

    def _give_up(self) -> None:
        """Fail the tasks that were sent, too: nobody will take them."""
        self._is_hopeless = True
        # A task that is being sent may fill the pipe: make room until it is there.
        while not self._sending.acquire(timeout=_PATIENCE_SECONDS):
            self._fail_what_was_sent()
        self._sending.release()
        self._fail_what_was_sent()

    def _fail_what_was_sent(self) -> None:
        # Whoever has the lock empties the pipe: a worker after all, or the pool's end, which never gives it back.
        if not self._inqueue._rlock.acquire(block=False):
            return
        try:
            while self._inqueue._reader.poll():
                self._fail(ForkingPickler.loads(self._inqueue._reader.recv_bytes()))
        finally:
            self._inqueue._rlock.release()

    def _fail(self, task: Any) -> None:
        pool = self._pool()
        result = None if task is None or pool is None else pool._cache.get(task[0])
        if result is not None:
            result._set(task[1], (False, refused()))
