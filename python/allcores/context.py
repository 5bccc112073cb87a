"""Contexts: one object per start method, with the whole interface of the package as its methods.

They derive from the standard library's contexts, so ``isinstance`` checks of third parties hold. Which start method is
in force stays where the standard library keeps it (``allcores._start_method``), because its own code reads and sets it
there in every child; the contexts here only translate it to their own kind and add ``warm``.
"""

from __future__ import annotations

import signal
import sys
from functools import partial
from multiprocessing import context as _std, process as _process, reduction
from multiprocessing.context import (
    AuthenticationError,
    BaseContext,
    BufferTooShort,
    ProcessError,
    TimeoutError,
    assert_spawning,
    get_spawning_popen,
    set_spawning_popen,
)
from types import FunctionType

from allcores import _arena, _core, _life, _logs, _standard
from allcores._cpus import usable_cpus
from allcores._segments import session
from allcores._start_method import choice
from allcores._unguarded import refuse_while_importing_main
from allcores.errors import UnpicklableArgumentError

TYPE_CHECKING = __name__ == ""  # where jedi sees False, it completes nothing that is imported below
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, ClassVar, Literal, overload

    from allcores import connection, managers, pool, popen_warm, queues, synchronize
    from allcores._zygote import client
    from allcores.exit_reason import ExitReason
    from allcores.limits import Limits

__all__ = [
    "AuthenticationError",
    "BaseContext",
    "BufferTooShort",
    "DefaultContext",
    "ForkContext",
    "ForkProcess",
    "ForkServerContext",
    "ForkServerProcess",
    "Process",
    "ProcessError",
    "SpawnContext",
    "SpawnProcess",
    "TimeoutError",
    "WarmContext",
    "WarmProcess",
    "assert_spawning",
    "get_spawning_popen",
    "reduction",
    "set_spawning_popen",
]


class _OwnProcess(_process.BaseProcess):
    """What our process classes have besides the standard ones'."""

    _limits: Limits | None = None
    _log_line: _logs.Line | None = None
    """While it is being started: where it logs to; unpickling this in the child does it."""

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] = {},  # the standard signature; it is copied
        *,
        daemon: bool | None = None,
        max_memory_bytes: int | None = None,
        cpu_affinity: Iterable[int] | None = None,
        niceness: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Prepare a process that will call ``target(*args, **kwargs)``.

        Besides what `multiprocessing.Process` takes: ``max_memory_bytes`` of private memory, beyond which allocating is
        a MemoryError; ``cpu_affinity``, the numbers of the CPUs it may use; ``niceness``, from -20 (first) to 19
        (last); ``threads``, how many BLAS and OpenMP libraries may use. ValueError for what no process can have.
        """
        super().__init__(group, target, name, args, kwargs, daemon=daemon)
        if (max_memory_bytes, cpu_affinity, niceness, threads) != (None, None, None, None):
            from allcores.limits import Limits

            self._limits = Limits(max_memory_bytes, cpu_affinity, niceness, threads)

    def start(self) -> None:
        """Start it. A daemon may do so, too: its children end with the program at the latest."""
        if "_config" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__}.__init__() has not called super().__init__(): a process needs that first"
            )
        method: str | None = self._start_method  # type: ignore[attr-defined]  # not in the type stubs
        method = method or _default_context.get_context()._name
        zygote = _zygote_session() if method == "warm" else None
        woken = None if zygote is None else zygote.wake_one()
        start, config = super().start, _standard.inherited_by_children()
        try:
            if method != "fork":
                self._log_line = _logs.line_for_child()
            session.hand_on(config, self)
            _core.without_gathering(partial(_standard.as_no_daemon, start) if config.get("daemon") else start)
        except UnpicklableArgumentError as error:
            raise error.with_traceback(None)  # noqa: B904  # frames of allcores alone; its cause it has
        finally:
            self._log_line = None
            if zygote is not None:
                zygote.let_go(woken)
        popen = self._popen  # type: ignore[attr-defined]  # not in the type stubs
        if popen.method == "fork":
            _core.name_embryo(popen.pid)

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most ``timeout`` seconds. What it logged to this process is handled then."""
        super().join(timeout)
        popen = self._popen  # type: ignore[attr-defined]  # not in the type stubs
        if popen.returncode is not None:
            if (
                popen.method != "warm" or popen.returncode == -signal.SIGKILL
            ):  # else the zygote, which lives, has said so
                _arena.ended(popen.pid, popen.returncode)
            _logs.drain(timeout)

    @property
    def exit_reason(self) -> ExitReason | None:
        """Why it ended, in more words than `exitcode`; None while it has not."""
        code = self.exitcode
        if code is None:
            return None
        from allcores.exit_reason import ExitReason

        reason = ExitReason(code, *getattr(vars(self)["_popen"], "account", ()))
        if self._limits is not None:
            self._limits.explain(reason)
        return reason

    def detach(self) -> None:
        """Let a running process be: it will not be joined at exit, and outlives this program.

        Its zygote stays for it, and it still ends if that is killed. ValueError when it was not started, or not by the
        start method ``warm``.
        """
        self._check_closed()  # type: ignore[attr-defined]  # not in the type stubs
        popen = vars(self)["_popen"]
        if popen is None:
            raise ValueError("only a started process can be detached: call start() first")
        if not hasattr(popen, "detach"):
            raise ValueError(f"only processes of the start method 'warm' can be detached, not of {popen.method!r}")
        _standard.forget_child(self)
        popen.detach()

    def _bootstrap(self, *args: Any, **kwargs: Any) -> int:
        _core.name_process_in_arena(self.name)
        if self._limits is not None:
            try:
                self._limits.apply()
            except Exception as error:
                account = sys.modules.get("allcores._zygote.account")
                if account is not None:
                    account.note_exception(error)
                print(f"Process {self.name} was not run: {error.args[-1]}", file=sys.stderr, flush=True)
                return 1
        code: int = super()._bootstrap(*args, **kwargs)  # type: ignore[misc]  # not in the type stubs
        _core.end_cleanly()
        return code


