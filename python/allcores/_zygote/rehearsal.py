"""What a spare does on nothing before it has work, so that it does it faster when it has."""

from __future__ import annotations

import io
import os
import sys
from multiprocessing import reduction

from allcores import _core, _standard
from allcores._zygote import child
from allcores._zygote.inherited import InheritedDescriptor, have_inherited

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

    from allcores._zygote.preload import MainModule

__all__ = ["rehearse"]


class _Connection:
    """Pickles as a connection in the arguments does; it leads nowhere."""

    def __reduce__(self) -> Any:
        descriptor = InheritedDescriptor(0)
        ours = sys.modules.get("allcores._pipe_connection")
        if ours is not None:
            return ours.rebuild, (descriptor, None, None)
        from multiprocessing.connection import rebuild_connection  # type: ignore[attr-defined]

        return rebuild_connection, (descriptor, True, True)


def rehearse(main_module: MainModule) -> list[Callable[[], object]]:
    """Do what a start will do, on nothing, and take back what it changed. Returns its parts, to be done again in turn.

    What it touches becomes this process's own memory before anybody waits: a page that is first written to after the
    fork costs three microseconds, and a start writes to two hundred. Done again while the caller makes the work ready,
    it is in the processor's caches when that comes.
    """
    process = _pickled_process()
    blocked = _core.signals_of_state(_core.process_state(alone=True))[0]

    def load() -> Any:
        have_inherited([os.dup(0)])
        return child.load(process, None)  # the main module is not to be imported for nothing

    def bootstrap() -> None:
        with _standard.process_untouched(), child.prepared_input_kept():
            _standard.before_uncaught_is_shown(child.note_uncaught)
            load()._bootstrap()

    def take_over() -> None:
        child.take_streams([os.dup(number) for number in (0, 1, 2)])
        main_module.in_force.apply_signals(blocked=blocked)

    take_over()
    bootstrap()
    return [load, bootstrap, take_over]  # the longest first


def _pickled_process() -> bytes:
    connections = (_Connection(),) if "multiprocessing.connection" in sys.modules else ()
    # It comes from the floor above, as all that is unpickled here.
    process_class = sys.modules["allcores.context"].WarmProcess
    process = process_class(target=print, args=("", *connections), kwargs={"end": "", "file": None}, name="rehearsal")
    process._config = {}  # a key that may be pickled only while a process is started
    buffer = io.BytesIO()
    reduction.dump(process, buffer)
    return buffer.getvalue()
