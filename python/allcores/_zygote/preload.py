"""Importing the main module into the zygote, once, and the cases in which that must not be done."""

from __future__ import annotations

import contextlib
import enum
import os
import pickle
import sys
from collections.abc import Iterator
from multiprocessing import spawn
from pathlib import Path
from typing import Any

from allcores import _standard
from allcores._zygote.surroundings import Surroundings
from allcores._zygote.wire import Request

__all__ = ["MainModule", "Suitability"]


class Suitability(enum.Enum):
    """Whether children may be forked from this zygote as it is."""

    GOOD = enum.auto()
    STALE = enum.auto()
    """The main module's file is not the one that was imported."""
    THREADED = enum.auto()
    """There are threads, whose locks a fork would copy in whatever state they are."""


class MainModule:
    """The program's main module as this zygote has it."""

    def __init__(self, *, wanted: bool) -> None:
        """Import nothing yet; with ``wanted`` false never do, and leave it to the children."""
        self._wanted = wanted
        self._seen = False
        self._file: Path | None = None
        self._version: tuple[int, int] | None = None

    def prepare(self, request: Request) -> Suitability:
        """Import the main module if this is the first request; say whether the zygote may fork now."""
        if self._wanted and not self._seen:
            self._seen = True
            self._import(request)
        if self._file is not None and _version(self._file) != self._version:
            return Suitability.STALE
        if threads_alive() > 1:
            return Suitability.THREADED
        return Suitability.GOOD

    def _import(self, request: Request) -> None:
        before = sys.modules["__main__"]
        try:
            surroundings, preparation = _peek(request.payload)
            surroundings.apply_environment()
            surroundings.apply_installation()
            with _standard.importing_main(), _streams(request.streams):
                spawn.prepare(preparation)
                _import_quietly(surroundings.preload)
        except BaseException:
            # A failing main module, or one that calls sys.exit(): each child imports it and shows the failure itself.
            sys.modules["__main__"] = before
        else:
            if sys.modules["__main__"] is not before:
                self._file = Path(sys.modules["__main__"].__file__ or "")
                self._version = _version(self._file)


def _peek(payload: int) -> tuple[Surroundings, dict[str, Any]]:
    """Read the beginning of a payload and leave it to be read again."""
    try:
        with open(os.dup(payload), "rb") as file:
            return pickle.load(file), pickle.load(file)
    finally:
        os.lseek(payload, 0, os.SEEK_SET)


def _import_quietly(names: tuple[str, ...]) -> None:
    """Import the modules of set_forkserver_preload, which is a hint: one that is missing is no error."""
    for name in names:
        with contextlib.suppress(ImportError):
            __import__(name)


@contextlib.contextmanager
def _streams(streams: dict[int, int]) -> Iterator[None]:
    """Print where the caller prints, and hold nobody's output open afterwards."""
    saved = {number: os.dup(number) for number in streams}
    for number, descriptor in streams.items():
        os.dup2(descriptor, number)
    try:
        yield
    finally:
        _standard.flush_streams()
        for number, descriptor in saved.items():
            os.dup2(descriptor, number)
            os.close(descriptor)


def _version(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def threads_alive() -> int:
    """Count the threads of this process, those that Python does not know (BLAS) included."""
    return len(os.listdir("/proc/self/task"))
