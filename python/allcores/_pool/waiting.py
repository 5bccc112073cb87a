"""Who collects replies: one of those who wait, for all of them (README: collecting)."""

from __future__ import annotations

import contextlib
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

__all__ = ["Idle", "Latch", "Waiter", "Waiting"]


class Latch:
    """Where a thread sleeps that waits while another one collects replies."""

    __slots__ = ("_lock", "is_appointed")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.is_appointed = False

    def wait(self, timeout: float | None) -> None:
        self._lock.acquire(timeout=-1 if timeout is None else timeout)

    def wake(self) -> None:
        if self._lock.locked():
            try:
                self._lock.release()
            except RuntimeError:
                return  # somebody else was faster


class Waiter:
    """Something that is waited for: ``_ready`` says whether it is there, and who makes it so calls `_wake`."""

    _ready = False
    _follows = False
    """It does not come with a reply: so who waits for it collects none."""
    _latches: Any = ()

    def _wake(self) -> None:
        for latch in list(self._latches):
            latch.wake()


class Idle(Waiter):
    """That there is nothing to wait for any more."""

    def __init__(self, pending: dict[int, Any], feeds: list[Any]) -> None:
        self._pending, self._feeds = pending, feeds

    @property
    def _ready(self) -> bool:  # type: ignore[override]
        return not self._pending and not self._feeds


class Waiting:
    """Those who wait: the leader, who collects, and the others, who sleep."""

    def __init__(self, collect: Callable[[float | None], bool], nudge: Callable[[], None]) -> None:
        """Wait for what ``collect`` brings, within so many seconds; ``nudge`` makes it come back."""
        self._collect, self._nudge = collect, nudge
        self._leading: Any = threading.RLock()
        self._followers: list[Latch] = []

    def wait(self, waiter: Any, timeout: float | None = None) -> bool:
        """Wait until something is there; False when it is not after so many seconds.

        Who waits collects the replies, for all; the others sleep, and are woken when theirs is there, or when they are
        to go on collecting.
        """
        if waiter._ready:
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        leading, latch, was_appointed = self._leading, None, False
        owned = leading._is_owned()  # by a signal handler's frame below, or by code that unpickling runs
        try:
            while not waiter._ready:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not waiter._follows and leading.acquire(False):
                    while not waiter._ready and self._collect(left):
                        if deadline is not None:
                            left = max(0.0, deadline - time.monotonic())
                    return bool(waiter._ready)
                if left == 0.0:
                    return False
                if latch is None:
                    latch = Latch()
                    vars(waiter).setdefault("_latches", []).append(latch)
                    self._followers.append(latch)
                    continue  # the leader may have gone meanwhile
                latch.wait(left)
                if latch.is_appointed:
                    latch.is_appointed, was_appointed = False, True
                    self._followers.append(latch)
            return True
        finally:
            led = False
            while not owned and leading._is_owned():
                led = True
                leading.release()
            if latch is not None:
                was_appointed = was_appointed or latch.is_appointed
                with contextlib.suppress(ValueError):
                    waiter._latches.remove(latch)
                with contextlib.suppress(ValueError):
                    self._followers.remove(latch)
            if owned:
                self._nudge()  # what the frame below waits for may have come to this one
            elif led or was_appointed:
                self._appoint()

    def look(self) -> None:
        """Collect what is there, unless another thread does."""
        owned = self._leading._is_owned()
        if self._leading.acquire(False):
            try:
                while self._collect(0.0):
                    pass
            finally:
                self._leading.release()
                if owned:
                    self._nudge()
                else:
                    self._appoint()

    def _appoint(self) -> None:
        """Wake one of those who sleep, to go on collecting."""
        if not self._followers:
            return
        try:
            latch = self._followers.pop(0)
        except IndexError:  # another thread was faster
            return
        latch.is_appointed = True
        latch.wake()
