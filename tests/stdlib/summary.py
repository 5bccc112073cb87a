"""What is said of several runs: the table at the end of `make conformance`, and docs/conformance.md."""

import os
import platform
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from judging import Rule
from verdict import RunResult, Verdict, merge_failures

HEADINGS = ["method", "passed", "counted", "percent", "floor", "hang", "crash", "borrowed", "newskip", "problems"]
HEADINGS += ["seconds", "verdict"]

DOCUMENT = """\
# Conformance: CPython's own tests of multiprocessing and of executors

Written by `python tests/stdlib/conformance.py --docs`; do not edit by hand. How the tests are made to see allcores,
and what each column means: [tests/stdlib/README.md](../tests/stdlib/README.md).

| | |
|---|---|
{facts}

{table}

Not counted: tests that CPython skips here too with the genuine `multiprocessing`, and the exclusions below. A test that
hangs, kills the test process, is newly skipped, or passes only on a borrowed standard submodule counts as not passed.
*Problems* are set-up and tear-down errors, processes left running and the like, outside any one test.

Rows *futures* are CPython's tests of `ProcessPoolExecutor`. Five of them demand a pool that one death breaks for ever,
and are run with `on_worker_death="break"` instead of `"heal"`, the default: `tests/stdlib/futures_suite.py` says which.

A module of allcores that hands on the standard library's own code passes as that code does: the figures tell how
compatible allcores is, not how much of it is new.

## Counted tests that did not pass

{failures}

## Problems outside any one test

{problems}

## Excluded tests

Not counted, each for the reason given; run all the same, with the outcome in brackets. A name may be limited to one
start method by `@`.

{exclusions}
"""


def rows(results: Sequence[RunResult], verdicts: Sequence[Verdict]) -> list[list[str]]:
    return [
        [
            result.method,
            str(result.passed),
            str(result.counted),
            f"{result.percent:.1f}",
            f"{judged.floor_percent:g}",
            *(str(result.totals.get(column, 0)) for column in ("hang", "crash", "borrowed", "newskip")),
            str(len(result.problems)),
            f"{result.seconds:.0f}",
            "ok" if judged.good else "NOT OK",
        ]
        for result, judged in zip(results, verdicts, strict=True)
    ]


def terminal_summary(results: Sequence[RunResult], verdicts: Sequence[Verdict]) -> str:
    table = [HEADINGS, *rows(results, verdicts)]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEADINGS))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    lines.insert(1, "-" * len(lines[0]))
    failures = merge_failures(results)
    if failures:
        lines += ["", "Not passed:"]
        for failure, methods in failures:
            lines += [f"  {failure.test} [{failure.outcome}: {', '.join(methods)}]", f"      {failure.line}"]
    for result in results:
        if result.problems:
            lines += ["", f"Problems outside any one test, {result.method}:"]
            lines += [f"  {text}" for text in _with_times(result.problems)]
        if result.counted and not result.has_baseline:
            lines += ["", f"{result.method}: no baseline for this Python, so all skips were taken as CPython's own."]
    if not all(judged.good for judged in verdicts):
        lines += ["", "Not good enough:"]
        lines += [f"  {judged.method}: {reason}" for judged in verdicts for reason in judged.reasons]
    return "\n".join(lines)


def last_line(results: Sequence[RunResult]) -> str:
    return f"{sum(r.passed for r in results)} passed, {sum(r.failed for r in results)} failed"


def document(
    results: Sequence[RunResult], verdicts: Sequence[Verdict], exclusions: Sequence[Rule], commit: str, jobs: int
) -> str:
    facts = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, {platform.machine()}",
        "Python": ", for futures ".join(dict.fromkeys(f"CPython {r.python}" for r in results if r.python)),
        "groups run at a time": str(jobs),
    }
    table = ["| " + " | ".join(HEADINGS) + " |", "|---" * len(HEADINGS) + "|"]
    table += ["| " + " | ".join(row) + " |" for row in rows(results, verdicts)]
    failures = [
        f"- `{failure.test}` ({', '.join(methods)}): {failure.outcome}. {_code(failure.line)}"
        for failure, methods in merge_failures(results)
    ]
    problems = [f"- {r.method}: {_code(text)}" for r in results for text in _with_times(r.problems)]
    problems += [f"- {r.method}: {r.trouble}" for r in results if r.trouble]
    return DOCUMENT.format(
        facts="\n".join(f"| {name} | {value} |" for name, value in facts.items()),
        table="\n".join(table),
        failures="\n".join(failures) or "None.",
        problems="\n".join(problems) or "None.",
        exclusions="\n".join(_exclusion(rule, results) for rule in exclusions) or "None.",
    )


def _exclusion(rule: Rule, results: Sequence[RunResult]) -> str:
    pattern, reason = rule
    outcomes = [f"{r.method}: {e.outcome}" for r in results for e in r.excluded if e.reason == reason]
    return f"- `{pattern}`: {reason} ({', '.join(outcomes) or 'not run'})"


def _with_times(texts: Sequence[str]) -> list[str]:
    return [text if times == 1 else f"{text} ({times} times)" for text, times in sorted(Counter(texts).items())]


def _code(text: str) -> str:
    """Text from a test, which markdown shall not interpret."""
    return f"`{text.replace('`', chr(39))}`" if text else ""
