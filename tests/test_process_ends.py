"""The end of a `warm` process: what others can notice of it is over when `join` returns, its memory a moment later."""

import subprocess
from pathlib import Path

import pytest
from allcores._zygote.remains import Remains
from running import PYTHON, guarded, program, run

HEAD = '''\
import fcntl, faulthandler, mmap, os, random, signal, socket, sys, threading, time
import allcores as mp

def parent(number):
    number.value = os.getppid()

def children_of(pid):
    """Of those that have not ended meanwhile: pid, pages of memory, state."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        pids = file.read().split()
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm") as statm, open(f"/proc/{pid}/stat") as stat:
                yield pid, int(statm.read().split()[0]), stat.read().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            pass
'''


def prints(folder: Path, definitions: str, main: str) -> str:
    text = guarded(HEAD + definitions, f"faulthandler.dump_traceback_later(50, exit=True)\n{main.strip()}")
    outcome = run([*PYTHON, program(folder, text)])
    assert outcome.status == 0, outcome.err
    return outcome.out


REMAINS = '''
TOUCHED_BYTES = 40 << 20

def touched():
    memory = mmap.mmap(-1, TOUCHED_BYTES, flags=mmap.MAP_PRIVATE)
    memory.madvise(mmap.MADV_NOHUGEPAGE)  # it takes longer to unmap
    for page in range(0, TOUCHED_BYTES, 4096):
        memory[page] = 1
    return memory

memory = [touched()]  # in the zygote, so that its children have to unmap it

def unmap(zygote):
    """Whether a child of the zygote is at its end, where it shows no memory, and is no zombie yet."""
    return any(pages == 0 and state == "R" for _, pages, state in children_of(zygote))

def work(zygote, how, queue):
    zygote.value = os.getppid()
    if how == "queue":
        queue.put(1)
    if how == "large":
        memory.append(touched())
    if how == "file":
        globals()["file"] = mmap.mmap(os.open(__file__, os.O_RDONLY), 0, prot=mmap.PROT_READ)
    if how == "private":
        globals()["file"] = mmap.mmap(os.open(__file__, os.O_RDONLY), 0, access=mmap.ACCESS_COPY)
    if how == "group":
        os.setpgid(0, 0)
    if how == "shared":
        globals()["shared"] = mmap.mmap(-1, 4096)
    if how == "thread":
        threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
    if how == "os._exit":
        os._exit(0)

def seen_after_its_end(how):
    zygote, queue, seen = mp.Value("i"), mp.Queue(), 0
    for _ in range(20):
        process = mp.Process(target=work, args=(zygote, how, queue))
        process.start()
        process.join()
        assert process.exitcode == 0
        seen += unmap(zygote.value)
        assert not os.path.exists(f"/proc/{process.pid}")
        time.sleep(0.02)
    return seen
'''


@pytest.mark.parametrize("how", ["nothing more", "queue"])
def test_a_process_is_gone_before_its_memory(how: str, tmp_path: Path) -> None:
    assert prints(tmp_path, REMAINS, f"print(seen_after_its_end({how!r}) > 0)") == "True\n"


@pytest.mark.parametrize("how", ["large", "file", "private", "shared", "group", "thread", "os._exit"])
def test_one_whose_memory_others_could_wait_for_is_not(how: str, tmp_path: Path) -> None:
    assert prints(tmp_path, REMAINS, f"print(seen_after_its_end({how!r}))") == "0\n"


def test_what_it_had_is_free_when_join_returns(tmp_path: Path) -> None:
    definitions = """
def work(path, port, maps):
    file = open(path, "r+")
    fcntl.flock(file, fcntl.LOCK_EX)
    kept.append(socket.create_server(("127.0.0.1", port)))
    kept.append(mmap.mmap(file.fileno(), 0, access=maps) if maps else file)

kept = []
"""
    main = """
path = os.path.join(os.path.dirname(__file__), "file")
with open(path, "w") as file:
    file.write("x" * 4096)
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
for turn in range(45):
    process = mp.Process(target=work, args=(path, port, (0, mmap.ACCESS_WRITE, mmap.ACCESS_COPY)[turn % 3]))
    process.start()
    process.join()
    assert process.exitcode == 0
    with open(path) as file, socket.create_server(("127.0.0.1", port)):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("free")
"""
    assert prints(tmp_path, definitions, main) == "free\n"


