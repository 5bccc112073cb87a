"""Programs that do unusual things to their process, and what `warm` children see of it: what spawned ones would."""

import os
import select
import subprocess
import sys
import time
import zipapp
from pathlib import Path

import pytest
from running import HANG_LIMIT_SECONDS, PYTHON, guarded, program, run

HEAD = """\
import faulthandler, os, signal, sys, time
import allcores as mp
"""

PROGRAMS = {
    # name: (module level, body of main, what it prints)
    "ignores SIGCHLD at import": (
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\ndef work(n): sys.exit(n)",
        "for n in (5, 6):\n    p = mp.Process(target=work, args=(n,)); p.start(); p.join(30); print(p.exitcode)",
        "5\n6\n",
    ),
    "reaps all children in a SIGCHLD handler": (
        """
def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0): pass
    except ChildProcessError: pass
signal.signal(signal.SIGCHLD, reap)
def work(n): print(signal.getsignal(signal.SIGCHLD) is reap, flush=True); sys.exit(n)
""",
        "for n in (5, 6):\n    p = mp.Process(target=work, args=(n,)); p.start(); p.join(30); print(p.exitcode)",
        "True\n5\nTrue\n6\n",
    ),
    "sets an alarm at import": (
        """
rang = []
signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.3)
def work():
    deadline = time.monotonic() + 30
    while not rang and time.monotonic() < deadline: time.sleep(0.01)
    print(len(rang), flush=True)
""",
        "for _ in range(2):\n    p = mp.Process(target=work); p.start(); p.join(30); print(p.exitcode)",
        "1\n0\n1\n0\n",
    ),
    "makes a temporary directory at import": (
        """
import tempfile
directory = tempfile.TemporaryDirectory()
def work(): print(os.path.isdir(directory.name), flush=True)
""",
        "for _ in range(3):\n    p = mp.Process(target=work); p.start(); p.join(30)",
        "True\nTrue\nTrue\n",
    ),
    "changes what a child inherits between starts": (
        """
import resource, locale, logging, warnings
def work():
    mask = os.umask(0)
    print(oct(mask), os.getpriority(os.PRIO_PROCESS, 0), os.getcwd(), os.environ.get("WORD"), sys.argv[1:],
          "/extra" in sys.path, resource.getrlimit(resource.RLIMIT_CORE)[0], os.sched_getaffinity(0) == {0},
          logging.getLogger("a.b").isEnabledFor(10), warnings.filters[0][:1], flush=True)
""",
        """
for turn in range(2):
    p = mp.Process(target=work); p.start(); p.join(30)
    os.umask(0o77); os.setpriority(os.PRIO_PROCESS, 0, 3); os.chdir("/"); os.environ["WORD"] = "said"
    sys.argv[1:] = ["words"]; sys.path.append("/extra"); resource.setrlimit(resource.RLIMIT_CORE, (7, 7))
    os.sched_setaffinity(0, {0}); logging.getLogger("a.b").setLevel(10); warnings.simplefilter("always")
p = mp.Process(target=work); p.start(); p.join(30)
""",
        None,
    ),
    "forks a daemon that starts children when the program is gone": (
        "def work(): time.sleep(0.3); sys.exit(3)",
        """
p = mp.Process(target=os.getpid); p.start(); p.join(30)
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    os.read(r, 1)
    p = mp.Process(target=work); p.start(); p.join(30); print(p.exitcode, flush=True); os._exit(0)
else:
    os.write(w, b"!")
    os._exit(0)
""",
        "3\n",
    ),
    "closes all descriptors and opens others": (
        "def work(): sys.exit(4)",
        """
for _ in range(2):
    p = mp.Process(target=work); p.start(); p.join(30); print(p.exitcode)
    del p
    os.closerange(3, 256)
    files = [open(os.devnull) for _ in range(20)]
""",
        "4\n4\n",
    ),
    "closes descriptors after it has closed a process": (
        "def work(): sys.exit(4)",
        """
for _ in range(3):
    p = mp.Process(target=work); p.start(); p.join(30); print(p.exitcode); p.close()
    os.closerange(3, 256)
""",
        "4\n4\n4\n",
    ),
    "has polls of its own under the numbers that were the zygote's": (
        "import select\ndef work(): sys.exit(4)",
        """
p = mp.Process(target=work); p.start(); p.join(30); print(p.exitcode); del p
os.closerange(3, 256)
polls = [select.epoll() for _ in range(20)]
p = mp.Process(target=work); p.start(); p.join(30); print(p.exitcode)
print([poll.poll(0) for poll in polls] == [[]] * 20)
""",
        "4\n4\nTrue\n",
    ),
    "has closed all descriptors a while ago, and has a lock": (
        "def twice(lock): lock.release(); sys.exit(lock.acquire() + 4)\nlock = mp.Lock()",
        """
p = mp.Process(target=time.sleep, args=(0,)); p.start(); p.join(30); print(p.exitcode)
lock.acquire()
os.closerange(3, 256); time.sleep(0.5)
p = mp.Process(target=twice, args=(lock,)); p.start(); p.join(30); print(p.exitcode)
""",
        "0\n5\n",
    ),
    "goes on as another one, whose zygote ends": (
        "",
        """
p = mp.Process(target=time.sleep, args=(0,)); p.start(); p.join(30); print(p.exitcode, flush=True)
def is_ours(pid):
    try:
        with open(f"/proc/{pid}/comm") as name, open(f"/proc/{pid}/environ") as environment:
            return name.read() == "allcores-zygote\\n" and os.environ["TMPDIR"] in environment.read()
    except OSError:
        return False
zygote, = (int(pid) for pid in os.listdir("/proc") if pid.isdecimal() and is_ours(pid))
end = os.pidfd_open(zygote)
os.set_inheritable(end, True)
other = f"import select; print(select.select([{end}], [], [], 30)[0] == [{end}])"
os.execv(sys.executable, [sys.executable, "-c", other])
""",
        "0\nTrue\n",
    ),
    "has a child with more to say than fits": (
        "def work(): raise type('N' * 9000, (Exception,), {})(chr(28450) * 50_000 + chr(0))",
        """
q = mp.Process(target=time.sleep, args=(0.5,)); q.start()
p = mp.Process(target=work); p.start(); p.join(30); q.join(30); print(p.exitcode, q.exitcode)
print(p.exit_reason.exception.type_name[-10:], p.exit_reason.exception.message[0] == chr(28450))
""",
        "1 0\nNNNNNNNNNN True\n",
    ),
    "has a child that closes all descriptors and fails": (
        """
import tempfile
def work():
    os.closerange(3, 4096)
    files = [tempfile.TemporaryFile() for _ in range(150)]
    try: raise LookupError
    finally: sys.modules["files"] = files; import atexit; atexit.register(look, files)
def look(files): print([os.fstat(file.fileno()).st_size for file in files] == [0] * 150, flush=True)
""",
        "p = mp.Process(target=work); p.start(); p.join(30); print(p.exitcode)",
        "True\n1\n",
    ),
    "joins and closes processes in threads": (
        "import threading\ndef work(): sys.exit(7)",
        """
codes = []
def many():
    for _ in range(40):
        p = mp.Process(target=work); p.start(); p.join(30); codes.append(p.exitcode); p.close()
threads = [threading.Thread(target=many) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(codes == [7] * 160)
""",
        "True\n",
    ),
    "has a print of its own, which no spare can rehearse with": (
        """
import builtins
builtins.print = lambda *texts, real=print: real(*texts)
def work(sender): sender.send(os.getppid())
""",
        """
receiver, sender = mp.Pipe(duplex=False)
zygotes = set()
for _ in range(5):
    p = mp.Process(target=work, args=(sender,)); p.start(); zygotes.add(receiver.recv()); p.join(30); time.sleep(0.05)
print(len(zygotes))
""",
        "1\n",
    ),
    "starts a process in a signal handler": (
        "def work(): pass",
        """
codes = []
def handler(*_):
    try:
        p = mp.Process(target=work); p.start(); p.join(30); codes.append(p.exitcode)
    except (ImportError, RuntimeError): codes.append(0)  # it interrupted an import, or the start of the resource
        # tracker (ReentrantCallError): as with multiprocessing
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.03)
try:
    p = mp.Process(target=work); p.start(); p.join(30); codes.append(p.exitcode)
except (ImportError, RuntimeError): codes.append(0)
while len(codes) < 2: time.sleep(0.01)
print(codes)
""",
        "[0, 0]\n",
    ),
}


