"""What the programs of the lock tests have in common: a head, and a way to know that somebody waits."""

from __future__ import annotations

from pathlib import Path

from running import PYTHON, guarded, program, run

HEAD = '''\
import ctypes, faulthandler, gc, os, pickle, random, signal, sys, threading, time
faulthandler.dump_traceback_later(50, exit=True)
import allcores as mp
method = sys.argv[1] if len(sys.argv) > 1 else "fork"
context = mp.get_context(method)

KINDS = ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier")

def make(kind, **options):
    return getattr(context, kind)(*[2] * (kind == "Barrier"), **options)

def take(thing):
    """Change it so that every handle of it shows it."""
    if hasattr(thing, "acquire"):
        assert thing.acquire()
    elif hasattr(thing, "set"):
        thing.set()
    else:
        thing.abort()

def give_back(thing):
    """Undo take()."""
    getattr(thing, "release" if hasattr(thing, "acquire") else "clear" if hasattr(thing, "clear") else "reset")()

def is_taken(thing):
    """Tell whether another thread or process took it."""
    if hasattr(thing, "acquire"):
        free = thing.acquire(False)
        if free:
            thing.release()
        return not free
    return thing.is_set() if hasattr(thing, "is_set") else thing.broken

def in_thread(function, *arguments):
    """Call a function in a thread of its own, and return what it returns or raises."""
    answers = []
    def call():
        try:
            answers.append(function(*arguments))
        except BaseException as error:
            answers.append(error)
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return answers[0]

def state(pid, thread):
    with open(f"/proc/{pid}/task/{thread}/status") as file:
        fields = dict(line.rstrip().split(":", 1) for line in file)
    return fields["State"].split()[0], fields["voluntary_ctxt_switches"]

def until_asleep(pid, thread=None):
    """Return when a thread that said it would wait slept, without a break, through a hundred looks."""
    seen, looks = None, 0
    while looks < 100:
        now = state(pid, thread or pid)
        assert now[0] not in "ZX", "it ended instead"
        looks = looks + 1 if now == seen and now[0] == "S" else 0
        seen = now
        os.sched_yield()

def forked(function, *arguments):
    """Fork by hand; the child calls a function and ends with the number that it returns. Returns the pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        signal.alarm(50)
        try:
            code = function(*arguments)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            code = 99
        finally:
            os._exit(code)
    return pid

def end_of(pid):
    """Wait for a process that was forked by hand, and return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
'''
"""For a program: objects of every kind made, taken and looked at in the same words; until_asleep() instead of naps.

Its first argument is the start method."""


WORK_BY_ANY_WAY = """
def work(receive, send, go):
    send(task(receive()))
    go.recv()  # until what it made has arrived
"""
"""The target of a process: it does a `task` with what it is sent, and sends the result."""

BY_EVERY_WAY = """
there, back = context.Queue(), context.Queue()
ours, theirs = context.Pipe()
go, goes = context.Pipe(duplex=False)
for way, put, get, arguments in (
    ("queue", there.put, back.get, (there.get, back.put)), ("pipe", ours.send, ours.recv, (theirs.recv, theirs.send))
):
    put(things)
    process = context.Process(target=work, args=(*arguments, go))
    process.start()
    answer = get()
    goes.send("it arrived")
    process.join()
    check(way, *answer)
with context.Pool(1) as pool:
    answer = pool.apply(task, (things,))
check("pool", *answer)
"""
"""For the end of a program: send `things` to `task` by a queue, a pipe and a pool; `check` each answer."""

IS_INTERRUPTED = """
def child(wait, sender):
    os.write(sender, b"!")
    try:
        wait()
    except KeyboardInterrupt:
        return 7
    return 1
"""
SAYS_IT_HANDLES = """
def child(wait, sender):
    signal.signal(signal.SIGUSR1, lambda *_: os.write(sender, b"?"))
    os.write(sender, b"!")
    return 7 if wait() is True else 1
"""
INTERRUPTED_AND_AS_BEFORE = """
receiver, sender = os.pipe()
for way in WAY_NAMES:
    wait, end = waits()[way]
    for _ in range(2):
        pid = forked(child, wait, sender)
        os.read(receiver, 1)
        until_asleep(pid)
        os.kill(pid, signal.SIGINT)
        assert end_of(pid) == 7, way
    end()
    assert wait() is True, way
print("fine")
"""
"""A main part: each way of waiting is interrupted by Ctrl-C, and is then as if nobody had waited."""

HANDLES_AND_GOES_ON = """
receiver, sender = os.pipe()
for way in WAY_NAMES:
    wait, end = waits()[way]
    pid = forked(child, wait, sender)
    os.read(receiver, 1)
    for _ in range(2):
        until_asleep(pid)
        os.kill(pid, signal.SIGUSR1)
        assert os.read(receiver, 1) == b"?"
    until_asleep(pid)
    end()
    assert end_of(pid) == 7, way
print("fine")
"""
"""A program: each of the `waits()` goes on after a handler has run twice."""


def prints(folder: Path, definitions: str, main: str, method: str = "fork") -> str:
    """Run a program with that head, and return what it prints. It must end without an error."""
    outcome = run([*PYTHON, program(folder, guarded(HEAD + definitions, main)), method])
    assert outcome.status == 0, outcome.out + outcome.err
    return outcome.out
