"""A pool's workers: started, watched by a thread, buried and replaced."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
from multiprocessing import connection

from allcores import _core
from allcores._cpus import usable_cpus
from allcores._pool.claim import Claim
from allcores._pool.endings import broken_by, reason_of, stillborn, terminated
from allcores._pool.judge import (
    Death,
    Stillbirths,
    is_orderly,
    task_lost,
    threads_per_worker,
    workers_needed,
    workers_wanted,
)
from allcores._pool.marks import INITIALIZER_EXIT_CODE
from allcores._pool.worker import work
from allcores._unguarded import POOL_WORKER, POOL_WORKER_EXIT_CODE, refused

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

    from allcores._in_arena import Channel

__all__ = ["Crew"]

_GRACE_SECONDS = 5.0
"""How long a worker may take to end when it is asked to; then it is killed."""


class Crew:
    """The workers. ``processes`` is what a pool shows as its ``_pool``.

    ``lost`` is told of each task that died with its worker (its number, that of its message, process), ``give_up`` that
    no worker can be started any more, with what makes the error of all tasks. If the death of a worker ``breaks`` it,
    the others are ended.
    """

    def __init__(
        self,
        size: int,
        make: Callable[..., Any],
        channels: tuple[Channel, Channel],
        orders: tuple[Any, ...],
        lost: Callable[[int, int, Any], None],
        give_up: Callable[[Callable[[], BaseException]], None],
        *,
        most: int | None = None,
        are_daemons: bool = True,
        breaks: bool = False,
        has_thread: bool = True,
    ) -> None:
        """Start so many workers, made by ``make``, each with the initializer, its arguments and most tasks ordered.

        There may be ``most`` later. Without a thread, somebody calls `attend` when one of `descriptors` is readable.
        """
        self.size = size
        self.processes: list[Any] = []
        self._make, self._channels, self._orders = make, channels, orders
        self._lost, self._give_up, self._breaks, self._are_daemons = lost, give_up, breaks, are_daemons
        self._threads = threads_per_worker(usable_cpus(), size if most is None else most)
        self._dismissed: set[int] = set()
        """Of whose end there is nothing to be told."""
        self._claims: dict[int, Claim] = {}
        self._lock = threading.RLock()
        self._stillbirths = Stillbirths(size)
        self._is_hopeless = self._is_ended = self._is_broken = self._is_dismissed = False
        self._descriptors: dict[int, int] = {}
        self._pidfds: dict[int, int] = {}
        """By which workers get signals; kept, since one that is stopped has to go on though no descriptor is left."""
        try:
            self.hire()
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except BaseException:
            self._end_all()
            raise
        self.thread: threading.Thread | None = None
        if has_thread:
            self.thread = threading.Thread(target=self._watch, name="allcores-pool", daemon=True)
            try:
                self.thread.start()
            except BaseException:
                self.thread = None
                self.end()
                raise

    def hire(self) -> None:
        """Start workers for those that are missing."""
        tasks = self._channels[0]
        with self._lock:
            if self._is_hopeless or self._is_ended:
                return
            for _ in range(workers_wanted(self.size, len(self.processes), tasks._length(), tasks._is_shut())):
                self._start_one()

    def grow(self, most: int, pending: int) -> None:
        """Start workers for pending tasks, up to ``most`` in all."""
        with self._lock:
            size, self.size = self.size, workers_needed(self.size, most, pending)
            if self.size > size:
                try:
                    self.hire()
                finally:
                    self.size = max(size, len(self.processes))  # as far as that went
                    self.look()  # so that these are watched, too

    def _start_one(self) -> None:
        claim = Claim()
        process = self._make(target=work, args=(*self._channels, claim, self._threads, *self._orders))
        process.name = process.name.replace("Process", POOL_WORKER)
        if self._are_daemons:
            process.daemon = True
        try:
            process.start()
            self._claims[id(process)] = claim
            self.processes.append(process)
        except BaseException:  # a signal handler's, too
            if process not in self.processes and getattr(process, "_popen", None) is not None:
                process.kill()
            raise

    def _watch(self) -> None:
        """Do the thread's work. Should that go wrong, nobody waits for ever."""
        try:
            self._watch_until_end()
        except Exception as error:
            with self._lock:
                self._is_hopeless = True
                kind, arguments = type(error), error.args
                self._give_up(lambda: kind(*arguments))
            raise
        finally:
            self._close_bell()

    def _close_bell(self) -> None:
        with self._lock:
            if self._bell >= 0:
                os.close(self._bell)
                self._bell = -1

    def _watch_until_end(self) -> None:
        """Sleep until a worker ends, until the crew is ended, or has nobody and needs nobody."""
        while True:
            connection.wait(self.descriptors())
            if not self.attend():
                break

    def descriptors(self) -> list[int]:
        """Return what is readable when there is something to attend to."""
        with self._lock:
            return [self._bell, *map(self._descriptor, self.processes)]

    def attend(self) -> bool:
        """Do what is to be done after the end of workers; False when there will be nothing more."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        with self._lock:
            if self._is_ended:
                return False
            lost = self._bury()
        for number, message, process in lost:  # whoever is told has a lock that others have who want this one
            self._lost(number, message, process)
        with self._lock:
            if self._is_ended:
                return False
            if self._is_broken:
                self._end_all()
                self.processes.clear()
                return False
            self._replace()
            if self.processes or not (self._channels[0]._is_shut() or self._is_hopeless):
                return True
            if self._is_dismissed:
                self._give_up(terminated)
            return False

    def _descriptor(self, process: Any) -> int:
        """Return what is readable when a worker has ended.

        The sentinel of a process that was forked is a pipe, which its own children may keep open.
        """
        number = self._descriptors.get(id(process))
        if number is None:
            number = process.sentinel
            if getattr(getattr(process, "_popen", None), "method", None) in ("fork", "spawn"):
                with contextlib.suppress(OSError):
                    number = os.pidfd_open(process.pid)
            self._descriptors[id(process)] = number
        return number

    def _pidfd(self, process: Any) -> int:
        """Return a pidfd of a worker, which is closed when that is buried."""
        watched = self._descriptor(process)
        if watched != process.sentinel or getattr(getattr(process, "_popen", None), "method", None) == "warm":
            return watched
        number = self._pidfds.get(id(process))
        if number is None:
            number = self._pidfds[id(process)] = os.pidfd_open(process.pid)
        return number

    def _bury(self) -> list[tuple[int, int, Any]]:
        """Take those off that have ended; return the lost tasks: number, that of the message, and process."""
        lost = []
        for process in [process for process in self.processes if process.exitcode is not None]:
            process.join()
            self.processes.remove(process)
            claim = self._claims.pop(id(process))
            self._forget_descriptor(process)
            noted = claim._noted()
            others = (other._noted() for other in self._claims.values()) if noted else ()
            death = Death(
                process.exitcode,
                noted,
                noted is not None and _core.has_given(self._channels[0], noted[1]),
                {other[0] for other in others if other is not None},
            )
            is_dismissed = process.pid in self._dismissed
            self._dismissed.discard(process.pid)
            if self._breaks and not (is_dismissed or self._is_hopeless or is_orderly(death)):
                name, pid, (reason, _) = process.name, process.pid, reason_of(process)
                self.break_up(functools.partial(broken_by, name, pid, reason))
                continue
            if noted is not None and task_lost(death) is not None and not is_dismissed:
                lost.append((*noted, process))
            if self._stillbirths.note(death):
                self._despair(death, process)
        return lost

    def _forget_descriptor(self, process: Any) -> None:
        number = self._descriptors.pop(id(process), None)
        if number is not None and number != process.sentinel:
            os.close(number)
        number = self._pidfds.pop(id(process), None)
        if number is not None:
            os.close(number)

    def break_up(self, error: Callable[[], BaseException]) -> None:
        """End all workers; every task fails with that error."""
        with self._lock:
            if not self._is_broken:
                self._is_broken = self._is_hopeless = True
                self._give_up(error)
        self.look()

    def dismiss(self, number: int) -> None:
        """Send all workers a signal, and start none any more. What is not done when they are gone fails."""
        with self._lock:
            self._is_hopeless = self._is_dismissed = True
            for process in list(self.processes):
                self.signal(process, number)
        self.look()

    def _despair(self, death: Death, process: Any) -> None:
        """Start no further worker; unless one is at work, nothing will be done any more."""
        if any(claim._noted() is not None for claim in self._claims.values()) and death.exit_code not in (
            INITIALIZER_EXIT_CODE,
            POOL_WORKER_EXIT_CODE,
        ):
            return
        self._is_hopeless = True
        if death.exit_code == POOL_WORKER_EXIT_CODE:
            self._give_up(refused)
        elif death.exit_code != INITIALIZER_EXIT_CODE:  # which the worker itself has told
            name, pid, (reason, _) = process.name, process.pid, reason_of(process)
            self._give_up(lambda: stillborn(name, pid, reason))

    def _replace(self) -> None:
        try:
            self.hire()
        except Exception as error:
            if not self.processes:
                self._is_hopeless = True
                kind, arguments = type(error), error.args
                self._give_up(lambda: kind(*arguments))

    def look(self) -> None:
        """Have the thread look again."""
        with self._lock:
            if self._bell >= 0:
                os.eventfd_write(self._bell, 1)

    def at_work(self) -> list[tuple[Any, Claim]]:
        """Return the workers that are not known to have ended, and their claims."""
        with self._lock:
            return [(process, self._claims[id(process)]) for process in self.processes]

    def signal(self, process: Any, number: int, *, dismissed: bool = False) -> bool:
        """Send a worker a signal; False when it has ended. If that is its end, nothing is told of it when dismissed."""

        def send(descriptor: int) -> bool:
            if dismissed:
                self._dismissed.add(process.pid)
            signal.pidfd_send_signal(descriptor, number)
            return True

        return self._with_pidfd(process, send) is not None

    def stop(self, process: Any) -> bool | None:
        """Stop a worker, where it has no lock that is needed to see what it has replied; None when it has ended.

        False when it does not stop at once: then it goes on, and is to be stopped again.
        """
        return self._with_pidfd(process, lambda own: _core.stop_process(self._channels[1], own, process.pid))

    def _with_pidfd(self, process: Any, act: Callable[[int], bool]) -> bool | None:
        with self._lock:  # nobody else learns of its end meanwhile
            if process not in self.processes:
                return None
            try:
                descriptor = self._pidfd(process)
                return act(descriptor) if process.exitcode is None else None  # if so, the pid was its own before
            except ProcessLookupError:
                return None

    def join(self, timeout_seconds: float | None = None) -> None:
        """Wait until there are no workers any more, after the tasks were shut or this was ended."""
        self.look()
        if self.thread is None:
            while self.descriptors()[1:]:
                connection.wait(self.descriptors())
                self.attend()
        elif threading.current_thread() is not self.thread:
            self.thread.join(timeout_seconds)
        if timeout_seconds is not None:
            return
        for process in list(self.processes):
            process.join()

    def end(self) -> None:
        """End the workers, whatever they do."""
        with self._lock:
            self._is_ended = True
        self.look()
        if self.thread is None:
            self._close_bell()
        elif threading.current_thread() is not self.thread:
            self.thread.join()
        self._end_all()
        # The pool shows them still, but this is in a circle: they would keep their descriptors until that is collected.
        self.processes = []

    def _end_all(self) -> None:
        processes = [process for process in self.processes if hasattr(process, "terminate")]
        for process in processes:
            if process.exitcode is None:
                process.terminate()
        running = [process for process in processes if process.is_alive() and hasattr(process, "sentinel")]
        for process in running:
            if not connection.wait([self._descriptor(process)], _GRACE_SECONDS):
                process.kill()
        for process in processes:
            if process.is_alive():
                process.join()
            self._forget_descriptor(process)
