"""Bringing a zygote to life: a fresh interpreter, or a fork of a program that has not run any user code yet."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator

from allcores import _standard
from allcores._zygote.surroundings import HELD_SIGNALS
from allcores._zygote.wire import socket_pair

__all__ = ["fork_ahead", "launch", "reap"]


def launch(root_pidfd: int, *, without_main: bool) -> socket.socket:
    """Start a zygote as a fresh interpreter and return the end to send requests to."""
    from multiprocessing import spawn  # not before it is needed: see _standard on exit functions

    server, client = socket_pair()
    with server, contextlib.ExitStack() as undo:
        undo.callback(client.close)
        arguments = (server.fileno(), client.fileno(), root_pidfd, without_main)
        program = (
            f"import sys; sys.path[:] = {_import_path()!r}; from allcores._zygote.server import main; main{arguments!r}"
        )
        executable = spawn.get_executable()
        command = [executable, *_standard.interpreter_flags(), "-c", program]
        reap()
        with _signals_held():
            _remember(_standard.spawn_program(executable, command, arguments[:3]))
        undo.pop_all()
        return client


def fork_ahead(root_pidfd: int) -> socket.socket:
    """Fork a zygote off this process, which must be single-threaded and must not have run user code yet."""
    server, client = socket_pair()
    # A copy: the one handed in belongs to the session, which closes it in every fork.
    root = os.dup(root_pidfd)
    with _signals_held():
        pid = os.fork()
        if pid == 0:
            try:
                from allcores._zygote.server import main

                main(server.detach(), client.detach(), root, False)
            finally:
                os._exit(1)
    _remember(pid)
    os.close(root)
    server.close()
    return client


_launched: list[int] = []
"""Pidfds of the zygotes that are children of this process, so that none stays a zombie."""


def reap() -> None:
    """Take note of the zygotes that ended; the program may have done so itself, by os.wait() or by ignoring SIGCHLD."""
    for pidfd in _launched[:]:
        try:
            ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG) is not None
        except ChildProcessError:
            ended = True
        if ended:
            _launched.remove(pidfd)
            os.close(pidfd)


def _remember(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        _launched.append(os.pidfd_open(pid))


def _forget_all() -> None:
    """In a fork: they are its siblings."""
    while _launched:
        os.close(_launched.pop())


os.register_at_fork(after_in_child=_forget_all)


def _import_path() -> list[str]:
    """Where this program finds allcores, wherever the zygote's own interpreter would look."""
    return [_standard.original_directory() or "" if entry == "" else entry for entry in sys.path]


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let a process that is started here begin with the zygote's signals blocked, as it stays."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
