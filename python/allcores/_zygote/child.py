"""What a child does between its request and its process object, and at its end."""

from __future__ import annotations

import atexit
import os
import pickle
import sys
import types
from multiprocessing import resource_tracker

from allcores import _core, _standard, _unguarded
from allcores._zygote.account import note_exception
from allcores._zygote.client import session
from allcores._zygote.inherited import inherited
from allcores._zygote.preload import import_main

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from types import TracebackType
    from typing import Any, NoReturn, TextIO

    from allcores._zygote.preload import MainModule
    from allcores._zygote.surroundings import Surroundings

__all__ = [
    "have_streams",
    "load",
    "note_what_ends",
    "prepare_standard_input",
    "run",
    "set_standard_input",
    "set_standard_input_aside",
]

_standard_input: TextIO | None = None
_silenced: TextIO | None = None
"""Standard error while nothing is to be shown there."""


def prepare_standard_input() -> None:
    """In the zygote, open what will be sys.stdin of all children. `_bootstrap` would do so: a tenth of a start."""
    global _standard_input
    _standard_input = open(os.open(os.devnull, os.O_RDONLY), encoding="utf-8", closefd=False)  # noqa: SIM115


def set_standard_input() -> None:
    """Put it in place; called from within `_bootstrap`, which found no sys.stdin to replace."""
    global _standard_input
    if _standard_input is not None:
        sys.stdin, _standard_input = _standard_input, None


def set_standard_input_aside() -> None:
    """Take it away again, after a rehearsal that has put it in place."""
    global _standard_input
    if _standard_input is None:
        _standard_input, sys.stdin = sys.stdin, None


def run(
    work: _core.Work,
    spares: list[int],
    open_files: tuple[int, int],
    surroundings: Surroundings | None,
    main_module: MainModule,
) -> NoReturn:
    """Become the process that ``work`` describes, run it and exit. The held signals are still blocked.

    ``spares`` are the descriptors that only a spare has; ``open_files`` the limit of open files.
    """
    exit_code = 1
    try:
        are_open, is_terminal = work.take_place(spares, open_files)
        have_streams(are_open, is_terminal=is_terminal)
        inherited[:] = work.descriptors
        session.adopt(work.way)
        resource_tracker._resource_tracker._fd = work.tracker  # type: ignore[attr-defined]
        if main_module.handlers or main_module.timers:
            main_module.have_signals()
        in_force = surroundings or main_module.in_force
        in_force.apply_signals()
        if surroundings is not None:
            surroundings.apply()
        # What the zygote has imported is here already.
        itself = load(work.process, None if surroundings is None and main_module.version else in_force.main)
        if surroundings is not None:
            surroundings.apply_late()
        note_what_ends(itself)
        sys.stdin = None
        exit_code = itself._bootstrap(work.parent)
        if _silenced is not None:
            sys.stderr = _silenced
    except BaseException as error:
        if _unguarded.has_ended(error) and _unguarded.POOL_WORKER.encode() in work.process:  # its name, for instance
            exit_code = _unguarded.POOL_WORKER_EXIT_CODE
        else:
            _explain_failure(error)
    finally:
        # As in a spawned child, whose interpreter ends; up to 3.12 _bootstrap has run multiprocessing's own already.
        atexit._run_exitfuncs()
        _end(exit_code)


def _end(exit_code: int) -> NoReturn:
    if not isinstance(os._exit, types.BuiltinFunctionType):
        os._exit(exit_code)  # put in its place to be called, for instance by coverage
    _core.end_child(exit_code & 0xFF)  # as the kernel keeps it; a program may exit with any number


def note_what_ends(itself: Any) -> None:
    """Have `_bootstrap` of this process object keep the exception that ends it, if one does, before it shows that."""
    variables = vars(itself)
    of_its_own = {"run": variables["run"]} if "run" in variables else {}

    def run() -> None:
        del variables["run"]  # the object may be pickled
        variables.update(of_its_own)
        try:
            itself.run()
        except SystemExit:
            raise
        except BaseException as error:
            if error.__traceback__ is not None:
                error.__traceback__ = error.__traceback__.tb_next  # without this frame
            _note_uncaught(error)
            raise

    variables["run"] = run


def _note_uncaught(error: BaseException) -> None:
    """Keep an exception that ends the process.

    Ctrl-C goes to all processes of a program; its first one shows where it was interrupted, and the others do not. An
    excepthook of the program's own shows other exceptions.
    """
    note_exception(error)
    if isinstance(error, KeyboardInterrupt):
        _silence()
    elif sys.excepthook is not sys.__excepthook__:
        try:
            sys.excepthook(type(error), error, error.__traceback__)
        except Exception:
            return  # the hook has failed: the exception is shown as without it
        _silence()


def _silence() -> None:
    """Show nothing more, until the end of `_bootstrap`, which shows the exception that ended the process."""
    global _silenced
    _standard.flush_streams()
    _silenced = sys.stderr
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def load(pickled: bytes, main: tuple[str, str] | None) -> Any:
    """Return the process object, for which the main module is imported if the zygote has not done so."""
    if main is not None:
        import_main(main)
    try:
        return _standard.as_while_importing_main(pickle.loads, pickled)
    except AttributeError as error:
        if "__main__" in str(error) or "__mp_main__" in str(error):
            error.add_note(
                "The main module was imported in this process without running what stands under\n"
                "    if __name__ == '__main__':\n"
                "so a name that is defined there does not exist here. Either move its definition above that line (or "
                "into a module of its own),\nor choose the start method 'fork', which copies the running program."
            )
        raise


def _explain_failure(error: BaseException) -> None:
    """Show why the process could not begin, without the frames that led to the program's own."""
    import traceback

    note_exception(error)
    shown: TracebackType | None = error.__traceback__
    while shown is not None and _is_ours(shown.tb_frame.f_code.co_filename):
        shown = shown.tb_next
    try:
        traceback.print_exception(type(error), error, shown)
        _standard.flush_streams()
    except (OSError, ValueError, AttributeError):
        pass  # standard error is closed


_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _is_ours(filename: str) -> bool:
    return (
        filename.startswith((_OWN_FOLDER, "<frozen "))
        or filename == _standard.spawn_file()
        or os.path.basename(filename) == "runpy.py"
    )


def have_streams(are_open: list[bool], *, is_terminal: bool) -> None:
    """Have the caller's standard streams, which this process has now, as inheriting them would."""
    out: Any = sys.stdout
    are_usual = out is sys.__stdout__ and sys.stderr is sys.__stderr__ and None not in (out, sys.stderr)
    if are_usual and are_open[1] and are_open[2] and out.line_buffering == is_terminal:
        return  # nothing to do, as nearly always
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            continue  # the main module put something else there
        if not are_open[number]:
            setattr(sys, name, None)
            setattr(sys, f"__{name}__", None)
        elif stream is None:
            errors = "backslashreplace" if number == 2 else None
            stream = open(number, "w", closefd=False, errors=errors)  # noqa: SIM115  # open as long as the process
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        elif number == 1 and stream.line_buffering != is_terminal:
            stream.reconfigure(line_buffering=is_terminal)
