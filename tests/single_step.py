"""A program: lets processes of a start method do an operation, and kills them at one of its instructions after another.

    python tests/single_step.py METHOD OPERATION MOST [telling]

At most MOST victims (0: one for each instruction), a fixed stride apart; at which of the first instructions that begins
differs between operations and methods. With `telling`, one more at each place where a kill leaves something else than a
kill at the next one. Prints what came of it, as JSON. It ends with an error when something does not hold that must.
"""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import allcores as mp
from allcores import _core
from stepped_operations import OPERATIONS, Operation
from stepping import Place, Traced, allow_tracing, mark
from survivors import PATIENCE_SECONDS, is_asleep

LEAST_SCOUTS, MOST_SCOUTS, MOST_SCOUTED = 2, 5, 8_000
"""How many scouts go through an operation, and about how many instructions all together if these are not enough."""


def be_victim(name: str, thing: Any, ready: Connection, go: Connection) -> None:
    """Do an operation between two marks, when told to."""
    operation = OPERATIONS[name]
    allow_tracing()
    prepared = operation.prepares(thing)
    ready.send_bytes(b"prepared")
    os.read(go.fileno(), 1)
    mark()
    operation.does(prepared)
    mark()
    os.read(go.fileno(), 1)  # nothing comes: killed here at the latest


def be_partner(name: str, thing: Any, connection: Connection) -> None:
    """Wait as often as one is told to, and tell what came of it when one is told that the victim is dead."""
    waits = OPERATIONS[name].waits
    assert waits is not None
    while connection.recv() == "begin":
        answer = waits(thing, connection)
        connection.recv()
        connection.send(answer)


def until(holds: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    """Return when something holds that must, soon: after that time it is an error."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        os.sched_yield()


class Stage:
    """Where victims do one operation and are killed, one after another."""

    def __init__(self, context: Any, name: str) -> None:
        """Make what the operation is about."""
        self.context, self.name = context, name
        self.operation: Operation = OPERATIONS[name]
        self.thing = self.operation.makes(context)
        # Not ours: a channel that comes to the end of a segment has one more for a while, and the heap is watched here.
        self.ready, self._say_ready = multiprocessing.Pipe(duplex=False)
        self._go, self.lets_go = multiprocessing.Pipe(duplex=False)
        self.outcomes: Counter[str] = Counter()
        self.partner: Any = None

    @contextmanager
    def with_partner(self) -> Iterator[None]:
        """Have another process that waits for the thing, if that belongs to the operation."""
        if self.operation.waits is None:
            yield
            return
        self.connection, its_end = multiprocessing.Pipe()
        self.partner = self.context.Process(target=be_partner, args=(self.name, self.thing, its_end), daemon=True)
        self.partner.start()
        yield
        self.connection.send("end")
        self.partner.join()
        assert self.partner.exitcode == 0

    def common_way(self, *, telling: bool) -> list[Place]:
        """Return the instructions of an operation to which all of some scouts came, and which tell, if asked for.

        How often one looks for what it waits for depends on time, and victims may look less often than a scout. A place
        tells if it told one of them: another one may have stored there what was there already.
        """
        ways: list[list[Place]] = []
        while len(ways) < LEAST_SCOUTS or (len(ways) < MOST_SCOUTS and sum(map(len, ways)) < MOST_SCOUTED):
            ways.append(self.kill_one(partial(Traced.scout, telling=telling)))
        visited = [{place._replace(tells=False): place.tells for place in way} for way in ways]
        common = set(visited[0]).intersection(*visited)
        return [place._replace(tells=any(tells[place] for tells in visited)) for place in visited[0] if place in common]

    def kill_one(self, goes_to: Callable[[Traced], Any]) -> Any:
        """Let a fresh process do the operation up to somewhere, kill it there, and look at what it leaves."""
        faulthandler.dump_traceback_later(2 * PATIENCE_SECONDS, exit=True)
        operation = self.operation
        operation.sets_up(self.thing)
        arguments = self.name, self.thing, self._say_ready, self._go
        victim = self.context.Process(target=be_victim, args=arguments, daemon=True)
        victim.start()
        self.ready.recv_bytes()
        self._begin_to_wait(victim.pid)
        with Traced(victim.pid) as traced:
            traced.run_to_marker(lambda: os.write(self.lets_go.fileno(), b"."))
            result = goes_to(traced)
            traced.kill()
        victim.join()
        assert victim.exitcode == -9, victim.exitcode
        if self.partner is not None:
            self.connection.send("the victim is dead")
        self.outcomes[operation.checks(self.thing, self._answer)] += 1
        return result

    def _begin_to_wait(self, victim: int) -> None:
        if self.partner is None:
            return
        self.connection.send("begin")
        if self.operation.until_asleep:
            until(self._is_waited_for, lambda: f"the partner does not wait: {self.thing!r}")
        else:
            self.connection.recv()
            self.connection.send(victim)

    def _is_waited_for(self) -> bool:
        return self.operation.waiters(self.thing) == 1 and is_asleep(self.partner.pid)

    def _answer(self) -> Any:
        assert self.connection.poll(PATIENCE_SECONDS), "the partner hangs"
        return self.connection.recv()


def account() -> tuple[int, ...]:
    """Have what the dead held given back, and walk the heap, which must agree with itself."""
    _core.sweep_arena()
    return _core.arena_account()


def is_as_before(before: tuple[int, ...]) -> bool:
    """Whether there is as much in the heap. A pickle with a handle, say of the 256th object in its place, is longer."""
    blocks, objects, size, *others = account()
    return [blocks, objects, *others] == [*before[:2], *before[3:]] and abs(size - before[2]) < 8


def chosen(places: list[Place], most: int, key: str) -> list[Place]:
    """Return at most so many places, evenly spread, beginning with another one for each key. 0: all."""
    stride = -(-len(places) // most) if most else 1
    return places[zlib.crc32(key.encode()) % stride :: stride]


def main(method: str, name: str, most: int, *, telling: bool) -> None:
    stage = Stage(mp.get_context(method), name)
    with stage.with_partner():
        stage.kill_one(Traced.run_to_end)  # what is made once only is there from now on
        before = account()
        places = stage.common_way(telling=telling)
        stage.outcomes.clear()
        victims = chosen(places, most, method + name)
        if telling:
            victims += [place for place in places if place.tells and place not in victims]
        missed = 0
        for place in victims:
            try:
                missed += not stage.kill_one(partial(Traced.run_to, place=place))
                # A spare that is being forked has references, too, until it is born.
                until(lambda: is_as_before(before), lambda: f"the heap has {account()}, and had {before}")
            except BaseException as error:
                error.add_note(f"killed at {place}")
                raise
    faulthandler.cancel_dump_traceback_later()
    found = {"places": len(places), "victims": len(victims), "missed": missed, "outcomes": stage.outcomes}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), telling="telling" in sys.argv[4:])
