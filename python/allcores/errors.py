"""Every exception that is allcores' own, in one tree.

Each is also what the standard library raises in the same place, so an ``except`` clause written for ``multiprocessing``
still catches it::

    AllcoresError
    ├── UnpicklableArgumentError   (PicklingError, TypeError, AttributeError)  what a child needs cannot be sent to it
    └── StartError                 (OSError)                                   no process could be started
"""

from __future__ import annotations

import pickle

__all__ = ["AllcoresError", "StartError", "UnpicklableArgumentError"]


class AllcoresError(Exception):
    """The root of the tree."""


class UnpicklableArgumentError(AllcoresError, pickle.PicklingError, TypeError, AttributeError):
    """Something that a child process needs can be pickled neither by name nor by value.

    ``path`` says where it hangs on the process object (``args[1]['log'].handle``), ``value_type`` what it is. It is
    raised by ``start()``, in the caller; no process was started. The pickler's own exception is its ``__cause__``.
    """

    def __init__(self, message: str, path: str = "", value_type: str = "") -> None:
        """Keep the place and the kind of the culprit beside the message."""
        super().__init__(message)
        self.path = path
        self.value_type = value_type

    def __reduce__(self) -> tuple[type[UnpicklableArgumentError], tuple[str, str, str]]:
        """Travel between processes with all three parts."""
        return type(self), (self.args[0], self.path, self.value_type)


class StartError(AllcoresError, OSError):
    """A process could not be started; ``errno`` is the kernel's reason where it gave one. Nothing runs."""
