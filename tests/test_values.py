"""Values and arrays in shared memory: what they are, who sees them, and how long they live."""

import ctypes
import gc
import itertools
import pickle
from multiprocessing import sharedctypes
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import allcores
import numpy
import pytest
from lock_programs import BY_EVERY_WAY, WORK_BY_ANY_WAY, prints
from running import METHODS

TYPES = {
    # type code: (a value that needs all its bytes, the value of zeroed memory)
    "c": (b"x", b"\0"),
    "u": ("\u20ac", "\0"),
    "b": (-128, 0),
    "B": (255, 0),
    "h": (-(2**15), 0),
    "H": (2**16 - 1, 0),
    "i": (-(2**31), 0),
    "I": (2**32 - 1, 0),
    "l": (-(2**63), 0),
    "L": (2**64 - 1, 0),
    "q": (-(2**63), 0),
    "Q": (2**64 - 1, 0),
    "f": (0.5, 0.0),
    "d": (1e300, 0.0),
}


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_double), ("y", ctypes.c_int))


@pytest.fixture(params=METHODS)
def context(request: pytest.FixtureRequest) -> Any:
    return allcores.get_context(request.param)


@pytest.mark.parametrize("code", TYPES)
def test_a_value_of_every_type_begins_at_zero_and_keeps_what_is_written(context: Any, code: str) -> None:
    written, zero = TYPES[code]
    for value in (context.Value(code), context.RawValue(code), context.Value(code, lock=False)):
        assert value.value == zero
        value.value = written
        assert value.value == written
    assert context.Value(code, written).value == context.RawValue(code, written).value == written
    array = context.RawArray(code, 3)
    assert list(array) == [zero] * 3
    array[1] = written
    assert list(array) == [zero, written, zero]
    assert list(context.Array(code, [written, zero])) == [written, zero]


def test_a_value_has_a_ctypes_object_and_a_recursive_lock(context: Any) -> None:
    value = context.Value("i", 5)
    assert isinstance(value.get_obj(), ctypes.c_int) and value.get_obj().value == 5
    with value.get_lock(), value, value.get_lock():
        value.value += 1
        value.get_obj().value += 1
    assert value.acquire() is True and value.release() is None
    assert value.value == 7
    assert isinstance(context.Value("i", lock=False), ctypes.c_int)
    for lock in (context.Lock(), context.RLock()):
        assert context.Value("i", lock=lock).get_lock() is lock
        assert context.Array("i", 2, lock=lock).get_lock() is lock
    for make, argument in ((context.Value, 1), (context.Array, 1)):
        with pytest.raises(AttributeError, match="has no method 'acquire'"):
            make("i", argument, lock="no lock")
        with pytest.raises(TypeError):
            make("nonsense", argument)


def test_an_array_is_a_ctypes_array(context: Any) -> None:
    array = context.Array("d", 10)
    assert isinstance(array.get_obj(), ctypes.Array) and len(array) == len(array.get_obj()) == 10
    array[:3] = [1, 2, 3]
    array[-1] = 4
    assert array[:] == array.get_obj()[:] == [1.0, 2.0, 3.0, 0, 0, 0, 0, 0, 0, 4.0]
    assert array[0:4:2] == [1.0, 3.0]
    for index in (10, -11):
        with pytest.raises(IndexError):
            array[index]
    assert isinstance(context.Array("i", 3, lock=False), ctypes.Array)
    assert list(context.Array(ctypes.c_short, range(4))) == [0, 1, 2, 3]
    assert len(context.RawArray("i", 0)) == len(context.Array("i", [])) == 0
    text = context.Array("c", b"hello")
    text.value = b"bye"
    assert (text.value, text.raw, len(text)) == (b"bye", b"bye\0o", 5)


