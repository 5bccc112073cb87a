"""A manager's list, in shared memory."""

from __future__ import annotations

from collections.abc import MutableSequence

from allcores import _core
from allcores._manager.in_session import TableProxy
from allcores._manager.proxies import PROXIES
from allcores._manager.shared_list import SharedList

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Iterable
    from typing import Any

    from allcores._manager.ending import Ending

    class _ListProxy: ...

else:
    _ListProxy = PROXIES["ListProxy"]

__all__ = ["MAKERS", "ListProxy"]


class ListProxy(TableProxy, SharedList, _ListProxy):
    """A `SharedList` that a manager hands out: it is not to be used any more when that was shut down."""

    _typeid = "list"

    @classmethod
    def made(cls, end: Any, content: list[Any]) -> ListProxy:
        """Make one that ends with an event."""
        made: ListProxy = _core.List.__new__(cls, None, None, end)
        if content:
            made.extend(content)
        return made


MutableSequence.register(ListProxy)


def _list(ending: Ending, iterable: Iterable[Any] = (), /) -> ListProxy:
    return ListProxy.made(ending.event, list(iterable))


MAKERS: dict[str, Callable[..., Any]] = {"list": _list}
"""Type of a manager: what makes one, of the manager's ending and the arguments of the user's."""
