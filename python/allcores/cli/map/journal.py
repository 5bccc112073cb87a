"""The journal of ``allcores map``: what is done, one line an item, so that a run that was ended can be taken up again.

A line is written whole, at the end of the file, when its item's result has come; what a death of the program leaves is
whole lines and perhaps the beginning of one, which the next run takes away. The first line names the function. A
failed item has a line, too, and is run again.
"""

from __future__ import annotations

import collections
import errno
import fcntl
import hashlib
import json
import os

__all__ = ["Journal", "JournalError"]

_VERSION = 1
_AT_ONCE = 1 << 20


class JournalError(Exception):
    """The journal cannot be used; the text says why, and what to do."""


class Journal:
    """A file of what is done, which is this process's alone."""

    def __init__(self, path: str, function: str) -> None:
        """Open it, or make it. JournalError when it is another function's, in use, or no journal."""
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            # Of the process, not of the open file, which workers that are forked have too, for a moment longer.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES) and hasattr(self, "_file"):
                raise JournalError(f"the journal {path!r} is in use by another process, which writes to it") from None
            raise self._failed(error) from None
        self._done: dict[bytes, collections.deque[tuple[int, int]]] = {}
        """Digest of an item -> where the lines of its results are, and how long."""
        self.length = 0
        """How many results it has."""
        self._end = self._read(function)
        if self._end == 0:
            self._append(_first_line(function))

    def take(self, item: str) -> str | None:
        """Return the result of an item, both as JSON, or None. Of equal items each takes a result of its own."""
        places = self._done.get(_digest(item))
        if not places:
            return None
        at, length = places.popleft()
        return _read_line(os.pread(self._file, length, at))[1]

    def write(self, line: str) -> None:
        """Add a line. JournalError when it cannot be written; then none of it is there."""
        self._append(line.encode())

    def _append(self, line: bytes) -> None:
        done = 0
        try:
            while done < len(line):
                done += os.write(self._file, line[done:])
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise self._failed(error) from None
        self._end += len(line)

    def _read(self, function: str) -> int:
        """Learn what is done; return where the last whole line ends, after which there is nothing then."""
        at, number = 0, 0
        try:
            # Not another descriptor: closing that would give up the lock.
            with open(self._file, "rb", buffering=_AT_ONCE, closefd=False) as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):  # it was being written
                        if number == 1 and not _first_line(function).startswith(line):
                            raise ValueError("it is no journal of this function")
                        break
                    if number == 1:
                        self._check(line, function)
                    else:
                        self._note(line, at)
                    at += len(line)
            os.ftruncate(self._file, at)
        except OSError as error:
            raise self._failed(error) from None
        except ValueError as error:
            raise JournalError(
                f"line {number} of the journal {self._path!r} is none that allcores map has written ({error}). "
                "Remove that line, or name another file"
            ) from None
        return at

    def _check(self, line: bytes, function: str) -> None:
        head = json.loads(line)
        if not isinstance(head, dict) or head.get("allcores_map") != _VERSION:
            raise ValueError("the first line names version and function")
        if head.get("function") != function:
            raise JournalError(
                f"the journal {self._path!r} has results of {head.get('function')}, not of {function}. "
                "Name another file for this function"
            )

    def _note(self, line: bytes, at: int) -> None:
        item, result = _read_line(line)
        if result is not None:
            self._done.setdefault(_digest(item), collections.deque()).append((at, len(line)))
            self.length += 1

    def _failed(self, error: OSError) -> JournalError:
        return JournalError(f"the journal {self._path!r} cannot be used: {error.strerror}")


def _first_line(function: str) -> bytes:
    return json.dumps({"allcores_map": _VERSION, "function": function}).encode() + b"\n"


def _read_line(line: bytes) -> tuple[str, str | None]:
    """Return the item of a line, as JSON, and its result, or None where it has failed."""
    told = json.loads(line)
    if not isinstance(told, dict) or "item" not in told or not told.keys() & {"result", "error"}:
        raise ValueError("it has no item with a result or an error")
    return json.dumps(told["item"]), json.dumps(told["result"]) if "result" in told else None


def _digest(item: str) -> bytes:
    return hashlib.blake2b(item.encode(), digest_size=16).digest()
