"""Every name and signature of ``multiprocessing`` is in allcores, on every Python of this machine that we support."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stdlib.pythons import supported_pythons

ROOT = Path(__file__).parents[1]
PROBE = Path(__file__).with_name("parity_probe.py")


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
