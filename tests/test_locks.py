"""What locks, semaphores, conditions, events and barriers mean in one process, by each context."""

import threading
import time
from collections.abc import Callable
from typing import Any

import allcores
import pytest
from running import METHODS

EVERY = ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier")
LOCKS = EVERY[:5]
NOT_OWNED = "attempt to release recursive lock not owned by thread"
TOO_MANY = "semaphore or lock released too many times"


def make(context: Any, kind: str, **options: Any) -> Any:
    return getattr(context, kind)(*[2] * (kind == "Barrier"), **options)


def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    answers: list[Any] = []

    def call() -> None:
        try:
            answers.append(function(*arguments))
        except Exception as error:
            answers.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return answers[0]


@pytest.fixture(params=METHODS)
def context(request: pytest.FixtureRequest) -> Any:
    return allcores.get_context(request.param)


@pytest.mark.parametrize("kind", ["Lock", "Semaphore", "BoundedSemaphore"])
def test_a_lock_that_is_held_cannot_be_acquired(context: Any, kind: str) -> None:
    lock = make(context, kind)
    assert lock.acquire() is True
    for arguments in ((False,), (False, None), (False, 5), (True, 0), (True, -1), (True, 0.01), (True, float("-inf"))):
        assert lock.acquire(*arguments) is False, arguments
    for arguments in ((0,), (0, 5), (1, 0)):  # as programs wrote when there was no bool
        assert lock.acquire(*arguments) is False, arguments
    assert lock.acquire(block=False) is False
    assert lock.acquire(timeout=0.01) is False
    assert lock.acquire(block=True, timeout=0) is False
    assert lock.release() is None
    assert lock.acquire(timeout=float("inf")) is True
    lock.release()
    with lock as entered:
        assert entered is True
        assert lock.acquire(False) is False
    assert lock.acquire(False) is True


@pytest.mark.parametrize("kind", ["Lock", "BoundedSemaphore"])
def test_releasing_what_is_free_is_a_value_error(context: Any, kind: str) -> None:
    lock = make(context, kind)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"^{TOO_MANY}$"):
            lock.release()
        assert lock.acquire(False) is True
        assert lock.acquire(False) is False, "nothing was added"
        lock.release()


@pytest.mark.parametrize("kind", ["Lock", "Semaphore", "BoundedSemaphore"])
def test_another_thread_may_release(context: Any, kind: str) -> None:
    lock = make(context, kind)
    in_thread(lock.acquire)
    assert lock.acquire(False) is False, "it is held although the thread ended"
    lock.release()
    lock.acquire()
    assert in_thread(lock.release) is None
    assert lock.acquire(False) is True


@pytest.mark.parametrize("kind", ["RLock", "Condition"])
def test_a_recursive_lock_belongs_to_one_thread_until_each_level_is_released(context: Any, kind: str) -> None:
    lock = make(context, kind)
    assert [lock.acquire(), lock.acquire(False), lock.acquire(timeout=1)] == [True] * 3
    for _ in range(3):
        assert in_thread(lock.acquire, False) is False
        assert in_thread(lock.acquire, True, 0.01) is False
        error = in_thread(lock.release)
        assert (type(error), str(error)) == (AssertionError, NOT_OWNED)
        assert lock.release() is None
    assert in_thread(lock.acquire, False) is True
    assert lock.acquire(False) is False, "the other thread has it"
    with pytest.raises(AssertionError, match=f"^{NOT_OWNED}$"):
        lock.release()


def test_a_condition_of_a_lock_is_not_recursive(context: Any) -> None:
    lock = context.Lock()
    condition = context.Condition(lock)
    with condition:
        assert lock.acquire(False) is False
        assert condition.acquire(False) is False
        assert condition.wait(0.01) is False
        assert lock.acquire(False) is False, "it is held again"
    assert lock.acquire(False) is True


def test_a_semaphore_counts(context: Any) -> None:
    semaphore, bounded = context.Semaphore(3), context.BoundedSemaphore(3)
    for counter in (semaphore, bounded):
        assert [counter.acquire(False) for _ in range(4)] == [True, True, True, False]
        assert counter.get_value() == 0
        for _ in range(3):
            counter.release()
        assert counter.get_value() == 3
    semaphore.release()
    assert semaphore.get_value() == 4
    with pytest.raises(ValueError, match=f"^{TOO_MANY}$"):
        bounded.release()
    assert context.Semaphore().get_value() == context.BoundedSemaphore().get_value() == 1
    assert context.Semaphore(0).acquire(False) is False
    assert context.Semaphore(value=2).get_value() == 2


@pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore"])
@pytest.mark.parametrize(
    ("value", "error"), [(-1, (OSError, ValueError)), (2**31, OverflowError), ("1", TypeError), (1.5, TypeError)]
)
def test_a_semaphore_refuses_a_value_that_makes_no_sense(kind: str, value: Any, error: Any) -> None:
    with pytest.raises(error):
        getattr(allcores, kind)(value)


@pytest.mark.parametrize("kind", LOCKS)
def test_a_time_out_that_is_no_number_is_a_type_error(kind: str) -> None:
    with pytest.raises(TypeError):
        make(allcores, kind).acquire(True, "1")


