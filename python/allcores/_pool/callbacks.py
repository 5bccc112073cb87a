"""The thread that calls callbacks.

It also waits for the results that have some, so that they are called when nobody else waits.
"""

from __future__ import annotations

import collections
import threading

from allcores._pool.waiting import Waiter

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

    from allcores._pool.engine import Engine

__all__ = ["Callbacks"]

_PATIENCE_SECONDS = 5.0


class Callbacks(Waiter):
    """What is to be called, and the thread that does so, one after the other."""

    def __init__(self, engine: Engine) -> None:
        """Begin when something is expected."""
        self._engine = engine
        self._due: collections.deque[Any] = collections.deque()
        self._expected: set[int] = set()
        self._changed = threading.Condition()
        self._is_ended = False
        self._thread = threading.Thread(target=self._run, name="allcores-pool-callbacks", daemon=True)
        self._thread.start()

    @property
    def _ready(self) -> bool:  # type: ignore[override]
        return bool(self._due) or self._is_ended

    def expect(self, result: Any) -> None:
        """Note a result that has something to be called."""
        with self._changed:
            self._expected.add(id(result))
            self._changed.notify()

    def forget(self, result: Any) -> None:
        """Expect it no more: it was not sent."""
        with self._changed:
            self._expected.discard(id(result))
            self._changed.notify_all()

    def call(self, result: Any) -> None:
        """Call what a result has that has come, in the thread, and have it be ready then."""
        self._due.append(result)
        self._wake()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._expected and not self._is_ended:
                    self._changed.wait()
                if self._is_ended:
                    return
            self._engine.wait(self)
            while self._due and not self._is_ended:
                self._call(self._due[0])
                self._due.popleft()

    def _call(self, result: Any) -> None:
        if result._ready:
            return
        callback = result._callback if result._success else result._error_callback
        try:
            if callback is not None:
                callback(result._value)
        except Exception as error:
            # The standard library's thread ends by that, and the pool hangs.
            threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, self._thread)))
        finally:
            del callback
            result._be_ready()
            self.forget(result)

    def join(self) -> None:
        """Wait until everything was called that was expected."""
        if threading.current_thread() is self._thread:
            return
        with self._changed:
            while self._expected and not self._is_ended:
                self._changed.wait()

    def end(self) -> None:
        """Call nothing more."""
        self._is_ended = True
        while self._due:
            self._due.popleft()._be_ready()
        with self._changed:
            self._changed.notify_all()
        self._wake()
        if threading.current_thread() is not self._thread:
            # At the interpreter's end no thread may be below Python any more. One that a callback keeps is in Python.
            self._thread.join(_PATIENCE_SECONDS)
