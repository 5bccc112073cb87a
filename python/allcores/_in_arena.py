"""Objects of the session's shared memory, as Python has them: with a name, and a pickle that says where they are."""

from __future__ import annotations

from allcores import _arena, _core
from allcores.errors import HandleError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

__all__ = ["Channel", "InArena", "checked_name", "gone"]


class InArena:
    """What all of them have: a name, a place that every process of the session finds, and a pickle that says both."""

    if TYPE_CHECKING:

        def _address(self) -> _core._Address: ...
        def _name(self) -> str | None: ...
        def _waiters(self) -> int: ...

    def __reduce__(self) -> Any:
        arguments = (type(self), self._address(), self._state())
        name = self._name()
        return _arena.reduce(_rebuild, arguments if name is None else (*arguments, name), self, self._address())

    def _state(self) -> tuple[Any, ...]:
        """What its class is made of, besides the address."""
        return ()

    def __copy__(self) -> Any:
        return _rebuild(type(self), self._address(), self._state())

    def _title(self, kind: str) -> str:
        name = self._name()
        return f"<{kind}" if name is None else f"<{kind} {name!r}"


def _rebuild(cls: Any, address: _core._Address, state: tuple[Any, ...], name: str | None = None) -> Any:
    try:
        return cls._at(address, *state)
    except HandleError as error:
        kind = "queue or pipe" if cls is Channel else cls.__name__
        raise gone(kind if name is None else f"{kind.partition(' ')[0]} {name!r}", error) from None


def gone(title: str, error: HandleError) -> HandleError:
    """Say of what a handle means no more what it was, and what helps."""
    text = str(error)
    if "is no more" in text:
        text += (
            ". Whoever made it or sent it has ended, or let it go, before it was received here, and nobody else has "
            "kept it: keep a reference in a process that lives as long as it is needed, for instance in the parent"
        )
    return HandleError(f"the {title} is not there: {text}")


def checked_name(name: str | None) -> str | None:
    """Return what an object is to be called. TypeError when that is no name."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str or None, not {name!r}")
    return name


class Channel(InArena, _core.Channel):
    """A channel (``src/channel/README.md``) that can be pickled."""

    if TYPE_CHECKING:

        def _put_object(self, obj: Any) -> None:
            """Put an object; without the other parameters, as SimpleQueue has it."""

        def _get_object(self) -> Any:
            """Get an object; wait until there is one."""

    def __new__(
        cls,
        capacity: int = 0,
        max_bytes: int = 0,
        name: str | None = None,
        *,
        address: _core._Address | None = None,
    ) -> Any:
        return super().__new__(cls, capacity, max_bytes, checked_name(name), address)

    @classmethod
    def _at(cls, address: _core._Address) -> Any:
        return cls.__new__(cls, address=address)


_core.add_fast_channel_methods(Channel)
