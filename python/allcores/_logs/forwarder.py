"""The child's side: a handler of last resort, which sends records to the parent."""

from __future__ import annotations

import contextlib
import functools
import logging
import marshal
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from allcores import _core, _standard

__all__ = ["LONGEST_INLINE_BYTES", "forward_to"]

LONGEST_INLINE_BYTES = 32 * 1024
"""A longer record travels in a memfd."""

_PATIENCE_SECONDS = 10.0
"""How long a record waits for a parent that does not come to read; those after it do not, until one gets through."""
_PATIENCE_AT_EXIT_SECONDS = 1.0
"""The same, for a process that is ending."""


def forward_to(socket: _core.Held) -> None:
    """Send records that no handler of this process takes, instead of showing them on standard error."""
    logging.lastResort = _Forwarder(socket)
    logging.basicConfig = _configured_on_purpose(logging.basicConfig)


def _configured_on_purpose(basic_config: Callable[..., None]) -> Callable[..., None]:
    """Return a `logging.basicConfig` that does nothing when it is asked for nothing.

    That is how `logging.info` and its kin call it: they would set up a handler, beside which nothing is forwarded.
    """

    @functools.wraps(basic_config)
    def configure(**wanted: Any) -> None:
        if wanted or not isinstance(logging.lastResort, _Forwarder):
            basic_config(**wanted)

    return configure


class _Forwarder(logging.Handler):
    """Sends records; those that cannot be sent are shown on standard error."""

    def __init__(self, socket: _core.Held) -> None:
        super().__init__()
        self._socket, self._otherwise = socket, _StandardError()
        self._patient = True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sent = self._socket.is_ours() and self._send(marshal.dumps(_portable(record)))
        except Exception:
            self.handleError(record)
            return
        if not sent:
            self._otherwise.handle(record)

    def _send(self, data: bytes) -> bool:
        with contextlib.ExitStack() as stack:
            descriptors = []
            if len(data) > LONGEST_INLINE_BYTES:
                file = stack.enter_context(open(os.memfd_create("allcores-log"), "w+b"))
                file.write(data)
                file.flush()
                data, descriptors = b"+", [file.fileno()]
            patience = _PATIENCE_AT_EXIT_SECONDS if _standard.is_exiting() else _PATIENCE_SECONDS
            deadline = time.monotonic() + (patience if self._patient else 0)
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


class _StandardError(logging.StreamHandler[Any]):
    """Shows records on what is ``sys.stderr`` at the time."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(logging.BASIC_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:
            self.stream = sys.stderr
            super().emit(record)


def _portable(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the record says, without objects that mean something here only: they are in the text."""
    said = dict(vars(record))
    said["msg"], said["args"] = record.getMessage(), None
    if record.exc_info:
        said["exc_text"] = record.exc_text or logging.Formatter().formatException(record.exc_info)
        said["exc_info"] = None
    return {name: _plain_or_less(value) for name, value in said.items()}


def _plain_or_less(value: Any) -> Any:
    try:
        return _plain(value)
    except Exception:  # it contains itself, or its repr fails
        return f"<{type(value).__name__} that cannot be shown>"


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
