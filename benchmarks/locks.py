"""Locks and their kin, ours against the standard library's, between processes of the same start method (fork).

    python benchmarks/locks.py            seven rounds of a third of a second for each figure and contestant
    python benchmarks/locks.py --quick    three short rounds: whether it works, not how fast it is

Each ratio is theirs / ours: above 1, ours is faster. Three figures are of ours alone: how fairly two processes share a
lock, a hundred thousand locks at once (of which the standard library's would need as many mappings), and how long a
waiter waits for the news that the owner was killed.
"""

from __future__ import annotations

import gc
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import allcores
from harness import Loop, calibrated, machine, measure, together

QUICK = "--quick" in sys.argv
ROUNDS = 3 if QUICK else 7
ROUND_SECONDS = 0.03 if QUICK else 0.3
KILLS = 5 if QUICK else 20
LOCKS_AT_ONCE = 10_000 if QUICK else 100_000
PAUSE_SECONDS = 0.0005
"""Long enough for a process to fall asleep; never within what is measured."""
GIVE_UP_SECONDS = 5.0
OURS: Any = allcores.get_context("fork")
THEIRS: Any = multiprocessing.get_context("fork")
CONTEXTS = {"ours": OURS, "theirs": THEIRS}


def pairs_by_call(kind: str, context: Any, times: int) -> float:
    """Acquire and release by calls what nobody else wants."""
    lock = getattr(context, kind)()
    began = time.perf_counter()
    for _ in range(times):
        lock.acquire()
        lock.release()
    return time.perf_counter() - began


def pairs_by_with(kind: str, context: Any, times: int) -> float:
    """Acquire and release by a with statement what nobody else wants."""
    lock = getattr(context, kind)()
    began = time.perf_counter()
    for _ in range(times):
        with lock:
            pass
    return time.perf_counter() - began


def lifetimes(context: Any, times: int) -> float:
    """Create a lock and drop it."""
    began = time.perf_counter()
    for _ in range(times):
        context.Lock()
    return time.perf_counter() - began


def round_trips(context: Any, times: int) -> float:
    """Pass a turn to another process and back, by a condition."""
    condition, turn = context.Condition(), context.RawValue("i")

    def play(mine: int) -> None:
        for _ in range(times):
            with condition:
                while turn.value != mine:
                    condition.wait()
                turn.value = 1 - mine
                condition.notify()

    return together(context, partial(play, 0), partial(play, 1))


def event_round_trips(context: Any, times: int) -> float:
    """Pass a turn to another process and back, by two events."""
    there, back = context.Event(), context.Event()

    def first() -> None:
        for _ in range(times):
            there.set()
            back.wait()
            back.clear()

    def second() -> None:
        for _ in range(times):
            there.wait()
            there.clear()
            back.set()

    return together(context, first, second)


def barrier_cycles(context: Any, times: int) -> float:
    """Meet another process at a barrier."""
    barrier = context.Barrier(2)

    def meet() -> None:
        for _ in range(times):
            barrier.wait()

    return together(context, meet, meet)


def increments(context: Any, shares: list[float]) -> float:
    """Let two processes increment a value under a lock for a while; return the seconds of one increment.

    Adds to shares what part of them the process had that had less.
    """
    value, lock, counts = context.RawValue("q"), context.Lock(), context.RawArray("q", 2)

    def count(mine: int) -> None:
        done, end = 0, time.monotonic() + ROUND_SECONDS
        while time.monotonic() < end:
            for _ in range(20):
                with lock:
                    value.value += 1
            done += 20
        counts[mine] = done

    together(context, partial(count, 0), partial(count, 1))
    assert value.value == sum(counts), "the lock does not exclude"
    shares.append(min(counts) / sum(counts))
    return ROUND_SECONDS / int(value.value)


def wake_seconds(context: Any) -> float:
    """Return the median time from set() until a process that slept in wait() runs, in seconds."""
    event = context.Event()
    receiver, sender = context.Pipe(duplex=False)
    turns = max(10, round(ROUND_SECONDS / (PAUSE_SECONDS + 0.0003)))

    def child() -> None:
        for _ in range(turns):
            event.wait()
            woken = time.monotonic()
            event.clear()
            sender.send(woken)

    process = context.Process(target=child)
    process.start()
    latencies: list[float] = []
    for _ in range(turns):
        time.sleep(PAUSE_SECONDS)
        began = time.monotonic()
        event.set()
        latencies.append(receiver.recv() - began)
    process.join()
    return statistics.median(latencies)


