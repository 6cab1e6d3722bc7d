"""`multiprocessing.managers` without a server process; `onecopy.managers` by the name that programs import."""

from multiprocessing import managers as _standard
from typing import Any

from onecopy.managers import *  # noqa: F403
from onecopy.managers import __all__ as _ours

__all__ = [*_ours]  # noqa: PLE0604 - names
__all__ += [name for name in _standard.__all__ if name not in _ours]


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
