"""Errors of common mistakes say in the program's own words what is wrong, and what helps."""

import re
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import allcores
import pytest
from running import METHODS, PYTHON, program, run


@pytest.mark.parametrize("method", METHODS)
def test_a_process_whose_init_was_not_called_says_so(method: str) -> None:
    context = allcores.get_context(method)

    class Forgetful(context.Process):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            self.number = 1

    with pytest.raises(AttributeError, match=r"Forgetful.__init__\(\) has not called super\(\).__init__\(\)"):
        Forgetful().start()


def test_a_python_that_was_told_to_run_without_the_gil_is_told_what_to_do() -> None:
    told = "import sys; sys._is_gil_enabled = lambda: False; import allcores"
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert ran.stderr.endswith("allcores needs the GIL: start Python without PYTHON_GIL=0 and without -X gil=0\n")
    held = told.replace("False", "True")
    assert subprocess.run([sys.executable, "-c", held], timeout=60).returncode == 0


@pytest.mark.parametrize("factory", ["Lock", "RLock", "Event", "Manager"])
def test_a_wrong_argument_of_a_factory_is_told_by_its_public_name(factory: str) -> None:
    with pytest.raises(TypeError, match=rf"^{factory}\(\) takes 1 positional argument"):
        getattr(allcores, factory)("a")


def test_a_wrong_argument_of_process_is_told_by_its_public_name() -> None:
    with pytest.raises(TypeError, match=r"^Process.__init__\(\) got an unexpected keyword argument 'targt'"):
        allcores.Process(targt=print)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "make",
    [
        allcores.Lock,
        allcores.RLock,
        allcores.Semaphore,
        allcores.BoundedSemaphore,
        allcores.Condition,
        allcores.Event,
        allcores.Queue,
        allcores.JoinableQueue,
        allcores.SimpleQueue,
    ],
    ids=lambda make: make.__name__,
)
def test_a_name_that_is_no_text_is_refused(make: Any) -> None:
    with pytest.raises(TypeError, match="name must be a str or None, not 5"):
        make(name=5)


@pytest.mark.parametrize("shape", [2.5, "a", (2, 1.5)])
def test_a_shape_that_is_none_is_shown(shape: Any) -> None:
    pytest.importorskip("numpy")
    expected = f"shape must be an integer or a tuple of integers, not {shape!r}"
    with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
        allcores.empty(shape)


def test_a_negative_number_of_objects_is_refused() -> None:
    with pytest.raises(ValueError, match=r"most must be 0 or above, or None for all that there is, not -1"):
        allcores.Queue().get_many(-1)


def test_a_queue_that_is_closed_or_shut_down_shows_it() -> None:
    closed: Any = allcores.Queue(name="orders")
    closed.close()
    assert repr(closed) == "<Queue 'orders' closed size=0 waiters=0>"
    shut: Any = allcores.Queue()
    shut.shutdown()
    assert repr(shut) == "<Queue shut down size=0 waiters=0>"
    simple: Any = allcores.SimpleQueue()
    simple.close()
    assert repr(simple) == "<SimpleQueue closed size=0 waiters=0>"


GONE = """
import allcores


def send(sender):
    import pickle

    for thing in (
        allcores.Lock(name="accounts"), allcores.Queue(name="orders"), allcores.Event(), allcores.Value("i", 3)
    ):
        sender.send_bytes(pickle.dumps(thing))


if __name__ == "__main__":
    import pickle

    receiver, sender = allcores.Pipe(duplex=False)
    process = allcores.Process(target=send, args=(sender,))
    process.start()
    process.join()
    for _ in range(4):
        try:
            pickle.loads(receiver.recv_bytes())
        except allcores.HandleError as error:
            print(error)
"""


def test_what_nobody_has_kept_is_told_by_kind_and_name(tmp_path: Path) -> None:
    outcome = run([*PYTHON, program(tmp_path, GONE)])
    lines = outcome.out.splitlines()
    starts = ["the Lock 'accounts' is", "the queue 'orders' is", "the Event is", "the Value or Array is"]
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts
    assert all("keep a reference in a process that lives" in line for line in lines)


def test_an_unpicklable_argument_shows_no_frames_of_ours_beside_start() -> None:
    process = allcores.get_context("warm").Process(target=print, args=(sys.stderr,))
    with pytest.raises(allcores.UnpicklableArgumentError) as caught:
        process.start()
    assert len(traceback.extract_tb(caught.value.__traceback__)) == 2  # this function's and start()'s
    cause = caught.value.__cause__
    assert "cannot pickle" in str(cause) and cause is not None and cause.__traceback__ is None


class Stubborn:
    def __reduce__(self) -> Any:
        raise TypeError("not today")


def test_a_reduce_that_fails_is_in_the_traceback_of_the_cause() -> None:
    process = allcores.get_context("warm").Process(target=print, args=(Stubborn(),))
    with pytest.raises(allcores.UnpicklableArgumentError) as caught:
        process.start()
    assert caught.value.__cause__ is not None
    frames = traceback.extract_tb(caught.value.__cause__.__traceback__)
    assert [frame.name for frame in frames] == ["__reduce__"]


@pytest.mark.parametrize("words", [["PROGRAM", "a"], ["-m", "json"], ["-c", "pass"]], ids=lambda words: words[0])
def test_a_program_without_the_word_run_is_told_how(words: list[str], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("print('ran')")
    words = [str(program) if word == "PROGRAM" else word for word in words]
    command = [sys.executable, "-m", "allcores", *words]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 2 and answer.stdout == ""
    assert f"Did you mean: allcores run {' '.join(words)}\n" in answer.stderr


def test_an_argument_of_an_initializer_that_cannot_be_sent_is_named() -> None:
    with pytest.raises(allcores.UnpicklableArgumentError, match=r"initargs\[1\] is a _thread.lock.* the pool's init"):
        allcores.get_context("warm").Pool(1, print, (1, threading.Lock()))


@pytest.mark.parametrize("factory", ["Queue", "JoinableQueue"])
def test_a_wrong_argument_of_a_method_is_told_by_the_class_that_programs_know(factory: str) -> None:
    queue = getattr(allcores, factory)()
    with pytest.raises(TypeError, match=r"^Queue\.put\(\) missing 1 required positional argument: 'obj'"):
        queue.put()
    with pytest.raises(TypeError, match=r"^Queue\.get\(\) got an unexpected keyword argument 'wait'"):
        queue.get(wait=True)
    with pytest.raises(TypeError, match=r"^of the object's own"):
        queue.put(Unpicklable())


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("of the object's own")
