"""Descriptors of the caller in the arguments of a child."""

from __future__ import annotations

__all__ = ["InheritedDescriptor", "have_inherited"]

_inherited: list[int] = []


def have_inherited(descriptors: list[int]) -> None:
    """In the child: these came with the work."""
    global _inherited
    _inherited = descriptors


class InheritedDescriptor:
    """Stands for a descriptor in the pickled arguments."""

    def __init__(self, index: int) -> None:
        """Keep its index among those that come with the work."""
        self.index = index

    def detach(self) -> int:
        """Return the descriptor, in the child."""
        return _inherited[self.index]
