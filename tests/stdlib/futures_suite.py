"""How CPython's tests of ``concurrent.futures`` are run against allcores: with which Python, and in which mode."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from pythons import supported_pythons

BREAKING = (
    "test_killed_child",  # a submit after the death of a worker has to fail
    "test_error_at_task_unpickle",  # what unpickling raises in a worker has to break the pool, which it does not ...
    "test_exit_at_task_unpickle",
    "test_error_during_result_unpickle_in_result_handler",  # ... nor in the caller, unless that is asked for
    "test_exit_during_result_unpickle_in_result_handler",
)
"""Tests that demand a pool which one death breaks for ever. They are run with ``on_worker_death="break"``."""

MODES = {"heal": "allcores.ProcessPoolExecutor", "break": "breaking_executor.ProcessPoolExecutor"}
"""Mode -> the executor that is tested."""

FOLDER_OF_BREAKING = Path(__file__).resolve().parent / "breaking"
_NEEDED = ("allcores", "cloudpickle", "threadpoolctl")


def selection(mode: str, select: str) -> str:
    """Return which tests of those selected are run in a mode, as a regular expression on Class.test."""
    names = "|".join(BREAKING)
    return rf"^(?=.*(?:{select})){'(?!' if mode == 'heal' else '(?='}.*\.(?:{names})$)"


def python_with_tests() -> str | None:
    """Return a Python that has these tests: this one if it can be, else the newest; None if there is none."""
    newest_first = [sys.executable, *reversed(supported_pythons())]
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('test.test_concurrent_futures') is None)"
    return next((python for python in newest_first if subprocess.run([python, "-I", "-c", code]).returncode == 0), None)


def lay_packages(folder: Path) -> None:
    """Put allcores and what it needs into a folder, for a Python that has not got them installed."""
    for name in _NEEDED:
        found = importlib.util.find_spec(name)
        assert found is not None and found.origin is not None
        origin = Path(found.origin)
        place = origin.parent if found.submodule_search_locations else origin
        (folder / place.name).symlink_to(place)
