"""Pipes in whole programs: ends that travel and are shared; install(), `allcores run`, Listener and Client."""

import os
import select
from multiprocessing import reduction
from pathlib import Path
from typing import Any

import allcores
import pytest
from lock_programs import prints
from running import HANG_LIMIT_SECONDS, METHODS, PYTHON, program, run

DUPLEX = [False, True]

# ---- ends that travel

WORK = """
def work(receiver, sender, *others):
    for end in others:
        end.close()
    with receiver, sender:
        while True:
            try:
                sender.send(receiver.recv() + 1)
            except EOFError:
                return
"""
ASK = """
def ask(sender, receiver):
    for number in range(100):
        sender.send(number)
        assert receiver.recv() == number + 1
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("duplex", DUPLEX)
def test_ends_are_arguments_of_a_process_and_end_with_it(duplex: bool, method: str, tmp_path: Path) -> None:
    main = f"""
theirs, ours = context.Pipe({duplex})
back, forth = context.Pipe({duplex})
process = context.Process(target=work, args=(theirs, forth, ours, back))
process.start()
theirs.close()
forth.close()
ask(ours, back)
ours.close()
try:
    back.recv()
except EOFError:
    print("the end")
process.join()
print(process.exitcode)
"""
    assert prints(tmp_path, WORK + ASK, main, method) == "the end\n0\n"


CARRY = """
def carry(tasks):
    receiver, sender = tasks()
    work(receiver, sender)
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("way", ["Queue", "SimpleQueue", "JoinableQueue", "Pipe"])
@pytest.mark.parametrize("duplex", DUPLEX)
def test_ends_travel_in_messages(duplex: bool, way: str, method: str, tmp_path: Path) -> None:
    main = f"""
if {way!r} == "Pipe":
    receiver, sender = context.Pipe()
    put, get = sender.send, receiver.recv
else:
    queue = context.{way}()
    put, get = queue.put, queue.get
process = context.Process(target=carry, args=(get,))
process.start()
theirs, ours = context.Pipe({duplex})
back, forth = context.Pipe({duplex})
ours.send(41)
put((theirs, forth))
print(back.recv())
theirs.close()
forth.close()
ask(ours, back)
ours.close()
try:
    back.recv()
except EOFError:
    print("the end")
process.join()
print(process.exitcode)
"""
    assert prints(tmp_path, WORK + ASK + CARRY, main, method) == "42\nthe end\n0\n"


@pytest.mark.parametrize("method", METHODS)
def test_an_end_is_sent_to_a_sibling(method: str, tmp_path: Path) -> None:
    definitions = """
def make(to_sibling):
    here, there = context.Pipe()
    to_sibling.send(there)
    print(here.recv())
    here.send("to the sibling")
    print(here.recv())
    there.close()
    try:
        here.recv()
    except EOFError:
        print("the end")

def take(from_sibling):
    end = from_sibling.recv()
    end.send("of the sibling")
    end.send(end.recv() + ", and back")
"""
    main = """
receiver, sender = context.Pipe(duplex=False)
processes = [context.Process(target=make, args=(sender,)), context.Process(target=take, args=(receiver,))]
for process in processes:
    process.start()
for process in processes:
    process.join()
print([process.exitcode for process in processes])
"""
    expected = "of the sibling\nto the sibling, and back\nthe end\n[0, 0]\n"
    assert prints(tmp_path, definitions, main, method) == expected


def test_a_pool_is_given_ends(tmp_path: Path) -> None:
    definitions = """
def send_all(end, numbers):
    for number in numbers:
        end.send(number)
    return len(numbers)
"""
    main = """
receiver, sender = context.Pipe(duplex=False)
with context.Pool(2) as pool:
    answers = [pool.apply_async(send_all, (sender, range(n, n + 50))) for n in range(0, 200, 50)]
    print(sorted(receiver.recv() for _ in range(200)) == list(range(200)), [answer.get() for answer in answers])
"""
    assert prints(tmp_path, definitions, main) == "True [50, 50, 50, 50]\n"


