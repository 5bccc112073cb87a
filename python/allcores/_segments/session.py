"""Which process is the root of this session, here and in all children, and what it does at its end.

It stands in multiprocessing's own dict of what children inherit, which travels by every start method. A process that
finds nothing there, or somebody who has ended, is a root itself: a program's first process, a daemon that has outlived
its program, a child of a package that knows nothing of allcores.
"""

from __future__ import annotations

import os

from allcores import _standard
from allcores._segments import folder, owner

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from multiprocessing import util
    from multiprocessing.process import BaseProcess
    from typing import Any

__all__ = ["hand_on", "is_ours", "root"]

_KEY = "allcores_root"
_LAST = -200
"""The priority among multiprocessing's finalizers: after the program's own, when its children have been joined."""

_end: util.Finalize | None = None
_end_of_pid = 0
"""Which this process may be a fork of."""


def root() -> int | None:
    """Return the owner of what this process makes; None where owners cannot be told."""
    config = _standard.inherited_by_children()
    found: int | None = config.get(_KEY)
    own = owner.this_process()
    if own is None or (found is not None and found != own and owner.is_alive(found)):
        return found
    config[_KEY] = own
    _clean_at_end(own)
    return own


def is_ours(root: int) -> bool:
    """Whether this is the root that this process knows, dead or alive."""
    return _standard.inherited_by_children().get(_KEY) == root


def hand_on(config: dict[str, Any], child: BaseProcess) -> None:
    """Before a child is started: let it know, also when it was made before this process knew.

    ``config``: what this process's children inherit, which who starts one has looked up already.
    """
    found = config[_KEY] if _KEY in config else root()
    if found is not None:
        _standard.inherited_by_children(child).setdefault(_KEY, found)


def _clean_at_end(own: int) -> None:
    global _end, _end_of_pid
    from multiprocessing import util  # not before it is used: see _standard

    if _end is None or _end_of_pid != os.getpid() or not _end.still_active():
        _end, _end_of_pid = util.Finalize(None, _clean, args=(own,), exitpriority=_LAST), os.getpid()


def _clean(own: int) -> None:
    if any(True for _ in folder.files_with_marks()):
        from allcores._segments import leftovers  # only now: few programs need it

        leftovers.clean_and_warn(own)
