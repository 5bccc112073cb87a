"""What a spawned child would inherit from its parent by the kernel or be told, and a zygote's child must be told.

`capture` looks whether anything is other than at the last time, which is a matter of comparisons, and returns the same
bytes as long as nothing is. A spare that has these surroundings already has nothing to do.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import signal
import sys
import threading
import warnings
from multiprocessing import process

from allcores import _core, _standard
from allcores._pickle.main_module import look_at_main
from allcores._start_method import choice

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

__all__ = ["HELD_SIGNALS", "Surroundings", "capture", "have_captured", "ignored_signals"]

HELD_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2})
"""Signals that the zygote blocks, as they are not meant for it."""

_NEEDED_MODULES = frozenset(
    f"{package}.{name}"
    for package in ("multiprocessing", "allcores")
    for name in (
        "connection",
        "heap",
        "managers",
        "pool",
        "popen_warm",
        "queues",
        "sharedctypes",
        "shared_memory",
        "synchronize",
    )
)
"""Modules that arguments of a caller that has them, and grandchildren, will need."""


@functools.cache
def ignored_signals() -> int:
    """Return the signals that this process ignores, one bit each; as it was when somebody asked first."""
    return _core.signals_of_state(_core.process_state(alone=True))[1]


class Surroundings:
    """The state of a process that its children begin with, all but the open files."""

    __slots__ = (
        "argv",
        "authkey",
        "environment",
        "installed",
        "kernel",
        "locale",
        "log_level",
        "log_to_stderr",
        "logging",
        "main",
        "main_version",
        "modules",
        "original_directory",
        "path",
        "preload",
        "start_method",
        "warnings",
    )

    kernel: bytes
    """What `_core.process_state` saw: umask, niceness, limits, CPUs, signals, directory."""
    environment: dict[bytes, bytes]
    path: list[str]
    argv: list[str]
    original_directory: str | None
    """Where the program began."""
    authkey: bytes
    log_to_stderr: bool
    """Of multiprocessing's own logger, as log_level."""
    log_level: int | None
    start_method: str | None
    """None: nobody has chosen."""
    installed: str | None
    """The default start method, if allcores.install is in force."""
    preload: tuple[str, ...]
    """Modules named by set_forkserver_preload."""
    modules: frozenset[str]
    """Those of _NEEDED_MODULES that the caller has."""
    main: tuple[str, str] | None
    """See look_at_main."""
    main_version: tuple[int, int] | None
    locale: str | None
    warnings: list[tuple[Any, ...]]
    """The filters, with categories as module and name, since their modules may not be importable yet."""
    logging: tuple[Any, ...] | None
    """See _logging_levels."""

    @classmethod
    def loads(cls, blob: bytes) -> Surroundings:
        """Read what `capture` returned."""
        surroundings = cls()
        for name, value in pickle.loads(blob).items():
            setattr(surroundings, name, value)
        return surroundings

    def apply(self) -> None:
        """Have them here, as far as the main module need not have been imported for it; signals apart."""
        self._apply_environment()
        _core.take_over_state(self.kernel)
        self._apply_to_multiprocessing()
        sys.path[:] = self.path
        sys.argv[:] = self.argv
        for name in self.modules:
            __import__(name)
        if self.locale is not None and self.locale != _standard.locale_in_force():
            import locale

            with contextlib.suppress(locale.Error):
                locale.setlocale(locale.LC_ALL, self.locale)

    def apply_late(self) -> None:
        """Have what importing the main module may set otherwise, or refers to its names."""
        _set_warning_filters(self.warnings)
        _set_logging_levels(self.logging)

    def apply_signals(self, *, blocked: int | None = None) -> None:
        """Block and ignore signals as the caller does. Those that came meanwhile are delivered at the end of this.

        With ``blocked`` block these instead, one bit each.
        """
        callers, ignored = _core.signals_of_state(self.kernel)
        here = ignored_signals()
        if here != ignored:
            for number in _numbers(ignored & ~here):
                with contextlib.suppress(OSError):
                    signal.signal(number, signal.SIG_IGN)
            for number in _numbers(here & ~ignored):
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        _core.block_signals(callers if blocked is None else blocked)

    def _apply_environment(self) -> None:
        have = _standard.raw_environment()
        if have == self.environment:
            return
        for name in have.keys() - self.environment.keys():
            os.unsetenv(name)
        for name, value in self.environment.items():
            if have.get(name) != value:
                os.putenv(name, value)
        have.clear()
        have.update(self.environment)

    def _apply_to_multiprocessing(self) -> None:
        """What `multiprocessing.spawn.prepare` does, but for the main module and the process's name."""
        process.current_process().authkey = self.authkey
        process.ORIGINAL_DIR = self.original_directory  # type: ignore[attr-defined]
        if self.log_level is not None or self.log_to_stderr:
            from multiprocessing import util

            if self.log_level is not None:
                util.get_logger().setLevel(self.log_level)
            if self.log_to_stderr and not _standard.logs_to_stderr():
                util.log_to_stderr()
        if self.installed is not None:
            from allcores._install import install

            install(self.installed)
        choice.restore(self.start_method)


