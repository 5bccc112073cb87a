"""Log records of children in the handlers of their parent."""

import os
import select
import signal
from pathlib import Path

import pytest
from running import ALLCORES, HANG_LIMIT_SECONDS, PYTHON, Outcome, guarded, program, run, started

HEAD = """\
import faulthandler, logging, os, signal, sys, threading
import allcores as mp
log = logging.getLogger("app.part")
"""
SET_UP = """
faulthandler.dump_traceback_later(50, exit=True)
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s %(processName)s %(message)s")
"""
RECEIVING = ("warm", "spawn", "forkserver")


def outcome_of(folder: Path, definitions: str, main: str, *command: str) -> Outcome:
    text = guarded(HEAD + definitions, SET_UP + main.strip())
    outcome = run([*(command or PYTHON), program(folder, text)])
    assert outcome.status == 0, outcome.err
    return outcome


def start(method: str, target: str = "work", arguments: str = "()") -> str:
    return f"""
p = mp.get_context({method!r}).Process(target={target}, args={arguments}, name="child")
p.start(); p.join(30); print(p.exitcode)
"""


@pytest.mark.parametrize("method", RECEIVING)
def test_records_arrive_in_order_and_before_the_end_is_told(method: str, tmp_path: Path) -> None:
    definitions = """
def work(count):
    for number in range(count):
        log.info("record %d", number)
    log.debug("below the parent's level")
"""
    outcome = outcome_of(tmp_path, definitions, "mp.log_to_parent()" + start(method, arguments="(300,)"))
    assert outcome.out.splitlines() == [*(f"INFO app.part child record {number}" for number in range(300)), "0"]
    assert outcome.err == ""


def test_a_record_says_all_that_it_said_in_the_child(tmp_path: Path) -> None:
    definitions = """
class Unknown:
    def __repr__(self): return "<an object of the child>"

class Seen(logging.Handler):
    def emit(self, record):
        print(record.getMessage()[:20], len(record.getMessage()), record.args, record.exc_info, record.funcName)
        print(record.number, record.thing, record.process == p.pid, (record.exc_text or "").splitlines()[-1:])

def work():
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("%s", Unknown(), extra={"number": [1, (2.5, None)], "thing": Unknown()})
    log.warning("long" * 100_000, extra={"number": 1, "thing": 2})
"""
    main = "mp.log_to_parent()\nlogging.getLogger('app').addHandler(Seen())\nlogging.root.handlers.clear()"
    outcome = outcome_of(tmp_path, definitions, main + start("warm"))
    assert outcome.out.splitlines() == [
        "<an object of the ch 24 None None work",
        "[1, (2.5, None)] <an object of the child> True ['ZeroDivisionError: division by zero']",
        "longlonglonglonglong 400000 None None work",
        "1 2 True []",
        "0",
    ]


@pytest.mark.parametrize("method", RECEIVING)
def test_the_functions_of_the_module_log_to_the_parent_too(method: str, tmp_path: Path) -> None:
    definitions = """
def work():
    log.info("1")
    logging.info("2")
    logging.warning("3")
    log.info("4")
"""
    outcome = outcome_of(tmp_path, definitions, "mp.log_to_parent()" + start(method))
    assert outcome.out.splitlines() == [
        "INFO app.part child 1",
        "INFO root child 2",
        "WARNING root child 3",
        "INFO app.part child 4",
        "0",
    ]
    assert outcome.err == ""


def test_a_parent_that_is_busy_for_a_while_loses_nothing(tmp_path: Path) -> None:
    definitions = """
def work():
    for _ in range(1000):
        log.info("x" * 1000)

class Slow(logging.StreamHandler):
    slept = False
    def emit(self, record):
        if not Slow.slept:
            Slow.slept = True
            time.sleep(3)
        super().emit(record)
"""
    main = "mp.log_to_parent()\nlogging.basicConfig(force=True, level='INFO', handlers=[Slow(sys.stdout)])"
    assert outcome_of(tmp_path, "import time" + definitions, main + start("warm")).out.count("x" * 1000) == 1000


@pytest.mark.parametrize("method", RECEIVING)
def test_a_child_with_handlers_of_its_own_keeps_to_them(method: str, tmp_path: Path) -> None:
    definitions = """
def work():
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="own: %(message)s")
    log.info("hello")
"""
    outcome = outcome_of(tmp_path, definitions, "mp.log_to_parent()" + start(method))
    assert outcome.out == "own: hello\n0\n"


