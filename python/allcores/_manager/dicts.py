"""A manager's dict, in shared memory."""

from __future__ import annotations

from collections.abc import MutableMapping

from allcores import _core
from allcores._manager.in_session import TableProxy
from allcores._manager.proxies import PROXIES
from allcores._manager.shared_dict import SharedDict

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from allcores._manager.ending import Ending

    class _DictProxy: ...

else:
    _DictProxy = PROXIES["DictProxy"]

__all__ = ["MAKERS", "DictProxy", "NestedDictProxy"]


class DictProxy(TableProxy, SharedDict, _DictProxy):
    """A `SharedDict` that a manager hands out: it is not to be used any more when that was shut down."""

    _typeid = "dict"

    @classmethod
    def made(cls, end: Any, content: Mapping[Any, Any]) -> DictProxy:
        """Make one that ends with an event."""
        made: DictProxy = _core.Table.__new__(cls, None, None, end)
        if content:
            made.update(content)
        return made

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the keys. RuntimeError when the dict has got longer or shorter meanwhile."""
        size = len(self)
        return self._unchanged(size, super().__iter__())

    def _unchanged(self, size: int, keys: Iterator[Any]) -> Iterator[Any]:
        while True:
            if len(self) != size:
                raise RuntimeError("dictionary changed size during iteration")
            try:
                key = next(keys)
            except StopIteration:
                return
            yield key


MutableMapping.register(DictProxy)


class NestedDictProxy(DictProxy):
    """A dict whose plain dicts become shared ones as they are stored: ``d["a"]["b"] = 1`` changes what is in there."""

    _end: Any
    """Its manager's end."""

    @classmethod
    def made(cls, end: Any, content: Mapping[Any, Any]) -> DictProxy:
        """Make one, and of the dicts in it further ones."""
        made: Any = _core.Table.__new__(cls, None, None, end)
        made._end = end
        made.update(content)
        return made  # type: ignore[no-any-return]

    @classmethod
    def _at(cls, address: _core._Address, end: Any = None) -> Any:
        made = super()._at(address)
        made._end = end
        return made

    def _state(self) -> tuple[Any, ...]:
        return (self._end,)

    def _as_stored(self, value: Any) -> Any:
        return NestedDictProxy.made(self._end, value) if type(value) is dict else value

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, self._as_stored(value))

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        """Return a key's value; without one insert ``default``, and return that, shared."""
        return super().setdefault(key, self._as_stored(default) if key not in self else None)

    def compare_and_set(self, key: Any, old: Any, new: Any, /) -> bool:
        """Set a key to ``new``, shared, if its value equals ``old``; whether it did."""
        return super().compare_and_set(key, old, self._as_stored(new))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Take over keys and values, shared, all at one moment."""
        super().update({key: self._as_stored(value) for key, value in dict(*args, **kwargs).items()})

    def __repr__(self) -> str:
        """Show what it is, as the standard library's proxies do."""
        return f"{self._title('DictProxy')} object, typeid 'dict' at {id(self):#x}>"

    def _getvalue(self) -> dict[Any, Any]:
        """Return a dict, of dicts."""
        own = self.copy()
        return {key: value._getvalue() if type(value) is NestedDictProxy else value for key, value in own.items()}

    def _text(self) -> str:
        return repr(self._getvalue())


def _dict(ending: Ending, /, *args: Any, **kwargs: Any) -> DictProxy:
    if kwargs.get("nested") is True:
        del kwargs["nested"]
        return NestedDictProxy.made(ending.event, dict(*args, **kwargs))
    return DictProxy.made(ending.event, dict(*args, **kwargs))


MAKERS: dict[str, Callable[..., Any]] = {"dict": _dict}
"""Type of a manager: what makes one, of the manager's ending and the arguments of the user's."""
