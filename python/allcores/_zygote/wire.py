"""The messages between a caller, the zygote and its spares. ``README.md`` says who sends which when.

Both ends are processes of one session running the same version, over sockets that nobody else can reach. Sockets are
of the kind SEQPACKET: a message arrives whole or not at all.
"""

from __future__ import annotations

import contextlib
import enum
import os
import struct

from allcores import _core

__all__ = [
    "Ask",
    "Exit",
    "Kind",
    "LineEnded",
    "Offer",
    "Work",
    "is_detached",
    "receive_news",
    "send_detachment",
    "send_news",
]

_INLINE_BYTES = 16 * 1024
"""A longer body travels in a memfd beside its header."""

_ACCOUNT_BYTES = 32 * 1024
"""What can be told about an exit, beside its code."""

_WORK_DESCRIPTORS = 200
"""Descriptors of arguments in the first message; more follow. The kernel's own limit is 253."""


class LineEnded(EOFError):
    """The other side closed its end, or died."""


class Kind(enum.IntEnum):
    """What a caller asks the zygote for, and what the zygote offers."""

    NEED = 1
    """ask: offer a spare; there is none in the queue. Brings surroundings and streams, to import the main module."""
    TAKEN = 2
    """ask: the spare ``pid`` has got work."""
    STALE = 3
    """ask: the main module changed since it was imported; retire."""
    DETACH = 4
    """ask: the child ``pid`` may outlive the session."""
    SPARE = 5
    """offer: a spare; ``value`` is its pid."""
    FAILED = 6
    """offer: none, and ``value`` is the errno of fork."""
    THREADED = 7
    """offer: none, since importing the main module started threads; ask a new zygote that leaves it to the children."""


def _receive(end: int, size: int, *, peek: bool = False, wait: bool = True) -> tuple[bytes, list[int]]:
    """Receive one message. LineEnded when none will come; BlockingIOError when there is none and ``wait`` is false.

    A sender that closes its end right behind a message can make a waiting receiver see the end first: the kernel looks
    at its queue, then at whether the other side is gone, and both may change in between. Whoever sees the end looks
    once more; by then what was sent before the end is there.
    """
    for _ in range(2):
        try:
            data, descriptors = _core.receive_message(end, size, peek=peek, wait=wait)
        except ConnectionResetError:
            continue
        if data:
            return data, descriptors
    raise LineEnded


class Ask:
    """What a caller wants of the zygote. The receiver owns the descriptors."""

    __slots__ = ("kind", "pid", "streams", "surroundings")

    _HEADER = struct.Struct("=BiBBI")
    """kind, pid, open streams, whether the body is in a memfd, length of the surroundings."""

    def __init__(self, kind: Kind, pid: int = 0, surroundings: bytes = b"", streams: list[int] | None = None) -> None:
        """Keep the parts; ``streams`` is as in `Work`."""
        self.kind, self.pid, self.surroundings = kind, pid, surroundings
        self.streams = [-1, -1, -1] if streams is None else streams

    def send(self, requests: int, *, wait: bool = True) -> None:
        """Send it; the caller's descriptors stay open. BlockingIOError without ``wait``, when there is no room."""
        body, memfd = _outside(self.surroundings)
        present, streams = _present(self.streams)
        header = self._HEADER.pack(self.kind, self.pid, present, len(memfd), len(self.surroundings))
        try:
            _core.send_message(requests, header + body, [*memfd, *streams], wait=wait)
        finally:
            _close(memfd)

    @classmethod
    def receive(cls, requests: int) -> Ask:
        """Receive one if there is one. LineEnded, or BlockingIOError."""
        data, descriptors = _receive(requests, cls._HEADER.size + _INLINE_BYTES, wait=False)
        kind, pid, present, outside, size = cls._HEADER.unpack_from(data)
        surroundings = _inside(data, cls._HEADER.size, descriptors, outside, size)
        return cls(Kind(kind), pid, surroundings, _streams(present, descriptors))

    def close(self) -> None:
        """Close its descriptors."""
        _close(self.streams)


