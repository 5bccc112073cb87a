"""Pipes when processes end, are killed or close their ends, and what is left then."""

from pathlib import Path

import pytest
from lock_programs import prints
from running import METHODS
from test_queues_and_deaths import BLOCKS

DUPLEX = [False, True]

# ---- the end of messages


@pytest.mark.parametrize("duplex", DUPLEX)
def test_after_a_fork_the_end_comes_when_all_copies_are_closed(duplex: bool, tmp_path: Path) -> None:
    definitions = """
def child(receiver, sender, go):
    receiver.close()
    sender.send("of a child")
    os.read(go, 1)
    return 7
"""
    main = f"""
receiver, sender = context.Pipe({duplex})
go, goes = os.pipe()
pids = [forked(child, receiver, sender, go) for _ in range(3)]
sender.close()
print([receiver.recv() for _ in pids], receiver.poll())
for count in range(3):
    os.write(goes, b"!")
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
    print(receiver.poll(), end=" ")
try:
    receiver.recv()
except EOFError:
    print("the end")
"""
    expected = f"{['of a child'] * 3} False\nFalse False True the end\n"
    assert prints(tmp_path, definitions, main) == expected


@pytest.mark.parametrize("method", METHODS)
def test_when_a_child_is_joined_nobody_has_what_it_was_killed_before_it_had(method: str, tmp_path: Path) -> None:
    definitions = "def work(end):\n    time.sleep(3600)\n"
    main = f"""
def what_is_left(index):
    ends = list(context.Pipe(False))
    end = ends.pop(index)
    process = context.Process(target=work, args=(end,))
    process.start()
    end.close()
    process.kill()
    process.join()
    return ends[0]

said = set()
for _ in range({20 if method in ("fork", "warm") else 5}):
    said.add(what_is_left(1).poll())  # that is the end
    try:
        what_is_left(0).send("into the void")
        said.add(False)
    except BrokenPipeError:
        said.add(True)
print(said)
"""
    assert prints(tmp_path, definitions, main, method) == "{True}\n"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("duplex", DUPLEX)
@pytest.mark.parametrize("length", [10, 10_000, 100_000])
def test_what_was_sent_before_a_death_arrives_in_order_and_then_the_end(
    length: int, duplex: bool, method: str, tmp_path: Path
) -> None:
    definitions = f"""
def work(sender):
    for number in range(8):
        sender.send([number, "x" * {length}])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    main = f"""
receiver, sender = context.Pipe({duplex})
process = context.Process(target=work, args=(sender,))
process.start()
sender.close()
process.join()
print([receiver.recv() == [number, "x" * {length}] for number in range(8)] == [True] * 8)
for receive in (receiver.recv, receiver.recv_bytes):
    try:
        receive()
    except EOFError:
        print("the end", receiver.poll(), process.exitcode)
"""
    assert prints(tmp_path, definitions, main, method) == "True\nthe end True -9\nthe end True -9\n"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("duplex", DUPLEX)
@pytest.mark.parametrize("how", ["recv", "poll", "select", "wait"])
def test_who_waits_is_told_of_the_death_of_the_last_sender(how: str, duplex: bool, method: str, tmp_path: Path) -> None:
    definitions = """
import select
from allcores import connection
import allcores.connection

def sleep(receiver, sender):
    receiver.close()
    sender.send(os.getpid())
    signal.pause()

def wait_by(how, receiver):
    if how == "poll":
        assert receiver.poll(None) and receiver.poll()
    elif how == "select":
        assert select.select([receiver], [], [])[0]
    elif how == "wait":
        assert connection.wait([receiver])
    try:
        receiver.recv()
    except EOFError:
        return "the end"
"""
    main = f"""
receiver, sender = context.Pipe({duplex})
processes = [context.Process(target=sleep, args=(receiver, sender)) for _ in range(2)]
for process in processes:
    process.start()
sender.close()
pids = [receiver.recv() for _ in processes]
told = []
thread = threading.Thread(target=lambda: told.append(wait_by({how!r}, receiver)))
thread.start()
until_asleep(os.getpid(), thread.native_id)
processes[0].kill()
processes[0].join()
until_asleep(os.getpid(), thread.native_id)
print(told)
processes[1].kill()
thread.join()
print(told)
"""
    assert prints(tmp_path, definitions, main, method) == "[]\n['the end']\n"


# ---- nobody receives any more


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("duplex", DUPLEX)
@pytest.mark.parametrize("full", [False, True], ids=["room", "full"])
@pytest.mark.parametrize("death", ["closes", "is killed"])
def test_a_sender_is_told_that_nobody_receives_even_while_it_waits_for_room(
    death: str, full: bool, duplex: bool, method: str, tmp_path: Path
) -> None:
    definitions = """
def have(receiver, sender, ready, go):
    sender.close()
    ready.send(1)
    go.recv()
    receiver.close()
    signal.pause()
"""
    main = f"""
