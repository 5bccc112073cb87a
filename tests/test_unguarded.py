"""A program that starts processes wherever it is imported, without a guard, fails once, and says what to do."""

import re
from pathlib import Path

import pytest
from running import PYTHON, program, run

METHODS = ["warm", "spawn", "forkserver"]
HEAD = """
import sys
import allcores as mp

mp.set_start_method(sys.argv[1], force=True)

def square(number):
    return number * number

"""
ADVICE = 'if __name__ == "__main__":\n        main()\n'


def tracebacks_of(folder: Path, main: str, method: str) -> tuple[str, str]:
    """Run such a program; return what it prints, and its errors."""
    outcome = run([*PYTHON, program(folder, HEAD + main), method])
    return outcome.out, outcome.err


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "use",
    [
        "pool.map(square, [1, 2])",
        "pool.map(square, range(100000), chunksize=1)",
        "pool.apply(square, (1,))",
        "list(pool.imap(square, [1, 2]))",
        "list(pool.imap_unordered(square, [1, 2]))",
        "pool.starmap_async(pow, [(1, 2)] * 10).get()",
        "pool.map(len, ['x' * 1000000] * 5)",
    ],
)
def test_a_pool_fails_once_in_the_program_itself(use: str, method: str, tmp_path: Path) -> None:
    out, errors = tracebacks_of(tmp_path, f"with mp.Pool(3) as pool:\n    {use}\n", method)
    assert out == ""
    assert errors.count("Traceback") == 1 and errors.count(ADVICE) == 1
    assert re.search(r"^RuntimeError: a process was to be started while the main module", errors, re.MULTILINE)


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_that_is_closed_with_tasks_ends(method: str, tmp_path: Path) -> None:
    main = """
pool = mp.Pool(2)
results = [pool.apply_async(square, (1,), error_callback=lambda error: print(type(error).__name__)) for _ in range(3)]
pool.close()
pool.join()
print([result.successful() for result in results])
"""
    out, errors = tracebacks_of(tmp_path, main, method)
    assert out == "RuntimeError\n" * 3 + "[False, False, False]\n"
    assert errors == ""


@pytest.mark.parametrize("method", METHODS)
def test_a_process_says_it_too(method: str, tmp_path: Path) -> None:
    main = "process = mp.Process(target=square, args=(2,))\nprocess.start()\nprocess.join()\nprint(process.exitcode)\n"
    out, errors = tracebacks_of(tmp_path, main, method)
    assert out == "1\n"
    assert errors.count("Traceback") == 1 and errors.count(ADVICE) == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_program_that_catches_the_error_goes_on(method: str, tmp_path: Path) -> None:
    main = """
try:
    with mp.Pool(2) as pool:
        print(pool.map(square, [1, 2, 3]))
except RuntimeError:
    pass
"""
    assert tracebacks_of(tmp_path, main, method) == ("[1, 4, 9]\n", "")


@pytest.mark.parametrize("method", METHODS)
def test_other_errors_of_an_import_are_shown(method: str, tmp_path: Path) -> None:
    main = """
if __name__ == "__main__":
    process = mp.Process(target=square, args=(2,), name="PoolWorker-of-mine")
    process.start()
    process.join()
    print(process.exitcode)
else:
    raise ValueError("another error")
"""
    out, errors = tracebacks_of(tmp_path, main, method)
    assert out == "1\n"
    assert "ValueError: another error" in errors


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_with_workers_of_its_own_kind_has_them(method: str, tmp_path: Path) -> None:
    main = """
import multiprocessing.pool, allcores.pool

class Static(allcores.pool.Pool):
    @staticmethod
    def Process(ctx, *args, **kwargs):
        return ctx.Process(*args, **{**kwargs, "name": "Static"})

class Bound(allcores.pool.Pool):
    def Process(self, ctx, *args, **kwargs):
        return ctx.Process(*args, **{**kwargs, "name": "Bound"})

def name(_):
    return mp.current_process().name

if __name__ == "__main__":
    for kind in (Static, Bound):
        with kind(1) as pool:
            print(pool.map(name, [0]))
"""
    assert tracebacks_of(tmp_path, main, method) == ("['Static']\n['Bound']\n", "")