def test_a_closed_end_does_not_travel() -> None:
    here, there = allcores.Pipe()
    here.close()
    queue = allcores.Queue()
    for send in (queue.put, there.send, allcores.Pipe()[0].send):
        with pytest.raises(OSError, match="handle is closed"):
            send(here)


# ---- ends that are shared


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("duplex", DUPLEX)
def test_processes_and_threads_that_share_ends_lose_double_and_tear_nothing(
    duplex: bool, method: str, tmp_path: Path
) -> None:
    definitions = """
def load(number):
    return bytes([number % 251]) * (10, 3000, 50_000)[number % 3]

def send(sender, who):
    for number in range(300):
        sender.send((who, number, load(number)))

def receive(receiver, answers):
    got = []
    while True:
        try:
            who, number, carried = receiver.recv()
        except EOFError:
            answers.put(got)
            return
        assert carried == load(number)
        got.append((who, number))

def in_threads(function, *argument_lists):
    threads = [threading.Thread(target=function, args=arguments) for arguments in argument_lists]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

def send_twice(receiver, sender, who):
    receiver.close()
    in_threads(send, (sender, who), (sender, who + 1))

def receive_twice(receiver, sender, answers):
    sender.close()
    in_threads(receive, (receiver, answers), (receiver, answers))
"""
    main = f"""
receiver, sender = context.Pipe({duplex})
answers = context.Queue()
processes = [context.Process(target=send_twice, args=(receiver, sender, 2 * n)) for n in range(2)]
processes += [context.Process(target=receive_twice, args=(receiver, sender, answers)) for _ in range(2)]
for process in processes:
    process.start()
receiver.close()
send(sender, 4)
sender.close()
lists = [answers.get() for _ in range(4)]
for process in processes:
    process.join()
for got in lists:
    for who in range(5):
        numbers = [number for sent_by, number in got if sent_by == who]
        assert numbers == sorted(numbers)
print(sorted(sum(lists, [])) == [(who, number) for who in range(5) for number in range(300)])
print([process.exitcode for process in processes])
"""
    assert prints(tmp_path, definitions, main, method) == "True\n[0, 0, 0, 0]\n"


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_answer_by_the_same_end(method: str, tmp_path: Path) -> None:
    definitions = """
def work(ours, theirs):
    ours.close()
    while True:
        try:
            number = theirs.recv()
        except EOFError:
            return
        theirs.send(-number)
"""
    main = """
ours, theirs = context.Pipe()
processes = [context.Process(target=work, args=(ours, theirs)) for _ in range(2)]
for process in processes:
    process.start()
theirs.close()
for number in range(1000):
    ours.send(number)
print(sum(ours.recv() for _ in range(1000)) == -sum(range(1000)))
ours.close()
for process in processes:
    process.join()
print([process.exitcode for process in processes])
"""
    assert prints(tmp_path, definitions, main, method) == "True\n[0, 0]\n"


# ---- programs