def _zygote_session() -> client.Session | None:
    """Return this process's way to a zygote, if it has begun with one."""
    module = sys.modules.get("allcores._zygote.client")
    return getattr(module, "session", None)  # not yet there while another thread imports it


class ForkProcess(_OwnProcess, _std.ForkProcess):
    """A process that is a copy of its parent, and ends with the program."""

    @staticmethod
    def _Popen(process_obj: _process.BaseProcess) -> Any:
        _life.prepare()
        late = sys.modules.get("allcores._manager.late")
        if late is not None:
            late.start_all()
        return _std.ForkProcess._Popen(process_obj)

    @staticmethod
    def _after_fork() -> None:
        """In the child, called by `_bootstrap`."""
        _life.bind()
        zygote = _zygote_session()
        if zygote is not None:
            zygote.rejoin()  # unlike a process that the program forked by itself
        _std.ForkProcess._after_fork()  # type: ignore[attr-defined]  # not in the type stubs


class SpawnProcess(_OwnProcess, _std.SpawnProcess):
    """A process that is a fresh interpreter."""

    @staticmethod
    def _Popen(process_obj: _process.BaseProcess) -> Any:
        refuse_while_importing_main()
        with _arena.announced():
            return _std.SpawnProcess._Popen(process_obj)


class ForkServerProcess(_OwnProcess, _std.ForkServerProcess):
    """A process forked from the standard library's server."""

    @staticmethod
    def _Popen(process_obj: _process.BaseProcess) -> Any:
        refuse_while_importing_main()
        with _arena.announced():
            return _std.ForkServerProcess._Popen(process_obj)


class WarmProcess(_OwnProcess):
    """A process forked from the session's zygote (see ``allcores/_zygote/README.md``)."""

    _start_method = "warm"

    @staticmethod
    def _Popen(process_obj: _process.BaseProcess) -> popen_warm.Popen:
        from allcores.popen_warm import Popen

        return Popen(process_obj)

    @staticmethod
    def _after_fork() -> None:
        """Take the standard input that was made ready; of its parent's state, as under spawn, there is none."""
        child = sys.modules.get("allcores._zygote.child")
        if child is not None:
            child.set_standard_input()


