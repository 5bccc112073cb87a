"""Where the kernel's named shared memory lies as files, and which names are names of files there."""

from __future__ import annotations

__all__ = ["FOLDER", "file_name"]

FOLDER = "/dev/shm"


def file_name(name: str) -> str | None:
    """Return the file's name of a segment's; None where ``shm_open`` knows better, such as why it is no name at all."""
    file = name.lstrip("/")
    return None if not file or "/" in file or "\0" in file or file in (".", "..") else file