def test_structures_can_be_shared(context: Any) -> None:
    point = context.Value(Point, 1.5, 2)
    point.y += 1
    assert (point.x, point.y, point.get_obj().y) == (1.5, 3, 3)
    points = context.Array(Point, [(1.5, 2), (2.5, 3)])
    points[1].x *= 2
    assert [(each.x, each.y) for each in points] == [(1.5, 2), (5.0, 3)]
    copy = sharedctypes.copy(points.get_obj())
    points[0].x = 0
    assert copy[0].x == 1.5
    with pytest.raises(AssertionError, match="already synchronized"):
        sharedctypes.synchronized(points)


@pytest.mark.parametrize("length", [1, 7, 64, 1000, 5000, 300_000, 20_000_000])
def test_memory_is_zero_also_when_it_was_used_before(length: int) -> None:
    rounds = 5 if length > 10_000 else 200
    for _ in range(rounds):
        arrays = [allcores.RawArray("B", length) for _ in range(2 if length > 10_000 else 20)]
        for array in arrays:
            view = numpy.frombuffer(array, dtype="B")
            assert not view.any()
            view[:] = 255
        del array, arrays, view
    assert all(allcores.Value("Q").value == 0 for _ in range(100))


def test_blocks_are_aligned_and_do_not_overlap() -> None:
    kept: list[Any] = []
    for turn in range(400):
        kept.append(allcores.RawArray("Bd"[turn % 2], turn % 37 + 1))
        if turn % 3 == 0:
            del kept[turn % len(kept)]
    spans = sorted((ctypes.addressof(array), ctypes.sizeof(array)) for array in kept)
    assert all(address % 8 == 0 for address, _ in spans)
    assert all(first + size <= second for (first, size), (second, _) in itertools.pairwise(spans))


def test_whatever_shows_the_memory_keeps_it() -> None:
    def looks_at_what_is_dropped() -> list[Any]:
        array, point = allcores.Array("B", 1000), allcores.RawValue(Point, 7, 7)
        views = [memoryview(array.get_obj()), numpy.frombuffer(array.get_obj(), dtype="B")]
        points = allcores.RawArray(Point, 3)
        points[1].y = 7
        array[5] = 7
        looks = [lambda view=view: view[5:6].tobytes()[0] for view in views]
        part, pointer = points[1], ctypes.pointer(point)
        return [*looks, lambda: part.y, lambda: pointer.contents.y]

    looks = looks_at_what_is_dropped()
    gc.collect()
    others = [allcores.RawArray("B", size) for size in (1000, 16, 48) * 50]
    for other in others:
        ctypes.memset(ctypes.addressof(other), 255, ctypes.sizeof(other))
    assert [look() for look in looks] == [7, 7, 7, 7]


def test_a_pickle_in_the_same_process_is_the_same_memory() -> None:
    # A bare ctypes object is copied by a pickler that knows nothing of multiprocessing's reducers, as ever.
    for make, dumps in ((allcores.Value, pickle.dumps), (allcores.RawValue, ForkingPickler.dumps)):
        value = make("i", 1)
        copy = pickle.loads(dumps(value))
        copy.value = 2
        assert value.value == 2
    array = allcores.Array("d", 10)
    copy = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(array))))
    copy[3] = 1
    assert array[3] == 1
    with array.get_lock():
        assert copy.get_lock().acquire(False) is True, "a recursive lock of this thread, by another handle"
        copy.get_lock().release()


def send_handles(sender: Any) -> None:
    for make in (allcores.Value, allcores.RawValue, allcores.Array, allcores.RawArray):
        sender.send_bytes(ForkingPickler.dumps(make("i", 5)))


def test_a_handle_of_memory_that_nobody_has_any_more_says_so() -> None:
    context = allcores.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_handles, args=(sender,))
    process.start()
    handles = [receiver.recv_bytes() for _ in range(4)]
    process.join()  # who sends something has it until it ends
    others = [allcores.RawArray("i", 5) for _ in range(50)]  # of which some may have the places of those
    for handle in handles:
        with pytest.raises(allcores.HandleError):
            pickle.loads(handle)
    del others


