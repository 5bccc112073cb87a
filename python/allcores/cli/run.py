"""``allcores run``: installs allcores, then runs the program, then lets the interpreter end as it always does."""

from __future__ import annotations

import _signal  # and not signal: that one is in Python, and would be a frame where Ctrl-C is delivered
import sys

from allcores import get_context
from allcores.cli import complain, program, show_usage, usage_error
from allcores.cli.command import Command, CommandError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["run"]


def run(words: list[str], blocked_before: set[int]) -> int:
    """Run the program that ``words`` ask for; return the exit status, unless it ends by an exception.

    Ctrl-C, which the command holds back while allcores gets ready, is delivered when the program begins, where signals
    are blocked as they were before.
    """
    try:
        command = parse(words)
        if command.kind == "help":
            return show_usage()
        if command.start_method is not None:
            get_context(command.start_method)  # or ValueError
        runner = program.runner(command)
        _install(command)
    except (CommandError, ValueError) as error:
        return usage_error(str(error))
    except program.CannotOpenError as error:
        complain(f"allcores: {error}")
        return 2
    return _start(runner, blocked_before)


def _install(command: Command) -> None:
    from allcores._install import install, installed_default
    from allcores._logs import log_to_parent

    install(command.start_method)
    log_to_parent()
    if installed_default() == "warm":
        from allcores._zygote.ahead import fork_zygote_ahead

        fork_zygote_ahead()
    if command.report:
        from allcores.cli.report import report_at_exit

        report_at_exit()


def _start(runner: program.Runner, blocked: set[int]) -> int:
    """Run the program and end as python would: exceptions go on from here, without our frames in what is shown."""
    try:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)
        runner()
    except SystemExit:
        raise
    except BaseException as error:
        _hide_frames(error)
        raise
    return 0


def _hide_frames(error: BaseException) -> None:
    """Let the program's excepthook show the traceback from the program's first frame on.

    The exception itself goes on to the interpreter, which ends as it always does (status 1, or killed by SIGINT).
    """
    own = {__file__, program.__file__}
    shown = error.__traceback__
    while shown is not None and shown.tb_frame.f_code.co_filename in own:
        shown = shown.tb_next
    programs_hook = getattr(sys, "excepthook", None)

    def hook(kind: type[BaseException], value: BaseException, _: TracebackType | None) -> None:
        value = value.with_traceback(shown)
        if programs_hook is None:
            del sys.excepthook
            complain("sys.excepthook is missing")
            sys.__excepthook__(kind, value, shown)
            return
        sys.excepthook = programs_hook
        try:
            programs_hook(kind, value, shown)
        except SystemExit:
            raise
        except BaseException as failure:
            complain("Error in sys.excepthook:")
            failure_shown = failure.__traceback__ and failure.__traceback__.tb_next
            sys.__excepthook__(type(failure), failure.with_traceback(failure_shown), failure_shown)
            complain("\nOriginal exception was:")
            sys.__excepthook__(kind, value, shown)

    sys.excepthook = hook
