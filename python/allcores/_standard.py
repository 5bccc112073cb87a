"""The private names of the standard library that allcores stands on, in one place.

Type checkers do not know them, and a new Python may rename them: then this module, and only this one, is to change.
They were read in CPython 3.11 to 3.13.
"""

from __future__ import annotations

from multiprocessing import context, process
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


# multiprocessing.util is imported when it is used: its import registers multiprocessing's exit function, and exit
# functions that the program registers before its first use of multiprocessing are to run after that, as without us.


def flush_streams() -> None:
    """Flush sys.stdout and sys.stderr, whatever became of them."""
    _util()["_flush_std_streams"]()


def interpreter_flags() -> list[str]:
    """Return the options with which this interpreter was started."""
    flags: list[str] = _util()["_args_from_interpreter_flags"]()
    return flags


def close_fds(*fds: int) -> None:
    """Close descriptors."""
    _util()["close_fds"](*fds)


def spawn_program(path: str | bytes, arguments: Sequence[str | bytes], descriptors: Sequence[int]) -> int:
    """Start a program that inherits ``descriptors`` and no others; return its pid."""
    pid: int = _util()["spawnv_passfds"](path, arguments, descriptors)
    return pid


def _util() -> dict[str, Any]:
    from multiprocessing import util

    return vars(util)


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