SHARED = """
class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_int)]

def make_all():
    return {
        "Value": context.Value("i", 1), "Value without lock": context.Value("i", 1, lock=False),
        "RawValue": context.RawValue("i", 1), "Value of a structure": context.Value(Point, 1.5, 1),
        "Array": context.Array("i", [1, 1]), "RawArray": context.RawArray("i", [1, 1]),
        "Array with a lock": context.Array("i", [1, 1], lock=context.Lock()),
        "large Array": context.Array("i", 500_000), "large RawArray": context.RawArray("i", 500_000),
    }

def read(thing):
    return thing[1] if hasattr(thing, "__len__") else thing.y if hasattr(thing, "y") else thing.value

def write(thing, number):
    if hasattr(thing, "__len__"):
        thing[1] = number
    elif hasattr(thing, "y"):
        thing.y = number
    else:
        thing.value = number

def write_all(things, number):
    for thing in things.values():
        write(thing, number)

def others(things, number):
    return [name for name, thing in things.items() if read(thing) != number]
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_child_writes_what_its_parent_reads_and_the_other_way_round(method: str, tmp_path: Path) -> None:
    definitions = """
def work(things, connection):
    connection.send(others(things, 7))
    write_all(things, 8)

class Job(context.Process):
    def run(self):
        work(self.things, self.connection)

def keep(things):
    global kept
    kept = things

def work_with_kept():
    write_all(kept, 9)
    return others(kept, 9)
"""
    main = """
things = make_all()
ours, theirs = context.Pipe()
job = Job()
job.things, job.connection = things, theirs
for process in (context.Process(target=work, args=(things, theirs)), job):
    write_all(things, 7)
    process.start()
    print(ours.recv(), process.join(), others(things, 8))
with context.Pool(1, keep, (things,)) as pool:
    print(pool.apply(work_with_kept), others(things, 9))
"""
    assert prints(tmp_path, SHARED + definitions, main, method) == "[] None []\n" * 2 + "[] []\n"


@pytest.mark.parametrize("method", METHODS)
def test_values_and_arrays_travel_through_whatever_pickles(method: str, tmp_path: Path) -> None:
    definitions = """
def task(things):
    global made
    found, made = others(things, 7), make_all()
    write_all(things, 8)
    write_all(made, 6)
    return found, things, made
"""
    main = """
def check(way, found, things_again, made):
    first = found, others(things, 8), others(things_again, 8), others(made, 6)
    write_all(things_again, 9)
    print(way, *first, others(things, 9))
    write_all(things, 7)

things = make_all()
write_all(things, 7)
"""
    expected = "".join(f"{way} [] [] [] [] []\n" for way in ("queue", "pipe", "pool"))
    assert prints(tmp_path, SHARED + WORK_BY_ANY_WAY + definitions, main + BY_EVERY_WAY, method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_memory_stays_in_a_child_when_its_creator_drops_it(method: str, tmp_path: Path) -> None:
    definitions = """
def work(things, connection):
    connection.send("I have them")
    connection.recv()
    mine = [make_all() for _ in range(5)]
    for each in mine:
        write_all(each, 5)
    connection.send(others(things, 7))
    write_all(things, 8)
    connection.send(others(things, 8))
"""
    main = """
things = make_all()
write_all(things, 7)
ours, theirs = context.Pipe()
process = context.Process(target=work, args=(things, theirs))
process.start()
ours.recv()
del things
gc.collect()
mine = [make_all() for _ in range(5)]
for each in mine:
    write_all(each, 6)
ours.send("dropped")
print(ours.recv(), ours.recv(), [others(each, 6) for each in mine])
process.join()
"""
    assert prints(tmp_path, SHARED + definitions, main, method) == f"[] [] {[[]] * 5}\n"


@pytest.mark.parametrize("method", METHODS)
def test_increments_under_the_lock_are_never_lost(method: str, tmp_path: Path) -> None:
    definitions = """
