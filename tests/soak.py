"""Random deaths for as long as one likes: what must hold however often, and wherever, the kill lands.

    python tests/soak.py [--seconds 30] [--rows 200] [--only PART ...]

`make test` runs it for 30 seconds with 3 rounds of each crash row, `make soak` for ten minutes with 200; five times as
often a child multiplies matrices, fifty times as often one is killed among locks, queues, pipes, dicts and lists, and
in a pool, by each start method that is fast; half as often each row of the crash table of pools and of executors
(`test_pool_deaths.py`, `test_executor_deaths.py`). Prints what was done; ends with what went wrong otherwise.
Those parts can be asked for by name.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from running import BUSY_ASLEEP_OR_STOPPED

HANG_LIMIT_SECONDS = 30

STARTS = """\
import faulthandler, os, random, signal, sys, threading, time
import allcores as mp

class Job(mp.Process):
    def __init__(self, number, folder):
        super().__init__()
        self.number, self.folder = number, folder

    def run(self):
        # A second run would find the file and fail, which the exit code tells.
        os.close(os.open(f"{self.folder}/{self.number}", os.O_CREAT | os.O_EXCL))

def session_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            name, _, rest = file.read().partition("(")[2].rpartition(")")
        return name, int(rest.split()[3])
    except OSError:
        return None, None

def kill_zygotes(stop):
    while not stop.wait(random.uniform(0.0, 0.06)):
        for name in os.listdir("/proc"):
            if name.isdigit() and session_of(name) == ("allcores-zygote", os.getsid(0)):
                try:
                    os.kill(int(name), signal.SIGKILL)  # a zygote or a spare or a child: all have that name
                except OSError:
                    pass

def main(folder, seconds):
    faulthandler.dump_traceback_later(seconds + 30, exit=True)
    stop = threading.Event()
    killer = threading.Thread(target=kill_zygotes, args=(stop,))
    killer.start()
    began, number, raised, killed = time.monotonic(), 0, 0, 0
    while time.monotonic() - began < seconds:
        job = Job(number, folder)
        number += 1
        try:
            job.start()
        except mp.StartError:
            raised += 1
            assert not os.path.exists(f"{folder}/{job.number}"), "it raised, and ran"
            continue
        job.join()
        assert job.exitcode in (0, -9), job.exit_reason
        killed += job.exitcode == -9
        if job.exitcode == 0:
            assert os.path.exists(f"{folder}/{job.number}"), "it says that it ran"
        job.close()
    stop.set()
    killer.join()
    print(f"{number} starts under fire: {killed} children were killed, {raised} starts raised, none ran twice")

if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
"""

TREE = f"""\
import os, signal, sys
import allcores as mp
{BUSY_ASLEEP_OR_STOPPED}
if __name__ == "__main__":
    receiver, sender = mp.Pipe(duplex=False)
    for how in ("busy", "asleep", "stopped"):
        mp.Process(target=work, args=(sender, 1, how)).start()
    pids = {{pid for _ in range(6) for pid in receiver.recv()}}
    print(*pids, flush=True)
    signal.pause()
"""


MATRICES = """\
import os, sys
import numpy, threadpoolctl
import allcores as mp

def work():
    numbers = numpy.arange(90_000.0).reshape(300, 300)
    right = (numbers @ numbers)[0, 0] == 300 * sum(n * n for n in range(300))
    threads = {library["num_threads"] for library in threadpoolctl.threadpool_info()}
    sys.exit(0 if right and threads == {len(os.sched_getaffinity(0))} else 9)

