"""``allcores.queues``: Queue, JoinableQueue and SimpleQueue.

They are channels in the session's shared memory (``src/channel/README.md``). There is no thread
behind them: `put` pickles its argument itself, so what cannot be pickled is an error there, and what was put is there
for everybody when it returns. Nothing is lost or stuck when a process is killed, whatever it was doing. Large buffers,
such as arrays, are copied once. The semantics are else those of ``multiprocessing.queues``, whose classes these are
subclasses of.

>>> from allcores import Queue
>>> queue = Queue()
>>> queue.put(("answer", 42))
>>> queue.qsize(), queue.get()
(1, ('answer', 42))
"""

from __future__ import annotations

import queue as _threads_queue
import threading
from multiprocessing import queues as _std
from queue import Empty, Full
from types import GenericAlias

from allcores._in_arena import Channel
from allcores._readable import readable
from allcores.synchronize import _SEM_VALUE_MAX

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterable, Iterator
    from multiprocessing.queues import (
        JoinableQueue as _StdJoinableQueue,
        Queue as _StdQueue,
        SimpleQueue as _StdSimpleQueue,
    )
    from typing import Any, TypeVar

    _T = TypeVar("_T")
else:
    # The standard library's, which are generic in the stubs alone before Python 3.12.
    _T = None
    _StdQueue, _StdJoinableQueue, _StdSimpleQueue = {_T: _std.Queue}, {_T: _std.JoinableQueue}, {_T: _std.SimpleQueue}

__all__ = ["Empty", "Full", "JoinableQueue", "Queue", "ShutDown", "SimpleQueue"]

if TYPE_CHECKING or not hasattr(_threads_queue, "ShutDown"):

    class ShutDown(Exception):
        """Nothing can be put any more, or got: the queue was shut down. `queue.ShutDown` in Python 3.13."""

else:
    ShutDown = _threads_queue.ShutDown


class _End:
    """One end of a queue, as far as programs look at the pipe that the standard library's queues have."""

    def __init__(self, channel: Channel) -> None:
        self._channel, self.closed = channel, False

    def close(self) -> None:
        """Note that this process does not use this end any more; the queue it still may."""
        self.closed = True

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is something to get: see `Queue.fileno`."""
        return self._channel._listen(False)

    def send(self, obj: Any) -> None:
        """Put an object."""
        self._assert_open()
        self._channel.put(obj)

    def recv(self) -> Any:
        """Get an object."""
        self._assert_open()
        return self._channel.get()

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Wait ``timeout`` seconds at most until there is something to get; True when there is."""
        self._assert_open()
        return self._channel._poll(timeout) and self._channel._length() > 0

    def _assert_open(self) -> None:
        if self.closed:
            raise OSError("handle is closed")


class _OnChannel:
    """What all of them have: a channel, its two ends, and its methods where a subclass has none instead of them."""

    def _attach(self, channel: Channel) -> None:
        self._channel = channel
        self._reader, self._writer = _End(channel), _End(channel)

    def _shorten(self, base: type, hooks: tuple[str, ...], put: Any, get: Any) -> None:
        """Have methods of the channel's for its own, without a frame of Python's in between."""
        if all(getattr(type(self), name) is vars(base)[name] for name in hooks):  # or they would hide a subclass's
            vars(self).update(put=put, get=get)

    def _detach(self) -> None:
        self._reader.closed = self._writer.closed = True
        vars(self).pop("put", None)
        vars(self).pop("get", None)

    def _describe(self, bounds: str) -> str:
        """Say what it is called, whether it is shut down or closed, how many objects it has, how many threads wait."""
        channel = self._channel
        state = (" shut down" if channel._is_shut() else "") + (" closed" if self._reader.closed else "")
        title = channel._title(type(self).__name__)
        return f"{title}{state} size={channel._length()}{bounds} waiters={channel._waiters()}>"


