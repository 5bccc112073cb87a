"""allcores.deadlocks(): who waits for whom, for which lock, and where; and nobody is accused who is not blocked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from allcores.deadlock import Deadlock, Party, Wait
from lock_programs import HEAD
from running import METHODS, PYTHON, guarded, program, run

DEFINITIONS = """
def take_both(first, second, meet):
    with first:
        meet.wait()
        with second:
            pass

def asks(connection):
    connection.send([str(deadlock) for deadlock in mp.deadlocks()])

def start(target, *arguments, name=None):
    process = context.Process(target=target, args=arguments, name=name, daemon=True)
    process.start()
    return process

def in_background(target, *arguments):
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread

def until_found(number=1):
    while len(found := mp.deadlocks()) != number:
        os.sched_yield()
    return found

def until_waiting(lock, number=1):
    while lock._waiters() != number:
        os.sched_yield()

def never_found(looks=1000):
    return [str(deadlock) for _ in range(looks) for deadlock in mp.deadlocks()]

def show(deadlock):
    for wait in sorted(deadlock.waits, key=lambda wait: wait.waiter.process_name):
        print(wait.waiter.process_name, "waits for", wait.lock_kind, wait.lock_name, "of", wait.holder.process_name)

def end(*processes):
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
"""


def prints(folder: Path, main: str, method: str = "fork", *, definitions: str = "", traced: bool = False) -> str:
    """Run a program with those definitions, and return what it prints. It must end without an error."""
    source = program(folder, guarded(HEAD + DEFINITIONS + definitions, main))
    outcome = run([*PYTHON, source, method], environment={"ALLCORES_TRACE_LOCKS": "1" if traced else ""})
    assert outcome.status == 0, outcome.out + outcome.err
    return outcome.out


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_that_wait_for_each_others_locks_are_found(method: str, tmp_path: Path) -> None:
    main = """
accounts, orders, meet = context.Lock(name="accounts"), context.RLock(name="orders"), context.Barrier(2)
debit = start(take_both, accounts, orders, meet, name="debit")
audit = start(take_both, orders, accounts, meet, name="audit")
[deadlock] = until_found()
show(deadlock)
print({wait.waiter.pid for wait in deadlock.waits} == {debit.pid, audit.pid})
print(all(wait.waiter.thread_id == wait.waiter.pid and not wait.has_timeout for wait in deadlock.waits))
print({wait.lock_handle for wait in deadlock.waits} == {accounts.handle, orders.handle})
end(debit, audit)
print(mp.deadlocks())
"""
    assert prints(tmp_path, main, method) == (
        "audit waits for Lock accounts of debit\ndebit waits for RLock orders of audit\nTrue\nTrue\nTrue\n[]\n"
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_ring_of_three_is_found_from_any_process(method: str, tmp_path: Path) -> None:
    main = """
locks, meet = [context.Lock(name=name) for name in "abc"], context.Barrier(3)
ring = [start(take_both, locks[at], locks[(at + 1) % 3], meet, name=f"P{at}") for at in range(3)]
[deadlock] = until_found()
show(deadlock)
for wait, following in zip(deadlock.waits, deadlock.waits[1:] + deadlock.waits[:1]):
    assert wait.holder == following.waiter
ours, theirs = context.Pipe()
asked = start(asks, theirs)
[text] = ours.recv()
print(text.splitlines()[0])
end(*ring, asked)
"""
    assert prints(tmp_path, main, method) == (
        "P0 waits for Lock b of P1\nP1 waits for Lock c of P2\nP2 waits for Lock a of P0\ndeadlock of 3 threads:\n"
    )


def test_who_waits_for_a_deadlocked_thread_is_not_of_the_deadlock(tmp_path: Path) -> None:
    main = """
a, b, meet = context.Lock(name="a"), context.Lock(name="b"), context.Barrier(2)
pair = [start(take_both, a, b, meet, name="P0"), start(take_both, b, a, meet, name="P1")]
until_found()
behind = start(a.acquire)
until_waiting(a, 2)
show(*mp.deadlocks())
end(behind, *pair)
"""
    assert prints(tmp_path, main) == "P0 waits for Lock b of P1\nP1 waits for Lock a of P0\n"


def test_two_deadlocks_at_once_are_both_found(tmp_path: Path) -> None:
    main = """
