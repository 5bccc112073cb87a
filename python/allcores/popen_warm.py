"""How ``warm`` starts a process: the session's zygote has it ready (``allcores/_zygote/README.md``)."""

from __future__ import annotations

import os
from multiprocessing import popen_fork
from multiprocessing.context import set_spawning_popen

from allcores import _standard
from allcores._pickle.process_object import encode
from allcores._unguarded import refuse_while_importing_main
from allcores._zygote.client import session
from allcores._zygote.inherited import InheritedDescriptor

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from multiprocessing.process import BaseProcess

    from allcores import _core
    from allcores._pickle.main_module import MainLook

__all__ = ["Popen"]


class Popen(popen_fork.Popen):
    """A child of the zygote. Its sentinel is a pidfd, through which signals go too: no pid is ever mistaken."""

    method = "warm"
    DupFd = InheritedDescriptor

    def __init__(self, process_obj: BaseProcess) -> None:
        """Start ``process_obj``."""
        self._descriptors: list[int] = []
        self._child: _core.Child | None = None
        self.account: list[str | bytes] = []
        """Evidence of a shortage of memory and what it left behind, see `ExitReason`."""
        super().__init__(process_obj)

    def duplicate_for_child(self, fd: int) -> int:
        """Send a descriptor along; called by reducers while the process object is pickled."""
        self._descriptors.append(fd)
        return len(self._descriptors) - 1

    def _launch(self, process_obj: BaseProcess) -> None:
        def pickle_process(main: MainLook) -> bytes:
            set_spawning_popen(self)  # type: ignore[arg-type]  # ours is no subclass of theirs
            try:
                return encode(process_obj, main, forget=self._descriptors.clear)
            finally:
                set_spawning_popen(None)

        refuse_while_importing_main()
        stowaways = _standard.stowaways(process_obj)
        if stowaways:
            vars(process_obj)["_stowaways"] = stowaways
        child = session.start(pickle_process, self._descriptors)
        self._child, self.pid, self.sentinel = child, child.pid, child.sentinel  # its descriptors go when it goes

    def wait(self, timeout: float | None = None) -> int | None:
        """Return the exit code, or None if it still runs after ``timeout`` seconds."""
        child = self._child  # another thread may close this object meanwhile
        if self.returncode is None and child is not None:
            end = child.wait(timeout)
            if end is not None:
                self.returncode, *self.account = end
        return self.returncode

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """Return the exit code, or None while it runs; without WNOHANG wait for it."""
        return self.wait(0 if flag == os.WNOHANG else None)

    def close(self) -> None:
        """Give up what it is known by."""
        self._child = None

    def detach(self) -> None:
        """Let it outlive the session."""
        if self._child is not None:
            session.detach(self._child)

    def _send_signal(self, sig: int) -> None:
        child = self._child
        if self.returncode is None and child is not None:
            child.send_signal(sig)
