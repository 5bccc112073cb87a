"""allcores.deadlocks() finds who waits for a lock whose owner has ended with it, and accuses nobody else."""

from pathlib import Path

import pytest
from running import METHODS
from test_deadlocks import prints

LEAVES = """
def leaves(lock, *more):
    lock.acquire()

def is_killed(lock):
    lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
@pytest.mark.parametrize("method", METHODS)
def test_who_waits_for_a_lock_whose_owner_has_ended_is_told_of(method: str, kind: str, tmp_path: Path) -> None:
    main = f"""
lock = context.{kind}(name="accounts")
owner = start(leaves, lock, name="debit")
owner.join()
waiter = start(lock.acquire, name="audit")
other = start(lock.acquire, name="other")
while len(found := mp.deadlocks()) != 1 or len(found[0].waits) != 2:
    os.sched_yield()
[deadlock] = found
show(deadlock)
[holder] = {{wait.holder for wait in deadlock.waits}}
print(deadlock.is_abandoned, holder.has_ended, holder.pid == owner.pid)
lines = str(deadlock).splitlines()
print(lines[0], lines[2].replace(str(owner.pid), "PID"), sep="\\n")
end(waiter, other)
print(mp.deadlocks())
"""
    assert prints(tmp_path, main, method, definitions=LEAVES) == (
        f"audit waits for {kind} accounts of debit\nother waits for {kind} accounts of debit\nTrue True True\n"
        "lock that was left locked:\n    which debit (pid PID) that has ended has acquired\n[]\n"
    )


def test_where_it_was_acquired_is_known_when_recorded(tmp_path: Path) -> None:
    main = """
lock = context.Lock()
start(leaves, lock).join()
waiter = start(lock.acquire)
[deadlock] = until_found()
print(deadlock.waits[0].acquired_at.rpartition(" ")[2])
end(waiter)
"""
    assert prints(tmp_path, main, definitions=LEAVES, traced=True) == "leaves\n"


def test_it_is_found_when_many_have_taken_the_owners_place(tmp_path: Path) -> None:
    main = """
lock = context.Lock(name="accounts")
start(leaves, lock).join()
waiter = start(lock.acquire)
until_waiting(lock)
for _ in range(20):
    start(len, "").join()
[deadlock] = until_found()
print(deadlock.is_abandoned, deadlock.waits[0].holder.has_ended)
end(waiter)
"""
    assert prints(tmp_path, main, definitions=LEAVES) == "True True\n"


def test_it_is_over_when_somebody_else_releases_the_lock(tmp_path: Path) -> None:
    main = """
lock = context.Lock()
start(leaves, lock).join()
waiter = start(lock.acquire)
until_found()
lock.release()
waiter.join()
print(waiter.exitcode, mp.deadlocks())
"""
    assert prints(tmp_path, main, definitions=LEAVES) == "0 []\n"


def test_a_killed_owners_lock_is_taken_over_and_not_told_of(tmp_path: Path) -> None:
    main = """
lock = context.Lock()
start(is_killed, lock).join()
thread = in_background(in_thread, lock.acquire)
print(never_found(), end="")
thread.join()
print(never_found())
"""
    assert prints(tmp_path, main, definitions=LEAVES) == "[][]\n"


def test_a_killed_owner_that_keeps_its_lock_is_told_of(tmp_path: Path) -> None:
    main = """
lock = context.Lock(recover=False)
start(is_killed, lock).join()
waiter = start(lock.acquire)
[deadlock] = until_found()
print(deadlock.is_abandoned)
end(waiter)
"""
    assert prints(tmp_path, main, definitions=LEAVES) == "True\n"


@pytest.mark.parametrize("method", METHODS)
def test_nobody_is_told_of_while_the_owner_runs(method: str, tmp_path: Path) -> None:
    main = """
lock = context.Lock()
here, there = context.Pipe()
owner = start(holds, lock, there)
here.recv()
waiter = start(lock.acquire)
until_waiting(lock)
print(never_found())
here.send("release")
waiter.join()
print(waiter.exitcode)
owner.join()
"""
    definitions = """
def holds(lock, connection):
    with lock:
        connection.send("has it")
        connection.recv()
"""
    assert prints(tmp_path, main, method, definitions=definitions) == "[]\n0\n"
