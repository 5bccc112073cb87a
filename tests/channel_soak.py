"""Queues under fire: producers and consumers are killed at random, one after the other, and replaced.

    python tests/channel_soak.py METHOD KILLS

Every producer puts into two queues, one of them bounded, and every consumer gets from both; soak_books says what must
hold.
"""

from __future__ import annotations

import faulthandler
import queue
import random
import signal
import sys
from typing import Any

from soak_books import soak
from soak_workers import HANG_LIMIT_SECONDS

BACKLOG_MESSAGES = 2000
"""How many messages there should be in the unbounded queue, at most."""
BOUND_MESSAGES = 20


class QueueWay:
    """A queue, and how many messages there should be in it, at most."""

    def __init__(self, channel: Any, most: int) -> None:
        self.channel, self.most = channel, most

    def put(self, message: Any) -> bool:
        """Put a message, now or in a moment, unless there are many."""
        if self.channel.qsize() > self.most:
            return False
        try:
            self.channel.put(message, timeout=random.choice((None, 0.01)))
        except queue.Full:
            return False
        return True

    def get(self) -> Any:
        """Get a message, now or in a moment."""
        return self.channel.get(timeout=random.choice((0, 0.01, 0.1)))

    def check(self) -> None:
        """See that it is empty, and usable."""
        self.channel.put(b"usable", timeout=HANG_LIMIT_SECONDS)
        assert self.channel.get(timeout=HANG_LIMIT_SECONDS) == b"usable"
        assert self.channel.qsize() == 0 and self.channel.empty(), "nothing is left"

    def end(self) -> None:
        """Do nothing: a queue has no end."""


def ways(context: Any) -> list[QueueWay]:
    """Make an unbounded queue and a bounded one."""
    return [QueueWay(context.Queue(), BACKLOG_MESSAGES), QueueWay(context.Queue(BOUND_MESSAGES), BOUND_MESSAGES)]


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    soak("queues", ways, sys.argv[1], int(sys.argv[2]))
