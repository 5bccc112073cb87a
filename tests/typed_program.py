"""A typed program, as written for multiprocessing; test_types.py checks it with that and with allcores in its place."""

import ctypes
import multiprocessing as mp
import multiprocessing.queues
import multiprocessing.synchronize
from collections.abc import Callable
from multiprocessing import Process, Queue, get_context
from multiprocessing.connection import Client, Connection, Listener, wait
from multiprocessing.context import BaseContext, ForkContext, SpawnContext
from multiprocessing.managers import BaseManager, DictProxy, ListProxy, SyncManager
from multiprocessing.pool import AsyncResult, Pool, ThreadPool
from multiprocessing.process import BaseProcess
from multiprocessing.shared_memory import ShareableList, SharedMemory
from multiprocessing.sharedctypes import Synchronized, SynchronizedArray
from multiprocessing.synchronize import Event, Lock, RLock


class Tasks(mp.queues.Queue[int]):
    def __init__(self) -> None:
        super().__init__(3, ctx=mp.get_context())

    def put_twice(self, number: int) -> None:
        self.put(number)
        self.put(number)


class Worker(mp.Process):
    def __init__(self, tasks: "mp.JoinableQueue[int | None]", results: "mp.Queue[tuple[int, str]]") -> None:
        super().__init__(name="worker", daemon=True)
        self.tasks, self.results = tasks, results

    def run(self) -> None:
        while (task := self.tasks.get()) is not None:
            self.results.put((task + 1, str(task)))
            self.tasks.task_done()
        self.tasks.task_done()


class Manager(BaseManager):
    pass


def first(results: "Queue[tuple[int, str]]", simple: "mp.SimpleQueue[bytes]") -> tuple[int, bytes]:
    number, _ = results.get(timeout=5)
    return number, simple.get()


def count(counter: "Synchronized[int]", numbers: "SynchronizedArray[float]", lock: Lock, ready: Event) -> None:
    with lock, counter.get_lock():
        counter.value += 1
        numbers[0] = 1.5
    ready.set()


def echo(connection: "Connection[str, str]") -> None:
    connection.send(connection.recv().upper())


def square(number: int) -> int:
    return number * number


def contexts() -> list[str]:
    spawn: SpawnContext = mp.get_context("spawn")
    fork: ForkContext = get_context("fork")
    default: BaseContext = mp.get_context()
    process: BaseProcess = spawn.Process(target=square, args=(2,))
    queue: mp.queues.Queue[int] = fork.Queue()
    queue.put(2)
    assert queue.get() == 2
    lock: mp.synchronize.Lock = spawn.Lock()
    condition: mp.synchronize.Condition = mp.Condition(lock)
    with condition:
        condition.notify_all()
    mp.get_context().Process(target=square, args=(2,), kwargs={})
    method: str = mp.get_start_method()
    return [process.name, method, type(default).__name__]


def main() -> None:
    tasks: mp.JoinableQueue[int | None] = mp.JoinableQueue()
    results: mp.Queue[tuple[int, str]] = mp.Queue(maxsize=10)
    worker = Worker(tasks, results)
    worker.start()
    tasks.put(1)
    tasks.put(None)
    simple: mp.SimpleQueue[bytes] = mp.SimpleQueue()
    simple.put(b"simple")
    assert first(results, simple) == (2, b"simple")
    tasks.join()
    worker.join()
    assert worker.exitcode == 0 and worker.sentinel

    counter = mp.Value("i", 0)
    precise: Synchronized[int] = mp.Value(ctypes.c_int, 3)
    numbers: SynchronizedArray[float] = mp.Array(ctypes.c_double, 2)
    raw = mp.RawArray(ctypes.c_int, [1, 2])
    assert precise.value + raw[1] == 5
    lock, ready = mp.Lock(), mp.Event()
    target: Callable[..., None] = count
    process = Process(target=target, args=(counter, numbers, lock, ready))
    process.start()
    assert ready.wait(30)
    process.join()
    assert counter.value == 1 and numbers[:] == [1.5, 0.0]

    here, there = mp.Pipe()
    here.send("hello")
    echo(there)
    assert here.recv() == "HELLO" and wait([here], 0) == []

    with mp.Pool(2) as pool:
        squares: list[int] = pool.map(square, [1, 2, 3])
        later: AsyncResult[int] = pool.apply_async(square, (4,))
        assert squares == [1, 4, 9] and later.get(30) == 16

    reentrant: RLock = mp.RLock()
    with reentrant, mp.Semaphore(2), mp.BoundedSemaphore():
        contexts()
    tasks_of_mine = Tasks()
    tasks_of_mine.put_twice(1)
    assert tasks_of_mine.get() + tasks_of_mine.get() == 2
    names = ShareableList(["a", "b"])
    memory: SharedMemory = names.shm
    assert names[0] == "a"
    memory.close()
    memory.unlink()


def never_called(manager: SyncManager, pool: Pool, threads: ThreadPool, listener: Listener) -> None:
    shared: DictProxy[str, int] = manager.dict()
    numbers: ListProxy[int] = manager.list()
    shared["a"] = numbers[0] + sum(pool.imap_unordered(square, [1])) + threads.apply(square, (1,))
    with listener.accept() as accepted, Client("address") as client:
        accepted.send_bytes(client.recv_bytes())


if __name__ == "__main__":
    main()
