"""The end of a manager: everybody who has an object of its in shared memory learns of it at once."""

from __future__ import annotations

import contextlib
import pickle
from functools import partial

from allcores import _core
from allcores._manager.shared_dict import SharedDict
from allcores.errors import HandleError, ManagerEndedError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from multiprocessing.context import BaseContext
    from typing import Any

__all__ = ["Ending", "ended"]

_LOOKED_THROUGH = 1000
"""After so many objects that may be waited for, those that are no more are forgotten."""


class Ending:
    """What a manager tells its end with: an event that its objects look at, and which of them may be waited for."""

    def __init__(self, context: BaseContext) -> None:
        """Make one; OSError when the session can have no shared memory. ``context`` makes what objects consist of."""
        self.context = context
        self.event: Any = context.Event()
        self._waited_for = SharedDict()

    def note(self, thing: Any) -> None:
        """Have an object that has a `_wake` woken at the end, if it is there still: it is not kept for that."""
        number = self._waited_for.add("noted")
        self._waited_for[number] = _core.without_handles(partial(pickle.dumps, thing._to_wake()))
        if number % _LOOKED_THROUGH == 0:
            for number, pickled in self._noted():
                if _thing(pickled) is None:
                    self._waited_for.pop(number, None)

    def come(self) -> None:
        """Have it be over: whoever uses an object from now on, or waits for one, is told so."""
        self.event.set()
        for _, pickled in self._noted():
            thing = _thing(pickled)
            if thing is not None:
                thing._wake()

    def _noted(self) -> list[tuple[Any, bytes]]:
        return [(number, pickled) for number, pickled in self._waited_for.items() if number != "noted"]


def _thing(pickled: bytes) -> Any:
    with contextlib.suppress(HandleError):
        return pickle.loads(pickled)
    return None


def ended(typeid: str) -> ManagerEndedError:
    """Return the error for who uses an object of a manager that was shut down."""
    why = "its manager was shut down. Use it before that, inside the manager's `with` block"
    return ManagerEndedError(f"this {typeid} object is gone: {why}")
