"""What has no name in a child travels by value, and comes back as what it was."""

import sys
from pathlib import Path

import pytest
from running import PYTHON, program, run

MAIN = """
import allcores as mp

class Point:
    def __init__(self, x):
        self.x = x

def step(point):
    return Point(point.x + 1)

class Job:
    def __init__(self, point):
        self.point = point

def forward(queue, pipe):
    job = queue.get()
    pipe.send(pipe.recv())
    queue.put(job)

def reply(queue):
    queue.put(Point(7))
    queue.put(step)

if __name__ == "__main__":
    with mp.Pool(2) as pool:
        print([point.x for point in pool.map(step, [Point(n) for n in range(4)])])
        print(all(type(point) is Point for point in pool.imap(step, [Point(1)])))
        print(pool.apply(lambda a, *, b: a + b, (1,), {"b": 2}))
        try:
            pool.map(print, [sys.stdin])
        except TypeError as error:
            print(error)
    queue = mp.Queue()
    process = mp.Process(target=reply, args=(queue,))
    process.start()
    print(type(queue.get(timeout=30)) is Point, queue.get(timeout=30) is step)
    process.join()

    queue, (one, other) = mp.Queue(), mp.Pipe()
    process = mp.Process(target=forward, args=(queue, other))
    process.start()
    one.send([Job(Point(5)), bytes(100_000)])
    queue.put(Job(Point(4)))
    there, back = one.recv(), queue.get(timeout=30)
    print([type(job) is Job and type(job.point) is Point and job.point.x for job in (there[0], back)])
    process.join()
"""
PRINTED = "[1, 2, 3, 4]\nTrue\n3\ncannot pickle '_io.TextIOWrapper' object\nTrue True\n[5, 4]\n"


KINDS = [("file", "warm"), ("file", "spawn"), ("file", "forkserver"), ("code", "warm"), ("stdin", "warm")]


@pytest.mark.parametrize(("kind", "method"), KINDS)
def test_a_pool_and_a_queue_carry_what_the_main_module_defines(kind: str, method: str, tmp_path: Path) -> None:
    text = f"import sys\n{MAIN}".replace(
        'if __name__ == "__main__":', f'if __name__ == "__main__":\n    mp.set_start_method("{method}")'
    )
    if kind == "file":
        outcome = run([*PYTHON, program(tmp_path, text)])
    elif kind == "code":
        outcome = run([sys.executable, "-c", text])
    else:
        outcome = run([sys.executable, "-"], stdin=text)
    assert (outcome.status, outcome.out) == (0, PRINTED), outcome.err


GLOBALS = """
import allcores as mp
from allcores.futures import ProcessPoolExecutor

loaded, kept = None, []

def initialize(number):
    global tag
    tag = number
    kept.append(number)

def use(number):
    global loaded
    loaded = [] if loaded is None else loaded
    loaded.append(number)
    return tag, kept, len(loaded)

def helper():
    return "old"

def use_helper():
    return helper()

with mp.get_context("warm").Pool(1, initialize, (3,)) as pool:
    print(pool.map(use, [1]), pool.apply(use, (2,)), pool.apply(lambda: tag))
    kept = ["another object"]
    print(pool.apply(use, (4,)), pool.apply(use_helper))
    def helper():
        return "new"
    print(pool.apply(use_helper))
with ProcessPoolExecutor(1, mp.get_context("warm"), initialize, (5,)) as executor:
    print([executor.submit(use, 1).result() for _ in range(2)])
old = lambda: helper()
queue, answers = mp.Queue(), mp.Queue()
queue.put(old)
def helper():
    return "newer"
queue.put(lambda: helper())
def answer(queue, answers):
    former, latter = queue.get(), queue.get()
    answers.put([latter(), former()])
process = mp.Process(target=answer, args=(queue, answers))
process.start()
print(answers.get(timeout=30))
process.join()
queue.put(use)
print(queue.get().__globals__ is globals(), loaded, kept, type(__builtins__).__name__)
"""
SAID = """\
[(3, [3], 1)] (3, [3], 2) 3
(3, ['another object'], 3) old
new
[(5, ['another object', 5], 1), (5, ['another object', 5], 2)]
['newer', 'newer']
True None ['another object'] module
"""


def test_functions_of_a_main_module_without_a_file_have_the_same_globals_in_a_worker() -> None:
    outcome = run([*PYTHON, "-c", GLOBALS])
    assert (outcome.status, outcome.out) == (0, SAID), outcome.err
