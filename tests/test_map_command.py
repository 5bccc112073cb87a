"""`allcores map`: lines of JSON for items, an exit status that says whether all went well, a journal that survives."""

from __future__ import annotations

import functools
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import allcores
import pytest
from allcores.cli.map.journal import Journal, JournalError
from allcores.cli.map.lines import lines_of
from running import HANG_LIMIT_SECONDS, METHODS, Outcome, run, started

COMMAND = [sys.executable, "-m", "allcores", "map"]

WORK = """\
import os
import signal
import subprocess
import sys
import time

os.write(1, b"imported\\n")  # at once: others do so, too


def double(text):
    return text * 2


def divide(text):
    return 12 // int(text)


def note(text):
    with open(f"runs-{text}", "a") as file:
        file.write(".")
    return text


def note_and_fail(text):
    note(text)
    raise ValueError(text)


def die_of_three(text):
    if text == "3":
        os.kill(os.getpid(), signal.SIGKILL)
    return text


def first_after_last(text):
    while text == "first" and '"last"' not in open("journal").read():
        os.sched_yield()
    return text


def hold(text):
    print("held by", os.getpid(), flush=True)
    while not os.path.exists("go"):
        time.sleep(0.01)
    return text


def hang(text):
    note(text)
    if text == "hang":
        print("held by", os.getpid(), file=sys.stderr, flush=True)
        signal.pause()
    return text


def talk(text):
    print("from the function")
    subprocess.run(["echo", "from a program"])
    return subprocess.run(["cat"], capture_output=True, text=True).stdout + str(sys.stdin.read())


class Tool:
    @staticmethod
    def use(text):
        return [text]


number = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "broken.py").write_text("def f(x):\n    return x\n\n1 / 0\n")
    (tmp_path / "needs.py").write_text("import no_such_module_at_all\n")
    (tmp_path / "exits.py").write_text("import sys\nsys.exit('no')\n")
    return tmp_path


def call(folder: Path, *words: str | Path, stdin: str = "") -> Outcome:
    return run([*COMMAND, *words], cwd=folder, stdin=stdin)


def lines(outcome: Outcome) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.out.splitlines()]


def results(outcome: Outcome) -> list[Any]:
    return [line["result"] for line in lines(outcome)]


# ---- items and lines


@pytest.mark.parametrize("method", METHODS)
def test_each_item_has_a_line(method: str, folder: Path) -> None:
    outcome = call(folder, "work:double", "--start-method", method, "a", "b", "--workers", "2")
    assert lines(outcome) == [
        {"index": 0, "item": "a", "result": "aa"},
        {"index": 1, "item": "b", "result": "bb"},
    ]
    assert outcome.status == 0
    assert set(outcome.err.splitlines()) == {"imported"}


def test_items_come_from_the_command_line_a_file_or_standard_input(folder: Path) -> None:
    (folder / "items").write_text("a\n\nb c\r\nlast")
    for words, stdin in (
        (["--lines", "items"], ""),
        (["--lines", "-"], "a\n\nb c\r\nlast"),
        (["-"], "a\nb c\r\nlast\n"),
    ):
        assert results(call(folder, "work:double", *words, stdin=stdin)) == ["aa", "b c\rb c\r", "lastlast"]
    assert call(folder, "work:double").out == ""
    assert results(call(folder, "work:double", "--", "-", "-x")) == ["--", "-x-x"]


def test_items_may_be_json(folder: Path) -> None:
    outcome = call(folder, "--json", "math:prod", "[2, 3]", "[]", "no", "-4")
    assert [line.get("result") for line in lines(outcome)] == [6, 1, None, None]
    assert [line["item"] for line in lines(outcome)] == [[2, 3], [], "no", -4]
    assert "no JSON" in lines(outcome)[2]["error"]["message"]
    assert lines(outcome)[3]["error"]["type"] == "TypeError"
    assert outcome.status == 1


def test_an_item_need_not_be_unicode(folder: Path) -> None:
    (folder / "items").write_bytes(b"\xff\xe9\n")
    assert os.fsencode(results(call(folder, "--lines", "items", "work:double"))[0]) == b"\xff\xe9" * 2


def test_a_function_may_have_dots_in_its_name(folder: Path) -> None:
    assert results(call(folder, "work:Tool.use", "x")) == [["x"]]
    assert results(call(folder, "os.path:basename", "a/b")) == ["b"]


@pytest.mark.parametrize("words", [[], ["--unordered"]])
def test_lines_stand_in_the_order_of_the_items_or_as_they_are_ready(words: list[str], folder: Path) -> None:
    outcome = call(folder, *words, "--journal", "journal", "--workers", "2", "work:first_after_last", "first", "last")
    order = ["last", "first"] if words else ["first", "last"]
    assert [(line["item"], line["index"]) for line in lines(outcome)] == [
        (o, ["first", "last"].index(o)) for o in order
    ]


@pytest.mark.parametrize("words", [[], ["--unordered"], ["--chunksize", "7"], ["--window", "1"], ["--window", "3"]])
def test_many_items_all_have_their_line(words: list[str], folder: Path) -> None:
    items = "".join(f"{number}\n" for number in range(1000))
    got = lines(call(folder, "--json", "operator:neg", "-", *words, "--workers", "2", stdin=items))
    assert sorted((line["index"], line["result"]) for line in got) == [(n, -n) for n in range(1000)]
    if "--unordered" not in words:
        assert [line["index"] for line in got] == list(range(1000))


@pytest.mark.parametrize("words", [["-"], ["--unordered", "-"], ["--chunksize", "5", "-"]])
def test_a_result_does_not_wait_for_the_next_line(words: list[str], folder: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "work:double", *words],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for number in range(3):
            process.stdin.write(f"{number}\n")
            assert json.loads(process.stdout.readline())["result"] == str(number) * 2
        process.stdin.close()
        assert process.wait(HANG_LIMIT_SECONDS) == 0


def test_what_the_function_prints_is_no_line_and_what_it_reads_no_item(folder: Path) -> None:
    outcome = call(folder, "--workers", "1", "work:talk", "-", stdin="a\nb\n")
    assert results(outcome) == ["", ""]
    assert outcome.err.count("from the function\n") == outcome.err.count("from a program\n") == 2


def test_without_standard_streams_there_is_one_clear_error_or_none(folder: Path) -> None:
    shell = ["sh", "-c", 'exec 0<&- 2>&-; exec "$@"', "sh"]
    assert results(run([*shell, *COMMAND, "work:double", "a"], cwd=folder)) == ["aa"]
    assert run([*shell, *COMMAND, "work:double", "-"], cwd=folder) == Outcome(0, "", "")
    outcome = run(["sh", "-c", 'exec 1>&-; exec "$@"', "sh", *COMMAND, "work:double", "a"], cwd=folder)
    assert outcome == Outcome(2, "", "allcores map: standard output cannot be written: Bad file descriptor\n")
    outcome = run(["sh", "-c", 'exec "$@" >/dev/full', "sh", *COMMAND, "os.path:basename", "a"], cwd=folder)
    assert outcome == Outcome(1, "", "allcores map: standard output cannot be written: No space left on device\n")


# ---- what fails


def test_an_error_is_the_line_of_its_item(folder: Path) -> None:
    outcome = call(folder, "work:divide", "1", "0", "3")
    assert outcome.status == 1
    assert [line.get("result") for line in lines(outcome)] == [12, None, 4]
    error = lines(outcome)[1]["error"]
    assert (error["type"], error["message"]) == ("ZeroDivisionError", "integer division or modulo by zero")
    assert error["traceback"].startswith("Traceback (most recent call last):\n")
    assert "work.py" in error["traceback"]


def test_errors_are_left_out_or_end_it_where_that_is_asked(folder: Path) -> None:
    outcome = call(folder, "--on-error", "skip", "work:divide", "1", "0", "3")
    assert (outcome.status, results(outcome)) == (1, [12, 4])
    outcome = call(folder, "--on-error=raise", "work:divide", "1", "0", "3")
    assert (outcome.status, [line["index"] for line in lines(outcome)]) == (1, [0, 1])


def test_a_chunk_fails_item_by_item(folder: Path) -> None:
    outcome = call(folder, "--chunksize", "3", "work:divide", "1", "0", "3", "4")
    assert [line.get("result") for line in lines(outcome)] == [12, None, 4, 3]
    outcome = call(folder, "--chunksize", "2", "work:die_of_three", "1", "2", "3", "4", "5")
    assert [line.get("result") for line in lines(outcome)] == ["1", "2", None, None, "5"]
    assert "work:die_of_three for items 2 to 3" in lines(outcome)[3]["error"]["message"]


def test_a_worker_that_dies_is_the_error_of_its_item(folder: Path) -> None:
    outcome = call(folder, "--retries", "1", "work:die_of_three", "1", "2", "3", "4")
    assert [line.get("result") for line in lines(outcome)] == ["1", "2", None, "4"]
    error = lines(outcome)[2]["error"]
    assert error["type"] == "allcores.errors.WorkerDiedError"
    assert "work:die_of_three('3')" in error["message"]
    assert "failed 2 times" in error["message"]


def test_an_item_that_takes_too_long_is_killed(folder: Path) -> None:
    outcome = call(folder, "--timeout", "0.5", "work:hang", "a", "hang", "b")
    assert [line.get("result") for line in lines(outcome)] == ["a", None, "b"]
    assert lines(outcome)[1]["error"]["type"] == "allcores.errors.TaskTimeoutError"


def test_an_item_that_is_too_deep_for_json_fails_alone(folder: Path) -> None:
    (folder / "items").write_text("1\n" + "[" * 100_000 + "\n2\n")
    outcome = call(folder, "--json", "--lines", str(folder / "items"), "operator:neg")
    assert outcome.status == 1
    assert [line.get("result") for line in lines(outcome)] == [-1, None, -2]


def test_a_result_without_a_form_in_json_fails_and_is_not_tried_again(folder: Path) -> None:
    outcome = call(folder, "--retries", "3", "builtins:set", "a")
    error = lines(outcome)[0]["error"]
    assert "the result, of type set, has no form in JSON" in error["message"]


def test_without_items_nothing_is_done_and_the_ways_to_give_some_are_named(folder: Path) -> None:
    outcome = call(folder, "work:double", stdin="1\n")
    assert (outcome.status, outcome.out) == (0, "")
    assert "no items: they stand on the command line or in --lines FILE, or - reads them" in outcome.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["work:dubble"], "module 'work' has no 'dubble'. Did you mean work:double"),
        (["work:number"], "work:number is of type int, and cannot be called"),
        (["wrok:double"], "there is no module 'wrok'"),
        (["work.py:double"], "Did you mean work:double"),
        (["./work.py:double"], "Did you mean work:double"),
        (["work"], "a function is named MODULE:FUNCTION, as in os.path:getsize, not 'work'"),
        ([".work:f"], "cannot be the name of a module"),
        (["broken:f"], 'broken.py", line 4, in <module>'),
        (["broken:f"], "module 'broken' cannot be imported, as shown above"),
        (["needs:f"], "No module named 'no_such_module_at_all'"),
        (["exits:f"], "module 'exits' cannot be imported, as shown above"),
        (["work:double", "--lines", "missing"], "'missing' cannot be read: No such file or directory"),
        (["work:double", "--lines", "work.py", "item"], "not both"),
        (["work:double", "--workers", "0"], "workers is a whole number, 1 or more, not 0"),
        (["work:double", "--workers", "two"], "invalid int value: 'two'"),
        (
            ["work:double", "--max-memory-per-worker", "much"],
            "'much' is no number of bytes, such as 500000000, 500M or 2G",
        ),
        (["work:double", "--affinity", "0-"], "'0-' does not list CPUs, as 0,2-3 does"),
        (["work:double", "--chunksize", "2", "--retries", "1"], "Leave chunksize out"),
        (["work:double", "--start-method", "quick"], "the start methods are: fork, forkserver, spawn, warm"),
        (["work:double", "--journal", "."], "the journal '.' cannot be used: Is a directory"),
        (["work:double", "--nonsense"], "unrecognized arguments: --nonsense"),
        ([], "the following arguments are required: MODULE:FUNCTION"),
    ],
)
def test_what_makes_no_sense_is_one_clear_error(words: list[str], says: str, folder: Path) -> None:
    outcome = call(folder, *words)
    assert (outcome.status, outcome.out) == (2, "")
    assert says in outcome.err
    assert ("Traceback" in outcome.err) == (words[:1] in (["broken:f"], ["needs:f"], ["exits:f"]))
    assert "allcores/cli" not in outcome.err


def test_help_names_every_option_that_allcores_map_has(folder: Path) -> None:
    outcome = call(folder, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    of_map = set(inspect.signature(allcores.map).parameters) - {"function", "iterables", "initializer", "initargs"}
    for name in of_map - {"ordered"}:
        assert f"--{name.replace('_', '-')}" in outcome.out


def test_limits_are_those_of_allcores_map(folder: Path) -> None:
    (folder / "limited.py").write_text(
        "import os, resource\n"
        "def seen(_):\n"
        "    return [os.getpid(), os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0)),\n"
        "            resource.getrlimit(resource.RLIMIT_DATA)[0], os.environ.get('OMP_NUM_THREADS')]\n"
    )
    cpu = min(os.sched_getaffinity(0))
    words = ["--niceness", "15", "--affinity", f"{cpu}", "--max-memory-per-worker", "1G", "--threads-per-worker", "1"]
    seen = results(call(folder, *words, "--max-tasks-per-worker=1", "--workers=1", "limited:seen", "1", "2"))
    assert len({pid for pid, *_ in seen}) == 2
    assert [rest for _, *rest in seen] == [[15, [cpu], 1 << 30, "1"]] * 2


def test_progress_is_shown_on_standard_error(folder: Path) -> None:
    outcome = call(folder, "--progress", "work:divide", "1", "0")
    assert "work:divide" in outcome.err and "2/2" in outcome.err and "failed=1" in outcome.err


# ---- the journal


def test_a_journal_has_what_is_done_and_it_is_not_done_again(folder: Path) -> None:
    first = call(folder, "work:note", "--journal", "journal", "a", "b", "a")
    assert call(folder, "work:note", "--journal", "journal", "a", "b", "a").out == first.out
    assert [(folder / f"runs-{item}").read_text() for item in "ab"] == ["..", "."]
    more = call(folder, "work:note", "--journal", "journal", "c", "a", "a", "a", "b")
    assert [(line["index"], line["result"]) for line in lines(more)] == list(enumerate("caaab"))
    assert [(folder / f"runs-{item}").read_text() for item in "abc"] == ["...", ".", "."]
    with_unordered = call(folder, "work:note", "--unordered", "--journal", "journal", "a", "b")
    assert sorted(results(with_unordered)) == ["a", "b"]
    assert (folder / "runs-b").read_text() == "."


def test_what_failed_is_done_again(folder: Path) -> None:
    for times in (1, 2):
        outcome = call(folder, "work:note_and_fail", "--journal", "journal", "a")
        assert (outcome.status, lines(outcome)[0]["error"]["type"]) == (1, "ValueError")
        assert (folder / "runs-a").read_text() == "." * times


def test_a_journal_belongs_to_its_function_and_to_one_run_at_a_time(folder: Path) -> None:
    assert call(folder, "work:double", "--journal", "journal", "a").status == 0
    outcome = call(folder, "work:note", "--journal", "journal", "a")
    assert (outcome.status, outcome.out) == (2, "")
    assert "has results of work:double, not of work:note" in outcome.err
    with holding(folder, "work:hold", "--journal", "held", "a"):
        outcome = call(folder, "work:hold", "--journal", "held", "a")
        assert (outcome.status, outcome.out) == (2, "")
        assert "in use by another process" in outcome.err


def test_a_journal_that_is_cut_anywhere_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    journal = Journal(str(file), "m:f")
    for number in range(3):
        journal.write(f'{{"index": {number}, "item": "é{number}", "result": {number}}}\n')
    whole = file.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        file.write_bytes(whole[:size])
        again = Journal(str(file), "m:f")
        done = sum(end <= size for end in ends[1:])
        assert again.length == done
        assert [again.take(json.dumps(f"é{number}")) for number in range(3)] == [str(n) for n in range(done)] + [
            None
        ] * (3 - done)
        for number in range(done, 3):
            again.write(f'{{"index": {number}, "item": "é{number}", "result": {number}}}\n')
        assert file.read_bytes() == whole


@pytest.mark.parametrize("line", ["", "{", "[]", '{"index": 1}', '{"item": 1}', "\0\0\0"])
def test_a_line_in_the_middle_that_makes_no_sense_is_refused(line: str, tmp_path: Path) -> None:
    file = tmp_path / "journal"
    Journal(str(file), "m:f")
    with file.open("a") as journal:
        journal.write(f'{line}\n{{"index": 0, "item": 1, "result": 1}}\n')
    before = file.read_bytes()
    with pytest.raises(JournalError, match="line 2 of the journal"):
        Journal(str(file), "m:f")
    assert file.read_bytes() == before


def test_a_file_that_is_no_journal_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "thesis"
    file.write_text("It was a dark and stormy night.\nAnd so on")
    with pytest.raises(JournalError, match="line 1 of the journal"):
        Journal(str(file), "m:f")
    assert file.read_text() == "It was a dark and stormy night.\nAnd so on"
    file.write_text("a line without an end")
    with pytest.raises(JournalError, match="no journal"):
        Journal(str(file), "m:f")
    assert file.read_text() == "a line without an end"


def test_a_line_that_does_not_fit_on_the_disk_leaves_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    Journal(str(file), "m:f").write('{"index": 0, "item": "a", "result": 1}\n')
    whole = file.read_bytes()
    program = f"""\
