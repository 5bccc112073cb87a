"""What a death anywhere in a `warm` session leaves behind: nothing that runs, nothing that hangs."""

import errno
import os
import select
from pathlib import Path

import pytest
from allcores import _core
from allcores._pickle.main_module import look_at_main
from allcores._zygote.client import _take_or_ask, _wait_for_offer
from running import (
    ALLCORES,
    BUSY_ASLEEP_OR_STOPPED,
    HANG_LIMIT_SECONDS,
    METHODS,
    PYTHON,
    Outcome,
    program,
    run,
    started,
)

HEAD = """\
import faulthandler, os, select, signal, sys, threading, time
faulthandler.dump_traceback_later(50, exit=True)
import allcores as mp

def zygote():
    with open(f"/proc/{mp.active_children()[0].pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
"""


def prints(folder: Path, text: str) -> str:
    outcome = run([*PYTHON, program(folder, HEAD + text)])
    assert outcome.status == 0, outcome.err
    return outcome.out


def test_a_killed_zygote_takes_its_children_along_and_is_replaced(tmp_path: Path) -> None:
    text = """
if __name__ == "__main__":
    process = mp.Process(target=signal.pause)
    process.start()
    os.kill(zygote(), signal.SIGKILL)
    process.join(30)
    print(process.exitcode)
    process = mp.Process(target=int)
    process.start()
    process.join(30)
    print(process.exitcode)
"""
    assert prints(tmp_path, text) == "-9\n0\n"


def test_what_all_children_of_a_killed_zygote_had_is_given_back_when_it_is_replaced(tmp_path: Path) -> None:
    text = """
from allcores import _core

def nest(depth, sender, *queues):
    if depth:
        mp.Process(target=nest, args=(depth - 1, sender, *queues)).start()
    sender.send(os.getpid())
    signal.pause()

def lose_two():
    receiver, sender = mp.Pipe(duplex=False)
    process = mp.Process(target=nest, args=(1, sender, *(mp.Queue() for _ in range(5))))
    process.start()
    sender.close()
    try:
        ends = [os.pidfd_open(receiver.recv()) for _ in range(2)]
    except (EOFError, ProcessLookupError):  # a spare of the zygote before, which dies with that
        return
    os.kill(zygote(), signal.SIGKILL)
    for end in ends:
        assert select.select([end], [], [], 30)[0]
        os.close(end)
    process.join(30)
    process.close()

if __name__ == "__main__":
    for _ in range(4):
        lose_two()
    code = None
    while code != 0:
        process = mp.Process(target=int)
        process.start()
        process.join(30)
        code = process.exitcode
    print(_core.arena_account()[1])
"""
    assert prints(tmp_path, text) == "0\n"


def test_while_the_zygote_is_killed_again_and_again_each_start_runs_once_or_raises(tmp_path: Path) -> None:
    text = """
class Job(mp.Process):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def run(self):
        os.write(self.sender.fileno(), b"%04d" % self.number)

def killer(stop):
    while not stop.wait(0.05):
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat") as file:
                        command, _, rest = file.read().partition("(")[2].rpartition(")")
                    if command == "allcores-zygote" and int(rest.split()[3]) == os.getsid(0):
                        os.kill(int(name), signal.SIGKILL)
                except OSError:
                    pass

if __name__ == "__main__":
    receiver, sender = mp.Pipe(duplex=False)
    stop = threading.Event()
    thread = threading.Thread(target=killer, args=(stop,))
    thread.start()
    started = []
    for number in range(60):
        job = Job(number)
        job.sender = sender
        try:
            job.start()
        except OSError:
            continue
        job.join(30)
        started.append((number, job.exitcode))
    stop.set()
    thread.join()
    sender.close()
    written = []
    while data := os.read(receiver.fileno(), 4):
        written.append(int(data))
    assert len(written) == len(set(written)), "none ran twice"
    assert all(number in written for number, code in started if code == 0)
    assert {code for _, code in started} <= {0, -9}
    print("fine")
"""
    assert prints(tmp_path, text) == "fine\n"


def test_killed_zygotes_leave_no_zombies_and_no_descriptors(tmp_path: Path) -> None:
    text = """
def zombies():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        children = file.read().split()
    return sum(" Z " in open(f"/proc/{child}/stat").read() for child in children)

if __name__ == "__main__":
    for turn in range(8):
        process = mp.Process(target=signal.pause)
        process.start()
        os.kill(zygote(), signal.SIGKILL)
        process.join()
        process.close()
        if turn == 2:
            open_files = len(os.listdir("/proc/self/fd"))
    print(zombies(), len(os.listdir("/proc/self/fd")) - open_files)
"""
    assert prints(tmp_path, text) == "0 0\n"


