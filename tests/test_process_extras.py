"""What our processes have besides the standard ones': reasons for their end, limits, detaching."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import allcores
import pytest
from allcores._zygote.account import MemoryWatch
from running import HANG_LIMIT_SECONDS, METHODS, PYTHON, guarded, program, run

HEAD = "import ctypes, faulthandler, os, signal, sys, time\nimport allcores as mp\n"


def prints(folder: Path, definitions: str, main: str) -> str:
    text = guarded(HEAD + definitions, f"faulthandler.dump_traceback_later(50, exit=True)\n{main.strip()}")
    outcome = run([*PYTHON, program(folder, text)])
    assert outcome.status == 0, outcome.err
    return outcome.out


REASONS = {
    # what the target does: (exit reason in words, exception's type, function in the stack)
    "pass": ("exit code 0", None, None),
    "sys.exit(3)": ("exit code 3", None, None),
    "os._exit(4)": ("exit code 4", None, None),
    "os.kill(os.getpid(), signal.SIGKILL)": ("killed by SIGKILL", None, None),
    "os.kill(os.getpid(), signal.SIGRTMIN + 2)": ("killed by signal 36", None, None),
    "raise LookupError('not here')": ("exit code 1: LookupError: not here", "LookupError", None),
    "ctypes.string_at(0)": ("killed by SIGSEGV; its Python stack is in exit_reason.stack", None, "in work"),
    "os.abort()": ("killed by SIGABRT; its Python stack is in exit_reason.stack", None, "in work"),
}


@pytest.mark.parametrize("act", REASONS)
def test_the_exit_reason_tells_why_a_warm_process_ended(act: str, tmp_path: Path) -> None:
    words, exception, frame = REASONS[act]
    main = f"""
sys.stderr.flush()
p = mp.Process(target=work)
print(p.exit_reason)
p.start(); p.join(30)
reason = p.exit_reason
print(reason)
print(reason.exception and reason.exception.type_name)
print(reason.exception is None or 'in work' in reason.exception.traceback)
print(reason.stack is not None and {frame!r} in reason.stack if {frame!r} else reason.stack)
"""
    expected = f"None\n{words}\n{exception}\nTrue\n{True if frame else None}\n"
    assert prints(tmp_path, f"def work(): {act}", main) == expected


@pytest.mark.parametrize(
    ("hook", "out", "err"),
    [
        ("print('hook:', kind.__name__, error)", "hook: LookupError not here\n1\n", ""),
        ("raise OSError('in the hook')", "1\n", "LookupError: not here"),
    ],
)
def test_an_excepthook_of_the_program_shows_what_ends_a_child(hook: str, out: str, err: str, tmp_path: Path) -> None:
    definitions = f"""
def hook(kind, error, traceback): {hook}
sys.excepthook = hook
def work(): raise LookupError("not here")
"""
    text = guarded(HEAD + definitions, "p = mp.Process(target=work)\np.start(); p.join(30); print(p.exitcode)")
    outcome = run([*PYTHON, program(tmp_path, text)])
    assert (outcome.status, outcome.out) == (0, out)
    assert err in outcome.err and ("Process-1" in outcome.err) == bool(err)


def test_a_limit_that_the_process_ran_into_is_named(tmp_path: Path) -> None:
    main = """
p = mp.Process(target=bytes, args=(10**9,), max_memory_bytes=500_000_000)
p.start(); p.join(30)
print(p.exit_reason)
"""
    assert prints(tmp_path, "", main).endswith("MemoryError; it was limited to max_memory_bytes=500000000\n")


@pytest.mark.parametrize("method", METHODS)
def test_a_limit_that_the_kernel_refuses_is_named_and_nothing_runs(method: str, tmp_path: Path) -> None:
    definitions = """
def refuse(*_): raise PermissionError(13, "Permission denied")
os.setpriority = refuse
"""
    main = f"""
p = mp.get_context({method!r}).Process(target=print, args=("it ran",), niceness=-5, name="child")
p.start(); p.join(30)
print(p.exit_reason)
"""
    outcome = run([*PYTHON, program(tmp_path, guarded(HEAD + definitions, main))])
    refusal = "niceness=-5 is refused: Permission denied. Less than the parent's niceness takes CAP_SYS_NICE"
    known = f": PermissionError: [Errno 13] {refusal}" if method == "warm" else ""
    assert outcome.out == f"exit code 1{known}\n"
    assert outcome.err == f"Process child was not run: {refusal}\n"


@pytest.mark.parametrize("method", METHODS)
def test_every_start_method_names_the_signal(method: str, tmp_path: Path) -> None:
    main = f"""
p = mp.get_context({method!r}).Process(target=time.sleep, args=(100,))
p.start(); p.terminate(); p.join(30); print(p.exit_reason, p.exit_reason.signal_name)
"""
    assert prints(tmp_path, "", main) == "killed by SIGTERM SIGTERM\n"


def test_a_child_that_cannot_begin_says_which_import_failed(tmp_path: Path) -> None:
    definitions = """
if __name__ != "__main__":
    import a_module_that_is_not_there
