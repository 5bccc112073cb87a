"""Tasks that run for longer than they may: their worker is killed, and nobody else's task.

A worker notes in its claim which task it takes, and when (``src/channel/claims.rs``). Between a look at the claim and a
kill the worker may have replied, and taken the next task. So it is stopped first; then its claim does not change any
more, and all that it has replied is there to be read. If it still has the task, it is killed, else it goes on.
"""

from __future__ import annotations

import signal
import time

from allcores import _core

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Container, Iterable
    from typing import Any

    from allcores._pool.claim import Claim
    from allcores._pool.engine import Engine

__all__ = ["Timekeeper", "overdue"]

_UNTIL_STOPPED_SECONDS = 0.001
_LONGEST_WAIT_SECONDS = 3600.0


def overdue(noted: Iterable[tuple[int, int, int] | None], now_ns: int, most_ns: int) -> tuple[list[int], int]:
    """Return whose tasks have run for too long, as positions in what is noted, and when to look again at the latest.

    A task that is taken after this look is not overdue before ``now_ns + most_ns``.
    """
    late, next_look_ns = [], now_ns + most_ns
    for position, claim in enumerate(noted):
        if claim is None:
            continue
        due_ns = claim[2] + most_ns
        if due_ns <= now_ns:
            late.append(position)
        else:
            next_look_ns = min(next_look_ns, due_ns)
    return late, next_look_ns


class Timekeeper:
    """Kills the workers whose tasks are overdue.

    ``collect`` has all replies noted that are there, ``running`` then has the numbers of the tasks without a reply.
    """

    def __init__(self, engine: Engine, seconds: float, collect: Callable[[], None], running: Container[int]) -> None:
        """Give each task so many seconds."""
        self._engine, self._seconds, self._collect, self._running = engine, seconds, collect, running
        self._most_ns = int(seconds * 1e9)
        self._next_look_ns = 0
        self._stopping: list[tuple[Any, Claim, int, int]] = []
        """Worker, claim, and numbers of task and message, of who is to be stopped."""
        self._killed: dict[int, int] = {}
        """Number of the task -> pid of the worker that was killed for it."""

    def patience_seconds(self) -> float:
        """Return for how long nothing will be overdue."""
        if self._stopping:
            return _UNTIL_STOPPED_SECONDS
        left = (self._next_look_ns - _now_ns()) / 1e9
        return min(max(left, 0.0), _LONGEST_WAIT_SECONDS)

    def look(self) -> None:
        """Kill the workers whose tasks are overdue, if any may be."""
        now_ns = _now_ns()
        if self._stopping:
            self._decide()
        if now_ns < self._next_look_ns:
            return
        workers = self._engine.crew.at_work()
        noted = [claim._noted_since() for _, claim in workers]
        late, self._next_look_ns = overdue(noted, now_ns, self._most_ns)
        if not late:
            return
        self._collect()
        for position in late:
            (process, claim), (number, message, _) = workers[position], noted[position] or (0, 0, 0)
            if number not in self._running or number in self._killed or any(s[2] == number for s in self._stopping):
                continue
            self._stopping.append((process, claim, number, message))
        self._decide()

    def _decide(self) -> None:
        """Stop them, one after the other: kill those that still have the task then, and let the others go on."""
        for stopping in list(self._stopping):
            process, claim, number, message = stopping
            has_stopped = self._engine.crew.stop(process)
            if has_stopped is None:  # it has ended, which the crew tells
                self._stopping.remove(stopping)
            if not has_stopped:
                continue
            self._collect()
            noted = claim._noted_since()
            is_late = noted is not None and noted[:2] == (number, message) and number in self._running
            if is_late and _core.has_given(self._engine.tasks, message):
                self._killed[number] = process.pid
                self._engine.crew.signal(process, signal.SIGKILL)
            else:
                self._engine.crew.signal(process, signal.SIGCONT)
            self._stopping.remove(stopping)

    def explained(self, number: int, error: BaseException) -> BaseException:
        """Return the error of a task: that it took too long, if its worker was killed for that."""
        pid = self._killed.pop(number, None)
        if pid is None:
            return error
        from allcores._pool.died import WorkerDiedError
        from allcores.errors import TaskTimeoutError

        if not isinstance(error, WorkerDiedError) or (error.pid, error.exit_code) != (pid, -signal.SIGKILL):
            return error
        return TaskTimeoutError(error.worker_name, pid, self._seconds, error.task)

    def end(self, *, is_done: bool) -> None:
        """Leave no worker stopped, before they are told to end."""
        for process, *_ in self._stopping:
            self._engine.crew.signal(process, signal.SIGCONT if is_done else signal.SIGKILL)
        self._stopping.clear()


def _now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)  # as workers note it