def test_the_zygote_reaps_what_they_leave(tmp_path: Path) -> None:
    main = """
zygote = mp.Value("i")
for _ in range(60):
    process = mp.Process(target=parent, args=(zygote,))
    process.start()
    process.join()
while any(state == "Z" for _, _, state in children_of(zygote.value)):
    time.sleep(0.01)
print("none")
"""
    assert prints(tmp_path, "", main) == "none\n"


def test_a_fork_of_it_ends_as_any_and_gives_it_no_other_child(tmp_path: Path) -> None:
    definitions = """
def work():
    if os.fork() == 0:
        return
    os.wait()
    try:
        time.sleep(0.05)
        os.wait()
    except ChildProcessError:
        os.write(1, b"one child\\n")
"""
    main = """
process = mp.Process(target=work)
process.start()
process.join()
"""
    assert prints(tmp_path, definitions, main) == "one child\n"


def test_a_function_in_the_place_of_os_exit_is_called(tmp_path: Path) -> None:
    definitions = """
def end(code, end=os._exit):
    os.write(1, b"saves what it has measured\\n")
    end(code + 1)
"""
    main = """
process = mp.Process(target=setattr, args=(os, "_exit", end))
process.start()
process.join()
print(process.exitcode)
"""
    assert prints(tmp_path, definitions, main) == "saves what it has measured\n1\n"


def test_killed_at_any_moment_of_its_end_it_leaves_nothing_that_runs(tmp_path: Path) -> None:
    definitions = """
def others():
    return {pid for pid, _, _ in children_of(zygote.value)}
"""
    main = """
zygote, codes = mp.Value("i"), set()
for _ in range(400):
    zygote.value = 0
    process = mp.Process(target=parent, args=(zygote,))
    process.start()
    while not zygote.value and process.is_alive():
        pass
    until = time.perf_counter() + random.uniform(0, 0.0006)
    while time.perf_counter() < until:
        pass
    process.kill()
    process.join()
    codes.add(process.exitcode)
assert codes == {0, -9}, codes
stay = others()
while len(stay) > 3:  # but for two spares and the resource tracker: spares of a burst, which go, or else remains
    time.sleep(0.1)
    stay &= others()
print("no more than there was")
"""
    assert prints(tmp_path, definitions, main) == "no more than there was\n"


def test_remains_are_looked_for_soon_and_then_more_and_more_seldom() -> None:
    remains = Remains()
    assert remains.seconds_to_look(0.0) is None
    remains.expect(10.0)
    soon = remains.seconds_to_look(10.0)
    assert soon is not None and 0 < soon < 0.1
    remains.expect(10.0 + soon / 2)
    assert remains.seconds_to_look(10.0 + soon) == 0, "those who go on ending do not put it off"
    now, looks = 10.0 + soon, 0
    while (wait := remains.seconds_to_look(now)) is not None:
        now, looks = now + wait, looks + 1
        remains.reap(now, children=[])
    assert 1 < looks < 10


def test_only_what_is_none_of_the_children_is_reaped() -> None:
    """In a process of its own: it reaps whatever child there is."""
    source = """
import os, sys
from allcores._zygote.remains import Remains
known, unknown = (os.posix_spawn("/bin/true", ["true"], {}) for _ in "12")
os.waitid(os.P_PID, unknown, os.WEXITED | os.WNOWAIT)
os.waitid(os.P_PID, known, os.WEXITED | os.WNOWAIT)
Remains().reap(0.0, children=[known])
assert os.waitpid(known, os.WNOHANG) == (known, 0)
Remains().reap(0.0, children=[])
try:
    os.wait()
except ChildProcessError:
    print("reaped")
"""
    command = [*PYTHON, "-c", source]
    assert subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout == "reaped\n"


def test_what_the_main_module_has_registered_is_not_done_by_a_rehearsal(tmp_path: Path) -> None:
    definitions = """
import multiprocessing.util

def clean():
    os.write(1, b"clean\\n")

multiprocessing.util.Finalize(None, clean, exitpriority=1)
"""
    main = """
for _ in range(3):
    process = mp.Process(target=int)
    process.start()
    process.join()
    time.sleep(0.2)  # spares rehearse, and before them the zygote
print("end", flush=True)
"""
    assert prints(tmp_path, definitions, main) == "end\nclean\n"


