"""What a child does between the zygote's fork and its process object."""

from __future__ import annotations

import atexit
import os
import pickle
import socket
import sys
import traceback
from collections.abc import Callable
from multiprocessing import resource_tracker, spawn
from typing import Any, BinaryIO, NoReturn

from allcores import _core, _standard
from allcores._zygote.client import session
from allcores._zygote.surroundings import Surroundings
from allcores._zygote.wire import LineEnded, Request, receive_go

__all__ = ["inherited_descriptor", "run"]

_inherited: list[int] = []


def inherited_descriptor(index: int) -> int:
    """Return the descriptor that an argument of this process refers to."""
    return _inherited[index]


def run(
    request: Request, line: socket.socket, way_back: socket.socket, zygote_pid: int, abandon: Callable[[], None]
) -> NoReturn:
    """Become the process that ``request`` describes, run it and exit. The held signals are still blocked."""
    exit_code = 1
    try:
        if not _core.die_with_parent(zygote_pid):
            os._exit(1)
        abandon()
        session.adopt(way_back)
        with line:
            global _inherited
            _inherited = receive_go(line)
        _take_streams(request.streams)
        resource_tracker._resource_tracker._fd = request.tracker  # type: ignore[attr-defined]
        with open(request.payload, "rb") as payload:
            itself = _read(payload)
        exit_code = itself._bootstrap(request.parent)
    except LineEnded:
        # The caller went away before it let this child run: nobody wants it.
        os._exit(1)
    except BaseException:
        traceback.print_exc()
        _standard.flush_streams()
    finally:
        # As in a spawned child, whose interpreter ends; up to 3.12 _bootstrap has run multiprocessing's own already.
        atexit._run_exitfuncs()
        os._exit(exit_code)


def _read(payload: BinaryIO) -> Any:
    """Take over the caller's surroundings and return the process object."""
    surroundings: Surroundings = pickle.load(payload)
    with _standard.importing_main():
        surroundings.apply_signals()
        surroundings.apply_environment()
        surroundings.apply_installation()
        _seed_apart()
        spawn.prepare(pickle.load(payload))
        return _load_process(payload)


def _load_process(payload: BinaryIO) -> Any:
    try:
        return pickle.load(payload)
    except AttributeError as error:
        if "__main__" in str(error) or "__mp_main__" in str(error):
            error.add_note(
                "The main module was imported in this process without running what stands under\n"
                "    if __name__ == '__main__':\n"
                "so a name that is defined there does not exist here. Either move its definition above that line (or "
                "into a module of its own),\nor choose the start method 'fork', which copies the running program."
            )
        raise


def _take_streams(streams: dict[int, int]) -> None:
    """Make the caller's standard streams this process's, as inheriting them would."""
    for number in (0, 1, 2):
        if number in streams:
            os.dup2(streams[number], number)
            os.close(streams[number])
        else:
            os.close(number)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            continue  # the main module put something else there
        if number not in streams:
            setattr(sys, name, None)
            setattr(sys, f"__{name}__", None)
        elif stream is None:
            errors = "backslashreplace" if number == 2 else None
            stream = open(number, "w", closefd=False, errors=errors)  # noqa: SIM115  # open as long as the process
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        elif number == 1:
            stream.reconfigure(line_buffering=os.isatty(number))


def _seed_apart() -> None:
    """Give numpy's global generator a seed of its own in each child; ``random`` does so by itself at a fork."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
