"""Telling children of ``spawn`` and ``forkserver`` that install() is in force, before they import the main module."""

from __future__ import annotations

import os
from multiprocessing import spawn as _std

import allcores

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

__all__ = ["get_preparation_data"]

_standard_preparation_data = _std.get_preparation_data

_INSTALL = """\
import sys
if {folder!r} not in sys.path:
    sys.path.append({folder!r})
from allcores._install import install
install({default!r})
"""


class _Announcement:
    """Unpickling one installs allcores.

    It is code, not a name: the child has not got its parent's sys.path yet, and could not find allcores where only that
    leads to it.
    """

    def __reduce__(self) -> Any:
        from allcores._install.switch import installed_default

        folder = os.path.dirname(os.path.dirname(os.path.abspath(allcores.__file__)))
        return exec, (_INSTALL.format(folder=folder, default=installed_default()), {})


def get_preparation_data(name: str) -> dict[str, Any]:
    """Return what a child needs to get ready, with the announcement before all that may need allcores."""
    return {"allcores": _Announcement(), **_standard_preparation_data(name)}
