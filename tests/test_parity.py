"""Every name and signature of ``multiprocessing`` is in allcores, on every Python of this machine that we support."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROBE = Path(__file__).with_name("parity_probe.py")


def supported_pythons() -> list[str]:
    """This interpreter and each other one on the PATH, or that pyenv or uv installed: one of each 3.11 or newer."""
    candidates = [sys.executable]
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidates += map(str, sorted(Path(folder).glob("python3.*")) if folder else [])
    home = Path.home()
    for pattern in (".pyenv/versions/3.*/bin/python3", ".local/share/uv/python/*/bin/python3"):
        candidates += map(str, sorted(home.glob(pattern)))
    found: dict[tuple[int, int], str] = {}
    for python in candidates:
        if not re.search(r"python(3(\.\d+)?)?$", python) or not shutil.which(python):
            continue
        code = "import sys; print(*sys.version_info[:2], sys.implementation.name, sys.version_info.releaselevel)"
        answer = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=30)
        parts = answer.stdout.split()
        if answer.returncode == 0 and parts[2:] == ["cpython", "final"]:
            version = (int(parts[0]), int(parts[1]))
            if version >= (3, 11):
                found.setdefault(version, python)
    return [found[version] for version in sorted(found)]


@pytest.mark.parametrize("python", supported_pythons())
def test_names_and_signatures_are_those_of_multiprocessing(python: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    answer = subprocess.run([python, str(PROBE)], env=environment, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["differences"] == []


def test_another_system_is_told_what_is_supported() -> None:
    code = "import sys; sys.platform = 'darwin'; import allcores"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert answer.returncode == 1
    assert "ImportError: allcores runs on Linux (x86-64 and aarch64), not on darwin." in answer.stderr