@pytest.mark.parametrize("how", ["busy", "asleep", "stopped"])
@pytest.mark.parametrize("method", METHODS)
def test_nothing_outlives_a_root_that_is_killed(method: str, how: str, tmp_path: Path) -> None:
    text = (
        """
mp = mp.get_context(sys.argv[2])
"""
        + BUSY_ASLEEP_OR_STOPPED
        + """
if __name__ == "__main__":
    receiver, sender = mp.Pipe(duplex=False)
    for _ in range(2):
        mp.Process(target=work, args=(sender, 1, sys.argv[1])).start()
    pids = {pid for _ in range(4) for pid in receiver.recv()}
    print(*pids, flush=True)
    signal.pause()
"""
    )
    words = [*PYTHON, str(program(tmp_path, HEAD + text)), how, method]
    with started(words) as root:
        assert root.stdout is not None
        pidfds = [os.pidfd_open(int(pid)) for pid in root.stdout.readline().split()]
        # Four children, and who has forked them: the zygote, the root, or a server of each that starts some.
        assert len(pidfds) == (7 if method == "forkserver" else 5)
        root.kill()
        for pidfd in pidfds:
            with os.fdopen(pidfd):
                assert select.select([pidfd], [], [], HANG_LIMIT_SECONDS)[0], "it still runs"


@pytest.mark.parametrize("method", METHODS)
def test_children_of_a_daemon_end_with_the_program(method: str, tmp_path: Path) -> None:
    text = """
def grandchild(sender):
    sender.send(os.getpid())
    signal.pause()

def child(method, sender):
    mp.get_context(method).Process(target=grandchild, args=(sender,)).start()
    signal.pause()

if __name__ == "__main__":
    receiver, sender = mp.Pipe(duplex=False)
    mp.get_context(sys.argv[1]).Process(target=child, args=(sys.argv[1], sender), daemon=True).start()
    print(receiver.recv())
"""
    outcome = run([*PYTHON, program(tmp_path, HEAD + text), method])
    assert outcome.status == 0, outcome.err
    try:
        pidfd = os.pidfd_open(int(outcome.out))
    except ProcessLookupError:
        return
    with os.fdopen(pidfd):
        assert select.select([pidfd], [], [], HANG_LIMIT_SECONDS)[0], "it still runs"


def test_a_main_module_without_a_guard_is_told_so_and_starts_nothing(tmp_path: Path) -> None:
    text = "import allcores as mp\np = mp.Process(target=print)\np.start()\np.join()\nprint(p.exitcode)\n"
    outcome = run([*PYTHON, program(tmp_path, text)])
    assert (outcome.status, outcome.out) == (0, "1\n")
    assert "Guard what starts processes" in outcome.err
    assert outcome.err.count("\nRuntimeError: ") == 1
    assert outcome.err.startswith(f'Traceback (most recent call last):\n  File "{tmp_path}/program.py", line 3')


def test_a_name_that_exists_only_under_the_guard_is_explained(tmp_path: Path) -> None:
    text = (
        "import allcores as mp\nif __name__ == '__main__':\n    def f(): pass\n"
        "    p = mp.Process(target=f); p.start(); p.join(); print(p.exitcode)\n"
    )
    outcome = run([*PYTHON, program(tmp_path, text)])
    assert (outcome.status, outcome.out) == (0, "1\n")
    assert "Either move its definition above that line" in outcome.err
    assert "start method 'fork'" in outcome.err


def test_a_main_module_that_starts_a_thread_is_imported_by_each_child(tmp_path: Path) -> None:
    text = """
threading.Thread(target=threading.Event().wait, daemon=True).start()
def work():
    print(threading.active_count(), sys.modules["__main__"].__name__, flush=True)

if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=work)
        process.start()
        process.join(30)
"""
    assert prints(tmp_path, text) == "2 __mp_main__\n" * 2


def test_a_main_module_that_imports_numpy_works(tmp_path: Path) -> None:
    text = """
import numpy
def work(queue):
    queue.put(float((numpy.ones((300, 300)) @ numpy.ones((300, 300))).sum()))

if __name__ == "__main__":
    queue = mp.Queue()
    processes = [mp.Process(target=work, args=(queue,)) for _ in range(2)]
    for process in processes:
        process.start()
    print([queue.get(timeout=30) for _ in processes])
    for process in processes:
        process.join(30)
"""
    assert prints(tmp_path, text) == "[27000000.0, 27000000.0]\n"


