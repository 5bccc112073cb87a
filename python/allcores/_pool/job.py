"""Many calls of one function: which are sent, which are sent again, and what came of them."""

from __future__ import annotations

import collections
import itertools
import time
from dataclasses import dataclass

from allcores._pool.chunks import MOST_BYTES_AHEAD
from allcores._pool.descriptions import in_short, name_of
from allcores._pool.marks import CALL, STARMAP
from allcores._pool.overdue import Timekeeper
from allcores._pool.waiting import Waiter

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["NOT_YET", "Job", "Rules"]

NOT_YET = object()
"""What a source gives as an argument when it has nothing yet. It is asked again with the next result, or after
`Job.refill`."""

_FILLING_SECONDS = 0.0005
"""For how long arguments are read and sent before somebody looks whether a result is there."""
_SLOW_SECONDS = 0.001
"""An iterable that takes so long for an item is not read while there is a result to be taken."""
_GRACE_SECONDS = 5.0
"""How long workers may take to end by themselves, when all is done."""


@dataclass(frozen=True)
class Rules:
    """How a job is done."""

    ordered: bool
    on_error: str
    retries: int
    timeout_seconds: float | None
    chunksize: int
    window: int
    """How many tasks were sent at most whose results were not taken."""


class Task:
    """A call, or a chunk of them, that was sent."""

    __slots__ = ("arguments", "first", "index", "length", "runs", "size")

    def __init__(self, index: int, first: int, arguments: tuple[Any, ...]) -> None:
        self.index, self.first, self.length = index, first, len(arguments)
        self.arguments: tuple[Any, ...] | None = arguments
        """Those of each call, or None when they are too large to be kept."""
        self.runs = self.size = 0


