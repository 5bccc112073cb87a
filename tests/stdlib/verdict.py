"""Is one run of CPython's tests good enough?  Plain functions on plain data: no process is started here."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from judging import COUNTED

CPYTHON_METHOD_FLOOR_PERCENT = 98.0  # fork, spawn, forkserver: what users move to us from
WARM_FLOOR_PERCENT = 95.0  # our own start method: some tests know only CPython's three
FLOOR_PERCENT = {
    "fork": CPYTHON_METHOD_FLOOR_PERCENT,
    "spawn": CPYTHON_METHOD_FLOOR_PERCENT,
    "forkserver": CPYTHON_METHOD_FLOOR_PERCENT,
    "warm": WARM_FLOOR_PERCENT,
}
FUTURES = "futures"  # begins the titles of what is run of that suite
FUTURES_FLOOR_PERCENT = 100.0
NEVER = ("hang", "crash", "borrowed")  # one is too many, whatever the percentage

# Hangs and crashes outside any test are no test's outcome: group.py reports them as problems, in these words.
GRAVE_PROBLEM = re.compile(r": (hang|crash) (at|in) |: worker exit status -\d")


@dataclass(frozen=True)
class Failure:
    """One counted test that did not pass."""

    test: str
    outcome: str
    line: str


@dataclass(frozen=True)
class Excluded:
    """One test that was run, but is not counted whatever its outcome."""

    test: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class RunResult:
    """What one run of run.py came to; without `totals` it produced nothing."""

    method: str
    seconds: float
    totals: Mapping[str, int] = field(default_factory=dict)  # column of the report: tests
    failures: tuple[Failure, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    problems: tuple[str, ...] = ()
    trouble: str = ""  # how run.py itself ended, unless it ended by itself with a result
    has_baseline: bool = True
    module: str = ""  # name, version and file of what was tested
    python: str = ""

    @property
    def passed(self) -> int:
        return self.totals.get("pass", 0)

    @property
    def counted(self) -> int:
        return sum(self.totals.get(column, 0) for column in COUNTED)

    @property
    def failed(self) -> int:
        """Counted tests not passed; a run that counted nothing is itself one failure."""
        return self.counted - self.passed if self.counted else 1

    @property
    def percent(self) -> float:
        return 100 * self.passed / self.counted if self.counted else 0.0


@dataclass(frozen=True)
class Verdict:
    """Good enough, unless there is a reason why not."""

    method: str
    floor_percent: float
    reasons: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not self.reasons


def result_from_json(method: str, seconds: float, out: Mapping[str, Any], trouble: str = "") -> RunResult:
    """The result that run.py wrote; `seconds` is what the whole call took."""
    return RunResult(
        method=method,
        seconds=seconds,
        totals=dict(out["totals"]),
        failures=tuple(Failure(f["id"], f["outcome"], f["line"]) for f in out["failures"]),
        excluded=tuple(Excluded(e["id"], e["outcome"], e["reason"]) for e in out["excluded"]),
        problems=tuple(out["problems"]),
        trouble=trouble,
        has_baseline=bool(out["has_baseline"]),
        module=f"{out['module']} {out['version']} ({out['file']})",
        python=str(out["python"]),
    )


def verdict(result: RunResult, floor_percent: float) -> Verdict:
    reasons = []
    if result.trouble:
        reasons.append(result.trouble)
    if not result.counted:
        reasons.append("no test was counted")
    elif result.percent < floor_percent:
        reasons.append(f"{result.percent:.2f} % passed, below the floor of {floor_percent:g} %")
    reasons += [f"{result.totals[column]} {column}" for column in NEVER if result.totals.get(column)]
    reasons += dict.fromkeys(problem for problem in result.problems if GRAVE_PROBLEM.search(problem))
    return Verdict(result.method, floor_percent, tuple(reasons))


def all_good(verdicts: Iterable[Verdict]) -> bool:
    """True when there is at least one verdict and none is bad."""
    listed = list(verdicts)
    return bool(listed) and all(v.good for v in listed)


def parse_floor(text: str) -> tuple[str, float]:
    """`METHOD=PERCENT`; ValueError when it is anything else."""
    method, equals, percent = text.partition("=")
    floor_percent = float(percent)
    if not (method and equals and 0 <= floor_percent <= 100):
        raise ValueError(f"not METHOD=PERCENT: {text!r}")
    return method, floor_percent


def floors(overrides: Iterable[tuple[str, float]] = ()) -> dict[str, float]:
    return FLOOR_PERCENT | dict(overrides)


def floor_for(method: str, table: Mapping[str, float]) -> float:
    """A method we have no floor for is held to CPython's; executors are, whatever the method, to all of theirs."""
    default = FUTURES_FLOOR_PERCENT if method.startswith(f"{FUTURES} ") else CPYTHON_METHOD_FLOOR_PERCENT
    return table.get(method, default)


def merge_failures(results: Iterable[RunResult]) -> list[tuple[Failure, list[str]]]:
    """Each failure once, with the start methods under which it looks the same."""
    merged: dict[Failure, list[str]] = {}
    for result in results:
        for failure in result.failures:
            merged.setdefault(failure, []).append(result.method)
    return sorted(merged.items(), key=lambda item: (item[0].test, item[1]))
