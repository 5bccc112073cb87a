"""Arrays of numpy in shared memory: what they are, what travels as a handle, who may write, and how long they live."""

import copy
import gc
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import allcores
import numpy
import pytest
from allcores import _core
from allcores.arrays import SharedArray
from lock_programs import BY_EVERY_WAY, WORK_BY_ANY_WAY, prints
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from running import METHODS, PYTHON, guarded, program, run

POINT = numpy.dtype([("x", "f8"), ("tag", "S3"), ("at", "i2", (2,))], align=True)
SOURCES = {
    "bool": numpy.array([True, False]),
    "int8": numpy.arange(-3, 3, dtype="i1"),
    "big endian": numpy.arange(5, dtype=">i4"),
    "complex": numpy.array([1 + 2j, 3]),
    "longdouble": numpy.array([1, 2], dtype="g"),
    "time": numpy.array(["2024-02-29", "NaT"], dtype="M8[ns]"),
    "text": numpy.array(["", "zwölf"]),
    "bytes": numpy.array([b"ab", b""]),
    "structured": numpy.array([(1.5, b"abc", (1, 2))], dtype=POINT),
    "C order": numpy.arange(24.0).reshape(2, 3, 4),
    "Fortran order": numpy.asfortranarray(numpy.arange(24.0).reshape(2, 3, 4)),
    "0-d": numpy.array(5.5),
    "no rows": numpy.zeros((0, 3)),
    "no columns": numpy.zeros((3, 0), dtype=POINT),
    "a MB": numpy.arange(131072.0),
    "a MB in Fortran order": numpy.asfortranarray(numpy.arange(131072.0).reshape(32, 4, 1024)),
    "a MB with steps": numpy.arange(262144.0)[::-2],
    "a MB, structured": numpy.zeros(65536, POINT),
}
VIEWS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda array: array,
    "rows": lambda array: array[1:],
    "backwards": lambda array: array[::-2, ::-1],
    "a column": lambda array: array[:, 1],
    "an element": lambda array: array[1, 2:3],
    "nothing": lambda array: array[:0],
    "transposed": lambda array: array.T,
    "reshaped": lambda array: array.reshape(2, -1),
    "flat": lambda array: array.ravel(),
    "0-d": lambda array: array[1, 1, ...],
    "bytes": lambda array: array.view("u1"),
    "real parts": lambda array: array.view("c16").imag,
    "diagonal": lambda array: array.diagonal(),
    "broadcast": lambda array: numpy.broadcast_to(array, (2, 4, 6), subok=True),
    "windows": lambda array: sliding_window_view(array, 2, axis=1, subok=True),
    "strided": lambda array: as_strided(array, (3, 2), (16, 8), subok=True),
}
ORDINARY: dict[str, Callable[[Any], Any]] = {
    "copy": lambda array: array.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "numpy.copy": numpy.copy,
    "chosen": lambda array: array[array > 3],
    "other type": lambda array: array.astype("f4"),
    "sum": lambda array: array + 1,
    "reduction": lambda array: array.sum(axis=0),
    "product": lambda array: array @ array.T,
    "sorted": numpy.sort,
    "joined": lambda array: numpy.concatenate([array, array]),
    "flattened": lambda array: array.flatten(),
    "the same data as numpy's own": numpy.asarray,
}


def grid(writable: bool = False) -> SharedArray:
    return allcores.share(numpy.arange(24.0).reshape(4, 6), writable=writable, name="grid")


def same_memory(one: Any, other: Any) -> bool:
    where = [array.__array_interface__["data"][0] for array in (one, other)]
    return where[0] == where[1] and one.strides == other.strides


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_shared_array_has_shape_dtype_order_and_data_of_its_source(source: Any, writable: bool) -> None:
    shared = allcores.share(source, writable=writable)
    assert type(shared) is SharedArray and shared.flags.writeable is writable
    for array in (shared, pickle.loads(pickle.dumps(shared))):
        assert (array.shape, array.dtype) == (source.shape, source.dtype)
        assert repr(array.tolist()) == repr(source.tolist())
        assert array.flags.forc and array.flags.fnc == source.flags.fnc and array.flags.aligned
    assert same_memory(shared, array) or not source.size


