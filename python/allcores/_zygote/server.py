"""The zygote's loop. It calls; what is to be done is decided in ``preload``, and what a child does in ``child``.

It must stay single-threaded: it forks, and its children are bound to the life of the thread that forked them.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
from dataclasses import dataclass
from typing import NoReturn

from allcores import _core
from allcores._zygote import child
from allcores._zygote.preload import MainModule, Suitability
from allcores._zygote.wire import Kind, Reply, Request, as_socket

__all__ = ["Zygote", "main"]

_RETIREMENTS = {Suitability.STALE: Kind.RETIRED_STALE, Suitability.THREADED: Kind.RETIRED_THREADS}


def main(requests: int, way_back: int, root: int, without_main: bool) -> NoReturn:
    """Be a zygote until the process behind the pidfd ``root`` ends. Called with the held signals blocked."""
    try:
        for descriptor in (requests, way_back, root):
            os.set_inheritable(descriptor, False)
        _core.set_process_name("allcores-zygote")
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, perhaps, in the program that launched this
        _leave_the_terminal()
        zygote = Zygote(as_socket(requests), as_socket(way_back), root, MainModule(wanted=not without_main))
        zygote.serve()
    finally:
        # Never the interpreter's own end: atexit functions of the main module belong to the children.
        os._exit(1)


def _leave_the_terminal() -> None:
    """Hold nobody's output open; children get their caller's streams with each request."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    if null > 2:
        os.close(null)


@dataclass(frozen=True)
class _Charge:
    """A child to report on."""

    pid: int
    line: socket.socket


class Zygote:
    """Forks on request, reports exits, ends with the root."""

    def __init__(self, requests: socket.socket, way_back: socket.socket, root: int, main_module: MainModule) -> None:
        self._requests = requests
        self._way_back = way_back
        self._root = root
        self._main_module = main_module
        self._pid = os.getpid()
        self._charges: dict[int, _Charge] = {}
        self._retired = False
        self._events = select.epoll()
        self._events.register(requests.fileno(), select.EPOLLIN)
        self._events.register(root, select.EPOLLIN)

    def serve(self) -> NoReturn:
        """Answer what comes, for ever."""
        while True:
            for descriptor, _ in self._events.poll():
                if descriptor == self._root:
                    self._end_session()
                elif descriptor == self._requests.fileno():
                    self._answer()
                elif descriptor in self._charges:
                    self._report(descriptor)

    def _end_session(self) -> NoReturn:
        """Nothing outlives the root."""
        for pidfd in self._charges:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os._exit(0)

    def _answer(self) -> None:
        request = Request.receive(self._requests)
        if request is None:
            return
        line = as_socket(request.line)
        try:
            suitability = self._main_module.prepare(request)
            if suitability is Suitability.GOOD:
                self._fork(request, line)
            else:
                Reply(_RETIREMENTS[suitability]).send(line)
                line.close()
                self._retired = True
        except OSError as error:
            # Short of processes, descriptors or memory: that fails this start, not those to come.
            Reply(Kind.FAILED, error.errno or errno.EIO).send(line)
            line.close()
        finally:
            request.close()
        self._leave_if_retired()

    def _fork(self, request: Request, line: socket.socket) -> None:
        pid = os.fork()
        if pid == 0:
            child.run(request, line, self._way_back, self._pid, self._abandon)
        pidfd = -1
        try:
            pidfd = os.pidfd_open(pid)
            self._events.register(pidfd, select.EPOLLIN)
            Reply(Kind.STARTED, pid, pidfd).send(line)
        except OSError:
            # A child that nobody watches must not run; whatever its caller heard, it has no GO yet or dies by this.
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            if pidfd >= 0:
                os.close(pidfd)  # which takes it out of the epoll set, too
            raise
        self._charges[pidfd] = _Charge(pid, line)

    def _abandon(self) -> None:
        """In a child: close everything that is the zygote's alone."""
        self._events.close()
        self._requests.close()
        os.close(self._root)
        for pidfd, charge in self._charges.items():
            os.close(pidfd)
            charge.line.close()
        self._charges.clear()

    def _report(self, pidfd: int) -> None:
        """Reap a child that ended, and tell its caller."""
        charge = self._charges.pop(pidfd)
        _, status = os.waitpid(charge.pid, 0)
        self._events.unregister(pidfd)
        os.close(pidfd)
        Reply(Kind.EXITED, os.waitstatus_to_exitcode(status)).send(charge.line)
        charge.line.close()
        self._leave_if_retired()

    def _leave_if_retired(self) -> None:
        if self._retired and not self._charges:
            os._exit(0)
