"""Managers' servers and proxies: by a lane in one program, by the standard library's protocol between any two."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from running import METHODS, PYTHON, Outcome, guarded, program, run

HEAD = """
import gc, os, signal, sys, threading, time
import allcores
from allcores import connection, managers

class Counter:
    def __init__(self, number=0): self.number = number
    def add(self, number): self.number += number; return self.number
    def fail(self): raise KeyError("no")
    def nap(self): time.sleep(0.3); return "late"
    def end(self): os.kill(os.getpid(), signal.SIGKILL)
    def numbers(self): return iter([1, 2])
    def threads(self): return threading.active_count()

class Own(managers.BaseManager): pass
Own.register("Counter", Counter, method_to_typeid={"numbers": "Iterator"})
Own.register("Iterator", proxytype=managers.IteratorProxy, create_method=False)

def lane(proxy): return type(proxy._tls.connection).__name__
def use(counter): print(counter.add(1), lane(counter), flush=True)
def be_killed(counter):
    use(counter)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def printed(folder: Path, main: str, *arguments: str) -> list[str]:
    outcome = run([*PYTHON, program(folder, guarded(HEAD, main)), *arguments])
    assert (outcome.status, outcome.err) == (0, ""), outcome.err
    return outcome.out.splitlines()


@pytest.mark.parametrize("method", METHODS)
def test_a_registered_class_is_called_by_a_lane_from_every_process_and_thread(method: str, tmp_path: Path) -> None:
    main = """
context = allcores.get_context(sys.argv[1])
with Own(ctx=context) as manager:
    counter = manager.Counter(5)
    use(counter)
    child = context.Process(target=use, args=(counter,))
    child.start(); child.join()
    thread = threading.Thread(target=use, args=(counter,))
    thread.start(); thread.join()
    print(*counter.numbers(), counter, isinstance(counter, managers.BaseProxy))
    try: counter.fail()
    except KeyError as error: print(repr(error))
    use(counter)
"""
    *lines, last = printed(tmp_path, main, method)
    assert lines[:3] == [f"{number} PipeConnection" for number in (6, 7, 8)]
    assert lines[3].startswith("1 2 <__") and lines[3].endswith("True")
    assert (lines[4], last) == ("KeyError('no')", "9 PipeConnection")


def test_a_proxy_whose_server_is_gone_says_so_and_why(tmp_path: Path) -> None:
    main = """
def tried(call):
    try: call()
    except (EOFError, ConnectionError, FileNotFoundError) as error:
        sys.stdout.write(f"{type(error).__name__} {str(error).partition(' is gone: ')[2]}\\n")

with Own() as manager:
    counter = manager.Counter()
    counter.add(1)
tried(lambda: counter.add(1))
manager = Own()
manager.start()
counter, other = manager.Counter(), manager.Counter()
waits = threading.Thread(target=tried, args=(counter.nap,))
waits.start()
tried(other.end)
waits.join()
tried(lambda: other.add(1))
tried(manager.Counter)
"""
    shut, *died = printed(tmp_path, main)
    assert shut == "ManagerEndedError its manager was shut down. Use it before that, inside the manager's `with` block"
    assert died == ["ManagerEndedError killed by SIGKILL. What was in it is lost"] * 4


def test_a_call_that_is_interrupted_leaves_no_answer_for_the_next(tmp_path: Path) -> None:
    main = """
def interrupt(*_): raise InterruptedError
signal.signal(signal.SIGALRM, interrupt)
with Own() as manager:
    counter = manager.Counter()
    use(counter)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try: counter.nap()
    except InterruptedError: print("interrupted")
    use(counter)
"""
    assert printed(tmp_path, main) == ["1 PipeConnection", "interrupted", "2 PipeConnection"]


def test_a_signal_handler_may_call_while_a_call_waits(tmp_path: Path) -> None:
    main = """
with Own() as manager:
    counter = manager.Counter()
    signal.signal(signal.SIGALRM, lambda *_: use(counter))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    print(counter.nap())
    use(counter)
"""
    assert printed(tmp_path, main) == ["1 PipeConnection", "late", "2 PipeConnection"]


