"""SharedMemory: the standard library's by name and behaviour, without its tracker; nothing stays that nobody uses."""

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import shared_memory as standard
from pathlib import Path

import pytest
from allcores import shared_memory as ours
from allcores._segments import mark, owner, sweep
from running import ALLCORES, METHODS, PYTHON, Outcome, guarded, program, run, started

FOLDER = Path("/dev/shm")
CLEAN = [sys.executable, "-m", "allcores", "clean"]
HEAD = """
import contextlib, fcntl, os, signal, sys
import allcores as mp
from allcores.shared_memory import ShareableList, SharedMemory
"""
LEAKED = "There appear to be 1 leaked shared_memory objects"


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a segment, which is gone after the test."""
    chosen = f"allcores_test_{os.urandom(6).hex()}"
    yield chosen
    with contextlib.suppress(FileNotFoundError):
        (FOLDER / chosen).unlink()


def script(folder: Path, text: str, name: str) -> list[str | Path]:
    return [*PYTHON, program(folder, HEAD + text.replace("NAME", repr(name)), f"program_{len(text)}.py")]


def killed(folder: Path, text: str, name: str) -> None:
    """Run a program to its death by SIGKILL."""
    outcome = run(script(folder, text, name))
    assert (outcome.status, outcome.err) == (-signal.SIGKILL, "")


def leave_behind(folder: Path, name: str) -> None:
    """Have a program make a segment of 1000 bytes, and die."""
    killed(folder, "m = SharedMemory(NAME, create=True, size=1000)\nos.kill(os.getpid(), signal.SIGKILL)", name)
    assert (FOLDER / name).exists()


# --- the standard library's, by name and behaviour


def test_our_classes_are_standard_ones_with_their_attributes() -> None:
    memory = ours.SharedMemory(create=True, size=10)
    try:
        assert isinstance(memory, standard.SharedMemory)
        assert memory._name == "/" + memory.name and memory.name.startswith("psm_") and memory._fd >= 0
        assert (memory._mode, memory._prepend_leading_slash, len(memory._mmap), memory.size) == (0o600, True, 10, 10)
        assert memory._buf is memory.buf and memory._flags == os.O_CREAT | os.O_EXCL | os.O_RDWR
        assert repr(memory) == f"SharedMemory({memory.name!r}, size=10)"
        assert ours._USE_POSIX and ours._SHM_NAME_PREFIX == "/psm_"
        items = ours.ShareableList([1, 2.5, "three", b"four", None, True])
        assert isinstance(items, standard.ShareableList) and type(items.shm) is ours.SharedMemory
        assert list(pickle.loads(pickle.dumps(items))) == [1, 2.5, "three", b"four", None, True]
        items.shm.close()
        items.shm.unlink()
    finally:
        memory.close()
        memory.unlink()
    assert (memory._fd, memory.buf, memory._mmap) == (-1, None, None)


@pytest.mark.parametrize("create", [True, False], ids=["make", "open"])
@pytest.mark.parametrize("bad", ["", "/", "a/b", "x" * 300, "..", 3, b"bytes"], ids=repr)
def test_a_name_that_is_none_is_the_standard_error(bad: object, create: bool) -> None:
    errors = []
    for module in (standard, ours):
        with pytest.raises((OSError, ValueError, TypeError)) as caught:
            module.SharedMemory(bad, create, 10 if create else 0)  # type: ignore[arg-type]
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


def test_wrong_arguments_are_the_standard_errors(name: str) -> None:
    (FOLDER / name).write_bytes(b"")
    for arguments in ((None,), (None, True), (None, True, -1), (name, True, 10), (name + "x",), (name,)):
        errors = []
        for module in (standard, ours):
            with pytest.raises((OSError, ValueError)) as caught:
                module.SharedMemory(*arguments)
            errors.append((caught.type, str(caught.value)))
        assert errors[0] == errors[1]


@pytest.mark.parametrize("module", ["allcores", "multiprocessing"])
def test_a_random_name_that_is_taken_is_not_the_last_that_is_tried(module: str, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        names = iter([f"/{name}", f"/{name}", f"/{name}x"])
        patch.setattr(f"{module}.shared_memory._make_filename", lambda: next(names))
        one, other = ours.SharedMemory(create=True, size=1), ours.SharedMemory(create=True, size=1)
    assert (one.name, other.name) == (name, name + "x")
    for memory in (one, other):
        memory.close()
        memory.unlink()


OPEN_AND_WRITE = """
import sys
from multiprocessing import resource_tracker
from PACKAGE.shared_memory import SharedMemory
memory = SharedMemory(sys.argv[1])
if "PACKAGE" == "multiprocessing" and getattr(memory, "_track", True):
    resource_tracker.unregister(memory._name, "shared_memory")  # its fault, see below
