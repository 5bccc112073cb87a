"""A process of every start method is killed at one instruction of an operation after another: what must hold, holds.

What is done stands in `stepped_operations.py`, what must hold in `survivors.py`, how it goes in `single_step.py`.
"""

import faulthandler
import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from running import METHODS, PYTHON, run
from stepped_operations import OPERATIONS
from stepping import refusal

PROGRAM = Path(__file__).with_name("single_step.py")
SAMPLE = {"fork": 12, "warm": 12, "forkserver": 3, "spawn": 3}
"""How many victims of each operation, a fixed stride apart; `--every-instruction` is for all of them.

By fork there is one, too, at each place where a kill leaves something else than a kill at the next one; with
`--every-outcome` (`make soak`) by every start method.
"""


def kill_at_instructions(method: str, operation: str, most: int, *, telling: bool) -> dict[str, Any]:
    """Run the program. It has a limit for each victim, and all together as long as they like."""
    command: list[str | Path] = [*PYTHON, PROGRAM, method, operation, str(most), *["telling"] * telling]
    outcome = run(command, hang_limit_seconds=None)
    assert outcome.status == 0, f"{method}: {outcome.out}{outcome.err}"
    found: dict[str, Any] = json.loads(outcome.out)
    return found


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> Iterator[dict[tuple[str, str], Future[dict[str, Any]]]]:
    """Begin with all tests of this module that were asked for, in order: each program sleeps half of its time."""
    if why := refusal():
        pytest.skip(why)
    every, every_outcome = (request.config.getoption(f"--every-{what}") for what in ("instruction", "outcome"))
    tests = (item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path)
    names = [str(test.callspec.params["name"]) for test in tests]
    with ThreadPoolExecutor((os.cpu_count() or 1) + 2) as programs:
        yield {
            (name, method): programs.submit(
                kill_at_instructions,
                method,
                name,
                0 if every else SAMPLE[method],
                telling=every_outcome or method == "fork",
            )
            for name in names
            for method in METHODS
        }
        programs.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_survives_a_kill_at_any_instruction_in_children_of_every_start_method(
    name: str, found: dict[tuple[str, str], Future[dict[str, Any]]]
) -> None:
    faulthandler.cancel_dump_traceback_later()  # the program has a limit for each victim
    outcomes: Counter[str] = Counter()
    missed = victims = 0
    for method in METHODS:
        by_method = found[name, method].result()
        print(name, by_method)
        outcomes.update(by_method["outcomes"])
        missed += by_method["missed"]
        victims += by_method["victims"]
    # How often it looks for what it waits for depends on time, and some visits of those instructions are never paid.
    assert missed <= victims // 10, "too many victims never came to where they were to be killed"
    assert outcomes.keys() == OPERATIONS[name].outcomes, "some of what can happen never did"
