"""The engine by which a process uses the pool of another one (README: a pool that is lent)."""

from __future__ import annotations

import os
import threading

from allcores._pool.engine import Engine
from allcores._pool.helpers import LOOK_SECONDS, UNKNOWN_EXIT_CODE, Helpers
from allcores._pool.marks import HELPED, HELPING

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

    from allcores._in_arena import Channel

__all__ = ["LentEngine", "disown", "lent_engine"]

_REASON = "it ended while it helped another process of the program, and only the process that made the pool knows how"


class LentEngine(Engine):
    """Tasks of this process, done by it while it waits, and by workers of another process's pool that have time."""

    def __init__(self, lender: Channel, size: int, start_method: object) -> None:
        """Ask in that channel for help, of so many at most."""
        self._lender = lender
        super().__init__(size, None, (None, None, None), start_method)  # type: ignore[arg-type]  # it starts nobody

    def _crew(self, size: int, make: Any, orders: Any) -> Any:
        return Helpers(size, self._lender, (self.tasks, self.results), self._lose_with)

    def send(self, handle: Any, number: int, mark: int, task: Any) -> int:
        """Send a task, and ask for help with it."""
        large = super().send(handle, number, mark, task)
        self.crew.ask()
        return large

    def send_parts(self, handle: Any, mark: int, function: Any, items: Any, lengths: list[int]) -> None:
        """Send tasks, and ask for help with them."""
        super().send_parts(handle, mark, function, items, lengths)
        self.crew.ask()

    def _wait_for_room(self, handle: Any, number: int, size: int) -> None:
        self.crew.ask()
        super()._wait_for_room(handle, number, size)

    def collect(self, timeout: float | None) -> bool:
        """Hand out replies, or do a task that nobody has taken; False when there was neither in time.

        With a time of 0 somebody only looks, and tasks are left to the helpers, unless there is none.
        """
        if super().collect(0.0):
            return True
        if (timeout != 0.0 or self.crew.is_nobody_there()) and _one_level_down(self.crew.do_one):
            return True
        if self.crew.bury():
            return True
        if timeout == 0.0:
            return False
        is_long = timeout is None or timeout > LOOK_SECONDS
        return super().collect(LOOK_SECONDS if is_long else timeout) or is_long

    def _hear(self, mark: int, value: Any) -> None:
        if mark in (HELPING, HELPED):
            self.crew.hear(mark, value)
        else:
            super()._hear(mark, value)

    def _lose_with(self, number: int, pid: int) -> None:
        self._tell_death(number, "a worker of the pool", pid, UNKNOWN_EXIT_CODE, _REASON, None)

    def close(self) -> None:
        """Do nothing: others here may use it, too, as long as this process lives."""

    def join(self) -> None:
        """Wait until all is done that was asked for in this process."""
        self.is_joined = True
        for feed in list(self.feeds):
            feed.go_on()
        self.wait(self.idle)
        self.is_joined = False

    end = close


_local = threading.local()
_engines: dict[tuple[Any, int], LentEngine] = {}
"""Address of the lender's channel, and how many tasks of lent pools this thread is in -> the engine."""
_making = threading.Lock()
_MOST_ENGINES = 32
"""From this number on, those that have nothing to do are forgotten."""


def _forget_parent_s() -> None:
    global _making
    _making = threading.Lock()
    _engines.clear()


os.register_at_fork(after_in_child=_forget_parent_s)


def lent_engine(lender: Channel, size: int, start_method: object) -> LentEngine:
    """Return this process's engine for the pool whose channel that is.

    A task that is done while another one is waited for has an engine of its own: it does its own tasks alone when it
    waits, so tasks are in one another as deep as the program says, and no deeper.
    """
    key = lender._address(), getattr(_local, "depth", 0)
    engine = _engines.get(key)
    if engine is None:
        with _making:
            engine = _engines.get(key)
            if engine is None:
                if len(_engines) >= _MOST_ENGINES:
                    _forget_idle()
                engine = _engines[key] = LentEngine(lender, size, start_method)
    return engine


def _forget_idle() -> None:
    for key, engine in list(_engines.items()):
        engine.look()  # what helpers have said at last
        if engine.idle._ready and not engine.crew.is_helped():
            del _engines[key]


def _one_level_down(do: Any) -> bool:
    depth = getattr(_local, "depth", 0)
    _local.depth = depth + 1
    try:
        done: bool = do()
    finally:
        _local.depth = depth
    return done


def disown(engine: Engine) -> None:
    """Fail what was asked for before a fork, in the child: it comes to the parent alone."""
    for number, handle in list(engine.pending.items()):
        handle._follows = False
        handle._arrive(
            number,
            False,
            RuntimeError("this was asked for by the parent process, which gets it: ask for it again here"),
        )
