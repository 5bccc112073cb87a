"""The function that ``allcores map`` is to call, and what is wrong when there is none."""

from __future__ import annotations

import difflib
import importlib.util
import sys
import traceback
from typing import NoReturn

from allcores.cli import complain
from allcores.cli.map import worker

__all__ = ["checked_function", "refuse"]


def checked_function(text: str) -> tuple[str, str]:
    """Return module and name of a function that is there. Otherwise say what is wrong, and exit with status 2."""
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        hint = _hint(module, "FUNCTION")
        refuse(f"a function is named MODULE:FUNCTION, as in os.path:getsize, not {text!r}{hint}")
    try:
        missing = module if importlib.util.find_spec(module) is None else None
    except ModuleNotFoundError as error:
        missing = error.name
    except (ImportError, ValueError, AttributeError) as error:
        refuse(f"{module!r} cannot be the name of a module: {error}{_hint(module, name)}")
    except Exception as error:  # raised by importing the package that it is in
        _refuse_import(module, error)
    if missing is not None:
        hint = _hint(module, name)
        refuse(f"there is no module {missing!r}, looked for in this directory and where Python finds modules{hint}")
    try:
        function = worker.find(module, name)
    except AttributeError as error:
        if module not in sys.modules:
            _refuse_import(module, error)
        close = difflib.get_close_matches(name, dir(sys.modules[module]), 1)
        refuse(f"module {module!r} has no {name!r}" + (f". Did you mean {module}:{close[0]}" if close else ""))
    except (Exception, SystemExit) as error:
        _refuse_import(module, error)
    if not callable(function):
        refuse(f"{text} is of type {type(function).__name__}, and cannot be called")
    return module, name


def _hint(file: str, name: str) -> str:
    """Return what to say where somebody has named a file instead of the module in it."""
    module = file.removesuffix(".py").removeprefix("./").replace("/", ".")
    return f". Did you mean {module}:{name}" if file.endswith(".py") else ""


def _refuse_import(module: str, error: BaseException) -> NoReturn:
    shown = error.__traceback__
    while shown is not None and not _is_theirs(shown.tb_frame.f_code.co_filename):
        shown = shown.tb_next
    complain("".join(traceback.format_exception(type(error), error, shown)).rstrip())
    refuse(f"module {module!r} cannot be imported, as shown above")


def _is_theirs(file: str) -> bool:
    return file not in (__file__, worker.__file__, importlib.__file__) and not file.startswith("<frozen importlib")


def refuse(text: str) -> NoReturn:
    """Say why nothing can begin, and exit with status 2."""
    complain(f"allcores map: {text}")
    raise SystemExit(2)
