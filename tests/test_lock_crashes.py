"""Which object, where a process dies with it, how it dies: the exact outcome for those who live on."""

from pathlib import Path

import allcores
import pytest
from lock_programs import prints
from running import METHODS

CRASHES = {
    # how a process ends, as the programs below know it: its exit code
    "is killed": -9,
    "segfaults": -11,
    "aborts": -6,
    "ends by os._exit(3)": 3,
    "ends by os._exit(0)": 0,
}
KINDS = ("Lock", "RLock", "Semaphore", "BoundedSemaphore")
CLEAN_ENDS = ("returns", "exits", "raises")

ENDS = """
ENDS = {
    "is killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfaults": lambda: ctypes.string_at(0),
    "aborts": os.abort,
    "ends by os._exit(3)": lambda: os._exit(3),
    "ends by os._exit(0)": lambda: os._exit(0),
    "returns": lambda: None,
    "exits": lambda: sys.exit(3),
    "raises": lambda: 1 // 0,
}

def hold(lock, times, end, go, sender):
    for _ in range(times):
        lock.acquire()
    sender.send(os.getpid())
    go.recv()
    ENDS[end]()

def wait(lock, sender):
    sender.send(os.getpid())
    try:
        lock.acquire()
        lock.release()
        sender.send("got it")
    except mp.OwnerDiedError as error:
        sender.send(error)

def call(wait, sender):
    sender.send(os.getpid())
    try:
        sender.send(wait())
    except threading.BrokenBarrierError:
        sender.send("broken")
    except mp.OwnerDiedError as error:
        sender.send(error.process_name + " died")

def started(target, *arguments, name=None):
    process = context.Process(target=target, args=arguments, name=name)
    process.start()
    return process

def sleeping(target, *arguments):
    process = started(target, *arguments)
    assert receiver.recv() == process.pid
    until_asleep(process.pid)
    return process

def killed(process):
    process.kill()
    process.join()

def dead_holder(lock, end, times=1):
    process = started(hold, lock, times, end, go, sender, name="victim")
    pid = receiver.recv()
    goes.send(True)
    process.join()
    return pid

def told(lock, *arguments):
    try:
        return lock.acquire(*arguments)
    except mp.OwnerDiedError as error:
        return error.process_name + " died"
"""
PIPES = "receiver, sender = context.Pipe(duplex=False)\ngo, goes = context.Pipe(duplex=False)\n"


def says(folder: Path, main: str, method: str = "fork", definitions: str = "") -> str:
    return prints(folder, ENDS + definitions, PIPES + main.strip(), method)


def test_the_error_is_one_of_ours_and_a_runtime_error() -> None:
    assert issubclass(allcores.OwnerDiedError, allcores.AllcoresError)
    assert issubclass(allcores.OwnerDiedError, RuntimeError)


HOLDERS = {
    # what is held: (how it is made, how often it is acquired)
    "Lock": ('make("Lock", name="accounts")', 1),
    "RLock": ('make("RLock", name="accounts")', 1),
    "RLock held thrice": ('make("RLock", name="accounts")', 3),
    "lock of a Condition": ('context.Condition(context.Lock(name="accounts"))', 1),
}
FULL = [(method, held, tuple(CRASHES)) for method in ("fork", "warm") for held in HOLDERS]
SHORT = [(method, "Lock", ("is killed", "ends by os._exit(0)")) for method in ("spawn", "forkserver")]


@pytest.mark.parametrize(
    ("method", "held", "ends"), FULL + SHORT, ids=lambda value: value if value in HOLDERS else None
)
def test_one_waiter_is_told_that_the_owner_died_and_the_others_get_the_lock(
    method: str, held: str, ends: tuple[str, ...], tmp_path: Path
) -> None:
    made, times = HOLDERS[held]
    main = f"""
for end, code in {[(end, CRASHES[end]) for end in ends]!r}:
    lock = {made}
    victim = started(hold, lock, {times}, end, go, sender, name="victim")
    pid = receiver.recv()
    waiters = [started(wait, lock, sender) for _ in range(3)]
    for waiting in [receiver.recv() for _ in waiters]:
        until_asleep(waiting)
    goes.send(True)
    answers = [receiver.recv() for _ in waiters]
    errors = [answer for answer in answers if answer != "got it"]
    print(end, len(errors), flush=True)
    for error in errors:
        assert isinstance(error, mp.OwnerDiedError), error
        assert (error.pid, error.process_name, error.lock_name) == (pid, "victim", "accounts"), vars(error)
        assert error.exit_code in (None, code), error.exit_code
        assert all(word in str(error) for word in ("victim", "accounts", str(pid))), error
    for process in [victim, *waiters]:
        process.join()
    assert victim.exitcode == code and lock.acquire() is True
    assert in_thread(lock.acquire, False) is False, "it excludes as ever"
    lock.release()
"""
    assert says(tmp_path, main, method) == "".join(f"{end} 1\n" for end in ends)


