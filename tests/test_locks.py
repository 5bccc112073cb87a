"""What locks, semaphores, conditions, events and barriers mean: one body for every kind and every start method."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import allcores
import pytest
from lock_programs import HEAD, prints
from running import METHODS, PYTHON, guarded, program, run, started

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


def test_a_handle_error_is_one_of_ours_and_a_value_error() -> None:
    assert issubclass(allcores.HandleError, (allcores.AllcoresError, ValueError))
    assert issubclass(allcores.HandleError, ValueError) and issubclass(allcores.HandleError, allcores.AllcoresError)


@pytest.mark.parametrize("method", METHODS)
def test_threads_and_processes_exclude_one_another(method: str, tmp_path: Path) -> None:
    definitions = """
def add(lock, counter):
    for turn in range(150):
        with lock:
            value = counter.value
            if turn % 5 == 0:
                os.sched_yield()
            counter.value = value + 1

def work(pairs):
    threads = [threading.Thread(target=add, args=pair) for pair in pairs for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
    main = """
pairs = [(make(kind), context.RawValue("i")) for kind in KINDS[:5]]
pairs.append((context.Condition(context.Lock()), context.RawValue("i")))
processes = [context.Process(target=work, args=(pairs,)) for _ in range(2)]
for process in processes:
    process.start()
work(pairs)
for process in processes:
    process.join()
print([counter.value for _, counter in pairs])
"""
    assert prints(tmp_path, definitions, main, method) == f"{[900] * 6}\n"


LOOKS = """
def taken(things):
    return [kind for kind, thing in things.items() if is_taken(thing)]

def looks(things, connection):
    while connection.recv():
        connection.send(taken(things))

class Looker(context.Process):
    def run(self):
        looks(self.things, self.connection)

def look_as_main(connection):
    looks(main_things, connection)

def keep(things):
    global kept
    kept = things

def taken_of_kept():
    return taken(kept)

def report(way, ask):
    for thing in things.values():
        take(thing)
    first = ask()
    for thing in things.values():
        give_back(thing)
    print(way, [kind for kind in KINDS if kind not in first], ask())

def report_process(way, process):
    process.start()
    def ask():
        ours.send(True)
        return ours.recv()
    report(way, ask)
    ours.send(False)
    process.join()
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_child_has_the_same_objects_as_its_parent(method: str, tmp_path: Path) -> None:
    main = """
things = {kind: make(kind) for kind in KINDS}
ours, theirs = context.Pipe()
report_process("argument", context.Process(target=looks, args=(things, theirs)))
report_process("keyword", context.Process(target=looks, kwargs={"connection": theirs, "things": things}))
looker = Looker()
looker.things, looker.connection = things, theirs
report_process("attribute", looker)
with context.Pool(1, keep, (things,)) as pool:
    report("initializer", lambda: pool.apply(taken_of_kept))
if method == "fork":
    main_things = things
    report_process("global", context.Process(target=look_as_main, args=(theirs,)))
else:
    print("global [] []")
"""
    expected = "".join(f"{way} [] []\n" for way in ("argument", "keyword", "attribute", "initializer", "global"))
    assert prints(tmp_path, LOOKS, main, method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_objects_travel_through_whatever_pickles(method: str, tmp_path: Path) -> None:
    definitions = """
def looks_at_what_comes(receive, connection):
    looks(receive(), connection)

def makes(connection):
    things = {kind: make(kind) for kind in KINDS}
    for thing in things.values():
        take(thing)
    connection.send(things)
    connection.recv()
"""
    main = """
things = {kind: make(kind) for kind in KINDS}
ours, theirs = context.Pipe()
receiver, sender = context.Pipe(duplex=False)
queue, simple = context.Queue(), context.SimpleQueue()
for way, put, receive in (
    ("queue", queue.put, queue.get), ("simple queue", simple.put, simple.get), ("pipe", sender.send, receiver.recv)
):
    put(things)
    report_process(way, context.Process(target=looks_at_what_comes, args=(receive, theirs)))
with context.Pool(1) as pool:
    report("pool", lambda: pool.apply(taken, (things,)))
    report("pool map", lambda: pool.map(taken, [things])[0])
copies = pickle.loads(pickle.dumps(things))
report("pickle", lambda: in_thread(taken, copies))
report("pickle of a pickle", lambda: in_thread(taken, pickle.loads(pickle.dumps(copies))))
process = context.Process(target=makes, args=(theirs,))
process.start()
of_child = ours.recv()
print("of a child", taken(of_child) == list(KINDS))
ours.send("end")
process.join()
print("of a child that is gone", taken(of_child) == list(KINDS))
"""
    ways = ("queue", "simple queue", "pipe", "pool", "pool map", "pickle", "pickle of a pickle")
    expected = "".join(f"{way} [] []\n" for way in ways) + "of a child True\nof a child that is gone True\n"
    assert prints(tmp_path, LOOKS + definitions, main, method) == expected


def test_a_handle_of_what_nobody_holds_any_more_says_so(tmp_path: Path) -> None:
    main = """
for kind in KINDS:
    handle = pickle.dumps(make(kind, name="forgotten"))
    gc.collect()
    others = [make(kind) for _ in range(100)]  # of which one may have the place of the first
    try:
        print("it is", pickle.loads(handle))
    except mp.HandleError as error:
        print(kind, len(str(error)) > 40)
"""
    assert prints(tmp_path, "", main) == "".join(f"{kind} True\n" for kind in EVERY)


@pytest.mark.parametrize("how", ["still runs", "is gone"])
def test_a_handle_of_another_program_says_so(how: str, tmp_path: Path) -> None:
    writes = """
things = [make(kind) for kind in KINDS]
with open("handles", "wb") as file:
    pickle.dump([pickle.dumps(thing) for thing in things], file)
print("written", flush=True)
sys.stdin.read()
"""
    reads = """
others = [make(kind) for kind in KINDS]
with open("handles", "rb") as file:
    handles = pickle.load(file)
for kind, handle in zip(KINDS, handles):
    try:
        print("it is", pickle.loads(handle))
    except mp.HandleError as error:
        print(kind, len(str(error)) > 40)
"""
    folder = str(tmp_path)
    writer = program(tmp_path, guarded(HEAD, f"os.chdir({folder!r})\n{writes.strip()}"), "writer.py")
    reader = program(tmp_path, guarded(HEAD, f"os.chdir({folder!r})\n{reads.strip()}"), "reader.py")
    expected = "".join(f"{kind} True\n" for kind in EVERY)
    if how == "is gone":
        outcome = run([*PYTHON, writer])
        assert outcome.out == "written\n", outcome.err
        assert run([*PYTHON, reader]).out == expected
    else:
        waiting = program(tmp_path, writer.read_text().replace("sys.stdin.read()", "signal.pause()"), "waiting.py")
        with started([*PYTHON, waiting]) as process:
            assert process.stdout is not None and process.stdout.readline() == "written\n"
            assert run([*PYTHON, reader]).out == expected


@pytest.mark.parametrize("method", METHODS)
def test_any_process_may_release_a_lock_and_only_its_owner_a_recursive_one(method: str, tmp_path: Path) -> None:
    definitions = """
def work(lock, rlock, semaphore, bounded, condition):
    for anybodys in (lock, semaphore, bounded):
        anybodys.release()
    for own in (rlock, condition):
        try:
            own.release()
        except AssertionError as error:
            print(error, own.acquire(False), flush=True)
"""
    main = """
locks = [make(kind) for kind in KINDS[:5]]
for lock in locks:
    lock.acquire()
process = context.Process(target=work, args=locks)
process.start()
process.join()
print([lock.acquire(False) for lock in locks], process.exitcode)
"""
    expected = f"{NOT_OWNED} False\n" * 2 + f"{[True] * 5} 0\n"
    assert prints(tmp_path, definitions, main, method) == expected


def test_a_recursive_lock_of_the_parent_is_not_the_forked_childs(tmp_path: Path) -> None:
    definitions = """
def child(rlock, condition):
    for lock in (rlock, condition):
        assert lock.acquire(False) is False
        try:
            lock.release()
            return 1
        except AssertionError:
            pass
    try:
        condition.wait(0.01)
    except AssertionError:
        return 5

def waits(rlock):
    rlock.acquire()
    rlock.acquire()
    assert end_of(forked(lambda: int(rlock.acquire(False)))) == 0, "nor is this child's its own child's"
    rlock.release()
    rlock.release()
    return 6
"""
    main = """
rlock, condition = make("RLock"), make("Condition")
for lock in (rlock, condition):
    lock.acquire()
    lock.acquire()
print(end_of(forked(child, rlock, condition)))
waiter = forked(waits, rlock)
until_asleep(waiter)
for lock in (rlock, condition):
    lock.release()
    lock.release()
print(end_of(waiter))
rlock.acquire()
thread = threading.Thread(target=lambda: print(end_of(forked(child, rlock, make("Condition")))))
"""
    assert prints(tmp_path, definitions, main) == "5\n6\n"


def test_locks_work_in_processes_that_the_program_forks_by_itself(tmp_path: Path) -> None:
    definitions = """
def add(locks, counter):
    for _ in range(300):
        for lock in locks:
            with lock:
                counter.value += 1
    return 0

def grandchild(locks, counter):
    return end_of(forked(add, locks, counter))
"""
    main = """
for kind in KINDS[:5]:
    lock, counter = make(kind), context.RawValue("i")
    pids = [forked(function, [lock], counter) for function in (add, add, grandchild)]
    add([lock], counter)
    print(kind, [end_of(pid) for pid in pids], counter.value)
event, barrier = make("Event"), make("Barrier")
pid = forked(lambda: event.wait() and barrier.wait() in (0, 1) and 7)
event.set()
barrier.wait()
print(end_of(pid))
"""
    assert prints(tmp_path, definitions, main) == "".join(f"{kind} [0, 0, 0] 1200\n" for kind in LOCKS) + "7\n"


def test_a_fork_while_threads_wait_and_hold_leaves_the_child_working_locks(tmp_path: Path) -> None:
    definitions = """
def child(held, free, event):
    assert held.acquire(False) is False
    with free:
        event.set()
    held.acquire()
    return 8
"""
    main = """
held, free, event = make("Lock"), make("RLock"), make("Event")
held.acquire()
threads = [threading.Thread(target=lambda: held.acquire() and held.release()) for _ in range(3)]
threads.append(threading.Thread(target=event.wait))
for thread in threads:
    thread.start()
for thread in threads:
    until_asleep(os.getpid(), thread.native_id)
pid = forked(child, held, free, event)
threads[-1].join()
held.release()
print(end_of(pid) if [thread.join() for thread in threads] else None)
"""
    # The child ends by os._exit and has the lock: nothing more is asked of it.
    assert prints(tmp_path, definitions, main) == "8\n"


WAITS = """
kept = []

def waits():
    # What a process does to wait, and what another does to end that.
    lock, rlock, semaphore, bounded, condition = [make(kind) for kind in KINDS[:5]]
    inner, event, barrier = make("Condition"), make("Event"), make("Barrier")
    kept.append([lock, rlock, semaphore, bounded, condition])
    for taken in kept[-1]:
        taken.acquire()
    def wait_inner(timeout=None):
        with inner:
            return inner.wait(timeout)
    def notify():
        with inner:
            inner.notify()
    return {
        "lock": (lock.acquire, lock.release),
        "lock, time-out": (lambda: lock.acquire(True, 100), lock.release),
        "with lock": (lock.__enter__, lock.release),
        "rlock": (rlock.acquire, rlock.release),
        "semaphore": (semaphore.acquire, semaphore.release),
        "bounded": (lambda: bounded.acquire(timeout=100), bounded.release),
        "condition's lock": (condition.acquire, condition.release),
        "condition": (wait_inner, notify),
        "condition, time-out": (lambda: wait_inner(100), notify),
        "event": (event.wait, event.set),
        "event, time-out": (lambda: event.wait(100), event.set),
        "barrier": (lambda: barrier.wait() in (0, 1), barrier.wait),
        "barrier, time-out": (lambda: barrier.wait(100) in (0, 1), barrier.wait),
    }

WAY_NAMES = list(waits())
"""


def test_ctrl_c_interrupts_every_wait(tmp_path: Path) -> None:
    definitions = """
def child(wait, sender):
    os.write(sender, b"!")
    try:
        wait()
    except KeyboardInterrupt:
        return 7
    return 1
"""
    main = """
receiver, sender = os.pipe()
for way in WAY_NAMES:
    wait, _ = waits()[way]
    pid = forked(child, wait, sender)
    os.read(receiver, 1)
    until_asleep(pid)
    os.kill(pid, signal.SIGINT)
    assert end_of(pid) == 7, way
print("fine")
"""
    assert prints(tmp_path, WAITS + definitions, main) == "fine\n"


def test_a_handler_that_returns_runs_during_the_wait_and_the_wait_goes_on(tmp_path: Path) -> None:
    definitions = """
def child(wait, sender):
    signal.signal(signal.SIGUSR1, lambda *_: os.write(sender, b"?"))
    os.write(sender, b"!")
    return 7 if wait() is True else 1
"""
    main = """
receiver, sender = os.pipe()
for way in WAY_NAMES:
    wait, end = waits()[way]
    pid = forked(child, wait, sender)
    os.read(receiver, 1)
    for _ in range(2):
        until_asleep(pid)
        os.kill(pid, signal.SIGUSR1)
        assert os.read(receiver, 1) == b"?"
    until_asleep(pid)
    end()
    assert end_of(pid) == 7, way
print("fine")
"""
    assert prints(tmp_path, WAITS + definitions, main) == "fine\n"


def test_a_handler_may_use_the_lock_that_is_waited_for(tmp_path: Path) -> None:
    definitions = """
def release_one_that_is_waited_for():
    lock, semaphore, event = make("Lock"), make("Semaphore"), make("Event")
    for thing, wait, end in (
        (lock, lock.acquire, lock.release), (semaphore, semaphore.acquire, semaphore.release),
        (event, event.wait, event.set),
    ):
        if hasattr(thing, "acquire"):
            thing.acquire()
        signal.signal(signal.SIGUSR1, lambda *_: end())
        os.write(sender, b"!")
        assert wait() is True
    return 7
"""
    main = """
receiver, sender = os.pipe()
pid = forked(release_one_that_is_waited_for)
for _ in range(3):
    os.read(receiver, 1)
    until_asleep(pid)
    os.kill(pid, signal.SIGUSR1)
print(end_of(pid))
"""
    assert prints(tmp_path, definitions, main) == "7\n"


def test_a_signal_does_not_prolong_or_end_a_wait_with_a_time_out(tmp_path: Path) -> None:
    definitions = """
def child():
    # It is woken again and again: a wait that began anew with each signal would never end.
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    lock, event, condition = make("Lock"), make("Event"), make("Condition")
    lock.acquire()
    condition.acquire()
    for wait in (lock.acquire, event.wait, condition.wait):
        began = time.monotonic()
        assert wait(timeout=0.15) is False
        assert time.monotonic() - began >= 0.15
    return 7
"""
    assert prints(tmp_path, definitions, "print(end_of(forked(child)))") == "7\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_notification_wakes_as_many_as_was_asked_for(method: str, tmp_path: Path) -> None:
    definitions = """
def wait(condition, connection, number):
    with condition:
        connection.send((os.getpid(), number))
        condition.wait()
        connection.send(number)

def notify(count):
    with condition:
        condition.notify_all() if count is None else condition.notify(count)
    woken = {receiver.recv() for _ in range(count or 2)}
    for number in set(waiting) - woken:
        until_asleep(waiting[number])
    assert not receiver.poll(0), "more were woken"
    for number in woken:
        del waiting[number]
    print(len(woken))
"""
    main = """
condition = context.Condition()
receiver, sender = context.Pipe(duplex=False)
processes = [context.Process(target=wait, args=(condition, sender, number)) for number in range(5)]
for process in processes:
    process.start()
waiting = {number: pid for pid, number in [receiver.recv() for _ in processes]}
for pid in waiting.values():
    until_asleep(pid)
notify(1)
notify(2)
notify(None)
for process in processes:
    process.join()
with condition:
    print(condition.wait(0.01))
"""
    assert prints(tmp_path, definitions, main, method) == "1\n2\n2\nFalse\n"


@pytest.mark.parametrize("method", METHODS)
def test_whoever_waits_when_an_event_is_set_sees_it_although_it_is_cleared_at_once(method: str, tmp_path: Path) -> None:
    definitions = """
def waiter(event, connection, gate):
    for _ in range(3):
        connection.send(os.getpid())
        connection.send(event.wait())
        gate.acquire()
"""
    main = """
event, gate = context.Event(), context.Semaphore(0)
receiver, sender = context.Pipe(duplex=False)
processes = [context.Process(target=waiter, args=(event, sender, gate)) for _ in range(3)]
for process in processes:
    process.start()
answers = []
thread = threading.Thread(target=lambda: answers.append(event.wait()))
thread.start()
for _ in range(3):
    for pid in [receiver.recv() for _ in processes]:
        until_asleep(pid)
    if not answers:
        until_asleep(os.getpid(), thread.native_id)
    event.set()
    event.clear()
    print([receiver.recv() for _ in processes], event.is_set())
    thread.join()
    for _ in processes:
        gate.release()
print(answers)
"""
    assert prints(tmp_path, definitions, main, method) == "[True, True, True] False\n" * 3 + "[True]\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_barrier_lets_all_through_together_and_one_acts(method: str, tmp_path: Path) -> None:
    definitions = """
def act():
    actions.value += 1

def work(barrier, connection):
    for turn in range(20):
        connection.send((turn, barrier.wait()))
    try:
        barrier.wait()
    except threading.BrokenBarrierError:
        connection.send("broken")

def keep_actions(value):
    global actions
    actions = value

def child(value, *arguments):
    keep_actions(value)
    work(*arguments)
"""
    main = """
keep_actions(context.RawValue("i"))
barrier = context.Barrier(3, act)
receiver, sender = context.Pipe(duplex=False)
processes = [context.Process(target=child, args=(actions, barrier, sender)) for _ in range(2)]
for process in processes:
    process.start()
answers = [(turn, barrier.wait()) for turn in range(20)]
answers += [receiver.recv() for _ in range(40)]
print(sorted(answers) == [(turn, index) for turn in range(20) for index in range(3)], actions.value)
while barrier.n_waiting < 2:
    os.sched_yield()
print(barrier.n_waiting, barrier.broken)
barrier.abort()
print(receiver.recv(), receiver.recv(), barrier.broken)
for process in processes:
    process.join()
"""
    assert prints(tmp_path, definitions, main, method) == "True 20\n2 False\nbroken broken True\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_semaphore_lets_only_so_many_in(method: str, tmp_path: Path) -> None:
    definitions = """
def work(semaphore, lock, inside, most):
    for _ in range(100):
        with semaphore:
            with lock:
                inside.value += 1
                most.value = max(most.value, inside.value)
            os.sched_yield()
            with lock:
                inside.value -= 1
"""
    main = """
shared = [context.Semaphore(2), context.Lock(), context.RawValue("i"), context.RawValue("i")]
processes = [context.Process(target=work, args=shared) for _ in range(4)]
for process in processes:
    process.start()
for process in processes:
    process.join()
print(shared[0].get_value(), shared[2].value, 1 <= shared[3].value <= 2, [process.exitcode for process in processes])
"""
    assert prints(tmp_path, definitions, main, method) == "2 0 True [0, 0, 0, 0]\n"


@pytest.mark.parametrize("method", METHODS)
def test_the_repr_tells_the_owner_and_how_many_wait(method: str, tmp_path: Path) -> None:
    definitions = """
def hold(lock, connection):
    with lock:
        connection.send(os.getpid())
        connection.recv()

def wait(lock, connection):
    connection.send(os.getpid())
    with lock:
        pass
"""
    main = """
ours, theirs = context.Pipe()
for kind in ("Lock", "RLock"):
    lock = make(kind, name="accounts")
    print("'accounts'" in repr(lock), "owner=MainProcess" in repr(lock), "waiters=0" in repr(lock))
    with lock:
        text = repr(lock)
        print("owner=MainProcess" in text, str(os.getpid()) in text, "waiters=0" in text, repr(lock) in str([lock]))
    holder = context.Process(target=hold, args=(lock, theirs), name="holder")
    holder.start()
    pid = ours.recv()
    waiter = context.Process(target=wait, args=(lock, theirs))
    waiter.start()
    until_asleep(ours.recv())
    text = repr(lock)
    print("owner=holder" in text, str(pid) in text, "waiters=1" in text)
    ours.send("end")
    holder.join()
    waiter.join()
"""
    expected = "True False True\nTrue True True True\nTrue True True\n" * 2
    assert prints(tmp_path, definitions, main, method) == expected


def test_ten_thousand_locks_exist_at_once_and_leave_nothing_behind(tmp_path: Path) -> None:
    main = """
def held():
    gc.collect()
    with open("/proc/self/maps") as file:
        return len(os.listdir("/proc/self/fd")), len(file.readlines())
before = set(os.listdir("/dev/shm"))
for kind in KINDS:
    count = 10_000 if kind == "Lock" else 500
    things = [make(kind) for _ in range(100)]
    del things
    first = held()
    things = [make(kind, name=f"number {number}") for number in range(count)]
    take(things[count // 2])
    taken = [number for number, thing in enumerate(things[count // 2 - 1:count // 2 + 2]) if in_thread(is_taken, thing)]
    print(kind, taken, end=" ")
    while things:
        things.pop()
    after = held()
    print(after[0] - first[0], after[1] - first[1] < 20)
    for _ in range(20 * count // 10):
        make(kind)
    print(held()[0] - first[0], held()[1] - first[1] < 20)
"""
    expected = "".join(f"{kind} [1] 0 True\n0 True\n" for kind in EVERY)
    before = set(Path("/dev/shm").iterdir())
    assert prints(tmp_path, "", main) == expected
    left = {path.name for path in set(Path("/dev/shm").iterdir()) - before}
    assert not {name for name in left if "allcores" in name}


@pytest.mark.parametrize("when", ["later", "at once"])
@pytest.mark.parametrize("method", METHODS)
def test_objects_live_on_in_a_child_when_their_creator_drops_them(method: str, when: str, tmp_path: Path) -> None:
    definitions = """
def work(first, second, connection):
    connection.send("I have them")
    connection.recv()
    others = [make(kind) for kind in KINDS for _ in range(50)]
    for thing in others:
        take(thing)
    connection.send([kind for kind, thing in first.items() if in_thread(is_taken, thing)])
    for thing in first.values():
        take(thing)
    connection.send([kind for kind, thing in second.items() if in_thread(is_taken, thing)])
"""
    main = f"""
things = {{kind: make(kind) for kind in KINDS}}
ours, theirs = context.Pipe()
process = context.Process(target=work, args=(things, things, theirs))
process.start()
if {when == "later"}:
    ours.recv()
del things, process
gc.collect()
others = [make(kind) for kind in KINDS for _ in range(50)]
for thing in others:
    take(thing)
if {when == "at once"}:
    ours.recv()
ours.send("dropped")
print(ours.recv(), ours.recv() == list(KINDS))
"""
    assert prints(tmp_path, definitions, main, method) == "[] True\n"
