"""What was walked before a fork: where it lies, for the time when it must not be walked any more."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from onecopy import _onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy._ranges import Place

__all__ = ["is_kept", "keep", "recall"]


@dataclass
class _Kept:
    """An object that was walked before the fork."""

    place: Place
    is_same: Callable[[Any], bool]


_kept: Final[dict[int, _Kept]] = {}


def keep(obj: Any, place: Place) -> None:
    """Remembers where an object lies, for the time when it must not be walked any more.

    The object is not kept alive: that would change what is measured.
    """
    _kept[id(obj)] = _Kept(place, _recogniser(obj))


def is_kept(obj: Any) -> bool:
    """Whether it was kept, be it as it is now or not."""
    return id(obj) in _kept


def recall(obj: Any) -> Place | None:
    """Where an object lies that was kept; None if it was not, or has changed since."""
    kept = _kept.get(id(obj))
    return kept.place if kept is not None and kept.is_same(obj) else None


def _recogniser(obj: Any) -> Callable[[Any], bool]:
    """Tells an object from another one that has come to its place."""
    try:
        reference = weakref.ref(obj)
    except TypeError:
        print_ = _contents(obj)
        return lambda other: _contents(other) == print_
    return lambda other: reference() is other


def _contents(obj: Any) -> tuple[type, int]:
    """What tells an object from another one at its place that holds other references."""
    return type(obj), _onecopy._digest(obj)  # noqa: SLF001 - our own module
