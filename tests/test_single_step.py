"""A process of every start method is killed at one instruction of an operation after another: what must hold, holds.

What is done stands in `stepped_operations.py`, what must hold in `survivors.py`, how it goes in `single_step.py`.
"""

import faulthandler
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from running import HANG_LIMIT_SECONDS, METHODS, PYTHON, run
from stepped_operations import OPERATIONS
from stepping import refusal

PROGRAM = Path(__file__).with_name("single_step.py")
SAMPLE = {"fork": 12, "warm": 12, "forkserver": 3, "spawn": 3}
"""How many victims of each operation, a fixed stride apart; `--every-instruction` (`make soak`) is for all of them."""


def kill_at_instructions(method: str, operation: str, most: int) -> dict[str, Any]:
    """Run the program; with all instructions as long as it likes: it has a limit for each victim."""
    limit = HANG_LIMIT_SECONDS if most else None
    outcome = run([*PYTHON, PROGRAM, method, operation, str(most)], hang_limit_seconds=limit)
    assert outcome.status == 0, f"{method}: {outcome.out}{outcome.err}"
    found: dict[str, Any] = json.loads(outcome.out)
    return found


@pytest.fixture(scope="module", autouse=True)
def _can_step() -> None:
    if why := refusal():
        pytest.skip(why)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_survives_a_kill_at_any_instruction_in_children_of_every_start_method(
    name: str, request: pytest.FixtureRequest
) -> None:
    every = request.config.getoption("--every-instruction")
    if every:
        faulthandler.cancel_dump_traceback_later()
    most = {method: 0 if every else SAMPLE[method] for method in METHODS}
    outcomes: Counter[str] = Counter()
    missed = victims = 0
    with ThreadPoolExecutor(len(METHODS)) as methods:  # they sleep most of the time
        for found in methods.map(lambda method: kill_at_instructions(method, name, most[method]), METHODS):
            print(name, found)
            outcomes.update(found["outcomes"])
            missed += found["missed"]
            victims += found["victims"]
    # How often it looks for what it waits for depends on time, and some visits of those instructions are never paid.
    assert missed <= victims // 10, "too many victims never came to where they were to be killed"
    assert outcomes.keys() <= OPERATIONS[name].outcomes
    if every:
        assert outcomes.keys() == OPERATIONS[name].outcomes, "some of what can happen never did"
