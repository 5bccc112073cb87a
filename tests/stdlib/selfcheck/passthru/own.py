"""The contexts of passthru.  (Named as CPython names them: its tests look at the class names.)"""

import multiprocessing as genuine
from multiprocessing import context as base

__all__ = ["default"]


class ForkContext(base.ForkContext):
    pass


class SpawnContext(base.SpawnContext):
    pass


class ForkServerContext(base.ForkServerContext):
    pass


contexts = {"fork": ForkContext(), "spawn": SpawnContext(), "forkserver": ForkServerContext()}


class Process(genuine.Process):
    pass


class DefaultContext(base.BaseContext):
    """Keeps the chosen start method in the genuine package, which its own modules read."""

    Process = Process

    def get_context(self, method=None):
        if method is None:
            return contexts[genuine.get_start_method()]
        if method not in contexts:
            raise ValueError(f"cannot find context for {method!r}") from None
        return contexts[method]

    def set_start_method(self, method, force=False):
        genuine.set_start_method(method, force)

    def get_start_method(self, allow_none=False):
        return genuine.get_start_method(allow_none)

    def get_all_start_methods(self):
        return genuine.get_all_start_methods()


default = DefaultContext()