def test_whatever_numpy_takes_for_an_array_can_be_shared() -> None:
    assert allcores.share([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert allcores.share(range(3)).tolist() == [0, 1, 2]
    assert allcores.share(2.5)[()] == 2.5
    assert allcores.share(memoryview(b"ab")).tolist() == [97, 98]
    backwards = allcores.share(numpy.arange(6.0).reshape(2, 3)[::-1, ::2])
    assert backwards.tolist() == [[3, 5], [0, 2]] and backwards.flags.c_contiguous
    with pytest.raises(TypeError, match="share its data and its mask"):
        allcores.share(numpy.ma.masked_array([1, 2], [0, 1]))


def test_later_changes_of_the_source_do_not_show() -> None:
    source = numpy.zeros(3)
    shared = allcores.share(source)
    source[0] = 1
    assert shared.tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", ["O", [("x", "f8"), ("what", "O")]])
def test_python_objects_cannot_be_shared(dtype: Any) -> None:
    for make in (lambda: allcores.share(numpy.zeros(2, dtype)), lambda: allcores.empty(2, dtype)):
        with pytest.raises(TypeError, match="pointers to Python objects, which mean nothing in another process"):
            make()


def test_an_empty_array_is_writable_and_zero_also_where_others_were_before() -> None:
    for _ in range(50):
        arrays = [allcores.empty(length) for length in (0, 1, 100, 5000)]
        for array in arrays:
            assert not array.any()
            array += 1
    assert allcores.empty((2, 3), "i2").shape == (2, 3) and allcores.empty(numpy.int64(4)).shape == (4,)
    assert allcores.empty((), POINT).dtype == POINT and allcores.empty((0, 2)).shape == (0, 2)
    assert allcores.empty(2, ("f4", (3,))).shape == (2, 3) and allcores.empty(2, "U").dtype == "U1"
    assert allcores.empty((2, 3), order="F").flags.f_contiguous
    with pytest.raises(ValueError, match="negative dimension"):
        allcores.empty((2, -1))
    with pytest.raises(ValueError, match="order must be 'C' or 'F'"):
        allcores.empty(2, order="K")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        allcores.empty(2.5)  # type: ignore[arg-type]


def test_an_array_of_several_gigabytes_works_to_its_end() -> None:
    length = 2**31 + 16
    try:
        large = allcores.empty(length, "u1")
    except allcores.ArenaFullError as error:
        pytest.skip(str(error))
    large[-2:] = 7, 8
    end = pickle.loads(pickle.dumps(large[-2:]))
    assert end.tolist() == [7, 8]
    end[0] = 9
    assert large[length - 2] == 9


def test_an_array_without_room_says_so(tmp_path: Path) -> None:
    for shape in (2**45, (2**40, 2**40)):
        with pytest.raises(allcores.ArenaFullError, match="bytes do not fit"):
            allcores.empty(shape)
    source = """
try:
    mp.share([0.0] * 500_000)
except mp.ArenaFullError as error:
    print(error)
print(mp.share([1, 2]))
"""
    file = program(tmp_path, "import allcores as mp" + source)
    outcome = run([*PYTHON, file], environment={"ALLCORES_ARENA_BYTES": "1000000"})
    assert "bytes do not fit" in outcome.out and "limit of 1000000 bytes" in outcome.out
    assert outcome.out.endswith("[1 2]\n"), outcome


def test_a_limit_on_the_size_of_files_does_not_matter(tmp_path: Path) -> None:
    main = """
mp.empty(1)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
print(mp.share(numpy.ones(1_000_000)).sum())
"""
    assert prints(tmp_path, "import resource", "import numpy\n" + main) == "1000000.0\n"


@pytest.mark.parametrize("length", [3, 100_000])
def test_what_is_read_only_stays_so_whatever_is_tried(length: int) -> None:
    shared = allcores.share(numpy.zeros(length))
    again = pickle.loads(pickle.dumps(shared))
    for array in (
        shared,
        again,
        shared[1:],
        shared.view("i8"),
        numpy.asarray(shared),
        shared.base,
        numpy.asarray(again),
    ):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="cannot set WRITEABLE flag to True"):
            array.setflags(write=True)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        shared += 1
    with pytest.raises(TypeError, match="read-only memory"):
        memoryview(shared).cast("B")[0] = 1
    assert not shared.any()


def test_a_writable_array_may_be_shown_read_only_and_writable_again() -> None:
    shared = grid(writable=True)
    shared.setflags(write=False)
    assert not pickle.loads(pickle.dumps(shared)).flags.writeable
    shared.setflags(write=True)
    shared[0, 0] = 5
    assert pickle.loads(pickle.dumps(shared))[0, 0] == 5


@pytest.mark.parametrize("length", [3, 100_000])
def test_code_that_ignores_that_an_array_is_read_only_is_ended_by_the_kernel(length: int) -> None:
    shared = allcores.share(numpy.zeros(length))
    code = "import ctypes, faulthandler; faulthandler.disable(); ctypes.memset(array.ctypes.data, 255, 1)"
    process = allcores.get_context("fork").Process(target=exec, args=(code, {"array": shared}))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGSEGV
    assert not shared.any()


def test_sharing_what_is_shared_copies_only_for_the_right_to_write() -> None:
    read_only, writable = grid(), grid(writable=True)
    assert same_memory(allcores.share(read_only), read_only)
    assert same_memory(allcores.share(writable, writable=True), writable)
    assert same_memory(allcores.share(numpy.asarray(read_only)[1:].T), read_only[1:].T)
    strided = as_strided(read_only, (2, 3), (8, 16), subok=True)
    assert same_memory(allcores.share(strided), strided)
    shown = allcores.share(writable)
    writable[0, 0] = 7
    assert shown[0, 0] == 7 and not shown.flags.writeable and shown.name == "grid"
    copied = allcores.share(read_only, writable=True, name="mine")
    copied[0, 0] = 7
    assert read_only[0, 0] == 0 and copied.name == "mine"
    assert allcores.share(read_only, name="other").name == "other"


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("view_of", VIEWS.values(), ids=VIEWS)
def test_a_view_travels_as_a_handle_to_the_same_memory(view_of: Callable[[Any], Any], writable: bool) -> None:
    shared = grid(writable)
    view = view_of(shared)
    data = pickle.dumps(view)
    assert len(data) < 300
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(view, protocol))
        assert type(again) is SharedArray and again.name == "grid"
        assert (again.shape, again.dtype, again.flags.writeable) == (view.shape, view.dtype, view.flags.writeable)
        assert again.strides == view.strides or not view.size
        assert same_memory(again, view) is (view.flags.writeable is writable) or not view.size
    if writable:
        shared += 1
        assert (again == view).all() and (shared[0, 0] == 1)


