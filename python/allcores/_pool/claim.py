"""Which task a worker has, where its parent can read it when the worker has died."""

from __future__ import annotations

from allcores import _core
from allcores._in_arena import InArena

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

__all__ = ["Claim"]


class Claim(InArena, _core.Claim):
    """A record in the session's shared memory, for one worker (``src/channel/README.md``: claims)."""

    def __new__(cls, *, address: _core._Address | None = None) -> Any:
        return super().__new__(cls, address)

    @classmethod
    def _at(cls, address: _core._Address) -> Any:
        return cls.__new__(cls, address=address)