@pytest.mark.parametrize("kind", LOCKS)
def test_leaving_a_block_takes_three_arguments_at_most(kind: str) -> None:
    lock = make(allcores, kind)
    lock.acquire()
    with pytest.raises(TypeError):
        lock.__exit__(1, 2, 3, 4)
    lock.__exit__(None, None, None)
    assert lock.acquire(False) is True


@pytest.mark.parametrize("with_lock", [False, True], ids=["its own lock", "a lock of the caller"])
def test_a_condition_asserts_that_its_lock_is_owned(context: Any, with_lock: bool) -> None:
    condition = context.Condition(context.Lock() if with_lock else None)
    for call, text in (
        (condition.wait, r"must acquire\(\) condition before using wait\(\)"),
        (condition.notify, "lock is not owned"),
        (condition.notify_all, "lock is not owned"),
    ):
        with pytest.raises(AssertionError, match=f"^{text}$"):
            call()
    with condition:
        assert condition.wait(0) is False
        assert condition.wait(-1) is False
        assert condition.notify() is None
        assert condition.notify(0) is None
        assert condition.notify_all() is None
        assert condition.wait(0.01) is False, "nobody waited when it was notified"
        assert type(in_thread(condition.notify)) is AssertionError or with_lock, "this thread has it, not that one"


def test_waiting_for_a_predicate_returns_what_it_returns(context: Any) -> None:
    condition = context.Condition()
    with condition:
        assert condition.wait_for(lambda: 7) == 7
        assert condition.wait_for(lambda: [], 0.01) == []
        assert condition.wait_for(lambda: None, timeout=0) is None
        looks: list[int] = []
        waker = threading.Thread(target=notify_until, args=(condition, lambda: len(looks) == 3))
        waker.start()
        assert condition.wait_for(lambda: looks.append(1) or (len(looks) == 3 and "yes")) == "yes"
    waker.join()


def notify_until(condition: Any, enough: Callable[[], bool]) -> None:
    while not enough():
        with condition:
            condition.notify_all()


def notify_once(condition: Any) -> None:
    with condition:
        condition.notify_all()


def test_waiting_gives_up_every_level_and_takes_all_back(context: Any) -> None:
    condition = context.Condition()
    condition.acquire()
    condition.acquire()
    waker = threading.Thread(target=notify_once, args=(condition,))
    waker.start()
    assert condition.wait() is True
    waker.join()
    condition.release()
    assert in_thread(condition.acquire, False) is False, "one level is left"
    condition.release()
    assert in_thread(condition.acquire, False) is True


def test_an_event_is_set_until_it_is_cleared(context: Any) -> None:
    event = context.Event()
    for _ in range(2):
        assert event.is_set() is False
        assert [event.wait(0), event.wait(-1), event.wait(0.01), event.wait(timeout=0)] == [False] * 4
        assert event.set() is None
        event.set()
        assert event.is_set() is True
        assert [event.wait(), event.wait(0), event.wait(timeout=5)] == [True] * 3
        assert event.clear() is None
        event.clear()


def test_a_barrier_can_be_passed_broken_and_reset(context: Any) -> None:
    done: list[int] = []
    barrier = context.Barrier(1, lambda: done.append(1))
    assert (barrier.wait(), barrier.wait(0), done) == (0, 0, [1, 1])
    barrier = context.Barrier(parties=2, action=None, timeout=None)
    assert (barrier.parties, barrier.n_waiting, barrier.broken) == (2, 0, False)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(0.01)
    for broken in (barrier, context.Barrier(2, timeout=0.01)):
        with pytest.raises(threading.BrokenBarrierError):
            broken.wait()
        assert (broken.broken, broken.n_waiting) == (True, 0)
        assert broken.reset() is None
        assert broken.broken is False
    barrier.abort()
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()


def test_an_action_that_fails_breaks_the_barrier(context: Any) -> None:
    barrier = context.Barrier(1, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        barrier.wait()
    assert barrier.broken is True


@pytest.mark.parametrize("kind", EVERY)
def test_waiting_takes_as_long_as_was_asked_for(kind: str) -> None:
    thing = make(allcores, kind)
    if hasattr(thing, "acquire"):
        in_thread(thing.acquire)
    began = time.monotonic()
    if kind == "Barrier":
        with pytest.raises(threading.BrokenBarrierError):
            thing.wait(0.05)
    else:
        assert (thing.wait if kind == "Event" else thing.acquire)(timeout=0.05) is False
    assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize("kind", EVERY)
def test_a_name_stands_in_the_repr(context: Any, kind: str) -> None:
    thing = make(context, kind, name="accounts")
    assert kind in repr(thing) and "'accounts'" in repr(thing)
    assert kind in repr(make(context, kind)) and kind in repr(make(context, kind, name=None))
    with pytest.raises(TypeError):
        make(context, kind, nonsense=1)


def test_what_to_do_when_an_owner_dies_can_be_chosen(context: Any) -> None:
    for kind in LOCKS[:4]:
        for recover in (True, False):
            with make(context, kind, name="x", recover=recover) as entered:
                assert entered is True
