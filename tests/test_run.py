"""`allcores run` is `python`: what a program sees, prints and how it ends are the same."""

import os
import py_compile
import re
import signal
import sys
import zipfile
from pathlib import Path

import pytest
from running import ALLCORES, HANG_LIMIT_SECONDS, MODES, PYTHON, Outcome, program, run, started

SHOW_SELF = """\
import sys
print(sys.argv, __name__, __file__, __spec__, __package__, __doc__, type(__loader__).__name__)
print(sorted(globals()), __builtins__.__name__, sys.modules["__main__"].__dict__ is globals())
print(sys.path)
"""

PROGRAMS = {
    "sees its own main module": SHOW_SELF,
    "raises": "def f():\n    return 1 / 0\n\nf()\n",
    "raises a chain": "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('later') from e\n",
    "raises while handling": "try:\n    {}['a']\nexcept KeyError:\n    raise ValueError('later')\n",
    "raises a group": "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])\n",
    "raises in an imported module": "import json\njson.loads('{')\n",
    "has a syntax error": "x = (1,\n",
    "has a bad indent": "if True:\nx = 1\n",
    "has a hook for exceptions": (
        "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__, a[1], a[2].tb_lineno)\n1/0\n"
    ),
    "has deleted the hook for exceptions": "import sys\ndel sys.excepthook\n1/0\n",
    "has a hook for exceptions that fails": (
        "import sys\ndef hook(*a):\n    raise ValueError('of the hook')\nsys.excepthook = hook\n1/0\n"
    ),
    "has a hook for exceptions that exits": (
        "import sys\ndef hook(*a):\n    sys.exit(5)\nsys.excepthook = hook\n1/0\n"
    ),
    "exits with 3": "import sys; sys.exit(3)",
    "exits with a text": "import sys; sys.exit('the reason')",
    "exits with None": "import sys; sys.exit(None)",
    "exits with 300": "import sys; sys.exit(300)",
    "raises SystemExit in a function": "def f():\n    raise SystemExit(7)\nf()",
    "ends at once": "import os; os._exit(4)",
    "is interrupted": "raise KeyboardInterrupt",
    "interrupts itself": "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('not here')",
    "terminates itself": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "aborts": "import os; os.abort()",
    "warns": "import warnings; warnings.warn('careful')\n",
    "warns by default of deprecation in main": "import warnings; warnings.warn('old', DeprecationWarning)\n",
    "has functions for the exit": "import atexit\nfor i in range(3):\n    atexit.register(print, i)\nprint('end')",
    "has functions for the exit before and after multiprocessing's": (
        "import atexit\natexit.register(print, 'first')\n"
        "import multiprocessing\natexit.register(print, 'second')\nmultiprocessing.Queue()\n"
        "atexit.register(print, 'third')\nmultiprocessing.util.Finalize(None, print, ('finalizer',), exitpriority=1)\n"
    ),
    "fails in a function for the exit": "import atexit; atexit.register(lambda: 1/0)",
    "leaves a thread": (
        "import threading\nt = threading.Timer(0.05, print, ('from a thread',)); t.start(); print('main done')"
    ),
    "fails in a thread": (
        "import threading\nt = threading.Thread(target=lambda: 1/0, name='worker'); t.start(); t.join()"
    ),
    "reads its input": "import sys\nprint(sys.stdin.read().upper())",
    "asks": "print(input('name? '))",
    "closes its output": "import sys\nsys.stdout.close()",
    "writes bytes": "import sys; sys.stdout.buffer.write(b'abc\\n')",
    "flushes at the end": "print('no newline', end='')",
    "has a docstring": '"""What it is."""\nprint(__doc__)',
    "has annotations": "x: int = 1\nprint(__annotations__)",
    "pickles its own class": (
        "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A, A.__module__)"
    ),
    "inspects its source": "import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f))",
    "has a future import": "from __future__ import annotations\ndef f(x: nonsense): pass\nprint(f.__annotations__)",
    "looks at flags": "import sys; print(sys.flags, sys.dont_write_bytecode, sys.warnoptions)",
    "handles a signal": (
        "import signal, os\nsignal.signal(signal.SIGTERM, lambda *a: print('got it'))\n"
        "os.kill(os.getpid(), signal.SIGTERM)"
    ),
    "looks at signals": (
        "import signal\nprint(signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
        "print([s for s in signal.valid_signals() if signal.getsignal(s) not in (signal.SIG_DFL, None)])"
    ),
    "recurses for ever": (
        "import sys\nsys.setrecursionlimit(60)\ndef f(): f()\ntry:\n    f()\nexcept RecursionError: print('deep')"
    ),
}


