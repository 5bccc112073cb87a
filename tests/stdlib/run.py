#!/usr/bin/env python3
"""Run CPython's own multiprocessing tests against a replacement module.  See README.md.

run.py MODULE [--python PY] [--start-method fork] [--select REGEX] [--json OUT] ...
"""

import argparse
import collections
import concurrent.futures
import json
import shutil
import signal
import sys
import time
from pathlib import Path

from bench import Bench
from group import STOP, GroupRun
from judging import COUNTED, EXCLUSIONS, baseline_path, judge, last_line, load_baseline, load_exclusions
from report import print_report, tally


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("module", help="e.g. allcores; or multiprocessing, for the baseline")
    p.add_argument("--python", default=sys.executable, help="Python to test with (has MODULE installed)")
    p.add_argument("--path", action="append", default=[], help="directory to find MODULE in")
    p.add_argument("--start-method", default="fork")
    p.add_argument("--suite", choices=["multiprocessing", "futures"], default="multiprocessing")
    p.add_argument("--executor", help="futures: dotted name of the ProcessPoolExecutor to test")
    p.add_argument("--test-lib", help="a CPython Lib/test to use instead of the installed one")
    p.add_argument("--select", default="", help="regular expression on Class.test")
    p.add_argument("--jobs", type=int, default=1)
    p.add_argument("--timeout", type=float, default=60, help="seconds for one test (default 60)")
    p.add_argument("--exclusions", default=EXCLUSIONS)
    p.add_argument("--json", help="write the full result here")
    p.add_argument("--keep", help="copy generated tests and logs to this directory")
    p.add_argument("--list", action="store_true", help="count the tests, run nothing")
    p.add_argument("--record-baseline", action="store_true")
    args = p.parse_args()
    args.python = shutil.which(args.python) or args.python
    if args.record_baseline and args.select:
        p.error("a baseline wants all tests")
    if args.suite == "futures" and not args.executor:
        args.executor = "concurrent.futures.ProcessPoolExecutor"
    return args


def main():
    args = parse_arguments()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # `run.py &` must not pass SIG_IGN on
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(args)
    try:
        bench.prepare()
        return list_tests(bench) if args.list else work(args, bench)
    finally:
        bench.close()


def list_tests(bench):
    for group, (_, tests) in sorted(bench.groups.items()):
        print(f"{len(tests):4} {group}")
    print(f"{sum(len(tests) for _, tests in bench.groups.values()):4} in {len(bench.groups)} groups")
    return 0


def work(args, bench):
    key = ("futures-" if args.suite == "futures" else "") + args.start_method
    path = baseline_path(bench.probe["python"])
    book = json.loads(path.read_text()) if path.exists() else {}
    baseline = load_baseline(book, key, args.suite)
    exclusions = [] if args.record_baseline else load_exclusions(args.exclusions)

    began = time.monotonic()
    out = blank_result(args, bench, has_baseline=bool(baseline))
    run_groups(args, bench, lambda name, group: take(out, name, group, bench.listing, exclusions, baseline))
    out["secs"] = round(time.monotonic() - began, 1)
    for key_of_list in "failures", "excluded":
        out[key_of_list].sort(key=lambda entry: entry["id"])
    out["baseline_failures"].sort()
    out["totals"] = tally(out["groups"].values())
    out["passed"] = out["totals"]["pass"]
    out["counted"] = sum(out["totals"][column] for column in COUNTED)
    print_report(out)
    if args.json:
        Path(args.json).write_text(json.dumps(out, indent=1))
    if args.record_baseline:
        record(book, key, path, out)
    return 0 if 0 < out["passed"] == out["counted"] and not out["problems"] else 1


def blank_result(args, bench, has_baseline):
    return {
        "module": args.module,
        "version": bench.probe["version"],
        "file": bench.probe["file"],
        "python": bench.probe["python"],
        "suite": args.suite,
        "start_method": args.start_method,
        "has_baseline": has_baseline,
        "borrowed": sorted(bench.tree.borrowed),
        "placeholders": sorted(bench.tree.placeholders),
        "broken": sorted(bench.probe["broken"]),
        "env_changed": [],
        "groups": {},
        "failures": [],
        "excluded": [],
        "baseline_failures": [],
        "problems": [],
    }


def run_groups(args, bench, take_one):
    pool = concurrent.futures.ThreadPoolExecutor(args.jobs)
    runs = [pool.submit(GroupRun(bench, name, *spec).run) for name, spec in bench.groups.items()]
    try:
        for future in concurrent.futures.as_completed(runs):
            take_one(*future.result())
    finally:
        STOP.set()
        pool.shutdown(cancel_futures=True)


def take(out, name, group, listing, exclusions, baseline):
    """Judge the results of one group and add them to the report."""
    counts = collections.Counter()
    touching = listing["groups"].get(name, {"tests": {}})["tests"]  # test: does it touch what is borrowed?
    for test, result in group["tests"].items():
        test_id = f"{name}.{test}"
        borrowed = touching.get(test, False)
        column, reason = judge(test_id, out["start_method"], result, exclusions, baseline, borrowed)
        result["column"] = column
        counts[column] += 1
        if column == "excluded":
            out["excluded"].append({"id": test_id, "outcome": result["outcome"], "reason": reason})
        elif column == "baseline":
            out["baseline_failures"].append(test_id)
        elif column not in ("pass", "skip"):
            line = reason or last_line(result["detail"]) or result["detail"][:300]
            out["failures"].append({"id": test_id, "outcome": column, "line": line})
    group["counts"] = dict(counts)
    out["groups"][name] = group
    out["problems"] += group["problems"]
    out["env_changed"] += [name] * group.pop("env_changed")
    print(f"  {name}: {dict(counts)} {group['secs']} s", file=sys.stderr, flush=True)


def record(book, key, path, out):
    """Add this run to the baseline: every outcome other than pass, with how often it was seen."""
    if out["module"] != "multiprocessing":
        sys.exit("a baseline is recorded with MODULE = multiprocessing")
    entry = book.setdefault(key, {"runs": 0, "tests": {}})
    entry["runs"] += 1
    entry["python"], entry["count"] = out["python"], sum(out["totals"].values())
    for name, group in out["groups"].items():
        for test, result in group["tests"].items():
            if result["outcome"] != "pass":
                seen = entry["tests"].setdefault(f"{name}.{test}", {})
                seen[result["outcome"]] = seen.get(result["outcome"], 0) + 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(book, indent=0, sort_keys=True))


if __name__ == "__main__":
    sys.exit(main())
