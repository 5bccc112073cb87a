"""How many spare children there should be, and when to fork them: decisions on plain numbers."""

from __future__ import annotations

__all__ = ["SpareKeeper"]

_BASE = 2
"""Spares of a quiet session. Each costs about a megabyte."""
_MOST = 4
"""Spares in a burst of starts."""
_QUIET_SECONDS = 0.008
"""How long after a start spares are forked, so as not to take a CPU from what was just started, which may soon end."""
_FIRST_QUIET_SECONDS = 0.015
"""The same after the first start: many a program starts one process, and ends."""
_BURST_SECONDS = 0.05
"""How long after a request that found no spare they are forked without waiting for quiet."""
_IDLE_SECONDS = 2.0
"""After this time without a start, spares beyond the base are let go. Also the pause after a failure to fork."""


class SpareKeeper:
    """Counts spares and starts; its owner forks, and lets go, what it asks for."""

    def __init__(self) -> None:
        """Begin with none, and wait for the first request."""
        self.idle = 0
        self._target = _BASE
        self._taken_at = self._missed_at = self._burst_at = self._failed_at = float("-inf")
        self._quiet_seconds = _FIRST_QUIET_SECONDS

    def forked(self) -> None:
        """There is one more."""
        self.idle += 1

    def taken(self, now: float) -> None:
        """One took a request."""
        self.idle = max(self.idle - 1, 0)
        if self._taken_at > float("-inf"):
            self._quiet_seconds = _QUIET_SECONDS
        self._taken_at = now

    def lost(self, now: float) -> None:
        """One that was idle ended: killed, or left by its caller. If spares cannot live, do not insist."""
        self.idle = max(self.idle - 1, 0)
        self._target = _BASE
        self._failed_at = now

    def missed(self, now: float) -> None:
        """A caller found no spare: there should be more of them. (One may have been offered since.)"""
        if self.in_burst(now):
            self._target = min(2 * self._target, _MOST)
        if self._missed_at > float("-inf"):  # the session's first start cannot but find none
            self._burst_at = now
        self._missed_at = now

    def failed(self, now: float) -> None:
        """The kernel forked none: leave it alone for a while, unless a request comes."""
        self._failed_at = now

    def seconds_to_fork(self, now: float) -> float | None:
        """Return in how many seconds one is to be forked: 0 for now, None for not at all."""
        if self.idle >= self._target:
            return None
        if now - self._failed_at < _IDLE_SECONDS:
            return self._failed_at + _IDLE_SECONDS - now
        if self.in_burst(now):
            return 0.0
        return self.seconds_to_quiet(now)

    def seconds_to_quiet(self, now: float) -> float:
        """Return how long to leave the CPUs to the program that has just started a process."""
        return max(max(self._taken_at, self._missed_at) + self._quiet_seconds - now, 0.0)

    def in_burst(self, now: float) -> bool:
        """Whether starts follow one another faster than spares are made: then what counts is the work for each."""
        return now - self._burst_at < _BURST_SECONDS

    def surplus(self, now: float) -> int:
        """Return how many are to be let go."""
        if now - self._taken_at < _IDLE_SECONDS:
            return 0
        self._target = _BASE
        return max(self.idle - _BASE, 0)

    def seconds_to_shrink(self, now: float) -> float | None:
        """Return in how many seconds to look for a surplus, None for never."""
        return None if self.idle <= _BASE else max(self._taken_at + _IDLE_SECONDS - now, 0.0)