print(bytes(memory.buf[:5]), memory.size)
memory.buf[:5] = b"there"
memory.close()
"""


@pytest.mark.parametrize(("maker", "opener"), [(standard, "allcores"), (ours, "multiprocessing"), (ours, "allcores")])
def test_segments_are_shared_by_name_with_the_standard_library(
    maker: type, opener: str, name: str, tmp_path: Path
) -> None:
    memory = maker.SharedMemory(name, create=True, size=10)  # type: ignore[attr-defined]
    memory.buf[:5] = b"hello"
    command = [*PYTHON, program(tmp_path, OPEN_AND_WRITE.replace("PACKAGE", opener)), name]
    assert run(command) == Outcome(0, "b'hello' 10\n", "")
    assert bytes(memory.buf[:5]) == b"there"
    memory.close()
    memory.unlink()
    assert not (FOLDER / name).exists()


def test_install_puts_ours_in_place_and_takes_it_back() -> None:
    text = """
import allcores, pickle
from multiprocessing import managers, shared_memory
before, original = shared_memory.SharedMemory(create=True, size=1), shared_memory.SharedMemory
allcores.install()
from allcores.shared_memory import SharedMemory
print(shared_memory.SharedMemory is SharedMemory, type(shared_memory.ShareableList([1]).shm) is SharedMemory)
print(pickle.loads(pickle.dumps(before)).name == before.name)
before.unlink()
allcores.uninstall()
print(shared_memory.SharedMemory is original, shared_memory.SharedMemory.__module__)
"""
    outcome = run([*PYTHON, "-c", text])
    assert (outcome.status, outcome.out) == (0, "True True\nTrue\nTrue multiprocessing.shared_memory\n")
    assert LEAKED in outcome.err, "of the list, which nobody unlinked"


@pytest.mark.parametrize(
    "mount", ["-o nr_inodes=1 x /dev/shm", "-o ro x /dev/shm", "x /dev"], ids=["full", "ro", "none"]
)
def test_where_there_is_no_room_or_no_folder_the_error_is_the_standard_one(mount: str, tmp_path: Path) -> None:
    text = """
import sys
for package in ("multiprocessing", "allcores"):
    memory = __import__(f"{package}.shared_memory", fromlist="_")
    for arguments in ({"name": "some", "create": True, "size": 10}, {"name": "some"}):
        try: memory.SharedMemory(**arguments)
        except OSError as error: print(package, repr(error), error)
"""
    in_namespace = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs {mount} && exec "$@"', "sh"]
    if subprocess.run([*in_namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    outcome = run([*in_namespace, *PYTHON, program(tmp_path, text)])
    lines = outcome.out.splitlines()
    assert (outcome.status, outcome.err, len(lines)) == (0, "", 4)
    assert lines[2:] == [line.replace("multiprocessing", "allcores") for line in lines[:2]]


# --- with every start method

ALL_WAYS = """
def take(memory, items, name, answers):
    memory.buf[0] += 1
    items[0] += 1
    with_name = SharedMemory(name)
    with_name.buf[1] += 1
    own = SharedMemory(create=True, size=5)
    own.buf[:3] = b"own"
    answers.send((own.name, type(memory) is SharedMemory, type(items) is ShareableList))
    for each in (memory, items.shm, with_name, own):
        each.close()
"""
MAIN = """
context = mp.get_context(sys.argv[1])
receiver, answers = context.Pipe(False)
memory, items = SharedMemory(create=True, size=2), ShareableList([1])
for _ in range(2):
    process = context.Process(target=take, args=(memory, items, memory.name, answers))
    process.start(); process.join(30)
    name, *types = receiver.recv()
    made_by_child = SharedMemory(name)
    print(process.exitcode, *types, bytes(made_by_child.buf[:3]))
    made_by_child.close()
    if "unlink" in sys.argv: made_by_child.unlink()
