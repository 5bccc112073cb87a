"""A real job: how complex is every function of Python's standard library?

Every ``.py`` file of the running interpreter's standard library (its own tests included when they are
installed) is parsed and measured by a pool of workers; `cyclomatic` has the measure, McCabe's of 1976,
and its definition. The program uses plain `multiprocessing`, so both of these work and give the same result:

    python examples/complexity.py
    python -m allcores run examples/complexity.py
"""

import argparse
import importlib
import json
import os
import platform
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

from cyclomatic import FileReport, FunctionReport, analyse

SUGGESTED_LIMIT = 10  # the upper limit that McCabe 1976 used in practice
TOP = 10
FILES_PER_TASK = 4


class Located(NamedTuple):
    """A file's path relative to the library, and its report; None when the file is not valid Python."""

    path: str
    report: FileReport | None


class Totals(NamedTuple):
    """What the whole library adds up to; `over_limit` counts functions above `SUGGESTED_LIMIT`."""

    files: int
    not_parsed: int
    lines: int
    functions: int
    complexity: int
    over_limit: int


def source_files(library: Path) -> list[str]:
    """List every Python file of the library, relative and sorted, without installed packages."""
    files = (path.relative_to(library) for path in library.rglob("*.py") if path.is_file())
    return sorted(str(path) for path in files if "site-packages" not in path.parts)


def read_and_analyse(library: Path, path: str) -> Located:
    """One task of the pool: read a file and measure its functions."""
    return Located(path, analyse((library / path).read_bytes()))


def analyse_all(library: Path, paths: Sequence[str], processes: int) -> list[Located]:
    """Measure the files in a pool; sorted by path, so the order of completion does not matter."""
    with Pool(processes) as pool:
        results = pool.imap_unordered(partial(read_and_analyse, library), paths, chunksize=FILES_PER_TASK)
        located = sorted(with_progress_bar(results, total=len(paths)), key=lambda one: one.path)
        pool.close()
        pool.join()
    return located


def with_progress_bar(results: Iterable[Located], total: int) -> Iterable[Located]:
    """Show tqdm's bar on a terminal; elsewhere, or without tqdm, pass the results on in silence."""
    if not sys.stderr.isatty():
        return results
    try:
        tqdm = importlib.import_module("tqdm").tqdm
    except ImportError:
        return results
    bar: Iterable[Located] = tqdm(results, total=total, unit="file", desc="measuring", leave=False)
    return bar


def every_function(located: Iterable[Located]) -> Iterator[tuple[str, FunctionReport]]:
    """Each measured function with its file's path."""
    for path, report in located:
        if report is not None:
            for function in report.functions:
                yield path, function


def totals(located: Sequence[Located]) -> Totals:
    """Add up the reports."""
    complexities = [function.complexity for _, function in every_function(located)]
    parsed = [report for _, report in located if report is not None]
    return Totals(
        files=len(located),
        not_parsed=len(located) - len(parsed),
        lines=sum(report.lines for report in parsed),
        functions=len(complexities),
        complexity=sum(complexities),
        over_limit=sum(one > SUGGESTED_LIMIT for one in complexities),
    )


def most_complex(located: Iterable[Located], count: int = TOP) -> list[tuple[str, FunctionReport]]:
    """The functions with the highest complexity; ties in the order of path and line."""
    return sorted(every_function(located), key=lambda one: (-one[1].complexity, one[0], one[1].line))[:count]


def as_json(located: Sequence[Located]) -> str:
    """The whole result as text that is equal, byte by byte, for equal results."""
    document = {
        "python": platform.python_version(),
        "totals": totals(located)._asdict(),
        "most_complex": [{"path": path} | function._asdict() for path, function in most_complex(located)],
        "not_parsed": [path for path, report in located if report is None],
        "functions": [[path, *function] for path, function in every_function(located)],
    }
    return json.dumps(document, indent=0, sort_keys=True) + "\n"


def as_table(located: Sequence[Located]) -> str:
    """The result for people: the sums, then the most complex functions."""
    total = totals(located)
    mean = total.complexity / max(total.functions, 1)
    lines = [
        f"The standard library of Python {platform.python_version()}",
        f"  {total.files:>9,} files, {total.not_parsed} of them not parsed (not valid Python, e.g. data of tests)",
        f"  {total.lines:>9,} lines",
        f"  {total.functions:>9,} functions with a mean complexity of {mean:.2f}",
        f"  {total.over_limit:>9,} functions above McCabe's suggested limit of {SUGGESTED_LIMIT}",
        "",
        "  complexity  function",
    ]
    for path, function in most_complex(located):
        lines.append(f"  {function.complexity:>10}  {function.name} ({path}:{function.line})")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure McCabe's complexity of the standard library's functions.")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="workers in the pool")
    parser.add_argument("--limit", type=int, metavar="N", help="measure only the first N files")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the full result, sorted, to FILE")
    parser.add_argument("--quiet", action="store_true", help="print no table")
    return parser.parse_args()


def main() -> None:
    """Measure, then write and print what was asked for."""
    options = parse_arguments()
    library = Path(sysconfig.get_path("stdlib"))
    located = analyse_all(library, source_files(library)[: options.limit], options.processes)
    if options.json is not None:
        options.json.write_text(as_json(located), encoding="utf-8")
    if not options.quiet:
        print(as_table(located))


if __name__ == "__main__":
    main()
