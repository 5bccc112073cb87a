"""Why a process ended: what its exit code stands for, and what is known beyond it."""

from __future__ import annotations

import signal

__all__ = ["ExitReason", "UncaughtException"]


class UncaughtException:
    """An exception that ended a process: the name of its type, its text, and its traceback as it was printed."""

    __slots__ = ("message", "traceback", "type_name")

    def __init__(self, type_name: str, message: str, traceback: str) -> None:
        """Keep the parts."""
        self.type_name, self.message, self.traceback = type_name, message, traceback

    def __repr__(self) -> str:
        """Show type and text."""
        return f"<UncaughtException {self.type_name}: {self.message}>"


class ExitReason:
    """The account of a process's end, from `Process.exit_reason`.

    >>> import allcores
    >>> process = allcores.Process(target=int, args=("seven",))  # doctest: +SKIP
    >>> process.start(); process.join(); str(process.exit_reason)  # doctest: +SKIP
    "exit code 1: ValueError: invalid literal for int() with base 10: 'seven'"

    Beyond code and signal, what is known depends on the start method: ``warm`` knows all of it.
    """

    __slots__ = ("code", "exception", "out_of_memory", "signal_name", "stack")

    code: int
    """As `Process.exitcode`: negative for a signal."""
    signal_name: str | None
    """'SIGKILL', say, when a signal ended it."""
    exception: UncaughtException | None
    """The exception that nobody caught."""
    stack: str | None
    """The Python stack of all threads at a crash (SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL), as faulthandler writes it.

    None when the program directs faulthandler elsewhere.
    """
    out_of_memory: str | None
    """Evidence that the kernel killed for want of memory at that time, or the limit that the process ran into."""

    def __init__(self, code: int, out_of_memory: str = "", account: bytes = b"") -> None:
        """Put together what the exit code says, what the kernel says, and what was noted in the child's account."""
        self.code = code
        self.signal_name = None
        if code < 0:
            try:
                self.signal_name = signal.Signals(-code).name
            except ValueError:
                self.signal_name = f"signal {-code}"
        self.out_of_memory = out_of_memory or None
        self.exception = self.stack = None
        if account:
            from allcores._zygote.account import uncaught_exception

            exception = uncaught_exception(account)
            if exception is not None:
                self.exception = UncaughtException(*exception)
            else:
                self.stack = account.decode(errors="replace")

    def __str__(self) -> str:
        """Say it in one sentence."""
        text = f"exit code {self.code}" if self.signal_name is None else f"killed by {self.signal_name}"
        if self.exception is not None:
            text += f": {self.exception.type_name}" + (self.exception.message and f": {self.exception.message}")
        if self.out_of_memory is not None:
            text += f"; {self.out_of_memory}"
        if self.stack is not None:
            text += "; its Python stack is in exit_reason.stack"
        return text

    def __repr__(self) -> str:
        """Show the sentence."""
        return f"<ExitReason {self}>"
