"""``allcores.pool``: Pool over processes, ThreadPool over threads.

The standard library's pool, started through our contexts: without ``context=`` it uses the start method in force
*here*, where the standard class would ask its own package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from multiprocessing import pool as _std
from typing import Any

from allcores import context as _context, queues
from allcores._cpus import usable_cpus
from allcores._hiring import Hiring

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:
    from multiprocessing.pool import (  # by __getattr__
        CLOSE as CLOSE,
        INIT as INIT,
        RUN as RUN,
        TERMINATE as TERMINATE,
        ApplyResult as ApplyResult,
        AsyncResult as AsyncResult,
        IMapIterator as IMapIterator,
        IMapUnorderedIterator as IMapUnorderedIterator,
        MapResult as MapResult,
    )

__all__ = ["Pool", "ThreadPool"]

# Not by its name, under which install() puts ours in the standard module.
_PipeQueue: Any = queues.SimpleQueue.__bases__[1]


class Pool(_std.Pool):
    """A pool of worker processes; see ``multiprocessing.pool.Pool`` for its methods."""

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
    ) -> None:
        """Start ``processes`` workers, each running ``initializer(*initargs)`` first.

        Without a number there is one for each CPU that this process may use (`usable_cpus`).
        """
        context = context or _context._default_context.get_context()
        if processes is None:
            processes = usable_cpus()
        super().__init__(processes, initializer, initargs, maxtasksperchild, context)

    def _setup_queues(self) -> None:
        """Let tasks travel as a process's arguments do: lambdas and what a notebook defines go by value."""
        # Pipes, whose messages are the pool's own affair.
        context = self._ctx  # type: ignore[attr-defined]  # not in the type stubs
        self._inqueue, self._outqueue = _PipeQueue(ctx=context), _PipeQueue(ctx=context)
        self._quick_put = self._inqueue._writer.send
        self._quick_get = self._outqueue._reader.recv
        if context.get_start_method() != "fork":
            hiring = Hiring(self)
            self._quick_put = hiring.put
            if getattr(self.Process, "__self__", None) is not self:  # a method of a subclass, which would keep the pool
                self.Process = hiring.worker  # type: ignore[assignment, method-assign]


class ThreadPool(_std.ThreadPool, Pool):
    """The same interface over threads."""


def __getattr__(name: str) -> Any:
    """Everything else, private names included, is the standard module's."""
    return getattr(_std, name)
