"""The engine of a pool: what was asked for and is not there yet, and how it comes."""

from __future__ import annotations

import threading

from allcores import _core
from allcores._in_arena import Channel
from allcores._pickle.messages import loads as _loads_block
from allcores._pool import failure
from allcores._pool.crew import Crew
from allcores._pool.endings import reason_of, terminated
from allcores._pool.marks import BROKEN, DIED, IS_PICKLE, RESULT, WAKE
from allcores._pool.tasks import Packing
from allcores._pool.waiting import Idle, Waiting
from allcores._zygote.threads import load_ahead

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

__all__ = ["Engine"]

_PARTS_AT_ONCE = 1 << 10


class Engine:
    """Tasks on their way, and who collects the replies. It does not keep the pool."""

    _cause: Callable[[str], BaseException] | None = None
    """Makes what stands for the traceback of a worker; None: as the standard pool."""

    def __init__(self, size: int, make: Callable[..., Any], orders: tuple[Any, ...], start_method: object) -> None:
        """Start workers; see `Crew`."""
        if start_method == "fork" and size > 1:
            load_ahead()
        self.tasks, self.results = Channel(), Channel()
        self.pending: dict[int, Any] = {}
        """Number of a task -> what is to be told of it."""
        self.packing = Packing(start_method)
        self.error: Callable[[], BaseException] | None = None
        """Makes the error of every task, once no task will be done any more."""
        self.is_closed = self.is_joined = False
        self.feeds: list[Any] = []
        """What is still to be read, and made tasks of."""
        self.idle = Idle(self.pending, self.feeds)
        self.idlers: list[Any] = [self.idle]
        """Who is woken when nothing is pending."""
        self.callbacks: Any = None
        self.overflow: Any = None
        """What sends calls with large arguments; there is none before the first of these."""
        self.numbers = _core.Numbers().take
        """Gives the first of so many numbers, which then are the caller's."""
        self._starting = threading.RLock()
        self._arrived: list[tuple[int, int, Any]] = []
        self._verdict: Callable[[], BaseException] | None = None
        waiting = Waiting(self.collect, self.collect_present, self.nudge)
        self.wait, self.look = waiting.wait, waiting.look
        self._ending = threading.RLock()
        self._is_ended = False
        self._suspect: Any = None
        """The last pickle while whose unpickling something was raised that may have come from a signal handler."""
        self.crew: Any = self._crew(size, make, orders)

    def _crew(self, size: int, make: Callable[..., Any], orders: tuple[Any, ...]) -> Any:
        return Crew(size, make, (self.tasks, self.results), orders, self._lose, self._give_up)

    # ---- sending

    def send(self, handle: Any, number: int, mark: int, task: Any) -> int:
        """Send a task, of which the handle will be told; return how many bytes it has outside of the channel."""
        self.pending[number] = handle
        try:
            large = _core.put_labelled(self.tasks, task, number, mark, False)
        except BaseException as error:
            self._take_back(number, 1, error)
            raise
        if self.error is not None:
            self._fail_all()
        return large

    def send_parts(self, handle: Any, mark: int, function: Any, items: Any, lengths: list[int]) -> None:
        """Send a task for each part of a list or range, of which the handle will be told."""
        first, count = self.numbers(len(lengths)), len(lengths)
        head = self.packing.head(function, handle)
        handle._expect(first, lengths)
        self.pending.update(dict.fromkeys(range(first, first + count), handle))
        at = done = 0
        is_plain = type(head) is bytes and type(items) is list
        waits = handle._room is not None
        try:
            if self.overflow is not None and self.overflow.is_full() and not waits:
                self.overflow.add_parts(handle, mark, head, items[:], lengths, first)
                done = count
            while done < count:
                if is_plain:
                    batch = lengths[done : done + _PARTS_AT_ONCE]
                    put = _core.put_parts(self.tasks, head, items, at, batch, first + done, mark)
                    at, done = at + sum(batch[:put]), done + put
                    if put == len(batch):
                        continue
                # One that is long, or needs pickling.
                length, number = lengths[done], first + done
                size = self.put_part(number, mark, head, items[at : at + length])
                at, done = at + length, done + 1
                if not size:
                    is_plain = False
                elif waits:
                    self._wait_for_room(handle, number, size)
                else:
                    self.note_large(handle, number, size)
                    if done < count and self.overflow.is_full():
                        self.overflow.add_parts(handle, mark, head, items[at:], lengths[done:], first + done)
                        done = count
        except BaseException as error:
            self._take_back(first, count, error)
            self.packing.note(error, function=function, items=items)
            raise
        if self.error is not None:
            self._fail_all()

    def put_part(self, number: int, mark: int, head: Any, part: Any) -> int:
        """Put one part of a list or range; return how many bytes it has outside of the channel."""
        mark, task = self.packing.part(mark, head, tuple(part) if type(part) is list else part)
        return _core.put_labelled(self.tasks, task, number, mark, False)

    def _take_back(self, first: int, count: int, error: BaseException) -> None:
        """Expect nothing of tasks that were not all sent. ValueError when that is since the pool was closed."""
        for number in range(first, first + count):
            self.pending.pop(number, None)
        if type(error) is BlockingIOError:
            raise ValueError("Pool not running") from None

    def _wait_for_room(self, handle: Any, number: int, size: int) -> None:
        room = handle._room
        room.sent(number, size)
        if handle._has_arrived(number):
            room.arrived(number)
        self.wait(room)

    def note_large(self, result: Any, number: int, size: int) -> None:
        """Note that a task was sent, for which nobody waits, that has so many bytes outside of the channel."""
        if self.overflow is None:
            from allcores._pool.overflow import Overflow

            with self._starting:
                if self.overflow is None:
                    self.overflow = Overflow(self)
        self.overflow.sent(result, number, size)

    # ---- collecting

    def nudge(self) -> None:
        """Have who collects look whether what he waits for is there, though there may be no reply."""
        _core.put_labelled(self.results, None, 0, WAKE, False)

    def collect(self, timeout: float | None) -> bool:
        """Hand replies to whom they are for, when there are some; False when none came in time.

        Ctrl-C may come at any instruction: what has arrived stays in the list until all of it is handed over, and being
        told twice of one task changes nothing.
        """
        arrived, pending = self._arrived, self.pending
        if not arrived and not _core.collect(self.results, arrived, timeout):
            return False
        for number, mark, value in arrived:
            handle = pending.get(number)
            if handle is None:
                if mark & ~IS_PICKLE >= BROKEN:
                    self._hear(mark, value)
                continue
            success = mark & ~IS_PICKLE == RESULT
            if mark & IS_PICKLE:
                success, value = self._unpickled(value, success)
            if not success:
                value = self._error_of(handle, number, mark & ~IS_PICKLE, value)
            handle._arrive(number, success, value)
            pending.pop(number, None)
        arrived.clear()
        if not pending:
            self._wake_idlers()
        return True

    def collect_present(self) -> None:
        """Hand over all replies that are there now; not those that come meanwhile, of which there may be no end."""
        last = (_core.next_message(self.results) - 1) % (1 << 32)
        while self.collect(0.0) and not _core.has_given(self.results, last):
            pass

    def _wake_idlers(self) -> None:
        for waiter in self.idlers:
            waiter._wake()

    def _unpickled(self, value: Any, success: bool) -> tuple[bool, Any]:
        try:
            return success, _object_of(value)
        except BaseException as error:
            if not self._is_of_pickle(error, value):
                raise
            error.add_note("raised by unpickling what the task returned, in the process that waits for it")
            return False, error

    def _is_of_pickle(self, error: BaseException, value: Any) -> bool:
        """Whether unpickling has raised this itself, and no signal handler, which raises in the main thread, once."""
        if isinstance(error, (Exception, SystemExit)) or threading.current_thread() is not threading.main_thread():
            return True
        is_again, self._suspect = self._suspect is value, value
        return is_again

    def _error_of(self, handle: Any, number: int, mark: int, value: Any) -> BaseException:
        if mark == DIED:
            return self._died(handle._describe(number), *value)
        if isinstance(value, BaseException):
            return value
        try:
            return failure.revive(value, self._cause)
        except BaseException as error:
            if not self._is_of_pickle(error, value):
                raise
            return error

    # ---- deaths

    def _lose(self, number: int, message: int, process: Any) -> None:
        self._tell_death(number, process.name, process.pid, process.exitcode, *reason_of(process))

    def _tell_death(self, number: int, name: str, pid: Any, exit_code: Any, reason: str, stack: str | None) -> None:
        """Say that a task died with its worker, behind all replies that came before."""
        try:
            _core.put_labelled(self.results, (name, pid, exit_code, reason, stack), number, DIED, False)
        except MemoryError:  # a long stack needs a block of its own
            _core.put_labelled(self.results, (name, pid, exit_code, reason, None), number, DIED, False)

    def _died(self, task: str, name: str, pid: int, exit_code: int, reason: str, stack: str | None) -> BaseException:
        from allcores._pool.died import WorkerDiedError

        return WorkerDiedError(name, pid, exit_code, reason, task, stack)

    def _give_up(self, error: Callable[[], BaseException]) -> None:
        self._verdict = error
        self.nudge()

    def _hear(self, mark: int, value: Any) -> None:
        """Take what is said of no task."""
        if mark & ~IS_PICKLE == BROKEN and self.error is None:
            told = _object_of(value) if mark & IS_PICKLE else value
            self.error = lambda: _initializer_error(told)
        elif self._verdict is not None and self.error is None:
            self.error = self._verdict
        if self.error is not None:
            self._fail_all()

    def _fail_all(self) -> None:
        for number, handle in list(self.pending.items()):
            if self.error is not None:
                handle._arrive(number, False, self._error_for_all(self.error))
            self.pending.pop(number, None)
        for feed in list(self.feeds):
            feed.stop()
        self._wake_idlers()

    def _error_for_all(self, make: Callable[[], BaseException]) -> BaseException:
        return make()

    # ---- callbacks

    def expect_callback(self, result: Any) -> None:
        """Have a thread for callbacks, which waits for this result."""
        if self.callbacks is None:
            from allcores._pool.callbacks import Callbacks

            with self._starting:
                if self.callbacks is None:
                    self.callbacks = Callbacks(self)
        self.callbacks.expect(result)

    # ---- the end

    def close(self) -> None:
        """Have no further tasks, but those that are still to be read."""
        self.is_closed = True
        self.shut_if_fed()

    def shut_if_fed(self) -> None:
        """Let workers end when they find nothing more, if nothing more will come."""
        if self.is_closed and not self.feeds and not self.tasks._is_shut():
            self.tasks._shut()
            self.crew.look()

    def join(self) -> None:
        """Wait until all is done, after `close` or `end`."""
        self.is_joined = True
        for feed in list(self.feeds):
            feed.go_on()
        self.wait(self.idle)
        self.shut_if_fed()
        self.crew.join()
        if self.callbacks is not None:
            self.callbacks.join()

    def end(self) -> None:
        """End the workers now; tasks that are not done fail."""
        with self._ending:
            if self._is_ended:
                return
            self._is_ended = True
            self.is_closed = True
            self.crew.end()
            self.look()
            if self.error is None:
                self.error = terminated
            self.nudge()
            self._fail_all()
            if self.callbacks is not None:
                self.callbacks.end()


def _object_of(pickled: Any) -> Any:
    return _core.loads(pickled) if type(pickled) is bytes else _loads_block(pickled)


def _initializer_error(told: Any) -> BaseException:
    from allcores.errors import InitializerError

    cause = failure.revive(told)
    error = InitializerError(
        f"the pool's initializer has raised {told[1]}: {told[2]}. No task is done, and no further worker started"
    )
    error.__cause__ = cause
    return error
