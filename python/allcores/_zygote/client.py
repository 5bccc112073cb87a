"""The caller's side: asks the session's zygote for a child, and launches or replaces the zygote when it must."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from allcores._zygote.launch import launch
from allcores._zygote.wire import Kind, LineEnded, Reply, Request, as_socket, send_go, socket_pair
from allcores.errors import StartError

__all__ = ["Child", "Session", "read_exit_code", "session"]

_ATTEMPTS = 4
"""How often a start is tried on a new zygote; each failure means that one died or retired under it."""


@dataclass(frozen=True)
class Child:
    """A child that was started, as its caller holds it."""

    pid: int
    pidfd: int
    line: int


class _Refused(Exception):
    """This zygote gave no child; another may. ``without_main``: it must not import the main module."""

    def __init__(self, *, without_main: bool = False) -> None:
        self.without_main = without_main


class Session:
    """This process's way to the zygote: one socket, shared by all processes of the session."""

    def __init__(self) -> None:
        self._requests: socket.socket | None = None
        self._own_pidfd: int | None = None
        self._lock = threading.Lock()

    def start(self, payload: int, descriptors: list[int]) -> Child:
        """Start the process that the memfd ``payload`` describes; its arguments refer to ``descriptors`` by index.

        Either the child runs once or an exception is raised and nothing runs. StartError when no zygote can be had,
        or the OSError of the kernel's fork.
        """
        without_main = False
        for _ in range(_ATTEMPTS):
            requests = self._connect(without_main=without_main)
            try:
                return self._ask(requests, payload, descriptors)
            except _Refused as refusal:
                without_main = without_main or refusal.without_main
                self._forget(requests)
        raise StartError(
            f"no process was started: the zygote, which warm children are forked from, died {_ATTEMPTS} times in a row "
            "at this request. It may be short of memory; otherwise another start method, such as 'spawn', avoids it."
        )

    def adopt(self, requests: socket.socket) -> None:
        """Use this way to a zygote (in its children, and where it was forked ahead)."""
        self._requests = requests

    def own_pidfd(self) -> int:
        """Return a pidfd of this process, the same at each call."""
        if self._own_pidfd is None:
            self._own_pidfd = os.pidfd_open(os.getpid())
        return self._own_pidfd

    def after_fork(self) -> None:
        """Forget what was this process's parent's own; the way to the zygote is the session's."""
        self._lock = threading.Lock()
        if self._own_pidfd is not None:
            os.close(self._own_pidfd)
            self._own_pidfd = None

    def _connect(self, *, without_main: bool) -> socket.socket:
        with self._lock:
            if self._requests is None:
                self._requests = launch(self.own_pidfd(), without_main=without_main)
            return self._requests

    def _forget(self, requests: socket.socket) -> None:
        """Drop a way that leads nowhere; another thread may have replaced it already."""
        with self._lock:
            if self._requests is requests:
                self._requests = None
                requests.close()

    def _ask(self, requests: socket.socket, payload: int, descriptors: list[int]) -> Child:
        line, far_end = socket_pair()
        with contextlib.ExitStack() as undo:
            undo.callback(line.close)
            with far_end:
                request = Request(
                    line=far_end.fileno(),
                    payload=payload,
                    parent=self.own_pidfd(),
                    tracker=_tracker(),
                    streams={number: number for number in (0, 1, 2) if _is_open(number)},
                )
                try:
                    request.send(requests)
                except OSError as error:
                    # EBADF: another thread found this zygote dead first, and closed the way to it.
                    if isinstance(error, ConnectionError) or error.errno == errno.EBADF:
                        raise _Refused from error
                    raise
            child = self._await_child(line)
            undo.callback(os.close, child.pidfd)
            try:
                send_go(line, descriptors)
            except LineEnded as error:
                # The child is gone. If the zygote told its exit status, it was killed as any process may be; if not,
                # the zygote is gone too, and since the child had no GO it has run nothing: asking again is safe.
                if not has_exited(line.fileno()):
                    raise _Refused from error
            undo.pop_all()
            line.detach()
            return child

    def _await_child(self, line: socket.socket) -> Child:
        try:
            reply = Reply.receive(line)
        except LineEnded as error:
            raise _Refused from error
        if reply.kind is Kind.STARTED:
            return Child(reply.value, reply.pidfd, line.fileno())
        if reply.kind is Kind.FAILED:
            raise OSError(reply.value, os.strerror(reply.value))
        raise _Refused(without_main=reply.kind is Kind.RETIRED_THREADS)


@contextlib.contextmanager
def _borrowed_socket(descriptor: int) -> Iterator[socket.socket]:
    """Use a descriptor that belongs to somebody else as a socket."""
    borrowed = as_socket(descriptor)
    try:
        yield borrowed
    finally:
        borrowed.detach()


def read_exit_code(line: int) -> int:
    """Wait for a child's exit code. It stays readable, for other threads and a second call.

    A zygote that died took its children with it: that is -9, as the kernel did it.
    """
    with _borrowed_socket(line) as borrowed:
        try:
            return Reply.receive(borrowed, peek=True).value
        except LineEnded:
            return -signal.SIGKILL


def has_exited(line: int) -> bool:
    """Whether the zygote has told, on a line at its end, how the child exited."""
    with _borrowed_socket(line) as borrowed:
        try:
            return Reply.receive(borrowed, peek=True).kind is Kind.EXITED
        except LineEnded:
            return False


def _tracker() -> int:
    """Return the way to the resource tracker, which all processes of a program share; start it if need be."""
    from multiprocessing import resource_tracker  # not before it is needed: see _standard on exit functions

    descriptor = resource_tracker.getfd()
    assert descriptor is not None
    return descriptor


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


session = Session()
os.register_at_fork(after_in_child=session.after_fork)
