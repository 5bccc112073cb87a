"""An executor's engine in an event loop, which does what threads do elsewhere (README: futures, without threads)."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from allcores._pool.endings import terminated
from allcores._pool.future import Future
from allcores._pool.futures_engine import UNTIL_STOPPED_SECONDS, FuturesEngine

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["LoopEngine", "LoopFuture"]

_GRACE_SECONDS = 5.0
"""How long workers may take to end by themselves."""


class LoopFuture(Future):
    """One that calls something, in the loop, when it is there."""

    _engine: LoopEngine
    notify: Callable[[LoopFuture], object] | None = None

    def _arrive(self, number: int, success: bool, value: Any) -> None:
        super()._arrive(number, success, value)
        if self.notify is not None:
            notify, self.notify = self.notify, None
            if not self._engine._loop.is_closed():  # else nobody can be told any more
                notify(self)


class LoopEngine(FuturesEngine):
    """Calls whose replies an event loop collects. To be used in its thread."""

    future_type = LoopFuture

    def __init__(self, most: int, make: Callable[..., Any], orders: tuple[Any, Any, int | None], method: str) -> None:
        """Belong to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._watched: set[int] = set()
        self._is_gone = asyncio.Event()
        super().__init__(most, make, orders, method, breaks=False, has_threads=False)
        self._replies = self.results._listen(False)
        self._loop.add_reader(self._replies, self.look)
        self._watch()

    def _watch(self) -> None:
        """Have the loop look for the ends of those workers that there are."""
        wanted = set(self.crew.descriptors())
        for descriptor in self._watched - wanted:
            self._loop.remove_reader(descriptor)
        for descriptor in wanted - self._watched:
            self._loop.add_reader(descriptor, self._attend)
        self._watched = wanted

    def _attend(self) -> None:
        # A descriptor that is closed here may be another one's at once: the loop forgets it before.
        for descriptor in self._watched:
            self._loop.remove_reader(descriptor)
        self._watched = set()
        if self.crew.attend():
            self._watch()
        else:
            self._is_gone.set()

    async def result_of(self, future: Any) -> Any:
        """Return what a call returns. When this is cancelled, so is the call, though it runs."""
        if not future._ready:
            arrival = self._loop.create_future()
            future.notify = lambda _: None if arrival.done() else arrival.set_result(None)
            try:
                await arrival
            except BaseException:
                self.give_up(future)
                raise
        return future.result()

    def give_up(self, future: Any) -> None:
        """Have a call not be made, or not go on."""
        future.notify = None
        if not future._ready and not future.cancel():
            self._go_on(self.stopping(future._number))

    def _go_on(self, stopping: Iterator[None]) -> None:
        for _ in stopping:
            self._loop.call_later(UNTIL_STOPPED_SECONDS, self._go_on, stopping)
            return

    async def end_in_loop(self) -> None:
        """End the workers: those that have nothing by themselves. Calls that are not done fail."""
        self.refuse()
        if not self.pending:
            self.shut()
        else:
            self.error = terminated
            self._fail_all()
            self.crew.dismiss(signal.SIGKILL)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_SECONDS):
                    await self._is_gone.wait()
        finally:
            self._loop.remove_reader(self._replies)
            for descriptor in self._watched:
                self._loop.remove_reader(descriptor)
            self._watched = set()
            self.end()
            if self.at_exit is not None:
                self.at_exit.cancel()

    def _error_for_all(self, make: Callable[[], BaseException]) -> BaseException:
        return make()