@pytest.mark.parametrize("derive", ORDINARY.values(), ids=ORDINARY)
def test_what_has_memory_of_its_own_travels_with_its_data(derive: Callable[[Any], Any]) -> None:
    derived = derive(grid(writable=True))
    again = pickle.loads(pickle.dumps(derived))
    assert type(again) is numpy.ndarray and (again == derived).all()
    assert repr(derived) == repr(again) and "SharedArray" not in repr(derived)
    assert not numpy.shares_memory(again, derived)


def test_what_numpy_computes_is_an_ordinary_array_or_scalar() -> None:
    shared = grid()
    for computed in (shared + 1, -shared, numpy.sqrt(shared), shared.mean(axis=0), shared == 1, shared.copy()):
        assert type(computed) is numpy.ndarray and computed.flags.writeable
    assert type(shared.sum()) is type(shared[0, 0]) is type(allcores.share(1.0) + 1) is numpy.float64
    assert shared.sum() == 276
    assert numpy.divmod(shared, 5)[1][0, 1] == 1


def test_what_is_computed_into_a_shared_array_lies_there() -> None:
    shared = kept = grid(writable=True)
    shared += 1
    assert shared is kept and shared[0, 0] == 1
    assert numpy.multiply(shared, 2, out=shared) is shared and shared[0, 0] == 2
    assert numpy.add(grid(), 1, out=shared) is shared and shared[0, 0] == 1
    row = shared[1]
    row -= row
    assert not shared[1].any() and type(row) is SharedArray
    assert shared.sum(axis=0, out=row) is row


