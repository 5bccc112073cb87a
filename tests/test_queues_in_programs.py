"""Queues as programs and libraries use them: subclasses, install(), executors, logging."""

from pathlib import Path

import pytest
from lock_programs import prints
from running import METHODS

PORTABLE = """
import multiprocessing
from multiprocessing.queues import Queue as standard_queue

class SharedCounter:
    def __init__(self, n=0):
        self.count = multiprocessing.Value("i", n)

    def increment(self, n=1):
        with self.count.get_lock():
            self.count.value += n

    @property
    def value(self):
        return self.count.value

class MyQueue(mp.queues.Queue):
    # As it goes around, for a qsize() that macOS has not.
    def __init__(self, *args, **kwargs):
        super().__init__(*args, ctx=multiprocessing.get_context(), **kwargs)
        self.size = SharedCounter(0)

    def __getstate__(self):
        return {"parent_state": super().__getstate__(), "size": self.size}

    def __setstate__(self, state):
        super().__setstate__(state["parent_state"])
        self.size = state["size"]

    def put(self, *args, **kwargs):
        super().put(*args, **kwargs)
        self.size.increment(1)

    def get(self, *args, **kwargs):
        item = super().get(*args, **kwargs)
        self.size.increment(-1)
        return item

    def qsize(self):
        return self.size.value

    def empty(self):
        return not self.qsize()
"""


