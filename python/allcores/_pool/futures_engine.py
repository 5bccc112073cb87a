"""The engine of executors: what a pool's has, and futures, which resolve though nobody waits for them."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from concurrent.futures.process import BrokenProcessPool, _RemoteTraceback

from allcores import _core
from allcores._pool import died
from allcores._pool.backlog import Backlog
from allcores._pool.collector import Collector
from allcores._pool.crew import Crew
from allcores._pool.engine import Engine
from allcores._pool.future import Future
from allcores._pool.marks import BREAKING, HEALING, RESULT
from allcores._pool.waiting import Waiter

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["UNTIL_STOPPED_SECONDS", "FuturesEngine", "engines"]

_put = _core.put_labelled

UNTIL_STOPPED_SECONDS = 0.001
"""When to look again whether a worker has stopped."""


engines: weakref.WeakSet[FuturesEngine] = weakref.WeakSet()
"""All of this process."""


def _disown_all() -> None:
    for engine in list(engines):
        engine.disown()


os.register_at_fork(after_in_child=_disown_all)


class FuturesEngine(Engine):
    """Calls on their way to workers, and the futures of what they return."""

    _cause: Any = _RemoteTraceback
    future_type: type[Future] = Future

    def __init__(
        self,
        most: int,
        make: Callable[..., Any],
        orders: tuple[Any, Any, int | None],
        start_method: object,
        *,
        breaks: bool,
        has_threads: bool = True,
    ) -> None:
        """Start workers as calls come, up to ``most``; all at once if they are forked, while there are no threads."""
        self.most, self.has_collector, self._breaks = most, has_threads, breaks
        self._collector: Collector | None = None
        self._sleeper: Any = _Awake
        self._is_refusing = False
        at_once = start_method == "fork" and has_threads
        self._wants_more = not at_once
        self.backlog = Backlog(self)
        self.at_exit: Any = None
        """The finalizer that ends it with the process, should it not have ended before."""
        super().__init__(
            most if at_once else 0,
            make,
            (*orders, BREAKING if breaks else HEALING),
            start_method,
        )
        engines.add(self)
        if not has_threads:
            return
        try:
            self._collector = Collector(self)
        except BaseException:
            self.end()
            raise
        self._sleeper = self._collector
        self.idlers.append(self._collector)

    def _crew(self, size: int, make: Callable[..., Any], orders: tuple[Any, ...]) -> Crew:
        channels = self.tasks, self.results
        return Crew(
            size,
            make,
            channels,
            orders,
            self._lose,
            self._give_up,
            most=self.most,
            are_daemons=False,
            breaks=self._breaks,
            has_thread=self.has_collector,
        )

    @property
    def thread(self) -> threading.Thread | None:
        """What ends last."""
        return None if self._collector is None else self._collector.thread

    @property
    def broken(self) -> BaseException | None:
        """Why no call will be made any more, if none will."""
        make = self.error or self._verdict
        return None if make is None else died.of_executor(make())

    # ---- sending

    def submit(self, function: Callable[..., Any], arguments: Any, keywords: Any) -> Future:
        """Have a call made; what cannot be pickled is what its future raises."""
        return self._submit((function, arguments), self.packing.call, (function, arguments, keywords))

    def submit_part(self, mark: int, head: Any, function: Any, items: Any) -> Future:
        """Have a call made for each of some items; the future is that of all results."""
        return self._submit((function, items), self.packing.part, (mark, head, items))

    def _submit(self, call: tuple[Any, Any], pack: Callable[..., tuple[int, Any]], parts: tuple[Any, ...]) -> Future:
        if self._is_refusing or self.error is not None:
            self._refuse()
        number = self.numbers(1)
        self.pending[number] = future = self.future_type(self, number, call)
        backlog = self.backlog
        try:
            if backlog.is_full():
                backlog.add_later(number, pack, parts)
                size = 0
            else:
                mark, task = pack(*parts)
                put = backlog.add if backlog.is_used else _put
                size = put(self.tasks, task, number, mark, False)
        except BaseException as error:
            try:
                self.packing.note(error, function=call[0], args=call[1], kwargs=parts[-1])
            finally:
                self._fail(future, error)
            return future
        if size:
            backlog.note_large(future, size)
        if self._wants_more:
            self._hire_for(number)
        if self._sleeper.is_asleep:
            self._sleeper.wake()
        if self.error is not None:
            self._fail_all()
        return future

    def _fail(self, future: Future, error: BaseException) -> None:
        """Have a future that was not sent raise an error, unless the error is the caller's."""
        self._forget(future._number)
        if isinstance(error, BlockingIOError) and self.is_closed:
            self._refuse()
        if isinstance(error, MemoryError) or not isinstance(error, Exception):
            raise error
        future._arrive(future._number, False, error)

    def refuse(self) -> None:
        """Take no further calls."""
        self.is_closed = self._is_refusing = True

    def _refuse(self) -> None:
        broken = self.broken
        if broken is not None:
            raise broken
        raise RuntimeError("cannot schedule new futures after shutdown")

    def _hire_for(self, number: int) -> None:
        """Start workers, if there are too few for what is pending. When there is none, the task is not to be done."""
        try:
            self._hire()
        except BaseException as error:
            if isinstance(error, Exception) and self.crew.processes:
                return  # they do it; the next task has it tried again
            self.withdraw(number)
            raise

    def _hire(self) -> None:
        if len(self.pending) > self.crew.size:
            self.look()
        self.crew.grow(self.most, len(self.pending))
        self._wants_more = self.crew.size < self.most

    # ---- collecting

    def collect(self, timeout: float | None) -> bool:
        """Collect as a pool does, and feed the workers from the backlog, if there is one."""
        if not super().collect(timeout):
            return False
        if self.backlog.is_used:
            self.backlog.feed()
        return True

    def wait_for(self, future: Future, timeout: float | None) -> None:
        """Wait for a future, and collect meanwhile."""
        if self._collector is not None:
            self._collector.step_aside()
        self.wait(future, timeout)

    def expect(self, future: Future) -> None:
        """Note that somebody has asked for a future's condition: it is to be resolved by itself, as soon as can be."""
        if self._collector is not None:
            self._collector.collect_at_once()

    def settle(self, future: Future, success: bool, value: Any) -> None:
        """Resolve a future that somebody has asked for its condition."""
        if self._collector is None:
            future._settle(success, value)
        elif threading.current_thread() is self._collector.thread:
            self._collector.settle_now(future, success, value)
        else:
            self._collector.settle(future, success, value)

    def oldest_pending(self) -> int | None:
        """Return the number of the task that has been pending for longest."""
        try:
            return next(iter(self.pending), None)
        except RuntimeError:  # another thread has put something in there
            return None

    def _unpickled(self, value: Any, success: bool) -> tuple[bool, Any]:
        was_success = success
        success, value = super()._unpickled(value, success)
        if self._breaks and was_success and not success:
            cause = value

            def error() -> BaseException:
                told = BrokenProcessPool("a result cannot be unpickled, which with on_worker_death='break' ends it all")
                told.__cause__ = cause
                return told

            self.crew.break_up(error)
            value = error()
        return success, value

    def _give_up(self, error: Callable[[], BaseException]) -> None:
        self._verdict = error  # before any future is told: whoever then submits another call is refused
        self._is_refusing = True
        super()._give_up(error)

    def _lose(self, number: int, message: int, process: Any) -> None:
        if not self.backlog.has_moved(number, message):
            super()._lose(number, message, process)

    def _error_for_all(self, make: Callable[[], BaseException]) -> BaseException:
        return died.of_executor(make())

    # ---- cancelling

    def is_running(self, number: int) -> bool:
        """Whether a worker has begun with a task."""
        for _, claim in self.crew.at_work():
            noted = claim._noted()
            if noted is not None and noted[0] == number and self._was_taken(*noted):
                return True
        return False

    def _was_taken(self, number: int, message: int) -> bool:
        """Whether a worker has taken the task that one has noted; else it was about to do so, and may have died."""
        return _core.has_given(self.tasks, message) and not self.backlog.has_moved(number, message)

    def withdraw(self, number: int) -> bool:
        """Cancel a call; False when a worker has begun with it, or is done."""
        return not self.is_running(number) and self._cancel(self.backlog.withdraw, number)

    def _cancel(self, withdraw: Callable[[int, list[Any]], None], which: int) -> bool:
        """Withdraw calls, and have their futures be cancelled; False when there are none."""
        withdrawn: list[Future | None] = []
        try:
            withdraw(which, withdrawn)
            self._have_cancelled(withdrawn)
        except BaseException:  # a signal handler's, or a callback's: what was withdrawn is not done any more
            self._have_cancelled(withdrawn)
            raise
        return bool(withdrawn)

    def _have_cancelled(self, futures: list[Future | None]) -> None:
        """Have futures be cancelled whose calls will not be done. Doing so again changes nothing."""
        for future in futures:
            if future is not None:
                self._forget(future._number)
                future._be_cancelled()
        if self.backlog.is_used:
            self.backlog.feed()  # where there was no room before

    def withdraw_all(self) -> None:
        """Cancel all that no worker has begun with; but for each worker that has nothing yet, one is left for it.

        In the standard executor that much is out of reach, and CPython's tests expect something to be done.
        """
        if not self.pending:
            return
        spared = sum((claim._noted() or (0,))[0] == 0 for _, claim in self.crew.at_work())
        self._cancel(self.backlog.withdraw_all, spared)

    def _forget(self, number: int) -> None:
        self.pending.pop(number, None)
        if not self.pending:
            self._wake_idlers()
            self.nudge()

    def stop(self, number: int) -> None:
        """Kill the worker that has a task, if it still has it when it has been stopped (README: futures)."""
        for _ in self.stopping(number):
            self.wait(self.pending.get(number, self.idle), UNTIL_STOPPED_SECONDS)

    def stopping(self, number: int) -> Iterator[None]:
        """Do that in steps, between which the worker needs a moment."""
        for process, claim in self.crew.at_work():
            noted = claim._noted()
            if noted is None or noted[0] != number:
                continue
            future, is_its = self.pending.get(number), False
            try:
                while number in self.pending and (has_stopped := self.crew.stop(process)) is not None:
                    if has_stopped:
                        self._fence()
                        if claim._noted() != noted or number not in self.pending:
                            break
                        is_its = _core.has_given(self.tasks, noted[1])
                        if is_its:
                            break
                        self.crew.signal(process, signal.SIGCONT)  # it is about to take it
                    yield
                self._let_go(process, future, is_its)
            except BaseException:  # a signal handler's, perhaps in the midst of that
                self._let_go(process, future, is_its)
                raise
            if is_its:
                return

    def _let_go(self, process: Any, future: Future | None, is_its: bool) -> None:
        """Kill a worker that was stopped, if it has that future's call, or have it go on."""
        if is_its:
            self.crew.signal(process, signal.SIGKILL, dismissed=True)
            self._have_cancelled([future])
        else:
            self.crew.signal(process, signal.SIGCONT)

    def _fence(self) -> None:
        """Wait until all replies were handed over that are there."""
        number, fence = self.numbers(1), _Fence()
        try:
            self.pending[number] = fence
            _core.put_labelled(self.results, None, number, RESULT, False)
            self.wait(fence)
        finally:
            self._forget(number)

    # ---- the end

    def close(self) -> None:
        """Have no further calls; workers end when all are done."""
        self.refuse()
        if self._collector is not None:
            self._collector.wake()

    def abandon(self, number: int) -> None:
        """Cancel all that no worker has begun with, and send the workers a signal."""
        self.refuse()
        if self.pending:
            self._cancel(self.backlog.withdraw_all, 0)
        self.crew.dismiss(number)
        self.close()

    def disown(self) -> None:
        """Be of no use, in a child that was forked and has a copy of it: the workers are the parent's."""
        self._collector, self._sleeper, self.has_collector = None, _Awake, False
        self.error = _of_parent
        self.refuse()
        futures = [handle for handle in self.pending.values() if isinstance(handle, Future)]
        self.pending.clear()
        self.crew.processes = []
        for future in futures:
            future._be_copied(_of_parent())

    def shut(self) -> None:
        """Have the workers end: nothing is pending any more."""
        super().close()

    def finish(self) -> None:
        """Have the workers end, and wait for that."""
        self.shut()
        self.crew.join()
        if self.at_exit is not None:
            self.at_exit.cancel()


def _of_parent() -> BaseException:
    return RuntimeError("this executor is the parent's, and this process a forked child of it: make another one here")


class _Awake:
    """What is there instead of a collector."""

    is_asleep = False


class _Fence(Waiter):
    """Something that comes as replies do."""

    def _arrive(self, number: int, success: bool, value: Any) -> None:
        self._ready = True
        self._wake()
