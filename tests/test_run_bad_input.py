"""Bad input to the command line, and bad surroundings: what python users expect, and no traceback of ours."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import ALLCORES, HANG_LIMIT_SECONDS, MODES, PYTHON, Outcome, program, run, started

COMMAND = ALLCORES[:-1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "missing.py"], "allcores: can't open file '{cwd}/missing.py': [Errno 2] No such file or directory\n"),
        (["run"], "no program was named"),
        (["run", "-m"], "-m needs a module's name"),
        (["run", "-c"], "-c needs code to run"),
        (["run", "--start-method"], "--start-method needs a value: warm, fork, spawn or forkserver"),
        (["run", "--start-method", "quick", "-c", "1"], "cannot find context for 'quick'"),
        (["run", "--start-method=quick", "missing.py"], "cannot find context for 'quick'"),
        (["run", "--start-method=quick", "-c", "1"], "the start methods are: fork, forkserver, spawn, warm"),
        (["run", "--nonsense", "-c", "1"], "unknown option '--nonsense'"),
        (["nonsense"], "there is no command 'nonsense'"),
    ],
)
def test_a_wrong_command_line_is_one_clear_error(words: list[str], says: str, tmp_path: Path) -> None:
    outcome = run([*COMMAND, *words], cwd=tmp_path)
    assert outcome.status == 2
    assert outcome.out == ""
    assert says.format(cwd=tmp_path) in outcome.err
    assert outcome.err.startswith("allcores: ")
    assert "Traceback" not in outcome.err


def test_a_complaint_without_standard_error_goes_nowhere() -> None:
    shell = ["sh", "-c", 'exec 2>&-; exec "$@"', "sh"]
    assert run([*shell, *ALLCORES, "missing.py"]) == Outcome(2, "", "")
    assert run([*shell, *ALLCORES, "--nonsense"]) == Outcome(2, "", "")


def test_a_missing_module_is_python_s_own_error() -> None:
    words = ["-m", "no_such_module"]
    assert run([*ALLCORES, *words]) == run([*PYTHON, *words])


def test_help_and_version_are_said() -> None:
    for words in ([], ["--help"], ["help"], ["-h"], ["run", "--help"], ["run", "-h"], ["run", "--report", "-h"]):
        outcome = run([*COMMAND, *words])
        assert (outcome.status, outcome.err) == (0, "")
        assert "usage: allcores run" in outcome.out
    import allcores

    assert run([*COMMAND, "--version"]) == Outcome(0, f"allcores {allcores.__version__}\n", "")


@pytest.mark.parametrize("mode", MODES)
def test_a_read_only_or_missing_home_changes_nothing(mode: str, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a directory, so that root cannot write into it either")
    for home in (tmp_path / "home", tmp_path / "missing"):
        assert _start_a_child(mode, tmp_path, HOME=str(home)) == Outcome(0, "from the child\n0\n", "")


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB without a free byte."""
    folder = tmp_path / "full"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "allcores-test", str(folder)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        with contextlib.suppress(OSError), open(folder / "ballast", "wb", buffering=0) as ballast:
            while True:
                ballast.write(b"x" * 4096)
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("mode", ["default", "warm", "spawn"])
def test_a_full_disk_for_temporary_files_changes_nothing(mode: str, full_disk: Path, tmp_path: Path) -> None:
    outcome = _start_a_child(mode, tmp_path, TMPDIR=str(full_disk), PYTHONDONTWRITEBYTECODE="1")
    assert outcome == Outcome(0, "from the child\n0\n", "")


def _start_a_child(mode: str, folder: Path, **environment: str) -> Outcome:
    source = """\
import multiprocessing
def work(lock):
    with lock:
        print("from the child")
if __name__ == "__main__":
    lock = multiprocessing.Lock()
    process = multiprocessing.Process(target=work, args=(lock,))
    process.start()
    process.join()
    print(process.exitcode)
"""
    return run([*ALLCORES, *MODES[mode], program(folder, source)], environment=environment)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_children_work_ends_parent_and_children(
    mode: str, number: signal.Signals, tmp_path: Path
) -> None:
    source = """\
import multiprocessing, signal, sys
def work(connection):
    connection.send_bytes(b"ready")
    signal.pause()
if __name__ == "__main__":
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=work, args=(sender,), daemon=True)
    process.start()
    receiver.recv_bytes()
    print(process.pid, flush=True)
    process.join()
"""
    words = [*ALLCORES, *MODES[mode], str(program(tmp_path, source))]
    with started(words) as process:
        assert process.stdout is not None
        child = os.pidfd_open(int(process.stdout.readline()))
        os.killpg(process.pid, number)  # the group, as Ctrl-C does
        _, err = process.communicate(timeout=HANG_LIMIT_SECONDS)
        assert process.returncode == -number
        assert _ends(child)
    assert ("KeyboardInterrupt" in err) == (number == signal.SIGINT)
    assert "allcores/cli" not in err


def _ends(pidfd: int) -> bool:
    import select

    with os.fdopen(pidfd):
        return bool(select.select([pidfd], [], [], HANG_LIMIT_SECONDS)[0])


def test_a_signal_that_the_caller_blocked_stays_blocked_as_under_python(tmp_path: Path) -> None:
    blocking = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGUSR1}); "
        "os.execv(sys.executable, sys.argv[1:])"
    )
    file = program(tmp_path, "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))")
    expected, got = (run([sys.executable, "-c", blocking, *command, file]) for command in (PYTHON, ALLCORES))
    assert got == expected
    assert "SIGINT" in got.out


INTERRUPTING = """\
import os, signal, sys
calls_left = int(os.environ.pop("CALLS_BEFORE_CTRL_C"))
begun = False
def at_call(frame, event, argument):
    global begun, calls_left
    if event == "c_call" and argument.__name__ == "pthread_sigmask":
        begun = True  # the first thing that the command does; before it, all is python's own start
    elif begun and event == "call":
        calls_left -= 1
        if calls_left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        if os.path.basename(frame.f_code.co_filename) == "program.py":
            sys.setprofile(None)
            print(calls_left, flush=True)
sys.setprofile(at_call)
"""


def _interrupted(command: list[str], calls: int, folder: Path) -> Outcome:
    """Run a program with Ctrl-C at so many calls of Python functions after the command began."""
    (folder / "sitecustomize.py").write_text(INTERRUPTING)
    environment = {"PYTHONPATH": str(folder), "CALLS_BEFORE_CTRL_C": str(calls)}
    return run([*command, program(folder, "print('the program')")], environment=environment)


@pytest.mark.parametrize(
    "command", [[str(Path(sys.executable).parent / "allcores"), "run"], ALLCORES], ids=["script", "-m"]
)
def test_ctrl_c_at_any_moment_before_the_program_shows_no_frame_of_ours(command: list[str], tmp_path: Path) -> None:
    never = 10**9
    calls_in_all = never - int(_interrupted(command, never, tmp_path).out.splitlines()[0])
    assert calls_in_all > 1000
    near_the_end = range(calls_in_all - 10, calls_in_all)
    for calls in [*range(1, calls_in_all - 10, calls_in_all // 20), *near_the_end]:
        outcome = _interrupted(command, calls, tmp_path)
        assert "the program" not in outcome.out
        assert "allcores" not in outcome.err
        assert outcome.err.endswith("KeyboardInterrupt\n")
        assert outcome.status == -signal.SIGINT
