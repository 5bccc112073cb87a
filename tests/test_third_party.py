"""Programs of others, unmodified, under `allcores run -m`: the same output and exit status as without."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from running import ALLCORES, MODES, PYTHON, Outcome, program, run

PACKAGE = Path(__file__).parents[1] / "python" / "allcores"

PROGRAMS = {
    "black, nothing to do": ["black", "--check", "--line-length", "120", "package"],
    "black, rewriting": ["black", "--line-length", "60", "package"],
    "pylint": [
        "pylint",
        "-j",
        "2",
        "--persistent=n",
        "--disable=all",
        "--enable=W,E",
        "package.cli",
        "package._install",
    ],
    # -q: one file is broken, and only that is told; otherwise processes print into one another's lines
    "compileall": ["compileall", "-q", "-f", "-j", "2", "package"],
}


def _comparable(outcome: Outcome) -> tuple[int, list[str]]:
    """Status and different lines, in any order: workers race, and forked ones can repeat what was not yet written."""
    lines = (outcome.out + outcome.err).splitlines()
    return outcome.status, sorted({re.sub(r"\d+\.\d+s", "…s", line) for line in lines if line})


@pytest.mark.parametrize("mode", ["default", "warm"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_an_unmodified_program_does_the_same(name: str, mode: str, tmp_path: Path) -> None:
    outcomes = []
    for number, command in enumerate(([*PYTHON, "-m"], [*ALLCORES, *MODES[mode], "-m"])):
        folder = tmp_path / str(number) / "package"
        shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        if name == "compileall":
            (folder / "broken.py").write_text("x = (\n")
        environment = {"BLACK_CACHE_DIR": str(tmp_path / str(number) / "cache"), "BLACK_NUM_WORKERS": "2"}
        outcome = run([*command, *PROGRAMS[name]], cwd=folder.parent, environment=environment)
        files = {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*.py")}
        compiled = {file.name for file in folder.rglob("*.pyc")} if "compileall" in PROGRAMS[name] else set()
        printed = _comparable(
            Outcome(outcome.status, *(t.replace(str(folder.parent), "") for t in (outcome.out, outcome.err)))
        )
        outcomes.append((printed, files, compiled))
    assert outcomes[1] == outcomes[0]
    assert outcomes[0][0][1], "it printed something to compare"


@pytest.mark.parametrize("mode", ["default", "warm", "spawn"])
def test_coverage_measures_children(mode: str, tmp_path: Path) -> None:
    text = """\
import multiprocessing
def work():
    print("measured in the child")
if __name__ == "__main__":
    process = multiprocessing.Process(target=work)
    process.start()
    process.join()
    print(process.exitcode)
"""
    file = program(tmp_path, text)
    (tmp_path / ".coveragerc").write_text("[run]\nconcurrency = multiprocessing\nparallel = true\n")
    coverage = [sys.executable, "-m", "coverage"]
    outcome = run([*coverage, "run", "-m", "allcores", "run", *MODES[mode], file], cwd=tmp_path)
    assert outcome == Outcome(0, "measured in the child\n0\n", "")
    assert run([*coverage, "combine", "-q"], cwd=tmp_path).status == 0
    report = run([*coverage, "report", "--include", f"{file}", "--fail-under", "100"], cwd=tmp_path)
    assert report.status == 0, report.out
