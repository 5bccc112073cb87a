"""Threads of BLAS and OpenMP in a pool: the CPUs are divided among the workers, unless the user says otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

import allcores
import pytest
from running import METHODS, guarded, program, run

CPUS = allcores.usable_cpus()
NUMBERS = """
def numbers(_=None):
    import os
    import numpy
    from threadpoolctl import threadpool_info
    numpy.ones((300, 300)) @ numpy.ones((300, 300))
    return sorted({found["num_threads"] for found in threadpool_info()})

"""


def printed(folder: Path, definitions: str, main: str, **environment: str) -> str:
    names = ("OMP", "OPENBLAS", "MKL", "BLIS", "GOTO")
    unset = [word for name in names for word in ("-u", f"{name}_NUM_THREADS")]
    settings = [f"{name}={value}" for name, value in environment.items()]
    outcome = run(
        ["env", *unset, *settings, sys.executable, program(folder, guarded("import allcores\n" + definitions, main))]
    )
    assert (outcome.status, outcome.err) == (0, ""), outcome.err
    return outcome.out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("imported", ["by the main module", "by the task"])
def test_workers_share_the_cpus(imported: str, method: str, tmp_path: Path) -> None:
    main = f"""
context = allcores.get_context({method!r})
with context.Pool(2) as two, context.Pool(1) as one:
    print(two.apply(numbers), one.apply(numbers), numbers())
print(list(allcores.map(numbers, [1], workers=2, start_method={method!r})))
print(list(allcores.map(numbers, [1], workers=2, threads_per_worker=3, start_method={method!r})))
"""
    head = "import numpy\n" if imported == "by the main module" else ""
    half, asked = (
        max(1, CPUS // 2),
        3 if head or method == "fork" else min(3, CPUS),
    )  # OpenBLAS takes no more when loaded
    assert printed(tmp_path, head + NUMBERS, main) == f"[{half}] [{CPUS}] [{CPUS}]\n[[{half}]]\n[[{asked}]]\n"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"])
def test_what_the_user_has_set_stays(variable: str, method: str, tmp_path: Path) -> None:
    main = f"""
with allcores.get_context({method!r}).Pool(2) as pool:
    print(pool.apply(numbers))
"""
    for head in ("", "import numpy\n"):
        assert printed(tmp_path, head + NUMBERS, main, **{variable: f"{CPUS}"}) == f"[{CPUS}]\n"


def test_fewer_that_the_parent_has_set_are_not_made_more(tmp_path: Path) -> None:
    main = """
import threadpoolctl
threadpoolctl.threadpool_limits(1)
with allcores.get_context("fork").Pool(2) as pool:
    print(pool.apply(numbers))
"""
    assert printed(tmp_path, "import numpy\n" + NUMBERS, main) == "[1]\n"


@pytest.mark.parametrize("method", ["fork", "warm"])
def test_no_threads_are_started_before_somebody_computes(method: str, tmp_path: Path) -> None:
    definitions = """
def alive():
    import os
    return len(os.listdir("/proc/self/task"))

"""
    main = f"""
with allcores.get_context({method!r}).Pool(2) as pool:
    print(pool.apply(alive), pool.apply(numbers))
"""
    half = max(1, CPUS // 2)
    assert printed(tmp_path, "import numpy\n" + NUMBERS + definitions, main) == f"1 [{half}]\n"


def test_an_initializer_has_the_last_word(tmp_path: Path) -> None:
    definitions = """
def begin():
    import threadpoolctl
    threadpoolctl.threadpool_limits(4)
"""
    main = """
with allcores.Pool(2, begin) as pool:
    print(pool.apply(numbers))
"""
    assert printed(tmp_path, "import numpy\n" + definitions + NUMBERS, main) == "[4]\n"


def test_nothing_is_loaded_for_that_where_there_is_no_such_library(tmp_path: Path) -> None:
    definitions = """
def loaded():
    import sys
    return "threadpoolctl" in sys.modules, "ctypes" in sys.modules
"""
    main = """
for method in ("warm", "fork", "spawn"):
    with allcores.get_context(method).Pool(2) as pool:
        print(pool.apply(loaded))
"""
    assert printed(tmp_path, definitions, main) == "(False, False)\n" * 3