class _Capture:
    """What was seen at one look, and its bytes."""

    __slots__ = ("_filters", "_module_count", "_surroundings", "blob")

    def __init__(self, surroundings: Surroundings) -> None:
        """Keep copies of what was seen."""
        self._surroundings = surroundings
        self._filters = list(_filters())
        self._module_count = len(sys.modules)
        names = Surroundings.__slots__
        self.blob = pickle.dumps({name: getattr(surroundings, name) for name in names}, pickle.HIGHEST_PROTOCOL)

    def still_holds(self, kernel: bytes) -> bool:
        """Whether a look now would see the same."""
        seen = self._surroundings
        return (
            kernel == seen.kernel
            and _standard.raw_environment() == seen.environment
            and sys.path == seen.path
            and sys.argv == seen.argv
            and _filters() == self._filters
            and (len(sys.modules) == self._module_count or _needed_modules() == seen.modules)
            and look_at_main() == (seen.main, seen.main_version)
            and choice.explicit() == seen.start_method
            and _installed_default() == seen.installed
            and _multiprocessing_logger() == (seen.log_to_stderr, seen.log_level)
            and _preload() == seen.preload
            and _logging_levels() == seen.logging
            and _standard.locale_in_force() == seen.locale
            and bytes(process.current_process().authkey) == seen.authkey
        )


_last: _Capture | None = None


def capture() -> bytes:
    """Look at this process, thread and moment."""
    global _last
    kernel = _core.process_state(alone=threading.active_count() == 1)
    if _last is None or not _last.still_holds(kernel):
        _last = _Capture(_look(kernel))
    return _last.blob


def have_captured(surroundings: Surroundings, blob: bytes) -> None:
    """Let the next `capture` here, or in a fork, return these bytes again if it sees the same."""
    global _last
    _last = _Capture(surroundings)
    _last.blob = blob


def _look(kernel: bytes) -> Surroundings:
    seen = Surroundings()
    seen.kernel = kernel
    seen.environment = dict(_standard.raw_environment())
    seen.path, seen.argv = list(sys.path), list(sys.argv)
    seen.original_directory = _standard.original_directory()
    seen.authkey = bytes(process.current_process().authkey)
    seen.log_to_stderr, seen.log_level = _multiprocessing_logger()
    seen.start_method, seen.installed = choice.explicit(), _installed_default()
    seen.preload, seen.modules = _preload(), _needed_modules()
    seen.main, seen.main_version = look_at_main()
    seen.locale = _standard.locale_in_force()
    seen.warnings = [
        (action, message, category.__module__, category.__qualname__, module, line)
        for action, message, category, module, line in _filters()
    ]
    seen.logging = _logging_levels()
    return seen


# What follows is looked up in sys.modules, not imported: most programs never load the forkserver, or logging.


def _installed_default() -> str | None:
    switch = sys.modules.get("allcores._install.switch")
    default: str | None = None if switch is None else switch.installed_default()
    return default


def _needed_modules() -> frozenset[str]:
    return frozenset(_NEEDED_MODULES.intersection(sys.modules))


def _preload() -> tuple[str, ...]:
    forkserver = sys.modules.get("multiprocessing.forkserver")
    if forkserver is None:
        return ()
    return tuple(name for name in forkserver._forkserver._preload_modules if name != "__main__")


def _multiprocessing_logger() -> tuple[bool, int | None]:
    util = sys.modules.get("multiprocessing.util")
    if util is None:
        return False, None
    return util._log_to_stderr, None if util._logger is None else util._logger.getEffectiveLevel()


def _numbers(mask: int) -> list[int]:
    """Return the signals in a mask."""
    return [bit + 1 for bit in range(mask.bit_length()) if mask >> bit & 1]


def _filters() -> list[Any]:
    filters: list[Any] = vars(warnings)["filters"]
    return filters


def _set_warning_filters(wanted: list[tuple[Any, ...]]) -> None:
    """Set the filters; those for a category that does not exist here can match nothing and are left out."""
    filters = []
    for action, message, home, name, module, line in wanted:
        category = getattr(sys.modules.get("__mp_main__" if home == "__main__" else home), name, None)
        if category is not None:
            filters.append((action, message, category, module, line))
    if _filters() != filters:
        _filters()[:] = filters
        vars(warnings)["_filters_mutated"]()


def _logging_levels() -> tuple[Any, ...] | None:
    """Return what decides which log records are made: (level disabled, root's level, ((name, its settings), …))."""
    logging = sys.modules.get("logging")
    if logging is None:
        return None
    plain, loggers = (0, True, False), []
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger):
            settings = (logger.level, logger.propagate, logger.disabled)
            if settings != plain:
                loggers.append((name, settings))
    return logging.root.manager.disable, logging.root.level, tuple(loggers)


def _set_logging_levels(wanted: tuple[Any, ...] | None) -> None:
    if wanted is None:
        return
    import logging

    disable, root_level, loggers = wanted
    logging.disable(disable)
    logging.root.setLevel(root_level)
    for name, (level, propagate, disabled) in loggers:
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, disabled