class Process(_OwnProcess, _std.Process):
    """A process of the start method in force, as ``multiprocessing.Process``.

    >>> import allcores
    >>> def greet(name):
    ...     print("hello", name)
    >>> process = allcores.Process(target=greet, args=("Ada",))
    >>> process.start(); process.join()  # doctest: +SKIP
    hello Ada
    """

    @staticmethod
    def _Popen(process_obj: _process.BaseProcess) -> Any:
        return _default_context.get_context().Process._Popen(process_obj)

    @staticmethod
    def _after_fork() -> Any:
        return _default_context.get_context().Process._after_fork()


class _OwnFactories(BaseContext):
    """What our contexts make differently; the rest of the interface is BaseContext's."""

    _name: str
    Process: ClassVar[type[_OwnProcess]]

    def cpu_count(self) -> int:
        """Return how many CPUs this process may use, by its affinity and the quota of its cgroup."""
        return usable_cpus()

    def Lock(self, *, name: str | None = None, recover: bool | None = None) -> synchronize.Lock:
        """Return a lock that any process may release; for ``name`` and ``recover`` see `synchronize.Lock`."""
        from allcores.synchronize import Lock

        return Lock(ctx=self.get_context(), name=name, recover=recover)

    def RLock(self, *, name: str | None = None, recover: bool | None = None) -> synchronize.RLock:
        """Return a lock that its thread may acquire again; ``name`` and ``recover`` as for `Lock`."""
        from allcores.synchronize import RLock

        return RLock(ctx=self.get_context(), name=name, recover=recover)

    def Condition(self, lock: Any = None, *, name: str | None = None) -> synchronize.Condition:
        """Return a place to wait, without ``lock`` (default: a new RLock), until somebody notifies."""
        from allcores.synchronize import Condition

        return Condition(lock, ctx=self.get_context(), name=name)

    def Semaphore(
        self, value: int = 1, *, name: str | None = None, recover: bool | None = None
    ) -> synchronize.Semaphore:
        """Return a semaphore."""
        from allcores.synchronize import Semaphore

        return Semaphore(value, ctx=self.get_context(), name=name, recover=recover)

    def BoundedSemaphore(
        self, value: int = 1, *, name: str | None = None, recover: bool | None = None
    ) -> synchronize.BoundedSemaphore:
        """Return a semaphore that cannot be released above the value it began with."""
        from allcores.synchronize import BoundedSemaphore

        semaphore: synchronize.BoundedSemaphore = BoundedSemaphore(
            value, ctx=self.get_context(), name=name, recover=recover
        )
        return semaphore

    def Event(self, *, name: str | None = None) -> synchronize.Event:
        """Return a flag that can be waited for."""
        from allcores.synchronize import Event

        return Event(ctx=self.get_context(), name=name)

    def Barrier(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        name: str | None = None,
    ) -> synchronize.Barrier:
        """Return a place where ``parties`` meet; the last one calls ``action``."""
        from allcores.synchronize import Barrier

        return Barrier(parties, action, timeout, ctx=self.get_context(), name=name)

    def Pipe(self, duplex: bool = True) -> tuple[connection.PipeConnection, connection.PipeConnection]:
        """Return the two ends of a pipe; unless ``duplex`` the first can only receive, and the second only send."""
        from allcores.connection import Pipe

        return Pipe(duplex)

    def Queue(self, maxsize: int = 0, *, maxbytes: int = 0, name: str | None = None) -> queues.Queue[Any]:
        """Return a queue of objects, ``maxsize`` of them, and ``maxbytes`` in all, at most if these are above 0.

        Any process and thread puts and gets; what was put is there at once, and what cannot be pickled is an error of
        `put`. Besides the standard methods it has put_many, get_many, shutdown, fileno, iteration until it is shut
        down, and for asyncio aput and aget: `allcores.queues.Queue`. ``name`` is shown in `repr`.

        >>> queue = allcores.Queue()
        >>> queue.put(["a", 1]); queue.get()
        ['a', 1]
        """
        from allcores.queues import Queue

        return Queue(maxsize, maxbytes=maxbytes, ctx=self.get_context(), name=name)

    def JoinableQueue(
        self, maxsize: int = 0, *, maxbytes: int = 0, name: str | None = None
    ) -> queues.JoinableQueue[Any]:
        """Return a queue of tasks: who got one says `task_done`, and `join` waits until that was said of all.

        Else as `Queue`.

        >>> queue = allcores.JoinableQueue()
        >>> queue.put("task"); queue.get(); queue.task_done(); queue.join()
        'task'
        """
        from allcores.queues import JoinableQueue

        return JoinableQueue(maxsize, maxbytes=maxbytes, ctx=self.get_context(), name=name)

    def SimpleQueue(self, *, name: str | None = None) -> queues.SimpleQueue[Any]:
        """Return a queue of any number of objects, with few methods: put, get, empty, close.

        >>> queue = allcores.SimpleQueue()
        >>> queue.put("a"); queue.get()
        'a'
        """
        from allcores.queues import SimpleQueue

        return SimpleQueue(ctx=self.get_context(), name=name)

    @_standard.typed_as(BaseContext.RawValue)
    def RawValue(self, typecode_or_type: Any, *args: Any) -> Any:
        """Return a ctypes object in shared memory, without a lock."""
        from allcores.sharedctypes import RawValue

        return RawValue(typecode_or_type, *args)

    @_standard.typed_as(BaseContext.RawArray)
    def RawArray(self, typecode_or_type: Any, size_or_initializer: Any) -> Any:
        """Return a ctypes array in shared memory, without a lock."""
        from allcores.sharedctypes import RawArray

        return RawArray(typecode_or_type, size_or_initializer)

    @_standard.typed_as(BaseContext.Value)
    def Value(self, typecode_or_type: Any, *args: Any, lock: Any = True) -> Any:
        """Return a ctypes object in shared memory, with a lock unless that is False."""
        from allcores.sharedctypes import Value

        return Value(typecode_or_type, *args, lock=lock, ctx=self.get_context())

    @_standard.typed_as(BaseContext.Array)
    def Array(self, typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True) -> Any:
        """Return a ctypes array in shared memory, with a lock unless that is False."""
        from allcores.sharedctypes import Array

        return Array(typecode_or_type, size_or_initializer, lock=lock, ctx=self.get_context())

    def Manager(self) -> managers.SyncManager:
        """Start a manager process and return the manager; use it as a context manager to end it."""
        from allcores.managers import SyncManager

        manager = SyncManager(ctx=self.get_context())
        manager.start()
        return manager

    def Pool(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
    ) -> pool.Pool:
        """Return a pool of ``processes`` workers (default: one per usable CPU); `allcores.pool.Pool`.

        Each worker calls ``initializer(*initargs)`` first, and ends after ``maxtasksperchild`` tasks if that is given.

        >>> with allcores.Pool(2) as pool:
        ...     pool.map(abs, [-1, -2, -3])
        [1, 2, 3]
        """
        from allcores.pool import Pool

        return Pool(processes, initializer, initargs, maxtasksperchild, context=self.get_context())

    if TYPE_CHECKING:  # its overloads, in the order of BaseContext's

        @overload  # type: ignore[override]  # one more: warm
        def get_context(self, method: None = None) -> DefaultContext: ...
        @overload
        def get_context(self, method: Literal["spawn"]) -> SpawnContext: ...
        @overload
        def get_context(self, method: Literal["fork"]) -> ForkContext: ...
        @overload
        def get_context(self, method: Literal["forkserver"]) -> ForkServerContext: ...
        @overload
        def get_context(self, method: Literal["warm"]) -> WarmContext: ...
        @overload
        def get_context(self, method: str | None) -> _OwnFactories: ...
        def get_context(self, method: str | None = None) -> Any: ...

    else:

        def get_context(self, method: str | None = None) -> Any:
            """Return the context of a start method: 'warm', 'fork', 'spawn' or 'forkserver'; this one for None."""
            if method is None:
                return self
            # Libraries such as loky register contexts of their own with the standard library.
            found = _concrete_contexts.get(method) or _standard.concrete_contexts.get(method)
            if found is None:
                known = ", ".join(sorted(_concrete_contexts.keys() | _standard.concrete_contexts.keys()))
                raise ValueError(f"cannot find context for {method!r}; the start methods are: {known}")
            found._check_available()
            return found


