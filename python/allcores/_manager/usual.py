"""The usual types of a manager that live in shared memory. All others are the server's."""

from __future__ import annotations

from allcores._manager import arrays, dicts, lists, sets, values, waited_for

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

__all__ = ["MAKERS"]

MAKERS: dict[str, Callable[..., Any]] = {
    **dicts.MAKERS,
    **lists.MAKERS,
    **sets.MAKERS,
    **values.MAKERS,
    **arrays.MAKERS,
    **waited_for.MAKERS,
}
"""Type: what makes one, of the manager's ending and the arguments of the user's. A further type has its line here."""
