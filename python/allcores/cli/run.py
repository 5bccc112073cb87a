"""``allcores run``: a program as ``python`` would run it, with allcores in the place of multiprocessing.

The program gets this interpreter, not a second one: a fresh ``__main__``, the ``sys.argv`` and ``sys.path`` it would
have had, and an end (traceback, exit status, signal) in which nothing of ours shows.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import os
import signal
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Command", "CommandError", "parse", "run"]


class CommandError(Exception):
    """The command line makes no sense; the text says why."""


@dataclass(frozen=True)
class Command:
    """What the command line asks for."""

    kind: str
    """'path', 'module' or 'code'; the path '-' is standard input."""
    program: str
    arguments: list[str] = field(default_factory=list)
    start_method: str | None = None
    report: bool = False


def parse(words: list[str]) -> Command:
    """Read the words after ``run``. Options of ours come before the program; the rest is the program's."""
    start_method, report, rest = None, False, list(words)
    while rest:
        word = rest.pop(0)
        if word == "--report":
            report = True
        elif word == "--start-method" or word.startswith("--start-method="):
            _, given, value = word.partition("=")
            if not given and not rest:
                raise CommandError("--start-method needs a value: warm, fork, spawn or forkserver")
            start_method = value if given else rest.pop(0)
        elif word in ("-m", "-c"):
            if not rest:
                raise CommandError(f"{word} needs " + ("a module's name" if word == "-m" else "code to run"))
            return Command("module" if word == "-m" else "code", rest.pop(0), rest, start_method, report)
        elif word.startswith("-") and word != "-":
            raise CommandError(f"unknown option {word!r} (options of the program come after its name)")
        else:
            return Command("path", word, rest, start_method, report)
    raise CommandError("no program was named")


def run(words: list[str]) -> int:
    """Run the program that ``words`` ask for; return the exit status, unless it ends by an exception."""
    from allcores.cli import usage_error

    # Ctrl-C while allcores itself is being imported would show its frames: it is delivered when the program begins.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        command = parse(words)
        _install(command)
    except (CommandError, ValueError) as error:
        return usage_error(str(error))
    except BaseException:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        raise
    if command.kind == "path" and command.program != "-":
        try:
            # python looks here first, too: a directory or an archive is run by its __main__.py.
            return _start(_path_runner(command))
        except _CannotOpen as error:
            print(f"allcores: {error}", file=sys.stderr)
            return 2
    return _start(_code_runner(command) if command.kind != "module" else _module_runner(command))


def _install(command: Command) -> None:
    from allcores._install import install, installed_default

    install(command.start_method)
    if installed_default() == "warm":
        from allcores._zygote.ahead import fork_zygote_ahead

        fork_zygote_ahead()
    if command.report:
        from allcores.cli.report import report_at_exit

        report_at_exit()


class _CannotOpen(Exception):
    """The program's file cannot be read."""


Runner = Callable[[], None]


def _path_runner(command: Command) -> Runner:
    path = os.path.abspath(command.program)
    importer = _importer(path)
    if importer is not None:
        sys.argv = [command.program, *command.arguments]
        sys.path[0:1] = [path]
        _fresh_main()
        return _as_module("__main__", alter_argv=False)
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise _CannotOpen(f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}") from None
    sys.argv = [command.program, *command.arguments]
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    main = _fresh_main()
    loader: type[Any] = importlib.machinery.SourceFileLoader
    if path.endswith(".pyc"):
        loader = importlib.machinery.SourcelessFileLoader
    main.__dict__.update(__file__=path, __cached__=None, __loader__=loader("__main__", path))
    if loader is importlib.machinery.SourcelessFileLoader:
        return lambda: exec(main.__loader__.get_code("__main__"), main.__dict__)  # type: ignore[union-attr]
    return lambda: exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)


def _code_runner(command: Command) -> Runner:
    if command.kind == "code":
        name, source, sys.argv = "<string>", command.program, ["-c", *command.arguments]
    else:
        name, source, sys.argv = "<stdin>", sys.stdin.read(), ["-", *command.arguments]
    _set_first_path("")
    main = _fresh_main()
    main.__loader__ = importlib.machinery.BuiltinImporter
    return lambda: exec(compile(source, name, "exec", dont_inherit=True), main.__dict__)


def _module_runner(command: Command) -> Runner:
    sys.argv = ["-m", *command.arguments]
    _set_first_path(os.getcwd())
    _fresh_main()
    return _as_module(command.program, alter_argv=True)


def _as_module(name: str, *, alter_argv: bool) -> Runner:
    import runpy

    # What python itself calls for `-m`; it leaves its two frames in tracebacks there, too.
    return lambda: runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]


def _importer(path: str) -> Any:
    """Return what can import from ``path`` if it is a directory or an archive, else None."""
    if not os.path.isdir(path) and not path.endswith((".pyz", ".zip", ".egg", ".whl")) and not _is_zip(path):
        return None
    import pkgutil

    return pkgutil.get_importer(path)


def _is_zip(path: str) -> bool:
    """Whether the file ends like an archive, which may have a '#!' line and any name."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 22))
            return file.read(4) == b"PK\x05\x06"
    except OSError:
        return False


def _set_first_path(entry: str) -> None:
    """Replace the entry of sys.path that python made for the command ``allcores`` by the program's."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0:1] = [entry]


def _fresh_main() -> types.ModuleType:
    """Put an empty main module in place of the command's own, as python would have made it."""
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __spec__=None, __package__=None, __doc__=None)
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    # multiprocessing makes this alias when it is imported, which was before there was this main module.
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main
    return main


def _start(runner: Runner) -> int:
    """Run the program and end as python would: exceptions go on from here, without our frames in what is shown."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
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
    own = {__file__}
    shown = error.__traceback__
    while shown is not None and shown.tb_frame.f_code.co_filename in own:
        shown = shown.tb_next
    programs_hook = sys.excepthook

    def hook(kind: type[BaseException], value: BaseException, _: types.TracebackType | None) -> None:
        sys.excepthook = programs_hook
        programs_hook(kind, value.with_traceback(shown), shown)

    sys.excepthook = hook