class Queue(_OnChannel, _StdQueue[_T]):
    """A queue of objects that any process and thread puts into and gets from; see the module.

    ``maxsize`` is how many objects there can be, above 0; otherwise any number. ``maxbytes`` is a bound for their bytes
    in all, a multiple of 8 or what it is rounded up to. What counts is each object as it travels, large buffers too
    (bytes as they are, an int in 9 bytes, what is not plain as its pickle), and 8 to 15 more for each: below the bound
    there is room for one more, however large. With both, whichever comes first. ``name`` is shown in `repr`.

    Objects of one producer are got in the order in which it has put them, those of several in the order of their puts.
    """

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, maxsize: int = 0, *, maxbytes: int = 0, ctx: Any = None, name: str | None = None) -> None:
        """Make an empty one. ``ctx`` is taken as the standard library takes it."""
        channel = Channel(max(0, min(maxsize, _SEM_VALUE_MAX)), max(0, maxbytes), name)
        self._have(maxsize if maxsize > 0 else _SEM_VALUE_MAX, channel)

    def _have(self, maxsize: int, channel: Channel) -> None:
        self._maxsize, self._closed = maxsize, False
        self._attach(channel)
        self._shorten(Queue, ("put", "get", "_on_queue_feeder_error"), channel.put, channel.get)

    def __getstate__(self) -> Any:
        """Travel to any process of the session, through a queue, too."""
        return self._maxsize, self._channel

    def __setstate__(self, state: Any) -> None:
        """Be a handle to the queue that was sent."""
        if len(state) == 2:
            self._have(*state)
        else:
            from allcores._queue_of_pipe import PipeChannel  # only now: it is rarely met

            kind = JoinableQueue.__bases__[1] if isinstance(self, JoinableQueue) else Queue.__bases__[1]
            channel: Any = PipeChannel(kind, state)
            self._have(state[1], channel)

    def put(self, obj: _T, block: bool = True, timeout: float | None = None) -> None:
        """Put an object. `queue.Full` when there was no room in ``timeout`` seconds, or at once unless ``block``.

        What the object's pickling raises is raised here, and nothing is put.
        """
        self._assert_open()
        try:
            self._channel.put(obj, block, timeout)
        except (Full, ShutDown):
            raise
        except Exception as error:
            self._on_queue_feeder_error(error, obj)

    def get(self, block: bool = True, timeout: float | None = None) -> _T:
        """Get an object. `queue.Empty` when there was none in ``timeout`` seconds, or at once unless ``block``."""
        self._assert_open()
        obj: _T = self._channel.get(block, timeout)
        return obj

    def put_nowait(self, obj: _T) -> None:
        """Put an object, or raise `queue.Full` at once."""
        return self.put(obj, False)

    def get_nowait(self) -> _T:
        """Get an object, or raise `queue.Empty` at once."""
        return self.get(False)

    def qsize(self) -> int:
        """Return how many objects there are; exact unless others put or get just then."""
        return self._channel._length()

    def empty(self) -> bool:
        """Tell whether there is nothing to get just now."""
        return self._channel._length() == 0

    def full(self) -> bool:
        """Tell whether there is no room just now."""
        return self._channel._is_full()

    def put_many(self, objects: Iterable[_T], block: bool = True, timeout: float | None = None) -> None:
        """Put objects in their order, faster than one by one. What pickling them raises is raised before any is put.

        `queue.Full` when there was no room for all in ``timeout`` seconds, or at once unless ``block``; its first
        argument says how many were put.
        """
        self._assert_open()
        objects = list(objects)
        count = self._channel.put_many(objects, block, timeout)
        if count < len(objects):
            raise Full(count)

    def get_many(self, most: int | None = None, block: bool = True, timeout: float | None = None) -> list[_T]:
        """Get what there is, ``most`` objects at most, faster than one by one; waits for the first one as `get`.

        When unpickling one fails, that error is raised, and has the other objects in its attribute ``got``.
        """
        self._assert_open()
        if isinstance(most, int) and most < 0:
            raise ValueError(f"most must be 0 or above, or None for all that there is, not {most}")
        return self._channel.get_many(most, block, timeout)

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is something to get: for `select`, `connection.wait`.

        It is readable for a moment, too, when another process was faster, or a producer was killed in the middle of
        `put`: get with ``block=False``. It is this process's; others ask for their own.
        """
        return self._channel._listen(False)

    async def aget(self) -> _T:
        """Get an object; other coroutines run while there is none. No thread, and cancelling it takes nothing."""
        while True:
            try:
                return self.get(False)
            except Empty:
                await readable(self._channel._listen(False))

    async def aput(self, obj: _T) -> None:
        """Put an object; other coroutines run while there is no room. No thread, and cancelling it puts nothing."""
        while True:
            try:
                return self.put(obj, False)
            except Full:
                await readable(self._channel._listen(True))

    def __iter__(self) -> Iterator[_T]:
        """Get objects until the queue is shut down and empty."""
        try:
            while True:
                yield self.get()
        except ShutDown:
            return

    def shutdown(self, immediate: bool = False) -> None:
        """Shut the queue for all processes: `put` raises `ShutDown`, and so does `get` when there is nothing left.

        With ``immediate`` what is there is dropped, and so many tasks are done; as `queue.Queue.shutdown` in 3.13.
        """
        self._channel._shut()
        while immediate and self._channel._drop_message():
            pass

    def close(self) -> None:
        """Say that this process neither puts nor gets any more: that is a ValueError from now on."""
        self._closed = True
        self._detach()

    def join_thread(self) -> None:
        """Do nothing, after `close()`: what was put is there already. No thread brings it."""
        assert self._closed, f"Queue {self!r} not closed"

    def cancel_join_thread(self) -> None:
        """Do nothing: what was put is there already, and nobody waits for it at exit."""

    def _on_queue_feeder_error(self, error: Exception, obj: Any) -> None:
        """Take an error that putting ``obj`` has met; a subclass may handle it, as it does for the standard queue's."""
        raise error

    def _poll(self, timeout: float | None = 0.0) -> bool:
        return self._reader.poll(timeout)

    def _assert_open(self) -> None:
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")

    def __repr__(self) -> str:
        """Show what it is called, how many objects it has and may have, and how many threads wait."""
        return self._describe(self._bounds())

    def _bounds(self) -> str:
        most, most_bytes = self._maxsize, self._channel._max_bytes()
        return ("" if most == _SEM_VALUE_MAX else f"/{most}") + (f" maxbytes={most_bytes}" if most_bytes else "")