class Job(Waiter):
    """What waits for the replies. It does not keep who takes the results, so that one may be dropped."""

    def __init__(
        self,
        pool: Any,
        function: Any,
        source: Iterator[tuple[Any, ...]],
        rules: Rules,
        progress: Callable[[int, int], None],
    ) -> None:
        """Read from the source when results are taken; tell progress of what is done, and how much of it failed."""
        self._pool, self._engine, self._rules, self._progress = pool, pool._engine, rules, progress
        self.name = name_of(function)
        """What errors call the function."""
        self._head = self._engine.packing.head(function, self, is_kept=True)
        self._source: Iterator[tuple[Any, ...]] | None = source
        self._reading_error: Exception | None = None
        self._is_slow = self._is_refilled = False
        self._replies: collections.deque[tuple[int, bool, Any, bool]] = collections.deque()
        """Number, whether it succeeded, with what, and whether that is the end of all."""
        self._tasks: dict[int, Task] = {}
        """Number of a task on its way -> the task."""
        self._came: dict[int, tuple[Task, bool, Any]] = {}
        self._order: collections.deque[int] = collections.deque()
        """In which order they came, if that is the order."""
        self._rest: collections.deque[Any] = collections.deque()
        """Results of a chunk that are still to be taken."""
        self._sent = self._calls = self._taken = self._bytes = 0
        self._timekeeper: Timekeeper | None = None
        if rules.timeout_seconds is not None:
            self._timekeeper = Timekeeper(self._engine, rules.timeout_seconds, self._collect, self._tasks)

    # ---- the engine's side

    @property
    def _ready(self) -> bool:  # type: ignore[override]
        return self._is_refilled or bool(self._replies)

    def _arrive(self, number: int, success: bool, value: Any) -> None:
        """Note a reply. The engine may say so twice."""
        self._replies.append((number, success, value, not success and self._engine.error is not None))
        if self._latches:
            self._wake()

    def _describe(self, number: int) -> str:
        """Say in short which task this is."""
        task, name = self._tasks.get(number), self.name
        if task is None:
            return f"{name}(…)"
        if self._rules.chunksize > 1:
            return f"{name} for items {task.first} to {task.first + task.length - 1}"
        return f"{name}({'…' if task.arguments is None else ', '.join(map(in_short, task.arguments[0]))})"

    # ---- the taker's side

    def take(self) -> Any:
        """Return the next result, or raise what became of it; StopIteration when there are no more."""
        while True:
            if self._rest:
                return self._rest.popleft()
            _, _, success, value = self.take_task()
            if success and self._rules.chunksize > 1:
                self._rest.extend(value)
            elif success or self._rules.on_error == "return":
                return value
            elif self._rules.on_error == "raise":
                try:
                    raise value
                finally:
                    del value  # its traceback keeps this frame

    def take_task(self) -> tuple[int, int, bool, Any]:
        """Return the number of the next task's first call, how many calls it has, whether it succeeded, and with what.

        Of a chunk, that is the results of its calls, or one error. StopIteration when there are no more.
        """
        while True:
            self._settle()
            if not (self._is_slow and self._has_next()):
                self._fill()
            if self._timekeeper is not None:
                self._timekeeper.look()
            if self._has_next():
                task, success, value = self._came.pop(self._taken if self._rules.ordered else self._order.popleft())
                self._taken += 1
                return task.first, task.length, success, value
            if self._source is None and self._sent == self._taken:
                if self._reading_error is not None:
                    raise self._reading_error
                raise StopIteration
            if not self._ready:
                patience = None if self._timekeeper is None else self._timekeeper.patience_seconds()
                self._engine.wait(self, patience)

    def refill(self) -> None:
        """Have the source asked again, which had nothing; another thread than the taker's says so."""
        self._is_refilled = True
        self._engine.nudge()

    def _has_next(self) -> bool:
        return self._taken in self._came if self._rules.ordered else bool(self._order)

    def _collect(self) -> None:
        """Have what has come be known."""
        self._engine.look()
        self._settle()

    def _settle(self) -> None:
        """Go through the replies: what failed is sent again, or came to its end."""
        while self._replies:
            number, success, value, is_the_end = self._replies.popleft()
            task = self._tasks.pop(number, None)
            if task is None:
                continue
            if is_the_end:
                raise value
            if success:
                self._finish(task, True, value)
                continue
            if self._timekeeper is not None:
                value = self._timekeeper.explained(number, value)
            if task.runs <= self._rules.retries:
                self._send(task)
                continue
            if self._rules.retries:
                value.add_note(
                    f"the task failed {task.runs} times, and is not tried again: retries={self._rules.retries}"
                )
            self._finish(task, False, value)

    def _finish(self, task: Task, success: bool, value: Any) -> None:
        self._bytes -= task.size
        task.arguments = None
        self._came[task.index] = task, success, value
        if not self._rules.ordered:
            self._order.append(task.index)
        self._progress(task.length, 0 if success else task.length)

    # ---- sending

    def _has_room(self) -> bool:
        ahead = self._sent - self._taken
        return ahead < self._rules.window and (self._bytes <= MOST_BYTES_AHEAD or ahead <= self._engine.crew.size)

    def _fill(self) -> None:
        """Read and send what there is room for, as long as nobody could have a result meanwhile."""
        self._is_refilled = False
        before = since = time.monotonic()
        while self._source is not None and self._has_room():
            arguments = self._read()
            if arguments:
                task = Task(self._sent, self._calls, arguments)
                self._sent += 1
                self._calls += len(arguments)
                self._send(task)
            elif self._source is not None:
                return  # there is nothing yet
            now = time.monotonic()
            self._is_slow, before = now - before > _SLOW_SECONDS, now
            if now - since > _FILLING_SECONDS:
                if not self._has_next():
                    self._collect()
                if self._has_next():
                    return
                before = since = time.monotonic()

    def _read(self) -> tuple[Any, ...]:
        """Return the arguments of the next calls; of fewer, when there are no more, or reading fails."""
        source = self._source
        arguments: list[tuple[Any, ...]] = []
        assert source is not None
        try:
            for each in itertools.islice(source, self._rules.chunksize):
                if each[0] is NOT_YET:
                    return tuple(arguments)
                arguments.append(each)
        except Exception as error:  # raised when the results of what was read before were taken
            self._reading_error, self._source = error, None
        if len(arguments) < self._rules.chunksize:
            self._source = None
        return tuple(arguments)

    def _send(self, task: Task) -> None:
        assert task.arguments is not None
        engine, number = self._engine, self._engine.numbers(1)
        self._bytes -= task.size
        task.size = 0
        task.runs += 1
        self._tasks[number] = task
        try:
            if self._rules.chunksize > 1:
                mark, message = engine.packing.part(STARMAP, self._head, task.arguments)
            else:
                mark, message = engine.packing.part(CALL, self._head, task.arguments[0])
            task.size = engine.send(self, number, mark, message)
        except Exception as error:  # these arguments cannot be pickled, now or later
            del self._tasks[number]
            if engine.is_closed:
                raise  # by another thread
            try:
                engine.packing.note(error, arguments=task.arguments)
            finally:
                self._finish(task, False, error)
            return
        self._bytes += task.size
        if task.size and not self._rules.retries:
            task.arguments = None

    # ---- the end

    def end(self, *, is_done: bool) -> None:
        """End the pool: when all is done, after its workers have ended by themselves."""
        self._source = None
        if self._timekeeper is not None:
            self._timekeeper.end(is_done=is_done)
        if is_done:
            self._pool.close()
            self._engine.crew.join(_GRACE_SECONDS)
        self._pool.terminate()
        self._pool.join()
