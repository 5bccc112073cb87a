"""A scratch directory in which workers run: a venv that can see MODULE, and the generated tests."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import rewrite
from sessions import kill_session

WORKER = Path(__file__).resolve().parent / "worker.py"
ANSWER_SECONDS = 120  # for a worker that only looks at modules


class Bench:
    """Made once a run; its directory holds everything that the run writes."""

    def __init__(self, args):
        self.args = args
        self.dir = Path(tempfile.mkdtemp(prefix="mpc-"))

    def prepare(self):
        args = self.args
        self.make_venv()
        self.probe = self.ask("probe", self.new_gen("probe"), module=args.module)
        self.test_lib = args.test_lib or self.plain("import test; print(test.__path__[0])")
        # What to count is taken from the genuine tests, so that none can vanish with MODULE.
        _, _, genuine = self.generate("genuine", "multiprocessing", None)
        self.gen, self.tree, self.listing = self.generate("gen", args.module, args.executor)
        if genuine["broken"]:
            sys.exit("run.py: CPython's own tests do not load here:\n" + "".join(genuine["broken"].values()))
        self.groups = {}
        for group, listed in genuine["groups"].items():
            tests = [test for test in listed["tests"] if re.search(args.select, f"{group}.{test}")]
            if tests:
                self.groups[group] = listed["module"], tests

    def plain(self, code):
        command = [self.args.python, "-I", "-c", code]
        return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()

    def make_venv(self):
        """A venv with one .pth file.

        Tests start children with -E and -I, which ignore PYTHONPATH: MODULE must be found the way an
        installed package is.
        """
        venv = self.dir / "venv"
        subprocess.run([self.args.python, "-I", "-m", "venv", "--without-pip", "--symlinks", venv], check=True)
        self.python = venv / "bin" / "python"
        sites = json.loads(
            self.plain("import sys, json; print(json.dumps([p for p in sys.path if p.endswith('-packages')]))")
        )
        lines = [os.path.abspath(p) for p in self.args.path]
        lines += [f"import site; site.addsitedir({p!r})" for p in sites]  # honours their own .pth files too
        pth = next(venv.glob("lib*/python*/site-packages")) / "conformance.pth"
        pth.write_text("".join(f"{line}\n" for line in lines))

    def new_gen(self, name):
        gen = self.dir / name
        gen.mkdir()
        shutil.copy(WORKER, gen)
        return gen

    def generate(self, name, module, executor):
        """Write the tests for one module; return where, what was written, and what is in it."""
        gen = self.new_gen(name)
        tree = rewrite.Tree(gen, self.test_lib, module, self.probe, executor and executor.rpartition(".")[::2])
        futures = self.args.suite == "futures"
        modules = tree.add_futures() if futures else tree.add_multiprocessing(self.args.start_method)
        tainted = sorted(tree.borrowed_names)
        for sub in sorted(tree.borrowed):
            tainted += [f"multiprocessing.{sub}", f"multiprocessing import {sub}"]
        listing = self.ask("list", gen, modules=modules, method=self.args.start_method, tainted=tainted)
        return gen, tree, listing

    def new_scratch(self):
        return Path(tempfile.mkdtemp(prefix="g", dir=self.dir))

    def start(self, gen, scratch, log, **job):
        """Start a worker in its own session and scratch directory."""
        tmp, link = scratch / "tmp", scratch / "test"
        tmp.mkdir(exist_ok=True)
        if not link.is_symlink():  # for `python -E -S -c`: found through the cwd
            link.symlink_to(gen / "test")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        env.update(PYTHONPATH=str(gen), TMPDIR=str(tmp))
        return subprocess.Popen(
            [self.python, gen / "worker.py", json.dumps(job)],
            cwd=scratch,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def ask(self, command, gen, **job):
        """Run a worker which prints one JSON answer."""
        scratch = self.new_scratch()
        with (scratch / "log").open("w+", errors="replace") as log:
            worker = self.start(gen, scratch, log, command=command, **job)
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(ANSWER_SECONDS)
            kill_session(worker.pid)
            worker.wait()
            log.seek(0)
            text = log.read()
        if "\n@@" not in text:
            module, python = self.args.module, self.args.python
            sys.exit(f"run.py: cannot {command} {module!r} with {python}:\n{text[-3000:]}")
        return json.loads(text.rpartition("\n@@")[2])

    def keep_log(self, group, log):
        if self.args.keep:
            (self.dir / "logs").mkdir(exist_ok=True)
            shutil.copy(log, self.dir / "logs" / f"{group}.log")

    def close(self):
        if self.args.keep:
            no_caches = shutil.ignore_patterns("__pycache__")
            for part in "gen", "logs":
                if (self.dir / part).is_dir():
                    shutil.copytree(self.dir / part, Path(self.args.keep, part), ignore=no_caches, dirs_exist_ok=True)
        shutil.rmtree(self.dir, ignore_errors=True)
