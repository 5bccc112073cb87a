"""How ``warm`` starts a process: the session's zygote forks it (``allcores/_zygote/README.md``)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from multiprocessing import connection, popen_fork, util
from multiprocessing.context import set_spawning_popen
from multiprocessing.process import BaseProcess

from allcores import _standard
from allcores._pickle import Payload
from allcores._zygote.client import read_exit_code, session

__all__ = ["Popen"]


class _InheritedDescriptor:
    """Stands for a descriptor of the caller in the pickled arguments."""

    def __init__(self, index: int) -> None:
        self.index = index

    def detach(self) -> int:
        """Return the descriptor, in the child."""
        from allcores._zygote.child import inherited_descriptor

        return inherited_descriptor(self.index)


class Popen(popen_fork.Popen):
    """A child of the zygote. Its sentinel is a pidfd, through which signals go too: no pid is ever mistaken."""

    method = "warm"
    DupFd = _InheritedDescriptor

    def __init__(self, process_obj: BaseProcess) -> None:
        """Start ``process_obj``."""
        self._descriptors: list[int] = []
        super().__init__(process_obj)

    def duplicate_for_child(self, fd: int) -> int:
        """Send a descriptor along; called by reducers while the process object is pickled."""
        self._descriptors.append(fd)
        return len(self._descriptors) - 1

    def _launch(self, process_obj: BaseProcess) -> None:
        set_spawning_popen(self)  # type: ignore[arg-type]  # ours is no subclass of theirs
        try:
            payload = Payload.encode(process_obj, forget=self._descriptors.clear)
        finally:
            set_spawning_popen(None)
        memfd = payload.to_memfd()
        try:
            child = session.start(memfd, self._descriptors)
        finally:
            os.close(memfd)
        self.pid = child.pid
        self.sentinel = child.pidfd
        self._line = child.line
        self.finalizer = util.Finalize(self, _standard.close_fds, (child.pidfd, child.line))

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """Return the exit code, or None while it runs; without WNOHANG wait for it."""
        if self.returncode is None:
            timeout = 0 if flag == os.WNOHANG else None
            if not connection.wait([self.sentinel], timeout):
                return None
            self.returncode = read_exit_code(self._line)
        return self.returncode

    def _send_signal(self, sig: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.sentinel, sig)
