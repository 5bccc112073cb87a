"""The child's side: a handler of last resort, which sends records to the parent."""

from __future__ import annotations

import contextlib
import logging
import marshal
import os
import select
import time
from typing import Any

from allcores import _core

__all__ = ["LONGEST_INLINE_BYTES", "forward_to"]

LONGEST_INLINE_BYTES = 32 * 1024
"""A longer record travels in a memfd."""

_PATIENCE_SECONDS = 1.0
"""How long a record waits for a parent that does not come to read; those after it do not, until one gets through."""


def forward_to(socket: int) -> None:
    """Send records that no handler of this process takes, instead of showing them on standard error."""
    logging.lastResort = _Forwarder(socket, logging.lastResort)


class _Forwarder(logging.Handler):
    """Sends records; those that cannot be sent take the way they would have taken without it."""

    def __init__(self, socket: int, otherwise: logging.Handler | None) -> None:
        super().__init__()
        self._socket, self._otherwise = _core.Held(socket), otherwise
        self._patient = True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sent = self._socket.is_ours() and self._send(marshal.dumps(_portable(record)))
        except Exception:
            self.handleError(record)
            return
        if not sent and self._otherwise is not None and record.levelno >= self._otherwise.level:
            self._otherwise.handle(record)

    def _send(self, data: bytes) -> bool:
        with contextlib.ExitStack() as stack:
            descriptors = []
            if len(data) > LONGEST_INLINE_BYTES:
                file = stack.enter_context(open(os.memfd_create("allcores-log"), "w+b"))
                file.write(data)
                file.flush()
                data, descriptors = b"+", [file.fileno()]
            deadline = time.monotonic() + (_PATIENCE_SECONDS if self._patient else 0)
            while True:
                try:
                    _core.send_message(self._socket.number, data, descriptors, wait=False)
                except BlockingIOError:
                    self._patient = self._waits_for_room(deadline)
                    if not self._patient:
                        return False
                except OSError:
                    return False  # the parent is gone
                else:
                    self._patient = True
                    return True

    def _waits_for_room(self, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._socket.number, select.POLLOUT)
        return bool(poll.poll(max(deadline - time.monotonic(), 0) * 1000))


def _portable(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the record says, without objects that mean something here only: they are in the text."""
    said = dict(vars(record))
    said["msg"], said["args"] = record.getMessage(), None
    if record.exc_info:
        said["exc_text"] = record.exc_text or logging.Formatter().formatException(record.exc_info)
        said["exc_info"] = None
    return {name: _plain(value) for name, value in said.items()}


def _plain(value: Any) -> Any:
    """Return what marshal can carry: numbers, text and containers of them; of other objects their repr."""
    kind = type(value)
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return value
    if kind in (tuple, list, set, frozenset):
        return kind(map(_plain, value))
    if kind is dict:
        return {_plain(key): _plain(item) for key, item in value.items()}
    return repr(value)
