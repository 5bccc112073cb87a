"""Queues when processes are killed, interrupted or forked at a bad moment, and when they become long."""

from pathlib import Path

import pytest
from lock_programs import HANDLES_AND_GOES_ON, INTERRUPTED_AND_AS_BEFORE, IS_INTERRUPTED, SAYS_IT_HANDLES, prints
from running import METHODS

BLOCKS = """
from allcores import _core
import numpy

def blocks():
    gc.collect()
    _core.sweep_arena()
    return _core.arena_account()
"""


@pytest.mark.parametrize("method", METHODS)
def test_who_is_killed_while_it_waits_takes_nothing_along(method: str, tmp_path: Path) -> None:
    definitions = """
def wait_for_message(empty, full, connection):
    connection.send(os.getpid())
    empty.get()

def wait_for_room(empty, full, connection):
    connection.send(os.getpid())
    full.put("of the killed one")

def wait_for_end(empty, full, connection):
    connection.send(os.getpid())
    full.join()
"""
    main = """
empty, full = context.Queue(), context.JoinableQueue(1)
full.put("there before")
receiver, sender = context.Pipe(duplex=False)
for wait in (wait_for_message, wait_for_room, wait_for_end):
    processes = [context.Process(target=wait, args=(empty, full, sender)) for _ in range(2)]
    for process in processes:
        process.start()
        until_asleep(receiver.recv())
    for process in processes:
        process.kill()
        process.join()
for number in range(3):
    empty.put(number)
print([empty.get() for _ in range(3)], empty)
print(full.qsize(), full.get(), full.empty())
full.put("next")
full.task_done()
full.task_done()
full.join()
print(full.get(), full)
"""
    full = "<JoinableQueue size=0/1 unfinished=0 waiters=0>"
    expected = f"[0, 1, 2] <Queue size=0 waiters=0>\n1 there before True\nnext {full}\n"
    assert prints(tmp_path, definitions, main, method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_two_of_those_who_wait_are_killed_with_a_message_each_at_most_and_the_third_goes_on(
    method: str, tmp_path: Path
) -> None:
    definitions = """
def work(queue, answers):
    answers.put(os.getpid())
    answers.put((os.getpid(), queue.get()))
"""
    main = """
queue, answers = context.Queue(), context.Queue()
processes = [context.Process(target=work, args=(queue, answers)) for _ in range(3)]
for process in processes:
    process.start()
    until_asleep(answers.get())
for process in processes[:2]:
    process.kill()
for number in range(3):
    queue.put(number)
while answers.get()[0] != processes[2].pid:
    pass  # one of the killed was faster
for process in processes:
    process.join()
queue.put("usable")
print(queue.qsize() <= 3, [process.exitcode for process in processes])
"""
    assert prints(tmp_path, definitions, main, method) in [
        f"True [{one}, {other}, 0]\n" for one in (-9, 0) for other in (-9, 0)
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("length", [10, 10_000, 1_000_000])
def test_what_a_process_has_put_arrives_although_it_is_killed_at_once(length: int, method: str, tmp_path: Path) -> None:
    definitions = """
def work(queue, length):
    for number in range(5):
        queue.put((number, b"x" * length, ["a pickle"]))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    main = f"""
queue = context.Queue()
process = context.Process(target=work, args=(queue, {length}))
process.start()
process.join()
print(queue.qsize(), [queue.get() == (number, b"x" * {length}, ["a pickle"]) for number in range(5)], process.exitcode)
"""
    assert prints(tmp_path, definitions, main, method) == f"5 {[True] * 5} -9\n"


@pytest.mark.parametrize("method", METHODS)
def test_messages_that_nobody_gets_are_freed_with_their_queue(method: str, tmp_path: Path) -> None:
    definitions = (
        BLOCKS
        + """
def work(queue):
    for number in range(300):
        queue.put((number, ["a pickle"], "x" * 1000))
    queue.put(numpy.arange(100_000))
    queue.put(context.Queue())
    queue.get()
"""
    )
    main = """
other = context.Queue()
process = context.Process(target=int)
process.start()
process.join()
before = blocks()
queue = context.Queue()
process = context.Process(target=work, args=(queue,))
process.start()
process.join()
print(queue.qsize(), process.exitcode)
process.close()
del queue, process
print(blocks() == before or (before, blocks()))
"""
    assert prints(tmp_path, definitions, main, method) == "301 0\nTrue\n"


def test_a_million_messages_are_put_before_the_first_is_got_and_leave_nothing(tmp_path: Path) -> None:
    main = """
queue = context.Queue()
queue.put(0), queue.get()
first = blocks()
for number in range(1_000_000):
    queue.put(number)
print(queue.qsize(), blocks()[0] > first[0] + 100)
print(all(queue.get() == number for number in range(1_000_000)), queue.empty())
after = blocks()
# A segment of 64 KB, and another one to grow into, is what it keeps.
print(after[1] == first[1], after[2] - first[2] <= 2 << 16)
del queue
print(blocks()[:2] < first[:2], blocks()[3] <= first[3])
"""
    assert prints(tmp_path, BLOCKS, main) == "1000000 True\nTrue True\nTrue True\nTrue True\n"


def test_large_messages_leave_nothing(tmp_path: Path) -> None:
    main = """
queue = context.Queue()
queue.put(0), queue.get()
before = blocks()
for _ in range(3):
    for number in range(50):
        queue.put([numpy.full(20_000, number), b"x" * 100_000])
    assert all(queue.get()[0][-1] == number for number in range(50))
print(before[1:] == blocks()[1:] or (before, blocks()))
"""
    assert prints(tmp_path, BLOCKS, main) == "True\n"


# ---- signals

WAITS = """
def waits():
    # What a process does to wait, and what another does to end that.
    empty, full, tasks = context.Queue(), context.Queue(1), context.JoinableQueue()
    full.put(1)
    tasks.put(1)
    return {
        "get": (lambda: empty.get() == 5, lambda: empty.put(5)),
        "get, time-out": (lambda: empty.get(timeout=100) == 5, lambda: empty.put(5)),
        "put": (lambda: full.put(2) is None, full.get),
        "put, time-out": (lambda: full.put([2], timeout=100) is None, full.get),
        "iteration": (lambda: next(iter(empty)) == 5, lambda: empty.put(5)),
        "poll": (lambda: empty._reader.poll(100), lambda: empty.put(5)),
        "join": (lambda: tasks.join() is None, tasks.task_done),
    }

WAY_NAMES = list(waits())
"""


def test_ctrl_c_interrupts_every_wait_and_the_queue_is_as_before(tmp_path: Path) -> None:
    assert prints(tmp_path, WAITS + IS_INTERRUPTED, INTERRUPTED_AND_AS_BEFORE) == "fine\n"


def test_a_handler_that_returns_runs_during_the_wait_and_the_wait_goes_on(tmp_path: Path) -> None:
    assert prints(tmp_path, WAITS + SAYS_IT_HANDLES, HANDLES_AND_GOES_ON) == "fine\n"


def test_a_handler_may_put_into_the_queue_that_is_waited_for(tmp_path: Path) -> None:
    definitions = """
def child(queue, sender):
    signal.signal(signal.SIGUSR1, lambda *_: queue.put(["by the handler"]))
    os.write(sender, b"!")
    return 7 if queue.get() == ["by the handler"] else 1
"""
    main = """
receiver, sender = os.pipe()
pid = forked(child, context.Queue(), sender)
os.read(receiver, 1)
until_asleep(pid)
os.kill(pid, signal.SIGUSR1)
print(end_of(pid))
"""
    assert prints(tmp_path, definitions, main) == "7\n"


def test_a_handler_that_puts_all_the_time_disturbs_nothing(tmp_path: Path) -> None:
    main = """
queue, beside, count = context.Queue(), context.Queue(), 0
def put(*_):
    global count
    beside.put(["by the handler", count])
    count += 1
signal.signal(signal.SIGALRM, put)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for number in range(20_000):
    queue.put([number, "a pickle"])
    if number % 2:
        assert queue.get() == [number // 2, "a pickle"]
signal.setitimer(signal.ITIMER_REAL, 0)
assert [queue.get()[0] for _ in range(10_000)] == list(range(10_000, 20_000))
print([beside.get() for _ in range(count)] == [["by the handler", number] for number in range(count)], count > 0)
"""
    assert prints(tmp_path, "", main) == "True True\n"


# ---- forks


def test_a_fork_while_threads_put_and_get_leaves_the_child_a_working_queue(tmp_path: Path) -> None:
    definitions = """
def put(queue):
    while not stop:
        queue.put([1, "a pickle", b"x" * 30_000], timeout=1)

def get(queue):
    while not stop:
        queue.get(timeout=1)

def child(shared, answers):
    own = context.Queue()
    for number in range(100):
        own.put([number, b"x" * 30_000])
        assert own.get()[0] == number
    shared.get()
    shared.put("of the child")
    answers.put(["child", os.getpid()])
    return 7

stop = False
"""
    main = """
shared, answers = context.Queue(50), context.Queue()
threads = [threading.Thread(target=function, args=(shared,), daemon=True) for function in (put, put, get)]
for thread in threads:
    thread.start()
pids = [forked(child, shared, answers) for _ in range(30)]
print({end_of(pid) for pid in pids}, sorted(answers.get()[1] for _ in pids) == sorted(pids))
stop = True
while any(thread.is_alive() for thread in threads):
    try:
        shared.get(timeout=0.01)
    except mp.queues.Empty:
        shared.put("the last")
"""
    assert prints(tmp_path, "import allcores.queues\n" + definitions, main) == "{7} True\n"


def test_a_fork_while_a_thread_waits_leaves_one_who_waits(tmp_path: Path) -> None:
    definitions = """
def child(queue):
    assert "waiters=1" in repr(queue)
    queue.put("of the child")
    return 7
"""
    main = """
queue, got = context.Queue(), []
thread = threading.Thread(target=lambda: got.append(queue.get()))
thread.start()
until_asleep(os.getpid(), thread.native_id)
print(end_of(forked(child, queue)))
thread.join()
print(got, queue)
"""
    assert prints(tmp_path, definitions, main) == "7\n['of the child'] <Queue size=0 waiters=0>\n"


# ---- ends


@pytest.mark.parametrize("method", METHODS)
def test_a_process_ends_at_once_although_nobody_gets_what_it_has_put(method: str, tmp_path: Path) -> None:
    definitions = """
def work(queue):
    for _ in range(100):
        queue.put(b"x" * 100_000)
"""
    main = """
queue = context.Queue()
process = context.Process(target=work, args=(queue,))
process.start()
process.join()
print(process.exitcode, queue.qsize())
"""
    before = set(Path("/dev/shm").iterdir())
    assert prints(tmp_path, definitions, main, method) == "0 100\n"
    assert not {path.name for path in set(Path("/dev/shm").iterdir()) - before if "allcores" in path.name}