def report(title: str, contestants: dict[str, Callable[[], float]]) -> None:
    """Measure and print one line."""
    contest = measure(contestants, ROUNDS)
    ours, theirs = contest.median("ours"), contest.median("theirs")
    print(f"{title:44}{ours * 1e6:11.3f}{theirs * 1e6:13.3f}{theirs / ours:9.2f}", flush=True)


def status_bytes(field: str) -> int:
    """Return a figure of this process's memory, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))


def many_locks() -> str:
    """Make very many locks, and say how long that took and what memory they have."""
    gc.collect()
    before = status_bytes("VmRSS")
    began = time.perf_counter()
    try:
        locks = [OURS.Lock() for _ in range(LOCKS_AT_ONCE)]
    except OSError as error:
        return f"refused: {error}"
    made = time.perf_counter() - began
    for lock in locks:
        lock.acquire()
    resident = status_bytes("VmRSS") - before
    began = time.perf_counter()
    del lock
    locks.clear()
    return f"made in {made:.2f} s, dropped in {time.perf_counter() - began:.2f} s, {resident / 1e6:.1f} MB resident"


def news_seconds() -> float | None:
    """Kill a process that holds a lock for which another waits; return the seconds until that has the error."""
    died: Any = vars(allcores).get("OwnerDiedError", RuntimeError)
    lock = OURS.Lock()
    receiver, sender = OURS.Pipe(duplex=False)

    def hold() -> None:
        lock.acquire()
        sender.send("held")
        time.sleep(10 * GIVE_UP_SECONDS)

    def wait() -> None:
        sender.send("waits")
        try:
            lock.acquire(timeout=GIVE_UP_SECONDS)
            sender.send(None)
        except died:
            sender.send(time.monotonic())

    processes = [OURS.Process(target=target) for target in (hold, wait)]
    for process in processes:
        process.start()
        receiver.recv()
    time.sleep(20 * PAUSE_SECONDS)
    began = time.monotonic()
    processes[0].kill()
    told: float | None = receiver.recv()
    for process in processes:
        process.join()
    return None if told is None else told - began


def main() -> int:
    """Measure and print."""
    print(machine() + f", {ROUNDS} rounds of {ROUND_SECONDS} s, children of fork on both sides")
    print(f"\n{'medians, microseconds':44}{'ours':>11}{'theirs':>13}{'ratio':>9}")
    loops: dict[str, Loop] = {
        "Lock: acquire(); release()": partial(pairs_by_call, "Lock"),
        "RLock: acquire(); release()": partial(pairs_by_call, "RLock"),
        "Semaphore: acquire(); release()": partial(pairs_by_call, "Semaphore"),
        "with Lock": partial(pairs_by_with, "Lock"),
        "with RLock": partial(pairs_by_with, "RLock"),
        "Lock(), created and dropped": lifetimes,
        "Event, round trip of two processes": event_round_trips,
        "Condition, round trip of two processes": round_trips,
        "Barrier(2), cycle of two processes": barrier_cycles,
    }
    for title, loop in loops.items():
        report(title, {name: calibrated(loop, context, ROUND_SECONDS) for name, context in CONTEXTS.items()})
    report("Event, set() until one that slept runs", {n: partial(wake_seconds, c) for n, c in CONTEXTS.items()})
    shares: dict[str, list[float]] = {name: [] for name in CONTEXTS}
    counting = {name: partial(increments, context, shares[name]) for name, context in CONTEXTS.items()}
    contest = measure(counting, ROUNDS)
    ours, theirs = (1 / contest.median(name) for name in ("ours", "theirs"))
    print(
        f"\nincrements/s under a Lock, two processes: ours {ours:,.0f}, theirs {theirs:,.0f}, ratio {ours / theirs:.2f}"
    )
    for name, parts in shares.items():
        print(
            f"the lesser share, {name}: median {100 * statistics.median(parts):.1f} %, least {100 * min(parts):.1f} %"
        )

    print(f"\n{LOCKS_AT_ONCE:,} locks at once: {many_locks()}")
    known: list[float] = []
    while len(known) < KILLS and (seconds := news_seconds()) is not None:
        known.append(seconds)
    if len(known) == KILLS:
        median, most = statistics.median(known) * 1e6, max(known) * 1e6
        print(
            f"SIGKILL of an owner until a waiter has the error, {KILLS} times: median {median:.0f} us, most {most:.0f}"
        )
    else:
        print("SIGKILL of an owner: its waiter is not told")
    return 0


if __name__ == "__main__":
    sys.exit(main())
