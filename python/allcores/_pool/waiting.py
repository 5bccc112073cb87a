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


class _Stay:
    """What has come of one wait so far."""

    __slots__ = ("has_led", "is_within", "latch", "was_appointed")

    def __init__(self, is_within: bool) -> None:
        self.is_within = is_within
        """Whether this thread leads already: a signal handler's frame, or code that unpickling runs."""
        self.has_led = self.was_appointed = False
        self.latch: Latch | None = None


class Waiting:
    """Those who wait: the leader, who collects, and the others, who sleep."""

    def __init__(
        self, collect: Callable[[float | None], bool], collect_present: Callable[[], None], nudge: Callable[[], None]
    ) -> None:
        """Wait for what ``collect`` brings, within so many seconds; ``nudge`` makes it come back.

        ``collect_present`` brings what is there already, and ends though more and more comes.
        """
        self._collect, self._collect_present, self._nudge = collect, collect_present, nudge
        self._leading: Any = threading.RLock()
        self._followers: list[Latch] = []

    def wait(self, waiter: Any, timeout: float | None = None) -> bool:
        """Wait until something is there; False when it is not after so many seconds.

        Who waits collects the replies, for all; the others sleep, and are woken when theirs is there, or when they are
        to go on collecting.
        """
        if waiter._ready:
            return True
        stay = _Stay(self._leading._is_owned())
        try:
            is_there = self._wait(waiter, timeout, stay)
            self._leave(waiter, stay)
        except BaseException:  # a signal handler's, perhaps in the midst of leaving
            self._leave(waiter, stay)
            raise
        return is_there

    def _wait(self, waiter: Any, timeout: float | None, stay: _Stay) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        leading, latch = self._leading, None
        while not waiter._ready:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not waiter._follows and leading.acquire(False):
                while not waiter._ready and self._collect(left):
                    if deadline is not None:
                        left = max(0.0, deadline - time.monotonic())
                        if left == 0.0:
                            self._collect_present()
                            break
                return bool(waiter._ready)
            if left == 0.0:
                return False
            if latch is None:
                latch = stay.latch = Latch()
                vars(waiter).setdefault("_latches", []).append(latch)
                self._followers.append(latch)
                continue  # the leader may have gone meanwhile
            latch.wait(left)
            if latch.is_appointed:
                latch.is_appointed, stay.was_appointed = False, True
                self._followers.append(latch)
        return True

    def look(self) -> None:
        """Collect what is there, unless another thread does."""
        stay = _Stay(self._leading._is_owned())
        try:
            if self._leading.acquire(False):
                self._collect_present()
                self._leave(None, stay)
        except BaseException:  # as above
            self._leave(None, stay)
            raise

    def _leave(self, waiter: Any, stay: _Stay) -> None:
        """Wait, or look, no more; to be said again when that was interrupted."""
        while not stay.is_within and self._leading._is_owned():
            stay.has_led = True
            self._leading.release()
        latch = stay.latch
        if latch is not None:
            with contextlib.suppress(KeyError, ValueError):
                vars(waiter)["_latches"].remove(latch)
            while latch in self._followers:
                with contextlib.suppress(ValueError):
                    self._followers.remove(latch)
            stay.was_appointed |= latch.is_appointed  # now that nobody can appoint it any more
        if stay.is_within:
            self._nudge()  # what the frame below waits for may have come to this one
        elif stay.has_led or stay.was_appointed:
            self._appoint()

    def _appoint(self) -> None:
        """Wake one of those who sleep, to go on collecting."""
        while self._followers:
            try:
                latch = self._followers[0]
                latch.is_appointed = True
                latch.wake()  # before it is taken off: who is interrupted here does it again
                self._followers.remove(latch)
            except (IndexError, ValueError):
                continue  # it has left meanwhile, and need not have seen that
            return
