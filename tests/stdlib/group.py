"""Run the tests of one class; a hang or a crash costs only the test it happens in."""

import json
import os
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field

from judging import AFTER, last_line
from sessions import kill_session, session_members

STOP = threading.Event()  # set when this program is told to stop

POLL_SECONDS = 0.05
STACKS_SECONDS = 0.5  # what faulthandler gets to write the stacks of a hung worker
HELPERS_SECONDS = 3  # what a worker's helpers get to end after it
LOG_TAIL = 4000  # characters


@dataclass
class Attempt:
    """One worker's turn at the tests still pending."""

    moved: float = field(default_factory=time.monotonic)  # when it last told anything
    current: str | None = None  # the test it is in
    note: str = ""  # the trouble which that test has already met
    progress: bool = False  # has it finished a test?
    fixture: dict | None = None  # the first trouble of a set-up or tear-down
    done: bool = False  # has it come through all its tests?
    why: str | None = None  # "hang" or "crash", if it did not end well


class GroupRun:
    """Attempts, one after the other, until each test of the class has an outcome."""

    def __init__(self, bench, group, modname, tests):
        self.bench, self.args = bench, bench.args
        self.group, self.modname = group, modname
        self.results, self.problems, self.env_changed = {}, [], False
        self.scratch = bench.new_scratch()
        self.report, self.log = self.scratch / "report", self.scratch / "log"
        self.log.touch()
        there = bench.listing["groups"].get(group, {"tests": ()})["tests"]
        self.pending = [test for test in tests if test in there]
        absent = bench.listing["broken"].get(modname, "CPython has this test, but with MODULE it is not there")
        for test in set(tests) - set(there):
            self.results[test] = {"outcome": "error", "secs": 0.0, "detail": absent}

    def settle(self, test, outcome, detail, secs=0.0):
        if test in self.pending:
            self.pending.remove(test)
        self.results[test] = {"outcome": outcome, "detail": detail, "secs": secs}

    def run(self):
        began = time.monotonic()
        while self.pending and not STOP.is_set():
            self.attempt()
        self.bench.keep_log(self.group, self.log)
        shutil.rmtree(self.scratch, ignore_errors=True)
        return self.group, {
            "tests": self.results,
            "problems": self.problems,
            "env_changed": self.env_changed,
            "secs": round(time.monotonic() - began, 1),
        }

    def attempt(self):
        self.report.write_text("")
        with self.log.open("a") as log, self.report.open() as events:
            worker = self.bench.start(
                self.bench.gen,
                self.scratch,
                log,
                command="run",
                modname=self.modname,
                method=self.args.start_method,
                group=self.group,
                tests=self.pending,
                report=str(self.report),
            )
            attempt = Attempt()
            self.follow(worker, events, attempt)
            self.end(worker, attempt)
        self.conclude(worker, attempt)

    def follow(self, worker, events, attempt):
        """Take in what the worker reports, until it exits or hangs."""
        buffer = ""
        while True:
            exited = worker.poll() is not None  # before reading, so nothing is missed
            buffer += events.read()
            *lines, buffer = buffer.split("\n")
            for line in lines:
                self.take_in(json.loads(line), attempt)
            if exited:
                return
            if time.monotonic() - attempt.moved > self.args.timeout or STOP.is_set():
                attempt.why = "hang"
                try:
                    os.kill(worker.pid, signal.SIGUSR2)  # faulthandler: where was it?
                    time.sleep(STACKS_SECONDS)
                except ProcessLookupError:
                    pass
                return
            time.sleep(POLL_SECONDS)

    def take_in(self, event, attempt):
        attempt.moved, kind = time.monotonic(), event["ev"]
        if not event["pid_ok"]:
            self.problems.append(f"{self.group}: a child process returned into the test runner")
        elif kind == "start":
            attempt.current, attempt.note = event["test"], ""
        elif kind == "note":
            attempt.note = f"{AFTER}{event['detail']}\n@@"
        elif kind == "stop":
            self.settle(event["test"], event["outcome"], event["detail"], event["secs"])
            attempt.current, attempt.progress = None, True
        elif kind == "fixture":
            attempt.fixture = attempt.fixture or event
            if event["outcome"] != "skip":
                self.problems.append(f"{event['where']}: {last_line(event['detail'])}")
        elif kind == "done":
            attempt.done = True
            self.env_changed = self.env_changed or event["env_changed"]

    def end(self, worker, attempt):
        """Nothing of the worker's session stays; what had to be killed after a good end is a problem."""
        left, limit = session_members(worker.pid), time.monotonic() + HELPERS_SECONDS
        while attempt.why is None and left and time.monotonic() < limit:  # helpers need a moment
            time.sleep(0.1)
            left = session_members(worker.pid)
        kill_session(worker.pid)
        worker.wait()
        if attempt.why is None and left:
            self.problems.append(f"{self.group}: left running: {'; '.join(command for _, command in left[:3])}")

    def conclude(self, worker, attempt):
        """Give an outcome to each test which this worker leaves without one, unless a new worker may try it."""
        if attempt.done:
            self.conclude_done(worker, attempt)
            return
        tail = self.log.read_text(errors="replace")[-LOG_TAIL:]
        why = attempt.why or "crash"
        if attempt.current:
            detail = f"{why} (exit status {worker.returncode}){attempt.note}\n{tail}"
            self.settle(attempt.current, why, detail, round(time.monotonic() - attempt.moved, 1))
        elif not self.pending:
            self.problems.append(f"{self.group}: {why} in tearDownClass/tearDownModule")
        elif not attempt.progress:
            for test in list(self.pending):
                self.settle(test, why, f"{why} outside any test\n{tail}")

    def conclude_done(self, worker, attempt):
        if attempt.why == "hang":
            self.problems.append(f"{self.group}: hang at interpreter exit")
        elif worker.returncode:
            self.problems.append(f"{self.group}: worker exit status {worker.returncode}")
        outcome, detail = "error", "test not run"
        if attempt.fixture:
            outcome, detail = attempt.fixture["outcome"], f"{attempt.fixture['where']}: {attempt.fixture['detail']}"
        for test in list(self.pending):
            self.settle(test, outcome, detail)
