"""The Pythons of this machine that allcores supports."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path


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
