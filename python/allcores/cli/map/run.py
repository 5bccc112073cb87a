"""One run of ``allcores map``: items are read and sent, and their lines written when it is their turn."""

from __future__ import annotations

import argparse
import json
import os
import signal
import traceback
from collections.abc import Iterator
from typing import Any

import allcores
from allcores._pool.job import NOT_YET, Job
from allcores._pool.progress import find_bar
from allcores.cli import complain
from allcores.cli.map import worker
from allcores.cli.map.journal import Journal, JournalError
from allcores.cli.map.lines import lines_of
from allcores.cli.map.options import of_map
from allcores.mapping import MapIterator

__all__ = ["Run"]

_LEAST_WAITING = 1 << 10
"""How many lines may wait, at least, for one that comes before them."""


class _Item:
    """An item of the input, and the line that it has come to."""

    __slots__ = ("has_failed", "index", "json", "line")

    def __init__(self, index: int, json: str) -> None:
        self.index, self.json = index, json
        self.line: str | None = None
        self.has_failed = False


class _Stop(BaseException):
    """Nothing more is to be done. Raised also where items are read, so it is no Exception, which would have to wait."""

    def __init__(self, status: int) -> None:
        """Have that exit status."""
        self.status = status


class Run:
    """One run: what is read, what was sent, what waits to be written."""

    def __init__(self, options: argparse.Namespace, function: tuple[str, str], source: int, output: int) -> None:
        """Open what is to be read, and the journal. OSError, ValueError … and JournalError for what cannot be."""
        self._options, self._source, self._output = options, source, output
        self._texts = self._open_items()
        self._sent: dict[int, _Item] = {}
        """How manyth call -> the item."""
        self._waiting: dict[int, _Item] = {}
        """Index of an item -> the item, whose line is to be written when those before it were."""
        self._calls = self._read = self._written = 0
        self._has_failures = False
        chunksize = options.chunksize
        self._results: MapIterator[Any] = allcores.map(
            worker.call if chunksize == 1 else worker.call_safely,
            self._items(),
            ordered=False,
            on_error="raise",
            initializer=worker.begin,
            initargs=function,
            **of_map(options),
        )
        self._most_waiting = options.window or max(_LEAST_WAITING, 4 * chunksize)
        self._journal = None if options.journal is None else Journal(options.journal, ":".join(function))
        self._bar = None
        if options.progress:
            total = len(options.items) if isinstance(self._texts, list) else None
            self._bar = find_bar()(total, options.function)

    def _open_items(self) -> list[str] | Iterator[bytes | None]:
        """Return the items of the command line, or the lines that it names."""
        items, lines = self._options.items, self._options.lines
        if lines is not None and items:
            raise ValueError("items stand on the command line or in --lines FILE, not both")
        if lines is None and items != ["-"]:
            if not items:
                complain("allcores map: no items: they stand on the command line or in --lines FILE, or - reads them")
            return list(items)
        if lines in (None, "-"):
            return lines_of(self._source, self._refill)
        try:
            return lines_of(os.open(lines, os.O_RDONLY | os.O_CLOEXEC), self._refill)
        except OSError as error:
            raise ValueError(f"{lines!r} cannot be read: {error.strerror}") from None

    def _refill(self) -> None:
        self._results._refill()

    def run(self) -> int:
        """Do all of it; return the exit status."""
        try:
            for first, length, success, value in self._tasks():
                outcomes = value if success and self._options.chunksize > 1 else [value] * length
                for number, outcome in enumerate(outcomes, first):
                    self._note(self._sent.pop(number), outcome)
                self._write_waiting()
        except _Stop as stop:
            return stop.status
        except OSError as error:
            complain(f"allcores map: the items cannot be read: {error.strerror}")
            return 1
        except allcores.AllcoresError as error:  # of all items: workers cannot begin, memory is short …
            complain("".join(traceback.format_exception(type(error), error, None)).rstrip())
            return 1
        finally:
            self._results.close()
            if self._bar is not None:
                self._bar.close()
        return int(self._has_failures)

    def _tasks(self) -> Iterator[tuple[int, int, bool, Any]]:
        while True:
            try:
                yield self._results._take(self._take_task)
            except StopIteration:
                return

    def _take_task(self, job: Job) -> tuple[int, int, bool, Any]:
        job.name = self._options.function
        return job.take_task()

    def _items(self) -> Iterator[Any]:
        """Give the items that are to be done. The others, which are done or make no sense, have their lines at once."""
        for text in self._texts:
            while not self._options.unordered and self._read - self._written >= self._most_waiting:
                yield NOT_YET  # until the line that the others wait for is there
            if text is None:
                yield NOT_YET
                continue
            decoded = text if isinstance(text, str) else os.fsdecode(text)
            if isinstance(text, bytes) and not decoded.strip():
                continue
            index = self._read
            self._read += 1
            try:
                value = json.loads(decoded) if self._options.json else decoded
            except (ValueError, RecursionError) as error:
                self._note(_Item(index, json.dumps(decoded)), ValueError(f"it is no JSON: {error}"))
                self._write_waiting()
                continue
            item = _Item(index, json.dumps(value))
            done = None if self._journal is None else self._journal.take(item.json)
            if done is not None:
                item.line = _line(item, "result", done)
                self._put(item)
                self._write_waiting()
                continue
            self._sent[self._calls] = item
            self._calls += 1
            yield value

    def _note(self, item: _Item, outcome: Any) -> None:
        """Take what has come of an item: its result as JSON, an error, or what `worker.described` tells of one."""
        if isinstance(outcome, str):
            item.line = _line(item, "result", outcome)
        else:
            item.has_failed = True
            told = worker.described(outcome) if isinstance(outcome, BaseException) else outcome
            item.line = _line(item, "error", json.dumps(told))
        if self._journal is not None:
            try:
                self._journal.write(item.line)
            except JournalError as error:
                complain(f"allcores map: {error}")
                raise _Stop(1) from None
        self._put(item)

    def _put(self, item: _Item) -> None:
        self._waiting[self._written if self._options.unordered else item.index] = item
        if self._options.unordered:
            self._write_waiting()

    def _write_waiting(self) -> None:
        """Write the lines whose turn it is."""
        while (item := self._waiting.pop(self._written, None)) is not None:
            self._written += 1
            if self._bar is not None:
                self._bar.advance(1, int(item.has_failed))
            self._has_failures = self._has_failures or item.has_failed
            if not (item.has_failed and self._options.on_error == "skip"):
                assert item.line is not None
                _write(self._output, item.line.encode())
            if item.has_failed and self._options.on_error == "raise":
                raise _Stop(1)


def _line(item: _Item, key: str, value: str) -> str:
    return f'{{"index": {item.index}, "item": {item.json}, "{key}": {value}}}\n'


def _write(descriptor: int, line: bytes) -> None:
    try:
        while line:
            line = line[os.write(descriptor, line) :]
    except BrokenPipeError:
        raise _Stop(_die_of(signal.SIGPIPE)) from None
    except OSError as error:
        complain(f"allcores map: standard output cannot be written: {error.strerror}")
        raise _Stop(1) from None


def _die_of(number: signal.Signals) -> int:
    """End as other programs do that write to a pipe which nobody reads; workers end with this process."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    return 128 + number
