"""What a spare does on nothing before it has work, so that it does it faster when it has."""

from __future__ import annotations

import functools
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

__all__ = ["prepare", "rehearse"]


class _Connection:
    """Pickles as a connection in the arguments does; it leads nowhere."""

    def __init__(self, module: str) -> None:
        self.module = module

    def __reduce__(self) -> Any:
        descriptor, module = InheritedDescriptor(0), sys.modules[self.module]
        if self.module == _OUR_PIPES:
            return module.rebuild, (descriptor, None, None)
        return module.rebuild_connection, (descriptor, True, True)


_OUR_PIPES, _STANDARD_PIPES = "allcores._pipe_connection", "multiprocessing.connection"


def prepare() -> bool:
    """In the zygote: have ready what all its spares rehearse with; each would have more pages of its own by that.

    False where that cannot be pickled, for instance since the main module has put another `print` in place.
    """
    try:
        _pickled_process(_pipes())
        _blocked()
    except Exception:
        return False
    return True


def rehearse(main_module: MainModule) -> list[Callable[[], object]]:
    """Do what a start will do, on nothing, and take back what it changed. Returns its parts, to be done again in turn.

    What it touches becomes this process's own memory before anybody waits: a page that is first written to after the
    fork costs three to five microseconds, and a start writes to two hundred. Done again while the caller makes the work
    ready, it is in the processor's caches when that comes.
    """
    pipes, blocked = _pipes(), _blocked()
    pickled = _pickled_process(pipes)

    def load() -> Any:
        have_inherited([] if pipes is None else [os.dup(0)])
        return child.load(pickled, None)  # the main module is not to be imported for nothing

    def bootstrap() -> None:
        with _standard.process_untouched(), child.prepared_input_kept():
            process = load()
            child.note_what_ends(process)
            process._bootstrap()

    def take_over() -> None:
        child.take_streams([os.dup(number) for number in (0, 1, 2)])
        main_module.in_force.apply_signals(blocked=blocked)

    take_over()
    bootstrap()
    return [load, bootstrap, take_over]  # the longest first


@functools.cache
def _blocked() -> int:
    """Return the signals that the zygote and its spares block, one bit each."""
    return _core.signals_of_state(_core.process_state(alone=True))[0]


def _pipes() -> str | None:
    return next((name for name in (_OUR_PIPES, _STANDARD_PIPES) if name in sys.modules), None)


@functools.cache
def _pickled_process(pipes: str | None) -> bytes:
    connections = () if pipes is None else (_Connection(pipes),)
    # It comes from the floor above, as all that is unpickled here.
    process_class = sys.modules["allcores.context"].WarmProcess
    process = process_class(target=print, args=("", *connections), kwargs={"end": "", "file": None}, name="rehearsal")
    process._config = {}  # a key that may be pickled only while a process is started
    buffer = io.BytesIO()
    reduction.dump(process, buffer)
    return buffer.getvalue()
