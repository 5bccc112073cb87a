"""A process object as its child gets it, or an error that a person can act on."""

from __future__ import annotations

import io
from multiprocessing.process import BaseProcess

from allcores._pickle.dump import PICKLING_ERRORS, dump
from allcores._pickle.main_module import main_is_importable

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from types import TracebackType

    from allcores._pickle.main_module import MainLook

__all__ = ["encode"]


def encode(process_obj: BaseProcess, main: MainLook, forget: Callable[[], None]) -> bytes:
    """Pickle a process object (see `dump`); ``main`` is what `look_at_main` has just seen.

    UnpicklableArgumentError names what can be sent neither by name nor by value.
    """
    importable = main_is_importable(main[0])
    buffer = io.BytesIO()
    try:
        dump(process_obj, buffer, main_is_importable=importable, forget=forget)
    except PICKLING_ERRORS as error:
        from allcores._pickle.culprit import explain

        explained = explain(process_obj, error, main_is_importable=importable)
        raise explained from error.with_traceback(_frames_of_the_program(error.__traceback__))
    return buffer.getvalue()


def _frames_of_the_program(traceback: TracebackType | None) -> TracebackType | None:
    """Return what is left of a traceback without the picklers' frames it begins with: a __reduce__ that has failed."""
    while traceback is not None and _is_inside(traceback.tb_frame.f_globals.get("__name__", "")):
        traceback = traceback.tb_next
    return traceback


def _is_inside(module: str) -> bool:
    return module.partition(".")[0] in ("allcores", "cloudpickle", "copyreg", "multiprocessing", "pickle")
