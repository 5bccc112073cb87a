"""What is done, instruction by instruction, in processes that are killed.

A module of its own, and a light one: children of every start method import it.
"""

from __future__ import annotations

import ctypes
import pickle
import threading
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import survivors
from allcores._manager import arrays
from allcores._manager.ending import Ending
from allcores._manager.shared_dict import SharedDict
from allcores._manager.shared_list import SharedList
from allcores.connection import Pipe
from allcores.sharedctypes import Value
from allcores.synchronize import Event

GIVES_UP_SECONDS = 0.03
"""Long enough to be asleep when it is over, although every instruction up to there was a step of its own."""


def _nothing(thing: Any) -> Any:
    return thing


@dataclass(frozen=True)
class Operation:
    """An operation of a victim's, and the scene that it plays in. A thing is made once, and must be as new after each.

    A victim has prepared before the partner begins to wait. After its death ``checks`` is called by the process that
    made the thing; it returns which of the outcomes it was.
    """

    makes: Callable[[Any], Any]
    """Of a context: the thing."""
    does: Callable[[Any], object]
    """In the victim, with what it has prepared: the operation."""
    checks: Callable[[Any, survivors.Answer], str]
    outcomes: frozenset[str]
    prepares: Callable[[Any], Any] = _nothing
    """In the victim, before."""
    sets_up: Callable[[Any], object] = _nothing
    """Where the thing was made, before there is a victim."""
    waits: Callable[[Any, Connection], object] | None = None
    """In the partner, if there is one."""
    until_asleep: bool = True
    """The victim begins when the partner sleeps; otherwise, when that says so."""
    waiters: Callable[[Any], int] = lambda thing: thing._waiters()
    """How many threads wait for the thing."""


def enter_and_notify(condition: Any) -> None:
    condition.acquire()
    condition.notify()
    condition.release()


def enter_and_give_up(condition: Any) -> None:
    condition.acquire()
    condition.wait(GIVES_UP_SECONDS)
    condition.release()


def come_and_give_up(barrier: Any) -> None:
    try:
        barrier.wait(GIVES_UP_SECONDS)
    except threading.BrokenBarrierError:
        return


def acquire_and_release(lock: Any, times: int = 1) -> None:
    for _ in range(times):
        lock.acquire()
    for _ in range(times):
        lock.release()


def _worn_in(thing: Any) -> Any:
    """Return a queue or pipe that has had as many messages that it goes on with the segments that it has.

    Its first segment is a short one, and one more is kept later on. Then a victim leaves the heap as it was.
    """
    put, get = (thing[1].send, thing[0].recv) if isinstance(thing, tuple) else (thing.put, thing.get)
    for _ in range(1000):
        put(bytes(150))
        get()
        if hasattr(thing, "task_done"):
            thing.task_done()
    return thing


def _listened_to(context: Any) -> Any:
    queue = _worn_in(context.Queue())
    queue._reader.fileno()
    return queue


def _asked_for_descriptor(context: Any) -> Any:
    pipe = _worn_in(context.Pipe(duplex=False))
    pipe[0].fileno()
    return pipe


def _with_closed_ends(_thing: Any) -> tuple[Any, Any]:
    reader, writer = Pipe(duplex=False)
    writer.close()
    one, other = Pipe()
    one.close()
    return reader, other


def come_to_the_end(ends: tuple[Any, Any]) -> None:
    reader, other = ends
    try:
        reader.recv()
    except EOFError:
        reader.close()
    try:
        other.send(0)
    except BrokenPipeError:
        other.close()


def _few_keys(_context: Any) -> SharedDict:
    """Return a dict that a victim leaves with as many blocks as it had: with all the pages it needs."""
    shared = SharedDict()
    shared["large"] = survivors.LARGE
    survivors.done_nothing(shared)
    survivors.have_few_keys(shared)
    return shared


def _few_items(_context: Any) -> SharedList:
    """Return a list, as `_few_keys` does a dict."""
    shared = SharedList([survivors.LARGE])
    survivors.have_few_items(shared)
    return shared


def _few_numbers(context: Any) -> Any:
    """Return an array, as a manager makes one, that has been read and written to."""
    shared = arrays.MAKERS["Array"](Ending(context), "i", survivors.FEW_NUMBERS)
    survivors.have_few_numbers(shared)
    return _read(shared)


def _read(shared: Any) -> Any:
    assert shared[:]
    return shared


_LARGE = ctypes.c_char * 100_000
_PUT = frozenset({"put", "not put"})
_GOT = frozenset({"got", "not got"})
_DONE = frozenset({"done", "not done"})


