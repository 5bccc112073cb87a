"""What a pool's methods return: a result that comes, of one call or of many."""

from __future__ import annotations

from multiprocessing import TimeoutError, pool as _std

from allcores._pool.descriptions import in_short, name_of
from allcores._pool.waiting import Waiter

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

    from allcores._pool.room import Room

__all__ = ["ApplyResult", "MapResult"]

# Not by its name, under which install() may put ours in the standard module.
_StdApplyResult: Any = _std.ApplyResult


class ApplyResult(Waiter, _StdApplyResult):  # type: ignore[misc]  # of a class that stubs have, by another name
    """The result of one call, from `Pool.apply_async`."""

    _ready = False
    _call: tuple[Any, Any] | None = None
    """Function and arguments, to be shown in errors, while it is not there."""
    _callback: Callable[[Any], object] | None = None
    _error_callback: Callable[[BaseException], object] | None = None
    _room: Room | None = None
    """Which is to be told when it has come, if its arguments are large."""
    _success: bool
    _value: Any

    def __init__(
        self,
        pool: Any,
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> None:
        self._pool, self._engine = pool, pool._engine
        if callback is not None or error_callback is not None:
            self._callback, self._error_callback = callback, error_callback
            self._follows = True

    def ready(self) -> bool:
        """Return whether it is there."""
        if not self._ready:
            self._engine.look()
        return self._ready

    def successful(self) -> bool:
        """Return whether the call has returned, and not raised. ValueError when it has not done either."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._success

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is there, or for so many seconds."""
        if not self._ready:
            self._engine.wait(self, timeout)

    def get(self, timeout: float | None = None) -> Any:
        """Return what the call has returned, or raise what it has raised; TimeoutError after so many seconds."""
        if not self._ready and not self._engine.wait(self, timeout):
            raise TimeoutError
        if self._success:
            return self._value
        try:
            raise self._value
        finally:
            self = None  # type: ignore[assignment]  # the traceback keeps this frame

    def _arrive(self, number: int, success: bool, value: Any) -> None:
        """Take a reply. The engine says so again when a signal handler has interrupted this, at any instruction."""
        if not self._ready:
            self._success, self._value = success, value
            if self._room is not None:
                self._room.arrived(number)
            self._settle()
        elif self._latches:
            self._wake()

    def _has_arrived(self, number: int) -> bool:
        """Return whether the reply to this task has come."""
        return "_success" in vars(self)

    def _settle(self) -> None:
        """Have what there is to be called called first, if anything is."""
        if self._follows:
            self._engine.callbacks.call(self)
        else:
            self._be_ready()

    def _be_ready(self) -> None:
        self._call = None
        self._ready = True
        self._pool = None
        if self._latches:
            self._wake()

    def _describe(self, number: int) -> str:
        """Say in short which task this is."""
        if self._call is None:
            return "?"
        function, arguments = self._call
        shown = "…" if arguments is None else ", ".join(map(in_short, arguments))
        return f"{name_of(function)}({shown})"


class MapResult(ApplyResult):
    """The results of many calls, from `Pool.map_async`."""

    def __init__(
        self,
        pool: Any,
        chunksize: int | None,
        length: int,
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> None:
        super().__init__(pool, callback, error_callback)
        self._success, self._value = True, [None] * length
        self._first = 0
        self._starts: list[int] = []
        self._left: set[int] = set()

    def _be_ready(self) -> None:
        self._sent_once = None  # the memory in which a long pickle of the function lay
        super()._be_ready()

    def _expect(self, first: int, lengths: list[int]) -> None:
        """Expect replies to tasks with these numbers, each a part of such a length."""
        self._first = first
        at = 0
        for length in lengths:
            self._starts.append(at)
            at += length
        self._starts.append(at)
        self._left = set(range(first, first + len(lengths)))

    def _has_arrived(self, number: int) -> bool:
        return number not in self._left

    def _arrive(self, number: int, success: bool, value: Any) -> None:
        if number in self._left:
            if success and self._success:
                start, stop = self._starts[number - self._first], self._starts[number - self._first + 1]
                if stop - start == 1:
                    self._value[start] = value[0]
                else:
                    self._value[start:stop] = value
            elif not success and self._success:
                self._success, self._value = False, value  # the first one that fails
            self._left.discard(number)
        if self._room is not None:
            self._room.arrived(number)  # only now: who has sent a task tells the room of it, unless it is not left
        if not self._left:  # also when it was the last one whose reply comes again: see above
            if not self._ready:
                self._settle()
            elif self._latches:
                self._wake()

    def _describe(self, number: int) -> str:
        if self._call is None:
            return "?"
        start, stop = self._starts[number - self._first], self._starts[number - self._first + 1]
        which = f"item {start}" if stop - start == 1 else f"items {start} to {stop - 1}"
        return f"{name_of(self._call[0])} for {which} of {self._starts[-1]}"
