"""Things and functions as errors show them; apart, since whoever imports this imports nothing of the standard pool."""

from __future__ import annotations

__all__ = ["in_short", "name_of"]

_SHORT = 60


def in_short(thing: object) -> str:
    """Return some characters that show what a thing is."""
    try:
        text = repr(thing)
    except Exception:
        text = object.__repr__(thing)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def name_of(function: object) -> str:
    """Return by which name people know a function."""
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else in_short(function)
