"""Resource limits of one process, as keyword arguments of `Process`."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterable

    from allcores.exit_reason import ExitReason

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
        """ValueError or TypeError for what no process can have."""
        for name, number in (("max_memory_bytes", max_memory_bytes), ("niceness", niceness), ("threads", threads)):
            if number is not None and type(number) is not int:
                raise TypeError(f"{name} is a whole number, not {number!r}")
        if cpu_affinity is not None and not hasattr(cpu_affinity, "__iter__"):
            raise TypeError(f"cpu_affinity is a collection of the numbers of CPUs, not {cpu_affinity!r}")
        self.max_memory_bytes = max_memory_bytes
        self.cpu_affinity = None if cpu_affinity is None else frozenset(cpu_affinity)
        self.niceness = niceness
        self.threads = threads
        if max_memory_bytes is not None and not 0 < max_memory_bytes < 2**63:
            raise ValueError(f"max_memory_bytes is a number of bytes from 1 to 2**63 - 1, not {max_memory_bytes}")
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

    def explain(self, reason: ExitReason) -> None:
        """Say in the account of a process's end that it was short of memory since it was limited."""
        short = reason.exception is not None and reason.exception.type_name == "MemoryError"
        if short and self.max_memory_bytes is not None:
            reason.out_of_memory = f"it was limited to max_memory_bytes={self.max_memory_bytes}"

    def apply(self) -> None:
        """Have them in this process. OSError, which names the limit, where the kernel refuses."""
        for name in ("niceness", "cpu_affinity", "threads", "max_memory_bytes"):
            try:
                self._apply(name)
            except (OSError, ValueError) as error:  # ValueError: what the resource module makes of EPERM
                number = getattr(error, "errno", errno.EPERM)
                what = f"{name}={getattr(self, name)!r} is refused: {os.strerror(number)}"
                hint = ". Less than the parent's niceness takes CAP_SYS_NICE" if name == "niceness" else ""
                raise OSError(number, what + hint) from None

    def _apply(self, name: str) -> None:
        if getattr(self, name) is None:
            return
        if name == "niceness":
            assert self.niceness is not None
            os.setpriority(os.PRIO_PROCESS, 0, self.niceness)
        elif name == "cpu_affinity":
            assert self.cpu_affinity is not None
            os.sched_setaffinity(0, self.cpu_affinity)
        elif name == "threads":
            assert self.threads is not None
            from allcores._zygote.threads import set_threads

            set_threads(self.threads)
        else:
            assert self.max_memory_bytes is not None
            import resource

            # Private memory that is mapped, whoever maps it; an allocation beyond it fails, which is a MemoryError.
            resource.setrlimit(resource.RLIMIT_DATA, (self.max_memory_bytes, self.max_memory_bytes))
