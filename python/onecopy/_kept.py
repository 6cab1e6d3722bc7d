"""What was walked before a fork: where it lies, for the time when it must not be walked any more."""

from __future__ import annotations

import ctypes
import hashlib
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from onecopy._ranges import Place, tables

if TYPE_CHECKING:
    from collections.abc import Callable

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


def _contents(obj: Any) -> tuple[type, bytes]:
    """A hash over the references that an object holds: with the same ones it is in the same memory."""
    digest = hashlib.blake2b(digest_size=16)
    if isinstance(obj, list):
        places = tables(obj)
    elif isinstance(obj, dict):
        # The head of the table has a number that the interpreter gives when it looks something up.
        places = [(start + 32, max(length - 32, 0)) for start, length in tables(obj)]
    elif isinstance(obj, tuple):
        places = [(id(obj) + tuple.__basicsize__, 8 * tuple.__len__(obj))]
    else:
        places = [(id(obj) + 16, object.__sizeof__(obj) - 16)]
    for start, length in places:
        digest.update(start.to_bytes(8, "little") + length.to_bytes(8, "little"))
        if length:
            digest.update((ctypes.c_char * length).from_address(start))
    return type(obj), digest.digest()