def test_a_main_module_that_changed_is_imported_anew(tmp_path: Path) -> None:
    text = """
VERSION = "old"
def work():
    print(VERSION, flush=True)

if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=work)
        process.start()
        process.join(30)
        with open(__file__) as file:
            text = file.read()
        with open(__file__, "w") as file:
            file.write(text.replace('"old"', '"newer"'))
"""
    assert prints(tmp_path, text) == "old\nnewer\n"


def test_an_argument_that_cannot_be_pickled_is_named(tmp_path: Path) -> None:
    text = """
import pickle
if __name__ == "__main__":
    for expected in (TypeError, AttributeError, pickle.PicklingError, mp.UnpicklableArgumentError):
        arguments = [1, {"a": [threading.Lock()]}]
        process = mp.Process(target=print, args=arguments)
        try:
            process.start()
        except expected as error:
            print(error.path, error.value_type, "use the start method 'fork'" in str(error))
    print(mp.active_children())
    try:
        mp.Process(target=print, kwargs={"file": open(os.devnull)}).start()
    except TypeError as error:
        print(error.path)
"""
    expected = "args[1]['a'][0] _thread.lock True\n" * 4 + "[]\nkwargs['file']\n"
    assert prints(tmp_path, text) == expected


def test_a_time_out_set_for_all_sockets_and_signal_handling_do_not_disturb(tmp_path: Path) -> None:
    text = """
import socket
def work():
    print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN, flush=True)

if __name__ == "__main__":
    socket.setdefaulttimeout(0.001)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for action in (signal.default_int_handler, signal.SIG_IGN):
        signal.signal(signal.SIGINT, action)
        process = mp.Process(target=work)
        process.start()
        process.join(30)
    print(process.exitcode)
"""
    outcome = run([*PYTHON, program(tmp_path, HEAD + text)])
    assert outcome == Outcome(0, "False\nTrue\n0\n", "")


def test_many_processes_leave_nothing_in_root_or_zygote(tmp_path: Path) -> None:
    text = """
def work(): pass

def wait_for_end(receiver):
    receiver.poll(None)

def held(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = len(file.read().split())
    with open(f"/proc/{pid}/status") as file:
        memory_kb = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    return len(os.listdir(f"/proc/{pid}/fd")), children, memory_kb

def settled(pid, children):
    # Until it has been so for half a second; faulthandler sets the limit.
    since = time.monotonic()
    while time.monotonic() - since < 0.5:
        if held(pid)[1] != children:
            since = time.monotonic()
    return held(pid)

if __name__ == "__main__":
    import resource, time
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    sender, receiver = mp.Pipe()
    first = mp.Process(target=wait_for_end, args=(receiver,))
    first.start()
    keeper = zygote()

    def sequence(count):
        for _ in range(count):
            process = mp.Process(target=work); process.start(); process.join(); process.close()

    sequence(50)
    before = held(os.getpid()), settled(keeper, 3)  # the first process and two spares; those of the burst are let go
    sequence(1000)
    after = held(os.getpid()), settled(keeper, 3)
    print(after[0][:2] == before[0][:2], after[1][:2] == before[1][:2])
    print([b[2] - a[2] < 3000 for a, b in zip(before, after)])

    processes = [mp.Process(target=wait_for_end, args=(receiver,)) for _ in range(500)]
    for process in processes:
        process.start()
    with open(f"/proc/{keeper}/task/{keeper}/children") as file:
        print(len(file.read().split()) >= 501)
    sender.send("end")
    for process in processes:
        process.join()
        assert process.exitcode == 0, process.exit_reason
        process.close()
    first.join()
    print(first.exitcode)
"""
    expected = "True True\n[True, True]\nTrue\n0\n"
    assert prints(tmp_path, text.replace("if __name__", "import time\nif __name__", 1)) == expected


