"""A program as ``python`` would run it: the ``__main__``, ``sys.argv`` and ``sys.path`` it would have had.

It gets this interpreter, not a second one. `runner` looks at the program without touching anything; what it returns
puts everything in place and runs it.
"""

from __future__ import annotations

import builtins
import os
import sys
import types
from _frozen_importlib import BuiltinImporter  # importlib.machinery has them, too, and takes time to import
from _frozen_importlib_external import SourceFileLoader, SourcelessFileLoader

from allcores import _core

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable

    from allcores.cli.command import Command

    Runner = Callable[[], None]

__all__ = ["CannotOpenError", "become_main", "runner"]


class CannotOpenError(Exception):
    """The program's file cannot be read; the text says why."""


def runner(command: Command) -> Runner:
    """Return what runs the program. CannotOpenError when there is none."""
    if command.kind == "module":
        return lambda: _run_module(command)
    if command.kind == "code":
        return lambda: _run_source(command.program, "<string>", ["-c", *command.arguments])
    if command.program == "-":
        return lambda: _run_source(sys.stdin.read(), "<stdin>", ["-", *command.arguments])
    directory = _working_directory() or ""
    path = os.path.join(directory, command.program)  # as python does it: absolute, not otherwise made shorter
    if os.path.isdir(path) or _is_archive(path):
        return lambda: _run_folder(path, [command.program, *command.arguments])
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise CannotOpenError(f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}") from None
    return lambda: _run_file(path, source, [command.program, *command.arguments])


def become_main(name: str) -> None:
    """Have a module stand for the main one, for children to import, and modules found as ``python -m`` finds them."""
    import importlib.util

    _set_first_path(_unless_safe(_working_directory()))
    _fresh_main().__spec__ = importlib.util.find_spec(name)


def _run_file(path: str, source: bytes, argv: list[str]) -> None:
    sys.argv = argv
    _set_first_path(_unless_safe(os.path.dirname(os.path.realpath(path))))
    main = _fresh_main()
    if path.endswith(".pyc"):
        bytecode = SourcelessFileLoader("__main__", path)
        main.__dict__.update(__file__=path, __cached__=None, __loader__=bytecode)
        exec(bytecode.get_code("__main__"), main.__dict__)  # type: ignore[arg-type]  # None only for a namespace package
    else:
        main.__dict__.update(__file__=path, __cached__=None, __loader__=SourceFileLoader("__main__", path))
        if b"\0" in source:
            code = compile(source, path, "exec", dont_inherit=True)  # which says what is wrong
        else:
            code = _core.compile_program(source, os.fsencode(path))
        exec(code, main.__dict__)


def _run_source(source: str, name: str, argv: list[str]) -> None:
    sys.argv = argv
    _set_first_path(_unless_safe(""))
    main = _fresh_main()
    main.__dict__["__loader__"] = BuiltinImporter
    exec(compile(source, name, "exec", dont_inherit=True), main.__dict__)


def _run_module(command: Command) -> None:
    sys.argv = ["-m", *command.arguments]
    _set_first_path(_unless_safe(_working_directory()))
    _run_as_main(command.program, alter_argv=True)


def _run_folder(path: str, argv: list[str]) -> None:
    """Run a directory or an archive by the __main__.py in it, which is imported from there as python does."""
    sys.argv = argv
    _set_first_path(path)
    _run_as_main("__main__", alter_argv=False)


def _run_as_main(name: str, *, alter_argv: bool) -> None:
    import runpy

    _fresh_main()
    # What python itself calls for `-m`; it leaves its two frames in tracebacks there, too.
    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]


def _is_archive(path: str) -> bool:
    """Whether a file ends as zip archives do; they may have any name, and a '#!' line before."""
    end_record = 22  # bytes, when no comment follows
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - end_record))
            return file.read(4) == b"PK\x05\x06"
    except OSError:
        return False


def _working_directory() -> str | None:
    """Return the working directory, None when it was deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _unless_safe(entry: str | None) -> str | None:
    """Return an entry for sys.path, None where the user wants no such entry (``-P``)."""
    return None if sys.flags.safe_path else entry


def _set_first_path(entry: str | None) -> None:
    """Replace the entry of sys.path that python made for the command ``allcores`` by the program's, if it has one."""
    by_module = sys.modules["__main__"].__spec__ is not None  # by `python -m allcores`
    made = not sys.flags.safe_path and not (by_module and _working_directory() is None)
    sys.path[: int(made)] = [] if entry is None else [entry]


def _fresh_main() -> types.ModuleType:
    """Put an empty main module in place of the command's own, as python would have made it."""
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __spec__=None, __package__=None, __doc__=None)
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    # multiprocessing makes this alias when it is imported, which was before there was this main module.
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main
    return main
