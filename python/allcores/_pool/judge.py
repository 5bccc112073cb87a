"""What follows from the end of a worker: plain functions on plain data."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from allcores._pool.marks import INITIALIZER_EXIT_CODE
from allcores._unguarded import POOL_WORKER_EXIT_CODE

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Collection

__all__ = [
    "Death",
    "Stillbirths",
    "is_orderly",
    "task_lost",
    "threads_per_worker",
    "workers_needed",
    "workers_wanted",
]


@dataclass(frozen=True)
class Death:
    """What is known of a worker that has ended."""

    exit_code: int
    noted: tuple[int, int] | None
    """As `Claim._noted` says it: numbers of task and message; 0 and 0: no task; None: it has never looked for one."""
    was_taken: bool
    """Whether somebody has taken that message; looked at after the worker's death."""
    noted_by_others: Collection[int]
    """The tasks that other workers had noted after that."""


def task_lost(death: Death) -> int | None:
    """Return the number of the task that ended with its worker, if there is one that was not replied to.

    A task that is noted was perhaps not taken: the worker died before. Then it is there for others, and if it was
    taken later, then by one who has noted it too, or has replied by now. So say a task lost only to who has all
    replies that came before; a task that is replied to is not lost.
    """
    if death.noted is None or death.noted[0] == 0 or not death.was_taken:
        return None
    return None if death.noted[0] in death.noted_by_others else death.noted[0]


def workers_wanted(size: int, alive: int, waiting: int, is_shut: bool) -> int:
    """Return how many workers to start, in a pool of that size."""
    missing = max(0, size - alive)
    return min(missing, waiting) if is_shut else missing


def threads_per_worker(cpus: int, workers: int) -> int | None:
    """Return how many threads BLAS and OpenMP should have in a worker at most; None for as many as they like."""
    return max(1, cpus // workers) if workers > 1 else None


def is_orderly(death: Death) -> bool:
    """Whether a worker has ended by itself, with nothing more to do."""
    return death.exit_code == 0 and death.noted == (0, 0)


def workers_needed(size: int, most: int, pending: int) -> int:
    """Return how many workers an executor should have that has so many, and may have so many more, as tasks come."""
    return max(size, min(most, pending))


class Stillbirths:
    """Counts workers that ended before they looked for a task, one after the other, and tells when to give up."""

    def __init__(self, size: int) -> None:
        """Of a pool of that size."""
        self._patience = 2 * size + 4
        self._of_itself = self._killed = 0

    def note(self, death: Death) -> bool:
        """Note an end; True when no further worker should be started."""
        if death.exit_code in (INITIALIZER_EXIT_CODE, POOL_WORKER_EXIT_CODE):
            return True  # every further one would end like this
        if death.noted is not None:
            self._of_itself = self._killed = 0
        elif death.exit_code in (-signal.SIGKILL, -signal.SIGTERM):
            self._killed += 1  # by somebody who may stop doing so
        else:
            self._of_itself += 1
        return self._of_itself >= self._patience or self._killed >= 10 * self._patience
