"""Importing the main module into the zygote, once, and the cases in which that must not be done."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from multiprocessing import spawn

from allcores import _core, _standard
from allcores._pickle.main_module import main_is_importable
from allcores._zygote.surroundings import HELD_SIGNALS, Surroundings, have_captured
from allcores._zygote.threads import NumberOfThreads, one_thread_each, threads_alive

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterator
    from typing import Any


__all__ = ["MainModule", "import_main"]

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class MainModule:
    """The program's main module as this zygote has it, and what importing it asked of the process."""

    def __init__(self, *, wanted: bool) -> None:
        """Import nothing yet; with ``wanted`` false never do, and leave it to the children."""
        self._wanted = wanted
        self.version: tuple[int, int] | None = None
        """Of the main module's file, if it was imported here."""
        self.handlers: dict[int, Any] = {}
        """Signal handlers that importing it asked for, and timers."""
        self.timers: dict[int, tuple[float, float]] = {}
        self.surroundings: bytes = b""
        """What this zygote has taken over, and its children have from the beginning."""
        self.in_force: Surroundings
        """The same, readable."""
        self._threads: NumberOfThreads
        """Known when the main module was imported, as in_force is."""

    def prepare(self, ask: _core.Ask) -> bool:
        """Take over the surroundings of the first caller and import its main module. False if that made threads."""
        self._adopt(ask.surroundings)
        self._first_state = self.in_force.kernel
        if self._wanted:
            before = sys.modules["__main__"]
            surroundings = self.in_force
            try:
                with self._process_kept(), _streams(ask.streams), one_thread_each():
                    if surroundings.main is not None:
                        import_main(surroundings.main)
                    _import_quietly(surroundings.preload)
            except BaseException:
                # A failing main module, or one that calls sys.exit(): each child imports it and shows the failure.
                sys.modules["__main__"] = before
            else:
                if sys.modules["__main__"] is not before:
                    self.version = surroundings.main_version
            surroundings.apply_late()
        have_captured(self.in_force, ask.surroundings)
        self._threads = NumberOfThreads()
        self._threads.set_usual()
        return threads_alive() == 1

    def learn(self, blob: bytes) -> None:
        """Take over surroundings that a spare has met, for those to come, unless there is no way back from them."""
        if _core.leads_back(Surroundings.loads(blob).kernel, self._first_state):
            self._adopt(blob)
            self._threads.set_usual()
            self.in_force.apply_late()
            have_captured(self.in_force, blob)

    def have_signals(self) -> None:
        """In a child: treat signals as importing the main module asked, and start the timers it started."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        for timer, (delay, interval) in self.timers.items():
            signal.setitimer(timer, delay, interval)

    def _adopt(self, blob: bytes) -> None:
        self.in_force, self.surroundings = Surroundings.loads(blob), blob
        self.in_force.apply()

    @contextlib.contextmanager
    def _process_kept(self) -> Iterator[None]:
        """Keep the main module's hands off this process's signals and timers, and its wishes for the children."""
        before = {number: signal.getsignal(number) for number in signal.valid_signals()}
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            yield
        finally:
            for timer in _TIMERS:
                delay, interval = signal.setitimer(timer, 0)
                if delay:
                    self.timers[timer] = (delay, interval)
            for number, handler in before.items():
                now = signal.getsignal(number)
                if now is not handler and now is not None:
                    self.handlers[number] = now
                    signal.signal(number, signal.SIG_DFL if handler is None else handler)
            signal.set_wakeup_fd(-1)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask | HELD_SIGNALS)


def import_main(reference: tuple[str, str]) -> None:
    """Import the main module under the name ``__mp_main__``, unless this process has it already."""
    if not main_is_importable(reference):
        return
    kind, value = reference
    importer = spawn._fixup_main_from_name if kind == "name" else spawn._fixup_main_from_path  # type: ignore[attr-defined]
    _standard.as_while_importing_main(importer, value)


def _import_quietly(names: tuple[str, ...]) -> None:
    """Import the modules of set_forkserver_preload, which is a hint: one that is missing is no error."""
    for name in names:
        with contextlib.suppress(ImportError):
            __import__(name)


@contextlib.contextmanager
def _streams(streams: list[int]) -> Iterator[None]:
    """Print where the caller prints, and hold nobody's output open afterwards."""
    saved = {number: os.dup(number) for number, stream in enumerate(streams) if stream >= 0}
    for number in saved:
        os.dup2(streams[number], number)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            _standard.flush_streams()
        for number, descriptor in saved.items():
            os.dup2(descriptor, number)
            os.close(descriptor)