class JoinableQueue(Queue[_T], _StdJoinableQueue[_T]):
    """A queue whose objects are tasks: who got one says `task_done`, and `join` waits until that was said of all."""

    def task_done(self) -> None:
        """Say that a task that was got is done. ValueError when that was said of all."""
        if not self._channel._task_done():
            raise ValueError("task_done() called too many times")

    def join(self) -> None:
        """Wait until all tasks that were put are done."""
        self._channel._join()

    def _bounds(self) -> str:
        return f"{super()._bounds()} unfinished={self._channel._unfinished()}"


class SimpleQueue(_OnChannel, _StdSimpleQueue[_T]):
    """A queue of any number of objects, with few methods."""

    def __init__(self, *, ctx: Any = None, name: str | None = None) -> None:
        """Make an empty one. ``ctx`` is taken as the standard library takes it."""
        self._have(Channel(name=name))

    def _have(self, channel: Channel) -> None:
        self._attach(channel)
        self._shorten(SimpleQueue, ("put", "get"), channel._put_object, channel._get_object)

    @property
    def _rlock(self) -> threading.Lock:
        """Take a lock that keeps others from getting, which the standard pool does at its end; none is needed here."""
        return threading.Lock()

    def __getstate__(self) -> Any:
        """Travel to any process of the session, through a queue, too."""
        return (self._channel,)

    def __setstate__(self, state: Any) -> None:
        """Be a handle to the queue that was sent."""
        self._have(*state)

    def put(self, obj: _T) -> None:
        """Put an object."""
        self._writer.send(obj)

    def get(self) -> _T:
        """Get an object; wait until there is one."""
        obj: _T = self._reader.recv()
        return obj

    def empty(self) -> bool:
        """Tell whether there is nothing to get just now."""
        return not self._reader.poll()

    def close(self) -> None:
        """Say that this process neither puts nor gets any more: that is an OSError from now on."""
        self._detach()

    def __repr__(self) -> str:
        """Show what it is called, how many objects it has, and how many threads wait."""
        return self._describe("")


def __getattr__(name: str) -> Any:
    """Everything else, private names included, is the standard module's."""
    return getattr(_std, name)
