"""What the README and CONTRIBUTING say to type works as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs/beyond.md",
    "docs/differences.md",
    "examples/README.md",
)


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


COMMANDS = sorted(
    {line[2:] for page in PAGES for block in blocks(page, "console") for line in block.splitlines() if line[:2] == "$ "}
)
PROGRAMS = [block for page in PAGES for block in blocks(page, "python")]


def test_there_is_something_to_type() -> None:
    assert len(COMMANDS) >= 8
    assert len(PROGRAMS) >= 2


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_works(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "pip":
        pytest.skip("test_wheel.py runs it, in an environment of its own")
    if words[0] == "make":
        # Whole they are CI's own work; here, that the word exists and what it would run does.
        words.insert(1, "-n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    answer = subprocess.run(
        words, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_program_runs(program: str, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(program)
    answer = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target