print(bytes(memory.buf), list(items), flush=True)
memory.close(); items.shm.close()
if "unlink" in sys.argv: memory.unlink(); items.shm.unlink()
"""


def segments() -> set[str]:
    return {path.name for path in FOLDER.glob("psm_*")}


@pytest.mark.parametrize("unlinks", [True, False], ids=["unlinked", "forgotten"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("way", ["import allcores", "allcores run"])
def test_segments_travel_and_end_with_the_program(way: str, method: str, unlinks: bool, tmp_path: Path) -> None:
    source = guarded(HEAD + ALL_WAYS, MAIN)
    command = PYTHON
    if way == "allcores run":
        command = ALLCORES
        source = source.replace("import allcores as mp", "import multiprocessing as mp")
        source = source.replace("from allcores.shared_memory", "from multiprocessing.shared_memory")
    before = segments()
    outcome = run([*command, program(tmp_path, source), method, *["unlink"] * unlinks])
    assert (outcome.status, outcome.out) == (0, "0 True True b'own'\n" * 2 + "b'\\x02\\x02' [3]\n"), outcome.err
    if unlinks:
        assert outcome.err == ""
    else:
        assert outcome.err.count("There appear to be 4 leaked shared_memory objects") == 1, "once, and for all of them"
        assert outcome.err.count("UserWarning") == 1
    assert segments() <= before


@pytest.mark.parametrize("method", METHODS)
def test_a_manager_hands_out_segments_of_ours_and_unlinks_them(method: str, tmp_path: Path) -> None:
    main = """
from allcores.managers import SharedMemoryManager
with SharedMemoryManager(ctx=mp.get_context(sys.argv[1])) as manager:
    memory, items = manager.SharedMemory(size=10), manager.ShareableList([1, 2])
    names = memory.name, items.shm.name
    print(type(memory) is SharedMemory, type(items) is ShareableList, type(items.shm) is SharedMemory)
    print(all(os.path.exists("/dev/shm/" + name) for name in names))
print(any(os.path.exists("/dev/shm/" + name) for name in names))
"""
    outcome = run([*PYTHON, program(tmp_path, guarded(HEAD, main)), method])
    assert outcome == Outcome(0, "True True True\nTrue\nFalse\n", "")


def test_no_resource_tracker_is_started_or_told(name: str, tmp_path: Path) -> None:
    text = """
from multiprocessing import resource_tracker
memory = SharedMemory(NAME, create=True, size=10)
other = SharedMemory(NAME)
other.close(); memory.close(); memory.unlink()
print(resource_tracker._resource_tracker._pid, resource_tracker._resource_tracker._fd)
"""
    assert run(script(tmp_path, text, name)) == Outcome(0, "None None\n", "")


# --- the faults of the standard library's tracker, shown with it, and gone with ours

BY_TRACKER = pytest.param("multiprocessing", True, id="standard")  # on 3.13 and newer: by default, see the next test
BY_US = pytest.param("allcores", False, id="ours")


@pytest.mark.parametrize(("package", "is_faulty"), [BY_TRACKER, BY_US])
def test_a_readers_end_leaves_the_segment_to_its_maker(package: str, is_faulty: bool, name: str) -> None:
    """gh-82300 and gh-116849, in Python 3.8 and newer."""
    maker = f"""