def _on_few_keys(does: Callable[[Any], object], changes: dict[Any, Any]) -> Operation:
    """Return an operation on a shared dict that has all of these changes (None: a key goes) or none."""
    return Operation(
        makes=_few_keys,
        sets_up=survivors.have_few_keys,
        does=does,
        checks=partial(survivors.dict_as_before_or, changes),
        outcomes=_DONE,
    )


def _on_few_items(does: Callable[[Any], object]) -> Operation:
    """Return an operation on a shared list that does whole, or not at all, what it does to Python's own."""
    return Operation(
        makes=_few_items,
        sets_up=survivors.have_few_items,
        does=does,
        checks=partial(survivors.list_as_before_or, does),
        outcomes=_DONE,
    )


def _on_few_numbers(does: Callable[[Any], object]) -> Operation:
    """Return an operation on a manager's array that does whole, or not at all, what it does to Python's own."""
    return Operation(
        makes=_few_numbers,
        sets_up=survivors.have_few_numbers,
        prepares=_read,
        does=does,
        checks=partial(survivors.array_as_before_or, does),
        outcomes=_DONE,
    )


OPERATIONS = {
    "Lock is acquired and released": Operation(
        makes=lambda context: context.Lock(),
        does=acquire_and_release,
        checks=survivors.owned_or_free,
        outcomes=frozenset({"free", "owner died"}),
    ),
    "RLock is acquired and released twice": Operation(
        makes=lambda context: context.RLock(),
        does=lambda lock: acquire_and_release(lock, 2),
        checks=survivors.owned_or_free,
        outcomes=frozenset({"free", "owner died"}),
    ),
    "Lock is released, a waiter asleep": Operation(
        makes=lambda context: context.Lock(),
        prepares=lambda lock: lock if lock.acquire() else None,
        does=lambda lock: lock.release(),
        waits=survivors.told_acquire,
        checks=survivors.lock_with_waiter,
        outcomes=frozenset({"released", "owner died"}),
    ),
    "Lock is acquired when another one releases it": Operation(
        makes=lambda context: context.Lock(),
        does=acquire_and_release,
        waits=survivors.hold_until_wanted,
        until_asleep=False,
        checks=survivors.after_handing_on,
        outcomes=frozenset({"free", "owner died"}),
    ),
    "Lock is not free in time": Operation(
        makes=lambda context: context.Lock(),
        sets_up=lambda lock: lock.acquire(),
        does=lambda lock: lock.acquire(timeout=GIVES_UP_SECONDS),
        checks=survivors.still_mine,
        outcomes=frozenset({"free"}),
    ),
    "Semaphore is acquired and released": Operation(
        makes=lambda context: context.Semaphore(2),
        does=acquire_and_release,
        checks=survivors.lost_at_most_one,
        outcomes=frozenset({"1 left", "2 left"}),
    ),
    "Semaphore is released, a waiter asleep": Operation(
        makes=lambda context: context.Semaphore(0),
        does=lambda semaphore: semaphore.release(),
        waits=lambda semaphore, _told: semaphore.acquire(timeout=survivors.PATIENCE_SECONDS),
        checks=survivors.released_at_most_once,
        outcomes=frozenset({"released", "not released"}),
    ),
    "Semaphore is not free in time": Operation(
        makes=lambda context: context.Semaphore(0),
        does=lambda semaphore: semaphore.acquire(timeout=GIVES_UP_SECONDS),
        checks=survivors.acquired_by_nobody,
        outcomes=frozenset({"gave up"}),
    ),
    "Semaphore with recovery is acquired and released": Operation(
        makes=lambda context: context.Semaphore(2, recover=True),
        does=acquire_and_release,
        checks=survivors.given_back,
        outcomes=frozenset({"given back"}),
    ),
    "Semaphore with recovery is released, a waiter asleep": Operation(
        makes=lambda context: context.Semaphore(1, recover=True),
        prepares=lambda semaphore: semaphore if semaphore.acquire() else None,
        does=lambda semaphore: semaphore.release(),
        waits=lambda semaphore, _told: semaphore.acquire(timeout=survivors.PATIENCE_SECONDS),
        checks=survivors.given_to_the_waiter,
        outcomes=frozenset({"given back"}),
    ),
    "Condition is waited in": Operation(
        makes=lambda context: context.Condition(),
        does=enter_and_give_up,
        checks=survivors.nobody_waits_in,
        outcomes=frozenset({"free", "owner died"}),
    ),
    "Condition is notified, a waiter asleep": Operation(
        makes=lambda context: context.Condition(context.Lock()),
        does=enter_and_notify,
        waits=survivors.wait_in,
        checks=survivors.notified,
        outcomes=frozenset({"free", "owner died"}),
    ),
    "Event is set, a waiter asleep": Operation(
        makes=lambda context: context.Event(),
        does=lambda event: event.set(),
        waits=lambda event, _told: event.wait(survivors.PATIENCE_SECONDS),
        checks=survivors.set_in_the_end,
        outcomes=frozenset({"set", "not set"}),
    ),
    "Event is waited for": Operation(
        makes=lambda context: context.Event(),
        does=lambda event: event.wait(GIVES_UP_SECONDS),
        checks=survivors.waited_for_by_nobody,
        outcomes=frozenset({"gave up"}),
    ),
    "Barrier is passed as the last, a waiter asleep": Operation(
        makes=lambda context: context.Barrier(2),
        does=survivors.pass_barrier,
        waits=survivors.pass_barrier,
        checks=survivors.passed_or_broken,
        outcomes=frozenset({"passed", "broken"}),
    ),
    "Barrier is come to as the first": Operation(
        makes=lambda context: context.Barrier(2),
        does=come_and_give_up,
        checks=survivors.no_stranger_is_counted,
        outcomes=frozenset({"broken", "as new"}),
    ),
    "Lock is made and dropped": Operation(
        makes=lambda context: context.Lock(),
        does=lambda lock: type(lock)(),
        checks=survivors.as_before,
        outcomes=frozenset({"swept"}),
    ),
    "Lock with a name is made and dropped": Operation(
        makes=lambda context: context.Lock(),
        does=lambda lock: type(lock)(name="accounts"),
        checks=survivors.as_before,
        outcomes=frozenset({"swept"}),
    ),
    "Value of 100 KB is made and dropped": Operation(
        makes=lambda context: context.Event(),
        does=lambda _: Value(_LARGE, lock=False),
        checks=survivors.as_before,
        outcomes=frozenset({"swept"}),
    ),
    "handle is unpickled and dropped": Operation(
        makes=lambda context: context.Event(),
        prepares=pickle.dumps,
        does=pickle.loads,
        checks=survivors.as_before,
        outcomes=frozenset({"swept"}),
    ),
    "Queue: put": Operation(
        makes=lambda context: _worn_in(context.Queue()),
        does=lambda queue: queue.put(survivors.MESSAGE),
        checks=survivors.put_or_not,
        outcomes=_PUT,
    ),
    "Queue: put, a consumer asleep": Operation(
        makes=lambda context: _worn_in(context.Queue()),
        does=lambda queue: queue.put(survivors.MESSAGE),
        waits=survivors.receive,
        waiters=survivors.waiters_of,
        checks=survivors.put_for_the_waiter,
        outcomes=_PUT,
    ),
    "Queue: put, full until a consumer makes room": Operation(
        makes=lambda context: _worn_in(context.Queue(1)),
        sets_up=lambda queue: queue.put(survivors.FIRST),
        does=lambda queue: queue.put(survivors.MESSAGE),
        waits=survivors.make_room_when_wanted,
        until_asleep=False,
        checks=survivors.put_into_room,
        outcomes=_PUT,
    ),
    "Queue: put with a bound of bytes": Operation(
        makes=lambda context: _worn_in(context.Queue(maxbytes=1000)),
        does=lambda queue: queue.put(survivors.MESSAGE),
        checks=survivors.put_or_not,
        outcomes=_PUT,
    ),
    "Queue: put, one more than a segment has room for": Operation(
        makes=lambda _context: [],
        sets_up=survivors.fill,
        does=lambda queues: queues[0].put(survivors.MESSAGE),
        checks=survivors.put_behind_others,
        outcomes=_PUT,
    ),
    "Queue: put, a listener is told": Operation(
        makes=_listened_to,
        does=lambda queue: queue.put(survivors.MESSAGE),
        checks=survivors.heard_or_empty,
        outcomes=_PUT,
    ),
    "Queue: put of a large message": Operation(
        makes=lambda context: _worn_in(context.Queue()),
        does=lambda queue: queue.put(survivors.LARGE),
        checks=survivors.large_put_or_not,
        outcomes=_PUT,
    ),
    "Queue: put of an event": Operation(
        makes=lambda context: _worn_in(context.Queue()),
        prepares=lambda queue: (queue, [Event()]),
        does=lambda both: both[0].put(both[1]),
        checks=survivors.event_put_or_not,
        outcomes=_PUT,
    ),
    "Queue: get": Operation(
        makes=lambda context: _worn_in(context.Queue()),
        sets_up=lambda queue: queue.put(survivors.MESSAGE),
        does=lambda queue: queue.get(),
        checks=survivors.got_or_not,
        outcomes=_GOT,
    ),
    "Queue: get, a producer waiting for room": Operation(
        makes=lambda context: _worn_in(context.Queue(1)),
        sets_up=lambda queue: queue.put(survivors.MESSAGE),
        does=lambda queue: queue.get(),
        waits=survivors.put_next,
        waiters=survivors.waiters_of,
        checks=survivors.got_with_a_producer_waiting,
        outcomes=_GOT,
    ),
    "Queue: get, empty until a message comes": Operation(
        makes=lambda context: _worn_in(context.Queue()),
        does=lambda queue: queue.get(),
        waits=survivors.send_when_wanted,
        until_asleep=False,
        checks=survivors.sent_and_got_or_not,
        outcomes=_GOT,
    ),
    "Queue: get of a large message": Operation(
        makes=lambda context: _worn_in(context.Queue()),
        sets_up=lambda queue: queue.put_many([survivors.LARGE, survivors.NEXT]),
        does=lambda queue: queue.get(),
        checks=survivors.large_got_or_not,
        outcomes=_GOT,
    ),
    "Queue: get of an event": Operation(
        makes=lambda context: _worn_in(context.Queue()),
        sets_up=lambda queue: queue.put_many([[Event()], survivors.NEXT]),
        does=lambda queue: queue.get(),
        checks=survivors.event_got_or_not,
        outcomes=_GOT,
    ),
    "Queue: task done, a joiner asleep": Operation(
        makes=lambda context: _worn_in(context.JoinableQueue()),
        sets_up=survivors.have_a_task,
        does=lambda queue: queue.task_done(),
        waits=survivors.join,
        waiters=survivors.waiters_of,
        checks=survivors.done_or_not,
        outcomes=_DONE,
    ),
    "Pipe: send": Operation(
        makes=lambda context: _worn_in(context.Pipe(duplex=False)),
        does=lambda pipe: pipe[1].send(survivors.MESSAGE),
        checks=survivors.put_or_not,
        outcomes=_PUT,
    ),
    "Pipe: send, a receiver asleep": Operation(
        makes=lambda context: _worn_in(context.Pipe()),
        does=lambda pipe: pipe[1].send(survivors.MESSAGE),
        waits=survivors.sleep_and_receive,
        waiters=survivors.waiters_of,
        checks=survivors.put_for_the_waiter,
        outcomes=_PUT,
    ),
    "Pipe: receive, with the descriptor asked for": Operation(
        makes=_asked_for_descriptor,
        sets_up=lambda pipe: pipe[1].send(survivors.MESSAGE),
        does=lambda pipe: pipe[0].recv(),
        checks=survivors.silent_or_not_got,
        outcomes=_GOT,
    ),
    "Pipe: receive, empty until a message comes": Operation(
        makes=lambda context: _worn_in(context.Pipe()),
        does=lambda pipe: pipe[0].recv(),
        waits=survivors.send_when_wanted,
        until_asleep=False,
        checks=survivors.sent_and_got_or_not,
        outcomes=_GOT,
    ),
    "Pipe: receive and send, the other end closed": Operation(
        makes=lambda context: context.Event(),
        prepares=_with_closed_ends,
        does=come_to_the_end,
        checks=survivors.as_before,
        outcomes=frozenset({"swept"}),
    ),
    "Pool: a task is claimed and replied to": Operation(
        makes=survivors.worker_s_place,
        sets_up=survivors.have_two_tasks,
        does=survivors.claim_and_reply,
        checks=survivors.left_lost_or_replied,
        outcomes=frozenset({"left", "lost", "replied"}),
    ),
    "Pool: a task is claimed and replied to, and what is left is put back": Operation(
        makes=survivors.worker_s_place,
        sets_up=survivors.have_two_tasks,
        does=survivors.claim_and_reply,
        checks=survivors.left_lost_or_replied_and_put_back,
        outcomes=frozenset({"left", "lost", "replied"}),
    ),
    "SharedDict: a key is set anew": _on_few_keys(
        lambda shared: shared.__setitem__("new", survivors.MESSAGE), {"new": survivors.MESSAGE}
    ),
    "SharedDict: a key is set to a longer value": _on_few_keys(
        lambda shared: shared.__setitem__("a", "v" * 100), {"a": "v" * 100}
    ),
    "SharedDict: a key is set to a large value": _on_few_keys(
        lambda shared: shared.__setitem__("a", survivors.LARGE), {"a": survivors.LARGE}
    ),
    "SharedDict: a key is set to a handle": replace(
        _on_few_keys(lambda both: both[0].__setitem__("a", [both[1]]), {"a": survivors.EVENT}),
        prepares=lambda shared: (shared, Event()),
    ),
    "SharedDict: a handle is popped": _on_few_keys(lambda shared: shared.pop("event"), {"event": None}),
    "SharedDict: a key is popped": _on_few_keys(lambda shared: shared.pop("a"), {"a": None}),
    "SharedDict: a large value is popped": _on_few_keys(lambda shared: shared.pop("large"), {"large": None}),
    "SharedDict: several keys are updated": _on_few_keys(
        lambda shared: shared.update(survivors.UPDATE), survivors.UPDATE
    ),
    "SharedDict: a transaction": replace(
        _on_few_keys(survivors.transact, survivors.TRANSACTED), prepares=survivors.done_nothing
    ),
    "SharedDict: a number is added to": _on_few_keys(lambda shared: shared.add("count", 5), {"count": 5}),
    "SharedDict: a float is added to a key that is new": _on_few_keys(
        lambda shared: shared.add("new", 0.5), {"new": 0.5}
    ),
    "SharedDict: a float is added to a number": _on_few_keys(lambda shared: shared.add("a", 0.5), {"a": 1.5}),
    "SharedDict: all keys go": _on_few_keys(
        lambda shared: shared.clear(), dict.fromkeys([*survivors.FEW_KEYS, "large", "event"])
    ),
    "SharedDict is read while it is written to": Operation(
        makes=_few_keys,
        sets_up=survivors.have_few_keys,
        does=lambda shared: (shared["a"], shared["large"], shared.items()),
        checks=partial(survivors.dict_as_before_or, {}),
        outcomes=frozenset({"done"}),
    ),
    "SharedList: an item is appended": _on_few_items(lambda shared: shared.append(survivors.MESSAGE)),
    "SharedList: a large item is appended": _on_few_items(lambda shared: shared.append(survivors.LARGE)),
    "SharedList: an item is inserted": _on_few_items(lambda shared: shared.insert(1, "v" * 100)),
    "SharedList: an item is set to a longer one": _on_few_items(lambda shared: shared.__setitem__(2, "v" * 100)),
    "SharedList: the last item is popped": _on_few_items(lambda shared: shared.pop()),
    "SharedList: an item is popped": _on_few_items(lambda shared: shared.pop(2)),
    "SharedList: a large item is deleted": _on_few_items(
        lambda shared: shared.__delitem__(shared.index(survivors.LARGE))
    ),
    "SharedList: several items are extended by": _on_few_items(lambda shared: shared.extend([1, "v" * 50, b"w" * 20])),
    "SharedList: several items are replaced": _on_few_items(
        lambda shared: shared.__setitem__(slice(1, 3), ["v" * 50, 7, None])
    ),
    "SharedList: its items are sorted": _on_few_items(lambda shared: shared.sort(key=lambda item: type(item).__name__)),
    "SharedList: its items are repeated": _on_few_items(lambda shared: shared.__imul__(2)),
    "SharedList: all items go": _on_few_items(lambda shared: shared.clear()),
    "SharedList is read while it is written to": Operation(
        makes=_few_items,
        sets_up=survivors.have_few_items,
        does=lambda shared: (shared[1], shared[-1], shared[:]),
        checks=partial(survivors.list_as_before_or, _nothing),
        outcomes=frozenset({"done"}),
    ),
    "SharedList is made and dropped": Operation(
        makes=lambda context: context.Event(),
        prepares=lambda _: type(SharedList("a")),  # whatever is loaded for the first one is there now
        does=lambda kind: kind("a"),
        checks=survivors.as_before,
        outcomes=frozenset({"swept"}),
    ),
    "Array: an item is set": _on_few_numbers(lambda shared: shared.__setitem__(3, 1 << 30)),
    "Array: several items are set": _on_few_numbers(
        lambda shared: shared.__setitem__(slice(2, 30), array("i", range(100, 128)))
    ),
    "Array: every second item is set": _on_few_numbers(
        lambda shared: shared.__setitem__(slice(None, None, 2), array("i", range(100, 120)))
    ),
    "Array: it gets longer": _on_few_numbers(lambda shared: shared.__setitem__(slice(2, 3), array("i", [7] * 5))),
    "SharedDict is made and dropped": Operation(
        makes=lambda context: context.Event(),
        prepares=lambda _: type(SharedDict(a=1)),  # whatever is loaded for the first one is there now
        does=lambda kind: kind(a=1),
        checks=survivors.as_before,
        outcomes=frozenset({"swept"}),
    ),
}
