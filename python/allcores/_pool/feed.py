"""What an iterator of results is fed with: an iterable, read as far as results are taken, and no farther.

A list or another collection is read by whoever takes results. An iterable may have to wait for something, perhaps for a
result: it has a thread of its own.
"""

from __future__ import annotations

import itertools
import threading

from allcores._pool.chunks import MOST_BYTES_AHEAD
from allcores._pool.marks import CALL, MAP

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterable, Iterator
    from typing import Any

    from allcores._pool.engine import Engine

__all__ = ["Feed"]

_COLLECTIONS = (list, tuple, range, dict, set, frozenset, str, bytes, bytearray)
_LEAST_AHEAD, _AHEAD_PER_WORKER = 256, 32
"""How many tasks are sent before their results are taken."""
_TASKS_AT_ONCE = 64


class Feed:
    """An iterable that becomes tasks."""

    def __init__(self, engine: Engine, job: Any, function: Any, iterable: Iterable[Any], chunksize: int) -> None:
        """Begin to send tasks, whose results ``job`` is told."""
        self._engine, self._job, self._chunksize = engine, job, chunksize
        self._items: Iterator[Any] = iter(iterable)
        self._head = engine.packing.head(function, job)
        self._ahead = max(_LEAST_AHEAD, _AHEAD_PER_WORKER * engine.crew.size)
        self._reading = threading.Lock()
        self._is_stopped = False
        self._turn: threading.Condition | None = None
        engine.feeds.append(self)
        if isinstance(iterable, _COLLECTIONS):
            self.go_on()
        else:
            self._turn = threading.Condition()
            threading.Thread(target=self._run, name="allcores-pool-feed", daemon=True).start()

    def go_on(self) -> None:
        """Send what may be sent now."""
        if self._turn is not None:
            with self._turn:
                self._turn.notify()
        elif self._has_room() and self._reading.acquire(False):
            try:
                while self._has_room():
                    self._send_one()
            finally:
                self._reading.release()

    def taken(self) -> None:
        """Note that a result was taken."""
        if self._job._ahead <= self._ahead - min(_TASKS_AT_ONCE, self._ahead // 2) or self._job._bytes:
            self.go_on()

    def stop(self) -> None:
        """Send nothing more."""
        self._is_stopped = True
        self._end()

    def _has_room(self) -> bool:
        if self._is_stopped:
            return False
        ahead: int = self._job._ahead
        is_light: bool = self._job._bytes <= MOST_BYTES_AHEAD or ahead <= self._engine.crew.size
        return self._engine.is_joined or (ahead < self._ahead and is_light)

    def _run(self) -> None:
        """Send what there is room for; the thread's work."""
        assert self._turn is not None
        while not self._is_stopped:
            with self._turn:
                while not self._has_room() and not self._is_stopped:
                    self._turn.wait()
            while self._has_room():
                self._send_one()

    def _send_one(self) -> None:
        """Make the next task of the next item, or items; the end, and what reading raises, are the job's to know."""
        job, packing = self._job, self._engine.packing
        try:
            if self._chunksize == 1:
                items = (next(self._items),)
            else:
                items = tuple(itertools.islice(self._items, self._chunksize))
                if not items:
                    raise StopIteration
        except StopIteration:
            self.stop()
            return
        except Exception as error:
            job._fail_next(error)
            self.stop()
            return
        number = self._engine.numbers(1)
        job._expect(number)
        try:
            mark, task = packing.part(CALL if self._chunksize == 1 else MAP, self._head, items)
            job._note_size(number, self._engine.send(job, number, mark, task))
        except Exception as error:  # this item cannot be pickled
            try:
                packing.note(error, items=items)
            finally:
                job._arrive(number, False, error)
                self._engine.nudge()

    def _end(self) -> None:
        if self in self._engine.feeds:
            self._engine.feeds.remove(self)
            self._job._be_complete()
            self._engine.idle._wake()
            self._engine.nudge()
            self._engine.shut_if_fed()
        if self._turn is not None:
            with self._turn:
                self._turn.notify()
