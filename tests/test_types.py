"""Type checkers and editors see in allcores what they see in multiprocessing, and what is ours besides."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import mypy
import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = Path(__file__).with_name("typed_program.py")
STUBS = Path(mypy.__file__).parent / "typeshed" / "stdlib" / "multiprocessing"


def checked(*files: Path) -> list[str]:
    """What mypy --strict has to say about these files."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", *map(str, files)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert answer.stderr == ""
    return answer.stdout.splitlines()


def with_allcores(folder: Path) -> Path:
    """The program with its imports replaced."""
    file = folder / "program_with_allcores.py"
    file.write_text(PROGRAM.read_text().replace("multiprocessing", "allcores"))
    return file


def public_names(body: list[ast.stmt]) -> set[str]:
    """The public names that a stub defines, whatever the version and system."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names if alias.name == alias.asname}
        elif isinstance(node, ast.If):
            found |= public_names(node.body) | public_names(node.orelse)
    return {name for name in found if not name.startswith("_")}


def names_of_the_stubs() -> list[tuple[str, str]]:
    """Module, relative to the package, and name."""
    names = []
    for path in sorted(STUBS.rglob("*.pyi")):
        parts = [part for part in path.relative_to(STUBS).with_suffix("").parts if part != "__init__"]
        if not path.stem.endswith("win32"):
            module = "".join(f".{part}" for part in parts)
            names += [(module, name) for name in sorted(public_names(ast.parse(path.read_text()).body))]
    return names


def imports(package: str, names: list[tuple[str, str]], file: Path) -> tuple[dict[int, str], dict[int, str]]:
    """By the name's number: what is wrong with importing it from a package, and what its type is."""
    lines = [f"from {package}{module} import {name} as name{number}" for number, (module, name) in enumerate(names)]
    lines += [f"reveal_type(name{number})" for number in range(len(names))]
    file.write_text("\n".join(lines))
    errors, types = {}, {}
    for line in checked(file):
        found = re.fullmatch(r".*:(\d+): (error|note): (.*)", line)
        assert found is not None, line
        number = int(found[1]) - 1
        if number < len(names):
            errors[number] = found[3]
        elif "Revealed type" in found[3]:
            types[number - len(names)] = found[3]
    return errors, types


def test_a_typed_program_passes_with_either_package(tmp_path: Path) -> None:
    assert checked(PROGRAM, with_allcores(tmp_path)) == []


def test_the_typed_program_runs(tmp_path: Path) -> None:
    # With allcores on every Python; the standard queues can be subscripted from 3.12 on.
    command = [sys.executable, str(with_allcores(tmp_path))]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr


def test_every_name_of_the_stubs_can_be_imported_with_its_type(tmp_path: Path) -> None:
    names = names_of_the_stubs()
    assert len(names) > 200
    standard_errors, standard_types = imports("multiprocessing", names, tmp_path / "standard.py")
    errors, types = imports("allcores", names, tmp_path / "ours.py")
    assert {names[number]: error for number, error in errors.items() if number not in standard_errors} == {}
    nothing = 'Revealed type is "Any"'
    unknown = {number for number, shown in types.items() if shown == nothing and standard_types[number] != nothing}
    assert {names[number] for number in unknown - set(standard_errors)} == set()


