"""A spare: a child without work, which does everything that can be done before its work is known."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import sys
import time

from allcores import _core
from allcores._zygote import account, child
from allcores._zygote.surroundings import HELD_SIGNALS, Surroundings
from allcores._zygote.wire import Work, send_news

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import NoReturn

    from allcores._zygote.preload import MainModule

__all__ = ["Birth", "run"]

_SPIN_SECONDS = 0.0005
"""The bell rings first when work is being made ready: falling asleep and waking up again would take longer."""
_SIGNAL_BYTES = 128 * 64
"""All the signals there can be, at the size of a signalfd_siginfo."""


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
        main_module.threads.set_usual()
        rehearsed = child.rehearse(main_module) if rehearse else None
        work = _wait_for_work(birth, rehearsed)
    except BaseException:
        # Nothing of the program's has run. LineEnded: the caller changed its mind, for instance since its argument
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


def _wait_for_work(birth: Birth, rehearsed: bytes | None) -> Work:
    """Wait for the bell, and for the end of the line; not for a message on it, see "Bells" in the README."""
    signals = _core.pending_signals([int(number) for number in HELD_SIGNALS])
    poll = select.poll()
    poll.register(birth.bell, select.POLLIN)
    poll.register(birth.line, 0)
    poll.register(signals, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        rung = birth.bell in ready
        if rung:
            os.eventfd_read(birth.bell)  # before the look at the line: it may be rung again right after that
        spin_until = time.monotonic() + (_SPIN_SECONDS if rung else 0)
        while True:
            try:
                work = Work.receive(birth.line)
            except BlockingIOError:
                if rung and rehearsed is not None:
                    child.rehearse_again(rehearsed)
                    rehearsed = None
                if time.monotonic() >= spin_until:
                    break
            else:
                os.close(signals)
                return work
        if signals in ready:
            # They are for everybody in the group, if this is nobody's child yet. If it has just become one, they may
            # be for it: then they are put back.
            taken = os.read(signals, _SIGNAL_BYTES)
            with contextlib.suppress(BlockingIOError):
                work = Work.receive(birth.line)
                for offset in range(0, len(taken), _SIGNAL_BYTES // 64):
                    os.kill(os.getpid(), int.from_bytes(taken[offset : offset + 4], sys.byteorder))
                os.close(signals)
                return work


def _seed_apart() -> None:
    """Give numpy's global generator a seed of its own in each child; ``random`` does so by itself at a fork."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