class Offer:
    """A spare for whoever takes it, or why there is none. The receiver owns the descriptors."""

    __slots__ = ("bell", "kind", "line", "main_version", "pidfd", "value")

    _STRUCT = struct.Struct("=BiQQ")

    def __init__(
        self,
        kind: Kind,
        value: int,
        main_version: tuple[int, int] | None = None,
        line: int = -1,
        bell: int = -1,
        pidfd: int = -1,
    ) -> None:
        """Keep the parts; ``main_version`` is that of the main module it has, as in `main_version`."""
        self.kind, self.value, self.main_version = kind, value, main_version
        self.line, self.bell, self.pidfd = line, bell, pidfd

    def send(self, offers: int) -> None:
        """Send it without waiting. BlockingIOError when there is no room."""
        data = self._STRUCT.pack(self.kind, self.value, *(self.main_version or (0, 0)))
        descriptors = [] if self.line < 0 else [self.line, self.bell, self.pidfd]
        _core.send_message(offers, data, descriptors, wait=False)

    @classmethod
    def receive(cls, offers: int, *, wait: bool) -> Offer:
        """Receive one. LineEnded when none will come, BlockingIOError when there is none and ``wait`` is false.

        OSError EMFILE when this process has no room for its descriptors; the spare then ends by itself.
        """
        data, descriptors = _receive(offers, cls._STRUCT.size, wait=wait)
        kind, value, changed, size = cls._STRUCT.unpack(data)
        offer = cls(Kind(kind), value, (changed, size) if changed or size else None)
        if kind == Kind.SPARE:
            if len(descriptors) != 3:
                raise OSError(24, "no descriptors are left to start a process with")
            offer.line, offer.bell, offer.pidfd = descriptors
        return offer

    def close(self) -> None:
        """Close its descriptors."""
        _close([self.line, self.bell, self.pidfd])


class Work:
    """Says what a spare is to become. The receiver owns the descriptors."""

    __slots__ = ("descriptors", "parent", "process", "streams", "surroundings", "tracker", "way")

    _HEADER = struct.Struct("=BBHII")
    """open streams, whether the body is in a memfd, descriptors still to come, lengths of surroundings and process."""

    def __init__(
        self,
        way: list[int],
        parent: int,
        tracker: int,
        streams: list[int],
        descriptors: list[int],
        surroundings: bytes,
        process: bytes,
    ) -> None:
        """Keep the parts.

        ``way`` is what the child will ask for children of its own with: the callers' descriptors, as in `launch`.
        ``parent`` is a pidfd of the caller: the sentinel of the child's `parent_process()`. ``tracker`` is the write
        end of the resource tracker's pipe. ``streams`` has a descriptor for each of 0, 1 and 2, or -1 where the caller
        has closed it. The arguments in ``process`` refer to ``descriptors`` by index.
        """
        self.way = way
        self.parent, self.tracker, self.streams, self.descriptors = parent, tracker, streams, descriptors
        self.surroundings, self.process = surroundings, process

    def send(self, line: int) -> None:
        """Send it; the caller's descriptors stay open."""
        now, later = self.descriptors[:_WORK_DESCRIPTORS], self.descriptors[_WORK_DESCRIPTORS:]
        body, memfd = _outside(self.surroundings + self.process)
        present, streams = _present(self.streams)
        header = self._HEADER.pack(present, len(memfd), len(later), len(self.surroundings), len(self.process))
        fixed = [*self.way, self.parent, self.tracker]
        try:
            _core.send_message(line, header + body, [*fixed, *memfd, *streams, *now])
        finally:
            _close(memfd)
        while later:
            part, later = later[:_WORK_DESCRIPTORS], later[_WORK_DESCRIPTORS:]
            _core.send_message(line, b"+", part)

    @classmethod
    def receive(cls, line: int) -> Work:
        """Receive it if it is there. BlockingIOError if not.

        LineEnded when the caller changed its mind or died, ValueError when its descriptors found no room here.
        """
        data, descriptors = _receive(line, cls._HEADER.size + _INLINE_BYTES, wait=False)
        present, outside, more, surroundings_size, process_size = cls._HEADER.unpack_from(data)
        requests, offers, bell, parent, tracker, *rest = descriptors
        body = _inside(data, cls._HEADER.size, rest, outside, surroundings_size + process_size)
        streams = _streams(present, rest)
        wanted = len(rest) + more
        while len(rest) < wanted:
            rest += _receive(line, 1)[1]
        surroundings, process = body[:surroundings_size], body[surroundings_size:]
        return cls([requests, offers, bell], parent, tracker, streams, rest, surroundings, process)


