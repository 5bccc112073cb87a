"""Into how many parts a sequence is cut, how long they are, and how much of it is on its way."""

from __future__ import annotations

__all__ = ["MOST_BYTES_AHEAD", "adapted", "fixed", "tasks_ahead"]

MOST_BYTES_AHEAD = 48 << 20
"""How many bytes large arguments may have that are on their way."""

_LEAST_AHEAD, _AHEAD_PER_WORKER = 64, 16
_PARTS_PER_WORKER = 4
"""The first part is as long as the standard library's are."""
_LONGEST = 512
"""But no longer than that: the part's message then is a short one, which is neither pickled nor in need of a block."""


def fixed(length: int, size: int) -> list[int]:
    """Return the lengths of parts of one size."""
    whole, rest = divmod(length, size)
    return [size] * whole + ([rest] if rest else [])


def adapted(length: int, workers: int) -> list[int]:
    """Return lengths that become less and less, down to 1.

    Each is a share of what is left (guided self-scheduling: Polychronopoulos and Kuck, 1987), so that workers end at
    the same time however long tasks take: workers pull the parts, so who had a slow one takes fewer of the later,
    shorter ones.
    """
    lengths = []
    shares = _PARTS_PER_WORKER * workers
    while length:
        size = min(-(-length // shares), _LONGEST)
        lengths.append(size)
        length -= size
    return lengths


def tasks_ahead(workers: int) -> int:
    """Return how many tasks of a map are sent before their results are taken, unless the user says."""
    return max(_LEAST_AHEAD, _AHEAD_PER_WORKER * workers)
