"""What importing allcores costs, against the modules of the standard library that it takes the place of.

The owed ratio is at most 1.3. Each run is a fresh interpreter with `-X importtime`; what counts is the cumulative time
of the top-level imports, so the interpreter's own start is left out.
"""

from __future__ import annotations

import re
import subprocess
import sys

from harness import machine, measure

OWED_RATIO = 1.3
STANDARD = "import multiprocessing, multiprocessing.pool, concurrent.futures.process"
OURS = "import allcores"


def import_seconds(statement: str) -> float:
    """Run ``statement`` in a fresh interpreter; return what its imports took, in seconds."""
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import sys; sys.stderr.write('begin\\n'); {statement}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    trace = answer.stderr.partition("begin\n")[2]
    # "import time:  self [us] | cumulative | name"; a name at the top level has one space before it.
    top_level = re.findall(r"^import time:\s+\d+ \|\s+(\d+) \| \S+$", trace, re.MULTILINE)
    if not top_level:
        raise RuntimeError(f"no import was traced for {statement!r}:\n{answer.stderr}")
    return sum(map(int, top_level)) / 1e6


def main() -> int:
    """Measure, print, and return 1 if the owed ratio does not hold."""
    contest = measure(
        {"standard": lambda: import_seconds(STANDARD), "allcores": lambda: import_seconds(OURS)}, rounds=30
    )
    ratio = contest.median("allcores") / contest.median("standard")
    print(f"import time: {OURS!r} against {STANDARD!r}\n{machine()}\n{contest.table('standard')}")
    print(f"ratio {ratio:.2f}, owed: at most {OWED_RATIO}: {'holds' if ratio <= OWED_RATIO else 'DOES NOT HOLD'}")
    return int(ratio > OWED_RATIO)


if __name__ == "__main__":
    sys.exit(main())
