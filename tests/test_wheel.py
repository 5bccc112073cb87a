"""The README's way to install: a wheel that works in an environment of its own, without Rust."""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]

PROGRAM = """\
import allcores as multiprocessing

if __name__ == "__main__":
    process = multiprocessing.Process(target=lambda: print("from a child"))
    process.start()
    process.join()
    print(multiprocessing.get_start_method(), multiprocessing.__file__)
"""


def run(*command: str | Path, **environment: str) -> str:
    answer = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert answer.returncode == 0, answer.stdout
    return answer.stdout


def test_the_wheel_installs_and_works_where_there_is_no_rust(tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path / "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("allcores-*.whl")
    assert "-cp311-abi3-" in wheel.name, "one wheel for every Python from 3.11 on"

    home = tmp_path / "environment"
    venv.create(home, with_pip=True)
    # A path on which neither cargo nor a compiler is to be found.
    without_rust = {"PATH": str(home / "bin"), "CARGO_HOME": str(tmp_path), "RUSTUP_HOME": str(tmp_path)}
    run(home / "bin/python", "-m", "pip", "install", "--quiet", wheel, **without_rust)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    printed = run(home / "bin/python", program, **without_rust)
    assert printed.splitlines()[0] == "from a child"
    assert printed.splitlines()[1].startswith(f"warm {home}")
    assert "from a child" in run(home / "bin/allcores", "run", program, **without_rust)
