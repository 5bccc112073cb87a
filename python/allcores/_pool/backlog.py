"""Tasks that were taken out of the channel again, so that they can be cancelled (README: futures)."""

from __future__ import annotations

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
        self._scratch: Channel | None = None
        self.is_used = False

    def __contains__(self, number: int) -> bool:
        """Whether it has this task."""
        return number in self._tasks

    def withdraw(self, number: int) -> bool:
        """Have a task not be run; False when a worker has taken it, or it is not there for another reason."""
        with self._moving:
            if number not in self._tasks:
                self._drain()
            taken = self._tasks.pop(number, None)
            try:
                self.feed()
            except BaseException:
                if taken is not None:  # a signal handler's: then it is not withdrawn
                    self._tasks[number] = taken
                    self.is_used = True
                raise
        return taken is not None

    def withdraw_all(self, spared: int) -> list[int]:
        """Have no task be run that no worker has taken, but for the first ones; return their numbers."""
        with self._moving:
            self._drain()
            numbers = list(self._tasks)[spared:]
            for number in numbers:
                del self._tasks[number]
            self.feed()
        return numbers

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
        with self._moving:
            if self._scratch is None:
                self._scratch = Channel()
            size = _core.put_labelled(self._scratch, task, number, mark, by_name)
            pickled: list[tuple[int, int, Any]] = []
            _core.collect(self._scratch, pickled, None)
            for number, mark, task in pickled:
                self._tasks[number] = mark, task
            self.is_used = True
            self.feed()
        return size

    def feed(self) -> None:
        """Put as many into the channel as workers need soon."""
        engine = self._engine
        with self._moving:
            if self._drained:
                self._keep_drained()
            while self._tasks and engine.tasks._length() < _AHEAD_PER_WORKER * max(engine.crew.size, 1):
                self._feed_one(next(iter(self._tasks)))
            self.is_used = bool(self._tasks)

    def _feed_one(self, number: int) -> None:
        pending = self._engine.pending
        try:
            mark, task = self._tasks.pop(number)
            if number in pending:
                _core.put_labelled(self._engine.tasks, task, number, mark, False)
        except BaseException as error:
            # A signal handler's may have come when it was put already: it is not put once more.
            if number not in self._tasks and (future := pending.get(number)) is not None:
                future._arrive(number, False, error)
                pending.pop(number, None)
            if not isinstance(error, Exception):
                raise
