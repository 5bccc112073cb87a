"""The thread that resolves futures which nobody waits for, and calls their callbacks (README: futures)."""

from __future__ import annotations

import collections
import threading

from allcores._pool.waiting import Latch, Waiter

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

    from allcores._pool.future import Future
    from allcores._pool.futures_engine import FuturesEngine

__all__ = ["Collector"]

_GRACE_SECONDS = 0.02
"""How long a task may be pending before this thread collects, unless somebody wants it at once."""


class Collector(Waiter):
    """Collects when nobody else does; ends when the executor was shut down and nothing is pending."""

    def __init__(self, engine: FuturesEngine) -> None:
        """Begin to sleep."""
        self._engine = engine
        self._due: collections.deque[tuple[Future, bool, Any]] = collections.deque()
        self._alarm = Latch()
        self._is_eager = self._waits = self._steps_aside = False
        self.is_asleep = True
        """Whether who sends a task wakes it."""
        self.thread = threading.Thread(target=self._run, name="allcores-futures", daemon=True)
        self.thread.start()

    @property
    def _ready(self) -> bool:  # type: ignore[override]
        return bool(self._due) or not self._engine.pending or self._steps_aside

    def wake(self) -> None:
        """Have it look whether there is something to be done."""
        self._alarm.wake()

    def collect_at_once(self) -> None:
        """Have it collect without a grace, until nothing is pending."""
        if not self._is_eager:
            self._is_eager = True
            self._alarm.wake()

    def step_aside(self) -> None:
        """Let somebody else collect, who waits for a result now; unless it is to collect for others, too."""
        if self._waits and not self._is_eager and not self._steps_aside:
            self._steps_aside = True
            self._wake()
            self._engine.nudge()

    def settle(self, future: Future, success: bool, value: Any) -> None:
        """Have it resolve a future."""
        self._due.append((future, success, value))
        self._alarm.wake()
        self._wake()

    def _run(self) -> None:
        self._collect_all()
        self._engine.shut()
        self._collect_all()  # whoever was let in just before that has sent a task by now, or cannot
        self._engine.finish()

    def _collect_all(self) -> None:
        """Collect until the executor was shut down, and nothing is pending."""
        while self._rest():
            self._waits = True
            self._engine.wait(self)
            self._waits = self._steps_aside = False
            while self._due:
                self.settle_now(*self._due[0])
                self._due.popleft()

    def _rest(self) -> bool:
        """Sleep until there is something to collect; False when there will be nothing."""
        engine = self._engine
        while True:
            if not engine.pending:
                self._is_eager = False
            self.is_asleep = True  # before looking: who sends a task afterwards wakes it
            while not engine.pending and not self._due:
                if engine.is_closed:
                    return False
                self._alarm.wait(None)
            self.is_asleep = False
            oldest = engine.oldest_pending()
            if not self._must_hurry():
                self._alarm.wait(_GRACE_SECONDS)
            if self._must_hurry() or oldest in engine.pending:
                return True

    def _must_hurry(self) -> bool:
        return self._is_eager or bool(self._due) or self._engine.is_closed

    def settle_now(self, future: Future, success: bool, value: Any) -> None:
        """Resolve a future, in this thread."""
        try:
            future._settle(success, value)
        except BaseException as error:  # a callback's; the standard executor's thread ends by that, and it hangs
            threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, self.thread)))
        if self._engine.backlog.is_used:
            self._engine.backlog.feed()  # where there was no room before
