"""The private names of the standard library that allcores stands on, in one place.

Type checkers do not know them, and a new Python may rename them: then this module, and only this one, is to change.
They were read in CPython 3.11 to 3.13.
"""

from __future__ import annotations

import _locale
import atexit
import contextlib
import os
import stat
import sys
import threading
import types
from multiprocessing import context, process
from multiprocessing.reduction import ForkingPickler

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeVar

    _F = TypeVar("_F")
    _Argument = TypeVar("_Argument")
    _Result = TypeVar("_Result")

__all__ = [
    "as_no_daemon",
    "as_while_importing_main",
    "be_resource_tracker",
    "before_threads_end",
    "concrete_contexts",
    "default_context",
    "dup_for_another",
    "executable",
    "flush_streams",
    "forget_child",
    "forget_exit_functions",
    "has_log_handlers",
    "inherited_by_children",
    "interpreter_flags",
    "interpreter_state",
    "is_exiting",
    "locale_in_force",
    "logging_levels",
    "logs_to_stderr",
    "original_directory",
    "plain_text",
    "raw_environment",
    "registered_reducers",
    "resource_tracker",
    "resource_tracker_wanted",
    "run_untouched",
    "set_logging_levels",
    "spawn_file",
    "spawn_program",
    "stowaways",
    "stream_numbers_taken",
    "typed_as",
    "with_other_names",
]

default_context: Any = context._default_context
"""Holds the start method that was chosen in `_actual_context`, and what is used before that in `_default_context`."""

concrete_contexts: dict[str, Any] = vars(context)["_concrete_contexts"]
"""Start method -> context. Each process looks its own start method up here when it begins to run."""

registered_reducers: dict[type, Callable[[Any], Any]] = vars(ForkingPickler)["_extra_reducers"]
"""What `ForkingPickler.register` was told, by the standard library and by others."""


# multiprocessing.util is imported when it is used: its import registers multiprocessing's exit function, and exit
# functions that the program registers before its first use of multiprocessing are to run after that, as without us.


def stowaways(child: process.BaseProcess) -> list[Any]:
    """Return what others have added to the data that spawn prepares for a child.

    Unpickling it there is to have an effect; this is how coverage and others get into children.
    """
    spawn = sys.modules.get("multiprocessing.spawn")
    prepare = getattr(spawn, "get_preparation_data", None)  # None also while another thread imports the module
    if spawn is None or prepare is None or prepare.__module__ == spawn.__name__:
        return []
    data: dict[str, Any] = prepare(child.name)
    return [value for key, value in data.items() if key not in _PREPARATION_DATA]


_PREPARATION_DATA = frozenset(
    {
        "authkey",
        "dir",
        "init_main_from_name",
        "init_main_from_path",
        "log_to_stderr",
        "log_level",
        "name",
        "orig_dir",
        "start_method",
        "sys_argv",
        "sys_path",
    }
)


def forget_exit_functions() -> None:
    """Forget exit functions that are another process's, in its fork, and keep those of the standard library itself."""
    vars(atexit)["_clear"]()
    finalize = sys.modules["weakref"].finalize if "weakref" in sys.modules else None
    if finalize is not None:
        finalize._registered_with_atexit = False  # it does so again when it is used
    if "logging" in sys.modules:
        atexit.register(sys.modules["logging"].shutdown)
    if "multiprocessing.util" in sys.modules:
        atexit.register(_util()["_exit_function"])


def forget_child(child: process.BaseProcess) -> None:
    """Let this process not join or terminate a child at its end."""
    vars(process)["_children"].discard(child)
    vars(process)["_dangling"].discard(child)


def flush_streams() -> None:
    """Flush sys.stdout and sys.stderr, whatever became of them."""
    _util()["_flush_std_streams"]()


def executable() -> bytes:
    """Return the interpreter that children are to run, by `set_executable` another than this process's."""
    spawn = sys.modules.get("multiprocessing.spawn")
    return os.fsencode(sys.executable if spawn is None else spawn.get_executable())


def spawn_file() -> str | None:
    """Return the file of the module that imports main modules in children."""
    from multiprocessing import spawn

    return spawn.__file__


def interpreter_flags() -> list[str]:
    """Return the options with which this interpreter was started."""
    flags: list[str] = _util()["_args_from_interpreter_flags"]()
    return flags


def logs_to_stderr() -> bool:
    """Whether multiprocessing's own logger writes to standard error."""
    return bool(_util()["_log_to_stderr"])


def spawn_program(path: str | bytes, arguments: Sequence[str | bytes], descriptors: Sequence[int]) -> int:
    """Start a program that inherits ``descriptors`` and no others; return its pid."""
    with stream_numbers_taken():
        pid: int = _util()["spawnv_passfds"](path, arguments, descriptors)
    return pid


