"""Does the harness notice?  python selfcheck/check.py   (a minute; exit status 0 = it does)"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNNER = HERE.parent / "run.py"

BROKEN_SELECTION = (
    r"(WithProcesses|WithThreads)Test(Queue|Semaphore)"
    r"|TestStartMethod\.test_(get_all|context)$"
    r"|ForkCmdLineTest\.test_basic_script$"
)
BROKEN_OUTCOMES = {  # of brokenmp, start method fork
    "WithProcessesTestQueue.test_put": ("fail", "hang"),
    "WithProcessesTestQueue.test_get": ("fail", "hang"),
    "WithProcessesTestQueue.test_fork": ("fail", "hang"),
    "WithProcessesTestQueue.test_task_done": ("hang",),
    "WithProcessesTestQueue.test_qsize": ("pass",),
    "WithProcessesTestQueue.test_timeout": ("pass",),
    "WithProcessesTestSemaphore.test_semaphore": ("pass",),
    "WithProcessesTestSemaphore.test_bounded_semaphore": ("crash",),
    "WithThreadsTestQueue.test_put": ("borrowed",),
    "TestStartMethod.test_get_all": ("error",),
    "TestStartMethod.test_context": ("pass",),
    "ForkCmdLineTest.test_basic_script": ("error",),  # its file cannot be imported
}
SOUND_SELECTION = "With.*Test(Queue|Lock|Event)|TestFlags|TestNoForkBomb|CmdLine"
EXECUTOR_OUTCOMES = {
    "brokenmp.ProcessPoolExecutor": ("fail", "error"),
    "passthru.futures.ProcessPoolExecutor": ("pass",),
}


def run(module, *options):
    """The full result, and {test id: column}."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as f:
        command = [sys.executable, RUNNER, module, "--path", HERE, "--json", f.name, *options]
        command += ["--exclusions", os.devnull]  # the project's own say nothing about these modules
        subprocess.run(command, stdout=subprocess.DEVNULL)
        result = json.load(f)
    groups = result["groups"].items()
    return result, {f"{g}.{t}": r["column"] for g, group in groups for t, r in group["tests"].items()}


def main():
    broken, got = run("brokenmp", "--timeout", "8", "--select", BROKEN_SELECTION)
    wrong = [f"brokenmp {k}: {got.get(k)}, expected {v}" for k, v in BROKEN_OUTCOMES.items() if got.get(k) not in v]
    sound, got = run("passthru", "--select", SOUND_SELECTION)
    wrong += [f"passthru {k}: {v}" for k, v in got.items() if v not in ("pass", "skip")]
    _, got = run("passthru", "--select", "WithProcessesTest(Lock|Event)", "--start-method", "nosuch")
    wrong += [f"passthru, unknown start method, {k}: {v}" for k, v in got.items() if v != "newskip"]
    if importlib.util.find_spec("test.test_concurrent_futures"):
        wrong += check_executors()
    passed = (
        f"brokenmp passes {broken['passed']} of {broken['counted']}, passthru {sound['passed']} of {sound['counted']}"
    )
    print("\n".join(wrong) or f"ok: {passed}")
    return bool(wrong)


def check_executors():
    selection = "ProcessPoolForkProcessPoolExecutorTest.test_map$"
    wrong = []
    for executor, expected in EXECUTOR_OUTCOMES.items():
        module = executor.partition(".")[0]
        _, got = run(module, "--suite", "futures", "--executor", executor, "--select", selection)
        wrong += [f"{executor} has no tests"] * (not got)
        wrong += [f"{executor} {k}: {v}, expected {expected}" for k, v in got.items() if v not in expected]
    return wrong


if __name__ == "__main__":
    sys.exit(main())