receiver, sender = context.Pipe({duplex})
(reads, ready), (go, goes) = context.Pipe(False), context.Pipe(False)
process = context.Process(target=have, args=(receiver, sender, ready, go))
process.start()
receiver.close()
reads.recv()
told = []
def send():
    try:
        while True:
            sender.send(bytes(100_000))
    except BrokenPipeError as error:
        told.append(error.errno)
thread = threading.Thread(target=send)
if {full}:
    thread.start()
    until_asleep(os.getpid(), thread.native_id)
print(told)
if {death!r} == "closes":
    goes.send(1)
else:
    process.kill()
    process.join()
if not {full}:
    thread.start()
thread.join()
print(told)
process.kill()
for use in (lambda: sender.send(1), lambda: sender.send_bytes(b"")):
    try:
        use()
    except BrokenPipeError as error:
        print(error)
"""
    expected = "[]\n[32]\n[Errno 32] Broken pipe\n[Errno 32] Broken pipe\n"
    assert prints(tmp_path, definitions, main, method) == expected


def test_closing_the_last_receiver_wakes_a_thread_that_waits_for_room(tmp_path: Path) -> None:
    main = """
for duplex in (False, True):
    receiver, sender = context.Pipe(duplex)
    sender.send(bytes(2 << 20))
    thread = threading.Thread(target=lambda: told.append(in_thread(sender.send, 1)))
    told = []
    thread.start()
    time.sleep(0.2)
    receiver.close()
    thread.join()
    print(*told)
"""
    assert prints(tmp_path, "", main) == "[Errno 32] Broken pipe\n" * 2


@pytest.mark.parametrize("method", METHODS)
def test_one_of_those_who_wait_by_the_same_end_is_killed_and_the_other_receives(method: str, tmp_path: Path) -> None:
    definitions = """
def work(receiver, ready, answers):
    ready.send(os.getpid())
    answers.send((os.getpid(), receiver.recv()))
"""
    main = """
for duplex in (False, True):
    receiver, sender = context.Pipe(duplex)
    (readies, ready), (gets, answers) = context.Pipe(False), context.Pipe(False)
    processes = [context.Process(target=work, args=(receiver, ready, answers)) for _ in range(3)]
    for process in processes:
        process.start()
        until_asleep(readies.recv())
    processes[0].kill()
    processes[0].join()
    for number in range(2):
        sender.send(number)
    got = [gets.recv() for _ in range(2)]
    print(sorted(number for _, number in got), {pid for pid, _ in got} == {process.pid for process in processes[1:]})
    for process in processes:
        process.join()
"""
    assert prints(tmp_path, definitions, main, method) == "[0, 1] True\n" * 2


# ---- what is left


def test_pipes_that_come_and_go_leave_no_descriptors_and_no_memory(tmp_path: Path) -> None:
    main = """
def use(number):
    receiver, sender = context.Pipe(number % 2 == 0)
    sender.send([number, numpy.arange(10_000)])
    sender.send("left behind" * (10_000 if number % 3 else 1))
    receiver.fileno()
    receiver.recv()
    if number % 5 == 0:
        receiver.close()
use(0)
fds, before = len(os.listdir("/proc/self/fd")), blocks()
for number in range(200):
    use(number)
print(len(os.listdir("/proc/self/fd")) - fds, blocks() == before or (before, blocks()))
kept = [context.Pipe() for _ in range(50)]
print(len(os.listdir("/proc/self/fd")) - fds)
"""
    assert prints(tmp_path, BLOCKS, main) == "0 True\n100\n"


@pytest.mark.parametrize("method", METHODS)
def test_ends_of_processes_that_are_killed_or_end_leave_nothing(method: str, tmp_path: Path) -> None:
    definitions = (
        BLOCKS
        + """
def work(receiver, sender, die):
    sender.send(numpy.arange(10_000))
    array = receiver.recv()
    if die:
        os.kill(os.getpid(), signal.SIGKILL)

def use(number):
    receiver, sender = context.Pipe(number % 2 == 0)
    back, forth = context.Pipe(number % 2 == 1)
    process = context.Process(target=work, args=(receiver, forth, number % 3 == 0))
    process.start()
    sender.send(numpy.arange(20_000))
    assert back.recv().sum() == sum(range(10_000))
    process.join()
    process.close()
"""
    )
    main = """
for number in range(3):
    use(number)
fds, before = len(os.listdir("/proc/self/fd")), blocks()
for number in range(12):
    use(number)
print(len(os.listdir("/proc/self/fd")) - fds, blocks() == before or (before, blocks()))
"""
    assert prints(tmp_path, definitions, main, method) == "0 True\n"


def test_ends_that_travel_in_messages_leave_no_descriptors(tmp_path: Path) -> None:
    main = """
receiver, sender = context.Pipe(False)
def use():
    here, there = context.Pipe()
    sender.send(there)
    del there
    end = receiver.recv()
    end.send(1)
    assert here.recv() == 1
def descriptors():
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            until_asleep(os.getpid(), thread.native_id)  # who hands ends out closes its own a moment later
    return len(os.listdir("/proc/self/fd"))
use()
fds = descriptors()
for _ in range(20):
    use()
print(descriptors() - fds)
"""
    assert prints(tmp_path, "", main) == "0\n"
