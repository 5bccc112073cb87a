"""A spare: a child without work, which does everything that can be done before its work is known."""

from __future__ import annotations

import os
import resource
import sys

from allcores import _core
from allcores._zygote import account, child, rehearsal
from allcores._zygote.news import send_news
from allcores._zygote.surroundings import HELD_SIGNALS, Surroundings

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import NoReturn

    from allcores._zygote.preload import MainModule

__all__ = ["Birth", "run"]

_HELD_SIGNALS = [int(number) for number in HELD_SIGNALS]


class Birth:
    """What a spare gets from the zygote: descriptors that it owns from now on, and the limit of open files to keep."""

    __slots__ = ("account", "bell", "line", "news", "open_files", "zygote_pid")

    def __init__(
        self, line: int, bell: int, news: int, account: int, zygote_pid: int, open_files: tuple[int, int]
    ) -> None:
        """Keep the parts."""
        self.line, self.bell, self.news, self.account = line, bell, news, account
        self.zygote_pid, self.open_files = zygote_pid, open_files


def run(birth: Birth, main_module: MainModule, *, rehearse: bool) -> NoReturn:
    """Get ready, wait for work, and become the child it describes. The held signals are blocked.

    ``rehearse`` is false when somebody waits for this spare already.
    """
    try:
        if not _core.die_with_parent(birth.zygote_pid):
            os._exit(1)
        account.open_account(birth.account)
        child.prepare_standard_input()
        _seed_apart()
        again = rehearsal.rehearse(main_module) if rehearse else []
        work = _core.wait_for_work(birth.line, birth.bell, _HELD_SIGNALS, again)
    except BaseException:
        # Nothing of the program's has run. EOFError: the caller changed its mind, for instance since its argument
        # could not be pickled.
        os._exit(1)
    surroundings = None
    if work.surroundings != main_module.surroundings:
        surroundings = Surroundings.loads(work.surroundings)
        send_news(birth.news, work.surroundings)
    for descriptor in (birth.line, birth.bell, birth.news):
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, birth.open_files)
    child.run(work, surroundings, main_module)


def _seed_apart() -> None:
    """Give numpy's global generator a seed of its own in each child; ``random`` does so by itself at a fork."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
