"""joblib, scikit-learn and SciPy on allcores: joblib's own tests of a backend, and what its users do."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import allcores
import joblib
import numpy
import pytest
from allcores import _joblib_backend
from joblib import Parallel, delayed, parallel, parallel_config
from running import guarded, program, run

HANG_LIMIT_SECONDS = 540

OTHERWISE = {
    "test_auto_memmap_on_arrays_from_generator": "arrays are shared memory, not files that are mapped",
    "test_memmapping_leaks": "the same",
    "test_multiple_generator_call_separated_gc": "expects an error, where a second call has workers of its own here",
    "test_nested_parallel_warnings": "expects a warning that n_jobs=1 is taken in workers and threads, which is not so",
    "test_backend_context_manager": "compares with a table of joblib's own backends",
    "test_dispatch_race_condition": "takes a minute, and is about joblib's own dispatching",
}
"""Which of joblib's tests of a backend are left out, and why."""


def test_joblib_s_own_tests_of_a_backend_pass(tmp_path: Path) -> None:
    theirs = importlib.util.find_spec("joblib.test.test_parallel")
    assert theirs is not None and theirs.origin is not None
    registered = "import allcores; allcores.register_joblib(); "
    source = registered + Path(theirs.origin).read_text().replace('"loky"', '"allcores"')
    source = source.replace(
        "\nfrom joblib import Parallel, delayed", f"\n{registered}from joblib import Parallel, delayed"
    )
    (tmp_path / "test_parallel.py").write_text(source)
    chosen = f"allcores and not ({' or '.join(OTHERWISE)})"
    options = ["-q", "-W", "ignore", "-p", "no:cacheprovider", "--rootdir", tmp_path, "-o", "faulthandler_timeout=120"]
    command = [sys.executable, "-m", "pytest", *options, "-k", chosen, "test_parallel.py"]
    outcome = run(command, cwd=tmp_path, hang_limit_seconds=HANG_LIMIT_SECONDS)
    assert outcome.status == 0, outcome.out
    assert int(outcome.out.rpartition(" passed")[0].split()[-1]) > 80


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    allcores.register_joblib()
    with parallel_config(backend="allcores", n_jobs=2):
        yield
    _joblib_backend._end_kept()
    assert allcores.active_children() == []


def square(number: int) -> int:
    return number * number


def pid_of_worker(_: int) -> int:
    return os.getpid()


def test_workers_are_kept_for_the_next_call() -> None:
    pids = set(Parallel()(delayed(pid_of_worker)(number) for number in range(20)))
    for _ in range(3):
        assert Parallel()(delayed(square)(number) for number in range(50)) == [square(n) for n in range(50)]
    assert set(Parallel()(delayed(pid_of_worker)(number) for number in range(20))) <= pids | {
        process.pid for process in allcores.active_children()
    }
    assert len(allcores.active_children()) == 2
    with parallel_config(backend="allcores", n_jobs=3):
        Parallel()(delayed(square)(number) for number in range(3))
    assert len(allcores.active_children()) == 3


@pytest.mark.parametrize("n_jobs", [2, 3])
@pytest.mark.parametrize("backend", [None, "allcores"])
def test_calls_may_be_made_while_another_one_is_not_over(backend: str | None, n_jobs: int) -> None:
    first = Parallel(return_as="generator", backend=backend)(delayed(square)(number) for number in range(10))
    assert next(first) == 0
    for _ in range(2):
        again = Parallel(n_jobs=n_jobs, backend=backend)(delayed(square)(number) for number in range(10))
        assert again == [square(n) for n in range(10)]
    assert list(first) == [square(n) for n in range(1, 10)]


def die_of_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_dies_is_an_error_and_the_next_call_works() -> None:
    with pytest.raises(allcores.WorkerDiedError, match="SIGKILL"):
        Parallel(batch_size=1)(delayed(die_of_three)(number) for number in range(6))
    assert Parallel()(delayed(square)(number) for number in range(6)) == [square(n) for n in range(6)]


def seen(array: Any, change: bool = False) -> tuple[str, bool, int]:
    if change:
        array[0] = 7
    return type(array).__name__, array.flags.writeable, array.__array_interface__["data"][0] if change else 0