@pytest.mark.parametrize("name", [name for name, (_, _, expected) in PROGRAMS.items() if expected is not None])
def test_a_program_that(name: str, tmp_path: Path) -> None:
    definitions, main, expected = PROGRAMS[name]
    text = guarded(HEAD + definitions, f"faulthandler.dump_traceback_later(50, exit=True)\n{main.strip()}")
    outcome = run([*PYTHON, program(tmp_path, text)], environment={"TMPDIR": str(tmp_path)})
    assert (outcome.status, outcome.out) == (0, expected), outcome.err
    deadline = time.monotonic() + HANG_LIMIT_SECONDS
    while (left := sorted(path.name for path in tmp_path.iterdir())) != ["program.py"]:
        assert time.monotonic() < deadline, f"{left} is left when the zygote should have cleaned up"
        os.sched_yield()


def test_what_a_child_inherits_is_that_of_the_moment(tmp_path: Path) -> None:
    definitions, main, _ = PROGRAMS["changes what a child inherits between starts"]
    fork, warm = (
        run(
            [*PYTHON, program(tmp_path, guarded(HEAD + definitions, f"mp.set_start_method({method!r})\n{main}"))],
            cwd=tmp_path,
        )
        for method in ("fork", "warm")
    )
    assert fork.out.count("\n") == 3, fork.err
    assert warm == fork