import resource
from allcores.cli.map.journal import Journal, JournalError
journal = Journal({str(file)!r}, "m:f")
resource.setrlimit(resource.RLIMIT_FSIZE, ({len(whole) + 10}, resource.RLIM_INFINITY))
try:
    journal.write("x" * 100)
except JournalError as error:
    print(error)
"""
    outcome = run([sys.executable, "-c", program])
    assert outcome == Outcome(0, f"the journal {str(file)!r} cannot be used: File too large\n", "")
    assert file.read_bytes() == whole


class holding:
    """A run whose function holds an item: what it has printed, and that all ends at the end of the block."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._command = ["sh", "-c", 'cd "$0"; exec "$@"', str(folder), *COMMAND, *words]

    def __enter__(self) -> tuple[subprocess.Popen[str], int]:
        self._started = started(self._command)
        process = self._started.__enter__()
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("held by"):
                return process, int(line.split()[2])
        raise AssertionError("it held nothing")

    def __exit__(self, *error: object) -> None:
        self._started.__exit__(*error)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] in "ZX"
    except FileNotFoundError:
        return True


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def deadly(request: pytest.FixtureRequest) -> signal.Signals:
    return signal.Signals(request.param)


@pytest.mark.parametrize("method", METHODS)
def test_a_signal_ends_it_quietly_and_it_goes_on_where_it_was(
    method: str, deadly: signal.Signals, folder: Path
) -> None:
    items = [*"abcd", "hang", *"efgh"]
    words = ["--start-method", method, "--workers", "2", "--journal", "journal", "work:hang", *items]
    with holding(folder, *words) as (process, worker):
        journal = folder / "journal"
        until(lambda: journal.read_text().count("\n") == len(items))
        if deadly == signal.SIGINT:
            os.killpg(process.pid, deadly)  # as the terminal does
        else:
            process.send_signal(deadly)
        out, err = process.communicate(timeout=HANG_LIMIT_SECONDS)
        assert process.returncode == -deadly
        assert set(err.splitlines()) <= {"imported"}
        assert [json.loads(line)["item"] for line in out.splitlines()] == list("abcd")
        until(lambda: is_gone(worker))
    (folder / "work.py").write_text(WORK.replace('text == "hang"', "False"))
    outcome = call(folder, *words)
    assert (outcome.status, results(outcome)) == (0, items)
    assert {item: (folder / f"runs-{item}").read_text() for item in items} == {
        item: ".." if item == "hang" else "." for item in items
    }


