"""Runs inside the Python under test: `probe`, `list` or `run`.  Started by run.py only.

Spawned children import this file again as __mp_main__, hence no work and few imports up here.
"""

import sys


def probe(module):
    """What does MODULE provide?  (Here and nowhere else all of its submodules are imported.)"""
    import importlib
    import multiprocessing
    import os
    import pkgutil

    stdlib = [m.name for m in pkgutil.iter_modules(multiprocessing.__path__) if not m.name.endswith("win32")]

    def names(mod, like):  # hasattr, as MODULE may load its names lazily
        return sorted(n for n in {*dir(mod), *dir(importlib.import_module(like))} if hasattr(mod, n))

    top = importlib.import_module(module)
    top_names, submodules, broken = names(top, "multiprocessing"), {}, {}
    for name in stdlib:
        try:
            submodules[name] = names(importlib.import_module(f"{module}.{name}"), "multiprocessing." + name)
        except Exception as exc:
            absent = isinstance(exc, ModuleNotFoundError) and exc.name == f"{module}.{name}"
            if not absent and "is not a package" not in str(exc):
                broken[name] = repr(exc)
    here = os.path.dirname(os.path.abspath(__file__))
    return {
        "names": top_names,
        "file": getattr(top, "__file__", None),
        "version": str(getattr(top, "__version__", "")),
        "submodules": submodules,
        "broken": broken,
        "stdlib_submodules": stdlib,
        "path": [p for p in sys.path if p and p != here],
        "python": ".".join(map(str, sys.version_info[:3])),
    }


OF_CPYTHON = ("fork", "spawn", "forkserver")


def load(modname, method):
    """{class name: (class, [test names])}: a module's test cases for one start method."""
    import importlib
    import re
    import unittest

    loader, groups = unittest.TestLoader(), {}
    for name, cls in vars(importlib.import_module(modname)).items():
        if not (isinstance(cls, type) and issubclass(cls, unittest.TestCase)):
            continue
        tests = loader.getTestCaseNames(cls)
        own = re.match(r"ProcessPool(Forkserver|Fork|Spawn)|(Spawn|ForkServer|Fork)CmdLineTest", name)
        if own and (own[1] or own[2]).lower() != method:
            if method in OF_CPYTHON or own[1] != "Spawn":
                continue
            cls = type(
                name, (cls,), {"ctx": method, "__module__": modname}
            )  # one of MODULE's own, in the place of spawn
        if "test_concurrent_futures" in modname and not own:
            if name != "FailingInitializerResourcesTest":  # not a test of process pools
                continue
            tests = [t for t in tests if t == "test_" + method]
        if tests:
            groups[name] = cls, tests
    return groups


def touches_borrowed(cls, test, tainted):
    """Does this test's code (with what it calls in its class and module) use borrowed names?"""
    module = sys.modules[cls.__mro__[1].__module__]
    if "multiprocessing.dummy" in tainted and getattr(cls, "TYPE", "") == "threads":
        return True
    todo, seen = [getattr(cls, n) for n in (test, "setUp", "tearDown")], set()
    while todo:
        f = todo.pop()
        f = getattr(f, "__func__", f)
        f = getattr(f, "__wrapped__", f)
        if isinstance(f, type) and f.__module__ == module.__name__:
            todo += [v for v in vars(f).values() if hasattr(v, "__code__") or hasattr(v, "__func__")]
            continue
        code = getattr(f, "__code__", f)
        if not hasattr(code, "co_names") or code in seen:
            continue
        seen.add(code)
        for c in code.co_consts:
            if hasattr(c, "co_names"):
                todo.append(c)
            elif isinstance(c, str) and any(("from " + t) in c or ("import " + t) in c for t in tainted):
                return True
        for name in code.co_names:
            if name == "close_queue":  # a helper of nearly every test
                continue
            if name in tainted:
                return True
            for where in (cls, module):
                value = getattr(where, name, None)
                if callable(value) and getattr(value, "__module__", None) in (cls.__module__, module.__name__):
                    todo.append(value)
    return False


def list_tests(modules, method, tainted):
    import traceback

    groups, broken = {}, {}
    for modname in modules:
        try:
            for name, (cls, tests) in load(modname, method).items():
                groups[name] = {
                    "module": modname,
                    "tests": {t: bool(tainted) and touches_borrowed(cls, t, tainted) for t in tests},
                }
        except BaseException:
            broken[modname] = traceback.format_exc()
    return {"groups": groups, "broken": broken}


def run(modname, method, group, tests, report):
    """Run some tests of one class; append one JSON line per event to the file `report`."""
    import faulthandler
    import json
    import os
    import signal
    import time
    import traceback
    import unittest
    from pathlib import Path

    faulthandler.enable()
    faulthandler.register(signal.SIGUSR2, all_threads=True)  # run.py asks before it kills
    out = Path(report).open("a", buffering=1)  # noqa: SIM115 - open as long as this process lives
    main_pid = os.getpid()

    def emit(**event):
        event["pid_ok"] = os.getpid() == main_pid  # else: a forked child came back here
        out.write(json.dumps(event) + "\n")

    class Result(unittest.TestResult):
        outcome, detail, t0 = None, "", 0.0  # 3.12.1 calls no startTest for a skipped test

        def startTest(self, test):
            super().startTest(test)
            self.outcome, self.detail, self.t0 = "pass", "", time.monotonic()
            emit(ev="start", test=test._testMethodName)

        def stopTest(self, test):
            super().stopTest(test)
            emit(
                ev="stop",
                test=test._testMethodName,
                outcome=self.outcome,
                detail=self.detail,
                secs=round(time.monotonic() - self.t0, 3) if self.t0 else 0.0,
            )
            self.outcome, self.detail, self.t0 = None, "", 0.0

        def note(self, test, outcome, detail):
            if not hasattr(test, "_testMethodName") and not hasattr(test, "test_case"):
                emit(ev="fixture", where=str(test), outcome=outcome, detail=detail)
            elif self.outcome in (None, "pass", "skip"):  # the first trouble counts
                self.outcome, self.detail = outcome, detail
                emit(ev="note", detail=detail)  # in case a clean-up hangs

        def addError(self, test, err):
            super().addError(test, err)
            self.note(test, "error", "".join(traceback.format_exception(*err)))

        def addFailure(self, test, err):
            super().addFailure(test, err)
            self.note(test, "fail", "".join(traceback.format_exception(*err)))

        def addSkip(self, test, reason):
            super().addSkip(test, reason)
            if hasattr(test, "test_case"):  # one skipped subTest
                return
            self.note(test, "skip", reason)

        def addSubTest(self, test, subtest, err):
            super().addSubTest(test, subtest, err)
            if err is not None:
                kind = "fail" if issubclass(err[0], test.failureException) else "error"
                self.note(test, kind, f"{subtest}\n" + "".join(traceback.format_exception(*err)))

        def addUnexpectedSuccess(self, test):
            super().addUnexpectedSuccess(test)
            self.note(test, "fail", "unexpected success")

    cls, _ = load(modname, method)[group]
    unittest.TestSuite([cls(t) for t in tests]).run(Result())
    from test import support

    emit(ev="done", env_changed=bool(getattr(support, "environment_altered", False)))


if __name__ == "__main__":
    import json

    job = json.loads(sys.argv.pop())
    command = job.pop("command")
    answer = {"probe": probe, "list": list_tests, "run": run}[command](**job)
    if answer is not None:
        with open(1, "w", closefd=False) as f:
            f.write("\n@@" + json.dumps(answer) + "\n")