@pytest.mark.parametrize("closed", ["<&- >&-", "<&- >&- 2>&-", ">&- 2>&-", "<&-"])
def test_closed_standard_streams_are_no_obstacle(closed: str, tmp_path: Path) -> None:
    text = (
        f"{HEAD}def work(path):\n    open(path, 'w').write('ran')\n"
        "if __name__ == '__main__':\n"
        f"    for n in range(2):\n        p = mp.Process(target=work, args=({str(tmp_path)!r} + f'/{{n}}',))\n"
        "        p.start(); p.join(30)\n"
    )
    command = f"exec {sys.executable} {program(tmp_path, text)} {closed}"
    subprocess.run(["sh", "-c", command], timeout=HANG_LIMIT_SECONDS, stderr=None, check=False)
    assert [(tmp_path / name).read_text() for name in ("0", "1")] == ["ran", "ran"]


def test_a_program_without_multiprocessing_can_wait_for_all_its_children(tmp_path: Path) -> None:
    text = (
        "import os\nfor n in range(2):\n    if os.fork() == 0: os._exit(n)\n"
        "try:\n    while True: os.wait()\nexcept ChildProcessError: print('all')\n"
    )
    outcome = run([*PYTHON, "-m", "allcores", "run", "--start-method", "warm", program(tmp_path, text)])
    assert (outcome.status, outcome.out) == (0, "all\n"), outcome.err


def test_a_program_that_becomes_another_leaves_no_zygote(tmp_path: Path) -> None:
    text = f"""{HEAD}
def work(): print(os.getppid(), flush=True)
if __name__ == "__main__":
    if len(sys.argv) == 1:
        p = mp.Process(target=work); p.start(); p.join(30)
        os.execv(sys.executable, [sys.executable, __file__, "again"])
    print("again", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, str(program(tmp_path, text))], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as root:
        assert root.stdout is not None
        zygote = int(root.stdout.readline())
        assert root.stdout.readline() == "again\n"
        try:
            pidfd = os.pidfd_open(zygote)
        except ProcessLookupError:
            pidfd = -1
        if pidfd >= 0:
            assert select.select([pidfd], [], [], HANG_LIMIT_SECONDS)[0], "the zygote still runs"
            os.close(pidfd)
        root.communicate("")


def test_a_forked_child_starts_warm_children_from_the_zygote_of_its_program(tmp_path: Path) -> None:
    definitions = """
def grandchild(): print("zygote", os.getppid(), flush=True)
def child():
    p = mp.get_context("warm").Process(target=grandchild); p.start(); p.join(30); sys.exit(p.exitcode)
"""
    main = """