@pytest.mark.parametrize("method", METHODS)
def test_the_portable_queue_that_goes_around_works(method: str, tmp_path: Path) -> None:
    definitions = (
        "import allcores.queues\nmp.install()\n"
        + PORTABLE
        + """
def work(queue):
    for number in range(10):
        queue.put(number)
    queue.put_nowait(lambda: "by value")
    assert queue.get() == "first"
"""
    )
    main = """
queue = MyQueue(20)
queue.put("first")
process = context.Process(target=work, args=(queue,))
process.start()
process.join()
print(queue.qsize(), process.exitcode, isinstance(queue, standard_queue), [queue.get_nowait() for _ in range(10)])
print(queue.get()(), queue.qsize(), queue.empty(), queue.full(), super(MyQueue, queue).qsize())
"""
    expected = f"11 0 True {list(range(10))}\nby value 0 True False 0\n"
    assert prints(tmp_path, definitions, main, method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_a_subclass_with_a_longer_state_and_its_own_put_works(method: str, tmp_path: Path) -> None:
    definitions = """
import allcores.queues

class Labelled(mp.queues.JoinableQueue):
    def __init__(self, label):
        super().__init__(ctx=context)
        self.label = label

    def __getstate__(self):
        return (*super().__getstate__(), self.label)

    def __setstate__(self, state):
        super().__setstate__(state[:-1])
        self.label = state[-1]

    def put(self, obj, block=True, timeout=None):
        super().put((self.label, obj), block, timeout)

def work(queue):
    queue.put("from the child")
    queue.put_nowait("at once")
    queue.close()
    try:
        queue.put(1)
    except ValueError as error:
        print("is closed" in str(error), flush=True)
"""
    main = """
queue = Labelled("mine")
process = context.Process(target=work, args=(queue,))
process.start()
process.join()
print(queue.get(), queue.get(), type(queue).__name__ in repr(queue))
queue.task_done()
queue.task_done()
queue.join()
"""
    expected = "True\n('mine', 'from the child') ('mine', 'at once') True\n"
    assert prints(tmp_path, definitions, main, method) == expected


@pytest.mark.parametrize("static", [False, True], ids=["method", "static method"])
def test_a_subclass_may_handle_what_cannot_be_pickled(static: bool, tmp_path: Path) -> None:
    definitions = f"""
import allcores.queues, queue as threads_queue

class Forgiving(mp.queues.Queue):
    {"@staticmethod" if static else ""}
    def _on_queue_feeder_error({"" if static else "self, "}error, obj):
        print(type(error).__name__, type(obj).__name__)
"""
    main = """
queue = Forgiving(1, ctx=context)
queue.put(threading.Lock())
print(queue.empty())
queue.put(1)
for put in (queue.put_nowait, lambda obj: queue.put(obj, timeout=0.01)):
    try:
        put(2)
    except threads_queue.Full:
        print("full", queue.get(), queue.put(1))
queue.shutdown()
try:
    queue.put(3)
except mp.queues.ShutDown:
    print("shut")
"""
    assert prints(tmp_path, definitions, main) == "TypeError lock\nTrue\nfull 1 None\nfull 1 None\nshut\n"


@pytest.mark.parametrize("method", METHODS)
def test_install_makes_the_queues_of_multiprocessing_ours(method: str, tmp_path: Path) -> None:
    definitions = """
def work(queue):
    queue.put(os.getpid())
"""
    main = """
mp.install()
import multiprocessing, multiprocessing.queues, allcores.queues
multiprocessing.set_start_method(method)
for made in (multiprocessing.Queue(), multiprocessing.JoinableQueue(), multiprocessing.get_context(method).Queue(3)):
    process = multiprocessing.Process(target=work, args=(made,))
    process.start()
    print(isinstance(made, allcores.queues.Queue), made.get() == process.pid, made.empty())
    process.join()
print(multiprocessing.queues.Queue is allcores.queues.Queue)
"""
    assert prints(tmp_path, definitions, main, method) == "True True True\n" * 3 + "True\n"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ours", [True, False], ids=["installed first", "imported first"])
def test_an_executor_outlives_what_cannot_be_pickled_and_tells_of_a_killed_worker(
    ours: bool, method: str, tmp_path: Path
) -> None:
    definitions = f"""
{"mp.install()" if ours else ""}
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
mp.install()

def double(x):
    return 2 * x

def die(x):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    main = """
with ProcessPoolExecutor(2, mp_context=context) as executor:
    print(list(executor.map(double, range(20), chunksize=3)) == list(range(0, 40, 2)))
    bad = [executor.submit(double, threading.Lock()) for _ in range(3)]
    good = executor.submit(double, 21)
    print([type(future.exception()).__name__ for future in bad], good.result())
    print(len(executor.submit(double, b"x" * 1_000_000).result()))
with ProcessPoolExecutor(2, mp_context=context) as executor:
    executor.submit(double, 1).result()
    future = executor.submit(die, 1)
    try:
        print(future.result())
    except BrokenProcessPool:
        print("broken")
    try:
        print(executor.submit(double, 1).result())
    except BrokenProcessPool:
        print("still broken")
"""
    then = 2 if ours else "still broken"  # install() gives an executor that heals
    expected = f"True\n{['TypeError'] * 3} 42\n2000000\nbroken\n{then}\n"
    assert prints(tmp_path, definitions, main, method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_logs_go_through_a_queue(method: str, tmp_path: Path) -> None:
    definitions = """
import logging, logging.handlers

class Keep(logging.Handler):
    def emit(self, record):
        kept.append((record.processName, record.getMessage(), bool(record.exc_text)))

kept = []

def work(queue, number):
    logger = logging.getLogger(f"worker {number}")
    logger.addHandler(logging.handlers.QueueHandler(queue))
    logger.propagate = False
    for turn in range(50):
        logger.warning("turn %d, %s", turn, lambda: turn and None)
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("oh")
"""
    main = """
for queue in (context.Queue(), context.JoinableQueue(200)):
    kept.clear()
    listener = logging.handlers.QueueListener(queue, Keep())
    listener.start()
    processes = [context.Process(target=work, args=(queue, n), name=f"worker {n}") for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    listener.stop()
    for process in processes:
        turns = [message.split(",")[0] for name, message, _ in kept if name == process.name]
        print(turns[:-1] == [f"turn {n}" for n in range(50)], turns[-1].splitlines()[0], len(turns), queue.empty())
"""
    assert prints(tmp_path, definitions, main, method) == "True oh 51 True\n" * 4
