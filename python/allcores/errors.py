"""Every exception that is allcores' own, in one tree.

Each is also what the standard library raises in the same place, so an ``except`` clause written for ``multiprocessing``
still catches it::

    AllcoresError
    ├── UnpicklableArgumentError   (PicklingError, TypeError, AttributeError)  what a child needs cannot be sent to it
    ├── StartError                 (OSError)                                   no process could be started
    ├── OwnerDiedError             (RuntimeError)                              who had a lock was killed
    ├── WorkerDiedError            (BrokenProcessPool)                         a pool's worker died with a task
    ├── TaskTimeoutError           (TimeoutError)                              a task took longer than it may
    ├── InitializerError           (RuntimeError)                              a pool's workers could not begin
    ├── PoolTerminatedError        (RuntimeError)                              a pool ended before the task was done
    ├── RemoteError                (RuntimeError)                              an exception that could not be unpickled
    ├── ManagerEndedError          (ConnectionError, EOFError …)               the server of a manager is gone
    ├── TransactionConflictError   (RuntimeError)                              what a transaction has read was changed
    ├── HandleError                (ValueError)                                a pickle of something that is not there
    ├── ArenaFullError             (MemoryError)                               no room in the session's shared memory
    └── ArenaCorruptError          (RuntimeError)                              somebody has overwritten it
"""

from __future__ import annotations

import os
import pickle
import signal

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

    from allcores._pool.died import WorkerDiedError as WorkerDiedError

__all__ = [
    "AllcoresError",
    "ArenaCorruptError",
    "ArenaFullError",
    "HandleError",
    "InitializerError",
    "ManagerEndedError",
    "OwnerDiedError",
    "PoolTerminatedError",
    "RemoteError",
    "StartError",
    "TaskTimeoutError",
    "TransactionConflictError",
    "UnpicklableArgumentError",
    "WorkerDiedError",
]


class AllcoresError(Exception):
    """The root of the tree."""


class UnpicklableArgumentError(AllcoresError, pickle.PicklingError, TypeError, AttributeError):
    """Something that a child process needs can be pickled neither by name nor by value.

    ``path`` says where it hangs on the process object (``args[1]['log'].handle``), ``value_type`` what it is. It is
    raised by ``start()``, in the caller; no process was started. The pickler's own exception is its ``__cause__``.
    """

    def __init__(self, message: str, path: str = "", value_type: str = "") -> None:
        """Keep the place and the kind of the culprit beside the message."""
        super().__init__(message)
        self.path = path
        self.value_type = value_type

    def __reduce__(self) -> tuple[type[UnpicklableArgumentError], tuple[str, str, str]]:
        """Travel between processes with all three parts."""
        return type(self), (self.args[0], self.path, self.value_type)


class StartError(AllcoresError, OSError):
    """A process could not be started; ``errno`` is the kernel's reason where it gave one. Nothing runs."""


class OwnerDiedError(AllcoresError, RuntimeError):
    """The process that had a lock was killed. One waiter gets this; the lock is free again, and is not this one's.

    What the lock protects may be half changed: look at it, or give it up, before acquiring the lock again.
    ``pid`` and ``process_name`` say who it was, ``exit_code`` how it ended (None: nobody has told yet), as
    `Process.exitcode` does, ``lock_name`` which lock it was, if that has a name.
    """

    def __init__(self, pid: int, process_name: str, wait_status: int | None, lock_name: str | None) -> None:
        """Say all that in words."""
        self.pid, self.process_name, self.lock_name = pid, process_name, lock_name
        self.exit_code = None if wait_status is None else os.waitstatus_to_exitcode(wait_status)
        self._wait_status = wait_status
        lock = "a lock" if lock_name is None else f"the lock {lock_name!r}"
        super().__init__(
            f"process {process_name or '?'} (pid {pid}) {_how(self.exit_code)} while it had {lock}. The lock is free "
            "again; what it protects may be half changed, so check that before you acquire the lock and go on"
        )

    def __reduce__(self) -> Any:
        """Travel between processes with all its parts."""
        return type(self), (self.pid, self.process_name, self._wait_status, self.lock_name)


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return "died"
    if exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"ended at once (os._exit) with exit code {exit_code}"


class TaskTimeoutError(AllcoresError, TimeoutError):
    """A task ran for longer than it may, and the worker that had it was killed. Other tasks go on, on a new worker.

    ``worker_name`` and ``pid`` say who it was, ``seconds`` how long the task may run, ``task`` which task it was, in
    short. The task may have done part of what it does.
    """

    def __init__(self, worker_name: str, pid: int | None, seconds: float, task: str) -> None:
        """Say all that in words."""
        self.worker_name, self.pid, self.seconds, self.task = worker_name, pid, seconds, task
        super().__init__(
            f"the task {task} ran for longer than timeout={seconds:g} seconds, so its worker {worker_name} (pid {pid}) "
            "was killed. Only this task is lost, and it may be half done; give it more time, or see where it hangs"
        )

    def __reduce__(self) -> Any:
        """Travel between processes with all its parts."""
        return type(self), (self.worker_name, self.pid, self.seconds, self.task)


class InitializerError(AllcoresError, RuntimeError):
    """A pool's workers could not begin: the initializer has raised, or they end before they take a task.

    Every task fails with it, and no further workers are started. What the initializer raised is its ``__cause__``, with
    the traceback of the worker.
    """


class PoolTerminatedError(AllcoresError, RuntimeError):
    """The pool was terminated before this task was done; in the standard library its result never comes."""


class RemoteError(AllcoresError, RuntimeError):
    """A task has raised an exception that could not be unpickled here.

    ``type_name`` and ``text`` say what it was, ``traceback`` is that of the worker, ``why`` what unpickling it raised.
    """

    def __init__(self, type_name: str, text: str, traceback: str, why: str) -> None:
        """Say all that in words."""
        self.type_name, self.text, self.traceback, self.why = type_name, text, traceback, why
        super().__init__(
            f"{type_name}: {text}\n(this exception of a task could not be unpickled here: {why}. Give its class a "
            "__reduce__, or have its __init__ pass all its arguments on to super().__init__())"
        )

    def __reduce__(self) -> Any:
        """Travel between processes with all its parts."""
        return type(self), (self.type_name, self.text, self.traceback, self.why)


class HandleError(AllcoresError, ValueError):
    """A pickled lock, value or array means nothing here: it was made in another session, or it is no more.

    An object lives as long as a process of its session has it, or a process that has sent it runs.
    """


class ManagerEndedError(
    AllcoresError, ConnectionResetError, ConnectionRefusedError, BrokenPipeError, FileNotFoundError, EOFError
):
    """An object of a manager was used when the manager had been shut down, or its server process had died.

    It is each of the errors that the standard library raises then, one or the other, as it happens.
    """


class TransactionConflictError(AllcoresError, RuntimeError):
    """Nothing of a shared dict's transaction was done: what it had read was changed outside of a transaction."""


class ArenaFullError(AllcoresError, MemoryError):
    """The session's shared memory has no room. The text says how much was asked for, what is left, and who has most.

    The limit is set by the environment variable ``ALLCORES_ARENA_BYTES``, and by the memory that the machine, or the
    program's cgroup, has left.
    """


class ArenaCorruptError(AllcoresError, RuntimeError):
    """What was read from the session's shared memory cannot be: some code of the program has overwritten it."""


def __getattr__(name: str) -> Any:
    """Load the one error whose base class is heavy to import when it is first asked for."""
    if name != "WorkerDiedError":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from allcores._pool.died import WorkerDiedError

    globals()[name] = WorkerDiedError
    return WorkerDiedError
