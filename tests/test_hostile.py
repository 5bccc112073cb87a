"""Programs that make it hard: closed descriptors, no descriptors left, threads everywhere, objects of their own."""

from pathlib import Path

import pytest
from running import ALLCORES, PYTHON, guarded, program, run

HEAD = """\
import enum, faulthandler, logging, os, resource, sys, threading, time, unittest.mock
import allcores
mp = allcores.get_context("warm")
def wait(): time.sleep(1000)
def own_files(first=3, last=300):
    os.closerange(first, last)
    return [os.open(f"own{number}", os.O_RDWR | os.O_CREAT) for number in range(first, last)]
def untouched(files):
    return all(os.fstat(file).st_size == 0 for file in files)
"""

PROGRAMS = {
    # name: (definitions, main part, what it prints)
    "has no descriptors left": (
        "",
        """
resource.setrlimit(resource.RLIMIT_NOFILE, (103, 103))
started = []
try:
    while True:
        process = mp.Process(target=wait, daemon=True)
        process.start()
        started.append(process)
except OSError as error:
    print(error.errno)
time.sleep(0.2)
print(len(started) > 10, all(process.is_alive() for process in started))
""",
        "24\nTrue True\n",
    ),
    "has no descriptors left, and several threads": (
        """
def starts():
    for _ in range(30):
        process = mp.Process(target=wait, daemon=True)
        try:
            process.start()
        except OSError as error:
            numbers.add(error.errno)
""",
        """
resource.setrlimit(resource.RLIMIT_NOFILE, (90, 90))
numbers = set()
threads = [threading.Thread(target=starts) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(numbers <= {11, 24}, len(numbers) > 0)
""",
        "True True\n",
    ),
    "closes all descriptors in a child, which starts another one": (
        """
def child():
    files = own_files()
    process = mp.Process(target=print, args=("it ran",))
    process.start()
    process.join()
    print(process.exitcode, untouched(files), flush=True)
""",
        "process = mp.Process(target=child)\nprocess.start(); process.join(); print(process.exitcode)",
        "it ran\n0 True\n0\n",
    ),
    "closes all descriptors while a child runs": (
        "",
        """
process = mp.Process(target=wait)
process.start()
pid = process.pid
files = own_files()
process.detach()
process.join()
print(process.exitcode, untouched(files))
process.close()
print(untouched(files))
os.kill(pid, 9)
""",
        "255 True\nTrue\n",
    ),
    "starts its first processes in several threads": (
        """
def first(barrier):
    barrier.wait()
    process = mp.Process(target=int)
    process.start()
    process.join()
    codes.append(process.exitcode)
""",
        """
codes = []
barrier = threading.Barrier(4)
threads = [threading.Thread(target=first, args=(barrier,)) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
from multiprocessing import resource_tracker
def behind(fd):
    try: return os.readlink(f"/proc/self/fd/{fd}")
    except OSError: return ""  # it was the directory
pipes = {behind(fd) for fd in os.listdir("/proc/self/fd")} - {behind(fd) for fd in range(3)}
print(codes, {pipe for pipe in pipes if "pipe" in pipe} == {behind(resource_tracker._resource_tracker._fd)})
""",
        "[0, 0, 0, 0] True\n",
    ),
    "makes loggers in a thread": (
        """
def makes_loggers():
    for number in range(100_000):
        logging.getLogger(f"logger {number}")
        if stop.is_set(): return
""",
        """
sys.setswitchinterval(1e-5)
stop = threading.Event()
thread = threading.Thread(target=makes_loggers)
thread.start()
for _ in range(10):
    process = mp.Process(target=int)
    process.start(); process.join()
stop.set(); thread.join()
print(process.exitcode)
""",
        "0\n",
    ),
    "has objects of its own where text and numbers are usual": (
        """
class Level(enum.IntEnum):
    INFO = 20
class Path(str):
    pass
logging.getLogger("app").setLevel(Level.INFO)
def child(): print(logging.getLogger("app").level, sys.argv[1], sys.path[0] == "x")
""",
        """
sys.argv[1:] = [Path("argument")]
sys.path.insert(0, Path("x"))
process = mp.Process(target=child)
process.start(); process.join()
print(process.exitcode)
""",
        "20 argument True\n0\n",
    ),
    "puts another environment in place": (
        "",
        """
with unittest.mock.patch("os.environ", {"A": "1"}):
    process = mp.Process(target=print, args=("it ran",))
    process.start(); process.join()
print(process.exitcode)
""",
        "it ran\n0\n",
    ),
    "looks after a child that never stops logging": (
        """
def child():
    while True: logging.info("again")
class Slow(logging.Handler):
    def emit(self, record): time.sleep(0.002)
""",
        """
allcores.log_to_parent()
logging.basicConfig(level="INFO", handlers=[Slow()])
process = mp.Process(target=child, daemon=True)
process.start()
began = time.monotonic()
for _ in range(20): process.join(0)
print(process.is_alive(), time.monotonic() - began < 30)
process.kill(); process.join()
print(process.exitcode)
""",
        "True True\n-9\n",
    ),
    "has a handler that exits": (
        """
class Exits(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), flush=True)
        raise SystemExit
def child():
    for number in range(3): logging.info("%d", number)
""",
        """
allcores.log_to_parent()
logging.basicConfig(level="INFO", handlers=[Exits()])
process = mp.Process(target=child)
process.start(); process.join()
print(process.exitcode)
""",
        "0\n1\n2\n0\n",
    ),
}


@pytest.mark.parametrize("ahead", [False, True], ids=["import allcores", "allcores run"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that(name: str, ahead: bool, tmp_path: Path) -> None:
    definitions, main, expected = PROGRAMS[name]
    text = guarded(HEAD + definitions, f"faulthandler.dump_traceback_later(50, exit=True)\n{main.strip()}")
    outcome = run([*(ALLCORES if ahead else PYTHON), program(tmp_path, text)], cwd=tmp_path)
    assert (outcome.status, outcome.out) == (0, expected), outcome.err
