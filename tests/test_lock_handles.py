"""How locks and their kin reach other processes, and what a handle is when they are gone."""

from pathlib import Path

import allcores
import pytest
from lock_programs import HEAD, prints
from running import METHODS, PYTHON, guarded, program, run, started

EVERY = ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier")


def test_a_handle_error_is_one_of_ours_and_a_value_error() -> None:
    assert issubclass(allcores.HandleError, (allcores.AllcoresError, ValueError))
    assert issubclass(allcores.HandleError, ValueError) and issubclass(allcores.HandleError, allcores.AllcoresError)


LOOKS = """
def taken(things):
    return [kind for kind, thing in things.items() if is_taken(thing)]

def looks(things, connection):
    while connection.recv():
        connection.send(taken(things))

class Looker(context.Process):
    def run(self):
        looks(self.things, self.connection)

def look_as_main(connection):
    looks(main_things, connection)

def keep(things):
    global kept
    kept = things

def taken_of_kept():
    return taken(kept)

def report(way, ask):
    for thing in things.values():
        take(thing)
    first = ask()
    for thing in things.values():
        give_back(thing)
    print(way, [kind for kind in KINDS if kind not in first], ask())

def report_process(way, process):
    process.start()
    def ask():
        ours.send(True)
        return ours.recv()
    report(way, ask)
    ours.send(False)
    process.join()
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_child_has_the_same_objects_as_its_parent(method: str, tmp_path: Path) -> None:
    main = """
things = {kind: make(kind) for kind in KINDS}
ours, theirs = context.Pipe()
report_process("argument", context.Process(target=looks, args=(things, theirs)))
report_process("keyword", context.Process(target=looks, kwargs={"connection": theirs, "things": things}))
looker = Looker()
looker.things, looker.connection = things, theirs
report_process("attribute", looker)
with context.Pool(1, keep, (things,)) as pool:
    report("initializer", lambda: pool.apply(taken_of_kept))
if method == "fork":
    main_things = things
    report_process("global", context.Process(target=look_as_main, args=(theirs,)))
else:
    print("global [] []")
"""
    expected = "".join(f"{way} [] []\n" for way in ("argument", "keyword", "attribute", "initializer", "global"))
    assert prints(tmp_path, LOOKS, main, method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_objects_travel_through_whatever_pickles(method: str, tmp_path: Path) -> None:
    definitions = """
def looks_at_what_comes(receive, connection):
    looks(receive(), connection)

def makes(connection):
    things = {kind: make(kind) for kind in KINDS}
    for thing in things.values():
        take(thing)
    connection.send(things)
    connection.recv()
"""
    main = """
things = {kind: make(kind) for kind in KINDS}
ours, theirs = context.Pipe()
receiver, sender = context.Pipe(duplex=False)
queue, simple = context.Queue(), context.SimpleQueue()
for way, put, receive in (
    ("queue", queue.put, queue.get), ("simple queue", simple.put, simple.get), ("pipe", sender.send, receiver.recv)
):
    put(things)
    report_process(way, context.Process(target=looks_at_what_comes, args=(receive, theirs)))
with context.Pool(1) as pool:
    report("pool", lambda: pool.apply(taken, (things,)))
    report("pool map", lambda: pool.map(taken, [things])[0])
copies = pickle.loads(pickle.dumps(things))
report("pickle", lambda: in_thread(taken, copies))
report("pickle of a pickle", lambda: in_thread(taken, pickle.loads(pickle.dumps(copies))))
process = context.Process(target=makes, args=(theirs,))
process.start()
of_child = ours.recv()
print("of a child", taken(of_child) == list(KINDS))
ours.send("end")
process.join()
print("of a child that is gone", taken(of_child) == list(KINDS))
"""
    ways = ("queue", "simple queue", "pipe", "pool", "pool map", "pickle", "pickle of a pickle")
    expected = "".join(f"{way} [] []\n" for way in ways) + "of a child True\nof a child that is gone True\n"
    assert prints(tmp_path, LOOKS + definitions, main, method) == expected


def test_a_handle_of_what_nobody_holds_any_more_says_so(tmp_path: Path) -> None:
    main = """
receiver, sender = context.Pipe(duplex=False)
process = context.Process(target=send_handles, args=(sender,))
process.start()
handles = [receiver.recv_bytes() for _ in KINDS]
process.join()  # who sends something has it until it ends
others = [make(kind) for kind in KINDS for _ in range(100)]  # of which some may have the places of those
for kind, handle in zip(KINDS, handles):
    try:
        print("it is", pickle.loads(handle))
    except mp.HandleError as error:
        print(kind, len(str(error)) > 40)
"""
    definitions = """
def send_handles(sender):
    for kind in KINDS:
        sender.send_bytes(pickle.dumps(make(kind, name="forgotten")))
"""
    assert prints(tmp_path, definitions, main) == "".join(f"{kind} True\n" for kind in EVERY)


@pytest.mark.parametrize("how", ["still runs", "is gone"])
def test_a_handle_of_another_program_says_so(how: str, tmp_path: Path) -> None:
    writes = """
things = [make(kind) for kind in KINDS]
with open("handles", "wb") as file:
    pickle.dump([pickle.dumps(thing) for thing in things], file)
print("written", flush=True)
sys.stdin.read()
"""
    reads = """
others = [make(kind) for kind in KINDS]
with open("handles", "rb") as file:
    handles = pickle.load(file)
for kind, handle in zip(KINDS, handles):
    try:
        print("it is", pickle.loads(handle))
    except mp.HandleError as error:
        print(kind, len(str(error)) > 40)
"""
    folder = str(tmp_path)
    writer = program(tmp_path, guarded(HEAD, f"os.chdir({folder!r})\n{writes.strip()}"), "writer.py")
    reader = program(tmp_path, guarded(HEAD, f"os.chdir({folder!r})\n{reads.strip()}"), "reader.py")
    expected = "".join(f"{kind} True\n" for kind in EVERY)
    if how == "is gone":
        outcome = run([*PYTHON, writer])
        assert outcome.out == "written\n", outcome.err
        assert run([*PYTHON, reader]).out == expected
    else:
        waiting = program(tmp_path, writer.read_text().replace("sys.stdin.read()", "signal.pause()"), "waiting.py")
        with started([*PYTHON, waiting]) as process:
            assert process.stdout is not None and process.stdout.readline() == "written\n"
            assert run([*PYTHON, reader]).out == expected


@pytest.mark.parametrize("when", ["later", "at once"])
@pytest.mark.parametrize("method", METHODS)
def test_objects_live_on_in_a_child_when_their_creator_drops_them(method: str, when: str, tmp_path: Path) -> None:
    definitions = """
def work(first, second, connection):
    connection.send("I have them")
    connection.recv()
    others = [make(kind) for kind in KINDS for _ in range(50)]
    for thing in others:
        take(thing)
    connection.send([kind for kind, thing in first.items() if in_thread(is_taken, thing)])
    for thing in first.values():
        take(thing)
    connection.send([kind for kind, thing in second.items() if in_thread(is_taken, thing)])
"""
    main = f"""
things = {{kind: make(kind) for kind in KINDS}}
ours, theirs = context.Pipe()
process = context.Process(target=work, args=(things, things, theirs))
process.start()
if {when == "later"}:
    ours.recv()
del things, process
gc.collect()
others = [make(kind) for kind in KINDS for _ in range(50)]
for thing in others:
    take(thing)
if {when == "at once"}:
    ours.recv()
ours.send("dropped")
print(ours.recv(), ours.recv() == list(KINDS))
"""
    assert prints(tmp_path, definitions, main, method) == "[] True\n"
