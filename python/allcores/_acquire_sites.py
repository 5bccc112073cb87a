"""Where in the program locks are acquired, recorded for `allcores.deadlocks` (``src/registry/README.md``).

It is decided when this process first has to do with a lock: the methods of the classes are either the fast ones, which
know nothing of it, or those made here, which look at the caller's frame and take a microsecond longer.
"""

from __future__ import annotations

import os
import sys

from allcores import _core

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from types import FrameType
    from typing import Any

    from allcores.synchronize import Lock, RLock

__all__ = ["are_wanted", "record"]

VARIABLE = "ALLCORES_TRACE_LOCKS"
_BETWEEN = ("allcores", "multiprocessing", "threading")
"""The packages whose frames say less than those of their callers."""


def are_wanted() -> bool:
    """Say whether the environment asks for it."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def record(cls: type[Lock | RLock]) -> None:
    """Have a class's methods record where they are called."""
    acquire_at = cls._acquire_at

    def acquire(self: Any, block: bool = True, timeout: float | None = None) -> bool:
        """Acquire it; False when it was not free in time."""
        return acquire_at(self, _site(sys._getframe(1)), block, timeout)

    def __enter__(self: Any) -> bool:
        """Acquire it."""
        return acquire_at(self, _site(sys._getframe(1)), True, None)

    for method in (acquire, __enter__):
        method.__qualname__ = f"{cls.__name__}.{method.__name__}"
        setattr(cls, method.__name__, method)


def _site(nearest: FrameType) -> int:
    """Return the number of the first place, from a frame outwards, that is the program's own."""
    frame: FrameType | None = nearest
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    if frame is None:
        frame = nearest  # a thread of a queue
    code = frame.f_code
    place = (code.co_filename, frame.f_lineno, code.co_qualname)
    site = _known.get(place)
    if site is None:
        text = f"{place[0]}:{place[1]} in {place[2]}"
        site = _known[place] = _core.acquire_site(text.encode(errors="replace").decode())
    return site


_known: dict[tuple[str, int, str], int] = {}
"""As long as the session's table, which gives all that do not fit into it the number 0."""
