"""Queues and pipes where the system or another process makes it hard: nothing is lost, and nobody waits for ever."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from lock_programs import prints

NO_DESCRIPTORS = """
import contextlib, errno, resource, select

@contextlib.contextmanager
def no_descriptor_left():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

def refused(call, *arguments):
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno], "nothing was done" in str(error)
"""


def test_who_cannot_wake_a_listener_is_told_and_nothing_is_put(tmp_path: Path) -> None:
    main = """
queue = mp.Queue()
select.select([queue], [], [], 0)
with no_descriptor_left():
    answers = [refused(queue.put, 1), refused(queue.put, bytes(100_000)), refused(queue.put_many, [1, 2])]
print(answers, queue.qsize(), select.select([queue], [], [], 0)[0])
queue.put("there")
print(select.select([queue], [], [], 30)[0] == [queue], queue.get())
"""
    assert prints(tmp_path, NO_DESCRIPTORS, main) == f"{[('EMFILE', True)] * 3} 0 []\nTrue there\n"


def test_who_cannot_wake_a_listener_for_room_is_told_and_nothing_is_taken(tmp_path: Path) -> None:
    main = """
queue = mp.Queue(1)
queue.put("there")
select.select([], [queue._channel._listen(True)], [], 0)
with no_descriptor_left():
    print(refused(queue.get), queue.qsize())
print(queue.get(), select.select([queue._channel._listen(True)], [], [], 30)[0] != [])
"""
    assert prints(tmp_path, NO_DESCRIPTORS, main) == "('EMFILE', True) 1\nthere True\n"


NAMESPACES = """
def leave_the_network():
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):  # CLONE_NEWNET
        print("may not")
        os._exit(0)
"""


def test_a_listener_in_another_network_namespace_cannot_be_woken_and_the_putter_is_told(tmp_path: Path) -> None:
    definitions = """
import errno, select

def put(queue):
    leave_the_network()
    try:
        queue.put(1)
    except OSError as error:
        print(errno.errorcode[error.errno], "network namespace" in str(error), queue.qsize(), flush=True)
"""
    main = """
queue = mp.Queue()
select.select([queue], [], [], 0)
process = context.Process(target=put, args=(queue,))
process.start()
process.join()
queue.put("heard")  # the listener is still known
print(select.select([queue], [], [], 30)[0] == [queue], queue.get())
"""
    said = prints(tmp_path, NAMESPACES + definitions, main)
    if said.startswith("may not"):
        pytest.skip("this user may not make a network namespace")
    assert said == "ENETUNREACH True 0\nTrue heard\n"


def test_what_does_not_block_does_not_wait_for_a_process_that_is_stopped_in_the_middle(tmp_path: Path) -> None:
    definitions = """
import queue as threads_queue, select

def use(queue, far):
    while True:
        queue.put_many(["a"] * 50)
        queue.get_many(50)
        far.send("b")

def until_empty(end):
    while end.poll(0):
        end.recv()
"""
    main = """
queue = mp.Queue()
near, far = mp.Pipe()
select.select([queue, near], [], [], 0)
process = context.Process(target=use, args=(queue, far))
process.start()
for _ in range(200):
    time.sleep(random.uniform(0, 0.002))
    os.kill(process.pid, signal.SIGSTOP)
    while open(f"/proc/{process.pid}/stat").read().split(")")[1].split()[0] != "T":
        time.sleep(0.0001)
    for call in (
        lambda: queue.get(False),
        lambda: queue.put_many([1], block=False),
        lambda: queue.get_many(block=False),
        lambda: near.poll(0),
        lambda: queue.get(timeout=0.001),
    ):
        try:
            call()
        except (threads_queue.Empty, threads_queue.Full):
            pass
    os.kill(process.pid, signal.SIGCONT)
    until_empty(near)
process.kill()
process.join()
print("went on")
"""
    assert prints(tmp_path, definitions, main, "fork") == "went on\n"


@pytest.mark.parametrize("kind", ["get", "get_many", "recv", "recv_bytes"])
def test_the_first_long_message_is_still_there_when_its_receiver_had_no_descriptor_left(
    tmp_path: Path, kind: str
) -> None:
    main = f"""
queue = mp.Queue()
near, far = mp.Pipe()
assert "ctypes" in sys.modules
del sys.modules["ctypes"], sys.modules["_ctypes"]
queue.put(bytes(100_000))
near.send(bytes(100_000)) if "{kind}" == "recv" else near.send_bytes(bytes(100_000))
receive = dict(get=queue.get, get_many=queue.get_many, recv=far.recv, recv_bytes=far.recv_bytes)["{kind}"]
with no_descriptor_left():
    try:
        receive()
    except (OSError, ImportError) as error:
        print(type(error).__name__)
