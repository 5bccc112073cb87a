"""The rules of the house that a machine can check."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import allcores
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "allcores"
MODULES = sorted(path.relative_to(ROOT / "python") for path in PACKAGE.rglob("*.py"))
RUST = sorted((ROOT / "src").rglob("*.rs"))

# The standard library's modules that allcores hands out as they are; the stub file of each is two lines.
HANDED_ON = {path for path in MODULES if "sys.modules[__name__] = _standard" in (ROOT / "python" / path).read_text()}


def imports_of(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / "python" / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", [p for p in MODULES if p not in HANDED_ON and p.name != "__main__.py"], ids=str)
def test_each_module_says_what_it_exports(path: Path) -> None:
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    assert isinstance(module.__all__, list), "an explicit list"
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    for exported in module.__all__:
        assert hasattr(module, exported)


def test_the_package_has_no_public_name_beside_its_list() -> None:
    submodules = {found.name for found in pkgutil.iter_modules(allcores.__path__)}
    public = {name for name in dir(allcores) if not name.startswith("_")} - submodules
    # Those two: as in multiprocessing; and `from allcores import *` is not to hide the built-in map.
    assert public - {"SUBDEBUG", "SUBWARNING", "map"} == set(allcores.__all__)


@pytest.mark.parametrize("name", ["popen_fork", "util", "dummy", "dummy.connection", "resource_tracker"])
def test_what_is_handed_on_is_the_standard_module_itself(name: str) -> None:
    assert importlib.import_module(f"allcores.{name}") is importlib.import_module(f"multiprocessing.{name}")


def test_the_stub_of_the_core_says_what_the_binary_has() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "allcores._core", "--mypy-config-file", "pyproject.toml"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("path", RUST, ids=lambda path: str(path.relative_to(ROOT)))
def test_rust_floors_go_one_way_down(path: Path) -> None:
    code = re.sub(r"//.*", "", path.read_text())
    floor = path.relative_to(ROOT / "src").parts[0]
    # The hottest methods are functions of Python's C interface, which is all pointers; they have a place of their own.
    if floor != "sys" and "fast" not in (path.stem, path.parent.name):
        assert not re.search(r"\blibc::|\bunsafe\b|\basm!", code), "kernel calls and unsafe live in sys/"
    if floor != "py":
        assert "pyo3" not in code, "PyO3 lives in py/"
    if floor == "sys":
        assert not re.search(r"crate::(?!(sys|bytes|atomics)\b)", code), "sys/ is the lowest floor"


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.parts[1] in ("_zygote", "_pickle", "_pool", "_segments", "_manager")], ids=str
)
def test_private_rooms_do_not_import_the_floors_above(path: Path) -> None:
    # The one way up is deliberate: children carry install() on, and it is what they are told to do, not their own idea.
    below = r"allcores\.(_\w+|errors)(\.|$)"
    above = {name for name in imports_of(path) if name.startswith("allcores.") and not re.match(below, name)}
    assert above <= ({"allcores.managers"} if path.parent.name == "_manager" and path.name == "__init__.py" else set())


@pytest.mark.parametrize("path", [p for p in MODULES if p not in HANDED_ON], ids=str)
def test_kernel_calls_that_python_lacks_go_through_the_core(path: Path) -> None:
    # The last one sets variables of OpenBLAS, which threadpoolctl has loaded by it.
    about_ctypes = path.name in {"sharedctypes.py", "_memory_view.py", "threads.py"}
    assert not {"ctypes", "cffi"} & imports_of(path) or about_ctypes


def test_nothing_waits_by_napping() -> None:
    naps = [str(path) for path in MODULES if re.search(r"\bsleep\(", (ROOT / "python" / path).read_text())]
    naps += [str(path) for path in RUST if "thread::sleep" in path.read_text()]
    assert naps == []


def test_only_names_of_ours_are_at_the_top_of_the_error_tree() -> None:
    from allcores import errors

    for name in errors.__all__:
        error = getattr(errors, name)
        assert issubclass(error, errors.AllcoresError)
        assert name in errors.__doc__, "the tree in the docstring shows it"
        assert getattr(allcores, name) is error