import sys
from {package}.shared_memory import SharedMemory
memory = SharedMemory({name!r}, create=True, size=10)
print(flush=True); sys.stdin.readline()
memory.close()
try: memory.unlink()
except FileNotFoundError: print("gone")
"""
    reader = f"from {package}.shared_memory import SharedMemory; SharedMemory({name!r}).close()"
    with subprocess.Popen(
        [*PYTHON, "-c", maker], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        outcome = run([*PYTHON, "-c", reader])
        exists = (FOLDER / name).exists()
        out, err = process.communicate("\n", timeout=60)
    assert exists is not is_faulty
    if is_faulty:
        assert out == "gone\n" and LEAKED in outcome.err and "No such file" in err
    else:
        assert (outcome, out, err) == (Outcome(0, "", ""), "", "")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="the standard library has track= from Python 3.13 on")
def test_the_standard_way_round_it_is_to_be_asked_for_at_each_call(name: str) -> None:
    memory = ours.SharedMemory(name, create=True, size=10)
    reader = f"from multiprocessing.shared_memory import SharedMemory; SharedMemory({name!r}, track=False).close()"
    assert run([*PYTHON, "-c", reader]) == Outcome(0, "", "")
    assert (FOLDER / name).exists()
    memory.close()
    memory.unlink()


def test_opening_that_fails_does_not_unlink_what_is_somebody_elses(name: str, tmp_path: Path) -> None:
    """gh-153279: the standard library's attach calls unlink() when the kernel has no memory for the mapping."""
    memory = ours.SharedMemory(name, create=True, size=2**30)
    text = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
try: SharedMemory(NAME)
except OSError as error: print(error.strerror)
"""
    try:
        assert run(script(tmp_path, text, name)) == Outcome(0, "Cannot allocate memory\n", "")
        assert (FOLDER / name).exists()
    finally:
        memory.close()
        memory.unlink()


def test_making_one_that_fails_leaves_nothing_and_no_word_of_a_tracker(name: str, tmp_path: Path) -> None:
    text = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
try: SharedMemory(NAME, create=True, size=2**30)
except OSError as error: print(error.strerror)
"""
    assert run(script(tmp_path, text, name)) == Outcome(0, "Cannot allocate memory\n", "")
    assert not (FOLDER / name).exists()


# --- what a killed program leaves, and who takes it

KILLS = {
    # when the program dies: at which call, and whether before or after it was done
    "before the file": ("os.open", "before"),
    "with the file": ("os.open", "after"),
    "with its size": ("os.ftruncate", "after"),
    "before the lock": ("fcntl.flock", "before"),
    "with the lock": ("fcntl.flock", "after"),
    "with the owner": ("os.setxattr", "after"),
    "with the mark": ("os.fchmod", "after"),
    "before the name": ("os.link", "before"),
    "with the name": ("os.link", "after"),
}
DIE = """
module, _, function = CALL.rpartition(".")
module = {"os": os, "fcntl": fcntl}[module]
def die(*arguments, call=getattr(module, function), **keywords):
    if function == "open" and arguments[1] & os.O_TMPFILE != os.O_TMPFILE:
        return call(*arguments, **keywords)
    if WHEN == "before": os.kill(os.getpid(), signal.SIGKILL)
    call(*arguments, **keywords)
    os.kill(os.getpid(), signal.SIGKILL)
SharedMemory(create=True, size=1).unlink()  # the first sweep
"""
MAKE = "setattr(module, function, die)\nSharedMemory(NAME, create=True, size=10)\n"


@pytest.mark.parametrize("moment", KILLS)
def test_a_kill_while_one_is_made_leaves_nothing_or_what_a_sweep_takes(moment: str, name: str, tmp_path: Path) -> None:
    call, when = KILLS[moment]
    killed(tmp_path, DIE.replace("CALL", repr(call)).replace("WHEN", repr(when)) + MAKE, name)
    assert (FOLDER / name).exists() == (moment == "with the name")
    if moment == "with the name":
        assert run(CLEAN) == Outcome(0, f"removed {name}, 10 bytes\n", "")
    assert not (FOLDER / name).exists()


BY_NAME = "from allcores._segments import segment\nsegment.os.O_TMPFILE = os.O_DIRECTORY\n"
"""For a program: a kernel that knows no file without a name."""


@pytest.mark.parametrize("moment", ["with its size", "with the lock", "with the owner", "with the mark"])
def test_without_files_that_have_no_name_only_a_marked_one_is_taken(moment: str, name: str, tmp_path: Path) -> None:
    call, when = KILLS[moment]
    killed(tmp_path, BY_NAME + DIE.replace("CALL", repr(call)).replace("WHEN", repr(when)) + MAKE, name)
    assert (FOLDER / name).exists()
    run(CLEAN)
    assert (FOLDER / name).exists() == (moment != "with the mark")


