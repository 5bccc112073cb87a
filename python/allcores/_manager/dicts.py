"""A manager's dict, in shared memory."""

from __future__ import annotations

from collections.abc import MutableMapping

from allcores._manager.in_session import TableProxy
from allcores._manager.proxies import PROXIES
from allcores._manager.shared_dict import SharedDict

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterator
    from typing import Any

    from allcores._manager.ending import Ending

    class _DictProxy: ...

else:
    _DictProxy = PROXIES["DictProxy"]

__all__ = ["MAKERS", "DictProxy"]


class DictProxy(TableProxy, SharedDict, _DictProxy):
    """A `SharedDict` that a manager hands out: it is not to be used any more when that was shut down."""

    _typeid = "dict"

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


def _dict(ending: Ending, /, *args: Any, **kwargs: Any) -> DictProxy:
    if kwargs.get("nested") is True:
        from allcores._manager.nested import NestedDictProxy

        del kwargs["nested"]
        return NestedDictProxy.made(ending.event, dict(*args, **kwargs))
    return DictProxy.made(ending.event, dict(*args, **kwargs))


MAKERS: dict[str, Callable[..., Any]] = {"dict": _dict}
"""Type of a manager: what makes one, of the manager's ending and the arguments of the user's."""
