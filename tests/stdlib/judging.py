"""What a test's outcome counts as.  Plain functions on plain data: no process is started here."""

import fnmatch
import os
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BASELINES = HERE / "baseline"
EXCLUSIONS = HERE / "exclusions.txt"

COUNTED = ("pass", "fail", "error", "hang", "crash", "newskip", "borrowed")  # the denominator
COLUMNS = (*COUNTED, "skip", "excluded", "baseline")  # the last three are not held against MODULE

AFTER = "\nThe test had already met:\n"
EXCEPTION_LINE = re.compile(r"[\w.]+(Error|Exception|Interrupt|Warning|Full|Empty|Exit|Timeout\w*)\b")

Rule = tuple[str, str]  # pattern, reason
Seen = dict[str, dict[str, int]]  # test id: {outcome with the genuine package: how often}


def load_exclusions(path: str | Path) -> list[Rule]:
    """Lines `pattern | reason`; a reason is compulsory."""
    rules = []
    for full_line in Path(path).read_text().splitlines():
        line = full_line.split("#")[0].strip()
        if line:
            pattern, _, reason = map(str.strip, line.partition("|"))
            if not reason:
                sys.exit(f"{path}: no reason given for {pattern}")
            rules.append((pattern, reason))
    return rules


def baseline_path(python_version: str) -> Path:
    return BASELINES / (".".join(python_version.split(".")[:2]) + ".json")


def load_baseline(book: dict[str, Any], key: str, suite: str) -> Seen:
    """What genuine multiprocessing does; for a start method that CPython has not, under any of its own."""
    entries = (
        [book[key]]
        if key in book
        else [entry for k, entry in book.items() if k.startswith("futures-") == (suite == "futures")]
    )
    merged: Seen = {}
    for entry in entries:
        for test, outcomes in entry["tests"].items():
            merged.setdefault(test, {}).update(outcomes)
    return merged


def last_line(detail: str) -> str:
    """The most telling line of a traceback, or of faulthandler's stacks."""
    if detail.startswith("hang"):
        return _where_it_hung(detail)
    lines = [line.strip() for line in detail.splitlines() if line.strip(" -")]
    for line in reversed(lines):  # prefer the exception line to a message's tail
        if EXCEPTION_LINE.match(line):
            return line[:300]
    return lines[-1][:300] if lines else ""


def _where_it_hung(detail: str) -> str:
    before, _, stacks = detail.rpartition("(most recent call first):\n")
    frames = re.findall(r'File "(.*)", line (\d+) in (\w+)', stacks)
    frames = frames[:1] + [f for f in frames if "/test/" in f[0]][:2]  # innermost; test file
    where = " < ".join(f"{name} ({os.path.basename(path)}:{line})" for path, line, name in dict.fromkeys(frames))
    after = before.partition(AFTER)[2].partition("\n@@")[0]
    return f"hang in {where or '?'}" + (f", after {last_line(after)}" if after else "")


def judge(
    test_id: str, method: str, result: dict[str, Any], exclusions: list[Rule], baseline: Seen, borrowed: bool
) -> tuple[str, str]:
    """Map a raw outcome to one column of the report, with a reason where the outcome has none itself."""
    outcome = str(result["outcome"])
    for pattern, reason in exclusions:
        if fnmatch.fnmatchcase(f"{test_id}@{method}", pattern if "@" in pattern else pattern + "@*"):
            return "excluded", reason
    seen = baseline.get(test_id, {})  # outcomes of genuine multiprocessing here
    if outcome == "skip":
        if result["detail"].startswith("setUpModule"):  # "start method not supported"
            return "newskip", last_line(result["detail"])
        return ("skip", "") if not baseline or "skip" in seen else ("newskip", "CPython runs it here")
    if outcome != "pass" and set(seen) - {"skip", "pass"}:
        return "baseline", "also fails with the genuine multiprocessing here"
    if outcome == "pass" and borrowed:
        return "borrowed", "passes on a submodule of the standard library that MODULE lacks"
    return outcome, ""