def both(*words: str | Path, **options: object) -> tuple[Outcome, Outcome]:
    """Run the same under python and under allcores."""
    return run([*PYTHON, *words], **options), run([*ALLCORES, *words], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_behaves_as_under_python(name: str, tmp_path: Path) -> None:
    file = program(tmp_path, PROGRAMS[name])
    expected, got = both(file, "one", "--two", "-m", stdin="first line\nsecond")
    assert (got.status, got.out) == (expected.status, expected.out)
    assert _without_addresses(got.err) == _without_addresses(expected.err)


@pytest.mark.parametrize("name", ["raises", "exits with 3", "is interrupted", "has a syntax error", "raises a chain"])
def test_code_on_the_command_line_behaves_as_under_python(name: str) -> None:
    expected, got = both("-c", PROGRAMS[name], "one", "-x")
    assert got == expected


def test_code_on_the_command_line_sees_the_same(tmp_path: Path) -> None:
    code = SHOW_SELF.replace("__file__, ", "").replace("type(__loader__).__name__", "__loader__")
    expected, got = both("-c", code, "one", "-x", cwd=tmp_path)
    assert got == expected


def test_a_program_on_standard_input_behaves_as_under_python() -> None:
    expected, got = both("-", "one", stdin="import sys\nprint(sys.argv, sys.path[0], __name__)\n1/0\n")
    assert got == expected


@pytest.mark.parametrize(
    "words",
    [
        ["-cprint(1)", "a"],
        ["-mthis", "-x"],
        ["-m", "timeit", "-h"],
        ["--", "program.py", "-m", "--"],
        ["program.py", "--start-method", "-h"],
    ],
    ids=" ".join,
)
def test_words_are_understood_as_under_python(words: list[str], tmp_path: Path) -> None:
    program(tmp_path, SHOW_SELF)
    expected, got = both(*words, cwd=tmp_path)
    assert got == expected
    assert got.status == 0


@pytest.mark.parametrize(
    "words",
    [["{folder}/program.py"], ["-m", "this"], ["-c", SHOW_SELF.replace("__file__", "0")]],
    ids=["path", "m", "c"],
)
def test_a_deleted_working_directory_is_as_under_python(words: list[str], tmp_path: Path) -> None:
    program(tmp_path, SHOW_SELF)
    deleting = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.executable, sys.argv[1:])"
    words = [word.replace("{folder}", str(tmp_path)) for word in words]
    outcomes = []
    for command in (PYTHON, ALLCORES):
        (tmp_path / "gone").mkdir()
        outcomes.append(run([sys.executable, "-c", deleting, *command, *words], cwd=tmp_path / "gone"))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].status == 0


@pytest.mark.parametrize("name", ["sees its own main module", "raises", "exits with 3", "is interrupted"])
def test_a_module_behaves_as_under_python(name: str, tmp_path: Path) -> None:
    program(tmp_path, "print('package')", "package/__init__.py")
    program(tmp_path, "from . import sibling\n" + PROGRAMS[name], "package/tool.py")
    program(tmp_path, "print('sibling')", "package/sibling.py")
    program(tmp_path, PROGRAMS[name], "package/__main__.py")
    for module in ("package.tool", "package"):
        expected, got = both("-m", module, "one", "-c", cwd=tmp_path)
        assert got.status == expected.status
        # ModuleSpec shows a loader's address.
        assert _without_addresses(got.out) == _without_addresses(expected.out)
        assert got.err == expected.err


