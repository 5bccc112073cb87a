"""The executor in the mode of the standard library, for CPython's tests that want it: see ../README.md."""

from typing import Any

import allcores

__all__ = ["ProcessPoolExecutor"]


class ProcessPoolExecutor(allcores.ProcessPoolExecutor):
    """One that the death of a worker breaks for ever."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, on_worker_death="break", **keywords)
