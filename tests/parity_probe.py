"""Compares allcores with the multiprocessing of the interpreter that runs this; prints a JSON list of differences.

Run by test_parity.py under every Python on the machine; it must work on each, so it uses the standard library alone.
"""

import importlib
import inspect
import json
import multiprocessing
import pkgutil
import sys

import allcores

# Additions of ours that show in a comparison; nothing may be missing or have another signature.
OURS = {
    "AllcoresError",
    "ArenaCorruptError",
    "ArenaFullError",
    "ExitReason",
    "HandleError",
    "ManagerEndedError",
    "InitializerError",
    "OwnerDiedError",
    "PoolTerminatedError",
    "RemoteError",
    "ProcessPoolExecutor",
    "StartError",
    "TaskTimeoutError",
    "TransactionConflictError",
    "UnpicklableArgumentError",
    "WorkerDiedError",
    "deadlocks",
    "empty",
    "install",
    "log_to_parent",
    "register_joblib",
    "share",
    "uninstall",
    "usable_cpus",
}


def submodules(package=multiprocessing, prefix=""):
    for found in pkgutil.iter_modules(package.__path__):
        if not found.name.endswith("win32"):
            yield prefix + found.name
            if found.ispkg:
                inner = importlib.import_module(f"multiprocessing.{prefix}{found.name}")
                yield from submodules(inner, f"{prefix}{found.name}.")


def shape(function):
    """The parameters as callers see them: name, kind and default, without annotations."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    # `self` of a method written in C or Rust is positional only; nobody calls it by keyword. What begins with `_` is
    # the function's own, a cache that fills.
    return [
        (p.name, "" if p.name == "self" else p.kind.name, "" if p.name.startswith("_") else repr(p.default))
        for p in parameters
    ]


def fits(standard, ours):
    """Whether ours can be called in every way the standard one can; keyword arguments of ours come behind."""
    wanted, have = shape(standard), shape(ours)
    if wanted is None or have is None:
        return wanted == have
    names = {p[0] for p in wanted}
    more = [p for p in have if p[0] not in names]
    same = [p for p in have if p[0] in names]
    # What must be given there may be left out here.
    without_default = {p[0] for p in wanted if "_empty" in p[2]}
    same = [(*p[:2], w[2]) if p[0] in without_default else p for p, w in zip(same, wanted, strict=False)]
    return same == wanted and all(p[1] == "KEYWORD_ONLY" and "_empty" not in p[2] for p in more)


def compare_callable(where, standard, ours):
    if not fits(standard, ours):
        yield f"{where}: {shape(ours)} instead of {shape(standard)}"
    if inspect.isclass(standard):
        for name, method in inspect.getmembers(standard, callable):
            if not name.startswith("_"):
                if not hasattr(ours, name):
                    yield f"{where}.{name} is missing"
                elif not fits(method, getattr(ours, name)):
                    yield f"{where}.{name}: {shape(getattr(ours, name))} instead of {shape(method)}"


def compare_modules(where, standard, ours):
    for name in dir(standard):
        if name.startswith("__") or (inspect.ismodule(getattr(standard, name)) and name == "sys"):
            continue
        if not hasattr(ours, name):
            yield f"{where}.{name} is missing"
        elif callable(getattr(standard, name)):
            yield from compare_callable(f"{where}.{name}", getattr(standard, name), getattr(ours, name))


def differences():
    for name in submodules():
        yield from compare_modules(
            name, importlib.import_module(f"multiprocessing.{name}"), importlib.import_module(f"allcores.{name}")
        )
    yield from compare_modules("", multiprocessing, allcores)
    if set(allcores.__all__) != set(multiprocessing.__all__) | OURS:
        yield f"__all__ differs by {sorted(set(allcores.__all__) ^ (set(multiprocessing.__all__) | OURS))}"
    for method in ("fork", "spawn", "forkserver"):
        standard, ours = multiprocessing.get_context(method), allcores.get_context(method)
        if not isinstance(ours, type(standard)):
            yield f"the context of {method} is no {type(standard)}"
        yield from compare_callable(f"context {method}", type(standard), type(ours))


if __name__ == "__main__":
    json.dump({"python": sys.version.split()[0], "differences": list(differences())}, sys.stdout)
