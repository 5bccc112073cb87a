"""Workers of a pool that help another process of the program (README: a pool that is lent)."""

from __future__ import annotations

import os
import select
import time

from allcores import _core
from allcores._pool.claim import Claim
from allcores._pool.judge import Death, task_lost
from allcores._pool.marks import CALL, HELPED, HELPING
from allcores._pool.tasks import name_of
from allcores._pool.worker import do_next

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

    from allcores._in_arena import Channel

__all__ = ["LOOK_SECONDS", "UNKNOWN_EXIT_CODE", "Helpers", "help_out"]

_HELP_NUMBER = 0xFFFF_FFFF
"""Of the task to help, in the pool's own channel. Nobody waits for it there."""
LOOK_SECONDS = 0.05
"""How long who waits for a reply sleeps until it looks whether its helpers live."""
UNKNOWN_EXIT_CODE = 255
"""As that of a child which nobody can wait for any more."""


def help_out(tasks: Channel, results: Channel, claim: Claim, number: int) -> None:
    """Do the tasks of another process until it has none left: a task itself, of a worker."""
    if tasks._length():
        pid = os.getpid()
        _core.put_labelled(results, (number, pid, started_at(pid)), 0, HELPING, True)
    try:
        while do_next(tasks, results, claim, 0.0):
            pass
        claim._clear()
    finally:
        _core.put_labelled(results, number, 0, HELPED, True)


class Helpers:
    """Who was asked to help, and who does. To the engine they are its workers, which it can neither start nor end."""

    def __init__(
        self, size: int, lender: Channel, channels: tuple[Channel, Channel], lost: Callable[..., None]
    ) -> None:
        """Ask at most so many, in the lender's channel; ``lost`` is told of each task that died with its helper."""
        self.size, self._lender, self._channels, self._lost = size, lender, channels, lost
        self.processes: list[Any] = []
        self._asked: dict[int, Claim] = {}
        """Number of a request -> the claim that whoever follows it has; until it has said that it is done."""
        self._working: dict[int, tuple[int, int | None, int | None]] = {}
        """Number of a request -> pid, start and pidfd of who follows it; None where no descriptor is left for that."""
        self._free: list[Claim] = []
        self._own: list[Claim] = []
        """Claims of tasks that this process does itself."""
        self._requests = 0
        self._news_at = 0.0

    def ask(self) -> None:
        """Ask for help with the tasks that nobody has taken."""
        while len(self._asked) < min(self._channels[0]._length(), self.size):
            number, claim = self._requests, self._claim()
            try:
                request = name_of(help_out), (*self._channels, claim, number)
                _core.put_labelled(self._lender, request, _HELP_NUMBER, CALL, True)
            except BlockingIOError:
                return  # the pool was closed
            self._requests += 1
            self._asked[number] = claim
            self._news_at = time.monotonic()

    def is_helped(self) -> bool:
        """Return whether somebody works, and has not said yet that there is nothing left."""
        return bool(self._working)

    def hear(self, mark: int, value: Any) -> None:
        """Take what a helper says of itself."""
        self._news_at = time.monotonic()
        if mark == HELPING:
            number, pid, began = value
            self._working[number] = pid, began, None
            self._has_ended(number)  # at once, while it surely has this pid
            return
        helper = self._working.pop(value, None)
        if helper is not None and helper[2] is not None:
            os.close(helper[2])
        claim = self._asked.pop(value, None)
        if claim is not None:
            self._free.append(claim)
        self.ask()

    def is_nobody_there(self) -> bool:
        """Return whether no helper works, nor has come or gone just now: then nobody else does the tasks."""
        return not self._working and time.monotonic() - self._news_at > LOOK_SECONDS

    def do_one(self) -> bool:
        """Do a task in this process, if there is one that nobody has taken."""
        tasks, results = self._channels
        if not tasks._length():
            return False
        claim = self._claim()
        self._own.append(claim)
        try:
            return do_next(tasks, results, claim, 0.0)
        finally:
            claim._clear()
            self._own.remove(claim)
            self._free.append(claim)

    def _claim(self) -> Claim:
        try:
            return self._free.pop()
        except IndexError:
            claim: Claim = Claim()
            return claim

    def bury(self) -> bool:
        """Tell of the tasks of helpers that have died; return whether there was one."""
        dead = [number for number in list(self._working) if self._has_ended(number)]
        for number in dead:
            pid, _, pidfd = self._working.pop(number)
            if pidfd is not None:
                os.close(pidfd)
            noted = self._asked.pop(number)._noted()
            was_taken = noted is not None and _core.has_given(self._channels[0], noted[1])
            # After that look: who has taken it until then has noted it before.
            others = [claim._noted() for claim in (*self._asked.values(), *self._own)]
            death = Death(UNKNOWN_EXIT_CODE, noted, was_taken, {other[0] for other in others if other is not None})
            lost = task_lost(death)
            if lost is not None:
                self._lost(lost, pid)
        if dead:
            self.ask()
        return bool(dead)

    def _has_ended(self, number: int) -> bool:
        pid, began, pidfd = self._working[number]
        if pidfd is None:
            try:
                pidfd = _open(pid, began)
            except ProcessLookupError:
                return True
            except OSError:  # no descriptor is left: then it is not known, and looked for again
                return False
            self._working[number] = pid, began, pidfd
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(0))

    # ---- what a crew has

    def hire(self) -> None:
        """Do nothing: they are another process's."""

    look = hire

    def join(self, timeout_seconds: float | None = None) -> None:
        """Do nothing: they do not end with what they help with."""

    def at_work(self) -> list[tuple[Any, Claim]]:
        """Return nobody who could be stopped."""
        return []


def started_at(pid: int) -> int | None:
    """Return when a process began, in the kernel's ticks, by which it is told from a later one with its pid.

    None when it is no more, or no descriptor is left.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b") ")[2].split()[19])
    except OSError:
        return None


def _open(pid: int, began: int | None) -> int:
    """Return a pidfd of a process that began then, if that is known; ProcessLookupError when it is no more."""
    pidfd = os.pidfd_open(pid)
    if None in (began, now := started_at(pid)) or now == began:
        return pidfd
    os.close(pidfd)
    raise ProcessLookupError
