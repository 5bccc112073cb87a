"""What every start method owes, in one test body; then what `warm` owes besides."""

from pathlib import Path

import pytest
from running import METHODS, PYTHON, Outcome, program, run

HEAD = """\
import faulthandler, os, signal, sys, threading
faulthandler.dump_traceback_later(30, exit=True)
import allcores as mp
from allcores.connection import wait
"""

COMMON = {
    "exit codes": (
        "def work(how):\n    exec(how)\n",
        """
    import contextlib
    codes = []
    for how in ("pass", "sys.exit()", "sys.exit(5)", "sys.exit('text')", "1/0", "os._exit(6)",
                "os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGTERM)"):
        process = context.Process(target=work, args=(how,))
        process.start()
        process.join(30)
        codes.append(process.exitcode)
    print(codes)
""",
        "[0, 0, 5, 1, 1, 6, -9, -15]",
    ),
    "the life of a process": (
        "def work():\n    signal.pause()\n",
        """
    process = context.Process(target=work, name="sleeper", daemon=True)
    print(process.exitcode, process.is_alive(), process.pid)
    process.start()
    print(process.is_alive(), process.exitcode, process.join(0.01), process in mp.active_children(), process.name)
    print(wait([process.sentinel], timeout=0))
    process.terminate()
    print(wait([process.sentinel], timeout=30) == [process.sentinel])
    process.join()
    print(process.is_alive(), process.exitcode, mp.active_children())
    process.close()
    try:
        process.is_alive()
    except ValueError as error:
        print(error)
""",
        "None False None\nTrue None None True sleeper\n[]\nTrue\nFalse -15 []\nprocess object is closed",
    ),
    "terminate at once": (
        "def work():\n    signal.pause()\n",
        """
    codes = set()
    for _ in range(20):
        process = context.Process(target=work)
        process.start()
        process.terminate()
        process.join(30)
        codes.add(process.exitcode)
    print(codes)
""",
        "{-15}",
    ),
    "the parent of a process": (
        "def work(connection):\n    parent = mp.parent_process()\n"
        "    connection.send((parent.pid, parent.name, parent.is_alive(), mp.current_process().name, os.getpid()))\n",
        """
    receiver, sender = context.Pipe()
    process = context.Process(target=work, args=(sender,), name="child")
    process.start()
    answer = receiver.recv()
    process.join(30)
    print(answer == (os.getpid(), "MainProcess", True, "child", process.pid), mp.parent_process())
""",
        "True None",
    ),
    "nested processes": (
        "def work(depth, queue, method):\n    queue.put(depth)\n    if depth:\n"
        "        inner = mp.get_context(method).Process(target=work, args=(depth - 1, queue, method))\n"
        "        inner.start()\n        inner.join()\n        sys.exit(inner.exitcode + 1)\n",
        """
    queue = context.Queue()
    process = context.Process(target=work, args=(3, queue, method))
    process.start()
    print(sorted(queue.get(timeout=30) for _ in range(4)))
    process.join(30)
    print(process.exitcode)
""",
        "[0, 1, 2, 3]\n3",
    ),
    "several threads wait for one process": (
        "def work(event):\n    event.wait()\n",
        """
    event = context.Event()
    process = context.Process(target=work, args=(event,))
    process.start()
    codes = []
    def join():
        process._popen.wait()
        codes.append(process.exitcode)
    threads = [threading.Thread(target=join) for _ in range(5 if method == "warm" else 1)]
    for thread in threads:
        thread.start()
    event.set()
    for thread in threads:
        thread.join()
    print(set(codes))
""",
        "{0}",
    ),
    "the moment of the start": (
        "def work(queue):\n    queue.put((os.getcwd(), os.environ.get('ADDED'), os.environ.get('REMOVED'), sys.argv, "
        "'/nonsense' in sys.path))\n",
        """
    queue = context.Queue()
    os.environ["REMOVED"] = "at first"
    first = context.Process(target=work, args=(queue,))
    first.start()
    seen = queue.get(timeout=30)
    print(seen[1:3])
    first.join(30)
    os.environ["ADDED"] = "grün"
    del os.environ["REMOVED"]
    sys.argv = ["other", "words"]
    sys.path.append("/nonsense")
    os.chdir("/")
    second = context.Process(target=work, args=(queue,))
    second.start()
    seen = queue.get(timeout=30)
    if method == "forkserver":
        seen = (seen[0], "grün", None, *seen[3:])  # its server keeps the environment it began with
    print(seen)
    second.join(30)
""",
        "(None, 'at first')\n('/', 'grün', None, ['other', 'words'], True)",
    ),
    "output where the parent's goes now": (
        "def work():\n    print('from the child')\n    print('error', file=sys.stderr)\n",
        """
    import tempfile
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        saved = os.dup(1)
        os.dup2(file.fileno(), 1)
        process = context.Process(target=work)
        process.start()
        process.join(30)
        os.dup2(saved, 1)
        file.seek(0)
        print("caught", file.read())
""",
        "caught b'from the child\\n'",
    ),
    "many connections in the arguments": (
        "def work(connections):\n    for number, one in enumerate(connections):\n        one.send(number)\n",
        """
    if method == "forkserver":
        print(44850)  # its limit is 256 descriptors
    else:
        pipes = [context.Pipe() for _ in range(300)]
        process = context.Process(target=work, args=([theirs for _, theirs in pipes],))
        process.start()
        print(sum(ours.recv() for ours, _ in pipes))
        process.join(30)
""",
        "44850",
    ),
    "a large argument": (
        "def work(data, queue):\n    queue.put((len(data), data[-1]))\n",
        """
    queue = context.Queue()
    process = context.Process(target=work, args=(bytes(50_000_000) + b"x", queue))
    process.start()
    print(queue.get(timeout=30))
    process.join(30)
""",
        "(50000001, 120)",
    ),
    "no descriptors are left": (
        "def work():\n    pass\n",
        """
    def start():
        process = context.Process(target=work)
        process.start()
        process.join(30)
        process.close()
        return len(os.listdir("/proc/self/fd"))
    start()
    print(start() == [start() for _ in range(10)][-1])
""",
        "True",
    ),
    "a subclass": (
        "class Worker(mp.Process):\n    def __init__(self, queue):\n        super().__init__()\n"
        "        self.queue = queue\n"
        "    def run(self):\n        self.queue.put(type(self).__name__)\n",
        """
    mp.set_start_method(method)
    queue = mp.Queue()
    worker = Worker(queue)
    worker.start()
    print(queue.get(timeout=30))
    worker.join(30)
""",
        "Worker",
    ),
}


