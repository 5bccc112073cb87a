"""A queue of the standard library's, met where ours was expected.

A class that is derived from `multiprocessing.queues.Queue` before `install` has the standard one's pipe; `_SafeQueue`
of ``concurrent.futures`` may be one. In a child, which has installed before it imports anything, the class of the same
name is derived from ours, and is given the state of a standard queue.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

__all__ = ["PipeChannel"]


class PipeChannel:
    """A standard queue with the methods of a channel, as far as it can do what they do."""

    def __init__(self, kind: type, state: Any) -> None:
        """Make a queue of a standard class from its state."""
        self._kind = kind
        self._queue: Any = object.__new__(kind)
        self._queue.__setstate__(state)
        self.put: Any = self._queue.put
        self.get: Any = self._queue.get

    def __reduce__(self) -> Any:
        return PipeChannel, (self._kind, self._queue.__getstate__())

    def _length(self) -> int:
        length: int = self._queue.qsize()
        return length

    def _is_full(self) -> bool:
        is_full: bool = self._queue.full()
        return is_full

    def _poll(self, timeout: float | None) -> bool:
        there_is: bool = self._queue._poll(timeout)
        return there_is

    def _is_shut(self) -> bool:
        return False

    def _join(self) -> None:
        self._queue.join()

    def _task_done(self) -> bool:
        self._queue.task_done()
        return True

    def _waiters(self) -> int:
        return 0

    def _title(self, kind: str) -> str:
        return f"<{kind}"
