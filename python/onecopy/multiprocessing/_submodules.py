"""`onecopy.multiprocessing.pool` is `multiprocessing.pool`, and so is every other submodule but `managers`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["add_finder"]

_OURS: Final = "onecopy."


class _Finder:
    """Finds the modules that only the standard package has. The finders of files are asked first."""

    @staticmethod
    def find_spec(fullname: str, _path: Sequence[str] | None = None, _target: Any = None) -> ModuleSpec | None:
        """Says how a module is loaded."""
        standard = fullname.removeprefix(_OURS)
        if not fullname.startswith(f"{_OURS}multiprocessing.") or importlib.util.find_spec(standard) is None:
            return None
        return ModuleSpec(fullname, _Loader(standard))  # type: ignore[arg-type]  # it has what is asked of one


class _Loader:
    """Gives the standard library's module by its second name."""

    def __init__(self, standard: str) -> None:
        self._standard = standard

    def create_module(self, _spec: ModuleSpec) -> ModuleType:
        """Imports it."""
        module = importlib.import_module(self._standard)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Gives it back what the import has just overwritten: it keeps its first name."""
        module.__spec__ = self._spec


def add_finder() -> None:
    """Makes the submodules importable."""
    sys.meta_path.append(_Finder)
