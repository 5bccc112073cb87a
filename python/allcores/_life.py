"""Children of fork, spawn and forkserver end with their program, however it ends: the kernel sees to it.

The program's first process, the root, holds the write end of a pipe, and nobody else does: a fork closes it, an exec
too. Each child that `Process` forks, or spawns with the read end, opens that anew and asks for SIGKILL when something
happens there (`F_SETSIG`, `O_ASYNC`); nothing ever does but that the root's end closes. The signal goes to the process
whatever it does, busy in C code or stopped. `PR_SET_PDEATHSIG` would not do: it fires when the *thread* that forked
ends, which in a program with threads is not the end of the program.

A process that the program forks by itself (`os.fork`), say to become a daemon, is not bound; nor is one that closes all
descriptors.
"""

from __future__ import annotations

import fcntl
import os
import signal

from allcores import _standard

__all__ = ["bind", "bind_by", "prepare", "read_end"]

_read_end = -1
_write_end = -1


def prepare() -> None:
    """In the parent, before it forks a child: be a root, unless this process is bound to one itself."""
    global _read_end, _write_end
    if _read_end < 0 or not _is_pipe(_read_end):
        if _write_end < 0:
            os.register_at_fork(after_in_child=_after_fork)
        with _standard.stream_numbers_taken():
            _read_end, _write_end = os.pipe()


def read_end() -> int:
    """Return the read end, for a child that is spawned and binds itself by it."""
    prepare()
    return _read_end


def bind_by(number: int) -> None:
    """In a child that was spawned: end with the root, whose pipe's read end this process has got as ``number``."""
    global _read_end
    os.set_inheritable(number, False)
    _read_end = number
    bind()


def bind() -> None:
    """In a child that was just forked: end with the root."""
    try:
        own = os.open(f"/proc/self/fd/{_read_end}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # no /proc, or no descriptor left: a child that outlives its program is better than none
    fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(own, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(own, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    try:
        ended = os.read(own, 1) == b""
    except BlockingIOError:
        ended = False
    if ended:  # between the fork and now
        os.kill(os.getpid(), signal.SIGKILL)


_F_SETSIG = 10
"""As in Linux's fcntl.h; the module has it from Python 3.11 on, its stubs do not."""


def _is_pipe(descriptor: int) -> bool:
    """Whether it is still the pipe: programs close what they do not know, and numbers are used again."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:")
    except OSError:
        return False


def _after_fork() -> None:
    global _write_end
    if _write_end >= 0:
        if _is_pipe(_write_end):
            os.close(_write_end)
        _write_end = -1
