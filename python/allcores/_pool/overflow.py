"""Calls that are not sent yet, since large arguments are on their way (README: how many at once)."""

from __future__ import annotations

import collections
import threading

from allcores._pool.results import Room

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

    from allcores._pool.engine import Engine

__all__ = ["Overflow"]


class Overflow:
    """Calls of `apply_async` that wait for room, in their order, and the thread that sends them.

    To the engine it is a feed: the pool has tasks to come as long as there are some.
    """

    def __init__(self, engine: Engine) -> None:
        """Have none."""
        self._engine, self._room = engine, Room()
        self._calls: collections.deque[tuple[Any, Any, Any, Any]] = collections.deque()
        self._changing = threading.RLock()

    def sent(self, result: Any, number: int, size: int) -> None:
        """Note that a call with so many large bytes is on its way."""
        result._room = self._room
        self._room.sent(number, size)
        if result._has_arrived():  # before it could tell the room
            self._room.arrived(number)

    def is_full(self) -> bool:
        """Return whether a further call has to wait."""
        return bool(self._calls) or not self._room._ready

    def add(self, result: Any, function: Any, arguments: Any, keywords: Any) -> None:
        """Have a call be sent when there is room."""
        call = result, function, tuple(arguments), dict(keywords)
        with self._changing:
            self._calls.append(call)
            if self in self._engine.feeds:
                return
            self._engine.feeds.append(self)
        threading.Thread(target=self._run, name="allcores-pool-overflow", daemon=True).start()

    def _run(self) -> None:
        engine = self._engine
        while self._calls_or_end():
            engine.wait(self._room)
            self._send_next()
        engine._wake_idlers()
        engine.nudge()
        engine.shut_if_fed()

    def _calls_or_end(self) -> bool:
        with self._changing:
            if not self._calls:
                self._engine.feeds.remove(self)
            return bool(self._calls)

    def _send_next(self) -> None:
        engine = self._engine
        with self._changing:
            if not self._calls:
                return  # they were stopped
            result, function, arguments, keywords = self._calls.popleft()
            number = engine.numbers(1)
            try:
                if engine.error is not None:
                    raise engine.error()
                mark, task = engine.packing.call(function, arguments, keywords)
                size = engine.send(result, number, mark, task)
            except Exception as error:
                # That it cannot be pickled is what its result raises, as in multiprocessing: the call has returned.
                result._arrive(number, False, error)
                engine.nudge()
                return
            if size:
                result._call = function, None
                self.sent(result, number, size)

    def go_on(self) -> None:
        """Do nothing: the thread does."""

    def stop(self) -> None:
        """Send none any more: they fail with the engine's error."""
        with self._changing:
            calls = list(self._calls)
            self._calls.clear()
        for result, *_ in calls:
            if self._engine.error is not None:
                result._arrive(0, False, self._engine.error())
        self._room.give_up()
        self._engine.nudge()
