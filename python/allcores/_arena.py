"""This process's place in the session's arena, and how others come to it (``src/arena/README.md``).

Every process of a session has the arena: by fork; from its zygote, which has it from the start; under ``spawn`` and
``forkserver`` by a `Ticket`, which the child unpickles before anything else.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import threading
from multiprocessing import process, reduction
from multiprocessing.context import get_spawning_popen

from allcores import _core, _life

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterator
    from typing import Any


__all__ = [
    "announced",
    "create",
    "descriptor",
    "ended",
    "join",
    "received",
    "reduce",
    "write",
]

LIMIT_VARIABLE = "ALLCORES_ARENA_BYTES"
_TOO_BIG = (
    "the program's shared memory is one file without a name, as long as it may ever become, and RLIMIT_FSIZE "
    "(ulimit -f) allows none of that length; it takes memory only as it is used, so lift that limit for this program"
)


def create() -> None:
    """Make this process the first of a session. Called when something is first put into the arena."""
    try:
        _core.create_arena(process.current_process().name, _limit())
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise OSError(error.errno, _TOO_BIG) from None
        raise
    _be_there()


def join(number: int) -> None:
    """Join the session whose arena the descriptor is; it is the arena's from now on."""
    os.set_inheritable(number, False)
    _core.join_arena(process.current_process().name, number)
    _be_there()


def descriptor() -> int:
    """Return the arena's descriptor, of an arena made now if there was none. OSError when it was closed."""
    number = _core.arena_descriptor()
    if number is None:
        create()
        number = _core.arena_descriptor()
    assert number is not None
    return number


def write(data: memoryview, position: int) -> None:
    """Write bytes to a place in the arena's file that is reserved. OSError (by ``ulimit -f``), perhaps half done.

    For much data that is twice as fast as writing where the file is mapped: no page is cleared, or faulted in, before.
    """
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor(), data[done:], position + done)


def ended(pid: int, exit_code: int) -> None:
    """Say that a process of the session has ended: what it held is given back."""
    _core.process_ended(pid, -exit_code if exit_code < 0 else exit_code << 8)


def _limit() -> int | None:
    text = os.environ.get(LIMIT_VARIABLE)
    if not text:
        return None
    try:
        limit = int(text)
    except ValueError:
        limit = -1
    if limit <= 0:
        raise ValueError(f"{LIMIT_VARIABLE} must be a number of bytes above 0, not {text!r}")
    return limit


def _be_there() -> None:
    os.register_at_fork(before=_core.before_fork, after_in_parent=_core.after_fork_in_parent)
    atexit.register(_core.end_cleanly)


class Ticket:
    """Unpickling it in a process that is being spawned takes that into the session.

    It is code, not a name: the child has not got its parent's sys.path yet, and could not find allcores where only that
    leads to it.
    """

    def __reduce__(self) -> Any:
        import allcores

        popen: Any = get_spawning_popen()
        if getattr(popen, "_has_ticket", False):
            return int, ()  # what prepares the child has taken it into the session by now
        popen._has_ticket = True
        folder = os.path.dirname(os.path.dirname(os.path.abspath(allcores.__file__)))
        there = {"number": reduction.DupFd(descriptor()), "life": reduction.DupFd(_life.read_end())}
        return exec, (_JOIN.format(folder=folder), there)


_JOIN = """\
import sys
from multiprocessing import process
if {folder!r} not in sys.path:
    sys.path.append({folder!r})
from allcores import _arena, _core, _life
if _core.arena_descriptor() is None:
    _arena.join(number.detach())
    _life.bind_by(life.detach())
"""

_ticket = Ticket()
_starting = threading.local()


@contextlib.contextmanager
def announced() -> Iterator[None]:
    """While this lasts, a process that this thread spawns gets a ticket with what prepares it."""
    _announce()
    _starting.ours = True
    try:
        yield
    finally:
        _starting.ours = False


def _announce() -> None:
    """Put the ticket where the standard library prepares children, before it imports their main module."""
    from multiprocessing import spawn

    if _announce in _announcing:
        return
    _announcing.append(_announce)
    standard = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        data: dict[str, Any] = standard(name)
        return {"arena": _ticket, **data} if getattr(_starting, "ours", False) else data

    spawn.get_preparation_data = get_preparation_data


_announcing: list[Callable[[], None]] = []


def reduce(rebuild: Callable[..., Any], arguments: tuple[Any, ...], itself: Any, address: _core._Address) -> Any:
    """Pickle an object of the arena as ``rebuild(*arguments)``, and keep ``itself`` until somebody else has it.

    While a process is started that is as long as the Process object lives. Otherwise nobody tells when a pickle has
    been read for the last time, so this process keeps what it sends, until it says itself that it was `received`. But
    where the pickle is kept with what it is to, in a message or a shared object, nobody else need do so.
    """
    kept = _core.gathering()
    if kept is not None:
        kept[address] = itself
        return rebuild, arguments
    popen: Any = get_spawning_popen()
    if popen is None:
        _, times = _sent.get(address, (None, 0))
        _sent[address] = itself, times + 1
        return rebuild, arguments
    vars(popen).setdefault("_kept", []).append(itself)
    if popen.method == "warm":
        return rebuild, arguments
    return _rebuild_with, (_ticket, rebuild, arguments)


def _rebuild_with(_ticket: None, rebuild: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Rebuild in a process that the ticket has taken into the session."""
    return rebuild(*arguments)


def received(address: _core._Address) -> None:
    """Keep an object no more for those that it was sent to."""
    _sent.pop(address, None)


def received_once(address: _core._Address) -> None:
    """The same for one of the times that it was sent."""
    itself, times = _sent.pop(address, (None, 0))
    if times > 1:
        _sent[address] = itself, times - 1


_sent: dict[_core._Address, tuple[Any, int]] = {}
"""What was sent, and how many times, as far as nobody has said that it was received."""
