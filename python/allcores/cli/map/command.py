"""``allcores map``: a function of a module for each of many items, from the shell."""

from __future__ import annotations

import _signal
import fcntl
import os
import signal

import allcores
from allcores.cli.map import worker
from allcores.cli.map.function import checked_function, refuse
from allcores.cli.map.journal import JournalError
from allcores.cli.map.options import parser
from allcores.cli.map.run import Run
from allcores.cli.program import become_main

__all__ = ["map_items"]


def map_items(words: list[str], blocked_before: set[int]) -> int:
    """Do what ``words`` ask for; return the exit status. SIGINT and SIGTERM end the program as they end others."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # No traceback, and nothing to be put in order: lines are written whole, and workers end with this process.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked_before)
    options = parser().parse_intermixed_args(words)
    try:
        streams = _take_streams()
    except OSError as error:
        refuse(f"standard output cannot be written: {error.strerror}")
    become_main(worker.__name__)
    module, name = checked_function(options.function)
    # Once for all workers, where they are forked from a zygote.
    allcores.set_forkserver_preload([module])
    try:
        run = Run(options, (module, name), *streams)
    except (JournalError, OSError, TypeError, ValueError, ImportError) as error:
        refuse(str(error))
    return run.run()


def _take_streams() -> tuple[int, int]:
    """Return descriptors of standard input and output that are the command's alone.

    What the function prints goes to standard error; what it reads, or a program that it starts, is empty.
    """
    output = _copy(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        source = _copy(0)
    except OSError:  # there is none
        source = _copy(nowhere)
    os.dup2(nowhere, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(nowhere, 1)
    if nowhere > 2:
        os.close(nowhere)
    return source, output


def _copy(descriptor: int) -> int:
    """Return another one for the same, which is not in the place of a standard one that is closed."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
