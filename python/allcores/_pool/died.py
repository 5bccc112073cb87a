"""The error of a task whose worker has died; apart from the others, since what it derives from is heavy to import."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool

from allcores.errors import AllcoresError, InitializerError

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

__all__ = ["BrokenInitializerError", "WorkerDiedError", "broken", "of_executor"]


class WorkerDiedError(AllcoresError, BrokenProcessPool):
    """The worker that had this task was killed, or ended without a reply. Other tasks, and the pool, go on.

    ``worker_name`` and ``pid`` say who it was, ``exit_code`` how it ended (negative: the signal), ``reason`` that in
    words, with the likely cause where it is known, ``task`` which task it was, in short, ``stack`` the worker's last
    Python stack after a crash, with ``warm``. The task may have done part of what it does.
    """

    def __init__(
        self, worker_name: str, pid: int | None, exit_code: int, reason: str, task: str, stack: str | None = None
    ) -> None:
        """Say all that in words."""
        self.worker_name, self.pid, self.exit_code = worker_name, pid, exit_code
        self.reason, self.task, self.stack = reason, task, stack
        super().__init__(
            f"worker {worker_name} (pid {pid}) ended while it had the task {task}: {reason}. Only this task is lost, "
            "and it may be half done; the pool goes on with a new worker" + ("" if stack is None else f"\n{stack}")
        )

    def __reduce__(self) -> Any:
        """Travel between processes with all its parts."""
        return type(self), (self.worker_name, self.pid, self.exit_code, self.reason, self.task, self.stack)


WorkerDiedError.__module__ = "allcores.errors"


class BrokenInitializerError(InitializerError, BrokenProcessPool):
    """An executor's `InitializerError`, which is what the standard executor raises, too."""


def broken(text: str) -> BrokenProcessPool:
    """Return the error of an executor that is broken for ever."""
    return BrokenProcessPool(text)


def of_executor(error: BaseException) -> BaseException:
    """Return the error that ends an executor as one that says so."""
    if isinstance(error, BrokenProcessPool):
        return error
    kind = BrokenInitializerError if isinstance(error, InitializerError) else BrokenProcessPool
    told = kind(*error.args)
    told.__cause__ = error if error.__cause__ is None else error.__cause__
    return told
