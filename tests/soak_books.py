"""The books of a soak of messages: producers and consumers are killed at random, and each message is accounted for.

Every producer puts into several ways, and every consumer gets from all. Each writes down in shared memory what it does,
so that afterwards it is known of each message what may have happened to it:

* put() has returned: it was got once, unless a consumer was killed with it in hand, which is one at most for each kill;
* its producer was killed in put(): it was got once, or not at all;
* it is none of these: it was not got.

Nobody gets an older message of a producer after a newer one, all of them arrive whole, and nobody stands still.
Afterwards the arena has exactly the blocks that it had before, and the process its descriptors.
"""

from __future__ import annotations

import os
import queue
import random
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import numpy
from soak_workers import Workers, blocks, warmed_up

__all__ = ["Way", "soak"]

PRODUCERS, CONSUMERS = 3, 3
KILLS_A_ROUND = 100
"""After so many the ways are emptied, and the books are checked."""
LANE_MESSAGES = 1 << 20
"""How many messages a producer puts into one way in a round, at most."""


class Way(Protocol):
    """What messages go through."""

    def put(self, message: Any) -> bool:
        """Put a message; False when it was not put, because there are many."""

    def get(self) -> Any:
        """Get a message; `queue.Empty` when there has been none for a moment."""

    def check(self) -> None:
        """See that it is empty, and usable, when nobody else is there."""

    def end(self) -> None:
        """See that it ends."""


class Lane:
    """The messages of one producer's place in one queue, by number."""

    def __init__(self, context: Any) -> None:
        self.begun, self.put = context.RawValue("q"), context.RawValue("q")
        """How many puts have begun, and have ended. A message that was not put has no successor with its number."""
        self.times_got = context.RawArray("B", LANE_MESSAGES)
        self.newest = context.RawArray("q", [-1] * CONSUMERS)
        """What was got last in each consumer's place."""
        self.doubtful: list[int] = []
        """Those whose producers were killed in put()."""

    def note_death_of_producer(self) -> None:
        """Have the next producer go on, behind what the killed one may have put."""
        self.doubtful.extend(range(self.put.value, self.begun.value))
        self.put.value = self.begun.value

    def lost(self) -> int:
        """Count what was put and not got. AssertionError when something was got that should not be."""
        begun = self.begun.value
        times_got = numpy.frombuffer(self.times_got, "B")
        assert times_got.max() <= 1, f"got twice: {times_got.argmax()}"
        assert not times_got[begun:].any(), "got what nobody put"
        return int(begun - times_got.sum() - sum(times_got[number] == 0 for number in self.doubtful))

    def begin_anew(self) -> None:
        """Forget all."""
        self.begun.value = self.put.value = 0
        numpy.frombuffer(self.times_got, "B")[:] = 0
        numpy.frombuffer(self.newest, "q")[:] = -1
        self.doubtful.clear()


class Things:
    """All that the workers share. The producers' places come first."""

    def __init__(self, context: Any, ways: list[Way]) -> None:
        self.ways = ways
        self.lanes = [[Lane(context) for _ in ways] for _ in range(PRODUCERS)]
        self.closing = context.RawValue("b")
        """Set when producers shall put nothing more."""
        self.progress = context.RawArray("q", PRODUCERS + CONSUMERS)


def load(number: int) -> Any:
    """What a message carries, by its number: nothing much, or 100 B, 5 KB, or an array of 50 KB."""
    size = number * 2654435761 % 7
    if size == 0:
        return numpy.full(6250, number)
    return number if size < 3 else number.to_bytes(4, "little") * (25 if size < 6 else 1250)


def produce(things: Things, place: int) -> None:
    """Put a few messages."""
    which = random.randrange(len(things.ways))
    lane = things.lanes[place][which]
    for _ in range(random.choice((1, 30))):
        number = lane.begun.value
        if things.closing.value or number == LANE_MESSAGES:
            return
        lane.begun.value = number + 1
        if not things.ways[which].put((place, number, load(number))):
            lane.begun.value = number
            return
        lane.put.value = number + 1


def consume(things: Things, place: int) -> None:
    """Get a few messages."""
    which = random.randrange(len(things.ways))
    for _ in range(random.choice((1, 30))):
        try:
            producer, number, carried = things.ways[which].get()
        except queue.Empty:
            return
        lane = things.lanes[producer][which]
        lane.times_got[number] += 1
        newest = lane.newest[place - PRODUCERS]
        assert number > newest, f"{number} of producer {producer} came after {newest}"
        lane.newest[place - PRODUCERS] = number
        whole = load(number)
        assert type(carried) is type(whole) and numpy.array_equal(carried, whole), f"message {number} is not whole"


def step(things: Things, place: int) -> None:
    """Do what is done in that place."""
    (produce if place < PRODUCERS else consume)(things, place)


class BookedWorkers(Workers):
    """Producers and consumers, and how many consumers were killed."""

    mean_pause_seconds: ClassVar = Workers.mean_pause_seconds | {"forkserver": 0.1, "spawn": 0.3}  # they import numpy
    killed_consumers = 0

    def kill(self, place: int) -> None:
        """Kill one, wherever it is, and see what that makes of its messages."""
        super().kill(place)
        if place < PRODUCERS:
            for lane in self.things.lanes[place]:
                lane.note_death_of_producer()
        else:
            self.killed_consumers += 1

    def empty(self, which: int) -> None:
        """Get all that is there, when nobody else does."""
        things: Things = self.things
        while True:
            try:
                producer, number, _ = things.ways[which].get()
            except queue.Empty:
                return
            things.lanes[producer][which].times_got[number] += 1

    def end_round(self) -> tuple[int, int]:
        """Kill all, empty all ways, and check the books: how many messages there were, and were lost."""
        things: Things = self.things
        things.closing.value = 1
        for place in range(PRODUCERS + CONSUMERS):
            self.kill(place)
        for which, way in enumerate(things.ways):
            self.empty(which)
            way.check()
        lanes = [lane for of_producer in things.lanes for lane in of_producer]
        lost = sum(lane.lost() for lane in lanes)
        assert lost <= self.killed_consumers, f"{lost} were lost, {self.killed_consumers} consumers killed"
        return sum(lane.begun.value for lane in lanes), lost


def fire(method: str, kills: int, things: Things) -> tuple[int, int]:
    """Kill so many in a round; how many messages there were, and were lost."""
    for lanes in things.lanes:
        for lane in lanes:
            lane.begin_anew()
    things.closing.value = 0
    workers = BookedWorkers(method, step, things)
    workers.shoot(kills)
    return workers.end_round()


def descriptors() -> int:
    """Count this process's descriptors."""
    return len(os.listdir("/proc/self/fd"))


def soak(what: str, make_ways: Callable[[Any], Sequence[Way]], method: str, kills: int) -> None:
    """Kill so many among ways that are made with a context."""
    context = warmed_up(method)
    things = Things(context, list(make_ways(context)))
    before = blocks(), descriptors()
    messages = lost = 0
    for done in range(0, kills, KILLS_A_ROUND):
        in_round = fire(method, min(KILLS_A_ROUND, kills - done), things)
        messages, lost = messages + in_round[0], lost + in_round[1]
    print(f"{kills} kills among {what}, {method}: {messages} messages, {lost} died in hand, none doubled or astray")
    for way in things.ways:
        way.end()
    things.ways.clear()
    del way
    things = Things(context, list(make_ways(context)))
    after = blocks(), descriptors()
    assert after == before, f"(blocks, objects, bytes, spans), descriptors: {before} before, {after} after"
