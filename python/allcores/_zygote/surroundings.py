"""The caller's surroundings at the moment of ``start()``, beyond what the standard preparation data carries."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass

__all__ = ["HELD_SIGNALS", "Surroundings"]

HELD_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2})
"""Signals that the zygote blocks, as they are not meant for it."""

_TREATED_SIGNALS = HELD_SIGNALS | {signal.SIGCHLD}
"""Signals that a child ignores if its caller does. The zygote must not ignore SIGCHLD: it could not reap."""


@dataclass(frozen=True)
class Surroundings:
    """What a spawned child would inherit from its parent by the kernel, and a zygote's child must be told."""

    environment: dict[str, str]
    ignored_signals: tuple[int, ...]
    blocked_signals: tuple[int, ...]
    preload: tuple[str, ...]
    """Modules named by `set_forkserver_preload`."""
    installed: str | None
    """The default start method if `allcores.install` is in force."""

    @classmethod
    def capture(cls, *, installed: str | None) -> Surroundings:
        """Look at this process, thread and moment."""
        # Looked up, not imported: most programs never load the forkserver.
        forkserver = sys.modules.get("multiprocessing.forkserver")
        preload = forkserver._forkserver._preload_modules if forkserver is not None else ()
        return cls(
            environment=dict(os.environ),
            ignored_signals=tuple(s for s in _TREATED_SIGNALS if signal.getsignal(s) is signal.SIG_IGN),
            blocked_signals=tuple(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            preload=tuple(name for name in preload if name != "__main__"),
            installed=installed,
        )

    def apply_environment(self) -> None:
        """Make the environment equal to the caller's, touching only what differs."""
        for name in os.environ.keys() - self.environment.keys():
            del os.environ[name]
        for name, value in self.environment.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    def apply_installation(self) -> None:
        """Have install() in force as in the caller, before any of the program's modules is imported."""
        if self.installed is not None:
            from allcores._install import install

            install(self.installed)

    def apply_signals(self) -> None:
        """Treat signals as the caller does. Those that came since the fork are delivered at the end of this."""
        for held in _TREATED_SIGNALS:
            ignored = signal.getsignal(held) is signal.SIG_IGN
            if held in self.ignored_signals and not ignored:
                signal.signal(held, signal.SIG_IGN)
            elif ignored and held not in self.ignored_signals:
                default = signal.default_int_handler if held is signal.SIGINT else signal.SIG_DFL
                signal.signal(held, default)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked_signals)