def source(definitions: str, main: str, method: str) -> str:
    body = f"    method = {method!r}\n    context = mp.get_context(method)\n{main}"
    return f"{HEAD}\n{definitions}\nif __name__ == '__main__':\n{body}"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", COMMON)
def test_every_start_method_keeps(name: str, method: str, tmp_path: Path) -> None:
    definitions, main, expected = COMMON[name]
    outcome = run([*PYTHON, program(tmp_path, source(definitions, main, method))])
    assert (outcome.status, outcome.out) == (0, expected + "\n"), outcome.err


VALUES = {
    "a lambda": ("", "target, expected = lambda q: q.put('lambda'), 'lambda'"),
    "a closure": (
        "def make(x):\n    return lambda q: q.put(x)\n",
        "target, expected = make('closed over'), 'closed over'",
    ),
    "a local function and a local class": (
        "def make():\n    class Local: pass\n    def target(q): q.put(Local.__name__)\n    return target\n",
        "target, expected = make(), 'Local'",
    ),
    "a function that uses globals": (
        "CONSTANT = 41\ndef helper():\n    return CONSTANT + 1\n",
        "target, expected = lambda q: q.put(helper()), 42",
    ),
    "an instance of a class of main": (
        "class Point:\n    x = 1\n",
        "point = Point(); target, expected = lambda q: q.put(point.x), 1",
    ),
}


@pytest.mark.parametrize("how", ["file", "-c", "-m", "standard input"])
@pytest.mark.parametrize("name", VALUES)
def test_what_has_no_name_in_the_child_travels_by_value(name: str, how: str, tmp_path: Path) -> None:
    definitions, assignment = VALUES[name]
    text = f"""{HEAD}
{definitions}
if __name__ == '__main__':
    {assignment}
    queue = mp.Queue()
    process = mp.Process(target=target, args=(queue,))
    process.start()
    got = queue.get(timeout=20)
    process.join(20)
    print(type(got) is type(expected), process.exitcode)
"""
    program(tmp_path, text, "package/__main__.py")
    words, stdin = {
        "file": ([program(tmp_path, text)], ""),
        "-c": (["-c", text], ""),
        "-m": (["-m", "package"], ""),
        "standard input": (["-"], text),
    }[how]
    assert run([*PYTHON, *words], cwd=tmp_path, stdin=stdin) == Outcome(0, "True 0\n", "")


def test_a_session_in_the_repl_works_and_sees_the_newest_definition() -> None:
    typed = """\
import allcores as mp
def f(q): q.put("first")

q = mp.Queue()
p = mp.Process(target=f, args=(q,)); p.start(); print(q.get(timeout=20)); p.join()
def f(q): q.put("second")

p = mp.Process(target=f, args=(q,)); p.start(); print(q.get(timeout=20)); p.join()
print(p.exitcode)
"""
    outcome = run([*PYTHON, "-i", "-q"], stdin=typed)
    assert outcome.out == "first\nsecond\n0\n", outcome.err


def test_a_notebook_works_and_sees_the_newest_definition() -> None:
    jupyter = pytest.importorskip("jupyter_client", reason="jupyter-client is in requirements-dev.txt")
    manager, client = jupyter.manager.start_new_kernel(kernel_name="python3")
    try:
        cells = [
            "import allcores as mp\nq = mp.Queue()\ndef f(q): q.put('first')",
            "p = mp.Process(target=f, args=(q,)); p.start(); print(q.get(timeout=20)); p.join()",
            "def f(q): q.put('second')",
            "p = mp.Process(target=f, args=(q,)); p.start(); print(q.get(timeout=20)); p.join()",
            "with mp.Pool(2) as pool: print(pool.map(abs, [-1, -2]), p.exitcode)",
        ]
        printed: list[str] = []
        for cell in cells:

            def collect(message: dict) -> None:
                if message["msg_type"] == "stream":
                    printed.append(message["content"]["text"])
                elif message["msg_type"] == "error":
                    printed.append("\n".join(message["content"]["traceback"]))

            client.execute_interactive(cell, timeout=30, output_hook=collect)
        assert "".join(printed) == "first\nsecond\n[1, 2] 0\n"
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
