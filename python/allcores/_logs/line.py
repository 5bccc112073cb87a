"""Whether children log to their parent, and what such a child is given."""

from __future__ import annotations

import os
import sys
from multiprocessing import reduction

from allcores import _core, _standard

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

    from allcores._logs.receiver import Receiver

__all__ = ["Line", "drain", "line_for_child", "log_to_parent"]

_enabled = False
_receiver: Receiver | None = None
_upstream: _core.Held | None = None
"""In a child: where its own records go, and those of its children."""


def log_to_parent(enabled: bool = True) -> None:
    """Have log records of children arrive in this process's handlers; or no longer, for children still to be started.

    It concerns records for which the child has no handler, of children started by ``warm``, ``spawn`` and
    ``forkserver`` while this process has handlers; they begin with the logging levels of their parent. Those of one
    child arrive in order; all of them have been handled when `Process.join` returns. A child waits for a parent that is
    busy, ten seconds at most, and then shows the record on its own standard error. Under ``allcores run`` this is on
    from the beginning.

    >>> import allcores, logging
    >>> allcores.log_to_parent()
    >>> logging.basicConfig(level=logging.INFO, format="%(processName)s: %(message)s")  # doctest: +SKIP
    >>> process = allcores.Process(target=logging.info, args=("hello",))
    >>> process.start(); process.join()  # doctest: +SKIP
    Process-1: hello
    """
    global _enabled
    _enabled = enabled


class Line:
    """Pickles with a process object; unpickling it in the child has the child log to its parent."""

    def __init__(self, socket: int | None, levels: tuple[Any, ...] | None) -> None:
        """Lead to whoever receives from ``socket``: nobody for None. ``levels`` is as in `_standard.logging_levels`."""
        self._socket, self._levels = socket, levels

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the socket along, which can be done while a process is being started."""
        return _log_there, (None if self._socket is None else reduction.DupFd(self._socket), self._levels)


def _log_there(socket: Any, levels: tuple[Any, ...] | None) -> None:
    """In a child: have what its parent sent."""
    global _upstream
    log_to_parent()
    if socket is not None:
        _upstream = _core.Held(socket.detach())
        from allcores._logs.forwarder import forward_to

        forward_to(_upstream)
    if levels is not None:
        _standard.set_logging_levels(levels)


def line_for_child() -> Line | None:
    """Return what a child is to be given, by another start method than ``fork``; None if it logs to itself."""
    if not _enabled:
        return None
    logging = sys.modules.get("logging")
    if logging is None:
        return Line(_upstream_number(), None)
    socket = _own_receiver().socket_for_children if _standard.has_log_handlers(logging) else _upstream_number()
    return Line(socket, _standard.logging_levels(logging))


def _upstream_number() -> int | None:
    return _upstream.number if _upstream is not None and _upstream.is_ours() else None


def drain(timeout: float | None) -> None:
    """Handle the records that have come from a child that has ended, as far as that is done in ``timeout`` seconds."""
    if _receiver is not None:
        _receiver.drain(timeout)


def _own_receiver() -> Receiver:
    global _receiver
    if _receiver is None or not _receiver.is_usable():
        from allcores._logs.receiver import Receiver

        if _receiver is None:
            os.register_at_fork(after_in_child=_after_fork)
        _receiver = Receiver()
    return _receiver


def _after_fork() -> None:
    """A process that was forked is not who its parent's children log to."""
    global _receiver
    if _receiver is not None:
        _receiver.abandon()
        _receiver = None
