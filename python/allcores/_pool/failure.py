"""What a task has raised, on its way from the worker to who waits for it.

The exception is pickled apart from what is said of it, so that one which cannot be unpickled still has a name, a text
and a traceback where it arrives.
"""

from __future__ import annotations

import pickle
import traceback
from multiprocessing.reduction import ForkingPickler

from allcores.errors import RemoteError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

    Failure = tuple[bytes, str, str, str]

__all__ = ["describe", "encoding_error", "log_as_executor", "revive"]


def describe(error: BaseException, skipped_frames: int = 0) -> Failure:
    """Return a failure that travels. The first frames of the traceback are the worker's own; one stays at least."""
    began: TracebackType | None = error.__traceback__
    for _ in range(skipped_frames):
        began = began and (began.tb_next or began)
    text = "".join(traceback.format_exception(type(error), error, began))
    try:
        pickled = bytes(ForkingPickler.dumps(error))
    except Exception as why:
        pickled = bytes(ForkingPickler.dumps(_not_encoded(why, error)))
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return pickled, name, _text_of(error), text


def encoding_error(why: Exception, result: object) -> Failure:
    """Return the failure of a task whose result cannot be pickled."""
    return describe(_not_encoded(why, result))


def _not_encoded(why: Exception, value: object) -> BaseException:
    """Return the standard pool's error, which shows both; also where they cannot be shown."""
    make = _standard_pool().MaybeEncodingError
    try:
        made: BaseException = make(why, value)
    except Exception as error:
        made = make(f"{type(why).__name__}, and {type(error).__name__} when it was to be shown", type(value))
    return made


def log_as_executor() -> None:
    """Log the exception that is being handled, an initializer's, as the standard executor's workers do."""
    import logging

    logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)


def revive(failure: Failure, cause: Callable[[str], BaseException] | None = None) -> BaseException:
    """Return the exception, with the traceback of the worker as its cause, or what stands for it."""
    pickled, name, text, trace = failure
    try:
        revived: object = pickle.loads(pickled)
    except (Exception, SystemExit) as why:
        revived = RemoteError(name, text, trace, f"{type(why).__name__}: {why}")
    if isinstance(revived, BaseException):
        error = revived
    else:
        error = RemoteError(name, text, trace, f"its pickle makes a {type(revived).__name__}")
    error.__cause__ = (cause or _standard_pool().RemoteTraceback)(f'\n"""\n{trace}"""')
    return error


def _standard_pool() -> Any:
    """Return the standard module, which a worker whose tasks do not fail has no need of."""
    from multiprocessing import pool

    return pool


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as why:
        return f"<no text: {type(why).__name__}>"
