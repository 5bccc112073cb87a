"""The shared dict in several processes, and when they are killed."""

from pathlib import Path

import pytest
from lock_programs import BY_EVERY_WAY, WORK_BY_ANY_WAY, prints
from running import METHODS, PYTHON, run

IMPORT = """
from allcores import _core
from allcores._manager.shared_dict import SharedDict
import datetime
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_dict_can_be_sent_by_any_way_and_is_the_same_everywhere(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + WORK_BY_ANY_WAY
        + """
def task(things):
    for shared in things:
        shared["back"] = shared.pop("there")
        shared.add("count")
    return things

def check(way, *answer):
    for shared, sent in zip(answer, things):
        assert shared._address() == sent._address()
        assert sent.pop("back") == [1]
        sent["there"] = [1]
    print(way, [shared["count"] for shared in answer])
"""
    )
    main = "things = [SharedDict(there=[1], count=0), SharedDict(there=[1], count=5)]\n" + BY_EVERY_WAY
    assert prints(tmp_path, definitions, main, method) == "queue [1, 6]\npipe [2, 7]\npool [3, 8]\n"


@pytest.mark.parametrize("method", METHODS)
def test_keys_are_found_whatever_the_hash_seeds_are(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + """
KEYS = ["text", 1, (1, "a"), b"x", None, 2**70, frozenset(("a", "b")), datetime.date(2020, 1, 1), "k" * 5000]

def look(shared, seed):
    assert all(shared[key] == number for number, key in enumerate(KEYS)), "found"
    shared.update((key, hash("text")) for key in KEYS)
"""
    )
    main = """
shared = SharedDict((key, number) for number, key in enumerate(KEYS))
os.environ["PYTHONHASHSEED"] = "7"  # of children that are spawned
process = context.Process(target=look, args=(shared, 7))
process.start()
process.join()
print(process.exitcode, len(shared), list(shared) == KEYS, len(set(shared.values())))
"""
    assert prints(tmp_path, definitions, main, method) == "0 9 True 1\n"


@pytest.mark.parametrize("method", METHODS)
def test_processes_that_write_at_once_lose_nothing(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + """
def write(shared, number):
    for index in range(3000):
        shared[number, index] = index
        shared.add("all")
        while not shared.compare_and_set("swapped", before := shared["swapped"], before + 1):
            pass
        if index % 3 == 0:
            del shared[number, index]
"""
    )
    main = """
shared = SharedDict(swapped=0)
processes = [context.Process(target=write, args=(shared, number)) for number in range(3)]
for process in processes:
    process.start()
seen = 0
while any(process.is_alive() for process in processes):
    now = shared.get("all", 0)
    assert now >= seen
    seen = now
    items = shared.items()
    assert all(key[1] == value for key, value in items if type(key) is tuple)
for process in processes:
    process.join()
print([process.exitcode for process in processes], shared["all"], shared["swapped"], len(shared))
_core.sweep_arena()
_core.arena_account()
"""
    assert prints(tmp_path, definitions, main, method) == "[0, 0, 0] 9000 9000 6002\n"


@pytest.mark.parametrize("method", METHODS)
def test_what_several_keys_say_is_of_one_moment(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + """
def write(shared):
    for number in range(20000):
        shared.update(first=number, second="x" * (number % 300), third=number)
    shared["end"] = True
"""
    )
    main = """
shared = SharedDict(first=0, second="", third=0)
process = context.Process(target=write, args=(shared,))
process.start()
looks = 0
while "end" not in shared:
    items = shared.copy()
    assert items["first"] == items["third"] and len(items["second"]) == items["first"] % 300, items
    looks += 1
process.join()
print(process.exitcode, looks > 0)
"""
    assert prints(tmp_path, definitions, main, method) == "0 True\n"


def test_a_dict_is_there_in_a_fork_and_goes_with_its_last_process(tmp_path: Path) -> None:
    main = """
