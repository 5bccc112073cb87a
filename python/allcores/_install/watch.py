"""Noticing that a module was imported, without importing it.

``import multiprocessing.pool`` makes Python import ``allcores.pool`` too, and only when both are complete can names be
replaced; which of the two somebody imports first does not matter.
"""

from __future__ import annotations

import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable, Collection, Sequence
    from importlib.machinery import ModuleSpec
    from typing import Any

__all__ = ["ImportWatch"]


class ImportWatch:
    """A finder that finds nothing itself, and calls ``imported(name)`` after each of ``names`` was executed.

    Not derived from importlib.abc, whose import would cost more than all of allcores.
    """

    def __init__(self, names: Collection[str], imported: Callable[[str], None]) -> None:
        self._names = frozenset(names)
        self._imported = imported

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the other finders find it, and put a notice behind its execution."""
        if fullname not in self._names:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(fullname, path, target) if find and finder is not self else None
            if spec is not None and spec.loader is not None:
                spec.loader = _NoticingLoader(spec.loader, self._imported)  # type: ignore[assignment]  # by its methods
                return spec
        return None


class _NoticingLoader:
    """Another loader, with a call after its work. It takes itself out of the module's sight first."""

    def __init__(self, loader: Any, imported: Callable[[str], None]) -> None:
        self._loader = loader
        self._imported = imported

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        spec.loader = self._loader
        module: types.ModuleType | None = self._loader.create_module(spec)
        spec.loader = self  # type: ignore[assignment]  # by its methods
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._imported(module.__spec__.name)