TAKERS = {
    "the next session's first segment": "SharedMemory(create=True, size=1).unlink()",
    "one of the same name": "m = SharedMemory(NAME, create=True, size=7); print(m.size); m.unlink()",
    "whoever opens it": "try: SharedMemory(NAME)\nexcept FileNotFoundError as error: print(error)",
    "the next session's end": "",
}


@pytest.mark.parametrize("taker", TAKERS)
def test_what_a_killed_program_left_is_taken_by(taker: str, name: str, tmp_path: Path) -> None:
    leave_behind(tmp_path, name)
    text = TAKERS[taker]
    outcome = run(script(tmp_path, text, name))
    printed = {"one of": "7\n", "whoeve": f"[Errno 2] No such file or directory: '/{name}'\n"}.get(taker[:6], "")
    assert outcome == Outcome(0, printed, "")
    assert not (FOLDER / name).exists()


def test_clean_says_what_it_removed_and_when_there_was_nothing(name: str, tmp_path: Path) -> None:
    run(CLEAN)
    leave_behind(tmp_path, name)
    assert run(CLEAN) == Outcome(0, f"removed {name}, 1000 bytes\n", "")
    assert run(CLEAN) == Outcome(0, "nothing was left behind\n", "")


def test_what_a_killed_program_left_stays_for_a_reader_until_that_has_ended(name: str, tmp_path: Path) -> None:
    text = "m = SharedMemory(NAME, create=True, size=10)\nprint(flush=True); signal.pause()"
    with started(script(tmp_path, text, name)) as maker:
        assert maker.stdout is not None and maker.stdout.readline() == "\n"
        reader = ours.SharedMemory(name)
    assert maker.returncode == -signal.SIGKILL
    assert run(CLEAN).status == 0
    assert (FOLDER / name).exists()
    assert ours.SharedMemory(name).size == 10, "others may open it still"
    reader.close()
    assert f"removed {name}, 10 bytes" in run(CLEAN).out


def test_a_closed_segment_stays_while_its_program_runs(name: str, tmp_path: Path) -> None:
    text = "SharedMemory(NAME, create=True, size=10).close()\nprint(flush=True); signal.pause()"
    with started(script(tmp_path, text, name)) as process:
        assert process.stdout is not None and process.stdout.readline() == "\n"
        run(CLEAN)
        memory = ours.SharedMemory(name)
        assert memory.size == 10
        memory.close()
    run(CLEAN)
    assert not (FOLDER / name).exists()


def test_with_warm_the_zygote_takes_what_a_killed_program_left(name: str, tmp_path: Path) -> None:
    definitions = HEAD + "def work(): SharedMemory(sys.argv[1], create=True, size=10); signal.pause()\n"
    main = """
started, process = mp.Pipe(False), mp.Process(target=print, args=("started",), kwargs={"flush": True})
process.start()
with open(f"/proc/{process.pid}/stat") as file:
    zygote = int(file.read().rpartition(")")[2].split()[1])
process.join()
SharedMemory(sys.argv[1] + "x", create=True, size=10)
mp.Process(target=work).start()
while not os.path.exists("/dev/shm/" + sys.argv[1]): pass
print(zygote, flush=True)
signal.pause()
"""
    with started([*PYTHON, str(program(tmp_path, guarded(definitions, main))), name]) as root:
        assert root.stdout is not None and root.stdout.readline() == "started\n"
        zygote = os.pidfd_open(int(root.stdout.readline()))
        root.kill()
        with select.epoll() as end:
            end.register(zygote, select.EPOLLIN)
            assert end.poll(60), "the zygote hangs"
        os.close(zygote)
    assert not list(FOLDER.glob(name + "*"))


def test_a_daemon_keeps_what_it_has_open_when_its_program_ends(name: str, tmp_path: Path) -> None:
    text = """
memory = SharedMemory(NAME, create=True, size=10)
pid = os.fork()
if pid == 0:
    for number in (0, 1, 2): os.close(number)
    signal.pause()
print(pid, flush=True)
"""
    outcome = run(script(tmp_path, text, name))
    daemon = int(outcome.out)
    try:
        assert (outcome.status, outcome.err) == (0, "")
        assert "removed" not in run(CLEAN).out.replace(name, "") and (FOLDER / name).exists()
    finally:
        end = os.pidfd_open(daemon)
        os.kill(daemon, signal.SIGKILL)
        select.select([end], [], [], 60)
        os.close(end)
    assert f"removed {name}, 10 bytes" in run(CLEAN).out


