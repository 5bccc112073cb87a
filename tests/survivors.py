"""What must hold when a process was killed in the middle of something, for its partner and for who made the thing.

A partner waits for the thing, or holds it, while the victim is at work. Who made it looks at it afterwards: ``answer``
tells what the partner's wait came to; returned is which of the possible outcomes it was.
"""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection, wait
from types import SimpleNamespace
from typing import Any

import allcores as mp
from allcores import _core
from allcores._in_arena import Channel
from allcores._pool.backlog import Backlog
from allcores._pool.claim import Claim

PATIENCE_SECONDS = 30
"""Nothing here may take longer. What is no error takes a second at most."""

Answer = Callable[[], Any]


def acquire_in_the_end(lock: Any) -> int:
    """Acquire a lock, and return how often that told of a death before."""
    deaths = 0
    while True:
        try:
            assert lock.acquire(timeout=PATIENCE_SECONDS), "a lock that nobody has is never free"
            return deaths
        except mp.OwnerDiedError:
            deaths += 1


def told_acquire(lock: Any, _told: Connection) -> str:
    """Wait for a lock as a partner; whoever is told of a death has not got it."""
    try:
        assert lock.acquire(timeout=PATIENCE_SECONDS), "a waiter never gets through"
    except mp.OwnerDiedError:
        return "owner died"
    lock.release()
    return "released"


def owned_or_free(lock: Any, _answer: Answer | None = None) -> str:
    """Exactly the owner's death is told, once; the lock excludes and is free as ever."""
    is_owned = lock._holder() is not None
    assert acquire_in_the_end(lock) == is_owned
    in_use(lock)
    lock.release()
    return "owner died" if is_owned else "free"


