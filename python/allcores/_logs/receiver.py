"""The parent's side: a thread that handles what children send."""

from __future__ import annotations

import atexit
import logging
import marshal
import os
import select
import threading
import time
from contextlib import suppress
from multiprocessing import util

from allcores import _core
from allcores._logs.forwarder import LONGEST_INLINE_BYTES

__all__ = ["Receiver"]

_PATIENCE_SECONDS = 5
"""How long `drain` waits for a thread that is in a handler; that may be the very handler it is called from."""


class Receiver:
    """A socket that children send to, and a thread that handles what comes."""

    def __init__(self) -> None:
        """Begin to receive."""
        ours, childrens = _core.socket_pair()
        self._socket, self._childrens = _core.Held(ours), _core.Held(childrens)
        self._lock = threading.RLock()
        self._bell = _core.Held(os.eventfd(0, os.EFD_CLOEXEC))
        """Rung for the thread to stop."""
        self._thread = threading.Thread(target=self._serve, name="allcores-logs", daemon=True)
        self._thread.start()
        # When multiprocessing has joined the children. A thread that writes while the interpreter ends would abort it.
        self._finalizer = util.Finalize(None, self._stop, exitpriority=-1000)
        atexit.unregister(logging.shutdown)  # `_stop` does it; registered late, it would come before the last records

    @property
    def socket_for_children(self) -> int:
        """The end that is sent to children."""
        return self._childrens.number

    def is_usable(self) -> bool:
        """Whether it works: the program may have closed all descriptors."""
        return self._is_open() and self._thread.is_alive()

    def _is_open(self) -> bool:
        # All or none: an eventfd cannot be told from another one under the same number.
        return self._socket.is_ours() and self._childrens.is_ours()

    def drain(self, timeout: float | None = None) -> None:
        """Handle what has come. Of each child, all that it sent before it ended is here when it has ended.

        Others may go on sending; after ``timeout`` seconds, or some, the rest is left to the thread.
        """
        patience_seconds = _PATIENCE_SECONDS if timeout is None else min(max(timeout, 0), _PATIENCE_SECONDS)
        deadline = time.monotonic() + patience_seconds
        if not self._lock.acquire(timeout=patience_seconds):
            return
        try:
            while self._is_open():
                data, descriptors = _core.receive_message(self._socket.number, LONGEST_INLINE_BYTES, wait=False)
                _handle(data, descriptors)
                if time.monotonic() >= deadline:
                    return
        except OSError:
            pass  # BlockingIOError: there is nothing more
        finally:
            self._lock.release()

    def abandon(self) -> None:
        """Close it, in a process that was forked from its owner."""
        self._finalizer.cancel()
        atexit.register(logging.shutdown)
        if self._is_open():
            for held in (self._socket, self._childrens, self._bell):
                os.close(held.number)

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._socket.number, select.POLLIN)
        poll.register(self._bell.number, select.POLLIN)
        while self._is_open():
            if self._bell.number in dict(poll.poll()):
                return
            self.drain()

    def _stop(self) -> None:
        if self._is_open():
            os.eventfd_write(self._bell.number, 1)
            self._thread.join(_PATIENCE_SECONDS)
        self.drain()
        logging.shutdown()


def _handle(data: bytes, descriptors: list[int]) -> None:
    """Handle one record, as if it had been made here."""
    if descriptors:
        with open(descriptors[0], "rb") as file:
            file.seek(0)
            data = file.read()
    try:
        record = logging.makeLogRecord(marshal.loads(data))
        logging.getLogger(record.name).handle(record)
    except BaseException:  # of a filter, say; handlers show theirs themselves. SystemExit would end this thread only
        if logging.raiseExceptions:
            import traceback

            with suppress(Exception):
                traceback.print_exc()
