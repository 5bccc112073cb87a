"""Futures of an executor (README: futures)."""

from __future__ import annotations

import os
import threading
from concurrent.futures import _base

from allcores._pool.descriptions import in_short, name_of
from allcores._pool.waiting import Waiter

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

    from allcores._pool.futures_engine import FuturesEngine
    from allcores._pool.room import Room

__all__ = ["Future"]

_PENDING, _RUNNING, _FINISHED = _base.PENDING, _base.RUNNING, _base.FINISHED
_CANCELLED = (_base.CANCELLED, _base.CANCELLED_AND_NOTIFIED)

_deciding: Any = threading.RLock()
"""Who has it decides of a future that nobody has asked for its condition; never held while waiting."""


def _forget_other_threads() -> None:
    global _deciding
    _deciding = threading.RLock()


os.register_at_fork(after_in_child=_forget_other_threads)


class _Condition:
    """A future's condition, which is made when somebody asks for it, and then is an attribute of the future itself."""

    def __get__(self, future: Any, kind: Any = None) -> Any:
        if future is None:
            return self
        with _deciding:
            parts = vars(future)
            if not future._is_asked:
                future._waiters, future._done_callbacks = [], []
                parts["_condition"] = threading.Condition()
                future._is_asked = True
            is_pending = future._state == _PENDING
        if is_pending:
            future._engine.expect(future)
        return parts["_condition"]


class Future(Waiter, _base.Future[Any] if TYPE_CHECKING else _base.Future):  # type: ignore[misc]
    """What a call will return, from `ProcessPoolExecutor.submit`: a `concurrent.futures.Future`.

    Besides, `cancel` can end a call that runs already.
    """

    _state: str = _PENDING
    _result: Any = None
    _exception: BaseException | None = None
    _waiters: Any = ()
    _done_callbacks: Any = ()
    _condition: Any = _Condition()
    _is_asked = False
    """Whether the condition was made."""
    _call: tuple[Any, Any] | None = None
    """Function and arguments, to be shown in errors, while it is not there."""
    _fed_from: int | None = None
    """The lowest number that its message may have, if it was put into the channel again (`Backlog.feed`)."""
    _room: Room | None = None
    """Which is to be told when it has come, if its arguments are large."""

    def __init__(self, engine: FuturesEngine, number: int, call: tuple[Any, Any]) -> None:
        """Of a call that has a number; the engine makes it."""
        self._engine, self._number, self._call = engine, number, call

    @property
    def _ready(self) -> bool:  # type: ignore[override]
        return self._state != _PENDING and self._state != _RUNNING

    @property
    def _follows(self) -> bool:  # type: ignore[override]
        """Whether the collector resolves it, since somebody has asked for its condition."""
        return self._is_asked and self._engine.has_collector

    def result(self, timeout: float | None = None) -> Any:
        """Return what the call has returned, or raise what it has raised.

        TimeoutError when it is not there after ``timeout`` seconds, CancelledError when it was cancelled.
        """
        if self._state != _FINISHED:
            self._wait(timeout)
        if self._exception is None:
            return self._result
        try:
            raise self._exception
        finally:
            self = None  # type: ignore[assignment]  # the traceback keeps this frame

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call has raised, None if it has returned; else as `result`."""
        if self._state != _FINISHED:
            self._wait(timeout)
        return self._exception

    def _wait(self, timeout: float | None) -> None:
        if not self._ready:
            self._engine.wait_for(self, timeout)
        if self._state in _CANCELLED:
            raise _base.CancelledError
        if self._state != _FINISHED:
            raise TimeoutError

    def done(self) -> bool:
        """Return whether it is there, or was cancelled."""
        if self._state == _PENDING:
            self._engine.look()
        return self._ready

    def running(self) -> bool:
        """Return whether a worker has begun with it, and is not done."""
        return not self.done() and self._engine.is_running(self._number)

    def __repr__(self) -> str:
        """Say in which state it is."""
        text: str = super().__repr__()
        return text.replace("state=pending", "state=running") if self.running() else text

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self._state in _CANCELLED

    def cancel(self, *, running: bool = False) -> bool:
        """Have the call not be made; return whether it was, or will be, cancelled.

        A call that a worker has begun with is not cancelled, unless ``running`` is true: then its worker is killed, and
        no other call is. It may have done part of what it does.
        """
        if not self.done() and not self._engine.withdraw(self._number) and running:
            self._engine.stop(self._number)
        return self._state in _CANCELLED

    def _be_cancelled(self) -> None:
        """Be cancelled, though a callback raises. Said again, where a signal handler has interrupted it, it goes on."""
        try:
            super().cancel()
        finally:
            if self._state == _base.CANCELLED:
                self.set_running_or_notify_cancel()
            self._be_told()

    def _be_told(self) -> None:
        """Wake who waits; also when a callback has raised what the standard future lets through."""
        self._call = None
        if self._room is not None:
            self._room.arrived(self._number)
        self._wake()

    def _be_copied(self, error: BaseException) -> None:
        """In a child that was forked: fail, whatever other threads of the parent had of it."""
        if self._is_asked:
            self.__dict__["_condition"] = threading.Condition()
            self._done_callbacks, self._waiters = [], []
        if not self._ready:
            self.set_exception(error)

    def set_result(self, result: Any) -> None:
        """Have a result; for who makes futures himself."""
        try:
            super().set_result(result)
        finally:
            self._be_told()

    def set_exception(self, exception: BaseException | None) -> None:
        """Have an error; for who makes futures himself."""
        try:
            super().set_exception(exception)
        finally:
            self._be_told()

    def _arrive(self, number: int, success: bool, value: Any) -> None:
        """Take a reply. The engine may say so twice."""
        with _deciding:
            if not self._is_asked:
                if self._state is _PENDING:
                    if success:
                        self._result = value
                    else:
                        self._exception = value
                    self._call = None
                    self._state = _FINISHED
                # Also when it is told again: the first time may have been interrupted just here.
                if self._room is not None:
                    self._room.arrived(number)
                if self._latches:
                    self._wake()
                return
        if not self._ready:
            self._engine.settle(self, success, value)

    def _settle(self, success: bool, value: Any) -> None:
        """Tell those who have asked for the condition, and call what is to be called."""
        try:
            if success:
                self.set_result(value)
            else:
                self.set_exception(value)
        except _base.InvalidStateError:
            pass  # it was cancelled, or somebody has resolved it himself

    def _describe(self, number: int) -> str:
        """Say in short which task this is."""
        if self._call is None:
            return "?"
        function, arguments = self._call
        shown = "…" if arguments is None else ", ".join(map(in_short, arguments))
        return f"{name_of(function)}({shown})"
