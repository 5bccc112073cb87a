"""What being ready, and being idle, costs: memory of the zygote and its spares, CPU time of 500 idle children."""

from __future__ import annotations

import os
import sys
import time

import allcores
from allcores._zygote.memory import children_of, parent_of, private_bytes

CHILDREN = 500
SECONDS = 10.0
OWED_SPARE_BYTES = 1.5e6
OWED_CPU_PERCENT = 1.0


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU time that processes have taken so far, in seconds."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure and print."""
    from harness import machine  # here, so that the main module, which children have too, is a small one

    print(machine() + ", small program")
    processes = [allcores.Process(target=time.sleep, args=(3600,), daemon=True) for _ in range(CHILDREN)]
    processes[0].start()
    assert processes[0].pid is not None
    zygote = parent_of(processes[0].pid)
    assert zygote is not None
    time.sleep(1)
    spares = [private_bytes(pid) or 0 for pid in children_of(zygote) if pid != processes[0].pid]
    verdict = "holds" if max(spares) <= OWED_SPARE_BYTES else "is short"
    print(f"zygote: {(private_bytes(zygote) or 0) / 1e6:.2f} MB of its own")
    print(f"spares: {', '.join(f'{size / 1e6:.2f}' for size in spares)} MB each, owed: at most 1.5: {verdict}")

    for process in processes[1:]:
        process.start()
    time.sleep(5)  # until all wait, and there are as many spares as there should be
    everybody = [os.getpid(), zygote, *children_of(zygote)]
    before = cpu_seconds(everybody)
    time.sleep(SECONDS)
    percent = 100 * (cpu_seconds(everybody) - before) / SECONDS
    verdict = "holds" if percent < OWED_CPU_PERCENT else "is short"
    print(f"{CHILDREN} idle children, with root, zygote and spares: {percent:.2f} % of one CPU, owed: < 1: {verdict}")
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