def resource_tracker() -> int:
    """Return the way to the resource tracker, which all processes of a program share; start it if need be."""
    tracker = _tracker()
    state = vars(tracker)
    # Whether it still lives is asked by those who use it; asking here would be a system call more at each start.
    if state["_fd"] is None or not _is_pipe(state["_fd"]):
        # A program that closed all descriptors closed this one; the tracker ends by that.
        state["_fd"] = state["_pid"] = None
        with stream_numbers_taken():
            tracker.getfd()
    descriptor: int = state["_fd"]
    return descriptor


@contextlib.contextmanager
def resource_tracker_wanted() -> Iterator[int | None]:
    """Make the way to a resource tracker that somebody else starts in this block, and yield what it is to read from.

    None when there is one. When the block fails there is none.
    """
    state = vars(_tracker())
    if state["_fd"] is not None:
        yield None
        return
    with stream_numbers_taken():
        reading, writing = os.pipe()
    try:
        yield reading
    except BaseException:
        os.close(writing)
        raise
    else:
        if state["_fd"] is None:
            state["_fd"] = writing
            state["_stop"] = _stop_tracker
        else:  # another thread was first
            os.close(writing)
    finally:
        os.close(reading)


def _stop_tracker(*args: Any, **kwargs: Any) -> None:
    """Stop the tracker as `ResourceTracker._stop` does; one that somebody else started is somebody else's to reap."""
    tracker = _tracker()
    state = vars(tracker)
    if state["_fd"] is not None and state["_pid"] is None:
        os.close(state["_fd"])
        state["_fd"] = None
    else:
        type(tracker)._stop(tracker, *args, **kwargs)


def be_resource_tracker(descriptor: int) -> None:
    """Do a resource tracker's work, to the end of what it reads from."""
    from multiprocessing import resource_tracker

    resource_tracker.main(descriptor)


def _tracker() -> Any:
    # It waits for another thread that imports it, and is an ImportError where a signal handler interrupted that.
    from multiprocessing.resource_tracker import _resource_tracker

    return _resource_tracker


@contextlib.contextmanager
def stream_numbers_taken() -> Iterator[None]:
    """A block in which no new descriptor gets the number of a closed standard stream, which fork_exec refuses."""
    taken = []
    try:
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            taken.append(number)
        os.close(number)
        yield
    finally:
        for number in taken:
            os.close(number)


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _util() -> dict[str, Any]:
    from multiprocessing import util

    return vars(util)


def interpreter_state() -> tuple[bool, dict[bytes, bytes], bytes, str | None, str | None]:
    """Return what is compared at each start: has one thread, raw_environment, the key, original_directory, locale.

    One thread, as `threading.active_count` counts them, and none in the making.
    """
    module = vars(process)
    return (
        len(_threads) == 1 and not _threads_in_the_making,
        _environment,
        vars(module["_current_process"])["_config"]["authkey"],
        module["ORIGINAL_DIR"],
        locale_in_force(),
    )


def raw_environment() -> dict[bytes, bytes]:
    """Return the environment as `os.environ` keeps it: the dict itself, in bytes."""
    return _environment


_environment: dict[bytes, bytes] = vars(os.environ)["_data"]
"""Looked at once: tests put plain dicts in the place of ``os.environ``, which changes nothing for other programs."""


def plain_text(entry: Any) -> Any:
    """Return text as plain str, where it is of a subclass that may mean nothing elsewhere; anything else as it is."""
    return str.__str__(entry) if isinstance(entry, str) else entry


def locale_in_force() -> str | None:
    """Return the locale, without importing the module for it; None when it is not to be had."""
    try:
        name: str = _locale.setlocale(_locale.LC_ALL)
    except Exception:  # _locale.Error, which type checkers do not know
        return None
    return name


def original_directory() -> str | None:
    """Return the working directory in which the program began."""
    directory: str | None = vars(process)["ORIGINAL_DIR"]
    return directory


def as_while_importing_main(call: Callable[[_Argument], _Result], argument: _Argument) -> _Result:
    """Make a call that may import the main module in a child; starting a process there is an error, as under spawn."""
    current = vars(process)["_current_process"].__dict__
    current["_inheriting"] = True
    try:
        return call(argument)
    finally:
        del current["_inheriting"]