def test_a_program_killed_at_any_moment_loses_at_most_what_was_in_flight(folder: Path) -> None:
    items = [str(number) for number in range(400)]
    command = ["--workers", "2", "--journal", "journal", "work:note", *items]
    journal, before = folder / "journal", set[str]()

    def done() -> set[str]:
        whole = journal.read_bytes().rpartition(b"\n")[0] if journal.exists() else b""
        return {json.loads(line)["item"] for line in whole.splitlines()[1:]}

    def is_far_enough(process: subprocess.Popen[bytes], more: int) -> bool:
        return len(done()) > len(before) + more or process.poll() is not None

    for round_ in range(6):
        with subprocess.Popen(
            [*COMMAND, *command],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            until(functools.partial(is_far_enough, process, round_))
            process.kill()
        now = done()
        assert before <= now
        before = now
    outcome = call(folder, *command)
    assert (outcome.status, results(outcome)) == (0, items)
    runs = [len((folder / f"runs-{item}").read_text()) for item in items]
    window = 64 + 2  # what is sent ahead at most; a dead program's workers take no further tasks for long
    assert sum(count - 1 for count in runs) <= 6 * window


def test_a_pipe_that_nobody_reads_ends_it_quietly(folder: Path) -> None:
    pipe = 'seq 100000 | "$@" --json operator:neg - | head -n 2; echo "${PIPESTATUS[1]}"'
    outcome = run(["bash", "-c", pipe, "bash", *COMMAND], cwd=folder)
    *written, status = outcome.out.splitlines()
    assert [json.loads(line)["result"] for line in written] == [-1, -2]
    assert int(status) == 128 + signal.SIGPIPE
    assert outcome.err == ""


# ---- lines


def _bytes_in_parts(parts: list[bytes]) -> Iterator[int]:
    """Descriptors that give such parts: of a file, and of a pipe."""
    file = os.memfd_create("lines")
    os.write(file, b"".join(parts))
    os.lseek(file, 0, os.SEEK_SET)
    yield file
    reader, writer = os.pipe()
    for part in parts:
        os.write(writer, part)
    os.close(writer)
    yield reader


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], []),
        ([b"\n"], [b""]),
        ([b"a\nb"], [b"a", b"b"]),
        ([b"a", b"b\n", b"\n", b"c\n"], [b"ab", b"", b"c"]),
        ([b"x" * 40000, b"y" * 20000 + b"\n"], [b"x" * 40000 + b"y" * 20000]),
    ],
)
def test_lines_are_what_stands_between_newlines(parts: list[bytes], expected: list[bytes]) -> None:
    for descriptor in _bytes_in_parts(parts):
        assert [line for line in lines_of(descriptor, lambda: None) if line is not None] == expected
        os.close(descriptor)
