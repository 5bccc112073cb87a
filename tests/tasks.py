"""What workers do in tests of pools. It is here without pytest, which each of them would take long to import."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

HANG_LIMIT_SECONDS = 30


def square(number: int) -> int:
    return number * number


def killed(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(HANG_LIMIT_SECONDS)


def crash() -> None:
    ctypes.string_at(0)


def leave(code: int) -> None:
    os._exit(code)


def raise_it(error: type[BaseException], *arguments: Any) -> None:
    raise error(*arguments)


class Fussy(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def unpicklable() -> Any:
    return threading.Lock()


class Unreadable:
    def __reduce__(self) -> Any:
        return raise_it, (LookupError, "no such thing here")


def killed_at_five(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail(text: str) -> None:
    raise ValueError(text)


def count_and_fail(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    raise ValueError("no initializing")


def fork_and_die() -> None:
    if os.fork() == 0:
        time.sleep(1)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


class Leaving:
    def __reduce__(self) -> Any:
        return sys.exit, (3,)


def note_and_wait_for(folder: Path, name: str, until: str) -> None:
    (folder / name).touch()
    limit = time.monotonic() + HANG_LIMIT_SECONDS
    while not (folder / until).exists() and time.monotonic() < limit:
        time.sleep(0.002)


def both(one: Any, other: Any) -> Any:
    return one, other


def pid(_: Any = None) -> int:
    return os.getpid()


def note_and_wait(folder: Path, name: str, seconds: float = HANG_LIMIT_SECONDS) -> None:
    (folder / name).touch()
    time.sleep(seconds)