def in_use(lock: Any) -> None:
    """Look that a lock that this thread has excludes another one."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(lock.acquire(False)))
    thread.start()
    thread.join()
    assert answers == [False]


def lock_with_waiter(lock: Any, answer: Answer) -> str:
    outcome: str = answer()
    assert owned_or_free(lock) == "free", "it was told already, or released"
    return outcome


def hold_until_wanted(lock: Any, told: Connection) -> str:
    """As a partner: have a lock until somebody waits for it, or the victim was killed before that."""
    lock.acquire()
    told.send("held")
    told.recv()
    while not lock._waiters() and not told.poll():
        os.sched_yield()
    lock.release()
    return "handed on"


def after_handing_on(lock: Any, answer: Answer) -> str:
    answer()
    return owned_or_free(lock)


def still_mine(lock: Any, _answer: Answer) -> str:
    assert lock._holder()[0] == os.getpid(), "one that gave up changes nothing"
    lock.release()
    return owned_or_free(lock)


def value_of(semaphore: Any, at_most: int) -> int:
    """How often a semaphore can be acquired, by acquiring it."""
    value = 0
    while value <= at_most and semaphore.acquire(False):
        value += 1
    return value


def refill(semaphore: Any, value: int, full: int) -> None:
    assert value <= full, "released more often than acquired"
    for _ in range(full):
        semaphore.release()


def lost_at_most_one(semaphore: Any, _answer: Answer) -> str:
    value = value_of(semaphore, 2)
    refill(semaphore, value, 2)
    assert value in (1, 2)
    return f"{value} left"


def released_at_most_once(semaphore: Any, answer: Answer) -> str:
    """Once more is enough for one waiter, whether the victim has released it or not."""
    semaphore.release()
    assert answer() is True
    value = value_of(semaphore, 1)
    assert value in (0, 1)
    return "released" if value else "not released"


def acquired_by_nobody(semaphore: Any, _answer: Answer) -> str:
    assert value_of(semaphore, 1) == 0
    semaphore.release()
    assert value_of(semaphore, 1) == 1
    return "gave up"


def given_back(semaphore: Any, _answer: Answer) -> str:
    """All that the dead had is there again: as often as ever, and not once more."""
    for _ in range(2):
        assert semaphore.acquire(timeout=PATIENCE_SECONDS)
    assert not semaphore.acquire(False)
    refill(semaphore, 2, 2)
    return "given back"


def given_to_the_waiter(semaphore: Any, answer: Answer) -> str:
    assert answer() is True
    assert not semaphore.acquire(False), "what the dead had was given back twice"
    semaphore.release()
    return "given back"


def wait_in(condition: Any, _told: Connection) -> str:
    condition.acquire()
    try:
        assert condition.wait(PATIENCE_SECONDS), "a notification never comes"
    except mp.OwnerDiedError:
        return "owner died"
    condition.release()
    return "notified"


def notified(condition: Any, answer: Answer) -> str:
    """Notified by the victim or not: once more reaches the waiter, or finds nobody. A death is told once at most."""
    deaths = acquire_in_the_end(condition)
    condition.notify()
    condition.release()
    deaths += answer() == "owner died"
    assert deaths <= 1
    assert owned_or_free(condition._lock) == "free"
    return "owner died" if deaths else "free"


def nobody_waits_in(condition: Any, _answer: Answer) -> str:
    outcome = owned_or_free(condition._lock)
    assert condition._waiters() == 0
    return outcome


def set_in_the_end(event: Any, answer: Answer) -> str:
    was_set = event.is_set()
    if not was_set:
        event.set()
    assert answer() is True, "who waits for an event that is set never gets through"
    event.clear()
    return "set" if was_set else "not set"


def waited_for_by_nobody(event: Any, _answer: Answer) -> str:
    assert (event._waiters(), event.is_set()) == (0, False)
    return "gave up"


def pass_barrier(barrier: Any, _told: Connection | None = None) -> str:
    try:
        barrier.wait(PATIENCE_SECONDS)
    except threading.BrokenBarrierError:
        return "broken"
    return "passed"


def passed_or_broken(barrier: Any, answer: Answer) -> str:
    if barrier.n_waiting == 1:
        barrier.abort()  # the victim had not come, and nobody else will
    outcome: str = answer()
    barrier.reset()
    return outcome


def no_stranger_is_counted(barrier: Any, _answer: Answer) -> str:
    """A victim that had come breaks it; otherwise it is as new."""
    if had_come := barrier.n_waiting == 1 or barrier.broken:
        assert pass_barrier(barrier) == "broken", "a dead party is met"
    barrier.reset()
    others = [threading.Thread(target=pass_barrier, args=(barrier,)) for _ in range(barrier.parties - 1)]
    for other in others:
        other.start()
    assert pass_barrier(barrier) == "passed"
    for other in others:
        other.join()
    return "broken" if had_come else "as new"


def as_before(_thing: Any, _answer: Answer) -> str:
    """Nothing but what the heap's account says, which is looked at after each victim."""
    return "swept"


FIRST, MESSAGE, NEXT, LAST = "the first one", "the victim's", "the next one", "the last one"
LARGE = bytes(range(256)) * 80
"""It lies in a block of its own."""


