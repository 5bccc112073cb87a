"""A correct replacement: own contexts, everything else re-exported.

It checks the harness: it imports the genuine `multiprocessing` under its real name while
the tests see only `passthru`, and it must pass everything.
"""

import importlib
import multiprocessing as genuine
import pkgutil
import sys

from .own import default as _default

assert genuine.__name__ == "multiprocessing" and __name__ == "passthru"

for _m in pkgutil.iter_modules(genuine.__path__):
    if not _m.name.endswith("win32"):
        globals()[_m.name] = sys.modules[f"{__name__}.{_m.name}"] = importlib.import_module(
            f"multiprocessing.{_m.name}"
        )

__all__ = [n for n in dir(_default) if not n.startswith("_")]
globals().update((n, getattr(_default, n)) for n in __all__)
