"""Pipes under fire: senders and receivers that share ends are killed at random, one after the other, and replaced.

    python tests/pipe_soak.py METHOD KILLS

Every sender sends through a pipe of one way and both directions of a duplex one, and every receiver receives from all;
soak_books says what must hold. When all of them are dead, each descriptor is readable exactly when there is a message,
and the end of messages comes when the last copy of the other end is closed.
"""

from __future__ import annotations

import faulthandler
import queue
import random
import select
import signal
import sys
from typing import Any

from soak_books import soak
from soak_workers import HANG_LIMIT_SECONDS


class PipeWay:
    """One direction of a pipe."""

    def __init__(self, receiver: Any, sender: Any) -> None:
        self.receiver, self.sender = receiver, sender

    def put(self, message: Any) -> bool:
        """Send a message, when there is room."""
        self.sender.send(message)
        return True

    def get(self) -> Any:
        """Receive a message, now or in a moment; the next one when somebody else is faster."""
        if random.random() < 0.5:
            there_is = self.receiver.poll(random.choice((0, 0.01, 0.1)))
        else:
            there_is = bool(
                select.select([self.receiver], [], [], random.choice((0, 0.01)))[0] and self.receiver.poll()
            )
        if not there_is:
            raise queue.Empty
        return self.receiver.recv()

    def check(self) -> None:
        """See that it is empty, and usable, and readable exactly when there is a message."""
        for message in (b"usable", bytes(50_000)):
            assert not self.receiver.poll(0), "nothing is left"
            assert not self.is_readable(), "readable for nothing"
            self.sender.send(message)
            assert self.is_readable()
            assert self.receiver.recv() == message

    def end(self) -> None:
        """Close the sending end, and see that nobody else has it: the end of messages comes."""
        if self.receiver.closed:
            return  # the other direction was ended before
        self.sender.close()
        assert self.receiver.poll(HANG_LIMIT_SECONDS), "somebody has the other end"
        try:
            self.receiver.recv()
        except EOFError:
            return
        raise AssertionError("a message of nobody")

    def is_readable(self) -> bool:
        """Tell whether select says so."""
        return bool(select.select([self.receiver], [], [], 0)[0])


def ways(context: Any) -> list[PipeWay]:
    """Make a pipe of one way and a duplex one."""
    reader, writer = context.Pipe(duplex=False)
    here, there = context.Pipe()
    return [PipeWay(reader, writer), PipeWay(here, there), PipeWay(there, here)]


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    soak("pipes", ways, sys.argv[1], int(sys.argv[2]))
