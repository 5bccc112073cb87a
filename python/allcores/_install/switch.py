"""Putting ours in the place of the standard library's, and back."""

from __future__ import annotations

import multiprocessing
import sys
import threading

from allcores import _standard
from allcores._install import originals
from allcores._install.table import REPLACED
from allcores._install.watch import ImportWatch
from allcores._start_method import choice

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from typing import Any

__all__ = ["install", "installed_default", "uninstall"]

_lock = threading.RLock()
_installation: _Installation | None = None


def install(start_method: str | None = None) -> None:
    """Make ``multiprocessing`` allcores, for this process and every process it starts through it.

    Names that a library imported before keep working; so do objects made before. The default start method stays the
    interpreter's own, ``warm`` taking the place of ``spawn`` and ``forkserver``; ``start_method`` sets another default.
    A program that chooses one itself gets what it chose. Installing again only changes the default.

    ValueError for an unknown start method.

    >>> import allcores, multiprocessing
    >>> allcores.install()
    >>> multiprocessing.Pool is allcores.Pool
    True
    >>> allcores.uninstall()
    """
    global _installation
    from allcores import context

    known = context._concrete_contexts
    if start_method is not None and start_method not in known:
        raise ValueError(f"cannot find context for {start_method!r}; the start methods are: {', '.join(sorted(known))}")
    with _lock:
        if _installation is None:
            _installation = _Installation()
        elif start_method is None:
            return
        _installation.set_default(start_method)


def uninstall() -> None:
    """Take back what `install` did; objects made meanwhile keep working. Does nothing when it is not in force."""
    global _installation
    with _lock:
        if _installation is not None:
            _installation.undo()
            _installation = None


def installed_default() -> str | None:
    """Return the default start method if install() is in force, else None."""
    return None if _installation is None else _installation.default


class _Installation:
    """What was replaced, to be put back."""

    def __init__(self) -> None:
        import allcores
        from allcores import context

        self._ours, self._context = allcores, context
        self._package_names = {name: getattr(multiprocessing, name) for name in multiprocessing.__all__}
        self._contexts = dict(_standard.concrete_contexts)
        self._standard_default = choice.standard_default
        self._replaced: dict[str, Any] = {}
        self.default: str = self._standard_default.get_start_method()
        ours = {ours for ours, _ in REPLACED.values()}
        self._watch = ImportWatch(ours | set(REPLACED), self._replace_if_complete)
        try:
            self._replace()
        except BaseException:
            self.undo()
            raise

    def _replace(self) -> None:
        for name in self._package_names:
            setattr(multiprocessing, name, getattr(self._ours, name))
        _standard.concrete_contexts.update(self._context._concrete_contexts)
        sys.meta_path.insert(0, self._watch)
        for module in REPLACED:
            if module in sys.modules:
                self._replace_if_complete(module)

    def set_default(self, start_method: str | None) -> None:
        """Set what is used while nobody has chosen."""
        if start_method is None:
            start_method = "warm" if self.default in ("spawn", "forkserver") else self.default
        self.default = start_method
        default = self._context._concrete_contexts[start_method]
        self._context._default_context._set_default(start_method)
        # A twin of ours: see StartMethodChoice for why it is not the context itself.
        choice.replace_standard_default(type(default)())

    def undo(self) -> None:
        """Put everything back."""
        if self._watch in sys.meta_path:  # not, where somebody put back a list from before
            sys.meta_path.remove(self._watch)
        for name_of_module, module in self._replaced.items():
            for name in REPLACED[name_of_module][1]:
                self._put(module, name, originals.bring_back(name_of_module, name))
        for name, original in self._package_names.items():
            setattr(multiprocessing, name, original)
        _standard.concrete_contexts.update(self._contexts)
        choice.replace_standard_default(self._standard_default)
        self._context._default_context._set_default("warm")
        chosen = self._contexts.get(choice.explicit() or "")
        if chosen is not None:
            choice.choose(chosen)  # the same start method, now theirs

    def _replace_if_complete(self, imported: str) -> None:
        """Replace the names of a standard module as soon as both it and ours are there."""
        if imported in REPLACED:
            standard, home = imported, REPLACED[imported][0]
            __import__(home)
        else:
            standard, home = next((standard, home) for standard, (home, _) in REPLACED.items() if home == imported)
        ours, names = sys.modules[home], REPLACED[standard][1]
        # Our module may be the one that imports the standard one right now; then its own notice is still to come.
        if standard in self._replaced or not all(name in vars(ours) for name in names):
            return
        module: Any = sys.modules[standard]
        self._replaced[standard] = module
        for name in names:
            originals.set_aside(name, getattr(module, name))
            self._put(module, name, getattr(ours, name))

    @staticmethod
    def _put(module: Any, name: str, thing: Any) -> None:
        """Have a module's name mean this, and the same name of its package, if that has loaded it from there."""
        before = getattr(module, name)
        setattr(module, name, thing)
        package = sys.modules[module.__name__.rpartition(".")[0]]
        if vars(package).get(name) is before and package is not multiprocessing:
            setattr(package, name, thing)
