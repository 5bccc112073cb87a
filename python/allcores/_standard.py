"""The private names of the standard library that allcores stands on, in one place.

Type checkers do not know them, and a new Python may rename them: then this module, and only this one, is to change.
They were read in CPython 3.11 to 3.13.
"""

from __future__ import annotations

from multiprocessing import context, process, util
from multiprocessing.reduction import ForkingPickler

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = [
    "close_fds",
    "concrete_contexts",
    "default_context",
    "flush_streams",
    "importing_main",
    "interpreter_flags",
    "original_directory",
    "registered_reducers",
    "spawn_program",
]

default_context: Any = context._default_context
"""Holds the start method that was chosen in `_actual_context`, and what is used before that in `_default_context`."""

concrete_contexts: dict[str, Any] = vars(context)["_concrete_contexts"]
"""Start method -> context. Each process looks its own start method up here when it begins to run."""

registered_reducers: dict[type, Callable[[Any], Any]] = vars(ForkingPickler)["_extra_reducers"]
"""What `ForkingPickler.register` was told, by the standard library and by others."""

flush_streams: Callable[[], None] = vars(util)["_flush_std_streams"]
interpreter_flags: Callable[[], list[str]] = vars(util)["_args_from_interpreter_flags"]
close_fds: Callable[..., None] = vars(util)["close_fds"]
spawn_program: Callable[[str | bytes, Sequence[str | bytes], Sequence[int]], int] = vars(util)["spawnv_passfds"]


def original_directory() -> str | None:
    """Return the working directory in which the program began."""
    directory: str | None = vars(process)["ORIGINAL_DIR"]
    return directory


class importing_main:
    """A block in which the main module is imported in a child; starting a process there is an error, as under spawn."""

    def __enter__(self) -> None:
        vars(process.current_process())["_inheriting"] = True

    def __exit__(self, *_: object) -> None:
        del vars(process.current_process())["_inheriting"]
