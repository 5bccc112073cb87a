"""What `allcores.deadlocks` returns: who waits for whom, for which lock, and where."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Deadlock", "Party", "Wait"]


@dataclass(frozen=True)
class Party:
    """A thread of a process."""

    process_name: str
    """As `Process.name`."""
    pid: int
    thread_id: int
    """As `threading.get_native_id`; the pid, for a process's main thread. 0 of a process that has ended."""
    has_ended: bool = False
    """Whether the process has ended; its pid is 0 then if nobody knows it any more."""

    def __str__(self) -> str:
        """Say who it is."""
        if self.has_ended:
            who = f"{self.process_name or 'a process'} (pid {self.pid})" if self.pid else "a process"
            return f"{who} that has ended"
        thread = "" if self.thread_id == self.pid else f", thread {self.thread_id}"
        return f"{self.process_name or 'a process'} (pid {self.pid}{thread})"


@dataclass(frozen=True)
class Wait:
    """A thread that waits for a lock which another one, or itself, has, or a process that has ended."""

    waiter: Party
    holder: Party
    lock_kind: str
    """``Lock`` or ``RLock``."""
    lock_name: str | None
    """The name it was given."""
    lock_handle: int
    """The lock's ``handle``, which tells it from others of the program."""
    waited_seconds: float
    has_timeout: bool
    """Whether the waiter gives up after some time."""
    waiting_at: str | None
    """Where in the program it waits: ``file:line in function``; None when that is not recorded."""
    acquired_at: str | None
    """Where the holder has acquired the lock, likewise."""

    def __str__(self) -> str:
        """Say it in two lines: who waits, and who has the lock."""
        name = f"at {self.lock_handle:#x}" if self.lock_name is None else repr(self.lock_name)
        limit = ", for a limited time" if self.has_timeout else ""
        return (
            f"{self.waiter} waits for {self.lock_kind} {name}{_at(self.waiting_at)}, "
            f"since {self.waited_seconds:.1f} s{limit}\n"
            f"  which {'it' if self.holder == self.waiter else self.holder} has acquired{_at(self.acquired_at)}"
        )


@dataclass(frozen=True)
class Deadlock:
    """Threads that wait for locks, none of which will be released as things are.

    Either each waits for a lock that the next one has, the last one for a lock of the first one. Or all wait for the
    same lock, which a process had when it ended without releasing it (`is_abandoned`).

    None of them goes on, unless one that waits for a limited time gives up, one is killed, or somebody else releases a
    Lock that is not his, as programs do which use a Lock as a signal.
    """

    waits: tuple[Wait, ...]

    @property
    def is_abandoned(self) -> bool:
        """Whether it is about a lock that a process which has ended has left locked."""
        return any(wait.holder.has_ended for wait in self.waits)

    def __str__(self) -> str:
        """Say who waits for what, who has it, and what can be done."""
        number = len(self.waits)
        if self.is_abandoned:
            head = "lock that was left locked"
            advice = "release it before its process ends, best by 'with lock:'; any thread may release a Lock even now"
        elif number == 1:
            head, advice = "deadlock of a thread with itself", "an RLock can be acquired again by its owner"
        else:
            head, advice = f"deadlock of {number} threads", "acquire these locks in the same order everywhere"
        lines = [head + ":", *(f"  {line}" for wait in self.waits for line in str(wait).splitlines()), advice]
        if any(wait.waiting_at is None or wait.acquired_at is None for wait in self.waits):
            lines.append("(run the program with ALLCORES_TRACE_LOCKS=1 to see where locks were acquired)")
        return "\n".join(lines)


def _at(site: str | None) -> str:
    return "" if site is None else f" at {site}"