class Exit:
    """How a child ended: its code as `os.waitstatus_to_exitcode` has it, evidence of a shortage of memory, account."""

    __slots__ = ("account", "code", "out_of_memory")

    _STRUCT = struct.Struct("=iH")

    def __init__(self, code: int, out_of_memory: str = "", account: bytes = b"") -> None:
        """Keep the parts."""
        self.code, self.out_of_memory, self.account = code, out_of_memory, account

    def send(self, line: int) -> None:
        """Send it without ever blocking; a caller that is gone is no error."""
        evidence = self.out_of_memory.encode()[:1000]
        data = self._STRUCT.pack(self.code, len(evidence)) + evidence + self.account
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, BlockingIOError):
            _core.send_message(line, data, [], wait=False)

    @classmethod
    def receive(cls, line: int) -> Exit:
        """Wait for it and leave it there, for others to read. LineEnded when none will come."""
        data, _ = _receive(line, cls._STRUCT.size + _ACCOUNT_BYTES, peek=True)
        code, length = cls._STRUCT.unpack_from(data)
        rest = data[cls._STRUCT.size :]
        return cls(code, rest[:length].decode(errors="replace"), rest[length:])


_DETACH = b"D"


def send_detachment(line: int) -> None:
    """Let the child of this line outlive the session: a retired zygote finds this when the root has ended."""
    _core.send_message(line, _DETACH, [], wait=False)


def is_detached(line: int) -> bool:
    """Whether the caller has said so; asked by the zygote, once, at the end of the session.

    Not of a child whose work still lies in the line; that one's detachment came as a DETACH.
    """
    try:
        return _receive(line, len(_DETACH), wait=False)[0] == _DETACH
    except (BlockingIOError, LineEnded, OSError):
        return False


def send_news(news: int, surroundings: bytes) -> None:
    """Tell the zygote of surroundings that it has not got; if that is too long or too much, it goes without."""
    if len(surroundings) <= _INLINE_BYTES:
        with contextlib.suppress(BlockingIOError):
            _core.send_message(news, surroundings, [], wait=False)


def receive_news(news: int) -> bytes:
    """Return surroundings that a child has met. BlockingIOError when there are none."""
    return _core.receive_message(news, _INLINE_BYTES, wait=False)[0]


def _present(streams: list[int]) -> tuple[int, list[int]]:
    """Return which of the standard streams are open, one bit each, and their descriptors."""
    return sum(1 << number for number, stream in enumerate(streams) if stream >= 0), [s for s in streams if s >= 0]


def _streams(present: int, descriptors: list[int]) -> list[int]:
    """Take the standard streams off the descriptors that came."""
    return [descriptors.pop(0) if present >> number & 1 else -1 for number in range(3)]


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)


def _outside(body: bytes) -> tuple[bytes, list[int]]:
    """Return a body for a message, and where it is too long the memfd that has it instead."""
    if len(body) <= _INLINE_BYTES:
        return body, []
    memfd = os.memfd_create("allcores-start")
    try:
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(memfd, rest) :]
    except BaseException:
        os.close(memfd)
        raise
    return b"", [memfd]


def _inside(data: bytes, start: int, descriptors: list[int], outside: bool, size: int) -> bytes:
    """Return the body of a message, from the memfd that is the first of its descriptors if it is ``outside``."""
    if not outside:
        return data[start : start + size]
    memfd, parts, offset = descriptors.pop(0), [], 0
    try:
        while offset < size:
            part = os.pread(memfd, size - offset, offset)
            if not part:
                raise ValueError("a message that is shorter than it says")
            parts.append(part)
            offset += len(part)
        return b"".join(parts)
    finally:
        os.close(memfd)
