"""Forking the zygote before any user code runs, for ``allcores run``."""

from __future__ import annotations

from allcores import _core
from allcores._zygote.client import session
from allcores._zygote.launch import fork_ahead

__all__ = ["fork_zygote_ahead"]


def fork_zygote_ahead() -> None:
    """Give this process's session its zygote now. Nothing but allcores has been imported, no thread was started."""
    session.adopt(_core.Way(*fork_ahead(session.own_pidfd())))
