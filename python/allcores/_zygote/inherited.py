"""Descriptors of the caller in the arguments of a child."""

from __future__ import annotations

__all__ = ["InheritedDescriptor", "inherited"]

inherited: list[int] = []
"""In a child: those that came with the work."""


class InheritedDescriptor:
    """Stands for a descriptor in the pickled arguments."""

    def __init__(self, index: int) -> None:
        """Keep its index among those that come with the work."""
        self.index = index

    def detach(self) -> int:
        """Return the descriptor, in the child."""
        return inherited[self.index]
