"""The report of one run, for people."""

import collections
import re

from judging import COLUMNS

FOOTNOTES = {
    "borrowed": "Submodules MODULE lacks, borrowed from the standard library",
    "placeholders": "Names MODULE lacks, needed to import CPython's file",
    "broken": "Submodules of MODULE which fail to import",
    "env_changed": "Groups with CPython's warning of dangling processes, threads or objects",
}


def percent(part, whole):
    return f"{100 * part / whole:.1f}%" if whole else "-"


def tally(groups):
    total = collections.Counter()
    for group in groups:
        total.update(group["counts"])
    return total


def print_report(out):
    print(f"\n{out['module']} {out['version']} ({out['file']})")
    print(f"CPython {out['python']} {out['suite']} tests, start method {out['start_method']}\n")
    print_table(out)
    if out["failures"]:
        print("\nNot passed:")
        for failure in out["failures"]:
            print(f"  {failure['outcome']:8} {failure['id']}\n           {failure['line']}")
    if out["excluded"]:
        print("\nExcluded (not counted; outcome in brackets):")
        for excluded in out["excluded"]:
            print(f"  {excluded['id']} [{excluded['outcome']}]: {excluded['reason']}")
    if out["baseline_failures"]:
        print("\nFail with the genuine multiprocessing too (not counted):")
        for test in out["baseline_failures"]:
            print(f"  {test}")
    if out["problems"]:
        print("\nGroup-level problems (set-up, tear-down, exit, stray processes):")
        for problem, times in sorted(collections.Counter(out["problems"]).items()):
            print(f"  {problem}" + (f"  ({times} times)" if times > 1 else ""))
    for key, title in FOOTNOTES.items():
        if out[key]:
            print(f"\n{title}: {', '.join(out[key])}")
    if not out["has_baseline"]:
        print("\nNo recorded baseline for this Python: skips are all taken as CPython's.")
    counted, passed, borrowed = out["counted"], out["passed"], out["totals"]["borrowed"]
    line = f"\nPASSED {passed} of {counted} = {percent(passed, counted)}"
    if borrowed:
        line += f"  ({passed + borrowed} = {percent(passed + borrowed, counted)} with what is borrowed)"
    print(line)


def print_table(out):
    width = max([len(name) for name in out["groups"]] + [10]) + 1
    head = f"{'group':{width}}{'tests':>6}" + "".join(f"{c[:8]:>9}" for c in COLUMNS) + f"{'sec':>8}"

    def row(name, counts, secs):
        cells = "".join(f"{counts[c] or '.':>9}" for c in COLUMNS)
        print(f"{name:{width}}{sum(counts.values()):>6}{cells}{secs:>8.1f}")

    print(head)
    print("-" * len(head))
    kinds = {}
    for name, group in sorted(out["groups"].items()):
        kind = (re.match(r"With(Processes|Manager|Threads)|ProcessPool", name) or ["other"])[0]
        kinds.setdefault(kind, []).append(group)
        row(name, collections.Counter(group["counts"]), group["secs"])
    print("-" * len(head))
    for kind, members in kinds.items():
        row(f"= {kind}*", tally(members), sum(group["secs"] for group in members))
    row("= TOTAL", tally(out["groups"].values()), out["secs"])