if __name__ == "__main__":
    for _ in range((int(sys.argv[1]) + 1) // 2):
        processes = [mp.Process(target=work) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(30)
            assert process.exitcode == 0, process.exit_reason
    print(f"{sys.argv[1]} matrix products in children: right, with all cores")
"""


def matrices(folder: Path, times: int) -> None:
    """Multiply matrices in children of a program that imports numpy."""
    program = folder / "matrices.py"
    program.write_text(MATRICES)
    subprocess.run([sys.executable, str(program), str(times)], check=True, timeout=times + HANG_LIMIT_SECONDS)


def under_fire(program: str, kills: int, *arguments: str) -> None:
    """Kill processes of a program at random; those that take long to start less often."""
    path = Path(__file__).with_name(program)
    for method, count in (("fork", kills), ("warm", kills), ("forkserver", kills // 10), ("spawn", kills // 50)):
        command = [sys.executable, str(path), method, str(count), *arguments]
        subprocess.run(command, check=True, start_new_session=True, timeout=0.1 * kills + 4 * HANG_LIMIT_SECONDS)


def pool_rows(times: int) -> None:
    """Run each row of the crash table of pools and of executors, by every start method; they wait now and then."""
    kinds = ("pool", "executor") * times

    def once(number: int) -> bool:
        tests = str(Path(__file__).with_name(f"test_{kinds[number]}_deaths.py"))
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", tests]
        outcome = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if outcome.returncode:
            print(f"{kinds[number]}:\n{outcome.stdout}{outcome.stderr}")
        print(f"crash tables' round {number + 1} of {len(kinds)}: {outcome.stdout.splitlines()[-1]}", flush=True)
        return outcome.returncode == 0

    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) + 1) as rounds:
        wrong = [*rounds.map(once, range(len(kinds)))].count(False)
    if wrong:
        sys.exit(f"rows of the crash tables of pools and executors: {wrong} of {len(kinds)} rounds went wrong")
    print(f"rows of the crash tables of pools and executors, {times} times more: all as they must be")


def model(rounds: int) -> None:
    """Compare shared dicts and lists, which killed processes have changed, with plain ones."""
    for method in ("fork", "warm"):
        command = [sys.executable, str(Path(__file__).with_name("shared_model.py")), method, str(rounds)]
        subprocess.run(command, check=True, start_new_session=True, timeout=20 * rounds + 60)


def starts_under_fire(folder: Path, seconds: float) -> None:
    """Kill zygotes, spares and children at random while a program starts processes: each runs once or raises."""
    program = folder / "starts.py"
    program.write_text(STARTS)
    (folder / "ran").mkdir()
    subprocess.run(
        [sys.executable, str(program), str(folder / "ran"), str(seconds)],
        check=True,
        start_new_session=True,
        timeout=seconds + 2 * HANG_LIMIT_SECONDS,
    )


def rows(folder: Path, times: int) -> None:
    """Kill a root, or its whole group, with busy, sleeping, stopped and nested children: all end. Says how quickly."""
    program = folder / "tree.py"
    program.write_text(TREE)
    for row in ("parent SIGKILLed", "whole group SIGKILLed"):
        slowest = 0.0
        for _ in range(times):
            with subprocess.Popen(
                [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, start_new_session=True
            ) as root:
                assert root.stdout is not None
                pids = [int(pid) for pid in root.stdout.readline().split()]
                assert len(pids) == 7, "six children and the zygote"
                pidfds = [os.pidfd_open(pid) for pid in pids]
                began = time.monotonic()
                if row.startswith("whole"):
                    os.killpg(root.pid, signal.SIGKILL)
                else:
                    root.kill()
                for pidfd in pidfds:
                    assert select.select([pidfd], [], [], HANG_LIMIT_SECONDS)[0], f"{row}: something lives on"
                    os.close(pidfd)
                slowest = max(slowest, time.monotonic() - began)
        print(f"{row}, {times} times: nothing lived on; the slowest end took {slowest * 1e3:.0f} ms")


PARTS: dict[str, Callable[[Path, int, float], None]] = {
    "trees": lambda folder, times, _: rows(folder, times),
    "matrices": lambda folder, times, _: matrices(folder, 5 * times),
    "locks": lambda _folder, times, _: under_fire("lock_soak.py", 50 * times),
    "queues": lambda _folder, times, _: under_fire("channel_soak.py", 50 * times),
    "pipes": lambda _folder, times, _: under_fire("pipe_soak.py", 50 * times),
    "pools": lambda _folder, times, _: under_fire("pool_soak.py", 50 * times),
    "dicts": lambda _folder, times, _: under_fire("shared_soak.py", 50 * times, "dict"),
    "lists": lambda _folder, times, _: under_fire("shared_soak.py", 50 * times, "list"),
    "model": lambda _folder, times, _: model(times),
    "starts": lambda folder, _times, seconds: starts_under_fire(folder, seconds),
    "pool-rows": lambda _folder, times, _: pool_rows(times // 2 - 1),  # `make test` has run them once as tests
}
"""What can be asked for: each with a folder, how often a row is done, and how long what takes time."""


def main() -> int:
    """Run all for as long as is asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    arguments = parser.parse_args()
    random.seed()
    before = set(os.listdir("/dev/shm"))
    for part in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            PARTS[part](Path(folder), arguments.rows, arguments.seconds)
            print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
    left = {name for name in set(os.listdir("/dev/shm")) - before if "allcores" in name}
    assert not left, f"left in /dev/shm: {left}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
