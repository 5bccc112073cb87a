"""How much memory a zygote and its spares have for themselves, as the kernel counts it."""

from __future__ import annotations

__all__ = ["TRACKER_NAME", "children_of", "parent_of", "private_bytes"]

TRACKER_NAME = "allcores-track"
"""What `ps` shows for the resource tracker, which is forked from the zygote, too."""


def parent_of(pid: int) -> int | None:
    """Return the parent of a process: of a warm child, its zygote. None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


def children_of(zygote: int) -> list[int]:
    """Return the spares of a zygote and all that they became."""
    try:
        with open(f"/proc/{zygote}/task/{zygote}/children") as file:
            children = [int(word) for word in file.read().split()]
    except OSError:
        return []
    return [child for child in children if _name(child) != TRACKER_NAME]


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def private_bytes(pid: int) -> int | None:
    """Return the memory that would be free if a process ended; None when it is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            fields = dict(line.split(":", 1) for line in file.readlines()[1:])
    except OSError:
        return None
    return 1024 * sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))
