"""Tasks that were taken out of the channel again, so that they can be cancelled (README: futures)."""

from __future__ import annotations

import contextlib
import threading

from allcores import _core
from allcores._in_arena import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

    from allcores._pool.futures_engine import FuturesEngine

__all__ = ["Backlog"]

_AHEAD_PER_WORKER = 2
"""How many tasks lie in the channel for each worker: with fewer it might have to wait for one."""


class Backlog:
    """What is fed to the workers as they need it. It is used from the first cancellation on, until it is empty."""

    def __init__(self, engine: FuturesEngine) -> None:
        """Of the tasks of an engine."""
        self._engine = engine
        self._moving = threading.RLock()
        self._drained: list[tuple[int, int, Any]] = []
        """As they came out of the channel; not empty when a signal handler has raised meanwhile."""
        self._tasks: dict[int, tuple[int, Any]] = {}
        """Number -> mark and task, in their order."""
        self._failed: list[tuple[Any, int, BaseException]] = []
        """Future, number and error of what could not be fed, to be told when the lock is released."""
        self._scratch: Channel | None = None
        self.is_used = False

    def has_moved(self, number: int, message: int) -> bool:
        """Whether a task that a worker has noted was taken out here, and not by a worker.

        The worker was about to take it; now it is here, or in the channel again, as a message of a higher number.
        """
        with self._moving:
            if self._drained:
                self._keep_drained()
            if number in self._tasks:
                return True
            fed_from: int | None = getattr(self._engine.pending.get(number), "_fed_from", None)
            return fed_from is not None and (message - fed_from) % (1 << 32) >= 1 << 31

    def withdraw(self, number: int, withdrawn: list[Any]) -> None:
        """Have a task not be run, and append its future, unless a worker has taken it, or it is not there otherwise.

        If a signal handler raises, the list says which it was.
        """
        try:
            with self._moving:
                if number not in self._tasks:
                    self._drain()
                self._feed(but=number)
                if number in self._tasks:
                    withdrawn.append(self._engine.pending.get(number))  # from here on it is not fed any more
                    del self._tasks[number]
                    self.is_used = bool(self._tasks)
        finally:
            self._tell_failed()

    def withdraw_all(self, spared: int, withdrawn: list[Any]) -> None:
        """Have no task be run that no worker has taken, but for the first ones, and append their futures."""
        try:
            with self._moving:
                self._drain()
                numbers = list(self._tasks)[spared:]
                withdrawn.extend(map(self._engine.pending.get, numbers))
                for number in numbers:
                    del self._tasks[number]
                self._feed()
        finally:
            self._tell_failed()

    def _drain(self) -> None:
        """Take all tasks out of the channel. They were there before those that lie here."""
        self.is_used = True  # before: what a signal handler leaves in the list is fed by who collects next
        while _core.collect(self._engine.tasks, self._drained, 0.0):
            pass
        self._keep_drained()
        self.is_used = bool(self._tasks)

    def _keep_drained(self) -> None:
        self._tasks = {number: (mark, task) for number, mark, task in self._drained} | self._tasks
        self._drained.clear()

    def add(self, tasks: Channel, task: Any, number: int, mark: int, by_name: bool) -> int:
        """Have one more task, pickled now: called as `_core.put_labelled` is, and returns the same."""
        try:
            with self._moving:
                if self._scratch is None:
                    self._scratch = Channel()
                size = _core.put_labelled(self._scratch, task, number, mark, by_name)
                pickled: list[tuple[int, int, Any]] = []
                _core.collect(self._scratch, pickled, None)
                for number, mark, task in pickled:
                    self._tasks[number] = mark, task
                self._feed()
        finally:
            self._tell_failed()
        return size

    def feed(self) -> None:
        """Put as many into the channel as workers need soon."""
        try:
            with self._moving:
                self._feed()
        finally:
            self._tell_failed()

    def _feed(self, but: int | None = None) -> None:
        tasks, most = self._engine.tasks, _AHEAD_PER_WORKER * max(self._engine.crew.size, 1)
        if self._drained:
            self._keep_drained()
        self.is_used = True
        while tasks._length() < most:
            number = next((number for number in self._tasks if number != but), None)
            if number is None:
                break
            self._feed_one(number)
        self.is_used = bool(self._tasks or self._failed)

    def _feed_one(self, number: int) -> None:
        engine = self._engine
        try:
            mark, task = self._tasks.pop(number)
            if (future := engine.pending.get(number)) is not None:
                future._fed_from = _core.next_message(engine.tasks)
                _core.put_labelled(engine.tasks, task, number, mark, False)
        except BaseException as error:
            # A signal handler's may have come when it was put already: it is not put once more.
            if number not in self._tasks and (future := engine.pending.get(number)) is not None:
                self._failed.append((future, number, error))
            if not isinstance(error, Exception):
                raise

    def _tell_failed(self) -> None:
        while self._failed:
            future, number, error = self._failed[0]
            future._arrive(number, False, error)
            self._engine.pending.pop(number, None)
            with contextlib.suppress(ValueError):  # another thread was faster
                self._failed.remove((future, number, error))