def test_a_deep_copy_is_independent() -> None:
    shared = grid(writable=True)
    copies = copy.deepcopy({"one": shared, "again": shared})
    assert copies["one"] is copies["again"] and type(copies["one"]) is numpy.ndarray
    shared[0, 0] = 7
    assert copies["one"][0, 0] == 0


def test_its_repr_tells_name_and_whether_it_may_be_written() -> None:
    assert repr(allcores.share([1, 2])) == "SharedArray([1, 2], writable=False)"
    assert repr(allcores.empty(2, "f4", name="sums")) == (
        "SharedArray([0., 0.], dtype=float32, name='sums', writable=True)"
    )
    assert str(allcores.share([1, 2])) == "[1 2]"
    assert grid()[1:].name == "grid" and allcores.share([1]).name is None


def test_the_memory_lives_as_long_as_any_view_of_it() -> None:
    view = grid(writable=True)[1:, 2]
    plain = numpy.asarray(grid())[2]
    gc.collect()
    for _ in range(50):
        allcores.empty((4, 6))[:] = -1
    assert view.tolist() == [8, 14, 20] and plain.tolist() == [12, 13, 14, 15, 16, 17]


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_nothing_stays_in_the_arena_of_what_is_dropped(size: int) -> None:
    def account() -> tuple[int, ...]:
        gc.collect()
        return _core.arena_account()[1:]

    allcores.empty(size)
    before = account()
    for writable in (False, True):
        shared = allcores.share(numpy.ones(size), writable=writable)
        views = [shared[1:], shared.view("u1"), numpy.asarray(shared), allcores.share(shared)]
        again = pickle.loads(pickle.dumps(shared))
        assert account()[1] >= before[1] + size * 8
        allcores.arrays.received(shared)
        with pytest.raises(TypeError):
            allcores.share([object()])
        del shared, again, views
        assert account() == before
    allcores.arrays.received(numpy.ones(2))  # type: ignore[arg-type]  # not an array that was sent, which is all right


def forged(**changes: Any) -> bytes:
    """The pickle of a shared array, changed."""
    shared = changes.pop("of")
    rebuild, arguments = shared.__reduce_ex__(4)
    names = ("address", "name", "writable", "shape", "dtype", "offset", "strides")
    parts = dict(zip(names, arguments, strict=True)) | changes
    return pickle.dumps(_Call(rebuild, tuple(parts.values())))


class _Call:
    def __init__(self, function: Any, arguments: tuple[Any, ...]) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


FORGED = {
    "offset behind the end": {"offset": 192},
    "offset before the beginning": {"offset": -8},
    "wild offset": {"offset": 2**62},
    "wilder offset": {"offset": 2**70},
    "more rows": {"shape": (5, 6)},
    "very many rows": {"shape": (2**61, 8)},
    "negative rows": {"shape": (-4, -6)},
    "longer steps": {"strides": (96, 8)},
    "steps backwards": {"strides": (-48, 8)},
    "steps that overflow": {"shape": (2**32 + 1, 1), "strides": (2**32, 8)},
    "no steps at all for two dimensions": {"strides": (8,)},
    "larger elements": {"dtype": numpy.dtype("c16")},
    "Python objects": {"dtype": numpy.dtype("O")},
    "no dtype": {"dtype": 5},
    "no numbers": {"shape": ("4", "6")},
}


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED)
def test_a_damaged_handle_raises_and_never_leads_out_of_its_block(changes: dict[str, Any], writable: bool) -> None:
    data = forged(of=grid(writable), **changes)
    expected = (TypeError, AttributeError) if changes.keys() & {"dtype", "shape"} else ()
    with pytest.raises((allcores.HandleError, ValueError, *expected)):
        pickle.loads(data)