p = mp.Process(target=grandchild); p.start(); p.join(30)
p = mp.get_context("fork").Process(target=child); p.start(); p.join(30); print(p.exitcode)
"""
    outcome = run([*PYTHON, program(tmp_path, guarded(HEAD + definitions, main))])
    first, second, code = outcome.out.splitlines()
    assert first == second
    assert code == "0", outcome.err


def test_an_archive_is_a_main_program_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "application").mkdir()
    program(
        tmp_path / "application",
        guarded(
            HEAD + "def work(words): print(words, flush=True); sys.exit(5)",
            "p = mp.Process(target=work, args=('in an archive',)); p.start(); p.join(30); print(p.exitcode)",
        ),
        "__main__.py",
    )
    zipapp.create_archive(tmp_path / "application", tmp_path / "application.pyz")
    outcome = run([*PYTHON, tmp_path / "application.pyz"])
    assert (outcome.status, outcome.out) == (0, "in an archive\n5\n"), outcome.err


def test_inside_pytest_the_output_of_children_is_captured(tmp_path: Path) -> None:
    text = """\
import sys
import allcores as mp

def work(words):
    print(words, flush=True)
    print(words, file=sys.stderr, flush=True)

def test_output(capfd):
    for method in ("warm", "fork"):
        process = mp.get_context(method).Process(target=work, args=(method,))
        process.start()
        process.join(30)
        assert process.exitcode == 0
        assert capfd.readouterr() == (f"{method}\\n", f"{method}\\n")
"""
    outcome = run([*PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", program(tmp_path, text, "test_inner.py")])
    assert outcome.status == 0, outcome.out + outcome.err


def test_a_daemon_that_the_program_forks_by_itself_outlives_it(tmp_path: Path) -> None:
    definitions = "def work(): pass"
    main = """
p = mp.get_context("fork").Process(target=work); p.start(); p.join(30)
if os.fork() == 0:
    os.setsid()
    while os.getppid() == root: time.sleep(0.01)
    time.sleep(0.2)
    print("lives on", flush=True)
    os._exit(0)
os._exit(0)
"""
    text = guarded(HEAD + definitions, "root = os.getpid()\n" + main.strip())
    outcome = run([*PYTHON, program(tmp_path, text)])
    assert (outcome.status, outcome.out) == (0, "lives on\n"), outcome.err


@pytest.mark.parametrize("kind", ["processes", "a pool"])
def test_ctrl_c_ends_all_and_prints_one_traceback(kind: str, tmp_path: Path) -> None:
    definitions = """
def work(connection):
    connection.send(1)
    signal.pause()
def interrupt(receiver):
    for _ in range(3): receiver.recv()
    os.killpg(0, signal.SIGINT)
"""
    main = """
import atexit, threading
receiver, sender = mp.Pipe(duplex=False)
threading.Thread(target=interrupt, args=(receiver,)).start()
"""
    if kind == "processes":
        main += """
processes = [mp.Process(target=work, args=(sender,)) for _ in range(3)]
for p in processes: p.start()
try:
    for p in processes: p.join()
except KeyboardInterrupt:
    for p in processes: p.join(30)
    print([str(p.exit_reason) for p in processes], flush=True)
    raise
"""
    else:
        main += "with mp.Pool(3) as pool: pool.map(work, [sender] * 3, 1)\n"
    outcome = run([*PYTHON, program(tmp_path, guarded(HEAD + definitions, main))])
    assert outcome.status == -2
    assert outcome.err.count("KeyboardInterrupt") == 1, outcome.err
    if kind == "processes":
        assert outcome.out == f"{['exit code 1: KeyboardInterrupt'] * 3}\n"


@pytest.mark.parametrize("method", ["warm", "fork"])
def test_a_daemon_and_a_worker_of_a_pool_may_have_children(method: str, tmp_path: Path) -> None:
    definitions = f"""
mp = mp.get_context({method!r})
def leaf(): sys.exit(6)
def child():
    p = mp.Process(target=leaf); p.start(); p.join(30); sys.exit(p.exitcode)
def task(n):
    with mp.Pool(2) as pool: return pool.map(abs, [-n, n])
"""
    main = """
p = mp.Process(target=child, daemon=True); p.start(); p.join(30); print(p.exitcode)
with mp.Pool(2) as pool: print(pool.map(task, [1, 2]))
"""
    outcome = run([*PYTHON, program(tmp_path, guarded(HEAD + definitions, main))])
    assert (outcome.status, outcome.out) == (0, "6\n[[1, 1], [2, 2]]\n"), outcome.err
