"""How many CPUs this process may really use."""

from __future__ import annotations

import os

__all__ = ["usable_cpus"]


def usable_cpus() -> int:
    """Return how many CPUs this process may use at once: at least 1.

    That is the size of its CPU affinity, or less where a cgroup of its (a container's, a service's) has a quota of CPU
    time; a quota of one and a half CPUs counts as two.
    """
    cpus = float(len(os.sched_getaffinity(0)))
    for quota in _quotas():
        cpus = min(cpus, quota)
    return max(int(-(-cpus // 1)), 1)


def _quotas() -> list[float]:
    """Return the quotas of this process's cgroup and of those around it, in CPUs."""
    found: list[float] = []
    try:
        with open("/proc/self/cgroup") as file:
            lines = file.read().splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = "/sys/fs/cgroup" if not controllers else "/sys/fs/cgroup/cpu"
        while True:
            quota = _quota(f"{mount}{path.rstrip('/')}", unified=not controllers)
            if quota is not None:
                found.append(quota)
            if path in ("", "/"):
                break
            path = os.path.dirname(path)
    return found


def _quota(folder: str, *, unified: bool) -> float | None:
    try:
        if unified:
            with open(f"{folder}/cpu.max") as file:
                quota, period = file.read().split()
        else:
            with open(f"{folder}/cpu.cfs_quota_us") as file:
                quota = file.read().strip()
            with open(f"{folder}/cpu.cfs_period_us") as file:
                period = file.read().strip()
        return None if quota == "max" or int(quota) <= 0 else int(quota) / int(period)
    except (OSError, ValueError):
        return None