@pytest.mark.parametrize("name", ["sees its own main module", "raises", "exits with 3"])
@pytest.mark.parametrize("archive", [False, True])
def test_a_folder_or_archive_behaves_as_under_python(name: str, archive: bool, tmp_path: Path) -> None:
    folder = tmp_path / "application"
    program(folder, "import helper\n" + PROGRAMS[name], "__main__.py")
    program(folder, "print('helped')", "helper.py")
    if archive:
        target = tmp_path / "application.any"
        with zipfile.ZipFile(target, "w") as bundle:
            for file in folder.iterdir():
                bundle.write(file, file.name)
    else:
        target = folder
    expected, got = both(target, "one")
    assert _without_addresses(got.out) == _without_addresses(expected.out)
    assert (got.status, got.err) == (expected.status, expected.err)


@pytest.mark.parametrize(
    "words", [["app"], ["app/__main__.py"], ["-m", "timeit", "-h"], ["-c", "import sys; print(sys.path)"]]
)
def test_a_safe_path_is_as_under_python(words: list[str], tmp_path: Path) -> None:
    program(tmp_path, SHOW_SELF, "app/__main__.py")
    expected, got = both(*words, cwd=tmp_path, environment={"PYTHONSAFEPATH": "1"})
    assert _without_addresses(got.out) == _without_addresses(expected.out)
    assert (got.status, got.err) == (0, "")


def test_a_folder_without_main_is_an_error_as_under_python(tmp_path: Path) -> None:
    expected, got = both(tmp_path)
    assert got == expected
    assert got.status == 1


def test_bytecode_is_run_as_under_python(tmp_path: Path) -> None:
    file = program(tmp_path, "import sys\nprint(sys.argv, __file__)\n1/0")
    compiled = py_compile.compile(str(file), cfile=str(tmp_path / "program.pyc"))
    expected, got = both(compiled, "one")
    assert got == expected


def test_relative_names_links_and_unusual_names_are_as_under_python(tmp_path: Path) -> None:
    program(tmp_path, SHOW_SELF + "import beside\n", "real/prögram mit Leerzeichen.py")
    program(tmp_path, "print('beside')", "real/beside.py")
    (tmp_path / "link.py").symlink_to(tmp_path / "real" / "prögram mit Leerzeichen.py")
    for words in (["link.py"], ["real/prögram mit Leerzeichen.py"], ["./real/../link.py"]):
        expected, got = both(*words, cwd=tmp_path)
        assert got == expected
        assert got.status == 0


def test_another_encoding_is_read_as_under_python(tmp_path: Path) -> None:
    file = tmp_path / "latin.py"
    file.write_bytes("# -*- coding: latin-1 -*-\nprint('grün')\n".encode("latin-1"))
    expected, got = both(file)
    assert got == expected


@pytest.mark.parametrize("name", ["queue", "context", "signal", "socket", "pickle", "run", "errors"])
def test_a_module_of_the_program_may_have_the_name_of_one_of_ours(name: str, tmp_path: Path) -> None:
    program(tmp_path, "raise AssertionError('not this one')", f"{name}.py")
    file = program(tmp_path, "from multiprocessing import Process\nprint('fine')")
    assert run([*ALLCORES, file]) == Outcome(0, "fine\n", "")


def test_a_broken_pipe_ends_as_under_python(tmp_path: Path) -> None:
    file = program(tmp_path, "for i in range(100000): print(i)")
    outcomes = []
    for words in ([*PYTHON, str(file)], [*ALLCORES, str(file)]):
        with started(words) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            err = process.stderr.read()
            outcomes.append((process.wait(HANG_LIMIT_SECONDS), err))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_waiting_program_ends_it_as_under_python(
    mode: str, number: signal.Signals, tmp_path: Path
) -> None:
    file = program(tmp_path, "import signal\nprint('ready', flush=True)\nsignal.pause()\n")
    outcomes = []
    for words in ([*PYTHON, str(file)], [*ALLCORES, *MODES[mode], str(file)]):
        with started(words) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            out, err = process.communicate(timeout=HANG_LIMIT_SECONDS)
            assert "allcores" not in err
            # The lines between are those of the program that ran when the signal came.
            outcomes.append((process.returncode, out, err.splitlines()[:1], err.splitlines()[-1:]))
    assert outcomes[1] == outcomes[0]
    assert outcomes[0][0] == -number


