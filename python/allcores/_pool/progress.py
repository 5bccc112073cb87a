"""A bar that shows how far something is: tqdm's, or rich's."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

__all__ = ["RichBar", "TqdmBar", "find_bar"]


def find_bar() -> Callable[[int | None, str], Any]:
    """Return what makes a bar of a total and a name. ImportError when neither tqdm nor rich is installed."""
    for kind, module in ((TqdmBar, "tqdm.auto"), (RichBar, "rich.progress")):
        try:
            importlib.import_module(module)
        except ImportError:
            continue
        return kind
    raise ImportError(
        "progress=True shows a bar by tqdm or rich, and neither is installed: 'pip install tqdm', or leave progress out"
    )


class TqdmBar:
    """A bar of tqdm's; in a notebook, one of its widgets."""

    def __init__(self, total: int | None, name: str) -> None:
        """Show it."""
        self._bar = importlib.import_module("tqdm.auto").tqdm(total=total, desc=name)
        self._failures = 0

    def advance(self, done: int, failures: int) -> None:
        """Show that so many more are done, of which so many failed."""
        if failures:
            self._failures += failures
            self._bar.set_postfix(failed=self._failures, refresh=False)
        self._bar.update(done)

    def close(self) -> None:
        """Leave it as it is."""
        self._bar.close()


class RichBar:
    """A bar of rich's."""

    def __init__(self, total: int | None, name: str) -> None:
        """Show it."""
        rich = importlib.import_module("rich.progress")
        self._progress = rich.Progress(
            *rich.Progress.get_default_columns(),
            rich.MofNCompleteColumn(),
            rich.TextColumn("{task.fields[failed]}"),
        )
        self._task = self._progress.add_task(name.replace("[", r"\["), total=total, failed="")
        self._failures = 0
        self._progress.start()

    def advance(self, done: int, failures: int) -> None:
        """Show that so many more are done, of which so many failed."""
        self._failures += failures
        self._progress.update(self._task, advance=done, failed=f"failed={self._failures}" if self._failures else "")

    def close(self) -> None:
        """Leave it as it is."""
        self._progress.stop()