def test_a_client_that_is_killed_takes_its_thread_of_the_server_with_it(tmp_path: Path) -> None:
    main = """
with Own() as manager:
    counter = manager.Counter()
    before = counter.threads()
    for _ in range(3):
        child = allcores.Process(target=be_killed, args=(counter,))
        child.start(); child.join()
    while counter.threads() > before: time.sleep(0.01)
    use(counter)
"""
    assert printed(tmp_path, main) == [f"{number} PipeConnection" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("method", METHODS)
def test_a_program_that_knows_multiprocessing_alone_sends_all_of_it(method: str, tmp_path: Path) -> None:
    source = """
import multiprocessing
from multiprocessing.managers import BaseManager, NamespaceProxy

class Thing:
    def __init__(self): self.number = 1
class ThingProxy(NamespaceProxy): pass
class Own(BaseManager): pass
Own.register("Thing", Thing, ThingProxy)

def one(things): print(len(things), *[type(thing).__name__ for thing in things], flush=True)
def use(shared, items, lock, queue, thing):
    with lock: shared["n"] += 1; thing.number += 1
    items.append(1); queue.put(2)

if __name__ == "__main__":
    with multiprocessing.Manager() as manager, Own() as own:
        things = manager.dict(n=0), manager.list(), manager.Lock(), manager.Queue(), own.Thing()
        for thing in things:
            process = multiprocessing.Process(target=one, args=([thing],))
            process.start(); process.join()
        process = multiprocessing.Process(target=use, args=things)
        process.start(); process.join()
        with multiprocessing.Pool(2) as pool: pool.starmap(use, [things] * 2)
        shared, items, lock, queue, thing = things
        print(shared, items, [queue.get() for _ in range(3)], thing.number)
        print(type(thing._tls.connection).__name__)
"""
    outcome = run([*PYTHON, "-m", "allcores", "run", "--start-method", method, program(tmp_path, source)])
    *types, last, connection = outcome.out.splitlines()
    assert [line.split()[0] for line in types] == ["1"] * 5
    assert (last, connection) == ("{'n': 3} [1, 1, 1] [2, 2, 2] 4", "PipeConnection")
    assert (outcome.err, outcome.status) == ("", 0)


SERVER = """
import sys
from {package} import managers

class Counter:
    def __init__(self): self.number = 0
    def add(self, number): self.number += number; return self.number

class Own(managers.BaseManager): pass

if __name__ == "__main__":
    counter = Counter()
    Own.register("counter", lambda: counter)
    address = sys.argv[1] if sys.argv[2] == "unix" else ("127.0.0.1", 0)
    server = Own(address, b"key").get_server()
    print(server.address if sys.argv[2] == "unix" else server.address[1], flush=True)
    server.serve_forever()
"""
CLIENT = """
import sys
from {package} import managers, Process
class Own(managers.BaseManager): pass
Own.register("counter")

def use(counter): print(counter.add(1), type(counter._tls.connection).__name__, flush=True)

if __name__ == "__main__":
    first = Process(target=print)  # it is in a session now, where there are some
    first.start(); first.join()
    address = sys.argv[1] if sys.argv[2] == "unix" else ("127.0.0.1", int(sys.argv[1]))
    manager = Own(address, b"key")
    manager.connect()
    counter = manager.counter()
    use(counter); use(counter)
    print(counter._tls.connection is None)
"""


@pytest.mark.parametrize("family", ["unix", "inet"])
@pytest.mark.parametrize(
    ("server", "client"),
    [("multiprocessing", "allcores"), ("allcores", "multiprocessing"), ("allcores", "allcores")],
)
def test_servers_and_clients_of_other_programs_are_talked_to_by_the_standard_protocol(
    server: str, client: str, family: str, tmp_path: Path
) -> None:
    import subprocess

    serves = tmp_path / "serves.py"
    serves.write_text(SERVER.format(package=server))
    uses = tmp_path / "uses.py"
    uses.write_text(CLIENT.format(package=client))
    with subprocess.Popen(
        [sys.executable, serves, tmp_path / "socket", family], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            outcomes = [run([*PYTHON, uses, address, family]) for _ in range(2)]
        finally:
            process.kill()
    assert outcomes == [Outcome(0, f"\n{first} Connection\n{first + 1} Connection\nFalse\n", "") for first in (1, 3)]
