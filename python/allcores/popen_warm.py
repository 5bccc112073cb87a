"""How ``warm`` starts a process: the session's zygote has it ready (``allcores/_zygote/README.md``)."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import suppress
from multiprocessing import popen_fork, util
from multiprocessing.context import set_spawning_popen

from allcores import _standard
from allcores._pickle.process_object import encode, refuse_while_importing_main
from allcores._zygote.client import read_exit, session
from allcores._zygote.inherited import InheritedDescriptor

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from multiprocessing.process import BaseProcess

__all__ = ["Popen"]


class Popen(popen_fork.Popen):
    """A child of the zygote. Its sentinel is a pidfd, through which signals go too: no pid is ever mistaken."""

    method = "warm"
    DupFd = InheritedDescriptor

    def __init__(self, process_obj: BaseProcess) -> None:
        """Start ``process_obj``."""
        self._descriptors: list[int] = []
        self._closing = threading.Lock()
        self.account: list[str | bytes] = []
        """Evidence of a shortage of memory and what it left behind, see `ExitReason`."""
        super().__init__(process_obj)

    def duplicate_for_child(self, fd: int) -> int:
        """Send a descriptor along; called by reducers while the process object is pickled."""
        self._descriptors.append(fd)
        return len(self._descriptors) - 1

    def _launch(self, process_obj: BaseProcess) -> None:
        def pickle_process() -> bytes:
            set_spawning_popen(self)  # type: ignore[arg-type]  # ours is no subclass of theirs
            try:
                return encode(process_obj, forget=self._descriptors.clear)
            finally:
                set_spawning_popen(None)

        refuse_while_importing_main()
        child = session.start(pickle_process, self._descriptors)
        self.pid = child.pid
        self.sentinel = child.pidfd
        self._line = child.line
        self.finalizer = util.Finalize(self, _standard.close_fds, (child.pidfd, child.line))

    def wait(self, timeout: float | None = None) -> int | None:
        """Return the exit code, or None if it still runs after ``timeout`` seconds."""
        if self.returncode is None:
            began = time.monotonic()
            if timeout != 0 and not _readable(self.sentinel, timeout):
                return None
            left = None if timeout is None else max(timeout - (time.monotonic() - began), 0)
            with self._closing:  # another thread may join it, and close what it was known by
                if self.returncode is None and _readable(self.sentinel, 0):
                    # The zygote tells how in a moment, unless it is stopped.
                    if not _readable(self._line, None if left is None else max(left, _GRACE_SECONDS)):
                        return None
                    self.returncode, *self.account = read_exit(self._line)
        return self.returncode

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """Return the exit code, or None while it runs; without WNOHANG wait for it."""
        return self.wait(0 if flag == os.WNOHANG else None)

    def close(self) -> None:
        """Give up what it is known by."""
        with self._closing:
            super().close()

    def detach(self) -> None:
        """Let it outlive the session."""
        session.detach(self.pid, self._line)

    def _send_signal(self, sig: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.sentinel, sig)


_GRACE_SECONDS = 1.0
"""How long even a wait that should not wait stays for the exit code of a process that has ended."""

_LONGEST_POLL_SECONDS = 2**31 // 1000 - 1
"""poll(2) counts milliseconds in an int."""


def _readable(descriptor: int, timeout_seconds: float | None) -> bool:
    """Wait until a descriptor can be read, as `multiprocessing.connection.wait` does, without importing it."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if timeout_seconds is None:
        return bool(poll.poll())
    deadline = time.monotonic() + max(timeout_seconds, 0)
    while True:
        left = max(deadline - time.monotonic(), 0)
        if poll.poll(min(left, _LONGEST_POLL_SECONDS) * 1000):
            return True
        if left <= _LONGEST_POLL_SECONDS:
            return False
