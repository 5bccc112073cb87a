"""Tasks that wait outside of the channel: taken out so that they can be cancelled, or for room (README: futures)."""

from __future__ import annotations

import contextlib
import threading

from allcores import _core
from allcores._in_arena import Channel
from allcores._pool.room import Room

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

    from allcores._pool.future import Future
    from allcores._pool.futures_engine import FuturesEngine

__all__ = ["Backlog"]

_AHEAD_PER_WORKER = 2
"""How many tasks lie in the channel for each worker: with fewer it might have to wait for one."""
_FED_AT_ONCE = 64
"""How many are fed by one who came for something else, however fast workers take them."""


class Backlog:
    """What is fed to the workers as they need it.

    It is used from the first cancellation on, or the first call whose large arguments have no room, until it is empty.
    """

    def __init__(self, engine: FuturesEngine) -> None:
        """Of the tasks of an engine."""
        self._engine = engine
        self._moving = threading.RLock()
        self._drained: list[tuple[int, int, Any]] = []
        """As they came out of the channel; not empty when a signal handler has raised meanwhile."""
        self._tasks: dict[int, tuple[int | None, Any]] = {}
        """Number -> mark and task, in their order; without a mark: what makes them, and its arguments."""
        self._packing: Any = threading.RLock()
        """Who has it pickles the next one. Not together with the other lock: that runs code of the program's."""
        self._room: Room | None = None
        """That of large arguments on their way; there is none before the first of these."""
        self._failed: list[tuple[Any, int, BaseException]] = []
        """Future, number and error of what could not be fed, to be told when the lock is released."""
        self._scratch: Channel | None = None
        self.is_used = False

    def has_moved(self, number: int, message: int) -> bool:
        """Whether a task that a worker has noted was taken out here, and not by a worker.

        The worker was about to take it; now it is here, or in the channel again, as a message of a higher number.
        """
        with self._moving:
            if self._drained:
                self._keep_drained()
            if number in self._tasks:
                return True
            fed_from: int | None = getattr(self._engine.pending.get(number), "_fed_from", None)
            return fed_from is not None and (message - fed_from) % (1 << 32) >= 1 << 31

    def withdraw(self, number: int, withdrawn: list[Any]) -> None:
        """Have a task not be run, and append its future, unless a worker has taken it, or it is not there otherwise.

        If a signal handler raises, the list says which it was.
        """
        try:
            with self._moving:
                if number not in self._tasks:
                    self._drain()
                self._feed(but=number)
                if number in self._tasks:
                    withdrawn.append(self._engine.pending.get(number))  # from here on it is not fed any more
                    del self._tasks[number]
                    self.is_used = bool(self._tasks)
        finally:
            self._tell_failed()

    def withdraw_all(self, spared: int, withdrawn: list[Any]) -> None:
        """Have no task be run that no worker has taken, but for the first ones, and append their futures."""
        try:
            with self._moving:
                self._drain()
                numbers = list(self._tasks)[spared:]
                withdrawn.extend(map(self._engine.pending.get, numbers))
                for number in numbers:
                    del self._tasks[number]
                self._feed()
        finally:
            self._tell_failed()

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
        size = self._pickle(task, number, mark, by_name)
        self.feed()
        return size

    def _pickle(self, task: Any, number: int, mark: int, by_name: bool) -> int:
        """Have a task among the others as it is in the channel."""
        with self._moving:
            if self._scratch is None:
                self._scratch = Channel()
        size = _core.put_labelled(self._scratch, task, number, mark, by_name)
        pickled: list[tuple[int, int, Any]] = []
        with self._moving:
            self.is_used = True
            while _core.collect(self._scratch, pickled, 0.0):
                continue  # other threads' are among them
            for number, mark, task in pickled:
                if number in self._engine.pending:
                    self._tasks[number] = mark, task
        return size

    # ---- large arguments

    def is_full(self) -> bool:
        """Return whether a further call has to wait for room."""
        return self._room is not None and not self._room._ready

    def add_later(self, number: int, pack: Callable[..., tuple[int, Any]], parts: tuple[Any, ...]) -> None:
        """Have one more task, which is made and pickled when there is room for it."""
        with self._moving:
            self._tasks[number] = None, (pack, parts)
            self.is_used = True
        self.feed()

    def note_large(self, future: Future, size: int) -> None:
        """Note that a call is on its way whose arguments have so many bytes outside of the channel."""
        if future._call is not None:
            future._call = future._call[0], None  # not kept for the text of an error
        if self._room is None:
            with self._moving:
                if self._room is None:
                    self._room = Room()
        future._room = self._room
        self._room.sent(future._number, size)
        if future._ready:  # before it could tell the room
            self._room.arrived(future._number)

    # ---- feeding

    def feed(self) -> None:
        """Put as many into the channel as workers need soon, and there is room for; the next who collects goes on."""
        for _ in range(_FED_AT_ONCE):
            try:
                with self._moving:
                    self._feed()
            finally:
                self._tell_failed()
            # Who packs looks again afterwards, so nobody has to wait for that.
            if self._next_to_pack() is None or self._packing._is_owned():
                return
            try:
                if not self._packing.acquire(False):
                    return
                self._pack_next()
                self._packing.release()
            except BaseException:  # a signal handler's
                while self._packing._is_owned():
                    self._packing.release()
                self._engine.nudge()  # somebody else is to go on
                raise
        self._engine.nudge()

    def _next_to_pack(self) -> int | None:
        """Return the number of the next task, if that is to be made now."""
        with self._moving:
            number: int | None = next(iter(self._tasks), None)
            if number is None or self._tasks[number][0] is not None or self.is_full() or not self._has_place():
                return None
            return number

    def _pack_next(self) -> None:
        with self._moving:
            number = self._next_to_pack()
            future = None if number is None else self._engine.pending.get(number)
            if number is None or future is None:
                return
            pack, parts = self._tasks[number][1]
        try:
            mark, task = pack(*parts)
            size = self._pickle(task, number, mark, False)
        except BaseException as error:
            with self._moving:
                if self._tasks.pop(number, None) is not None:
                    self._failed.append((future, number, error))
            if not isinstance(error, Exception):
                raise
            return
        if size:
            self.note_large(future, size)

    def _has_place(self) -> bool:
        engine = self._engine
        most: int = _AHEAD_PER_WORKER * max(engine.crew.size, 1)
        return bool(engine.tasks._length() < most)

    def _feed(self, but: int | None = None) -> None:
        if self._drained:
            self._keep_drained()
        self.is_used = True
        left = _FED_AT_ONCE
        while self._has_place():
            if not left:
                self._engine.nudge()
                break
            left -= 1
            number = next((number for number in self._tasks if number != but), None)
            if number is None or (self._tasks[number][0] is None and number in self._engine.pending):
                break
            self._feed_one(number)
        self.is_used = bool(self._tasks or self._failed)

    def _feed_one(self, number: int) -> None:
        engine = self._engine
        try:
            mark, task = self._tasks.pop(number)
            if mark is not None and (future := engine.pending.get(number)) is not None:
                future._fed_from = _core.next_message(engine.tasks)
                _core.put_labelled(engine.tasks, task, number, mark, False)
        except BaseException as error:
            # A signal handler's may have come when it was put already: it is not put once more.
            if number not in self._tasks and (future := engine.pending.get(number)) is not None:
                self._failed.append((future, number, error))
            if not isinstance(error, Exception):
                raise

    def _tell_failed(self) -> None:
        while self._failed:
            future, number, error = self._failed[0]
            future._arrive(number, False, error)
            self._engine.pending.pop(number, None)
            with contextlib.suppress(ValueError):  # another thread was faster
                self._failed.remove((future, number, error))
