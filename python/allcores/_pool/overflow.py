"""Calls that are not sent yet, since large arguments are on their way (README: how many at once)."""

from __future__ import annotations

import collections
import threading

from allcores._pool.room import Room

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

    from allcores._pool.engine import Engine

__all__ = ["Overflow"]


class _Call:
    """A call that is still to be sent."""

    def __init__(self, result: Any, function: Any, arguments: Any, keywords: Any) -> None:
        self._result, self._function = result, function
        self._arguments, self._keywords = tuple(arguments), dict(keywords)

    def send(self, overflow: Overflow, engine: Engine) -> bool:
        """Send it; return whether there is more to be sent."""
        result, number = self._result, engine.numbers(1)
        try:
            mark, task = engine.packing.call(self._function, self._arguments, self._keywords)
            size = engine.send(result, number, mark, task)
        except Exception as error:
            # That it cannot be pickled is what its result raises, as in multiprocessing: the call has returned.
            try:
                engine.packing.note(error, function=self._function, args=self._arguments, kwargs=self._keywords)
            finally:
                result._arrive(number, False, error)
                engine.nudge()
            return False
        if size:
            result._call = self._function, None
            overflow.sent(result, number, size)
        return False

    def fail(self, error: BaseException) -> None:
        self._result._arrive(0, False, error)


class _Parts:
    """Parts of a map that are still to be sent. They have numbers, by which the engine knows them."""

    def __init__(self, result: Any, mark: int, head: Any, items: Any, lengths: list[int], first: int) -> None:
        self._result, self._mark, self._head = result, mark, head
        self._items, self._lengths, self._number = items, collections.deque(lengths), first
        self._at = 0

    def send(self, overflow: Overflow, engine: Engine) -> bool:
        """Send the next one; return whether there is more to be sent."""
        number, length = self._number, self._lengths.popleft()
        part = self._items[self._at : self._at + length]
        self._number, self._at = number + 1, self._at + length
        if number in engine.pending:
            try:
                size = engine.put_part(number, self._mark, self._head, part)
            except Exception as error:
                self._result._arrive(number, False, error)
                engine.pending.pop(number, None)
                engine.nudge()
            else:
                if size:
                    overflow.sent(self._result, number, size)
        return bool(self._lengths)

    def fail(self, error: BaseException) -> None:
        """Do nothing: the engine tells all that it knows."""


class Overflow:
    """Calls, and parts of maps, that wait for room, in their order, and the thread that sends them.

    To the engine it is a feed: the pool has tasks to come as long as there are some.
    """

    def __init__(self, engine: Engine) -> None:
        """Have none."""
        self._engine, self._room = engine, Room()
        self._waiting: collections.deque[_Call | _Parts] = collections.deque()
        self._changing = threading.RLock()

    def sent(self, result: Any, number: int, size: int) -> None:
        """Note that a task with so many large bytes is on its way."""
        result._room = self._room
        self._room.sent(number, size)
        if result._has_arrived(number):  # before it could tell the room
            self._room.arrived(number)

    def is_full(self) -> bool:
        """Return whether a further task has to wait."""
        return bool(self._waiting) or not self._room._ready

    def add_call(self, result: Any, function: Any, arguments: Any, keywords: Any) -> None:
        """Have a call be sent when there is room."""
        self._add(_Call(result, function, arguments, keywords))

    def add_parts(self, result: Any, mark: int, head: Any, items: Any, lengths: list[int], first: int) -> None:
        """Have parts of a map be sent, one by one, when there is room; ``first`` is the number of the first one."""
        self._add(_Parts(result, mark, head, items, lengths, first))

    def _add(self, waiting: _Call | _Parts) -> None:
        with self._changing:
            self._waiting.append(waiting)
            if self in self._engine.feeds:
                return
            self._engine.feeds.append(self)
        threading.Thread(target=self._run, name="allcores-pool-overflow", daemon=True).start()

    def _run(self) -> None:
        engine = self._engine
        while self._waits_or_ends():
            engine.wait(self._room)
            self._send_next()
        engine._wake_idlers()
        engine.nudge()
        engine.shut_if_fed()

    def _waits_or_ends(self) -> bool:
        with self._changing:
            if not self._waiting:
                self._engine.feeds.remove(self)
            return bool(self._waiting)

    def _send_next(self) -> None:
        engine = self._engine
        with self._changing:
            if not self._waiting:
                return  # they were stopped
            waiting = self._waiting[0]
            if engine.error is not None:
                waiting.fail(engine.error())
                self._waiting.popleft()
            elif not waiting.send(self, engine):
                self._waiting.popleft()

    def go_on(self) -> None:
        """Do nothing: the thread does."""

    def stop(self) -> None:
        """Send none any more: they fail with the engine's error."""
        with self._changing:
            stopped = list(self._waiting)
            self._waiting.clear()
        for waiting in stopped:
            if self._engine.error is not None:
                waiting.fail(self._engine.error())
        self._room.give_up()
        self._engine.nudge()
