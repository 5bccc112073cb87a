"""What locks and their kin mean between processes of every start method, and in great numbers."""

from pathlib import Path

import pytest
from lock_programs import prints
from running import METHODS

EVERY = ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier")
LOCKS = EVERY[:5]
NOT_OWNED = "attempt to release recursive lock not owned by thread"


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
