"""News: surroundings that a child has met, for the zygote to give them to the next spares."""

from __future__ import annotations

import contextlib

from allcores import _core

__all__ = ["receive_news", "send_news"]

_LONGEST_BYTES = 16 * 1024


def send_news(news: int, surroundings: bytes) -> None:
    """Tell the zygote of surroundings that it has not got; if that is too long or too much, it goes without."""
    if len(surroundings) <= _LONGEST_BYTES:
        with contextlib.suppress(BlockingIOError):
            _core.send_message(news, surroundings, [], wait=False)


def receive_news(news: int) -> bytes:
    """Return surroundings that a child has met. BlockingIOError when there are none."""
    return _core.receive_message(news, _LONGEST_BYTES, wait=False)[0]