def work(value, array):
    for _ in range(2000):
        with value.get_lock():
            value.value += 1
        with array:
            array[1] += 1
"""
    main = """
shared = context.Value("i"), context.Array("q", 3)
processes = [context.Process(target=work, args=shared) for _ in range(2)]
for process in processes:
    process.start()
work(*shared)
for process in processes:
    process.join()
print(shared[0].value, shared[1][:])
"""
    assert prints(tmp_path, definitions, main, method) == "6000 [0, 6000, 0]\n"


def test_forked_children_share_globals_and_each_makes_memory_of_its_own(tmp_path: Path) -> None:
    main = """
value, array = context.Value("i"), context.RawArray("i", 3)
def child(number):
    array[number] = number + 1
    with value:
        value.value += 1
    own = [context.RawValue("i", number) for _ in range(200)]
    os.write(sender, b"!")
    os.read(go, 1)
    return 0 if all(each.value == number for each in own) else 1
(receiver, sender), (go, goes) = os.pipe(), os.pipe()
pids = [forked(child, number) for number in range(3)]
own = [context.RawValue("i", 9) for _ in range(200)]
for _ in pids:
    os.read(receiver, 1)
os.write(goes, b"!" * len(pids))
print([end_of(pid) for pid in pids], all(each.value == 9 for each in own), value.value, array[:])
"""
    assert prints(tmp_path, "", main) == "[0, 0, 0] True 3 [1, 2, 3]\n"


def test_a_value_survives_the_death_of_a_child_that_had_it(tmp_path: Path) -> None:
    definitions = """
def work(things, sender):
    write_all(things, 8)
    sender.send("written")
    signal.pause()
"""
    main = """
things = make_all()
receiver, sender = context.Pipe(duplex=False)
for _ in range(3):
    process = context.Process(target=work, args=(things, sender))
    process.start()
    receiver.recv()
    process.kill()
    process.join()
fresh = make_all()
print(others(things, 8), others({name: fresh[name] for name in ("Value", "Array")}, 1))
"""
    assert prints(tmp_path, SHARED + definitions, main) == "[] []\n"


@pytest.mark.parametrize("method", METHODS)
def test_who_asks_for_more_than_there_is_learns_who_has_it(method: str, tmp_path: Path) -> None:
    definitions = """
def work(sender):
    kept = context.RawArray("b", 1_000_000)
    try:
        context.RawArray("b", 3_000_000)
    except mp.ArenaFullError as error:
        sender.send(str(error))
"""
    main = """
os.environ["ALLCORES_ARENA_BYTES"] = str(4 << 20)
kept = [context.RawArray("b", 500_000) for _ in range(3)]
receiver, sender = context.Pipe(duplex=False)
process = context.Process(target=work, args=(sender,), name="Asker")
process.start()
text = receiver.recv()
process.join()
print("3014656 bytes do not fit" in text, str(4 << 20) in text, "ALLCORES_ARENA_BYTES" in text)
print(f"MainProcess (pid {os.getpid()}) has 4 of 1500480 bytes" in text or text)  # the pipe, too
print(f"Asker (pid {process.pid}) has" in text or text)
print(len(context.RawArray("b", 1_000_000)))
"""
    assert prints(tmp_path, definitions, main, method) == "True True True\nTrue\nTrue\n1000000\n"


def test_a_hundred_thousand_locks_work_and_leave_nothing(tmp_path: Path) -> None:
    main = """
from allcores import _core
first = context.Lock()
before = _core.arena_account()[:4]
locks = [context.Lock() for _ in range(100_000)]
print(all(lock.acquire(False) for lock in locks))
def child():
    for lock in locks:
        lock.release()
    return 0
