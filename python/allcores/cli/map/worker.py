"""What workers of ``allcores map`` do: the function that was named, and its result as JSON.

This module stands for the main module of the program, so workers import it, and next to nothing with it.
"""

from __future__ import annotations

import importlib
import json

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

__all__ = ["begin", "call", "call_safely", "described", "find"]

_function: Callable[[Any], object]


def find(module: str, name: str) -> Any:
    """Return what a module has under a name, which may have dots; what importing it raises, and AttributeError."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def begin(module: str, name: str) -> None:
    """Know the function, before the first task."""
    global _function
    _function = find(module, name)


def call(item: object) -> str | dict[str, Any]:
    """Return the result for an item as JSON, or what `described` makes of why it has no such form."""
    result = _function(item)
    try:
        return json.dumps(result, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        kind = type(result).__name__
        return {"type": type(error).__name__, "message": f"the result, of type {kind}, has no form in JSON: {error}"}


def call_safely(item: object) -> str | dict[str, Any]:
    """Do the same for one of many items of a chunk, of which no other one is to fail with it."""
    try:
        return call(item)
    except Exception as error:
        return described(error)


def described(error: BaseException) -> dict[str, Any]:
    """Return an error for JSON: its type, its message, and the traceback of the worker, if it has one."""
    import traceback

    kind = type(error)
    told = {
        "type": kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}",
        "message": "\n".join([str(error), *getattr(error, "__notes__", ())]),
    }
    of_worker = getattr(error.__cause__, "tb", None)  # that of a RemoteTraceback
    if isinstance(of_worker, str):
        told["traceback"] = of_worker.strip('\n"')
    elif error.__traceback__ is not None:
        told["traceback"] = "".join(traceback.format_exception(error)).rstrip()
    return told
