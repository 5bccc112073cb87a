"""install() and uninstall(): whose names `multiprocessing` has, and what happens to objects made before."""

from pathlib import Path

import pytest
from running import METHODS, PYTHON, Outcome, program, run


def prints(folder: Path, source: str) -> str:
    """Run a program (the state of the start method is one per process) that must end well; return what it printed."""
    outcome = run([*PYTHON, "-W", "error", program(folder, source)])
    assert (outcome.status, outcome.err) == (0, "")
    return outcome.out


def test_names_of_the_package_are_ours_afterwards(tmp_path: Path) -> None:
    source = """\
import multiprocessing, allcores
before = multiprocessing.Pool
allcores.install()
assert before is not multiprocessing.Pool
for name in multiprocessing.__all__:
    assert getattr(multiprocessing, name) == getattr(allcores, name), name
from multiprocessing import Process
assert Process is allcores.Process
"""
    assert prints(tmp_path, source) == ""


ORDERS = {
    "before install, theirs": "import multiprocessing.{m}\nallcores.install()\n",
    "before install, ours": "import allcores.{m}\nallcores.install()\n",
    "after install, theirs": "allcores.install()\nimport multiprocessing.{m}\n",
    "after install, ours": "allcores.install()\nimport allcores.{m}\n",
    "after install, by name": "allcores.install()\nfrom multiprocessing.{m} import {n}\n",
    "installed twice": "allcores.install()\nimport multiprocessing.{m}\nallcores.install()\n",
    "installed again": "import allcores.{m}\nallcores.install()\nallcores.uninstall()\nallcores.install()\n",
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("module", "name"),
    [("pool", "Pool"), ("pool", "ThreadPool"), ("managers", "SyncManager"), ("sharedctypes", "Value")],
)
def test_names_of_submodules_are_ours_whoever_imports_them_first(
    order: str, module: str, name: str, tmp_path: Path
) -> None:
    check = f"""
import importlib
theirs, ours = importlib.import_module("multiprocessing.{module}"), importlib.import_module("allcores.{module}")
assert theirs.{name} is ours.{name}
assert theirs.__spec__.loader is theirs.__loader__ and type(theirs.__loader__).__name__ == "SourceFileLoader"
assert importlib.reload(importlib.import_module("multiprocessing.dummy"))
"""
    assert prints(tmp_path, "import allcores\n" + ORDERS[order].format(m=module, n=name) + check) == ""


def test_executors_are_ours_too_whenever_they_were_loaded(tmp_path: Path) -> None:
    source = """\
import allcores, concurrent.futures as package
theirs = package.ProcessPoolExecutor
allcores.install()
from concurrent.futures import ProcessPoolExecutor, process
from allcores.futures import ProcessPoolExecutor as ours
assert ProcessPoolExecutor is process.ProcessPoolExecutor is package.ProcessPoolExecutor is ours is not theirs
assert issubclass(ours, theirs)
allcores.uninstall()
assert process.ProcessPoolExecutor is package.ProcessPoolExecutor is theirs
assert theirs.__module__ == "concurrent.futures.process"
"""
    assert prints(tmp_path, source) == ""


@pytest.mark.parametrize(
    "first", ["allcores.errors.WorkerDiedError", "allcores.Pool", "allcores.map", "allcores.ProcessPoolExecutor"]
)
def test_executors_are_ours_whatever_was_imported_first(first: str, tmp_path: Path) -> None:
    source = f"""\
import allcores, allcores.errors
allcores.install()
{first}
from concurrent.futures import ProcessPoolExecutor, process
assert ProcessPoolExecutor is process.ProcessPoolExecutor is allcores.ProcessPoolExecutor
"""
    assert prints(tmp_path, source) == ""


SNAPSHOT = """\
import concurrent.futures.process, importlib, multiprocessing, pkgutil, sys
def snapshot():
    everything = {}
    for found in pkgutil.iter_modules(multiprocessing.__path__):
        if not found.name.endswith("win32"):
            module = importlib.import_module("multiprocessing." + found.name)
            everything.update(((found.name, name), value) for name, value in vars(module).items() if name[:2] != "__")
    for module in (concurrent.futures, concurrent.futures.process):
        everything.update(((module.__name__, name), value) for name, value in vars(module).items() if name[:2] != "__")
    everything.update((("", name), value) for name, value in vars(multiprocessing).items() if name[:2] != "__")
    modules = {(value, "module"): value.__module__ for value in everything.values() if isinstance(value, type)}
    return everything | modules, dict(multiprocessing.context._concrete_contexts), list(sys.meta_path)
"""


def test_uninstall_leaves_everything_as_it_was(tmp_path: Path) -> None:
    source = (
        SNAPSHOT
        + """
import allcores, allcores.pool, allcores.managers, allcores.sharedctypes
before = snapshot()
allcores.install()
during = snapshot()
allcores.uninstall()
after = snapshot()
assert before != during
assert before == after
assert allcores.get_start_method() == "warm"
allcores.uninstall()
assert snapshot() == after
"""
    )
    assert prints(tmp_path, source) == ""