processes = []
for number in range(2):
    a, b, meet = context.Lock(), context.Lock(), context.Barrier(2)
    processes += [start(take_both, a, b, meet), start(take_both, b, a, meet)]
found = until_found(2)
print(sorted(len(deadlock.waits) for deadlock in found))
print({wait.waiter.pid for deadlock in found for wait in deadlock.waits} == {process.pid for process in processes})
end(*processes)
"""
    assert prints(tmp_path, main) == "[2, 2]\nTrue\n"


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_two_threads_of_one_process_are_found(kind: str, tmp_path: Path) -> None:
    main = f"""
a, b, meet = context.{kind}(name="a"), context.{kind}(name="b"), threading.Barrier(2)
threads = [in_background(take_both, a, b, meet), in_background(take_both, b, a, meet)]
[deadlock] = until_found()
print(sorted(wait.lock_name for wait in deadlock.waits))
print({{wait.waiter.thread_id for wait in deadlock.waits}} == {{thread.native_id for thread in threads}})
print(f", thread {{threads[0].native_id}})" in str(deadlock))
"""
    assert prints(tmp_path, main) == "['a', 'b']\nTrue\nTrue\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_deadlock_through_two_threads_of_one_process_and_another_process_is_found(
    method: str, tmp_path: Path
) -> None:
    main = """
a, b, c, meet = *(context.Lock(name=name) for name in "abc"), context.Barrier(3)
child = start(take_both, b, c, meet, name="child")
in_background(take_both, a, b, meet)
in_background(take_both, c, a, meet)
[deadlock] = until_found()
show(deadlock)
end(child)
"""
    assert sorted(prints(tmp_path, main, method).splitlines()) == [
        "MainProcess waits for Lock a of MainProcess",
        "MainProcess waits for Lock b of child",
        "child waits for Lock c of MainProcess",
    ]


def test_a_process_whose_other_thread_waits_is_not_blocked(tmp_path: Path) -> None:
    main = """
a, b, meet = context.Lock(), context.Lock(), context.Barrier(2)
a.acquire()
child = start(take_both, b, a, meet)
meet.wait()
other = in_background(b.acquire)
until_waiting(a), until_waiting(b)
print(never_found())
a.release()
other.join()
child.join()
"""
    assert prints(tmp_path, main) == "[]\n"


def test_a_thread_that_waits_for_a_lock_it_has_is_a_deadlock_of_one(tmp_path: Path) -> None:
    main = """
lock = context.Lock(name="mine")
child = start(lambda: lock.acquire() and lock.acquire(), name="child")
[deadlock] = until_found()
show(deadlock)
print(str(deadlock).splitlines()[0])
end(child)
"""
    assert prints(tmp_path, main) == "child waits for Lock mine of child\ndeadlock of a thread with itself:\n"


def test_an_rlock_that_is_acquired_again_is_no_deadlock(tmp_path: Path) -> None:
    main = """
lock = context.RLock()
with lock, lock, lock:
    other = in_background(lock.acquire)
    until_waiting(lock)
    print(never_found())
other.join()
"""
    assert prints(tmp_path, main) == "[]\n"


def test_a_lock_left_by_a_thread_that_has_ended_is_not_that_of_the_next_thread(tmp_path: Path) -> None:
    main = """
lock = context.Lock()
in_thread(lock.acquire)
other = in_background(lock.acquire)  # the C library gives it the ended thread's place
until_waiting(lock)
print(never_found())
lock.release()
other.join()
recursive = context.RLock()
in_thread(recursive.acquire)
print(in_thread(recursive.acquire, False))
"""
    assert prints(tmp_path, main) == "[]\nFalse\n"


def test_waiting_long_in_a_row_is_no_deadlock(tmp_path: Path) -> None:
    main = """
locks, meet = [context.Lock() for _ in range(4)], context.Barrier(4)
locks[0].acquire()
row = [start(take_both, locks[at + 1], locks[at], meet) for at in range(3)]
meet.wait()
for lock in locks[:3]:
    until_waiting(lock)
print(never_found(5000))
locks[0].release()
for process in row:
    process.join()
print([process.exitcode for process in row])
"""
    assert prints(tmp_path, main) == "[]\n[0, 0, 0]\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_deadlock_is_gone_when_one_of_it_is_killed(method: str, tmp_path: Path) -> None:
    definitions = """
def survive(first, second, meet):
    try:
        take_both(first, second, meet)
    except mp.OwnerDiedError:
        pass
