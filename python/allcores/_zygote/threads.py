"""BLAS and OpenMP: no threads of theirs in the zygote; in children, as many as usual."""

from __future__ import annotations

import contextlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Iterator
    from typing import Any

__all__ = ["NumberOfThreads", "limit_threads", "load_ahead", "one_thread_each", "set_threads", "threads_alive"]

_VARIABLES = {
    # threadpoolctl's name of a library: the variables that set its number of threads, the first one set wins
    "openblas": ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"),
    "mkl": ("MKL_NUM_THREADS", "OMP_NUM_THREADS"),
    "blis": ("BLIS_NUM_THREADS", "OMP_NUM_THREADS"),
    "flexiblas": ("OMP_NUM_THREADS",),
    "openmp": ("OMP_NUM_THREADS",),
}
_LIBRARIES = (b"openblas", b"mkl_rt", b"libblis", b"flexiblas", b"libgomp", b"libomp", b"libiomp", b"vcomp")

_CARRIERS = frozenset(
    (
        "numpy",
        "scipy",
        "torch",
        "sklearn",
        "numexpr",
        "numba",
        "mkl",
        "tensorflow",
        "jaxlib",
        "cv2",
        "faiss",
        "xgboost",
        "lightgbm",
    )
)
"""Modules that load one of them, with few exceptions; whether a module is there is known at once."""


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """A block in which libraries that are loaded make no threads.

    Only the C library's environment is changed: Python code sees, and can set, what it always did.
    """
    names = {name for names in _VARIABLES.values() for name in names}
    for name in names:
        os.putenv(name, "1")
    try:
        yield
    finally:
        for name in names:
            if name in os.environ:
                os.putenv(name, os.environ[name])
            else:
                os.unsetenv(name)


class NumberOfThreads:
    """The libraries with threads of their own that are loaded here, and the number each is to have."""

    def __init__(self) -> None:
        """Look for them; that takes milliseconds where there are some, so it is done once, in the zygote."""
        self._libraries: list[Any] = []
        self._set: list[int] = []
        with open("/proc/self/maps", "rb") as file:
            maps = file.read()
        if any(name in maps for name in _LIBRARIES):
            from threadpoolctl import ThreadpoolController

            self._libraries = ThreadpoolController().lib_controllers
        global _seen
        _seen = len(sys.modules), _carriers_loaded(), self._libraries

    def set_usual(self) -> None:
        """Set what each library would have chosen by itself: its variables, else the CPUs this process may use.

        In the zygote, for its children. OpenBLAS starts threads at once, and ends them before a fork; who computes in
        a child has them started again. The others are said to start theirs when somebody computes; should threads stay,
        `MainModule.prepare` sees it.
        """
        usable = len(os.sched_getaffinity(0))
        wanted = [_wanted(library.internal_api) or usable for library in self._libraries]
        if wanted == self._set:
            return
        self._set = wanted
        for library, count in zip(self._libraries, wanted, strict=True):
            library.set_num_threads(count)
        if threads_alive() > 1:
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)


def set_threads(count: int) -> None:
    """Set the number of threads of the libraries that are loaded here, and of those still to be loaded."""
    for names in _VARIABLES.values():
        for name in names:
            os.environ[name] = str(count)
    for library in NumberOfThreads()._libraries:  # whatever has brought them: this was asked for
        library.set_num_threads(count)


def limit_threads(most: int) -> None:
    """Have no library use more threads than that, loaded or still to be loaded, unless the user has set its number."""
    free = {library for library, names in _VARIABLES.items() if not any(name in os.environ for name in names)}
    for library in free:
        os.environ[_VARIABLES[library][0]] = str(most)
    if _may_be_loaded():
        for controller in _libraries():
            if controller.internal_api in free and (controller.num_threads or most) > most:
                _lower(controller, most)


def load_ahead() -> None:
    """Find what `limit_threads` needs, if it will be needed: for children that are forked, once for all of them."""
    if _may_be_loaded():
        _libraries()


def _lower(library: Any, most: int) -> None:
    """Set a library's number of threads to a smaller one.

    OpenBLAS has no threads after a fork until somebody computes, but its function starts all of them first, as many as
    it had: then they spin, 25 ms each, while the worker begins. So its numbers are set where it keeps them.
    """
    if library.internal_api == "openblas":
        from ctypes import c_int

        with contextlib.suppress(ValueError, AttributeError):  # a build that keeps them to itself
            runs, *numbers = (
                c_int.in_dll(library.dynlib, f"blas_{name}") for name in ("server_avail", "num_threads", "cpu_number")
            )
            if not runs.value and numbers[1].value == library.num_threads:
                for number in numbers:
                    number.value = most
                return
    library.set_num_threads(most)


_seen: tuple[int, int, list[Any]] = -1, -1, []
"""How many modules there were when the libraries were looked for last, how many of them may bring one; the libraries.
"""


def _libraries() -> list[Any]:
    """Return those that are here. They may have been found before a fork; to look for them takes milliseconds."""
    modules, carriers, libraries = _seen
    if modules == len(sys.modules) or carriers == _carriers_loaded():  # the second looks at each, costly after a fork
        return libraries
    return NumberOfThreads()._libraries


def _carriers_loaded() -> int:
    return sum(name.partition(".")[0] in _CARRIERS for name in list(sys.modules))


def _may_be_loaded() -> bool:
    """Whether one of the libraries can be here; at no cost."""
    return any(name in sys.modules for name in _CARRIERS)  # the other way round each module is touched


def threads_alive() -> int:
    """Count the threads of this process, those that Python does not know (BLAS) included."""
    return len(os.listdir("/proc/self/task"))


def _wanted(library: str) -> int | None:
    for name in _VARIABLES.get(library, _VARIABLES["openmp"]):
        first = os.environ.get(name, "").partition(",")[0].strip()  # OMP_NUM_THREADS may be a list, by nesting level
        if first.isdigit() and int(first) > 0:
            return int(first)
    return None
