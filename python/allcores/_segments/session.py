"""Which process is the root of this session, here and in all children, and what it does at its end.

It stands in multiprocessing's own dict of what children inherit, which travels by every start method. A process that
finds nothing there, or somebody who has ended, is a root itself: a program's first process, a daemon that has outlived
its program, a child of a package that knows nothing of allcores.
"""

from __future__ import annotations

from allcores import _standard
from allcores._segments import owner

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from multiprocessing.process import BaseProcess

__all__ = ["hand_on", "root"]

_KEY = "allcores_root"


def root() -> int | None:
    """Return the owner of what this process makes; None where owners cannot be told."""
    config = _standard.inherited_by_children()
    found: int | None = config.get(_KEY)
    own = owner.this_process()
    if own is None or (found is not None and found != own and owner.is_alive(found)):
        return found
    from allcores._segments import leftovers

    config[_KEY] = own
    leftovers.clean_at_end(own)
    return own


def hand_on(child: BaseProcess) -> None:
    """Before a child is started: let it know, also when it was made before this process knew."""
    config = _standard.inherited_by_children()
    found = config[_KEY] if _KEY in config else root()
    if found is not None:
        _standard.inherited_by_children(child).setdefault(_KEY, found)