def test_the_default_start_method_stays_the_interpreter_s(tmp_path: Path) -> None:
    source = """\
import multiprocessing
own = type(multiprocessing.context._default_context._default_context)._name
import allcores
allcores.install()
expected = "warm" if own in ("spawn", "forkserver") else own
assert multiprocessing.get_start_method(allow_none=True) is None
assert multiprocessing.get_start_method() == allcores.get_start_method() == expected
assert multiprocessing.get_all_start_methods()[0] == expected
assert type(multiprocessing.get_context()) is type(allcores.get_context(expected))
"""
    assert prints(tmp_path, source) == ""


@pytest.mark.parametrize("method", METHODS)
def test_another_default_can_be_asked_for_and_the_program_still_chooses(method: str, tmp_path: Path) -> None:
    source = f"""\
import multiprocessing, allcores
allcores.install({method!r})
assert multiprocessing.get_start_method(allow_none=True) is None
multiprocessing.set_start_method("spawn")
assert multiprocessing.get_start_method() == allcores.get_start_method() == "spawn"
try:
    multiprocessing.set_start_method("fork")
except RuntimeError as error:
    print(error)
multiprocessing.set_start_method(None, force=True)
assert multiprocessing.get_start_method() == {method!r}
"""
    assert prints(tmp_path, source) == "context has already been set\n"


def test_an_unknown_start_method_names_the_known_ones(tmp_path: Path) -> None:
    source = """\
import multiprocessing, allcores
for attempt in (allcores.install, multiprocessing.get_context, allcores.set_start_method):
    try:
        attempt("quick")
    except ValueError as error:
        print(error)
assert multiprocessing.Pool is not allcores.Pool
"""
    lines = prints(tmp_path, source).splitlines()
    assert len(lines) == 3
    assert "fork, forkserver, spawn, warm" in lines[0]
    assert all(line.startswith("cannot find context for 'quick'") for line in lines)


OLD_OBJECTS = """\
import multiprocessing, multiprocessing.managers, multiprocessing.pool
from multiprocessing import Process, Pool

def work(queue, lock, value):
    with lock:
        value.value += 1
    queue.put("done")

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    queue, lock, value = context.Queue(), context.Lock(), context.Value("i", 0)
    process = context.Process(target=work, args=(queue, lock, value))
    manager = multiprocessing.managers.SyncManager(ctx=context)
    pool = context.Pool(1)
    import allcores
    allcores.install()
    process.start()
    print(queue.get(timeout=30))
    process.join(30)
    print(process.exitcode, value.value, pool.map(abs, [-1]))
    with manager:
        print(manager.list([1, 2]))
    pool.close()
    pool.join()
    with Pool(1) as old_name:
        print(old_name.map(abs, [-3]))
    new = Process(target=work, args=(queue, lock, value)) if {method!r} == "fork" else None
    if new:
        new.start()
        new.join(30)
        print(value.value)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_objects_and_names_from_before_keep_working(method: str, tmp_path: Path) -> None:
    outcome = run([*PYTHON, program(tmp_path, OLD_OBJECTS.format(method=method))])
    expected = "done\n0 1 [1]\n[1, 2]\n[3]\n" + ("2\n" if method == "fork" else "")
    assert outcome == Outcome(0, expected, "")


def test_the_default_of_import_allcores_does_not_move_other_libraries(tmp_path: Path) -> None:
    source = """\
import multiprocessing, allcores
assert allcores.get_start_method() == "warm"
assert multiprocessing.get_start_method() == type(multiprocessing.context._default_context._default_context)._name
assert allcores.get_start_method() == "warm", "a library that used its own default does not move ours either"
assert multiprocessing.get_context("warm") is allcores.get_context("warm")
"""
    assert prints(tmp_path, source) == ""


def test_a_choice_made_through_either_package_counts_for_both(tmp_path: Path) -> None:
    for chooser, other in (("multiprocessing", "allcores"), ("allcores", "multiprocessing")):
        for method in METHODS:
            source = f"""\
import allcores, multiprocessing
{chooser}.set_start_method({method!r})
print({other}.get_start_method(), {other}.get_context()._name, {chooser}.get_start_method())
"""
            assert prints(tmp_path, source) == f"{method} {method} {method}\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver", "warm"])
def test_children_find_allcores_where_only_the_parents_path_leads_to_it(method: str, tmp_path: Path) -> None:
    package = Path(__file__).parents[1] / "python"
    source = f"""\
import sys
sys.path.append({str(package)!r})
import allcores
allcores.install()
import multiprocessing

def work(queue):
    queue.put(multiprocessing.Process is allcores.Process)

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(queue.get(timeout=30))
    process.join(30)
    print(process.exitcode)
"""
    # -S: without site-packages, so that the interpreter itself does not find it.
    outcome = run([*PYTHON, "-S", program(tmp_path, source)])
    assert outcome == Outcome(0, "True\n0\n", "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_uninstall_keeps_what_was_chosen_but_as_the_standard_librarys(method: str, tmp_path: Path) -> None:
    source = f"""\
import multiprocessing, allcores
theirs = type(multiprocessing.get_context({method!r}))
allcores.install()
multiprocessing.set_start_method({method!r})
allcores.uninstall()
assert multiprocessing.get_start_method() == allcores.get_start_method() == {method!r}
assert type(multiprocessing.get_context()) is theirs
"""
    assert prints(tmp_path, source) == ""
