"""A program: four processes do what hypothesis thinks of to a shared dict and a shared list, and are killed meanwhile.

    python tests/shared_model.py METHOD EXAMPLES

What is done is done to Python's own dict and list, too: results and errors are the same, and so is what is in them, but
for the one operation that a killed process had in hand, which has happened whole or not at all. Hypothesis makes what
fails as short as it can, and prints it.
"""

from __future__ import annotations

import faulthandler
import sys
import time
from typing import Any

import allcores as mp
from allcores import _core
from allcores._manager.shared_dict import SharedDict
from allcores._manager.shared_list import SharedList
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

HANG_LIMIT_SECONDS = 60
PROCESSES = 4
STEPS = 50

Operation = tuple[str, tuple[Any, ...]]
"""A method, and its arguments."""

keys = st.sampled_from([0, 1, 1.0, True, "a", "b", "k" * 1500, (1, "a"), (1.0, "a"), None, frozenset({1}), 2**70])
SMALL = [0, -1, 2**54, 2**60, 1.5, "", "seven b", "text of some length", None, (1, 2), [1], {"a": {1}}]
LARGE = [b"x" * 200, "t" * 3000, b"b" * 20_000, [bytearray(100_000)]]
values = st.integers(0, len(SMALL + LARGE) - 1).map(lambda number: (SMALL + LARGE)[number])
indexes = st.integers(-12, 12)
slices = st.builds(slice, st.none() | indexes, st.none() | indexes, st.none() | st.sampled_from([1, 2, 3, -1, -2]))
several = st.lists(values, max_size=12)


def operations(**arguments: Any) -> Any:
    """Return a strategy for a method with such arguments."""
    return st.one_of(
        [st.tuples(st.just(name.rstrip("0123456789")), st.tuples(*these)) for name, these in arguments.items()]
    )


dict_operations = operations(
    __setitem__=(keys, values),
    __delitem__=(keys,),
    get=(keys,),
    get_again=(keys,),
    pop=(keys,),
    pop2=(keys, values),
    popitem=(),
    setdefault=(keys, values),
    update=(st.dictionaries(keys, values, max_size=5),),
    add=(keys, st.integers(-3, 3)),
    compare_and_set=(keys, values, values),
    __contains__=(keys,),
    __len__=(),
    clear=(),
)
list_operations = operations(
    append=(values,),
    extend=(several,),
    extend2=(st.integers(200, 1200).map(lambda number: list(range(number))),),
    insert=(indexes, values),
    pop=(),
    pop2=(indexes,),
    remove=(values,),
    index=(values,),
    count=(values,),
    reverse=(),
    sort=(),
    clear=(),
    repeat=(st.integers(0, 3),),
    __getitem__=(indexes | slices,),
    __setitem__=(indexes, values),
    __setitem__2=(slices, several),
    __delitem__=(indexes | slices,),
    __contains__=(values,),
    __len__=(),
)


def do(thing: Any, operation: Operation) -> tuple[str, Any]:
    """Do something to a dict or a list, ours or Python's own; return what came of it."""
    name, arguments = operation
    try:
        match name:
            case "add" if type(thing) is dict:
                thing[arguments[0]] = result = thing.get(arguments[0], 0) + arguments[1]
            case "compare_and_set" if type(thing) is dict:
                key, old, new = arguments
                result = key in thing and thing[key] == old
                if result:
                    thing[key] = new
            case "get_again":
                result = [thing.get(*arguments) for _ in range(5)]
            case "sort":
                result = thing.sort(key=repr)
            case "repeat" if isinstance(thing, (list, SharedList)) and len(thing) < 5000:
                thing *= arguments[0]
                result = None
            case "repeat":
                result = None
            case _:
                result = getattr(thing, name)(*arguments)
    except Exception as error:
        return "raised", type(error).__name__
    return "returned", result


def content(thing: Any) -> list[Any]:
    """Return what is in a dict or a list, in order, with types."""
    items = thing.copy()
    items = list(items.items()) if isinstance(items, dict) else items
    return [(repr(item)[:100], item) for item in items]


def work(things: list[Any], connection: Any) -> None:
    """Do what one is told to."""
    while True:
        which, operation = connection.recv()
        connection.send(do(things[which], operation))


