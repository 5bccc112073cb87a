"""Telling children of ``spawn`` and ``forkserver`` that install() is in force, before they import the main module."""

from __future__ import annotations

from multiprocessing import spawn as _std
from typing import Any

__all__ = ["get_preparation_data"]

_standard_preparation_data = _std.get_preparation_data


class _Announcement:
    """Unpickling one installs allcores. It is part of the preparation data, which a child reads first of all."""

    def __reduce__(self) -> Any:
        from allcores._install.switch import install, installed_default

        return install, (installed_default(),)


def get_preparation_data(name: str) -> dict[str, Any]:
    """Return what a child needs to get ready, with the announcement in it."""
    data: dict[str, Any] = _standard_preparation_data(name)
    data["allcores"] = _Announcement()
    return data
