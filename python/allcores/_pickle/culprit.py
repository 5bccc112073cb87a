"""Finding what exactly cannot be pickled, for an error that a person can act on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from typing import Any

from allcores._pickle.by_value import dump_by_value
from allcores.errors import UnpicklableArgumentError

__all__ = ["explain"]

_DEPTH = 12
"""How many levels of containers and attributes are searched."""


def explain(process_obj: BaseProcess, error: Exception, *, main_is_importable: bool) -> UnpicklableArgumentError:
    """Return the error to raise for ``process_obj``, which failed with ``error``."""

    def fails(value: Any) -> bool:
        try:
            dump_by_value(value, io.BytesIO(), main_is_importable=main_is_importable)
        except Exception:
            return True
        return False

    path, culprit = _deepest(process_obj, fails)
    kind = f"{type(culprit).__module__}.{type(culprit).__qualname__}".removeprefix("builtins.")
    return UnpicklableArgumentError(
        f"{process_obj.name} was not started: {path or 'the process object'} is a {kind}, which can be sent to another "
        f"process neither by name nor by value ({error}). Create it in the child instead, for instance at the "
        "beginning of the target; or give its class a __reduce__ method that says how to make it anew there; or use "
        "the start method 'fork', which copies the parent and pickles nothing.",
        path,
        kind,
    )


def _deepest(process_obj: BaseProcess, fails: Any) -> tuple[str, Any]:
    """Follow the failure down to the innermost object that fails by itself."""
    path, culprit = "", process_obj
    for _ in range(_DEPTH):
        for step, part in _parts(culprit):
            if fails(part):
                path, culprit = path + step, part
                break
        else:
            break
    return _readable(path), culprit


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of an object with the step that leads to each."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from (("{...}", part) for part in value)
    else:
        closure = getattr(value, "__closure__", None)
        if closure:
            names = value.__code__.co_freevars
            yield from ((f".<{name}>", cell.cell_contents) for name, cell in zip(names, closure, strict=True))
        yield from ((f".{name}", part) for name, part in getattr(value, "__dict__", {}).items())


def _readable(path: str) -> str:
    """Name the parts of a Process by its parameters: '._args[0]' is what the caller wrote as args[0]."""
    path = path.removeprefix(".")
    for attribute in ("_target", "_args", "_kwargs"):
        if path.startswith(attribute):
            return path[1:]
    return path
