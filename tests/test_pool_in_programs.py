"""Pools of programs that know nothing of allcores, by every start method."""

from pathlib import Path

import pytest
from running import ALLCORES, METHODS, Outcome, program, run

PROGRAM = """
import multiprocessing

def square(number):
    return number * number

def fail(number):
    raise ValueError(f"bad {number}")

if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(pool.map(square, range(5)), pool.apply(square, (3,)), sorted(pool.imap_unordered(square, range(4))))
        try:
            pool.map(fail, [1])
        except ValueError as error:
            print(error)
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_works_under_allcores_run(method: str, tmp_path: Path) -> None:
    outcome = run([*ALLCORES, "--start-method", method, program(tmp_path, PROGRAM)])
    assert outcome == Outcome(0, "[0, 1, 4, 9, 16] 9 [0, 1, 4, 9]\nbad 1\n", "")