def test_a_handle_with_a_wild_address_raises() -> None:
    shared, lock = grid(), allcores.Lock()
    session, offset, generation = shared._block.address  # type: ignore[union-attr]
    for address in (
        (session, offset, generation + 1),
        (session, offset + 8, generation),
        (session, offset + 64, generation),
        (session, 0, 0),
        (session, 2**63, generation),
        (session, 2**64 - 64, generation),
        (session + 1, offset, generation),
        lock._address(),
    ):
        with pytest.raises((allcores.HandleError, allcores.ArenaCorruptError)):
            pickle.loads(forged(of=shared, address=address))
    for address in ((session, -1, 0), (session, 2**64, 0), (session,), None):
        with pytest.raises((OverflowError, TypeError, ValueError)):
            pickle.loads(forged(of=shared, address=address))
    assert shared.sum() == 276


def test_a_handle_of_another_program_says_so(tmp_path: Path) -> None:
    kept = tmp_path / "pickle"
    main = f"pickle.dump(mp.share([1, 2], name='pair'), open({str(kept)!r}, 'wb'))"
    prints(tmp_path, "", main)
    with pytest.raises(allcores.HandleError, match=r"shared array 'pair' of shape \(2,\).*another session.*copy\(\)"):
        pickle.loads(kept.read_bytes())


def test_a_handle_of_memory_that_is_freed_says_so() -> None:
    shared = grid()
    data = pickle.dumps(shared)
    allcores.arrays.received(shared)
    del shared
    others = [grid() for _ in range(20)]  # of which one may have its place
    with pytest.raises(allcores.HandleError, match=r"'grid' of shape \(4, 6\) and dtype float64 is not there.*no more"):
        pickle.loads(data)
    del others