for _name, _function in list(vars(_OwnFactories).items()):
    if isinstance(_function, FunctionType):
        _function.__qualname__ = _name  # by which errors call it: Lock() takes ..., not _OwnFactories.Lock()
for _function in vars(_OwnProcess).values():
    if isinstance(_function, FunctionType):
        _function.__qualname__ = f"Process.{_function.__name__}"
del _name, _function


class ForkContext(_OwnFactories, _std.ForkContext):
    """Children are copies of this process."""

    Process: ClassVar[type[ForkProcess]] = ForkProcess


class SpawnContext(_OwnFactories, _std.SpawnContext):
    """Children are fresh interpreters."""

    Process: ClassVar[type[SpawnProcess]] = SpawnProcess


class ForkServerContext(_OwnFactories, _std.ForkServerContext):
    """Children are forked from the standard library's server process."""

    Process: ClassVar[type[ForkServerProcess]] = ForkServerProcess


class _NameOfOurs(str):
    """The name of a start method that a child knows only once it has imported allcores.

    A child of ``spawn`` or ``forkserver`` is told the start method in force before anything else, by the standard
    library's code; unpickling this name there imports allcores, and so makes the method known.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[type[_NameOfOurs], tuple[str]]:
        return _NameOfOurs, (str(self),)


class WarmContext(_OwnFactories, BaseContext):
    """Children are forked from a zygote that has imported the program: spawn's safety near fork's price."""

    _name = _NameOfOurs("warm")
    Process: ClassVar[type[WarmProcess]] = WarmProcess


class DefaultContext(_OwnFactories, _std.DefaultContext):
    """The context behind the names of the package itself; its start method can be set once."""

    Process: ClassVar[type[Process]] = Process

    def __init__(self, context: Any) -> None:
        """Use ``context`` until somebody chooses."""
        self._default_context: Any = context

    if not TYPE_CHECKING:

        def get_context(self, method: str | None = None) -> Any:
            """Return the context of a start method: 'warm', 'fork', 'spawn', 'forkserver'; that in force for None."""
            if method is None:
                method = choice.explicit()
                if method is None:
                    choice.settle()
                    return self._default_context
            return super().get_context(method)

    def set_start_method(self, method: str | None, force: bool = False) -> None:
        """Set the start method, once per program, before anything else is used.

        RuntimeError when it was set or used before and ``force`` is false; ValueError for an unknown name.
        """
        if choice.is_settled and not force:
            raise RuntimeError("context has already been set")
        choice.choose(None if method is None and force else self.get_context(method))

    @_standard.typed_as(_std.DefaultContext.get_start_method)
    def get_start_method(self, allow_none: bool = False) -> Any:
        """Return the name of the start method in force; None if that is still open and ``allow_none`` is true."""
        if allow_none and not choice.is_settled:
            return None
        return self.get_context()._name

    def get_all_start_methods(self) -> list[str]:
        """Return the names of the supported start methods, the default first."""
        default: str = self._default_context._name
        return [default, *(name for name in _concrete_contexts if name != default)]

    def _set_default(self, method: str) -> None:
        """Change what is used while nobody has chosen (for install())."""
        self._default_context = _concrete_contexts[method]


_concrete_contexts: dict[str, Any] = {
    "warm": WarmContext(),
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}
# Every process sets its start method by name from this table when it begins to run.
_standard.concrete_contexts.setdefault("warm", _concrete_contexts["warm"])

_default_context = DefaultContext(_concrete_contexts["warm"])


def __getattr__(name: str) -> Any:
    """Everything else, private names included, is the standard module's."""
    return getattr(_std, name)
