"""The standard classes and functions that install() replaced, under a name by which they can be pickled.

Pickle stores a class as module and name, and refuses one that is not to be found there. A standard class that ours
took the place of is therefore said to live here.
"""

from __future__ import annotations

import sys

from allcores._install.table import REPLACED

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

__all__ = ["bring_back", "set_aside"]

_set_aside: dict[str, Any] = {}


def set_aside(name: str, original: Any) -> None:
    """Keep an original that is about to be replaced."""
    _set_aside[name] = original
    original.__module__ = __name__


def bring_back(module: str, name: str) -> Any:
    """Return an original to its own name."""
    original = _set_aside.pop(name)
    original.__module__ = module
    return original


def __getattr__(name: str) -> Any:
    """Find an original, also in a process where nothing was replaced."""
    for module, (_, names) in REPLACED.items():
        if name in names:
            __import__(module)
            return _set_aside.get(name) or getattr(sys.modules[module], name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