def test_install_has_the_standard_modules_pipes_be_ours_and_uninstall_puts_theirs_back(tmp_path: Path) -> None:
    source = """\
import multiprocessing, multiprocessing.connection, allcores
theirs = multiprocessing.connection.Pipe
def kinds():
    spawn = multiprocessing.get_context("spawn")
    pipes = (multiprocessing.Pipe(), multiprocessing.connection.Pipe(), spawn.Pipe(False))
    print(*[type(end).__name__ for pipe in pipes for end in pipe])
    for one, other in pipes:
        other.send("x" * 50_000)
        assert one.recv() == "x" * 50_000
kinds()
allcores.install()
kinds()
allcores.uninstall()
kinds()
assert multiprocessing.connection.Pipe is theirs
"""
    outcome = run([*PYTHON, "-W", "error", program(tmp_path, source)])
    ours, theirs = " ".join(["PipeConnection"] * 6), " ".join(["Connection"] * 6)
    assert (outcome.out, outcome.err, outcome.status) == (f"{theirs}\n{ours}\n{theirs}\n", "", 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_program_that_knows_multiprocessing_alone_has_our_pipes(method: str, tmp_path: Path) -> None:
    source = """\
import multiprocessing
from multiprocessing.connection import Pipe, wait

def work(end, other):
    other.close()
    while end.poll(None):
        try:
            end.send(end.recv() + 1)
        except EOFError:
            break
    print(type(end).__name__)

if __name__ == "__main__":
    for make in (multiprocessing.Pipe, Pipe):
        ours, theirs = make()
        process = multiprocessing.Process(target=work, args=(theirs, ours))
        process.start()
        theirs.close()
        for number in range(10):
            ours.send(number)
        assert wait([ours]) == [ours]
        print([ours.recv() for _ in range(10)], type(ours).__name__, flush=True)
        ours.close()
        process.join()
"""
    command = [*PYTHON, "-m", "allcores", "run", "--start-method", method, program(tmp_path, source)]
    outcome = run(command)
    expected = f"{list(range(1, 11))} PipeConnection\nPipeConnection\n" * 2
    assert (outcome.out, outcome.err, outcome.status) == (expected, "", 0)


CLIENT = """
import sys
sys.path[:0] = []
from {module} import Client
with Client(sys.argv[1], authkey=b"secret") as end:
    end.send({{"numbers": list(range(20_000))}})
    end.send_bytes(b"x" * 70_000)
    print(end.recv())
"""


@pytest.mark.parametrize("listening", ["multiprocessing", "allcores"])
@pytest.mark.parametrize("calling", ["multiprocessing", "allcores"])
def test_listeners_and_clients_of_both_libraries_understand_each_other(
    listening: str, calling: str, tmp_path: Path
) -> None:
    source = f"""
import subprocess, sys
from {listening}.connection import Listener
client = '''{CLIENT.format(module=calling + ".connection")}'''
with Listener({str(tmp_path / "socket")!r}, authkey=b"secret") as listener:
    process = subprocess.Popen([sys.executable, "-c", client, listener.address])
    with listener.accept() as end:
        print(len(end.recv()["numbers"]), len(end.recv_bytes()), flush=True)
        end.send("answered")
        try:
            end.recv()
        except EOFError:
            print("the end", process.wait())
"""
    outcome = run([*PYTHON, program(tmp_path, source)])
    assert (outcome.err, outcome.status) == ("", 0)
    assert sorted(outcome.out.splitlines()) == ["20000 70000", "answered", "the end 0"]


def test_an_end_is_sent_beside_other_things_of_the_session() -> None:
    here, there = allcores.Pipe()
    things: dict[str, Any] = {"queue": allcores.Queue(), "value": allcores.Value("i", 3), "end": allcores.Pipe()}
    here.send(things)
    got = there.recv()
    got["queue"].put(got["value"].value)
    got["end"][0].send(things["queue"].get())
    assert things["end"][1].recv() == 3


@pytest.mark.parametrize("duplex", [False, True])
def test_what_a_program_sends_through_the_descriptor_itself_arrives(duplex: bool) -> None:
    receiver, sender = allcores.Pipe(duplex)
    for _ in range(3):
        os.write(sender.fileno(), b"raw")
        assert select.select([receiver], [], [], HANG_LIMIT_SECONDS)[0]
        assert not receiver.poll()
        assert os.read(receiver.fileno(), 10) == b"raw"
        sender.send("message")
        os.write(sender.fileno(), b"raw")
        assert receiver.recv() == "message"
        assert os.read(receiver.fileno(), 10) == b"raw"


def test_descriptors_travel_beside_messages() -> None:
    here, there = allcores.Pipe()
    for number in range(3):
        here.send(number)
        with open(os.devnull) as file:
            reduction.send_handle(here, file.fileno(), os.getpid())
        assert there.recv() == number
        os.close(reduction.recv_handle(there))
        assert not there.poll()
