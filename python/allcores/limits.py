"""Resource limits of one process, as keyword arguments of `Process`."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterable

__all__ = ["Limits"]


class Limits:
    """What a process may use; None leaves it as its parent has it. Checked where the process object is made."""

    __slots__ = ("cpu_affinity", "max_memory_bytes", "niceness", "threads")

    def __init__(
        self,
        max_memory_bytes: int | None = None,
        cpu_affinity: Iterable[int] | None = None,
        niceness: int | None = None,
        threads: int | None = None,
    ) -> None:
        """ValueError for what no process can have."""
        self.max_memory_bytes = max_memory_bytes
        self.cpu_affinity = None if cpu_affinity is None else frozenset(cpu_affinity)
        self.niceness = niceness
        self.threads = threads
        if max_memory_bytes is not None and max_memory_bytes <= 0:
            raise ValueError(f"max_memory_bytes is a number of bytes above 0, not {max_memory_bytes}")
        if self.cpu_affinity is not None:
            usable = os.sched_getaffinity(0)
            if not self.cpu_affinity or not self.cpu_affinity <= usable:
                raise ValueError(
                    f"cpu_affinity names CPUs that this process may use, which are {sorted(usable)}, "
                    f"not {sorted(self.cpu_affinity)}"
                )
        if niceness is not None and not -20 <= niceness <= 19:
            raise ValueError(f"niceness is between -20 (first) and 19 (last), not {niceness}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads is a number of threads above 0, not {threads}")

    def apply(self) -> None:
        """Have them in this process. PermissionError for a niceness or memory that takes a privilege."""
        if self.niceness is not None:
            os.setpriority(os.PRIO_PROCESS, 0, self.niceness)
        if self.cpu_affinity is not None:
            os.sched_setaffinity(0, self.cpu_affinity)
        if self.threads is not None:
            from allcores._zygote.threads import set_threads

            set_threads(self.threads)
        if self.max_memory_bytes is not None:
            import resource

            # Private memory that is mapped, whoever maps it; an allocation beyond it fails, which is a MemoryError.
            resource.setrlimit(resource.RLIMIT_DATA, (self.max_memory_bytes, self.max_memory_bytes))