def test_what_is_ours_has_types_too(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(
        """
import allcores

queue: allcores.Queue[int] = allcores.Queue(maxbytes=1000, name="numbers")
queue.put_many([1, 2])
got: list[int] = queue.get_many(2)
for number in queue:
    got.append(number)
warm = allcores.get_context("warm")
process = warm.Process(target=print, max_memory_bytes=1 << 30)
process.start()
process.detach()
sizes: list[int] = list(allcores.map(len, ["one", "two"], timeout=1))
outcomes: list[int | BaseException] = list(allcores.map(len, ["one", "two"], on_error="return"))
lock = warm.Lock(name="accounts", recover=False)
queue.put("text")
"""
    )
    (error,) = checked(file)
    assert 'Argument 1 to "put" of "Queue" has incompatible type "str"; expected "int"' in error


MANAGED = """
from __future__ import annotations

from array import array
from collections.abc import Sequence
from multiprocessing import managers as standard

import allcores
from allcores.managers import DictProxy, ListProxy, SetProxy, SyncManager, ValueProxy


def use(m: SyncManager) -> None:
    d: DictProxy[str, int] = m.dict({"k": 1})
    total: int = d.add("k", 1) + d.add("other")
    was_set: bool = d.compare_and_set("k", total, 7)
    with d.transaction():
        d["k"] -= 1
    with d.transaction() as same:
        total = same["k"]
    both: dict[str, int] = d | {"more": 2}
    as_ever: standard.DictProxy[str, int] = d
    for pair in (m.dict(a=1.5), m.dict([("a", 1.5)]), m.dict({"a": 1.5}, b=2.5)):
        amount: float = pair.add("a", 0.5)
    tree = m.dict(nested=True)
    tree["a"] = {}
    tree["a"]["b"] = [1]
    tree["a"]["b"].append(2)
    named: DictProxy[str, object] = m.dict({"a": {"b": 1}}, nested=True)
    with tree.transaction():
        tree.add("count")
    value: ValueProxy[int] = m.Value("i", 1)
    total = value.add() + value.add(2)
    was_set = value.compare_exchange(total, 3)
    value.value += 1
    items: ListProxy[str] = m.list(["a"])
    copied: list[str] = items.copy()
    some: SetProxy[int] = m.set([1])
    some |= {2}
    some.update([3], {4})
    numbers: set[int] = some.copy() | (some - {1})
    shared = m.Array("i", [1, 2, 3])
    shared[0] = shared[1] + len(shared)
    shared[0:2] = array("i", [1, 2])
    plain: Sequence[int] = shared
    ns = m.Namespace(x=1)
    ns.x += 1
    print(total, was_set, both, as_ever, amount, tree, named, value, copied, sorted(numbers), plain[2], ns)


if __name__ == "__main__":
    with allcores.Manager() as manager:
        use(manager)
"""


def test_what_managers_give_has_types_too(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(MANAGED)
    assert checked(file) == []
    answer = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=120)
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("m.dict(a=1).add('a', 'text')", 'Argument 2 to "add" of "DictProxy" has incompatible type "str"'),
        ("m.dict(a=1).compare_and_set(1, 2, 3)", 'Argument 1 to "compare_and_set" of "DictProxy"'),
        ("m.dict(a=1).ad", '"DictProxy[str, int]" has no attribute "ad"'),
        ("m.Value('i', 0).add('text')", 'Argument 1 to "add" of "ValueProxy" has incompatible type "str"'),
        ("m.set([1]).add('text')", 'incompatible type "str"; expected "int"'),
    ],
)
def test_what_managers_do_not_take_is_told(wrong: str, error: str, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(f"import allcores\n\nm = allcores.Manager()\n{wrong}\n")
    (line,) = checked(file)
    assert error in line


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("share([1])", {"name", "shape", "mean"}),
        ("empty(3)", {"name", "shape", "mean"}),
        ("deadlocks()[0]", {"waits"}),
        ("Queue()", {"put_many", "aget"}),
        ("map(len, [])", {"close"}),
        ("Pipe()[0]", {"send", "recv"}),
        ("get_context('warm')", {"Process", "Lock"}),
        ("Manager().dict()", {"add", "transaction", "items"}),
        ("Manager().Value('i', 0)", {"add", "compare_exchange", "get"}),
    ],
)
def test_editors_complete(expression: str, names: set[str]) -> None:
    jedi = pytest.importorskip("jedi")
    script = jedi.Script(f"import allcores\nallcores.{expression}.", project=jedi.Project(ROOT / "python"))
    assert names <= {completion.name for completion in script.complete()}
