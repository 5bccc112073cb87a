"""Ctrl-C and other signals that come while a process waits for a lock or its kin."""

from pathlib import Path

from lock_programs import HANDLES_AND_GOES_ON, IS_INTERRUPTED, SAYS_IT_HANDLES, prints

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
    assert prints(tmp_path, WAITS + IS_INTERRUPTED, main) == "fine\n"


def test_a_handler_that_returns_runs_during_the_wait_and_the_wait_goes_on(tmp_path: Path) -> None:
    assert prints(tmp_path, WAITS + SAYS_IT_HANDLES, HANDLES_AND_GOES_ON) == "fine\n"


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