class Worker:
    """A process that does what it is told to."""

    def __init__(self, context: Any, things: list[Any]) -> None:
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(things, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def kill(self) -> None:
        """Have it end wherever it is."""
        self.process.kill()
        self.process.join()
        self.connection.close()


class Machine(RuleBasedStateMachine):
    """Four processes, a dict and a list."""

    context: Any
    workers: list[Worker]
    things: list[Any]
    examples = 0

    def __init__(self) -> None:
        """Begin with nothing in them."""
        super().__init__()
        faulthandler.dump_traceback_later(HANG_LIMIT_SECONDS, exit=True)
        Machine.examples += 1
        for thing in self.things:
            thing.clear()
        self.own: list[Any] = [{}, []]

    @initialize(pairs=st.dictionaries(keys, values, max_size=12), items=several, number=st.sampled_from([0, 5, 1020]))
    def begin(self, pairs: dict[Any, Any], items: list[Any], number: int) -> None:
        """Have something in them."""
        for things in (self.own, self.things):
            things[0].update(pairs)
            things[1].extend([*items, *range(number), *items])

    @rule(number=st.integers(0, PROCESSES - 1), operation=dict_operations)
    def to_the_dict(self, number: int, operation: Operation) -> None:
        """One process does something to the dict."""
        self.by(number, 0, operation)

    @rule(number=st.integers(0, PROCESSES - 1), operation=list_operations)
    def to_the_list(self, number: int, operation: Operation) -> None:
        """One process does something to the list."""
        self.by(number, 1, operation)

    def by(self, number: int, which: int, operation: Operation) -> None:
        connection = self.workers[number].connection
        connection.send((which, operation))
        found, wanted = connection.recv(), do(self.own[which], operation)
        assert found == wanted, (operation, found, wanted)

    @rule(
        number=st.integers(0, PROCESSES - 1),
        task=st.tuples(st.just(0), dict_operations) | st.tuples(st.just(1), list_operations),
        microseconds=st.integers(0, 300),
    )
    def killed_in(self, number: int, task: tuple[int, Operation], microseconds: int) -> None:
        """One process is killed while it does something, or before, or after."""
        which, operation = task
        self.workers[number].connection.send(task)
        until = time.perf_counter_ns() + microseconds * 1000
        while time.perf_counter_ns() < until:
            pass
        self.workers[number].kill()
        self.workers[number] = Worker(self.context, self.things)
        after = self.own[which].copy()
        do(after, operation)
        found, before = content(self.things[which]), content(self.own[which])
        assert found in (before, content(after)), (operation, [shown for shown, _ in found])
        if found != before:
            self.own[which] = after

    @rule(
        victim=st.integers(0, PROCESSES - 1),
        tasks=st.lists(st.tuples(keys, values), min_size=PROCESSES, max_size=PROCESSES),
        grows=st.booleans(),
    )
    def at_once(self, victim: int, tasks: list[tuple[Any, Any]], grows: bool) -> None:
        """Each does something that leaves alone what the others do it to, and one is killed."""
        sets: list[Operation] = [("__setitem__", ((number, key), value)) for number, (key, value) in enumerate(tasks)]
        appends: list[Operation] = [("append", (f"own {number}",)) for number in range(PROCESSES)]
        which = 1 if grows else 0
        for worker, operation in zip(self.workers, appends if grows else sets, strict=True):
            worker.connection.send((which, operation))
        self.workers[victim].kill()
        done = [worker.connection.recv() for number, worker in enumerate(self.workers) if number != victim]
        assert done == [("returned", None)] * (PROCESSES - 1)
        self.workers[victim] = Worker(self.context, self.things)
        if grows:
            before = len(self.own[1])
            found = self.things[1].copy()
            new = found[before:]
            assert found[:before] == self.own[1]
            assert {f"own {number}" for number in range(PROCESSES) if number != victim} <= set(new)
            assert len(new) == len(set(new)) <= PROCESSES
            self.own[1] = found
            return
        found = self.things[0].copy()
        for number, operation in enumerate(sets):
            key = operation[1][0]
            if number != victim or (key in found and found[key] == operation[1][1]):
                do(self.own[0], operation)
        assert found == self.own[0]
        self.own[0] = found  # in whichever order these four came

    @invariant()
    def they_are_the_same(self) -> None:
        """What is in them is what is to be, also when it is got again and again."""
        for key, value in self.own[0].items():
            assert [self.things[0][key] for _ in range(3)] == [value] * 3
        for shared, own in zip(self.things, self.own, strict=True):
            assert content(shared) == content(own)


def main(method: str, examples: int) -> None:
    """Have it done so often, in an order of hypothesis's choice each time."""
    faulthandler.dump_traceback_later(HANG_LIMIT_SECONDS, exit=True)
    Machine.context = mp.get_context(method)
    Machine.things = [SharedDict(), SharedList()]
    Machine.workers = [Worker(Machine.context, Machine.things) for _ in range(PROCESSES)]
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=max(1, examples),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    for worker in Machine.workers:
        worker.kill()
    _core.sweep_arena()
    _core.arena_account()
    faulthandler.cancel_dump_traceback_later()
    print(f"{method}: {Machine.examples} examples")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
