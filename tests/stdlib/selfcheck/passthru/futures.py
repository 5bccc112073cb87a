"""Its own executor, for `run.py passthru --suite futures --executor passthru.futures.ProcessPoolExecutor`."""

import concurrent.futures

__all__ = ["ProcessPoolExecutor"]


class ProcessPoolExecutor(concurrent.futures.ProcessPoolExecutor):
    pass
