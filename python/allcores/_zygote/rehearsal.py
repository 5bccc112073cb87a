"""What a spare does on nothing before it has work, to do it faster when it has; and, before that, the zygote."""

from __future__ import annotations

import io
import os
import sys
from multiprocessing import reduction

from allcores import _core, _standard
from allcores._zygote import child
from allcores._zygote.inherited import InheritedDescriptor, inherited

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

    from allcores._zygote.preload import MainModule

__all__ = ["prepare"]

_TIMES = 10
"""How often the zygote rehearses: by then Python has specialized what is run, and writes less to it in the spares."""


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


def prepare(main_module: MainModule) -> list[Callable[[], object]]:
    """In the zygote: rehearse, and return the parts for its spares to do; each would make more memory its own by that.

    Without any where that cannot be done, for instance since the main module has put another `print` in place.
    """
    try:
        pipes = next((name for name in (_OUR_PIPES, _STANDARD_PIPES) if name in sys.modules), None)
        parts = _parts(main_module, _pickled_process(pipes), leads_nowhere=pipes is not None)
        for _ in range(_TIMES):
            for part in parts:
                part()
    except BaseException:
        return []
    finally:
        _core.name_process_in_arena("zygote")  # it is not at its end
    return parts


def _parts(main_module: MainModule, pickled: bytes, *, leads_nowhere: bool) -> list[Callable[[], object]]:
    """Return what does all that a start will do, on nothing, and takes back what it changed; the longest part first.

    What it touches becomes a spare's own memory before anybody waits: a page that is first written to after the fork
    costs three to five microseconds, and a start writes to two hundred. Done again while the caller makes the work
    ready, it is in the processor's caches when that comes.
    """
    blocked = _core.signals_of_state(_core.process_state(alone=True))[0]

    def load() -> Any:
        inherited[:] = [os.dup(0)] if leads_nowhere else []
        return child.load(pickled, None)  # the main module is not to be imported for nothing

    def noted() -> Any:
        process = load()
        child.note_what_ends(process)
        return process

    def bootstrap() -> None:
        try:
            _standard.run_untouched(noted)
        finally:
            child.set_standard_input_aside()

    def take_over() -> None:
        child.have_streams([True, True, True], is_terminal=getattr(sys.stdout, "line_buffering", False))
        main_module.in_force.apply_signals(blocked=blocked)

    return [load, bootstrap, take_over]


def _pickled_process(pipes: str | None) -> bytes:
    connections = () if pipes is None else (_Connection(pipes),)
    # It comes from the floor above, as all that is unpickled here.
    process_class = sys.modules["allcores.context"].WarmProcess
    process = process_class(target=print, args=("", *connections), kwargs={"end": "", "file": None}, name="rehearsal")
    process._config = {}  # a key that may be pickled only while a process is started
    buffer = io.BytesIO()
    reduction.dump(process, buffer)
    return buffer.getvalue()