def test_large_arrays_are_shared_once_for_a_call() -> None:
    large, small = numpy.zeros(1 << 20), numpy.zeros(10)
    assert set(Parallel()(delayed(seen)(large) for _ in range(4))) == {("SharedArray", False, 0)}
    assert set(Parallel()(delayed(seen)(small) for _ in range(4))) == {("ndarray", True, 0)}
    assert set(Parallel(mmap_mode=None)(delayed(seen)(large) for _ in range(4))) == {("ndarray", True, 0)}
    assert set(Parallel(max_nbytes=None)(delayed(seen)(large) for _ in range(4))) == {("ndarray", True, 0)}
    arrays = _joblib_backend._Arrays(1 << 20, "r")
    batches = [arrays.pickled((large, number)) for number in range(3)]
    assert [len(batch) < 1000 for batch in batches] == [True] * 3
    assert len(arrays._shared) == 1
    del large
    assert not arrays._shared, "it was let go with the array"


def test_limits_and_an_initializer_are_the_workers() -> None:
    def begin(value: str) -> None:
        os.environ["BEGUN"] = value

    def look(_: int) -> tuple[int, str | None, str | None]:
        return os.getpriority(os.PRIO_PROCESS, 0), os.environ.get("BEGUN"), os.environ.get("OMP_NUM_THREADS")

    with parallel_config(
        "allcores", n_jobs=2, inner_max_num_threads=1, niceness=15, initializer=begin, initargs=("yes",)
    ):
        assert set(Parallel()(delayed(look)(number) for number in range(4))) == {(15, "yes", "1")}


def test_it_is_the_default_where_that_is_asked(tmp_path: Path) -> None:
    main = """
allcores.register_joblib(make_default=True)
print(type(joblib.Parallel(n_jobs=2)._backend).__name__)
print(joblib.Parallel(n_jobs=2)(joblib.delayed(lambda number: number + 1)(number) for number in range(3)))
"""
    outcome = run([sys.executable, "-W", "error", program(tmp_path, guarded("import allcores, joblib", main))])
    assert (outcome.status, outcome.out, outcome.err) == (0, "AllcoresBackend\n[1, 2, 3]\n", "")


def test_without_joblib_the_error_says_what_is_missing() -> None:
    code = "import sys; sys.modules['joblib'] = None; import allcores; allcores.register_joblib()"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_LIMIT_SECONDS)
    assert "register_joblib is for joblib, which is not installed: 'pip install joblib'" in answer.stderr


@pytest.mark.filterwarnings("ignore")  # of libraries, about one another
def test_scikit_learn_s_n_jobs_gives_the_same_results() -> None:
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score

    features, labels = make_classification(4000, 40, random_state=0)
    assert features.nbytes > 1 << 20
    backends = []
    scores = {}
    for n_jobs in (1, 2):
        backends.append(type(Parallel(n_jobs=n_jobs)._backend).__name__)
        scores[n_jobs] = cross_val_score(LogisticRegression(), features, labels, n_jobs=n_jobs)
    assert (scores[1] == scores[2]).all()
    assert backends[-1] == "AllcoresBackend"
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3, n_jobs=2).fit(features, labels)
    assert search.best_params_["C"] in (0.1, 1.0)
    forest = RandomForestClassifier(10, n_jobs=2, random_state=0).fit(features, labels)
    assert (forest.predict(features) == forest.set_params(n_jobs=1).predict(features)).all()


def distance(point: Any) -> float:
    return float(((point - 1) ** 2).sum())


@pytest.mark.filterwarnings("ignore")
def test_scipy_takes_a_pool_s_map_for_its_workers() -> None:
    from scipy.optimize import differential_evolution

    bounds = [(-3, 3)] * 3
    options: Any = {"seed": 1, "updating": "deferred", "maxiter": 30, "polish": False}
    with allcores.Pool(2) as pool:
        found = differential_evolution(distance, bounds, workers=pool.map, **options)
    assert (found.x == differential_evolution(distance, bounds, **options).x).all()


def test_the_backend_is_known_in_workers() -> None:
    assert set(Parallel()(delayed(known)(number) for number in range(4))) == {True}


def known(_: int) -> bool:
    return "allcores" in parallel.BACKENDS


def test_what_cannot_be_sent_is_an_error_of_the_call() -> None:
    with open(os.devnull) as file, pytest.raises(Exception, match="Could not pickle the task") as raised:
        Parallel()(delayed(id)(file) for _ in range(3))
    assert "TextIOWrapper" in str(raised.value)
    assert joblib.__version__
