"""A program whose main module starts processes when it is imported, without the usual guard.

Its children import it, and would start processes without end; so starting one there is an error. It ends the child, and
shows where the program is to be changed. A pool's worker shows nothing: it ends with an exit code by which the pool
knows what was the matter, and fails with the same error, once, instead of starting workers for ever (`_pool/crew.py`).
"""

from __future__ import annotations

import os
import sys
from multiprocessing.process import current_process

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from types import TracebackType

__all__ = ["POOL_WORKER", "POOL_WORKER_EXIT_CODE", "has_ended", "refuse_while_importing_main", "refused"]

POOL_WORKER = "PoolWorker"
"""What stands in the names that the standard library gives to a pool's workers."""

POOL_WORKER_EXIT_CODE = 179
"""Of a pool's worker that could not import the main module for that reason."""

_TEXT = """\
a process was to be started while the main module is being imported in a child, which would start processes without end.

Guard what starts processes, so that it runs in the program itself and not where the program is imported:

    if __name__ == "__main__":
        main()

or choose the start method 'fork', which imports nothing."""

_raised: list[RuntimeError] = []


def refused() -> RuntimeError:
    """Return the error. A program may catch it, and go on without processes."""
    return RuntimeError(_TEXT)


def refuse_while_importing_main() -> None:
    """Raise that when this process is a child that is still importing the main module."""
    process = current_process()
    if getattr(process, "_inheriting", False):
        _raised.append(refused())
        if POOL_WORKER in process.name:
            _end_silently()
        raise _raised[-1]


def has_ended(error: BaseException | None) -> bool:
    """Whether an exception that nobody has caught is that error, or was raised where it was handled."""
    while error is not None:
        if error in _raised:
            return True
        error = error.__cause__ or error.__context__
    return False


def _end_silently() -> None:
    """Let a pool's worker show nothing, and tell by its exit code, if nobody catches the error."""
    shown_by = sys.excepthook

    def end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if has_ended(error):
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            os._exit(POOL_WORKER_EXIT_CODE)
        shown_by(kind, error, traceback)

    sys.excepthook = end
