"""What is sent in a message lives as long as the message, and its sender keeps nothing of it."""

import functools
import gc
import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import allcores
import numpy
import pytest
from allcores import _core

CONTEXT: Any = allcores.get_context("fork")
HANG_LIMIT_SECONDS = 30


def account() -> tuple[int, ...]:
    """Objects, their bytes, spans and references, when all that is dropped has gone."""
    gc.collect()
    _core.sweep_arena()
    return _core.arena_account()[1:]


def assert_no_more_than(before: tuple[int, ...]) -> None:
    """There are not more objects and references than before; what other tests have had may have gone meanwhile."""
    now = account()
    assert (now[0] <= before[0], now[3] <= before[3]) == (True, True), f"{now}, and before {before}"


class Way:
    """A way for messages within this process."""

    def __init__(self, put: Callable[[Any], Any], get: Callable[[], Any], parts: Any) -> None:
        self.put, self.get, self.parts = put, get, parts


def by_queue() -> Way:
    queue = CONTEXT.Queue()
    return Way(queue.put, lambda: queue.get(timeout=HANG_LIMIT_SECONDS), queue)


def by_simple_queue() -> Way:
    queue = CONTEXT.SimpleQueue()
    return Way(queue.put, queue.get, queue)


def by_batches() -> Way:
    queue = CONTEXT.Queue()
    return Way(lambda obj: queue.put_many([obj]), lambda: queue.get_many(timeout=HANG_LIMIT_SECONDS)[0], queue)


def by_pipe() -> Way:
    reader, writer = CONTEXT.Pipe(duplex=False)
    return Way(writer.send, reader.recv, (reader, writer))


