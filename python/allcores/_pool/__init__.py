"""The engine of pools: tasks and results in channels, claims, workers and their deaths (see the README here)."""

__all__: list[str] = []
