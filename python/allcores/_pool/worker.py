"""A worker: takes one task after the other, and replies to each once."""

from __future__ import annotations

import sys

from allcores import _core
from allcores._pool import failure
from allcores._pool.marks import BREAKING, BROKEN, BY_VALUE, FAILURE, INITIALIZER_EXIT_CODE, POOL, RESULT
from allcores._pool.tasks import opened, run
from allcores._zygote.threads import limit_threads

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterable
    from typing import Any

    from allcores._in_arena import Channel
    from allcores._pool.claim import Claim

__all__ = ["do_next", "work"]

_OWN_FRAMES = 2


def work(
    tasks: Channel,
    results: Channel,
    claim: Claim,
    threads: int | None,
    initializer: Callable[..., object] | None,
    initargs: Iterable[Any],
    most_tasks: int | None,
    kind: int = POOL,
) -> None:
    """Be a worker until there are no tasks any more, or for so many of them; with so many threads of BLAS at most."""
    if threads is not None:
        limit_threads(threads)
    if initializer is not None:
        try:
            initializer(*initargs)
        except BaseException as error:
            if kind != POOL:
                failure.log_as_executor()
            _core.put_labelled(results, failure.describe(error, 1), 0, BROKEN, False)
            sys.exit(INITIALIZER_EXIT_CODE)
    done = 0
    while done != most_tasks:
        try:
            if not do_next(tasks, results, claim, None, kind):
                break
            done += 1
        except KeyboardInterrupt as interrupt:
            # Ctrl-C reaches everybody at the terminal, at any instruction; who has no task lets the parent decide.
            done += _reply_failure(results, claim, interrupt)
    claim._clear()


def do_next(tasks: Channel, results: Channel, claim: Claim, timeout: float | None = None, kind: int = POOL) -> bool:
    """Do the next task; False when there will be none, or none within so many seconds."""
    is_open = False
    try:
        taken = _core.claim_task(tasks, claim, timeout)
        if taken is None:
            return False
        number, mark, task = taken
        if mark & BY_VALUE:
            mark, task = opened(mark, task)
        is_open = True
        result = run(mark, task)
    except BaseException as error:
        if (kind == BREAKING and not is_open) or not _reply_failure(results, claim, error):
            raise
        return True
    del taken, task
    try:
        _core.put_labelled(results, result, number, RESULT, True)
    except Exception as error:
        told = failure.encoding_error(error, result) if kind == POOL else failure.describe(error, 1)
        _core.put_labelled(results, told, number, FAILURE, False)
    except BaseException as error:  # raised while it was pickled, and by that
        _reply_failure(results, claim, error)
    return True


def _reply_failure(results: Channel, claim: Claim, error: BaseException) -> bool:
    """Say what the task that is noted has raised; a second reply to the same one is ignored. False: there is none."""
    noted = claim._noted()
    if noted is None or noted[0] == 0:
        return False
    _core.put_labelled(results, failure.describe(error, _OWN_FRAMES), noted[0], FAILURE, False)
    return True
