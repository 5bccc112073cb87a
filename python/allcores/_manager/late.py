"""A manager whose server is started when something needs it, which what lives in shared memory does not."""

from __future__ import annotations

import os
import threading
import weakref
from multiprocessing import managers as _std

from allcores._manager.ending import Ending, ended

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

    _Base = Any
else:
    _Base = object

__all__ = ["StartsLate", "in_session", "start_all"]

_State: Any = vars(_std)["State"]


class StartsLate(_Base):  # type: ignore[misc]
    """Mixed into a manager of the usual types.

    Where it has an address, or is asked to call an initializer, or has types of its own, the server is started with it.
    """

    if TYPE_CHECKING:
        _ctx: Any

    _makes: Any
    """The context that makes what objects consist of."""
    _ending: Ending | None = None
    _begun: Any = None
    """The server's process, which is not started yet."""

    def _is_usual(self) -> bool:
        raise NotImplementedError

    def start(self, initializer: Any = None, initargs: Any = ()) -> None:
        """Have objects be made from now on. ``initializer(*initargs)`` is called in the server's process first."""
        has_address = self.__dict__["_address_there"] is not None
        if self._state.value != _State.INITIAL or has_address or not self._have_ending():
            super().start(initializer, initargs)
            return
        if initializer is not None or not self._is_usual():
            super().start(initializer, initargs)
            self._finalizer = self.__dict__.pop("shutdown")
            return
        self._begun, self._begun_by = self._ctx.Process(), os.getpid()
        self._starting = threading.Lock()
        self._state.value = _State.STARTED
        _late.add(self)

    def _have_ending(self) -> bool:
        try:
            self._ending = Ending(self._makes)
        except OSError:  # a program that may have no long files: everything is the server's
            return False
        return True

    def _start_server(self) -> None:
        """Start it, unless it is."""
        if self._begun is None:
            return
        with self._starting:
            if self._begun is None:
                return
            process, self._begun = self._begun, None
            context = self._ctx
            if self._begun_by == os.getpid():
                self._ctx = _Begun(process)
            self._state.value = _State.INITIAL
            try:
                super().start()
            except BaseException:
                self._state.value, self._begun = _State.STARTED, process
                raise
            finally:
                self._ctx = context
            self._finalizer = self.__dict__.pop("shutdown")

    def _create(self, typeid: str, /, *args: Any, **kwds: Any) -> Any:
        if self._state.value == _State.SHUTDOWN:
            raise ended(typeid)
        return super()._create(typeid, *args, **kwds)

    @property
    def _address(self) -> Any:
        self._start_server()
        return self.__dict__["_address_there"]

    @_address.setter
    def _address(self, address: Any) -> None:
        self.__dict__["_address_there"] = address

    @property
    def _process(self) -> Any:
        self._start_server()
        return self.__dict__["_process_there"]

    @_process.setter
    def _process(self, process: Any) -> None:
        self.__dict__["_process_there"] = process

    def shutdown(self) -> None:
        """End it: whoever uses an object of its from now on, or waits for one, gets `ManagerEndedError`."""
        try:
            if self._ending is not None:
                self._ending.come()
        finally:
            self._end_server()

    def _end_server(self) -> None:
        if self._begun is not None:
            self._begun, self._process = None, None
            self._state.value = _State.SHUTDOWN
        elif "_finalizer" in self.__dict__:
            self._finalizer()

    def _make(self, make: Callable[..., Any], typeid: str, args: Any, kwargs: Any) -> Any:
        if self._state.value == _State.SHUTDOWN:
            raise ended(typeid)
        return make(self._ending, *args, **kwargs)


class _Begun:
    """In the place of a context: its process was made before."""

    def __init__(self, process: Any) -> None:
        self._process = process

    def Process(self, target: Any, args: Any) -> Any:
        vars(self._process).update(_target=target, _args=args)
        return self._process


_late: weakref.WeakSet[Any] = weakref.WeakSet()


def start_all() -> None:
    """Start the servers that are not yet: a child that is forked may ask them, too."""
    for manager in list(_late):
        if manager._state.value == _State.STARTED and manager._begun is not None and manager._begun_by == os.getpid():
            manager._start_server()


def in_session(typeid: str, make: Callable[..., Any], by_server: Callable[..., Any]) -> Callable[..., Any]:
    """Return a manager's method that makes an object in shared memory, or in the server if the manager has none."""

    def method(self: StartsLate, /, *args: Any, **kwds: Any) -> Any:
        if self._ending is None:
            return by_server(self, *args, **kwds)
        return self._make(make, typeid, args, kwds)

    method.__name__ = typeid
    return method