def work(): pass
"""
    main = "p = mp.Process(target=work); p.start(); p.join(30); print(p.exit_reason)"
    expected = "exit code 1: ModuleNotFoundError: No module named 'a_module_that_is_not_there'\n"
    assert prints(tmp_path, definitions, main) == expected


@pytest.mark.parametrize("method", METHODS)
def test_limits_hold_in_the_child_alone(method: str, tmp_path: Path) -> None:
    definitions = """
import os
def work():
    cpus, niceness = sorted(os.sched_getaffinity(0)), os.getpriority(os.PRIO_PROCESS, 0)
    print(cpus, niceness, os.environ.get("OMP_NUM_THREADS"), flush=True)
    try:
        b"x" * 10**9
    except MemoryError:
        print("MemoryError", flush=True)
"""
    main = f"""
before = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
p = mp.get_context({method!r}).Process(
    target=work, max_memory_bytes=500_000_000, cpu_affinity=[0], niceness=5, threads=3)
p.start(); p.join(30); print(p.exitcode)
assert before == (os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0))
"""
    assert prints(tmp_path, definitions, main) == "[0] 5 3\nMemoryError\n0\n"


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ({"max_memory_bytes": 0}, "max_memory_bytes"),
        ({"cpu_affinity": [4711]}, "cpu_affinity"),
        ({"cpu_affinity": []}, "cpu_affinity"),
        ({"niceness": 20}, "niceness"),
        ({"threads": 0}, "threads"),
        ({"threads": 1.5}, "threads"),
        ({"threads": True}, "threads"),
        ({"max_memory_bytes": "1G"}, "max_memory_bytes"),
        ({"max_memory_bytes": 2**63}, "max_memory_bytes"),
        ({"cpu_affinity": 0}, "cpu_affinity"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_where_it_is_written(limits: dict[str, object], word: str) -> None:
    with pytest.raises((ValueError, TypeError), match=word):
        allcores.Process(target=int, **limits)


def test_usable_cpus_follow_the_affinity() -> None:
    before = os.sched_getaffinity(0)
    assert 1 <= allcores.usable_cpus() <= len(before)
    assert allcores.cpu_count() == allcores.usable_cpus()
    try:
        os.sched_setaffinity(0, {min(before)})
        assert allcores.usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize("how", ["exits", "is killed"])
def test_a_detached_process_outlives_its_program_and_others_do_not(how: str, tmp_path: Path) -> None:
    text = f"""{HEAD}
def work(): signal.pause()
if __name__ == "__main__":
    detached, other = mp.Process(target=work), mp.Process(target=work, daemon=True)
    detached.start(); other.start()
    detached.detach()
    print(detached.pid, other.pid, flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, str(program(tmp_path, text))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as root:
        assert root.stdin is not None and root.stdout is not None
        detached, other = (os.pidfd_open(int(pid)) for pid in root.stdout.readline().split())
        if how == "exits":
            root.stdin.close()
        else:
            root.kill()
        assert select.select([other], [], [], HANG_LIMIT_SECONDS)[0], "it outlived its program"
        root.wait()
        assert not select.select([detached], [], [], 0.3)[0], "it ended with its program"
        signal.pidfd_send_signal(detached, signal.SIGKILL)
        assert select.select([detached], [], [], HANG_LIMIT_SECONDS)[0]
    os.close(detached)
    os.close(other)


def test_a_detached_process_of_an_earlier_zygote_can_start_processes_when_its_program_is_gone(tmp_path: Path) -> None:
    text = f"""{HEAD}
def grandchild(): sys.exit(8)
def work(root, path):
    while os.path.exists(f"/proc/{{root}}"): time.sleep(0.01)
    p = mp.Process(target=grandchild); p.start(); p.join(30)
    with open(path + ".new", "w") as file: file.write(str(p.exitcode))
    os.rename(path + ".new", path)
if __name__ == "__main__":
    p = mp.Process(target=work, args=(os.getpid(), sys.argv[1])); p.start()
    os.utime(__file__)  # the next start is from another zygote
    q = mp.Process(target=int); q.start(); q.join(30)
    p.detach()
"""
    result = tmp_path / "result"
    subprocess.run([sys.executable, str(program(tmp_path, text)), str(result)], check=True, timeout=HANG_LIMIT_SECONDS)
    deadline = time.monotonic() + HANG_LIMIT_SECONDS
    while not result.exists():
        assert time.monotonic() < deadline, "the detached process did not finish"
        os.sched_yield()
    assert result.read_text() == "8"


def test_a_kill_for_want_of_memory_is_noticed_where_the_cgroup_counts_it(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 3\noom_kill 1\n")
    watch = MemoryWatch(str(events))
    assert watch.look() == ""
    events.write_text("low 0\noom 4\noom_kill 2\n")
    evidence = watch.look()
    assert "oom_kill 2" in evidence
    assert watch.look() == ""
    assert str(allcores.ExitReason(-9, evidence)).startswith("killed by SIGKILL; the kernel's out-of-memory killer")
    events.unlink()
    assert watch.look() == ""


def test_a_process_that_was_not_started_cannot_be_detached() -> None:
    with pytest.raises(ValueError, match="start"):
        allcores.Process(target=int).detach()
