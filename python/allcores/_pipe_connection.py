"""An end of a pipe, of two channels and a descriptor that tells when nobody has the other end."""

from __future__ import annotations

import io
from functools import partial
from multiprocessing import connection as _std, reduction
from multiprocessing.context import BufferTooShort, get_spawning_popen

from allcores import _arena, _core, _standard
from allcores._in_arena import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

    from typing_extensions import Buffer

__all__ = ["MAX_BYTES", "PipeConnection", "rebuild"]

MAX_BYTES = 1 << 20
"""How many bytes one direction of a pipe holds before who sends waits; one message may have more."""


class PipeConnection(_core.Connection, _std.Connection):
    """One end of a pipe. Its methods are those of `multiprocessing.connection.Connection`.

    `recv` raises EOFError when everybody has closed the other end, or has died, and nothing is left; `send` raises
    BrokenPipeError then. `fileno` is for `select`, `wait` and asyncio: what can be read there says only that there may
    be a message.
    """

    def __init__(self, handle: int, incoming: Channel | None, outgoing: Channel | None) -> None:
        """Be the end with this descriptor, which it closes, and these channels."""

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """Receive the bytes of a message. OSError, and no more is received, if they are more than ``maxlength``."""
        if maxlength is not None and maxlength < 0:
            self._check_readable()
            raise ValueError("negative maxlength")
        message = self._receive_bytes()
        if maxlength is not None and len(message) > maxlength:
            if self.writable:
                self._stop_reading()
            else:
                self.close()
            raise OSError("bad message length")
        return message

    def recv_bytes_into(self, buf: Buffer, offset: int = 0) -> int:
        """Receive a message into ``buf``, from its byte ``offset`` on; return its length in bytes.

        `multiprocessing.BufferTooShort`, whose argument is the message, if it does not fit.
        """
        self._check_readable()
        with memoryview(buf) as view, view.cast("B") as there:
            if offset < 0:
                raise ValueError("negative offset")
            if offset > there.nbytes:
                raise ValueError("offset too large")
            message = self._receive_bytes()
            end = offset + len(message)
            if there.nbytes < end:
                raise BufferTooShort(message)
            there[offset:end] = message
            return len(message)

    def _check_readable(self) -> None:
        if self.closed:
            raise OSError("handle is closed")
        if not self.readable:
            raise OSError("connection is write-only")

    def _send_bytes(self, buf: Buffer) -> None:
        self.send_bytes(buf)

    def _recv_bytes(self, maxsize: int | None = None) -> io.BytesIO:
        message = self._receive_bytes()
        if maxsize is not None and len(message) > maxsize:
            return None  # type: ignore[return-value]  # as the standard method
        file = io.BytesIO()
        file.write(message)
        return file

    def __reduce__(self) -> Any:
        """Travel to any process of the session, as an argument of one or in a message."""
        handle = self._handle
        if handle is None:
            raise OSError("handle is closed")
        if get_spawning_popen() is not None:
            return rebuild, (reduction.DupFd(handle), *self._channels())
        channels = self._channels()
        let_go: Callable[[], object] | None = partial(_let_go, channels)
        if _core.is_pickled_for_all():
            let_go = None  # they may all fetch it
        elif _core.gathering() is not None:
            let_go = _nothing  # the message has the channels
        return rebuild, (_standard.dup_for_another(handle, let_go), *channels)

    def __repr__(self) -> str:
        """Show what can be done with it, and how many messages there are to receive."""
        if self.closed:
            return f"<{type(self).__name__} closed>"
        incoming, _ = self._channels()
        messages = "" if incoming is None else f" messages={incoming._length()}"
        kinds = [kind for kind in ("readable", "writable") if getattr(self, kind)]
        return f"<{type(self).__name__} {' '.join(kinds)} handle={self._handle}{messages}>"


def _nothing() -> None:
    """Do nothing."""


def _let_go(channels: tuple[_core.Channel | None, _core.Channel | None]) -> None:
    """Keep the channels of an end no more for who has got it: that has them before it fetches the descriptor."""
    for channel in channels:
        if channel is not None:
            _arena.received_once(channel._address())


def rebuild(descriptor: Any, incoming: Channel | None, outgoing: Channel | None) -> PipeConnection:
    """Return an end as another process has pickled it."""
    return PipeConnection(descriptor.detach(), incoming, outgoing)
