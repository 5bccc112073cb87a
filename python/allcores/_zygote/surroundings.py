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
import warnings
from multiprocessing import process

from allcores import _core, _standard
from allcores._pickle.main_module import look_at_main
from allcores._start_method import choice

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

    from allcores._pickle.main_module import MainLook

__all__ = ["HELD_SIGNALS", "Surroundings", "capture", "have_captured", "ignored_signals"]

HELD_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2})
"""Signals that the zygote blocks, as they are not meant for it."""

_NEEDED_MODULES = frozenset(
    f"{package}.{name}"
    for package in ("multiprocessing", "allcores")
    for name in (
        "_pickle.messages",
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
    """See `_standard.logging_levels`."""

    @classmethod
    def loads(cls, blob: bytes) -> Surroundings:
        """Read what `capture` or `dumps` returned."""
        surroundings = cls()
        for name, value in pickle.loads(blob).items():
            setattr(surroundings, name, value)
        return surroundings

    def dumps(self) -> bytes:
        """Return what `loads` reads."""
        return pickle.dumps(self._parts(), pickle.HIGHEST_PROTOCOL)

    def __eq__(self, other: object) -> bool:
        """Whether they are the same in all."""
        return isinstance(other, Surroundings) and self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment]

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

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
        _standard.set_logging_levels(self.logging)

    def apply_signals(self, *, blocked: int | None = None) -> None:
        """Block and ignore signals as the caller does. Those that came meanwhile are delivered at the end of this.

        With ``blocked``, which is for a rehearsal, only block these, one bit each.
        """
        callers, ignored = _core.signals_of_state(self.kernel)
        here = ignored_signals()
        if here != ignored and blocked is None:
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


_last: tuple[tuple[Any, ...], Surroundings, bytes] | None = None
"""The last look, what it meant, and its bytes."""


def capture(main: MainLook) -> bytes:
    """Look at this process, thread and moment; ``main`` is what `look_at_main` has just seen."""
    global _last
    last, seen = _last, _see(main)
    if last is not None and last[0] == seen:
        return last[2]
    seen = _copied(seen, seen[0])  # other threads go on changing what it was made of
    surroundings = _interpret(seen)
    # Equal, where another module was imported, or the like.
    blob = last[2] if last is not None and last[1] == surroundings else surroundings.dumps()
    _last = (seen, surroundings, blob)
    return blob


def have_captured(surroundings: Surroundings, blob: bytes) -> None:
    """Let the next `capture` here, or in a fork, return these bytes again if it sees what it sees now."""
    global _last
    _last = (_copied(_see(look_at_main()), surroundings.kernel), surroundings, blob)


def _copied(seen: tuple[Any, ...], kernel: bytes) -> tuple[Any, ...]:
    """Return what was seen, with copies of what is changed in place."""
    _, modules, (alone, environment, *interpreter), path, argv, filters, *rest = seen
    return kernel, modules, (alone, dict(environment), *interpreter), list(path), list(argv), list(filters), *rest


def _see(main: MainLook) -> tuple[Any, ...]:
    """Look at all that `Surroundings` has, as cheaply as can be: at each start, and rarely is anything new."""
    modules = sys.modules
    switch, util = modules.get("allcores._install.switch"), modules.get("multiprocessing.util")
    forkserver, logging = modules.get("multiprocessing.forkserver"), modules.get("logging")
    interpreter = _standard.interpreter_state()
    return (
        _core.process_state(alone=interpreter[0]),
        len(modules),
        interpreter,
        sys.path,
        sys.argv,
        vars(warnings)["filters"],
        main,
        choice.explicit(),
        None if switch is None else switch.installed_default(),
        None if util is None else _multiprocessing_logger(util),
        None if forkserver is None else _preload(forkserver),
        None if logging is None else _standard.logging_levels(logging),
    )


def _interpret(seen: tuple[Any, ...]) -> Surroundings:
    kernel, _, interpreter, path, argv, filters, main, start_method, *libraries = seen
    _, environment, authkey, directory, locale = interpreter
    installed, logger, preload, logging = libraries
    surroundings = Surroundings()
    surroundings.kernel, surroundings.environment = kernel, dict(environment)
    surroundings.path, surroundings.argv = list(map(_standard.plain_text, path)), list(map(_standard.plain_text, argv))
    surroundings.original_directory, surroundings.authkey = directory, bytes(authkey)
    surroundings.log_to_stderr, surroundings.log_level = logger or (False, None)
    surroundings.start_method, surroundings.installed = start_method, installed
    surroundings.preload, surroundings.modules = preload or (), frozenset(_NEEDED_MODULES.intersection(sys.modules))
    surroundings.main, surroundings.main_version = main
    surroundings.locale, surroundings.logging = locale, logging
    surroundings.warnings = [
        (action, message, category.__module__, category.__qualname__, module, line)
        for action, message, category, module, line in filters
    ]
    return surroundings


def _preload(forkserver: Any) -> tuple[str, ...]:
    return tuple(name for name in forkserver._forkserver._preload_modules if name != "__main__")


def _multiprocessing_logger(util: Any) -> tuple[bool, int | None]:
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