def test_signals_to_the_whole_group_do_not_reach_processes_still_to_come(tmp_path: Path) -> None:
    text = """
def work():
    os.write(1, b"ran\\n")

def start_another(number, frame):
    process = mp.Process(target=work)
    process.start()
    started.append(process)

if __name__ == "__main__":
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    for number in numbers:
        signal.signal(number, start_another)
    started = []
    start_another(None, None)
    for number in numbers * 10:
        started[-1].join(30)  # it would be reached by the signal, and rightly so
        time.sleep(0.01)  # for spares to be ready
        sender = os.fork()  # somebody who is not the caller
        if sender == 0:
            signal.signal(number, signal.SIG_IGN)
            os.killpg(os.getppid(), number)
            os._exit(0)
        os.waitpid(sender, 0)
    for process in started:
        process.join(30)
    codes = [process.exitcode for process in started]
    assert codes == [0] * len(codes), codes
    assert len(codes) == 31
"""
    prints(tmp_path, text)


def test_terminating_at_once_is_never_lost(tmp_path: Path) -> None:
    text = """
if __name__ == "__main__":
    for turn in range(100):
        process = mp.Process(target=signal.pause)
        process.start()
        (process.terminate if turn % 2 else lambda: os.kill(process.pid, signal.SIGTERM))()
        process.join(30)
        assert process.exitcode == -15, (turn, process.exitcode)
"""
    prints(tmp_path, text)


def test_a_program_in_another_process_group_has_another_zygote(tmp_path: Path) -> None:
    text = """
def work(connection):
    connection.send((os.getpgrp(), os.getppid()))

def child(receiver, sender):
    process = mp.Process(target=work, args=(sender,))
    process.start()
    process.join(30)
    return receiver.recv()

if __name__ == "__main__":
    receiver, sender = mp.Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        seen = [child(receiver, sender) for _ in range(2)]
        os.setpgid(0, 0)
        seen += [child(receiver, sender) for _ in range(2)]
        groups, zygotes = zip(*seen)
        print([group == os.getpid() for group in groups], [zygote == zygotes[0] for zygote in zygotes], flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""
    assert prints(tmp_path, text) == "[False, False, True, True] [True, True, False, False]\n"


def test_a_stopped_zygote_does_not_hold_up_a_join_with_a_time_out(tmp_path: Path) -> None:
    text = """
if __name__ == "__main__":
    process = mp.Process(target=signal.pause)
    process.start()
    stopped = zygote()
    os.kill(stopped, signal.SIGSTOP)
    process.kill()
    process.join(0.1)
    print(process.exitcode)
    os.kill(stopped, signal.SIGCONT)
    process.join(30)
    print(process.exitcode)
"""
    assert prints(tmp_path, text) == "None\n-9\n"


def test_a_start_that_fails_keeps_nothing_of_the_spare_that_it_has_woken(tmp_path: Path) -> None:
    text = """
class Unready:
    def __reduce__(self):
        raise ValueError

if __name__ == "__main__":
    first = mp.Process(target=signal.pause)
    first.start()
    before = len(os.listdir("/proc/self/fd"))
    after, failures = set(), 0
    for process in 10 * [first, mp.Process(target=work, args=(Unready(),))]:
        time.sleep(0.05)  # there is a spare again
        try:
            process.start()
        except (AssertionError, ValueError):
            failures += 1
        after.add(len(os.listdir("/proc/self/fd")) - before)
    last = mp.Process(target=exit, args=(3,))
    last.start()
    last.join(30)
    first.kill()
    print(failures, after, last.exitcode)
"""
    assert prints(tmp_path, "def work(thing): pass\n" + text) == "20 {0} 3\n"


def test_a_thread_that_starts_while_another_one_starts_for_the_first_time(tmp_path: Path) -> None:
    text = """
def work():
    pass

def start(waits):
    process = mp.get_context("warm").Process(target=work)
    while waits and "allcores._zygote.client" not in sys.modules:
        time.sleep(0)
    process.start()
    process.join(30)
    codes.append(process.exitcode)

if __name__ == "__main__":
    codes = []
    threads = [threading.Thread(target=start, args=(waits,)) for waits in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(codes)
"""
    assert prints(tmp_path, text) == "[0, 0]\n"


def test_a_rehearsal_leaves_no_descriptor_no_signal_and_no_log_record(tmp_path: Path) -> None:
    text = """
import json, logging
from multiprocessing import util

util.get_logger().setLevel(logging.INFO)
os.chdir(os.path.dirname(os.path.abspath(__file__)))  # before the log has its path
util.get_logger().addHandler(logging.FileHandler("log", delay=True))

def work(name):
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    found = [os.readlink(link) for link in links if os.path.islink(link)]
    with open(name, "w") as file:
        json.dump([found, signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN], file)

if __name__ == "__main__":
    seen = []
    for number, ignored in enumerate([True, True, False, True, False]):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN if ignored else signal.SIG_DFL)
        process = mp.Process(target=work, args=(str(number),))
        process.start()
        process.join(30)
        time.sleep(0.1)  # there are spares again, which have rehearsed
        seen.append(json.load(open(str(number))))
    first, *others = ([file for file in files if file.startswith("/dev/null")] for files, _ in seen)
    print([ignored for _, ignored in seen], {len(files) - len(first) for files in others})
    print(sum("calling self.run" in line for line in open("log")))