@pytest.mark.parametrize(
    ("main", "says"),
    [
        ("", "not forwarded"),
        ("mp.log_to_parent()\nmp.log_to_parent(False)", "not forwarded"),
        ("mp.log_to_parent()\nlogging.root.handlers.clear()", "nothing to forward to"),
    ],
)
def test_otherwise_a_child_shows_warnings_itself_and_the_parent_has_no_thread(
    main: str, says: str, tmp_path: Path
) -> None:
    definitions = "def work():\n    log.info('no')\n    log.warning('a warning')\n"
    outcome = outcome_of(tmp_path, definitions, main + start("warm") + "\nprint(threading.active_count())")
    assert (outcome.out, outcome.err) == ("0\n1\n", "a warning\n"), says


def test_allcores_run_forwards_without_being_asked(tmp_path: Path) -> None:
    definitions = "import multiprocessing\ndef work():\n    log.info('hello')\n"
    main = "p = multiprocessing.Process(target=work, name='child')\np.start(); p.join(30); print(p.exitcode)"
    outcome = outcome_of(tmp_path, definitions, main, *ALLCORES, "--start-method", "warm")
    assert outcome.out == "INFO app.part child hello\n0\n"


@pytest.mark.parametrize("method", RECEIVING)
def test_grandchildren_log_to_the_nearest_process_with_handlers(method: str, tmp_path: Path) -> None:
    definitions = f"""
def work(deeper, own_handler):
    if own_handler:
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="middle: %(message)s")
    if deeper:
        p = mp.get_context({method!r}).Process(target=work, args=(False, False), name="grandchild")
        p.start(); p.join(30)
    log.info("deeper" if deeper else "deepest")
"""
    main = "mp.log_to_parent()"
    for own_handler in (False, True):
        main += start(method, arguments=f"(True, {own_handler})")
    assert outcome_of(tmp_path, definitions, main).out.splitlines() == [
        "INFO app.part grandchild deepest",
        "INFO app.part child deeper",
        "0",
        "middle: deepest",
        "middle: deeper",
        "0",
    ]


def test_what_a_killed_child_logged_is_not_lost(tmp_path: Path) -> None:
    definitions = "def work():\n    log.info('last words')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    outcome = outcome_of(tmp_path, definitions, "mp.log_to_parent()" + start("warm"))
    assert outcome.out == "INFO app.part child last words\n-9\n"


def test_a_filter_that_fails_is_shown_and_harms_no_other_record(tmp_path: Path) -> None:
    definitions = """
def fail_once(record):
    if record.getMessage() == "bad":
        raise LookupError("in the filter")
    return True

def work():
    log.info("bad")
    log.info("good")
"""
    main = "mp.log_to_parent()" + start("warm").replace("p.start()", "log.addFilter(fail_once); p.start()")
    outcome = outcome_of(tmp_path, definitions, main)
    assert outcome.out == "INFO app.part child good\n0\n"
    assert "LookupError: in the filter" in outcome.err


def test_a_parent_that_does_not_read_holds_up_no_child_that_ends(tmp_path: Path) -> None:
    definitions = """
def work(parent):
    while " T " not in open(f"/proc/{parent}/stat").read():
        pass
    sys.stderr = open(os.devnull, "w")
    for _ in range(10_000):
        log.info("x" * 1000)
"""
    main = """
mp.log_to_parent()
p = mp.Process(target=work, args=(os.getpid(),))
p.start()
print(p.pid, flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
p.join()
"""
    text = guarded(HEAD + definitions, SET_UP + main.strip())
    with started([*PYTHON, str(program(tmp_path, text))]) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        with os.fdopen(child):
            assert select.select([child], [], [], HANG_LIMIT_SECONDS)[0], "it is blocked"
        parent.send_signal(signal.SIGCONT)
        out, _ = parent.communicate(timeout=HANG_LIMIT_SECONDS)
    assert out.count("x" * 1000) > 0


def test_an_exit_waits_for_children_and_handles_what_they_log(tmp_path: Path) -> None:
    definitions = """
def work():
    threading.Event().wait(0.3)
    for _ in range(1000):
        log.info("at the end")
"""
    main = "mp.log_to_parent()\nfor _ in range(3): mp.Process(target=work).start()"
    assert outcome_of(tmp_path, definitions, main).out.count("at the end") == 3000


def test_a_process_that_the_program_forks_does_not_take_records_away(tmp_path: Path) -> None:
    definitions = "def work():\n    log.info('hello')\n"
    main = "mp.log_to_parent()" + start("warm")
    main += "pid = os.fork()\nif pid == 0:\n    signal.pause()\n" + start("warm") + "os.kill(pid, signal.SIGKILL)\n"
    assert outcome_of(tmp_path, definitions, main).out == "INFO app.part child hello\n0\n" * 2
