"""What the standard library's Condition is made of, for those who look at it there."""

from __future__ import annotations

__all__ = ["Counted"]


class Counted:
    """A number of sleepers or wakers, as a semaphore would have it."""

    def __init__(self, value: int) -> None:
        """Be a semaphore with this value."""
        self._value = value

    def get_value(self) -> int:
        """Return it."""
        return self._value
