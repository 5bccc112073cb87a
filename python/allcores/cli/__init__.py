"""The command line: ``allcores run PROGRAM`` and its kin, ``allcores map`` and ``allcores clean``.

Parsed by hand rather than with argparse (but for map): everything after the program's name is the program's, and a
program should start as fast as under ``python``.
"""

from __future__ import annotations

import _signal
import os
import sys

__all__ = ["complain", "main", "show_usage", "usage_error"]

_USAGE = """\
usage: allcores run [--start-method METHOD] [--report] PROGRAM [ARGUMENTS ...]
       allcores run [--start-method METHOD] [--report] -m MODULE [ARGUMENTS ...]
       allcores run [--start-method METHOD] [--report] -c CODE [ARGUMENTS ...]
       allcores map [OPTIONS] MODULE:FUNCTION [ITEM ... | --lines FILE | -]
       allcores clean
       allcores --version | --help

Run a Python program, unchanged, with allcores in the place of multiprocessing. PROGRAM is a file, a
directory or archive with a __main__.py, or - for standard input.

  --start-method METHOD  the default start method: warm, fork, spawn or forkserver (default: this
                         Python's own, with warm in the place of spawn and forkserver)
  --report               when the program ends, say on standard error how many processes it started
                         itself, how, how they ended, and what memory being ready for them takes

Options of the interpreter come before: python -u -m allcores run PROGRAM

allcores map calls a function for each item, in worker processes, and writes a line of JSON for each; it
can go on where it was ended. allcores map --help has its options and examples.

allcores clean removes the shared memory that your programs on allcores have left behind when they were
killed, and which no process uses any more, and says what that was. Of other programs it removes nothing.
"""


def main(blocked_before: set[int]) -> int:
    """Run the command line in ``sys.argv``; return the exit status.

    ``blocked_before`` are the signals that were blocked when the command began, which then held Ctrl-C back.
    """
    command, *rest = sys.argv[1:] or ["--help"]
    if command == "run":
        from allcores.cli.run import run

        return run(rest, blocked_before)
    if command == "map":
        from allcores.cli.map.command import map_items

        return map_items(rest, blocked_before)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked_before)
    if command == "clean":
        from allcores.cli.clean import clean

        return clean(rest)
    if command in ("-h", "--help", "help"):
        return show_usage()
    if command == "--version":
        from allcores._core import __version__

        print(f"allcores {__version__}")
        return 0
    if command in ("-m", "-c") or os.path.exists(command):
        words = " ".join(sys.argv[1:])
        return usage_error(f"there is no command {command!r}. Did you mean: allcores run {words}")
    return usage_error(f"there is no command {command!r}; those there are: 'run', 'map' and 'clean'")


def show_usage() -> int:
    """Print how the command is used; return the exit status."""
    try:
        print(_USAGE, end="", flush=True)
    except OSError as error:
        complain(f"allcores: the usage could not be written: {error.strerror}")
        return 1
    return 0


def usage_error(message: str) -> int:
    """Say what was wrong with the command line; return the exit status for that."""
    complain(f"allcores: {message}\n\n{_USAGE.rstrip()}")
    return 2


def complain(text: str) -> None:
    """Write lines to standard error, if there is one."""
    if sys.stderr is not None:  # print() would take standard output instead
        print(text, file=sys.stderr)
