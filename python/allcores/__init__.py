"""allcores: process parallelism for Python, a drop-in replacement for ``multiprocessing``.

>>> import allcores as multiprocessing
>>> with multiprocessing.Pool(4) as pool:  # doctest: +SKIP
...     pool.map(abs, range(-3, 3))
[3, 2, 1, 0, 1, 2]

Every name and submodule of ``multiprocessing`` is here and means the same. ``allcores run program.py`` and `install`
bring it to programs without changing them. The default start method is ``warm``: children are forked from a zygote
which has imported the program. What differs from the standard library stands in ``docs/differences.md``.
"""

import _signal as _signals
import sys as _sys

_blocked_before: set[int] = set()
if getattr(_sys, "argv", [])[:1] == ["-m"]:  # so python calls the program while it imports it for -m
    _word = ["", *_sys.orig_argv][-len(_sys.argv) :][0]  # the module's name, or an option with it: -mNAME, -ImNAME
    if _word == "allcores" or (_word[:1] == "-" and _word.endswith("mallcores")):
        # This is the command: it holds Ctrl-C back until the program begins, as command/scripts/allcores does.
        _blocked_before = _signals.pthread_sigmask(_signals.SIG_BLOCK, {_signals.SIGINT})

if _sys.platform != "linux":
    raise ImportError(
        f"allcores runs on Linux (x86-64 and aarch64), not on {_sys.platform}. "
        "Keep 'import multiprocessing' there, for instance: "
        "'try: import allcores as multiprocessing; except ImportError: import multiprocessing'."
    )

from allcores import _core as _core

if _core.is_of_another_interpreter():
    raise ImportError(
        "allcores is, or was, in use by another interpreter of this process, and can be in one only. Import it in the "
        "main interpreter alone or in one subinterpreter alone; a web server may have an option to run each program in "
        "a process of its own, or in the main interpreter."
    )

from allcores import context as context, process as process, reduction as reduction
from allcores._core import __version__ as __version__
from allcores._cpus import usable_cpus
from allcores._install import install, uninstall
from allcores._logs import log_to_parent
from allcores.context import (
    AuthenticationError,
    BufferTooShort,
    Process,
    ProcessError,
    TimeoutError,
)
from allcores.errors import (
    AllcoresError,
    ArenaCorruptError,
    ArenaFullError,
    HandleError,
    InitializerError,
    ManagerEndedError,
    OwnerDiedError,
    PoolTerminatedError,
    RemoteError,
    StartError,
    TaskTimeoutError,
    TransactionConflictError,
    UnpicklableArgumentError,
)

__all__ = [
    "AllcoresError",
    "ArenaCorruptError",
    "ArenaFullError",
    "Array",
    "AuthenticationError",
    "Barrier",
    "BoundedSemaphore",
    "BufferTooShort",
    "Condition",
    "Event",
    "ExitReason",
    "HandleError",
    "InitializerError",
    "JoinableQueue",
    "Lock",
    "Manager",
    "ManagerEndedError",
    "OwnerDiedError",
    "Pipe",
    "Pool",
    "PoolTerminatedError",
    "Process",
    "ProcessError",
    "ProcessPoolExecutor",
    "Queue",
    "RLock",
    "RawArray",
    "RawValue",
    "RemoteError",
    "Semaphore",
    "SimpleQueue",
    "StartError",
    "TaskTimeoutError",
    "TimeoutError",
    "TransactionConflictError",
    "UnpicklableArgumentError",
    "Value",
    "WorkerDiedError",
    "active_children",
    "allow_connection_pickling",
    "cpu_count",
    "current_process",
    "deadlocks",
    "empty",
    "freeze_support",
    "get_all_start_methods",
    "get_context",
    "get_logger",
    "get_start_method",
    "install",
    "log_to_parent",
    "log_to_stderr",
    "parent_process",
    "reducer",
    "register_joblib",
    "set_executable",
    "set_forkserver_preload",
    "set_start_method",
    "share",
    "uninstall",
    "usable_cpus",
]

# The package's functions are the methods of its default context, as in multiprocessing; written out so that editors
# and type checkers see them.
_default = context._default_context

Array = _default.Array
Barrier = _default.Barrier
BoundedSemaphore = _default.BoundedSemaphore
Condition = _default.Condition
Event = _default.Event
Lock = _default.Lock
Manager = _default.Manager
Pipe = _default.Pipe
Pool = _default.Pool
RLock = _default.RLock
RawArray = _default.RawArray
RawValue = _default.RawValue
Semaphore = _default.Semaphore
Value = _default.Value
active_children = _default.active_children
allow_connection_pickling = _default.allow_connection_pickling
cpu_count = _default.cpu_count
current_process = _default.current_process
freeze_support = _default.freeze_support
get_all_start_methods = _default.get_all_start_methods
get_context = _default.get_context
get_logger = _default.get_logger
get_start_method = _default.get_start_method
log_to_stderr = _default.log_to_stderr
parent_process = _default.parent_process
reducer = _default.reducer
set_executable = _default.set_executable
set_forkserver_preload = _default.set_forkserver_preload
set_start_method = _default.set_start_method

TYPE_CHECKING = __name__ == ""  # importing typing costs as much as multiprocessing itself
if TYPE_CHECKING:  # as in the stubs of multiprocessing: so ``allcores.Queue[int]`` can be an annotation
    from allcores._deadlocks import deadlocks
    from allcores._joblib import register_joblib
    from allcores.arrays import empty, share
    from allcores.errors import WorkerDiedError
    from allcores.exit_reason import ExitReason
    from allcores.futures import ProcessPoolExecutor
    from allcores.mapping import map as map
    from allcores.queues import JoinableQueue, Queue, SimpleQueue
else:
    JoinableQueue = _default.JoinableQueue
    Queue = _default.Queue
    SimpleQueue = _default.SimpleQueue

    _LATER = {
        "ExitReason": "exit_reason",
        "ProcessPoolExecutor": "futures",
        "WorkerDiedError": "errors",
        "deadlocks": "_deadlocks",
        "empty": "arrays",
        "map": "mapping",
        "register_joblib": "_joblib",
        "share": "arrays",
    }
    """Name -> the module that it comes from when somebody asks: each import at the start costs every program time."""

    def __getattr__(name):
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = f"{__name__}.{_LATER[name]}"
        __import__(home)
        globals()[name] = found = getattr(_sys.modules[home], name)
        return found

    def __dir__():
        return sorted({*globals(), *_LATER})


del TYPE_CHECKING

# The levels of the package's logger that logging itself lacks; not in __all__, as in multiprocessing.
SUBDEBUG = 5
SUBWARNING = 25