keeps = context.Event()  # what is made once only is there from now on
before = _core.arena_account()
shared = SharedDict(array=bytearray(100_000))
array = shared["array"]
pid = forked(lambda: shared.update(there=1) or array.extend(b"x") or len(shared))
assert end_of(pid) == 2
print(shared["there"], len(array), len(shared["array"]))
del shared, array
gc.collect()
_core.sweep_arena()
print(_core.arena_account() == before)
"""
    assert prints(tmp_path, IMPORT, main) == "1 100000 100000\nTrue\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_dict_never_differs_from_its_model_when_its_writers_are_killed(method: str) -> None:
    kills = 10 if method in ("spawn", "forkserver") else 60
    outcome = run([*PYTHON, Path(__file__).with_name("shared_soak.py"), method, str(kills)])
    assert outcome.status == 0, outcome.out + outcome.err
    assert f"{kills} kills" in outcome.out


def test_an_error_for_want_of_memory_says_which_dict_has_it_and_deleting_goes_on(tmp_path: Path) -> None:
    main = """
shared = SharedDict.named("everything")
try:
    for number in range(100_000):
        shared[number] = "v" * 1000
except mp.ArenaFullError as error:
    print("the shared dict 'everything' has" in str(error), len(shared) == number > 1000)
assert shared.keys() == list(range(number)), "what did not fit has changed nothing"
for key in range(number):
    del shared[key]
shared["again"] = "v" * 1000
print(shared.keys())
"""
    assert prints(tmp_path, f"os.environ['ALLCORES_ARENA_BYTES'] = str(16 << 20)\n{IMPORT}", main) == (
        "True True\n['again']\n"
    )


@pytest.mark.parametrize("method", METHODS)
def test_handles_in_a_dict_are_kept_there_and_had_by_whoever_reads_them(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + """
def use(shared):
    with shared["lock"], shared["condition"]:
        shared["queue"].put("put")
    shared["several"][0].set()
    shared["value"].value += 1
    shared["array"][1] = 7
    shared["dict"]["inner"]["count"] += 1
    shared["pipe"].send("sent")
    shared["own"] = [context.Semaphore(5), SharedDict(its="own")]

def store(shared, reader):
    shared.update(
        lock=context.Lock(), condition=context.Condition(), queue=context.JoinableQueue(), value=context.Value("i", 3),
        several=(context.Event(), context.Barrier(2), context.RLock()), array=context.RawArray("d", 3),
        dict=SharedDict(inner=SharedDict(count=0)),
    )
    reader, shared["pipe"] = context.Pipe(False)
    return reader
"""
    )
    main = """
keeps = context.Event()  # what is made once only is there from now on
shared = SharedDict(text="x")
before = _core.arena_account()
for _ in range(2):
    reader = store(shared, None)
    gc.collect()
    for _ in range(2):
        process = context.Process(target=use, args=(shared,))
        process.start()
        process.join()
        assert process.exitcode == 0
    semaphore, own = shared["own"]
    print(shared["queue"].get(), reader.recv(), reader.recv(), shared["several"][0].is_set(), shared["array"][:])
    print(shared["value"].value, shared["dict"]["inner"], own, semaphore.acquire(), len(shared))
    del reader, semaphore, own
    shared["inner"] = shared.pop("dict")
    for key in shared.keys():
        if key != "text":
            del shared[key]
del process
gc.collect()
_core.sweep_arena()
after = _core.arena_account()
print(before[1:] == after[1:], after)
"""
    expected = "put sent sent True [0.0, 7.0, 0.0]\n5 {'count': 2} {'its': 'own'} True 10\n" * 2
    printed = prints(tmp_path, definitions, main, method)
    assert printed.startswith(expected + "True"), printed


@pytest.mark.parametrize("method", METHODS)
def test_what_a_killed_process_has_stored_is_there_with_its_handles(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + """
def store(shared):
    shared["made here"] = SharedDict(lock=context.Lock(), values=[1, 2])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    main = """
shared = SharedDict()
process = context.Process(target=store, args=(shared,))
process.start()
process.join()
with shared["made here"]["lock"]:
    print(process.exitcode, shared["made here"]["values"])
"""
    assert prints(tmp_path, definitions, main, method) == "-9 [1, 2]\n"


def test_a_long_chain_of_dicts_in_dicts_goes_at_once(tmp_path: Path) -> None:
    main = """
keeps = context.Event()
before = _core.arena_account()
shared = SharedDict(end=True)
for _ in range(2000):
    shared = SharedDict(next=shared)
print(shared["next"]["next"])
del shared
gc.collect()
print(_core.arena_account() == before)
"""
    assert prints(tmp_path, IMPORT, main).splitlines()[1:] == ["True"]