"""
    assert prints(tmp_path, text) == "[True, True, False, True, False] {0}\n5\n"


def test_a_failure_that_answers_somebody_else_is_asked_anew() -> None:
    requests, callers_requests = _core.socket_pair()
    offers, callers_offers = _core.socket_pair()
    way = _core.Way(callers_requests, callers_offers, os.eventfd(0))
    _core.offer_failed(offers, errno.EAGAIN)
    assert _take_or_ask(way, look_at_main()) is None
    ask = _core.receive_ask(requests)
    assert ask is not None and ask.kind == "need"
    _core.offer_failed(offers, errno.EAGAIN)
    with pytest.raises(BlockingIOError):
        _wait_for_offer(way, look_at_main())
    for descriptor in (requests, offers):
        os.close(descriptor)


@pytest.mark.parametrize("ahead", [True, False], ids=["allcores run", "import allcores"])
def test_the_resource_tracker_comes_from_the_zygote_and_outlives_the_program(ahead: bool, tmp_path: Path) -> None:
    text = """
from multiprocessing import resource_tracker, shared_memory
def make_tracked():
    memory = shared_memory.SharedMemory(create=True, size=1, **{"track": False} if AHEAD else {})
    if AHEAD:  # it is allcores' own, which tells the tracker nothing by itself
        resource_tracker.register(memory._name, "shared_memory")
    return memory.name
def work(names):
    names.send(make_tracked())

if __name__ == "__main__":
    receiver, sender = mp.Pipe(duplex=False)
    context = mp.get_context("warm")
    process = context.Process(target=work, args=(sender,))
    process.start()
    process.join(30)
    print(resource_tracker._resource_tracker._pid, make_tracked(), receiver.recv(), flush=True)
    signal.pause()
"""
    file = program(tmp_path, f"AHEAD = {ahead}\n{HEAD}{text}")
    with started([*(ALLCORES if ahead else PYTHON), str(file)]) as root:
        assert root.stdout is not None and root.stderr is not None
        tracker, *names = root.stdout.readline().split()
        assert tracker == "None", "no interpreter was started for it"
        assert all(Path("/dev/shm", name).exists() for name in names)
        root.kill()
        assert "There appear to be 2 leaked shared_memory objects" in root.stderr.read()
        assert not any(Path("/dev/shm", name).exists() for name in names)


def test_of_the_signals_that_come_before_work_is_seen_only_the_callers_stay(tmp_path: Path) -> None:
    text = """
from allcores import _core
from allcores._pickle.main_module import look_at_main

def spare(birth, zygote, account, go):
    line, bell = birth.begin(zygote, [], account)
    os.read(go, 1)  # only now does it look: at signals and at work
    _core.wait_for_work(line, bell, [signal.SIGUSR1, signal.SIGUSR2], [])
    print(*(number.name for number in signal.sigpending()), flush=True)
    os._exit(0)

if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
    requests, callers_requests = _core.socket_pair()
    offers, callers_offers = _core.socket_pair()
    way = _core.Way(callers_requests, callers_offers, os.eventfd(0))
    (go_out, go_in), account, zygote = os.pipe(), os.open(os.devnull, os.O_RDONLY), os.getpid()
    birth = _core.Birth()
    pid = os.fork()
    if pid == 0:
        spare(birth, zygote, account, go_out)
    events = select.epoll()
    birth.offer(pid, events.fileno(), offers, None)
    other = os.fork()
    if other == 0:
        os.kill(pid, signal.SIGUSR1)
        os._exit(0)
    os.waitpid(other, 0)
    os.kill(pid, signal.SIGUSR2)
    offer = way.take_offer(timeout=30)
    child = offer.hand_over(way, os.pidfd_open(os.getpid()), go_in, [], b"", b"")
    os.write(go_in, b"!")
    os.waitpid(pid, 0)
"""
    assert prints(tmp_path, text) == "SIGUSR2\n"