def run_untouched(make_process: Callable[[], process.BaseProcess]) -> None:
    """Run a process object to its end in this process, which afterwards is what it was."""
    util: dict[str, Any] = sys.modules["multiprocessing.util"].__dict__
    state, threads = process.__dict__, threading.__dict__
    current, parent = state["_current_process"], state["_parent_process"]
    counter, children = state["_process_counter"], state["_children"]
    start_method = default_context._actual_context
    close_stdin, logger, finalizers = util["_close_stdin"], util["_logger"], util["_finalizer_registry"]
    shutdown, streams = threads["_shutdown"], (sys.stdout, sys.stderr)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # not what the main module has put there
    threads["_shutdown"] = int  # it can be done only once
    util["_close_stdin"] = int  # each time it opens another descriptor
    util["_logger"] = None  # nobody is to read of it
    util["_finalizer_registry"] = {}  # what the main module has registered is for its end
    try:
        make_process()._bootstrap()  # type: ignore[attr-defined]
    finally:
        threads["_shutdown"] = shutdown
        sys.stdout, sys.stderr = streams
        util["_close_stdin"], util["_logger"], util["_finalizer_registry"] = close_stdin, logger, finalizers
        util["_exiting"] = False
        state["_current_process"], state["_parent_process"] = current, parent
        state["_process_counter"], state["_children"] = counter, children
        default_context._actual_context = start_method


def inherited_by_children(of: process.BaseProcess | None = None) -> dict[str, Any]:
    """Return the dict of a process (default: this one) that each child made in it begins with a copy of."""
    config: dict[str, Any] = vars(of or process.current_process())["_config"]
    return config


def as_no_daemon(start: Callable[[], None]) -> None:
    """Call ``start`` so that this process, a daemon, may start processes by it, which `Process.start` refuses."""
    config = inherited_by_children()
    config["daemon"] = False
    try:
        start()
    finally:
        config["daemon"] = True


_threads: dict[int, object] = vars(threading)["_active"]
_threads_in_the_making: dict[object, object] = vars(threading)["_limbo"]


def logging_levels(logging: Any) -> tuple[Any, ...]:
    """Return what decides which log records are made: (level disabled, root's level, ((name, its settings), …))."""
    plain, loggers = (0, True, False), []
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger):
            settings = (int(logger.level), bool(logger.propagate), bool(logger.disabled))
            if settings != plain:
                loggers.append((plain_text(name), settings))
    return int(logging.root.manager.disable), int(logging.root.level), tuple(loggers)


def set_logging_levels(wanted: tuple[Any, ...] | None) -> None:
    """Have the levels that `logging_levels` returned in another process."""
    if wanted is None:
        return
    import logging

    disable, root_level, loggers = wanted
    logging.disable(disable)
    logging.root.setLevel(root_level)
    for name, (level, propagate, disabled) in loggers:
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, disabled


def dup_for_another(descriptor: int, let_go: Callable[[], object] | None) -> Any:
    """Return what a descriptor is pickled as for another process, as `reduction.DupFd` does while none is started.

    ``let_go`` is called when that has fetched it, or cannot any more. None: it can be fetched any number of times, as
    long as this process lives.
    """
    from functools import partial
    from multiprocessing import reduction, resource_sharer

    copy = os.dup(descriptor)

    def send(connection: Any, pid: int) -> None:
        reduction.send_handle(connection, copy, pid)

    sharer = vars(resource_sharer)["_resource_sharer"]
    shared: Any = resource_sharer.DupFd.__new__(resource_sharer.DupFd)
    if let_go is None:

        def put_back() -> None:
            sharer._cache[shared._id[1]] = send, put_back  # the sharer has taken it out

        shared._id = sharer.register(send, put_back)
    else:
        # Nothing in a circle, which would keep for a while what is let go.
        shared._id = sharer.register(send, partial(_close_and, copy, let_go))
    return shared


def _close_and(descriptor: int, let_go: Callable[[], object]) -> None:
    os.close(descriptor)
    let_go()


def before_threads_end(callback: Callable[[], None]) -> None:
    """Have a call made when the main thread is done, before other threads are joined, and what `atexit` has runs."""
    vars(threading)["_register_atexit"](callback)


def is_exiting() -> bool:
    """Whether this process is at its end, as multiprocessing sees it."""
    return bool(_util()["_exiting"])


def has_log_handlers(logging: Any) -> bool:
    """Whether the program has set up any handler that does something."""
    handlers = [reference() for reference in list(logging._handlerList)]
    idle = (None, logging.lastResort, logging._defaultLastResort)
    return any(
        handler not in idle
        and not isinstance(handler, logging.NullHandler)
        and not type(handler).__module__.startswith("allcores.")
        for handler in handlers
    )


def with_other_names(function: Any, **names: Any) -> Any:
    """Return a function of the standard library that finds ``names`` where it looks for its module's own."""
    module = {**function.__globals__, **names}
    twin = types.FunctionType(function.__code__, module, function.__name__, function.__defaults__, function.__closure__)
    twin.__kwdefaults__, twin.__doc__, twin.__qualname__ = (
        function.__kwdefaults__,
        function.__doc__,
        function.__qualname__,
    )
    return twin


def typed_as(standard: _F) -> Callable[[Any], _F]:
    """Let type checkers see a function as ``standard``, overloads and all; it stays as it is."""
    return lambda function: function