USES_PROCESSES = """\
import multiprocessing
from multiprocessing import Process, Queue, Pool
from multiprocessing.pool import Pool as PoolClass
import allcores

assert Pool is allcores.Pool or Pool == allcores.Pool      # in children, too, which import this anew

def work(queue, number):
    ours = multiprocessing.Process is allcores.Process and PoolClass is allcores.pool.Pool
    queue.put((number, ours, multiprocessing.get_start_method()))

if __name__ == "__main__":
    queue = Queue()
    processes = [Process(target=work, args=(queue, number)) for number in range(3)]
    for process in processes:
        process.start()
    results = sorted(queue.get(timeout=30) for _ in processes)
    for process in processes:
        process.join(30)
    print(results, [process.exitcode for process in processes])
    with Pool(2) as pool:
        print(type(pool) is PoolClass is allcores.pool.Pool, pool.map(abs, [-1, -2]))
"""


@pytest.mark.parametrize("mode", MODES)
def test_multiprocessing_is_allcores_in_the_program_and_its_children(mode: str, tmp_path: Path) -> None:
    file = program(tmp_path, USES_PROCESSES)
    method = mode if mode != "default" else {(3, 14): "warm"}.get(sys.version_info[:2], "fork")
    expected = f"{[(n, True, method) for n in range(3)]} [0, 0, 0]\nTrue [1, 2]\n"
    assert run([*ALLCORES, *MODES[mode], file]) == Outcome(0, expected, "")


@pytest.mark.parametrize("mode", MODES)
def test_a_program_that_chooses_its_start_method_gets_it(mode: str, tmp_path: Path) -> None:
    code = (
        "import multiprocessing as m; m.set_start_method('spawn'); print(m.get_start_method(), m.get_context()._name)"
    )
    assert run([*ALLCORES, *MODES[mode], "-c", code]) == Outcome(0, "spawn spawn\n", "")


@pytest.mark.parametrize("mode", ["default", "warm"])
def test_each_example_prints_what_it_prints_under_python(mode: str) -> None:
    folder = Path(__file__).parents[1] / "examples" / "programs"
    for file in sorted(folder.glob("*.py")):
        expected, got = run([*PYTHON, file]), run([*ALLCORES, *MODES[mode], file])
        assert got.sorted_lines == expected.sorted_lines, file.name
        assert expected.status == 0


@pytest.mark.parametrize("mode", ["fork", "warm"])
def test_the_report_counts_processes_and_how_they_ended(mode: str, tmp_path: Path) -> None:
    source = """\
from multiprocessing import Process
import sys
if __name__ == "__main__":
    for status in (0, 0, 3):
        process = Process(target=sys.exit, args=(status,))
        process.start()
        process.join()
        process.close()
"""
    outcome = run([*ALLCORES, "--report", *MODES[mode], program(tmp_path, source)])
    assert outcome.status == 0
    assert outcome.err.startswith(f"allcores: 3 processes started, 3 by {mode}, 2 ended with 0, 1 ended with 3; ")
    assert outcome.err.count("\n") == 1
    memory = re.search(r"; the zygote has ([\d.]+) MB of its own, each of \d+ spares ([\d.]+) MB at most$", outcome.err)
    assert (memory is not None) == (mode == "warm")
    assert memory is None or 0 < float(memory[2]) < 10


def _without_addresses(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x…", text)


def test_the_command_itself_is_installed() -> None:
    command = Path(sys.executable).with_name("allcores")
    assert run([command, "run", "-c", "print(6 * 7)"]) == Outcome(0, "42\n", "")
    assert os.access(command, os.X_OK)