def test_importing_allcores_does_not_import_numpy() -> None:
    code = (
        "import sys; from allcores import *; import allcores.arrays; share, empty\n"
        "assert 'numpy' not in sys.modules\n"
        "sys.modules['numpy'] = None\n"
        "for name in ('share([1])', 'empty(2)', 'allcores.arrays.SharedArray'):\n"
        "    try: eval(name)\n"
        "    except ImportError as error: print(error)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert answer.stdout.count("pip install numpy") == 3, answer.stdout + answer.stderr


DEFINITIONS = """
import numpy
from allcores import _core

def make():
    return {
        "small": mp.share(numpy.full((3, 4), 7.0), writable=True), "large": mp.empty((500, 600), order="F"),
        "read-only": mp.share(numpy.full(300_000, 7)), "view": mp.empty((40, 50))[3:7, ::2].T,
    }

def write(arrays, number):
    for array in arrays.values():
        if array.flags.writeable:
            array[...] = number

def others(arrays, number):
    return [
        (name, type(array).__name__) for name, array in arrays.items()
        if type(array).__name__ != "SharedArray" or (array != (number if name != "read-only" else 7)).any()
    ]

def objects():
    gc.collect()
    _core.sweep_arena()
    return _core.arena_account()[1], _core.arena_account()[3]
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_child_writes_what_its_parent_reads_and_the_other_way_round(method: str, tmp_path: Path) -> None:
    definitions = """
def work(arrays, connection):
    connection.send(others(arrays, 5))
    write(arrays, 6)
    connection.send("written")
    connection.recv()
    connection.send(others(arrays, 8))

def keep(arrays):
    global kept
    kept = arrays

def work_with_kept():
    write(kept, 9)
    return others(kept, 9)
"""
    main = """
arrays = make()
write(arrays, 5)
ours, theirs = context.Pipe()
process = context.Process(target=work, args=(arrays, theirs))
process.start()
print(ours.recv(), ours.recv(), others(arrays, 6))
write(arrays, 8)
ours.send("written")
print(ours.recv(), process.join())
with context.Pool(1, keep, (arrays,)) as pool:
    print(pool.apply(work_with_kept), others(arrays, 9))
"""
    assert prints(tmp_path, DEFINITIONS + definitions, main, method) == "[] written []\n[] None\n[] []\n"


@pytest.mark.parametrize("method", METHODS)
def test_arrays_travel_through_queues_pipes_and_pools_both_ways(method: str, tmp_path: Path) -> None:
    definitions = """
def task(arrays):
    global made
    found, made = others(arrays, 5), make()
    write(arrays, 6)
    write(made, 4)
    return found, arrays, made
"""
    main = """
def check(way, found, arrays_again, made):
    first = found, others(arrays, 6), others(made, 4)
    write(arrays_again, 9)
    print(way, *first, others(arrays, 9))
    write(arrays, 5)

arrays = make()
write(arrays, 5)
things = arrays
"""
    expected = "".join(f"{way} [] [] [] []\n" for way in ("queue", "pipe", "pool"))
    assert prints(tmp_path, DEFINITIONS + WORK_BY_ANY_WAY + definitions, main + BY_EVERY_WAY, method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_a_child_has_the_memory_when_its_maker_drops_it_and_it_is_freed_after_both(method: str, tmp_path: Path) -> None:
    definitions = """
def work(arrays, connection):
    kept = {name: array[1:] for name, array in arrays.items()}
    arrays.clear()
    connection.send("has them")
    connection.recv()
    connection.send(others(kept, 5))
"""
    main = """
ours, theirs = context.Pipe()
before = objects()
arrays = make()
write(arrays, 5)
process = context.Process(target=work, args=(arrays, theirs))
process.start()
ours.recv()
del arrays
mine = make()
write(mine, 6)
ours.send("dropped")
print(ours.recv(), others(mine, 6))
process.join()
del mine, process
print(objects() == before)
"""
    assert prints(tmp_path, DEFINITIONS + definitions, main, method) == "[] []\nTrue\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_child_gives_back_what_it_had(method: str, tmp_path: Path) -> None:
    definitions = """
def work(arrays, connection):
    mine = make()
    write(arrays, 5)
    connection.send("has them")
    signal.pause()
"""
    main = """
ours, theirs = context.Pipe()
before = objects()
for _ in range(3):
    arrays = make()
    process = context.Process(target=work, args=(arrays, theirs))
    process.start()
    ours.recv()
    had = objects()[0] - before[0]
    process.kill()
    process.join()
    print(had, objects()[0] - before[0], others(arrays, 5))
    del arrays, process
print(objects() == before)
"""
    assert prints(tmp_path, DEFINITIONS + definitions, main, method) == "8 4 []\n" * 3 + "True\n"


def test_what_was_received_is_not_kept_by_who_sent_it(tmp_path: Path) -> None:
    definitions = """
def total(array):
    return array.sum()
"""
    main = """
with context.Pool(1) as pool:
    pool.apply(total, (mp.share([1]),))
    before = objects()
    for _ in range(5):
        batch = mp.share(numpy.ones(1_000_000))
        assert pool.apply(total, (batch,)) == 1_000_000
        mp.arrays.received(batch)
        del batch
    pool.apply(total, (numpy.ones(1),))  # the worker has forgotten the last task's
    print(objects() == before)
"""
    assert prints(tmp_path, DEFINITIONS + definitions, main, "warm") == "True\n"


def test_arrays_are_arguments_of_lambdas_in_a_program_without_a_file() -> None:
    code = guarded(
        "import allcores, numpy",
        """
shared = allcores.empty(3)
process = allcores.Process(target=lambda array: array.__setitem__(0, shared[1] + 5), args=(shared[1:],))
process.start()
process.join()
print(shared, process.exitcode)
""",
    )
    outcome = run([*PYTHON, "-c", code])
    assert outcome.out == "[0. 5. 0.] 0\n", outcome
