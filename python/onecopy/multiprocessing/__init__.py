"""`multiprocessing`, with a `Manager()` that needs no server process.

Import it in the place of `multiprocessing`: everything but `Manager` and `managers` is the standard library's, its
submodules as well. `install()` replaces the Manager for code that you do not edit, and
`python -m onecopy.multiprocessing PROGRAM` does so for a whole program.

    >>> from onecopy import multiprocessing
    >>> manager = multiprocessing.Manager()
    >>> manager.list([1, 2])
    onecopy.List([1, 2])
"""

from __future__ import annotations

import multiprocessing as _standard
from typing import TYPE_CHECKING, Any

from onecopy.managers import Manager
from onecopy.multiprocessing import _submodules
from onecopy.multiprocessing._install import install

if TYPE_CHECKING:
    from multiprocessing.context import DefaultContext

    from onecopy.managers import SyncManager

    class _Context(DefaultContext):
        def Manager(self) -> SyncManager:  # type: ignore[override]  # noqa: N802
            """Makes a manager."""


__all__ = ["Manager", "get_context", "install"]
__all__ += [name for name in _standard.__all__ if name not in __all__]

_submodules.add_finder()


def get_context(method: str | None = None) -> _Context:
    """Returns the context of a start method, as `multiprocessing.get_context()`; its `Manager()` needs no server."""
    real = _standard.get_context(method)
    kind = type(real)
    context: Any = object.__new__(type(kind.__name__, (kind,), {"Manager": lambda _: Manager()}))
    context.__dict__.update(real.__dict__)
    found: _Context = context
    return found


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)


def __dir__() -> list[str]:
    """What `multiprocessing` has, and `install`."""
    return sorted({*dir(_standard), "install"})
