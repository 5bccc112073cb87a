"""The messages between a caller, the zygote and a child. ``README.md`` says who sends which when.

Both ends are processes of one session running the same version, over sockets that nobody else can reach. Sockets are
of the kind SEQPACKET: a message arrives whole or not at all.
"""

from __future__ import annotations

import array
import contextlib
import enum
import os
import socket
import struct
from dataclasses import dataclass

__all__ = ["Kind", "LineEnded", "Reply", "Request", "as_socket", "receive_go", "send_go", "socket_pair"]

_MAX_DESCRIPTORS = 200
"""Descriptors in one message; the kernel's own limit (SCM_MAX_FD) is 253."""

_STANDARD_STREAMS = (0, 1, 2)


def as_socket(descriptor: int) -> socket.socket:
    """Own a descriptor as a socket that waits as long as it takes, whatever socket.setdefaulttimeout() says."""
    owned = socket.socket(fileno=descriptor)
    owned.settimeout(None)
    return owned


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets of the kind that all messages go through."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one.settimeout(None)
    other.settimeout(None)
    return one, other


class LineEnded(EOFError):
    """The other side closed its end, or died."""


class Kind(enum.IntEnum):
    """What a reply of the zygote tells."""

    STARTED = 1
    """value: the child's pid; carries its pidfd."""
    EXITED = 2
    """value: its exit code as `os.waitstatus_to_exitcode` gives it."""
    FAILED = 3
    """value: the errno of fork."""
    RETIRED_STALE = 4
    """The main module changed since it was imported; ask a new zygote."""
    RETIRED_THREADS = 5
    """Importing the main module started threads; ask a new zygote that leaves it to the children."""


def _receive_message(end: socket.socket, size: int, most: int, flags: int = 0) -> tuple[bytes, list[int]]:
    """Receive a message and its descriptors, which children do not inherit through exec.

    As `socket.recv_fds`, which does not hand its flags on in the Pythons we support.
    """
    descriptors = array.array("i")
    data, ancillary, _flags, _address = end.recvmsg(
        size, socket.CMSG_SPACE(most * descriptors.itemsize), flags | socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, list(descriptors)


def _receive(line: socket.socket, size: int, most: int, flags: int = 0) -> tuple[bytes, list[int]]:
    """Receive one message of ``size`` bytes with at most ``most`` descriptors. LineEnded when none will come.

    A sender that closes its end right behind a message can make a waiting receiver see the end first: the kernel looks
    at its queue, then at whether the other side is gone, and both may change in between. Whoever sees the end looks
    once more; by then what was sent before the end is there.
    """
    for _ in range(2):
        try:
            data, descriptors = _receive_message(line, size, most, flags)
        except ConnectionResetError:
            continue
        if len(data) == size:
            return data, descriptors
    raise LineEnded


@dataclass(frozen=True)
class Request:
    """Asks the zygote for one child. The receiver owns the descriptors."""

    line: int
    payload: int
    parent: int
    """A pidfd of the caller: the sentinel of the child's `parent_process()`."""
    tracker: int
    """The write end of the resource tracker's pipe."""
    streams: dict[int, int]
    """Descriptor for each of 0, 1 and 2 that is open in the caller."""

    _HEADER = struct.Struct("=4sB")
    _MAGIC = b"acz1"

    def send(self, requests: socket.socket) -> None:
        """Send it; the caller's descriptors stay open."""
        present = sum(1 << number for number in self.streams)
        descriptors = [self.line, self.payload, self.parent, self.tracker]
        descriptors += [self.streams[number] for number in sorted(self.streams)]
        socket.send_fds(requests, [self._HEADER.pack(self._MAGIC, present)], descriptors)

    @classmethod
    def receive(cls, requests: socket.socket) -> Request | None:
        """Receive one; None for something that is not a request, whose descriptors are closed."""
        data, descriptors = _receive_message(requests, cls._HEADER.size, 4 + len(_STANDARD_STREAMS))
        if len(data) == cls._HEADER.size:
            magic, present = cls._HEADER.unpack(data)
            numbers = [number for number in _STANDARD_STREAMS if present >> number & 1]
            if magic == cls._MAGIC and len(descriptors) == 4 + len(numbers):
                line, payload, parent, tracker, *streams = descriptors
                return cls(line, payload, parent, tracker, dict(zip(numbers, streams, strict=True)))
        for descriptor in descriptors:
            os.close(descriptor)
        return None

    def close(self) -> None:
        """Close the descriptors, the line's apart."""
        for descriptor in (self.payload, self.parent, self.tracker, *self.streams.values()):
            os.close(descriptor)


@dataclass(frozen=True)
class Reply:
    """What the zygote says on a child's line."""

    kind: Kind
    value: int = 0
    pidfd: int = -1

    _STRUCT = struct.Struct("=Bq")

    def send(self, line: socket.socket) -> None:
        """Send it without ever blocking the zygote; a caller that is gone is no error."""
        descriptors = [] if self.pidfd < 0 else [self.pidfd]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, BlockingIOError):
            socket.send_fds(line, [self._STRUCT.pack(self.kind, self.value)], descriptors, socket.MSG_DONTWAIT)

    @classmethod
    def receive(cls, line: socket.socket, *, peek: bool = False) -> Reply:
        """Wait for a reply; with ``peek`` leave it there for others to read. LineEnded when none will come."""
        data, descriptors = _receive(line, cls._STRUCT.size, 1, socket.MSG_PEEK if peek else 0)
        kind, value = cls._STRUCT.unpack(data)
        return cls(Kind(kind), value, descriptors[0] if descriptors else -1)


_GO = struct.Struct("=I")
"""How many descriptors are still to come after this message."""


def send_go(line: socket.socket, descriptors: list[int]) -> None:
    """Send GO in as many messages as the descriptors need. LineEnded when the child is gone."""
    rest = descriptors
    try:
        while True:
            part, rest = rest[:_MAX_DESCRIPTORS], rest[_MAX_DESCRIPTORS:]
            socket.send_fds(line, [_GO.pack(len(rest))], part)
            if not rest:
                return
    except (BrokenPipeError, ConnectionResetError) as error:
        raise LineEnded from error


def receive_go(line: socket.socket) -> list[int]:
    """Wait for GO; return the descriptors that the child's arguments refer to by index.

    LineEnded when the caller went away instead.
    """
    descriptors: list[int] = []
    while True:
        data, part = _receive(line, _GO.size, _MAX_DESCRIPTORS)
        descriptors.extend(part)
        if _GO.unpack(data)[0] == 0:
            return descriptors
