"""``m.dict(nested=True)``: plain dicts and lists that are stored in it become shared ones, which nest likewise."""

from __future__ import annotations

from allcores import _core
from allcores._manager.dicts import DictProxy
from allcores._manager.in_session import TableProxy
from allcores._manager.lists import ListProxy

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterable, Mapping
    from typing import Any, Self

__all__ = ["NestedDictProxy", "NestedListProxy"]


class _Nested(TableProxy):
    """What both have: their manager's end, for what they make of what is stored; a value that is plain throughout."""

    if TYPE_CHECKING:

        def _title(self, kind: str) -> str: ...
        def _getvalue(self) -> Any: ...

    _end: Any

    @classmethod
    def _at(cls, address: _core._Address, end: Any = None) -> Any:
        made: Any = super()._at(address)  # type: ignore[misc]
        made._end = end
        return made

    def _state(self) -> tuple[Any, ...]:
        return (self._end,)

    def _as_stored(self, value: Any) -> Any:
        if type(value) is dict:
            return NestedDictProxy.made(self._end, value)
        return NestedListProxy.made(self._end, value) if type(value) is list else value

    def __repr__(self) -> str:
        kind = self._typeid
        return f"{self._title(f'{kind.title()}Proxy')} object, typeid {kind!r} at {id(self):#x}>"

    def _text(self) -> str:
        return repr(self._getvalue())


def _plain(value: Any) -> Any:
    return value._getvalue() if isinstance(value, _Nested) else value


class NestedDictProxy(_Nested, DictProxy):
    """A dict in which ``d["a"]["b"] = 1`` changes what is in there."""

    @classmethod
    def made(cls, end: Any, content: Mapping[Any, Any]) -> Self:
        """Make one that ends with an event."""
        made = _core.Table.__new__(cls, None, None, end)
        made._end = end
        made.update(content)
        return made

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, self._as_stored(value))

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        """Return a key's value; without one insert ``default``, and return that, shared."""
        return super().setdefault(key, self._as_stored(default))

    def compare_and_set(self, key: Any, old: Any, new: Any, /) -> bool:
        """Set a key to ``new``, shared, if its value equals ``old``; whether it did."""
        return super().compare_and_set(key, old, self._as_stored(new))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Take over keys and values, shared, all at one moment."""
        super().update({key: self._as_stored(value) for key, value in dict(*args, **kwargs).items()})

    def _getvalue(self) -> dict[Any, Any]:
        return {key: _plain(value) for key, value in self.copy().items()}


class NestedListProxy(_Nested, ListProxy):
    """A list in such a dict."""

    @classmethod
    def made(cls, end: Any, content: list[Any]) -> NestedListProxy:
        """Make one that ends with an event."""
        made: NestedListProxy = _core.List.__new__(cls, None, None, end)
        made._end = end
        made.extend(content)
        return made

    def __setitem__(self, index: Any, value: Any) -> None:
        is_slice = isinstance(index, slice)
        super().__setitem__(index, [self._as_stored(item) for item in value] if is_slice else self._as_stored(value))

    def append(self, value: Any, /) -> None:
        """Add an item at the end, shared."""
        super().append(self._as_stored(value))

    def extend(self, iterable: Iterable[Any], /) -> None:
        """Add items at the end, shared, all at one moment."""
        super().extend([self._as_stored(item) for item in iterable])

    def insert(self, index: Any, value: Any, /) -> None:
        """Put an item before the one that has this index, shared."""
        super().insert(index, self._as_stored(value))

    def _getvalue(self) -> list[Any]:
        return [_plain(item) for item in self.copy()]