@pytest.mark.parametrize("method", METHODS)
def test_when_nobody_waits_the_next_to_come_is_told_once(method: str, tmp_path: Path) -> None:
    main = """
for arguments in ((), (True, 100)):
    for kind in ("Lock", "RLock"):
        lock = make(kind)
        dead_holder(lock, "is killed")
        print(told(lock, *arguments), told(lock, *arguments), lock.release())
lock = make("Lock")
dead_holder(lock, "is killed")
try:
    with lock:
        print("inside")
except mp.OwnerDiedError as error:
    print(error.lock_name, pickle.loads(pickle.dumps(error)).pid == error.pid)
dead_holder(lock, "is killed")
print(in_thread(told, lock), lock.acquire(), in_thread(lock.acquire, False))
"""
    expected = "victim died True None\n" * 4 + "None True\nvictim died True False\n"
    assert says(tmp_path, main, method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_a_clean_end_leaves_locks_held(method: str, tmp_path: Path) -> None:
    ends = CLEAN_ENDS if method in ("fork", "warm") else CLEAN_ENDS[:2]
    main = f"""
for end in {ends!r}:
    for kind in KINDS[:4]:
        lock = make(kind)
        dead_holder(lock, end)
        try:
            print(end, kind, lock.acquire(timeout=0.01), lock.release(), lock.acquire(False))
        except AssertionError:
            print(in_thread(lock.acquire, False))
"""
    lines = "".join(f"{{end}} {kind} False None True\n" if kind != "RLock" else "False\n" for kind in KINDS[:4])
    assert says(tmp_path, main, method) == "".join(lines.format(end=end) for end in ends)


@pytest.mark.parametrize("end", [*CRASHES, "returns"])
def test_without_recovery_a_lock_stays_held_however_its_owner_ends(end: str, tmp_path: Path) -> None:
    main = f"""
for kind in ("Lock", "RLock"):
    lock = make(kind, recover=False)
    dead_holder(lock, {end!r})
    print(kind, told(lock, True, 0.05), told(lock, False))
lock = make("Lock", recover=False)
dead_holder(lock, {end!r})
print(lock.release(), lock.acquire(False))
"""
    assert says(tmp_path, main) == "Lock False False\nRLock False False\nNone True\n"


@pytest.mark.parametrize(
    ("end", "recover", "free"),
    [(end, True, 3) for end in CRASHES]
    + [(end, True, 1) for end in CLEAN_ENDS]
    + [("is killed", False, 1), ("returns", False, 1)],
)
@pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore"])
def test_a_semaphore_gets_back_what_a_process_had_if_that_was_asked_for(
    kind: str, end: str, recover: bool, free: int, tmp_path: Path
) -> None:
    main = f"""
semaphore = context.{kind}(3, recover={recover})
process = started(hold, semaphore, 2, {end!r}, go, sender)
receiver.recv()
semaphore.acquire()
waiter = sleeping(call, semaphore.acquire, sender) if {free} == 3 else None
goes.send(True)
process.join()
semaphore.release()
if waiter:
    print(receiver.recv(), waiter.join())
    semaphore.release()
print([semaphore.acquire(timeout=50) for _ in range({free})], semaphore.acquire(timeout=0.05))
"""
    first = "True None\n" if free == 3 else ""
    assert says(tmp_path, main) == f"{first}{[True] * free} False\n"


def test_what_was_released_before_a_death_is_not_given_back_again(tmp_path: Path) -> None:
    main = """
semaphore = context.Semaphore(2, recover=True)
killed(sleeping(takes_and_gives, semaphore, sender))
print([semaphore.acquire(timeout=50) for _ in range(2)], semaphore.acquire(timeout=0.05))
"""
    definitions = """
def takes_and_gives(semaphore, sender):
    for _ in range(10):
        with semaphore:
            pass
    sender.send(os.getpid())
    signal.pause()
"""
    assert says(tmp_path, main, definitions=definitions) == "[True, True] False\n"


WAITS = """
class Acquire:
    def __init__(self, lock):
        self.lock = lock

    def __call__(self):
        return self.lock.acquire()

class WaitInside:
    def __init__(self, condition, timeout=None):
        self.condition, self.timeout = condition, timeout

    def __call__(self):
        with self.condition:
            return self.condition.wait(self.timeout)

def notify(condition, count=1):
    with condition:
        condition.notify(count)
"""
WAITED_FOR = {
    # what is waited for: (how it is made, how one waits, how that ends for one)
    "Lock": ('make("Lock")', "Acquire(thing)", "thing.release"),
    "RLock": ('make("RLock")', "Acquire(thing)", "thing.release"),
    "Semaphore": ('make("Semaphore")', "Acquire(thing)", "thing.release"),
    "BoundedSemaphore": ('make("BoundedSemaphore")', "Acquire(thing)", "thing.release"),
    "Semaphore with recovery": ('make("Semaphore", recover=True)', "Acquire(thing)", "thing.release"),
    "Condition": ('make("Condition")', "WaitInside(thing)", "lambda: notify(thing)"),
    "Condition of a Lock": ("context.Condition(context.Lock())", "WaitInside(thing)", "lambda: notify(thing)"),
    "Condition with a time-out": ('make("Condition")', "WaitInside(thing, 100)", "lambda: notify(thing)"),
    "Event": ('make("Event")', "thing.wait", "thing.set"),
}


@pytest.mark.parametrize("method", ["fork", "warm"])
@pytest.mark.parametrize("what", WAITED_FOR)
def test_a_waiter_that_is_killed_is_in_nobodys_way(what: str, method: str, tmp_path: Path) -> None:
    made, wait, end = WAITED_FOR[what]
    main = f"""
for victims in ([0], [1], [0, 2], [0, 1]):
    thing = {made}
    if hasattr(thing, "acquire") and not hasattr(thing, "notify"):
        thing.acquire()
    wait, end = {wait}, {end}
    waiters = [sleeping(call, wait, sender) for _ in range(3)]
    for victim in victims:
        killed(waiters[victim])
    answers = []
    for _ in range(3 - len(victims)):
        end()
        answers.append(receiver.recv())
        if {what!r} == "RLock":
            break  # it ended with the lock
    print(victims, set(answers), flush=True)
    for waiter in waiters:
        killed(waiter)
"""
    expected = "".join(f"{victims} {{True}}\n" for victims in ([0], [1], [0, 2], [0, 1]))
    assert says(tmp_path, main, method, WAITS) == expected


def test_nobody_is_missed_when_all_waiters_were_killed(tmp_path: Path) -> None:
    main = """
condition, event = make("Condition"), make("Event")
for wait, end in ((WaitInside(condition), lambda: notify(condition, 5)), (event.wait, event.set)):
    for waiter in [sleeping(call, wait, sender) for _ in range(3)]:
        killed(waiter)
    for _ in range(2):
        end()
    event.clear()
    waiter = sleeping(call, wait, sender)
    end()
    print(receiver.recv())
    waiter.join()
"""
    assert says(tmp_path, main, definitions=WAITS) == "True\nTrue\n"


def test_a_waiter_that_is_killed_between_its_notification_and_the_lock_harms_nobody(tmp_path: Path) -> None:
    main = """
for kind in ("Lock", "RLock"):
    condition = context.Condition(make(kind))
    waiters = [sleeping(call, WaitInside(condition), sender) for _ in range(2)]
    with condition:
        condition.notify(1)
        for waiter in waiters:
            until_asleep(waiter.pid)  # one of them for the lock, now
        killed(waiters[0])
        condition.notify_all()
    print(receiver.recv())
    waiters[1].join()
    print(in_thread(condition.acquire, False))
"""
    assert says(tmp_path, main, definitions=WAITS) == "True\nTrue\n" * 2


def test_an_owner_that_is_killed_after_it_notified_is_told_by_wait(tmp_path: Path) -> None:
    main = """
condition = make("Condition")
waiter = sleeping(call, wait_by_hand, sender)
process = started(notify_and_hold, name="victim")
until_asleep(receiver.recv())
until_asleep(waiter.pid)
killed(process)
print(receiver.recv())
waiter.join()
"""
    definitions = """
def wait_by_hand():
    # Not in a with block: whether it ends with the lock is not what is asked here.
    condition.acquire()
    return condition.wait()

def notify_and_hold():
    condition.acquire()
    condition.notify()
    sender.send(os.getpid())
    signal.pause()
"""
    assert says(tmp_path, main, definitions=definitions) == "victim died\n"


def test_whoever_waits_in_a_condition_stays_when_the_owner_of_its_lock_is_killed(tmp_path: Path) -> None:
    main = """
condition = make("Condition")
waiter = sleeping(call, WaitInside(condition), sender)
dead_holder(condition, "is killed")
print(told(condition))
until_asleep(waiter.pid)
notify(condition)
print(receiver.recv())
waiter.join()
"""
    assert says(tmp_path, main, definitions=WAITS) == "victim died\nTrue\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_barrier_breaks_when_a_party_is_killed_that_waits_in_it(method: str, tmp_path: Path) -> None:
    main = """
barrier = context.Barrier(4)
waiters = [sleeping(call, barrier.wait, sender) for _ in range(3)]
killed(waiters[1])
print(receiver.recv(), receiver.recv(), barrier.broken)
try:
    barrier.wait()
except threading.BrokenBarrierError:
    print("broken for those who come later")
for waiter in waiters:
    waiter.join()
barrier.reset()
waiters = [sleeping(call, barrier.wait, sender) for _ in range(3)]
print(sorted([barrier.wait(), *[receiver.recv() for _ in waiters]]), barrier.broken)
for waiter in waiters:
    waiter.join()
"""
    expected = "broken broken True\nbroken for those who come later\n[0, 1, 2, 3] False\n"
    assert says(tmp_path, main, method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_the_death_of_a_pools_worker_with_a_lock_is_told_to_another_worker(method: str, tmp_path: Path) -> None:
    definitions = """
def keep(*arguments):
    global kept
    kept = arguments

def take_and_stay():
    lock, sender = kept
    lock.acquire()
    sender.send(os.getpid())
    signal.pause()

def take_and_give():
    with kept[0]:
        return "got it"
"""
    main = """
with context.Pool(2, keep, (make("Lock", name="accounts"), sender)) as pool:
    pool.apply_async(take_and_stay)
    pid = receiver.recv()
    os.kill(pid, signal.SIGKILL)
    try:
        print(pool.apply(take_and_give))
    except mp.OwnerDiedError as error:
        print(error.pid == pid, error.lock_name, "PoolWorker" in error.process_name)
    print(pool.apply(take_and_give))
"""
    assert says(tmp_path, main, method, definitions) == "True accounts True\ngot it\n"


@pytest.mark.parametrize("end", ["is killed", "ends by os._exit(0)", "ends by os._exit(3)"])
def test_a_process_that_the_program_forked_by_itself_dies_like_any_other(end: str, tmp_path: Path) -> None:
    main = f"""
lock = make("Lock")
pid = forked(lambda: lock.acquire() and ENDS[{end!r}]())
end_of(pid)
try:
    print(lock.acquire())
except mp.OwnerDiedError as error:
    print(error.pid == pid, error.exit_code in (None, {CRASHES[end]}))
print(lock.acquire())
"""
    assert says(tmp_path, main) == "True True\nTrue\n"


def test_a_living_child_of_a_dead_owner_is_not_taken_for_it(tmp_path: Path) -> None:
    main = """
lock = make("Lock")
pid = forked(hold_and_fork)
child = receiver.recv()
os.kill(pid, signal.SIGKILL)
end_of(pid)
try:
    print(lock.acquire())
except mp.OwnerDiedError as error:
    print(error.pid == pid)
print(lock.acquire())
os.kill(child, signal.SIGKILL)
"""
    definitions = """
def hold_and_fork():
    lock.acquire()
    sender.send(forked(signal.pause))
    signal.pause()
"""
    assert says(tmp_path, main, definitions=definitions) == "True\nTrue\n"


CHURNS = {
    # what workers do for ever: what one must still be able to do when they were killed
    "Lock": ("with thing: pass", "with thing: pass"),
    "RLock": ("with thing, thing: pass", "with thing: pass"),
    "Semaphore": ("with thing: pass", "with thing: pass"),
    "Condition": (
        "with thing:\n    thing.notify(2)\n    thing.wait(0.002)",
        "with thing:\n    thing.notify_all()\n    thing.wait(0.002)",
    ),
    "Event": (
        "thing.set(); thing.wait(0.002); thing.clear(); thing.wait(0.002)",
        "thing.set(); thing.is_set() or thing.wait(0.01); thing.clear()",
    ),
    "Barrier": ("try: thing.wait(0.01)\nexcept threading.BrokenBarrierError: thing.reset()",) * 2,
}


@pytest.mark.parametrize("kind", CHURNS)
def test_nothing_hangs_wherever_a_kill_lands(kind: str, tmp_path: Path) -> None:
    churn, use = CHURNS[kind]
    definitions = """
def attempt(code, thing):
    try:
        exec(code)
    except mp.OwnerDiedError:
        pass
    except (AssertionError, ValueError) as error:
        # wait() told of a death, and the end of the with block released what may not be held then.
        if not isinstance(error.__context__, mp.OwnerDiedError):
            raise

def churn(source, thing):
    code = compile(source, "churn", "exec")
    while True:
        attempt(code, thing)
"""
    main = f"""
thing = make({kind!r}{", recover=True" if kind == "Semaphore" else ""})
workers = [started(churn, {churn!r}, thing) for _ in range(3)]
for turn in range(60):
    attempt({use!r}, thing)
    time.sleep(random.uniform(0, 0.005))  # anywhere: nothing is waited for
    killed(workers.pop(0))
    workers.append(started(churn, {churn!r}, thing))
for worker in workers:
    killed(worker)
attempt({use!r}, thing)
exec({use!r})
print("fine")
"""
    assert says(tmp_path, main, definitions=definitions) == "fine\n"
