"""Waiting for a descriptor in a coroutine, where several coroutines may wait for the same one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing asyncio costs more than multiprocessing itself
    import asyncio

__all__ = ["readable"]

_waiting: dict[tuple[asyncio.AbstractEventLoop, int], list[asyncio.Future[None]]] = {}


async def readable(descriptor: int) -> None:
    """Return when a descriptor is readable, or may be: others have been woken, too."""
    import asyncio

    loop = asyncio.get_running_loop()
    future = loop.create_future()
    waiting = _waiting.setdefault((loop, descriptor), [])
    waiting.append(future)
    if len(waiting) == 1:
        loop.add_reader(descriptor, _wake, waiting)
    try:
        await future
    finally:
        waiting.remove(future)
        if not waiting:
            loop.remove_reader(descriptor)
            del _waiting[loop, descriptor]


def _wake(waiting: list[asyncio.Future[None]]) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(None)