"""
    main = """
a, b, meet = context.Lock(), context.Lock(), context.Barrier(2)
victim, survivor = start(take_both, a, b, meet), start(survive, b, a, meet)
until_found()
victim.kill()
victim.join()
print(mp.deadlocks())
survivor.join()
print(survivor.exitcode, mp.deadlocks())
"""
    assert prints(tmp_path, main, method, definitions=definitions) == "[]\n0 []\n"


def test_a_wait_for_a_limited_time_counts_and_says_so(tmp_path: Path) -> None:
    definitions = """
def try_both(first, second, meet, seconds):
    with first:
        meet.wait()
        second.acquire(timeout=seconds)
        meet.wait()
"""
    main = """
a, b, meet = context.Lock(), context.Lock(), context.Barrier(2)
patient, hasty = start(try_both, a, b, meet, None), start(try_both, b, a, meet, 2)
[deadlock] = until_found()
print({wait.has_timeout: wait.waiter.pid for wait in deadlock.waits} == {False: patient.pid, True: hasty.pid})
print([line.endswith("for a limited time") for line in str(deadlock).splitlines()].count(True))
until_found(0)
end(hasty, patient)
"""
    assert prints(tmp_path, main, definitions=definitions) == "True\n1\n"


def test_what_has_no_owner_takes_no_part(tmp_path: Path) -> None:
    main = """
a, b, meet = context.Semaphore(1), context.BoundedSemaphore(1, recover=True), context.Barrier(2)
processes = [start(take_both, a, b, meet), start(take_both, b, a, meet)]
event, condition = context.Event(), context.Condition()
def waits_for_notification():
    with condition:
        condition.wait()
processes += [start(event.wait), start(waits_for_notification)]
for thing in (a, b, event, condition):
    until_waiting(thing)
with condition:
    print(never_found())
end(*processes)
"""
    assert prints(tmp_path, main) == "[]\n"


@pytest.mark.parametrize("method", METHODS)
def test_sites_are_told_when_they_are_recorded(method: str, tmp_path: Path) -> None:
    main = """
a, b, meet = context.Lock(name="a"), context.RLock(name="b"), context.Barrier(2)
processes = [start(take_both, a, b, meet), start(take_both, b, a, meet)]
[deadlock] = until_found()
line = take_both.__code__.co_firstlineno
print({wait.waiting_at for wait in deadlock.waits} == {f"{__file__}:{line + 3} in take_both"})
print({wait.acquired_at for wait in deadlock.waits} == {f"{__file__}:{line + 1} in take_both"})
text = str(deadlock)
print(text.count(f"waits for Lock 'a' at {__file__}:{line + 3} in take_both"), "ALLCORES_TRACE_LOCKS" in text)
end(*processes)
"""
    assert prints(tmp_path, main, method, traced=True) == "True\nTrue\n1 False\n"


def test_the_sites_are_the_programs_own_and_the_outermost(tmp_path: Path) -> None:
    definitions = """
class Account:
    def __init__(self):
        self.lock, self.changed, self.meet = context.RLock(), context.Condition(), threading.Barrier(2)
    def first(self):
        self.lock.acquire()
    def again(self):
        self.lock.acquire()
    def change(self):
        with self.changed:
            self.meet.wait()
            self.lock.acquire(timeout=None)

def hold(account):
    account.first()
    account.again()
    account.meet.wait()
    account.changed.acquire()
"""
    main = """
account = Account()
in_background(hold, account), in_background(account.change)
[deadlock] = until_found()
for where in sorted(where for wait in deadlock.waits for where in (wait.waiting_at, wait.acquired_at)):
    print(where.partition(" in ")[2])
"""
    assert prints(tmp_path, main, definitions=definitions, traced=True) == (
        "Account.first\nAccount.change\nAccount.change\nhold\n"
    )


@pytest.mark.parametrize("method", METHODS)
def test_without_recording_there_are_no_sites_and_the_text_says_how_to_have_them(method: str, tmp_path: Path) -> None:
    main = """
