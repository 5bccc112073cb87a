"""The shared list in several processes, and when they are killed."""

from pathlib import Path

import pytest
from lock_programs import BY_EVERY_WAY, WORK_BY_ANY_WAY, prints
from running import METHODS, PYTHON, run

IMPORT = """
from allcores import _core
from allcores._manager.shared_dict import SharedDict
from allcores._manager.shared_list import SharedList
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_list_can_be_sent_by_any_way_and_is_the_same_everywhere(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + WORK_BY_ANY_WAY
        + """
def task(things):
    for shared in things:
        shared.append(shared.pop(0))
        shared[0] += 1
    return things

def check(way, *answer):
    for shared, sent in zip(answer, things):
        assert shared._address() == sent._address()
        assert sent.pop() == [1]
        sent.insert(0, [1])
    print(way, [shared[:] for shared in answer])
"""
    )
    main = "things = [SharedList([[1], 0]), SharedList([[1], 5])]\n" + BY_EVERY_WAY
    assert prints(tmp_path, definitions, main, method) == (
        "queue [[[1], 1], [[1], 6]]\npipe [[[1], 2], [[1], 7]]\npool [[[1], 3], [[1], 8]]\n"
    )


@pytest.mark.parametrize("method", METHODS)
def test_processes_that_write_at_once_lose_nothing(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + """
def write(shared, number):
    for index in range(800):
        shared.append((number, index))
        shared.insert(0, (number, -index))
        shared.extend([(number, "gone", index)] * 3)
        if index % 100 == 0:
            shared.sort(key=lambda item: item[0])
        for _ in range(3):
            shared.remove((number, "gone", index))
"""
    )
    main = """
shared = SharedList()
processes = [context.Process(target=write, args=(shared, number)) for number in range(3)]
for process in processes:
    process.start()
while any(process.is_alive() for process in processes):
    items = shared[:]
    for number in range(3):
        gone = [item[2] for item in items if item[0] == number and item[1] == "gone"]
        assert len(gone) <= 3 and len(set(gone)) <= 1, "extended by all three at once"
for process in processes:
    process.join()
items = [[index for owner, index in shared if owner == number] for number in range(3)]
print([process.exitcode for process in processes], len(shared), {tuple(found) for found in items} == {
    (*range(-799, 1), *range(800))
})
_core.sweep_arena()
_core.arena_account()
"""
    assert prints(tmp_path, definitions, main, method) == "[0, 0, 0] 4800 True\n"


@pytest.mark.parametrize("method", METHODS)
def test_each_item_is_popped_by_one_process(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + """
def take(tasks, taken):
    while True:
        try:
            taken.append(tasks.pop(0 if len(taken) % 2 else -1))
        except IndexError:
            return
"""
    )
    main = """
tasks = SharedList([number if number % 5 else bytes(10_000) + str(number).encode() for number in range(6000)])
taken = [SharedList() for _ in range(3)]
processes = [context.Process(target=take, args=(tasks, mine)) for mine in taken]
for process in processes:
    process.start()
for process in processes:
    process.join()
all = [item if isinstance(item, int) else int(item[10_000:]) for mine in taken for item in mine]
print([process.exitcode for process in processes], sorted(all) == list(range(6000)), len(tasks))
"""
    assert prints(tmp_path, definitions, main, method) == "[0, 0, 0] True 0\n"


@pytest.mark.parametrize("method", METHODS)
def test_what_is_in_a_list_in_a_dict_is_kept_with_it(method: str, tmp_path: Path) -> None:
    definitions = (
        IMPORT
        + """
def fill(shared):
    inner = SharedList([1])
    inner.append(context.Event())
    inner *= 2
    shared["inner"] = SharedList([inner])
"""
    )
    main = """
keeps = context.Event()
before = _core.arena_account()
shared = SharedDict()
process = context.Process(target=fill, args=(shared,))
process.start()
process.join()
del process
_core.sweep_arena()
inner = shared["inner"][0]
print(inner[0], inner[1].is_set(), len(inner))
inner[3].set()
print(inner[1].is_set())
del shared, inner
gc.collect()
_core.sweep_arena()
print(_core.arena_account() == before)
"""
    lines = prints(tmp_path, definitions, main, method).splitlines()
    assert lines[:2] == ["1 False 4", "True"]
    if method == "fork":  # the others keep what their processes are started by
        assert lines[2:] == ["True"]


def test_an_error_for_want_of_memory_says_which_list_has_it_and_popping_goes_on(tmp_path: Path) -> None:
    main = """
shared = SharedList.named("everything")
try:
    for number in range(100_000):
        shared.append("v" * 1000)
except mp.ArenaFullError as error:
    print("the shared list 'everything' has" in str(error), len(shared) == number > 1000)
for times in (2, 10**15):
    try:
        shared *= times
    except mp.ArenaFullError:
        print(len(shared) == number, "what does not fit changes nothing")
for key in range(number):
    shared.pop()
shared.append("again")
print(shared)
"""
    assert prints(tmp_path, f"os.environ['ALLCORES_ARENA_BYTES'] = str(16 << 20)\n{IMPORT}", main) == (
        "True True\n" + 2 * "True what does not fit changes nothing\n" + "['again']\n"
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_list_never_differs_from_its_model_when_its_writers_are_killed(method: str) -> None:
    kills = 10 if method in ("spawn", "forkserver") else 60
    outcome = run([*PYTHON, Path(__file__).with_name("shared_soak.py"), method, str(kills), "list"])
    assert outcome.status == 0, outcome.out + outcome.err
    assert f"{kills} kills" in outcome.out


@pytest.mark.parametrize("method", ["fork", "warm"])
def test_a_dict_and_a_list_are_what_hypothesis_s_model_is_whatever_four_processes_do(method: str) -> None:
    command: list[str | Path] = [*PYTHON, Path(__file__).with_name("shared_model.py"), method, "30"]
    outcome = run(command, hang_limit_seconds=None)  # it has a limit for each example
    assert outcome.status == 0, outcome.out + outcome.err
    assert f"{method}: " in outcome.out
