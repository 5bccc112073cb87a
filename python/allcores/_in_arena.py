"""Objects of the session's shared memory, as Python has them: with a name, and a pickle that says where they are."""

from __future__ import annotations

from allcores import _arena, _core

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

__all__ = ["Channel", "InArena"]


class InArena:
    """What all of them have: a name, a place that every process of the session finds, and a pickle that says both."""

    if TYPE_CHECKING:

        def _address(self) -> _core._Address: ...
        def _name(self) -> str | None: ...
        def _waiters(self) -> int: ...

    def __reduce__(self) -> Any:
        return _arena.reduce(_rebuild, (type(self), self._address(), self._state()), self, self._address())

    def _state(self) -> tuple[Any, ...]:
        """What its class is made of, besides the address."""
        return ()

    def __copy__(self) -> Any:
        return _rebuild(type(self), self._address(), self._state())

    def _title(self, kind: str) -> str:
        name = self._name()
        return f"<{kind}" if name is None else f"<{kind} {name!r}"


def _rebuild(cls: Any, address: _core._Address, state: tuple[Any, ...]) -> Any:
    return cls._at(address, *state)


class Channel(InArena, _core.Channel):
    """A channel (``src/channel/README.md``) that can be pickled."""

    def __new__(
        cls,
        capacity: int = 0,
        max_bytes: int = 0,
        name: str | None = None,
        *,
        address: _core._Address | None = None,
    ) -> Any:
        return super().__new__(cls, capacity, max_bytes, name, address)

    @classmethod
    def _at(cls, address: _core._Address) -> Any:
        return cls.__new__(cls, address=address)
