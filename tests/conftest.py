"""What holds for every test here."""

import faulthandler
import signal
from collections.abc import Iterator
from typing import Any

import allcores
import hypothesis
import pytest
from running import METHODS

HANG_LIMIT_SECONDS = 600
"""Longer than any test: the building of a wheel on a busy machine. Each program that a test runs has its own limit."""

# No example has a time in which it is to be done.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# Started in the background of a shell, this process ignores Ctrl-C, and so would every program that the tests run.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    outcome = "kill wherever it leaves something else than a kill later on, in children of every start method: hours"
    parser.addoption("--every-outcome", action="store_true", help=outcome)
    every = "kill at every instruction, in children of every start method: days"
    parser.addoption("--every-instruction", action="store_true", help=every)


def pytest_runtest_setup() -> None:
    """Dump every stack and end, should a test hang all the same."""
    faulthandler.dump_traceback_later(HANG_LIMIT_SECONDS, exit=True)


def pytest_runtest_teardown() -> None:
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    """Each start method in turn."""
    return str(request.param)


@pytest.fixture
def pool(method: str) -> Iterator[Any]:
    """A pool of two workers, of each start method in turn."""
    with allcores.get_context(method).Pool(2) as pool:
        yield pool
    pool.join()