def test_an_exception_is_noted_around_whatever_runs_and_leaves_no_trace(tmp_path: Path) -> None:
    definitions = """
import pickle, traceback

class Overridden(mp.Process):
    def run(self):
        fail(self)

class Frozen(Overridden):
    def __setattr__(self, name, value):
        if name == "run":
            raise AttributeError(name)
        super().__setattr__(name, value)

def fail(process):
    assert "run" not in vars(process) or isinstance(process, Own)
    raise LookupError("not here")

class Own(mp.Process):
    def __init__(self):
        super().__init__()
        self.run = fail_by_itself

def fail_by_itself():
    fail(mp.current_process())
"""
    main = """
for kind in (Overridden, Frozen, Own):
    process = kind()
    process.start()
    process.join()
    reason = process.exit_reason
    print(process.exitcode, reason, "child.py" in reason.exception.traceback, flush=True)
"""
    line = "1 exit code 1: LookupError: not here False\n"
    assert prints(tmp_path, definitions, main) == 3 * line


def test_a_child_imports_nothing_that_its_program_has_not(tmp_path: Path) -> None:
    definitions = """
def tell():
    os.write(1, str(sorted({"traceback", "textwrap", "tokenize"} & sys.modules.keys())).encode() + b"\\n")
"""
    main = """
process = mp.Process(target=tell)
process.start()
process.join()
"""
    assert prints(tmp_path, definitions, main) == "[]\n"


def test_a_child_that_may_make_no_process_any_more_ends_as_any(tmp_path: Path) -> None:
    definitions = """
import ctypes, platform, struct

def work():
    clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    load, equal, give = 0x20, 0x15, 0x06  # BPF: load the number of the system call, compare it, return what becomes
    kill, allow = 0x80000000, 0x7FFF0000
    rules = [(load, 0, 0, 0), (equal, 0, 1, clone), (give, 0, 0, kill), (give, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
"""
    main = """
process = mp.Process(target=work)
process.start()
process.join()
print(process.exit_reason)
"""
    assert prints(tmp_path, definitions, main) == "exit code 0\n"


def test_a_fork_for_which_there_is_no_room_is_tried_again_when_remains_have_gone() -> None:
    """In a process of its own: it reaps whatever child there is."""
    source = """
import os
from allcores._zygote.remains import Remains
remains, calls = Remains(), []

def fork():
    calls.append(1)
    if len(calls) % 3:
        raise BlockingIOError
    return 7

try:
    remains.make_room_for(fork, children=[])
except BlockingIOError:
    print(len(calls), "none were expected")
calls.clear()
remains.expect(0.0)
for _ in range(2):
    os.posix_spawn("/bin/true", ["true"], {})
print(remains.make_room_for(fork, children=[]))
try:
    remains.make_room_for(fork, children=[])
except BlockingIOError:
    print("none were left")
"""
    command = [*PYTHON, "-c", source]
    out = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert out == "1 none were expected\n7\nnone were left\n"


def test_children_have_no_descriptors_of_a_rehearsal(tmp_path: Path) -> None:
    definitions = """
def tell():
    os.write(1, f"{len(os.listdir('/proc/self/fd'))}\\n".encode())
"""
    main = """
mp.Pipe()
for _ in range(3):
    process = mp.Process(target=tell)
    process.start()
    process.join()
    time.sleep(0.2)  # spares rehearse, and before them the zygote
"""
    counts = prints(tmp_path, "import multiprocessing.connection\n" + definitions, main).split()
    assert len(counts) == 3 and len(set(counts)) == 1


def test_a_rehearsal_leaves_the_program_s_own_streams_alone(tmp_path: Path) -> None:
    definitions = """
class Stream:
    def write(self, text):
        os.write(1, text.encode())

    def flush(self):
        if mp.current_process().name != "MainProcess":
            os.write(1, b"flushed ")
            sys.exit("a stream that fails")

sys.stdout = Stream()

def work():
    os.write(1, f"{sys.stdin is not None} ".encode())
"""
    main = """
for _ in range(3):
    process = mp.Process(target=work)
    process.start()
    process.join()
    time.sleep(0.2)  # spares rehearse, and before them the zygote
    print(process.exitcode)
"""
    assert prints(tmp_path, definitions, main) == 3 * "True flushed flushed 1\n"


def test_any_number_is_an_exit_code_and_exit_functions_have_the_program_s_streams(tmp_path: Path) -> None:
    definitions = """
import atexit, io

def work():
    sys.stderr = io.StringIO()
    atexit.register(lambda: os.write(1, type(sys.stderr).__name__.encode() + b"\\n"))
    sys.exit(2**40 + 3)
"""
    main = """
process = mp.Process(target=work)
process.start()
process.join()
print(process.exitcode)
"""
    assert prints(tmp_path, definitions, main) == "StringIO\n3\n"
