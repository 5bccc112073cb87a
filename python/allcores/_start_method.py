"""The start method in force: what was chosen, by whomever, and whether it can still be changed."""

from __future__ import annotations

import sys
from multiprocessing.context import BaseContext

from allcores import _standard

__all__ = ["StartMethodChoice", "choice", "effective_start_method"]


class StartMethodChoice:
    """The start method in force, kept in the standard library's own default context.

    There, "nobody has chosen" turns into the interpreter's default as soon as any library makes a lock. So that this
    can be told from a choice of the user's, the default there is a twin of the concrete context: same class and name,
    another object. ``settled`` remembers that *our* default was used, after which it cannot be changed without force;
    the standard library's state is not touched by that, so other libraries keep the default they were written for.
    """

    def __init__(self) -> None:
        self._standard = _standard.default_context
        self._settled = False
        original: BaseContext = self._standard._default_context
        self._twin = type(original)()
        self._standard._default_context = self._twin
        if self._standard._actual_context is original:
            self._standard._actual_context = self._twin

    @property
    def standard_default(self) -> BaseContext:
        """What the standard library uses while nobody has chosen."""
        default: BaseContext = self._twin
        return default

    def replace_standard_default(self, default: BaseContext) -> None:
        """Let the standard library use another context, which is in no table, while nobody has chosen."""
        if self._standard._actual_context is self._twin:
            self._standard._actual_context = default
        self._standard._default_context = self._twin = default

    def explicit(self) -> str | None:
        """Return the name of the start method that was chosen, None while it was left to the default."""
        actual = self._standard._actual_context
        return None if actual is None or actual is self._twin else actual._name

    def settle(self) -> None:
        """Note that the default was used."""
        self._settled = True

    @property
    def is_settled(self) -> bool:
        """True when the start method was chosen or its default was used, by us or by another library."""
        return self._settled or self._standard._actual_context is not None

    def choose(self, context: BaseContext | None) -> None:
        """Set the start method, or with None go back to nobody having chosen."""
        self._standard._actual_context = context
        self._settled = False

    def restore(self, name: str | None) -> None:
        """Take over what `explicit` returned in another process."""
        if name is None:
            self.choose(None)
        else:
            self._standard.set_start_method(name, force=True)
            self._settled = False


choice = StartMethodChoice()


def effective_start_method() -> str:
    """Return the start method that is used here, though it may be another one later."""
    context = sys.modules["allcores.context"]  # from the floor above, which is there before anything can be started
    default: str = vars(context)["_default_context"]._default_context._name
    return choice.explicit() or default