a, b, meet = context.Lock(), context.Lock(), context.Barrier(2)
processes = [start(take_both, a, b, meet), start(take_both, b, a, meet)]
[deadlock] = until_found()
print({(wait.waiting_at, wait.acquired_at) for wait in deadlock.waits})
print("ALLCORES_TRACE_LOCKS=1" in str(deadlock))
end(*processes)
"""
    assert prints(tmp_path, main, method) == "{(None, None)}\nTrue\n"


HAMMER = """
def hammer(locks, end, seed):
    choice = random.Random(seed)
    def work():
        while not end.is_set():
            few = sorted(choice.sample(range(len(locks)), 3))
            taken = [at for at in few if locks[at].acquire(timeout=choice.choice([None, None, 0.0005]))]
            for at in choice.sample(taken, len(taken)):
                locks[at].release()
    threads = [in_background(work) for _ in range(2)]
    for thread in threads:
        thread.join()
"""


@pytest.mark.parametrize("traced", [False, True], ids=["plain", "traced"])
@pytest.mark.parametrize("method", ["fork", "warm"])
def test_nobody_is_accused_who_takes_locks_in_one_order(method: str, traced: bool, tmp_path: Path) -> None:
    main = """
locks, end_of_it = [(context.Lock, context.RLock)[at % 2]() for at in range(5)], context.Event()
processes = [start(hammer, locks, end_of_it, seed) for seed in range(4)]
looks, until = 0, time.monotonic() + 4
while time.monotonic() < until:
    for deadlock in mp.deadlocks():
        print(deadlock)
    looks += 1
end_of_it.set()
for process in processes:
    process.join()
print([process.exitcode for process in processes], looks > 100)
"""
    assert prints(tmp_path, main, method, definitions=HAMMER, traced=traced) == "[0, 0, 0, 0] True\n"


def test_a_real_deadlock_among_busy_processes_is_the_only_one_found(tmp_path: Path) -> None:
    main = """
locks, end_of_it = [context.Lock() for _ in range(5)], context.Event()
processes = [start(hammer, locks, end_of_it, seed) for seed in range(3)]
a, b, meet = context.Lock(), context.Lock(), context.Barrier(2)
pair = [start(take_both, a, b, meet), start(take_both, b, a, meet)]
until_found()
found = [mp.deadlocks() for _ in range(2000)]
print({len(deadlocks) for deadlocks in found})
print({wait.waiter.pid for deadlocks in found for wait in deadlocks[0].waits} == {process.pid for process in pair})
end_of_it.set()
end(*pair)
"""
    assert prints(tmp_path, main, definitions=HAMMER) == "{1}\nTrue\n"


def test_a_program_without_locks_has_no_deadlocks_and_gets_no_shared_memory() -> None:
    code = """
import sys, allcores
assert allcores.deadlocks() == [] and allcores._core.arena_descriptor() is None
assert "dataclasses" not in sys.modules, "it costs more than the rest"
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, env={**os.environ, "ALLCORES_TRACE_LOCKS": "1"}
    )


def test_the_text_says_who_has_what_and_what_to_do() -> None:
    debit, audit = Party("debit", 11, 11), Party("audit", 12, 13)
    one = Wait(debit, audit, "Lock", "orders", 64, 2.04, False, "bank.py:5 in move", "bank.py:9 in audit")
    other = Wait(audit, debit, "RLock", None, 128, 1.0, True, "bank.py:10 in audit", "bank.py:4 in move")
    assert str(Deadlock((one, other))) == (
        "deadlock of 2 threads:\n"
        "  debit (pid 11) waits for Lock 'orders' at bank.py:5 in move, since 2.0 s\n"
        "    which audit (pid 12, thread 13) has acquired at bank.py:9 in audit\n"
        "  audit (pid 12, thread 13) waits for RLock at 0x80 at bank.py:10 in audit, since 1.0 s, for a limited time\n"
        "    which debit (pid 11) has acquired at bank.py:4 in move\n"
        "acquire these locks in the same order everywhere"
    )


def test_a_lock_is_and_says_what_it_was_when_sites_are_recorded(tmp_path: Path) -> None:
    main = """
lock = context.Lock(name="mine")
print(lock.acquire(timeout=1), lock.acquire(False), lock.acquire(block=False), lock.acquire(True, 0))
print(repr(lock).replace(str(os.getpid()), "PID"))
lock.release()
with lock:
    print(pickle.loads(pickle.dumps(lock)).acquire(False))
"""
    assert prints(tmp_path, main, traced=True) == (
        "True False False False\n<Lock 'mine' owner=MainProcess pid=PID waiters=0>\nFalse\n"
    )
