"""A broken replacement, to prove that the harness notices.

Its Queue loses the third item that each process puts; JoinableQueue.join never returns; making
a BoundedSemaphore kills the interpreter; get_all_start_methods is missing; and, a single file,
it has no submodules.  Its executor gets every third result wrong.
"""

import concurrent.futures
import multiprocessing as genuine
import multiprocessing.queues
import os
from multiprocessing import *  # noqa: F403

__all__ = [n for n in genuine.__all__ if n != "get_all_start_methods"]
del get_all_start_methods  # noqa: F821


class LossyQueue(genuine.queues.Queue):
    def put(self, *args, **kwargs):
        self.puts = getattr(self, "puts", 0) + 1
        if self.puts != 3:
            super().put(*args, **kwargs)


def Queue(maxsize=0):
    return LossyQueue(maxsize, ctx=genuine.get_context())


class StuckQueue(genuine.queues.JoinableQueue):
    def task_done(self):
        pass


def JoinableQueue(maxsize=0):
    return StuckQueue(maxsize, ctx=genuine.get_context())


def BoundedSemaphore(value=1):
    os.abort()


class ProcessPoolExecutor(concurrent.futures.ProcessPoolExecutor):
    def submit(self, *args, **kwargs):
        self.submits = getattr(self, "submits", 0) + 1
        return super().submit(int) if self.submits % 3 == 0 else super().submit(*args, **kwargs)
