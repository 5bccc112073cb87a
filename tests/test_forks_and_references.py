"""Who is forked has what its parent had, and gives back only what is its own, whatever other threads and hooks do."""

from pathlib import Path

import pytest
from lock_programs import prints

HEADER = """
import allcores, gc, threading
from allcores import _core

def over(live, count=20):
    '''How many of some live objects lie where new ones do.'''
    places = {one._address()[1] for one in live}
    new = [allcores.Semaphore(77) for _ in range(count)]
    return sum(one._address()[1] in places for one in new), new
"""


def test_a_child_gives_back_nothing_of_what_its_parents_other_threads_have(tmp_path: Path) -> None:
    """Python drops their `threading.local`s in the child, before any hook."""
    main = """
allcores.Lock()
local, ready, go = threading.local(), threading.Event(), threading.Event()

def other():
    local.lock = allcores.Lock()
    local.lock.acquire()
    ready.set()
    go.wait()
    print(over([local.lock])[0])

thread = threading.Thread(target=other)
thread.start()
ready.wait()
child = allcores.get_context("fork").Process(target=int)
child.start()
child.join()
go.set()
thread.join()
"""
    assert prints(tmp_path, HEADER, main) == "0\n"


def test_a_hook_that_makes_its_locks_anew_in_a_child_makes_them_the_childs(tmp_path: Path) -> None:
    definitions = """
lock = None

def anew():
    global lock
    lock = allcores.Lock()

os.register_at_fork(after_in_child=anew)  # before the arena's, so it is called before them
"""
    main = """
keep = [allcores.Event() for _ in range(3)]
pid = os.fork()
if pid == 0:
    print(over([lock])[0], flush=True)
    os._exit(0)
os.waitpid(pid, 0)
more = [allcores.Event() for _ in range(3)]
_core.sweep_arena()
print(_core.arena_account()[4])
"""
    assert prints(tmp_path, HEADER + definitions, main) == "0\n6\n"


@pytest.mark.parametrize("count", [10, 200])  # in the block of references that there is, and beyond
def test_what_another_thread_makes_right_before_a_fork_is_the_childs_too(count: int, tmp_path: Path) -> None:
    definitions = """
gap = threading.Lock()
# As logging and concurrent.futures.thread do. Registered first, hence called last: another thread runs meanwhile.
os.register_at_fork(before=gap.acquire, after_in_parent=gap.release, after_in_child=gap._at_fork_reinit)
"""
    main = f"""
allcores.Lock()
dropped = [allcores.Lock() for _ in range(10)]
made, held = [], threading.Event()

def other():
    with gap:
        held.set()
        time.sleep(0.2)
        made.extend(allcores.Lock() for _ in range({count}))
        dropped.clear()

thread = threading.Thread(target=other)
thread.start()
held.wait()
receiver, sender = os.pipe()
pid = os.fork()
if pid == 0:
    for lock in made:
        lock.acquire()
    os.read(receiver, 1)
    print(over(made)[0], len(dropped), _core.arena_account()[4], flush=True)
    os._exit(0)
thread.join()
made.clear()
os.write(sender, b".")
os.waitpid(pid, 0)
"""
    assert prints(tmp_path, HEADER + definitions, main) == f"0 0 {count}\n"


def test_a_fork_that_python_does_not_know_of_gives_back_nothing(tmp_path: Path) -> None:
    main = """
import ctypes
lock = allcores.Lock()
lock.acquire()
pid = ctypes.PyDLL(None).fork()
if pid == 0:
    del lock
    own = allcores.Lock()
    own.acquire()
    print(over([own])[0], flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(over([lock])[0])
"""
    assert prints(tmp_path, HEADER, main) == "0\n0\n"


def test_a_child_forked_while_the_memory_is_full_has_what_its_parent_had(tmp_path: Path) -> None:
    main = """
old = [allcores.Lock() for _ in range(10)]
ballast = []
try:
    while True:
        ballast.append(_core.Memory(900))
except allcores.errors.ArenaFullError:
    pass
receiver, sender = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(receiver, 1)
    for lock in old:
        lock.acquire()
    print(over(old)[0], flush=True)
    os._exit(0)
ballast.clear()
old.clear()
os.write(sender, b".")
os.waitpid(pid, 0)
"""
    definitions = "import os\nos.environ['ALLCORES_ARENA_BYTES'] = str(3 << 16)\nimport allcores.errors\n"
    assert prints(tmp_path, definitions + HEADER, main) == "0\n"


def test_more_children_than_there_are_places_for_can_come_and_go(tmp_path: Path) -> None:
    main = """
own = [allcores.Lock() for _ in range(10)]
for _ in range(4200):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
_core.sweep_arena()
print(_core.arena_account()[4])
"""
    assert prints(tmp_path, HEADER, main) == "10\n"


def test_forks_among_threads_that_make_and_drop_objects_leave_the_account_right(tmp_path: Path) -> None:
    main = """
import concurrent.futures, sys
sys.setswitchinterval(1e-4)
allcores.Lock()  # a child that is forked while another thread imports something never gets it
kept, is_over = {}, False

def churn(name):
    number = 0
    while not is_over:
        kept[name, number % 300] = allcores.Lock()
        number += 1

def submit():
    while not is_over:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            pool.submit(int)

threads = [threading.Thread(target=churn, args=(name,)) for name in "ab"] + [threading.Thread(target=submit)]
for thread in threads:
    thread.start()
for _ in range(60):
    pid = os.fork()
    if pid == 0:
        own = [allcores.Lock() for _ in range(130)]
        os._exit(0)
    os.waitpid(pid, 0)
    _core.process_ended(pid, 0)
    _core.arena_account()
is_over = True
for thread in threads:
    thread.join()
kept.clear()
print(_core.arena_account()[4])
"""
    assert prints(tmp_path, HEADER, main) == "0\n"