def is_asleep(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "S"
    except OSError:
        return False


def waiters_of(channel: Any) -> int:
    """How many threads wait for a queue, or for a pipe, which is a tuple of its ends."""
    channel = channel[0]._channels()[0] if isinstance(channel, tuple) else channel._channel
    waiters: int = channel._waiters()
    return waiters


def send(channel: Any, message: object) -> None:
    if isinstance(channel, tuple):
        channel[1].send(message)
    else:
        channel.put(message)


def receive(channel: Any, _told: Connection | None = None) -> Any:
    if not isinstance(channel, tuple):
        return channel.get(timeout=PATIENCE_SECONDS)
    assert channel[0].poll(PATIENCE_SECONDS), "a message never comes"
    return channel[0].recv()


def sleep_and_receive(pipe: Any, _told: Connection) -> Any:
    return pipe[0].recv()


def is_empty(channel: Any) -> bool:
    return not channel[0].poll() if isinstance(channel, tuple) else channel.empty()


def received(channel: Any) -> list[Any]:
    """All that is in it. Then it is used once more."""
    messages = []
    while not is_empty(channel):
        messages.append(receive(channel))
    send(channel, LAST)
    assert receive(channel) == LAST
    return messages


def put_or_not(channel: Any, _answer: Answer) -> str:
    messages = received(channel)
    assert messages in ([MESSAGE], [])
    return "put" if messages else "not put"


def large_put_or_not(channel: Any, _answer: Answer) -> str:
    messages = received(channel)
    assert messages in ([LARGE], []), "not whole, or not once"
    return "put" if messages else "not put"


def event_put_or_not(channel: Any, _answer: Answer) -> str:
    messages = list(map(_comparable, received(channel)))
    assert messages in ([EVENT], []), "not with its event, or not once"
    return "put" if messages else "not put"


def fill(queues: list[Any]) -> None:
    """Make a queue whose first segment has no room for one message more."""
    queues.append(mp.Queue())
    for _ in range(messages_in_first_segment()):
        queues[0].put(FIRST)


@cache
def messages_in_first_segment() -> int:
    """How many messages are put before the queue has one block more."""
    channel: mp.Queue[Any] = mp.Queue()
    count = 0
    channel.put(FIRST)
    blocks = _core.arena_account()[0]
    while _core.arena_account()[0] == blocks:
        channel.put(FIRST)
        count += 1
    return count


def put_behind_others(queues: list[Any], _answer: Answer) -> str:
    channel = queues.pop()
    messages = received(channel)
    others = [FIRST] * messages_in_first_segment()
    assert messages in ([*others, MESSAGE], others), messages
    return "not put" if messages == others else "put"


def put_for_the_waiter(channel: Any, answer: Answer) -> str:
    """Who sleeps gets the victim's message, or else the next one."""
    send(channel, NEXT)
    first, others = answer(), received(channel)
    assert [first, *others] in ([MESSAGE, NEXT], [NEXT])
    return "put" if others else "not put"


def put_into_room(channel: Any, answer: Answer) -> str:
    """The partner got the first one."""
    assert answer() == FIRST
    return put_or_not(channel, answer)


def make_room_when_wanted(channel: Any, told: Connection) -> Any:
    """As a partner: take a message when the victim sleeps for want of room, or the victim was killed before that."""
    wait_until_wanted(channel, told)
    return receive(channel)


def send_when_wanted(channel: Any, told: Connection) -> None:
    """As a partner: send a message when the victim sleeps for want of one, or the victim was killed before that."""
    wait_until_wanted(channel, told)
    send(channel, MESSAGE)


def wait_until_wanted(channel: Any, told: Connection) -> None:
    told.send("here")
    victim = told.recv()
    while not (waiters_of(channel) and is_asleep(victim)) and not told.poll():
        os.sched_yield()


def got_or_not(channel: Any, answer: Answer) -> str:
    """One was there, or was sent by the partner: the victim has got it, or the next one does."""
    messages = received(channel)
    assert messages in ([MESSAGE], [])
    return "not got" if messages else "got"


def sent_and_got_or_not(channel: Any, answer: Answer) -> str:
    answer()
    return got_or_not(channel, answer)


def large_got_or_not(channel: Any, _answer: Answer) -> str:
    messages = received(channel)
    assert messages in ([LARGE, NEXT], [NEXT]), "not whole, or not once"
    return "not got" if len(messages) == 2 else "got"


def event_got_or_not(channel: Any, _answer: Answer) -> str:
    messages = list(map(_comparable, received(channel)))
    assert messages in ([EVENT, NEXT], [NEXT]), "not with its event, or not once"
    return "not got" if len(messages) == 2 else "got"


def got_with_a_producer_waiting(channel: Any, answer: Answer) -> str:
    """What the victim took, or is taken now, makes room for what the partner waits to put."""
    first = receive(channel)
    if first == MESSAGE:
        assert receive(channel) == NEXT
    answer()
    assert (first in (MESSAGE, NEXT), received(channel)) == (True, [])
    return "not got" if first == MESSAGE else "got"


def put_next(channel: Any, _told: Connection) -> None:
    channel.put(NEXT, timeout=PATIENCE_SECONDS)


def is_readable(thing: Any) -> bool:
    return bool(wait([thing], 0))


def heard_or_empty(channel: Any, _answer: Answer) -> str:
    """Its descriptor is readable if there is a message, and not when all were received."""
    end = channel._reader
    assert is_readable(end) or channel.empty(), "select sleeps, and there is a message"
    outcome = put_or_not(channel, _answer)
    assert not is_readable(end), "select does not sleep, and there is no message"
    return outcome


def silent_or_not_got(pipe: Any, _answer: Answer) -> str:
    """The same for a pipe, whose victim was receiving."""
    end, _ = pipe
    send(pipe, NEXT)
    assert is_readable(end), "select sleeps, and there is a message"
    messages = received(pipe)
    assert messages in ([MESSAGE, NEXT], [NEXT])
    assert not end.poll() and not is_readable(end), "select does not sleep, and there is no message"
    return "got" if len(messages) == 1 else "not got"


def join(channel: Any, _told: Connection) -> str:
    channel.join()
    return "joined"


def have_a_task(channel: Any) -> None:
    channel.put(MESSAGE)
    channel.get()


def done_or_not(channel: Any, answer: Answer) -> str:
    """The joiner goes on when the task is done, by the victim or now."""
    is_left = channel._channel._unfinished()
    assert is_left in (0, 1)
    if is_left:
        channel.task_done()
    assert answer() == "joined"
    return "not done" if is_left else "done"


Place = tuple[Channel, Channel, Claim]
"""Where a worker is: tasks, replies, and its claim."""


def worker_s_place(_context: Any) -> Place:
    tasks, replies = Channel(), Channel()
    for channel in (tasks, replies):
        for _ in range(1000):  # until it goes on with the segments that it has
            _core.put_labelled(channel, bytes(150), 1, 0, False)
            numbers_in(channel)
    return tasks, replies, Claim()


def have_two_tasks(place: Place) -> None:
    place[2]._clear()
    for number in (1, 2):
        _core.put_labelled(place[0], MESSAGE, number, 0, False)


def claim_and_reply(place: Place) -> None:
    tasks, replies, claim = place
    taken = _core.claim_task(tasks, claim)
    assert taken is not None
    _core.put_labelled(replies, taken[2], taken[0], 0, True)
    claim._clear()


def numbers_in(channel: Channel) -> list[int]:
    found: list[tuple[int, int, Any]] = []
    while _core.collect(channel, found, 0.0):
        continue
    return [number for number, _, _ in found]


def left_lost_or_replied(place: Place, _answer: Answer) -> str:
    """The task is one of these, and the next one is there."""
    tasks, replies, claim = place
    noted = claim._noted()
    is_taken = noted is not None and noted[0] != 0 and _core.has_given(tasks, noted[1])
    replied, left = numbers_in(replies), numbers_in(tasks)
    lost = [noted[0]] if noted is not None and is_taken and noted[0] not in replied else []
    assert replied + lost + left == [1, 2], (replied, lost, left)
    return "replied" if replied else "lost" if lost else "left"


def left_lost_or_replied_and_put_back(place: Place, answer: Answer) -> str:
    """The same, when what was left was taken out and put back before anybody has learned of the death."""
    tasks, replies, claim = place
    futures = {number: SimpleNamespace() for number in (1, 2)}
    engine: Any = SimpleNamespace(tasks=tasks, pending=futures, crew=SimpleNamespace(size=2))
    backlog = Backlog(engine)
    backlog.withdraw_all(2, [])
    noted = claim._noted()
    if noted is not None and noted[0] != 0 and backlog.has_moved(*noted):
        assert _core.has_given(tasks, noted[1])
        left, replied = numbers_in(tasks), numbers_in(replies)
        assert (replied, left) == ([], [1, 2])
        return "left"
    return left_lost_or_replied(place, answer)


FEW_KEYS: dict[Any, Any] = {"a": 1, "b": "text", 3: (1, 2), "count": 0}
EVENT = "what an event is compared as"
UPDATE: dict[Any, Any] = {"a": 2, "c": "v" * 200, "d": b"w" * 20}


TRANSACTED: dict[Any, Any] = {"a": None, "count": 1, 3: "text", "last": [1]}


def done_nothing(shared: Any) -> Any:
    """Return a dict that has had a transaction: its lock is there, and what is loaded for the first one."""
    with shared.transaction():
        shared.get("a")
        shared["nothing"] = [1]
        del shared["nothing"]
    return shared


def transact(shared: Any) -> None:
    """Do what changes TRANSACTED."""
    with shared.transaction():
        shared["count"] += 1
        shared[3] = shared["b"]
        del shared["a"]
        shared["last"] = [1]


def have_few_keys(shared: Any) -> None:
    """Have a dict be as it was made, pages and all: without keys first, since what comes later may move."""
    shared.clear()
    shared.update(FEW_KEYS, large=LARGE, event=[mp.Event()])


def _comparable(value: Any) -> Any:
    """Return an event in a list, which must be one still, as EVENT; all else is compared as it is."""
    if type(value) is not list or value == [1]:
        return value
    assert not value[0].is_set()
    return EVENT


def dict_as_before_or(changes: dict[Any, Any], shared: Any, _answer: Answer | None = None) -> str:
    """It has what it had, or that with all the changes (None: it is gone); and goes on."""
    before = FEW_KEYS | {"large": LARGE, "event": EVENT}
    after = {key: value for key, value in (before | changes).items() if value is not None}
    found = {key: _comparable(value) for key, value in shared.items()}
    assert found in (before, after), found.keys()
    assert list(found) in (list(before), list(after)), "in order"
    assert all(_comparable(shared[key]) == value for key, value in found.items())
    is_done = found == after
    have_few_keys(shared)
    return "done" if is_done else "not done"


FEW_NUMBERS = array("i", range(40))


def have_few_numbers(shared: Any) -> None:
    """Have a shared array be as it was made, and seen by this process."""
    shared[:] = FEW_NUMBERS
    assert len(shared) == len(FEW_NUMBERS)


def array_as_before_or(does: Callable[[Any], object], shared: Any, _answer: Answer | None = None) -> str:
    """It has what it had, or that with what was done to it; and goes on."""
    after = FEW_NUMBERS[:]
    does(after)
    items = [shared[index] for index in range(len(shared))]
    found = shared[:]
    assert found in (FEW_NUMBERS, after), found
    assert found.tolist() == items
    have_few_numbers(shared)
    return "done" if found == after else "not done"


FEW_ITEMS: list[Any] = [3, "text", "v" * 40, (1, 2), 1.5]


def have_few_items(shared: Any) -> None:
    """Have a list be as it was made, pages and all."""
    shared.clear()
    shared.extend([*FEW_ITEMS, LARGE, [mp.Event()]])


def list_as_before_or(does: Callable[[Any], object], shared: Any, _answer: Answer | None = None) -> str:
    """It has what it had, or that with what was done to it; and goes on."""
    before = [*FEW_ITEMS, LARGE, [EVENT]]
    after = list(before)
    does(after)
    names = [[EVENT] if item == EVENT else item for item in map(_comparable, shared[:])]
    assert names in (before, after), len(names)
    assert [_comparable(shared[index]) for index in range(len(names))] == list(map(_comparable, shared[:]))
    is_done = names == after
    have_few_items(shared)
    return "done" if is_done else "not done"
