"""Finding what exactly cannot be pickled, for an error that a person can act on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from types import SimpleNamespace
from typing import Any

from allcores._pickle.by_value import dump_by_value
from allcores.errors import UnpicklableArgumentError

__all__ = ["explain", "note_in_task"]

_DEPTH = 12
"""How many levels of containers and attributes are searched."""


def explain(process_obj: BaseProcess, error: Exception, *, main_is_importable: bool) -> UnpicklableArgumentError:
    """Return the error to raise for ``process_obj``, which failed with ``error``."""

    path, culprit = _deepest(process_obj, main_is_importable)
    path, kind = _readable(path), _kind(culprit)
    where = "at the beginning of the target"
    if getattr(getattr(process_obj, "_target", None), "__module__", None) == "allcores._pool.worker":
        where = "in the pool's initializer"
        path = path.replace("args[4]", "initializer", 1).replace("args[5]", "initargs", 1)
    return UnpicklableArgumentError(
        f"{process_obj.name} was not started: {path or 'the process object'} is a {kind}, which can be sent to another "
        f"process neither by name nor by value ({error}). Create it in the child instead, for instance {where}; or "
        "give its class a __reduce__ method that says how to make it anew there; or use the start method 'fork', which "
        "copies the parent and pickles nothing.",
        path,
        kind,
    )


def note_in_task(error: BaseException, main_is_importable: bool, **parts: Any) -> None:
    """Note beside an error of pickling which of the parts of a task it is that cannot be sent to a worker."""
    path, culprit = _deepest(SimpleNamespace(**parts), main_is_importable)
    if path:
        error.add_note(
            f"{path.removeprefix('.')} is a {_kind(culprit)}, which can be sent to a worker neither by name nor by "
            "value. Have the worker make it, in an initializer for instance; or give its class a __reduce__ method "
            "that says how to make it anew there."
        )


def _kind(culprit: object) -> str:
    return f"{type(culprit).__module__}.{type(culprit).__qualname__}".removeprefix("builtins.")


def _deepest(outermost: Any, main_is_importable: bool) -> tuple[str, Any]:
    """Follow the failure down to the innermost object that fails by itself."""

    def fails(value: Any) -> bool:
        try:
            dump_by_value(value, io.BytesIO(), main_is_importable=main_is_importable)
        except Exception:
            return True
        return False

    path, culprit = "", outermost
    for _ in range(_DEPTH):
        for step, part in _parts(culprit):
            if fails(part):
                path, culprit = path + step, part
                break
        else:
            break
    return path, culprit


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