def test_a_number_that_now_means_a_file_of_the_programs_is_left_alone(name: str, tmp_path: Path) -> None:
    text = """
memory = SharedMemory(NAME, create=True, size=10)
number = memory._fd
os.dup2(os.open(sys.executable, os.O_RDONLY), number)
pid = os.fork()
if pid == 0:
    os._exit(os.readlink(f"/proc/self/fd/{number}") != os.path.realpath(sys.executable))
print(os.waitpid(pid, 0)[1])
"""
    outcome = run(script(tmp_path, text, name))
    assert outcome.out == "0\n"
    run(CLEAN)
    assert not (FOLDER / name).exists()


def test_an_exit_function_that_runs_after_the_end_may_unlink_what_is_gone(name: str) -> None:
    text = f"""
import atexit
atexit.register(lambda: (memory.unlink(), print("unlinked")))
from allcores.shared_memory import SharedMemory
memory = SharedMemory({name!r}, create=True, size=10)
"""
    outcome = run([*PYTHON, "-c", text])
    assert (outcome.status, outcome.out) == (0, "unlinked\n")
    assert "Traceback" not in outcome.err


# --- what nobody removes


def test_what_is_not_marked_is_never_removed(name: str, tmp_path: Path) -> None:
    (FOLDER / name).write_bytes(b"somebody's")
    (FOLDER / name).chmod(0o1600)
    untracked = f"{name}x"
    outcome = run(script(tmp_path, "SharedMemory(NAME, create=True, size=10, track=False)", untracked))
    try:
        assert outcome == Outcome(0, "", "")
        run(CLEAN)
        assert (FOLDER / name).exists() and (FOLDER / untracked).exists()
    finally:
        (FOLDER / untracked).unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file another user's")
def test_what_is_another_users_is_never_removed(name: str, tmp_path: Path) -> None:
    leave_behind(tmp_path, name)
    os.chown(FOLDER / name, 65534, 65534)
    run(CLEAN)
    assert (FOLDER / name).exists()


def test_a_program_that_closed_everything_still_holds_what_it_has_mapped(name: str, tmp_path: Path) -> None:
    text = """
memory = SharedMemory(NAME, create=True, size=10)
os.closerange(3, 1000)
if os.fork(): os._exit(0)
os.write(1, b"%d\\n" % os.getpid())
signal.pause()
"""
    with started(script(tmp_path, text, name)) as process:
        assert process.stdout is not None and process.stdout.readline()
        process.wait(60)
        run(CLEAN)
        assert (FOLDER / name).exists()


# --- the mark and the owner


def test_on_a_kernel_without_extended_attributes_the_mark_is_the_time_of_access(name: str, tmp_path: Path) -> None:
    text = """
def no_attributes(*_): raise OSError(95, "Operation not supported")
os.setxattr = no_attributes
memory = SharedMemory(NAME, create=True, size=10)
memory.buf[0] = 1
os.pread(memory._fd, 1, 0)
print(flush=True); signal.pause()
"""
    with started(script(tmp_path, text, name)) as maker:
        assert maker.stdout is not None and maker.stdout.readline() == "\n"
        other = ours.SharedMemory(name)
        assert os.pread(other._fd, 1, 0) == b"\x01" == bytes(other.buf[:1])
        alive = mark.owner_of(other._fd)
        assert alive is not None and owner.is_alive(alive)
        other.close()
        assert sweep.remove_if_abandoned(name) is None
    assert f"removed {name}, 10 bytes" in run(CLEAN).out


def test_an_owner_lives_as_long_as_its_process() -> None:
    own = owner.this_process()
    assert own is not None and owner.is_alive(own)
    assert not owner.is_alive(own + 1), "the same pid, of another process"
    assert owner.is_alive(own + 10**9), "of another pid namespace: nobody here can tell"
    with subprocess.Popen([*PYTHON, "-c", "input()"], stdin=subprocess.PIPE) as process:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        other = own // 10**9 * 10**9 + process.pid * 238 + int(fields[19]) % 238
        assert owner.is_alive(other)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not owner.is_alive(other), "it is a zombie"
    assert not owner.is_alive(other)