print(len(receive()))
"""
    expected = 1 if kind == "get_many" else 100_000
    said = prints(tmp_path, NO_DESCRIPTORS, main)
    assert said.endswith(f"Error\n{expected}\n"), said


WITHOUT_MEMORY = """
import contextlib, gc, select, _testcapi

@contextlib.contextmanager
def no_memory(after=0):
    _testcapi.set_nomemory(after, after + 1)
    try:
        yield
    finally:
        _testcapi.remove_mem_hooks()

def is_readable(end):
    return bool(select.select([end], [], [], 0)[0])
"""
needs_testcapi = pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None, reason="this Python came without _testcapi, which takes memory away"
)


@needs_testcapi
@pytest.mark.parametrize("message", ["(b'b' * 300)", "('t',) * 3"])
def test_a_finalizer_that_gets_while_another_get_has_no_memory_waits_for_nobody(message: str, tmp_path: Path) -> None:
    main = f"""
queue = mp.Queue()
queue.put_many([{message}] * 4)
queue.get()

class Getting:
    def __del__(self):
        _testcapi.remove_mem_hooks()
        print("finalizer", queue.get() == {message})

def leave_garbage():
    getting = Getting()
    getting.itself = getting

gc.disable()
spare = [MemoryError() for _ in range(64)]  # CPython keeps some ready: then one more is made, and garbage collected
leave_garbage()
get, enable = queue.get, gc.enable
gc.set_threshold(1)
with no_memory():
    enable()
    got = get()
print(got == {message}, queue.get() == {message}, queue.empty())
"""
    assert prints(tmp_path, WITHOUT_MEMORY, main) == "finalizer True\nTrue True True\n"


@needs_testcapi
def test_what_cannot_be_decoded_for_want_of_memory_leaves_no_bell_behind(tmp_path: Path) -> None:
    main = """
def answer(get, end):
    try:
        with no_memory():
            get()
    except MemoryError:
        return is_readable(end)

queue = mp.Queue()
before = is_readable(queue)
queue.put([1, 2, "a" * 30])
print(before, is_readable(queue), answer(queue.get, queue), queue.qsize())
one, other = mp.Pipe()
before = is_readable(one)
other.send([1, 2, "a" * 30])
print(before, is_readable(one), answer(one.recv, one), one.poll())
"""
    assert prints(tmp_path, WITHOUT_MEMORY, main) == "False True False 0\nFalse True False False\n"


def test_a_queue_in_a_subinterpreter_waits_and_pickles_as_any_other() -> None:
    # Web servers run programs in such; 3.13 has renamed the module, which no program is to use.
    pytest.importorskip("_xxsubinterpreters", reason="this Python's way to make subinterpreters is another one")
    inside = "import allcores, queue\nq = allcores.get_context('fork').Queue()\nq.put(2**70)\nassert q.get() == 2**70\n"
    inside += "try:\n    q.get(timeout=0.01)\nexcept queue.Empty:\n    print('empty', flush=True)\n"
    main = f"import _xxsubinterpreters as some\nsome.run_string(some.create(), {inside!r})\n"
    ran = subprocess.run([sys.executable, "-c", main], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "empty\n"), ran.stderr


def test_another_interpreter_of_the_process_is_told_that_it_cannot_have_allcores() -> None:
    pytest.importorskip("_xxsubinterpreters", reason="this Python's way to make subinterpreters is another one")
    try_it = "try:\n    import allcores\nexcept ImportError as error:\n    print(str(error)[:40], flush=True)\n"
    for before, after in (("import allcores\n", ""), ("some.run_string(first, 'import allcores')\n", try_it)):
        main = "import _xxsubinterpreters as some\nfirst, second = some.create(), some.create()\n"
        main += f"{before}some.run_string(second, {try_it!r})\nsome.destroy(first)\n{after}"
        ran = subprocess.run([sys.executable, "-c", main], capture_output=True, text=True, timeout=60)
        told = 1 + bool(after)
        assert (ran.returncode, ran.stdout) == (0, "allcores is, or was, in use by another i\n" * told), ran.stderr


@needs_testcapi
@pytest.mark.parametrize(
    "message", ["1000", "'t' * 30", "b'bb'", "b'b' * 300", "(1000, 2000)", "[1.5]", "{'k' * 30: 1.5}"]
)
def test_what_finds_no_memory_is_a_memory_error_whichever_piece_it_wants(message: str, tmp_path: Path) -> None:
    main = f"""
queue = mp.Queue()
said = []
for after in range(12):
    queue.put({message})
    try:
        with no_memory(after):
            got = queue.get()
        said.append("got" if got == {message} else "wrong")
    except MemoryError:
        said.append("MemoryError")
print(set(said) == {{"got", "MemoryError"}}, queue.qsize() <= said.count("MemoryError"))
"""
    assert prints(tmp_path, WITHOUT_MEMORY, main) == "True True\n"
