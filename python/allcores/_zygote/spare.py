"""A spare: a child without work, which does everything that can be done before its work is known."""

from __future__ import annotations

import os
import sys

from allcores import _core
from allcores._zygote import account, child
from allcores._zygote.news import send_news
from allcores._zygote.surroundings import HELD_SIGNALS, Surroundings

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import NoReturn

    from allcores._zygote.preload import MainModule

__all__ = ["Inheritance", "run"]

_HELD_SIGNALS = [int(number) for number in HELD_SIGNALS]


class Inheritance:
    """What all spares get from their zygote: its pid, where to send news, and the limit of open files to keep."""

    __slots__ = ("account", "news", "open_files", "zygote_pid")

    account: int
    """The descriptor at which they have their account; set when the main module is there."""

    def __init__(self, zygote_pid: int, news: int, open_files: tuple[int, int]) -> None:
        """Keep the parts."""
        self.zygote_pid, self.news, self.open_files = zygote_pid, news, open_files


def run(
    birth: _core.Birth,
    zygotes: list[int],
    inheritance: Inheritance,
    main_module: MainModule,
    rehearsal: list[Callable[[], object]],
) -> NoReturn:
    """Get ready, wait for work, and become the child it describes. The held signals are blocked.

    ``zygotes`` are descriptors that are the zygote's alone. ``rehearsal`` (see the module) is empty when somebody waits
    for this spare already.
    """
    try:
        line, bell = birth.begin(inheritance.zygote_pid, zygotes, inheritance.account)
        account.held = _core.Held(inheritance.account)
        if account.has_crashes:
            os.register_at_fork(after_in_child=account.close_account)
        if "numpy.random" in sys.modules:
            _seed_apart()
        for part in rehearsal:
            part()
        work = _core.wait_for_work(line, bell, _HELD_SIGNALS, rehearsal)
    except BaseException:
        # Nothing of the program's has run. EOFError: the caller changed its mind, for instance since its argument
        # could not be pickled.
        os._exit(1)
    surroundings = None
    if work.surroundings != main_module.surroundings:
        surroundings = Surroundings.loads(work.surroundings)
        send_news(inheritance.news, work.surroundings)
    child.run(work, [line, bell, inheritance.news], inheritance.open_files, surroundings, main_module)


def _seed_apart() -> None:
    """Give numpy's global generator a seed of its own in each child; ``random`` does so by itself at a fork."""
    sys.modules["numpy.random"].seed()
