import re
import subprocess
import sys
from dataclasses import replace

import pytest
from conformance import end_with_all_below, run_to_its_end
from futures_suite import BREAKING, MODES, selection
from summary import document, last_line, terminal_summary
from verdict import (
    CPYTHON_METHOD_FLOOR_PERCENT,
    WARM_FLOOR_PERCENT,
    Excluded,
    Failure,
    RunResult,
    all_good,
    floor_for,
    floors,
    merge_failures,
    parse_floor,
    result_from_json,
    verdict,
)

GOOD = RunResult("spawn", seconds=60.0, totals={"pass": 99, "fail": 1, "skip": 30, "excluded": 6, "baseline": 2})
NOTHING = RunResult("fork", seconds=1.0, trouble="run.py wrote no result")


def test_a_run_above_its_floor_is_good():
    assert verdict(GOOD, 98.0).good


def test_a_run_exactly_at_its_floor_is_good():
    assert verdict(replace(GOOD, totals={"pass": 98, "error": 2}), 98.0).good


def test_a_run_below_its_floor_is_bad_and_says_both_figures():
    (reason,) = verdict(replace(GOOD, totals={"pass": 97, "newskip": 3}), 98.0).reasons
    assert "97.00 %" in reason and "98 %" in reason


def test_skipped_excluded_and_baseline_tests_are_not_counted():
    assert (GOOD.passed, GOOD.counted, GOOD.failed) == (99, 100, 1)


@pytest.mark.parametrize("column", ["hang", "crash", "borrowed"])
def test_a_single_hang_crash_or_borrowed_test_is_bad_whatever_the_percentage(column):
    result = replace(GOOD, totals={"pass": 9999, column: 1})
    assert verdict(result, 98.0).reasons == (f"1 {column}",)


@pytest.mark.parametrize(
    "problem",
    [
        "TestPool: hang at interpreter exit",
        "TestPool: hang in tearDownClass/tearDownModule",
        "TestPool: crash in tearDownClass/tearDownModule",
        "TestPool: worker exit status -11",
    ],
)
def test_a_hang_or_crash_outside_any_test_is_bad(problem):
    assert verdict(replace(GOOD, problems=(problem, problem)), 98.0).reasons == (problem,)


def test_a_process_left_running_is_shown_but_not_decisive():
    result = replace(GOOD, problems=("TestPool: left running: python -c pass",))
    judged = verdict(result, 98.0)
    assert judged.good
    assert "left running" in terminal_summary([result], [judged])


@pytest.mark.parametrize("totals", [{}, {"pass": 0}, {"skip": 400}, {"excluded": 7, "baseline": 2}])
def test_a_run_that_counted_no_test_is_bad_even_with_a_floor_of_zero(totals):
    assert "no test was counted" in verdict(replace(GOOD, totals=totals), 0.0).reasons


def test_a_run_without_a_result_says_how_it_ended():
    assert verdict(NOTHING, 98.0).reasons[0] == NOTHING.trouble


def test_a_result_from_a_run_that_had_to_be_killed_is_bad():
    assert not verdict(replace(GOOD, trouble="run.py had not ended after 1800 s"), 98.0).good


def test_no_verdict_at_all_is_not_good():
    assert not all_good([])


def test_one_bad_method_makes_the_whole_bad():
    assert all_good([verdict(GOOD, 98.0)])
    assert not all_good([verdict(GOOD, 98.0), verdict(NOTHING, 98.0)])


def test_warm_has_its_own_floor_and_an_unknown_method_has_cpythons():
    assert floor_for("warm", floors()) == WARM_FLOOR_PERCENT
    assert floor_for("fork", floors()) == floor_for("other", floors()) == CPYTHON_METHOD_FLOOR_PERCENT


def test_executors_have_to_pass_all_of_their_tests():
    assert floor_for("futures warm heal", floors()) == floor_for("futures fork break", floors()) == 100