print(end_of(forked(child)), all(lock.acquire(False) for lock in locks), not any(lock.acquire(False) for lock in locks))
locks.clear()
_core.sweep_arena()
after = _core.arena_account()[:4]
print(after[1:] == before[1:], after[0] - before[0] < 100_000 / 100)
"""
    assert prints(tmp_path, "", main) == "True\n0 True True\nTrue True\n"


def test_little_address_space_is_enough(tmp_path: Path) -> None:
    definitions = """
def work(lock, array):
    with lock:
        array[0] += 1
"""
    main = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (400 << 20,) * 2)
lock, array = context.Lock(), context.RawArray("q", 100_000)
processes = [context.Process(target=work, args=(lock, array)) for _ in range(3)]
for process in processes:
    process.start()
for process in processes:
    process.join()
print(array[0], [process.exitcode for process in processes])
"""
    assert prints(tmp_path, definitions, main) == "3 [0, 0, 0]\n"


@pytest.mark.parametrize("code", "bBhHiIlLqQ")
def test_an_integer_is_added_to_as_ctypes_would(code: str) -> None:
    kind = type(allcores.RawValue(code))
    value, array = allcores.Value(code, 100), allcores.Array(code, [100, 100, 100])
    expected = 100
    for number in (1, -1, 27, 2**7, 2**15, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 2**64 + 5, True):
        expected = kind(expected + number).value
        assert value.add(number) == value.value == expected
        assert array.add(1, number) == array.add(-2, 0) == expected
    assert array[0] == array[2] == 100


def test_floats_are_added_to() -> None:
    single, double = allcores.Value("f", 0.5), allcores.Array("d", [0.5])
    assert single.add(2**24) == single.value == ctypes.c_float(2**24 + 0.5).value
    assert double.add(0, 0.1) == double[0] == 0.6
    assert double.add(0, 1) == 1.6


def test_a_number_is_replaced_only_if_it_is_the_one_expected() -> None:
    value, double, array = allcores.Value("B", 7), allcores.Value("d", -0.0), allcores.Array("h", [1, 2])
    assert not value.compare_exchange(8, 1)
    assert not value.compare_exchange(7 + 256, 1), "no byte equals it"
    assert value.compare_exchange(7, 9)
    assert value.value == 9
    assert double.compare_exchange(0, 2.5)
    assert not double.compare_exchange(2, 0)
    assert double.value == 2.5
    assert array.compare_exchange(-1, 2, -3)
    assert array[:] == [1, -3]


def test_what_is_no_number_or_not_there_is_an_error() -> None:
    value, array = allcores.Value("i", 1), allcores.Array("d", 2)
    for wrong in ("1", None, 1.5):
        with pytest.raises(TypeError):
            value.add(wrong)
        with pytest.raises(TypeError):
            value.compare_exchange(1, wrong)
    for index in (2, -3):
        with pytest.raises(IndexError, match="array index out of range"):
            array.add(index, 1)
    with pytest.raises(TypeError):
        array.add("0", 1)
    assert value.value == 1
    assert array[:] == [0, 0]
    for other in (allcores.Value(Point), allcores.Array("c", 2), allcores.Value(ctypes.c_int.__ctype_be__)):
        assert not hasattr(other, "add")


@pytest.mark.parametrize("method", METHODS)
def test_nothing_that_is_added_is_lost(tmp_path: Path, method: str) -> None:
    definitions = """
def add(value, array, turns):
    for turn in range(turns):
        value.add(1)
        array.add(turn % 3, 0.5)
        while not array.compare_exchange(3, seen := array[3], seen + 1):
            pass
"""
    main = """
value, array = context.Value("h"), context.Array("d", 4)
processes = [context.Process(target=add, args=(value, array, 3000)) for _ in range(3)]
for process in processes: process.start()
for process in processes: process.join()
print(value.value, array[:])
"""
    assert prints(tmp_path, definitions, main, method) == "9000 [1500.0, 1500.0, 1500.0, 9000.0]\n"