WAYS = [by_queue, by_simple_queue, by_batches, by_pipe]
MAKERS: dict[str, Callable[[], Any]] = {
    "lock": CONTEXT.Lock,
    "event": CONTEXT.Event,
    "queue": CONTEXT.Queue,
    "value": lambda: CONTEXT.Value("i", 7),
    "shared array": lambda: allcores.share(numpy.arange(100_000)),
    "block of the arena in a large message": lambda: (CONTEXT.Event(), numpy.arange(100_000)),
    "many": lambda: [CONTEXT.Event() for _ in range(700)],  # more than one bundle has room for
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("way", WAYS)
def test_nothing_stays_of_what_was_sent_and_received(way: Callable[[], Way], make: Callable[[], Any]) -> None:
    line = way()
    for _ in range(2):  # what is made once only is there from now on
        line.put(make())
        line.get()
    before = account()
    for _ in range(20):
        line.put(make())
        line.get()
    assert_no_more_than(before)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_sent_lives_though_its_sender_has_dropped_it(way: Callable[[], Way]) -> None:
    line = way()
    line.put((CONTEXT.Value("i", 7), allcores.share([1, 2, 3])))
    gc.collect()
    _core.sweep_arena()
    value, array = line.get()
    assert (value.value, array.tolist()) == (7, [1, 2, 3])


def test_what_is_sent_lives_though_its_sender_was_killed() -> None:
    queue, sent = CONTEXT.Queue(), CONTEXT.Event()

    def send() -> None:
        queue.put(CONTEXT.Value("i", 7))
        sent.set()
        signal.pause()

    process = CONTEXT.Process(target=send)
    process.start()
    assert sent.wait(HANG_LIMIT_SECONDS)
    process.kill()
    process.join()
    _core.sweep_arena()
    assert queue.get(timeout=HANG_LIMIT_SECONDS).value == 7


@pytest.mark.parametrize("way", WAYS)
def test_what_nobody_has_received_goes_with_its_way(way: Callable[[], Way]) -> None:
    before = account()
    line = way()
    for make in MAKERS.values():
        line.put(make())
    del line
    assert_no_more_than(before)


def test_a_put_for_which_there_is_no_room_leaves_nothing() -> None:
    queue = CONTEXT.Queue(maxsize=1)
    queue.put(1)
    before = account()
    with pytest.raises(allcores.queues.Full):
        queue.put(CONTEXT.Event(), block=False)
    assert_no_more_than(before)


def test_what_cannot_be_pickled_leaves_nothing_of_the_handles_before_it() -> None:
    queue = CONTEXT.Queue()
    before = account()
    with pytest.raises(TypeError, match="cannot pickle"):
        queue.put((CONTEXT.Event(), (lambda: (yield))()))
    assert_no_more_than(before)


def set_event(event: Any) -> Any:
    """Set it, and return it."""
    event.set()
    return event


@contextmanager
def pools() -> Iterator[dict[str, Callable[[Any], Any]]]:
    with CONTEXT.Pool(1) as pool, allcores.ProcessPoolExecutor(1, mp_context=CONTEXT) as executor:

        def submit(event: Any) -> Any:
            future: Future[Any] = executor.submit(set_event, event)
            return future.result(HANG_LIMIT_SECONDS)

        yield {
            "apply": lambda event: pool.apply(set_event, (event,)),
            "map": lambda event: pool.map(set_event, [event])[0],
            "imap": lambda event: next(pool.imap(set_event, [event])),
            "submit": submit,
        }


def test_pools_keep_nothing_of_arguments_and_results() -> None:
    with pools() as ways:
        for name, call in ways.items():
            for _ in range(2):
                assert call(CONTEXT.Event()).is_set()
            before = account()
            for _ in range(5):
                assert call(CONTEXT.Event()).is_set(), name
            # The worker has its last task still, and may have the one before.
            assert account()[0] <= before[0] + 2, name


def item_of(array: Any, event: Any, index: int) -> Any:
    """Return an item, if the event is there."""
    return None if event.is_set() else int(array[index])


def test_what_is_sent_once_for_many_tasks_is_kept_as_long_as_they_are() -> None:
    with CONTEXT.Pool(1) as pool:

        def call() -> list[Any]:
            function = functools.partial(item_of, allcores.share(numpy.arange(10_000)), CONTEXT.Event())
            found: list[Any] = pool.map(function, range(50), chunksize=5)
            return found

        for _ in range(3):
            assert call() == list(range(50))
        before = account()
        for _ in range(10):
            assert call() == list(range(50))
        now = account()
        # The worker may keep its last functions.
        assert (now[0] <= before[0] + 4, now[3] <= before[3] + 8) == (True, True), f"{now}, and before {before}"


def test_a_process_that_starts_while_something_is_pickled_has_its_arguments_for_itself() -> None:
    class Starts:
        def __init__(self, method: str) -> None:
            self.method = method

        def __reduce__(self) -> Any:
            context: Any = allcores.get_context(self.method)
            event = context.Event()
            process = context.Process(target=event.set)
            process.start()
            process.join()
            return bool, (event.is_set(),)

    queue = CONTEXT.Queue()
    for method in ("fork", "warm", "spawn"):
        queue.put((CONTEXT.Event(), Starts(method)))
        event, was_set = queue.get(timeout=HANG_LIMIT_SECONDS)
        assert (event.is_set(), was_set) == (False, True), method


def test_what_is_pickled_for_others_than_ours_is_kept_by_who_pickled_it() -> None:
    pickled = pickle.dumps(CONTEXT.Value("i", 7))
    gc.collect()
    assert pickle.loads(pickled).value == 7
    reader, writer = multiprocessing.Pipe(duplex=False)
    writer.send(CONTEXT.Value("i", 8))
    gc.collect()
    assert reader.recv().value == 8


def test_the_bound_of_bytes_counts_what_comes_with_handles() -> None:
    queue = CONTEXT.Queue(maxbytes=1 << 20)
    queue.put((CONTEXT.Event(), numpy.zeros(1 << 20, numpy.uint8)))
    with pytest.raises(allcores.queues.Full):
        queue.put(1, block=False)
    queue.get(timeout=HANG_LIMIT_SECONDS)
    queue.put(1, block=False)
    assert queue.get(timeout=HANG_LIMIT_SECONDS) == 1


def test_a_finalizer_may_put_while_something_is_pickled() -> None:
    others = CONTEXT.Queue()

    class Puts:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            others.put([CONTEXT.Event()])

    queue = CONTEXT.Queue()
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)  # wherever Python allocates
    try:
        for _ in range(100):
            Puts()
            queue.put([CONTEXT.Event()])
            assert not queue.get(timeout=HANG_LIMIT_SECONDS)[0].is_set()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    put = [others.get(timeout=HANG_LIMIT_SECONDS) for _ in range(100)]
    assert not any(event.is_set() for [event] in put)
