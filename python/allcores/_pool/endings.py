"""Why workers have ended, in words, and the errors that say so of all tasks."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

__all__ = ["broken_by", "reason_of", "stillborn", "terminated"]


def reason_of(process: Any) -> tuple[str, str | None]:
    """Return in words why a process has ended, and its last Python stack, if that could be written."""
    code = process.exitcode
    reason = getattr(process, "exit_reason", None)  # of ours; a context may have others
    if code == 0:
        return "exit code 0: something in it called os._exit", None
    if reason is None:
        return f"exit code {code}", None
    stack, reason.stack = reason.stack, None
    return str(reason), stack


def terminated() -> BaseException:
    """Return the error of a task that was not done when the pool ended."""
    from allcores.errors import PoolTerminatedError

    return PoolTerminatedError("the pool was terminated before this task was done")


def broken_by(name: str, pid: int | None, reason: str) -> BaseException:
    """Return the error of all tasks of an executor that the end of a worker breaks."""
    from allcores._pool.died import broken

    return broken(
        f"worker {name} (pid {pid}) ended: {reason}. With on_worker_death='break' that is the end of the executor; "
        "make a new one, or have it go on with on_worker_death='heal'"
    )


def stillborn(name: str, pid: int | None, reason: str) -> BaseException:
    """Return the error of all tasks when workers end before they come to the first one, again and again."""
    from allcores.errors import InitializerError

    return InitializerError(
        f"the pool's workers end before they take a task, the last one ({name}, pid {pid}) with {reason}: in the "
        "initializer, or while the main module is imported. No further ones are started"
    )