@pytest.mark.parametrize("select", ["", "ShutdownTest", r"test_killed_child$"])
def test_each_test_of_futures_is_run_in_one_mode(select):
    prefix = "ProcessPoolForkProcessPoolShutdownTest"
    for name in ("test_killed_child", "test_submit", "test_exit_at_task_unpickle"):
        modes = [mode for mode in MODES if re.search(selection(mode, select), f"{prefix}.{name}")]
        wanted = ["break" if name in BREAKING else "heal"] if re.search(select, f"{prefix}.{name}") else []
        assert modes == wanted


def test_a_threshold_replaces_the_floor_of_its_method_only():
    table = floors([parse_floor("warm=97.5")])
    assert table["warm"] == 97.5
    assert table["fork"] == CPYTHON_METHOD_FLOOR_PERCENT


@pytest.mark.parametrize("text", ["warm", "=95", "warm=", "warm=high", "warm=-1", "warm=101", "warm=nan"])
def test_a_threshold_that_is_not_method_and_percent_is_refused(text):
    with pytest.raises(ValueError):
        parse_floor(text)


def test_the_last_line_adds_up_all_methods_and_an_empty_run_is_one_failure():
    assert last_line([GOOD, replace(GOOD, method="warm"), NOTHING]) == "198 passed, 3 failed"


def test_the_document_tells_what_the_excluded_tests_came_to():
    rule = ("TestB.*", "asserts on a private name")
    run = replace(GOOD, excluded=(Excluded("TestB.test_b", "fail", rule[1]),))
    text = document([run], [verdict(run, 98.0)], [rule], commit="abc1234", jobs=1)
    assert "- `TestB.*`: asserts on a private name (spawn: fail)" in text
    assert "abc1234" in text


def test_the_same_failure_under_two_methods_is_listed_once():
    failure, other = Failure("TestWait.test_wait", "fail", "AssertionError"), Failure("TestA.test_a", "hang", "?")
    runs = [replace(GOOD, failures=(failure,)), replace(GOOD, method="warm", failures=(failure, other))]
    assert merge_failures(runs) == [(other, ["warm"]), (failure, ["spawn", "warm"])]


def test_the_result_file_is_read_into_a_result():
    out = {
        "module": "allcores",
        "version": "0.1",
        "file": "/x/allcores/__init__.py",
        "python": "3.11.7",
        "has_baseline": True,
        "totals": {"pass": 5, "error": 1},
        "failures": [{"id": "TestA.test_a", "outcome": "error", "line": "TypeError: x"}],
        "excluded": [{"id": "TestB.test_b", "outcome": "fail", "reason": "private"}],
        "problems": ["TestA: hang at interpreter exit"],
    }
    result = result_from_json("fork", 2.5, out)
    assert (result.passed, result.counted, result.seconds) == (5, 6, 2.5)
    assert result.failures == (Failure("TestA.test_a", "error", "TypeError: x"),)
    assert result.excluded == (Excluded("TestB.test_b", "fail", "private"),)
    assert result.module == "allcores 0.1 (/x/allcores/__init__.py)"


@pytest.mark.parametrize(("status", "trouble"), [(0, ""), (1, ""), (3, "run.py ended with exit status 3")])
def test_only_the_exit_statuses_of_a_result_are_no_trouble(status, trouble):
    assert run_to_its_end([sys.executable, "-c", f"raise SystemExit({status})"], limit_seconds=60) == trouble


def test_a_run_past_its_limit_is_ended_and_says_so():
    trouble = run_to_its_end([sys.executable, "-c", "import time; time.sleep(600)"], limit_seconds=0.2)
    assert trouble == "run.py had not ended after 0.2 s"


def test_ending_a_run_also_ends_workers_that_lead_their_own_session():
    worker = "import time; print('up', flush=True); time.sleep(600)"
    runner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}], start_new_session=True)"
    command = [sys.executable, "-c", runner]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as program:
        assert program.stdout.readline() == b"up\n"
        end_with_all_below(program)
        assert program.stdout.read() == b""  # end of file: nobody is left to write
