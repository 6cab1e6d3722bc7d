"""Where everything lies that an object refers to.

Asking an object what it refers to writes: each referent's reference count goes up and down, in the page where it lies.
Before a fork that does not matter. Afterwards it copies, in the process that asks, the very pages that are to be
judged. So a walk is *quiet* then: it descends only where nothing is written (frozen objects are not counted) or where
it does not matter (a handful of objects that hold arrays), and refuses the rest.
"""

from __future__ import annotations

import array
import collections
import enum
import gc
import mmap
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from onecopy import _onecopy
from onecopy._buffers import CODE, CONSTANTS, PAGE_BYTES, Range, data_of, elements, holds_objects, library, own_bytes

__all__ = ["Place", "merged", "walked"]

MOST_RANGES: Final = 512
"""Ranges of memory that one object may have; of more, the largest count."""
FEW_OBJECTS: Final = 1_000
"""Objects that a quiet walk may write to: some dozen pages at most, in the one process that asks."""

_SIZED: Final = (list, dict, tuple, set, frozenset, collections.deque)
_HIDDEN: Final = {"polars", "torch", "tensorflow", "jax", "jaxlib", "cupy"}
"""Libraries whose objects keep their data where neither buffers nor the collector lead."""
_LEAVES: Final = (str, bytes, int, float, complex)


@dataclass
class Place:
    """Where an object lies."""

    ranges: list[Range]
    """Whole pages, apart from each other."""
    left_out: int = 0
    """Objects, between the arrays, that a quiet walk has not judged."""


def merged(ranges: list[Range]) -> list[Range]:
    """Whole pages, those next to each other joined; of too many, the largest."""
    pages = sorted((start // PAGE_BYTES, -(-(start + length) // PAGE_BYTES)) for start, length in ranges if length)
    joined: list[list[int]] = []
    for first, last in pages:
        if joined and first <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    joined.sort(key=lambda pair: pair[0] - pair[1])
    return [(first * PAGE_BYTES, (last - first) * PAGE_BYTES) for first, last in joined[:MOST_RANGES]]


class _Kind(enum.Enum):
    """How a class's instances are looked at."""

    NONE = enum.auto()
    """Nothing of this object's: code, and the interpreter's constants."""
    LEAF = enum.auto()
    """Refers to nothing, and lies in one place."""
    HOLDER = enum.auto()
    """Refers to others."""
    DATA = enum.auto()
    """Has its data elsewhere: an array, a view, a buffer."""


def _kind(kind: type) -> _Kind:
    if issubclass(kind, (*CODE, *CONSTANTS)):
        return _Kind.NONE
    origin = library(kind)
    if origin in _HIDDEN:
        raise TypeError(
            f"{kind.__qualname__}: {origin} does not show where its data lie; give a numpy array or an Arrow table "
            "over them"
        )
    if issubclass(kind, _LEAVES):
        return _Kind.LEAF
    numpy = sys.modules.get("numpy")
    is_array = numpy is not None and issubclass(kind, numpy.ndarray)
    if is_array or issubclass(kind, (bytearray, memoryview, array.array, mmap.mmap)):
        return _Kind.DATA
    return _Kind.DATA if origin in {"onecopy", "pyarrow"} else _Kind.HOLDER


def _interpreters_variables() -> range:
    """Where the interpreter has small numbers, empty and short texts, and names like "name": one of each for everybody.

    They lie in its own file, which processes share that have nothing else in common.
    """
    for line in Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines():
        addresses, _, rest = line.partition(" ")
        mapping = range(*(int(address, 16) for address in addresses.split("-")))
        if id("") in mapping and "/" in rest:
            return mapping
    return range(0)


_INTERPRETERS: Final = _interpreters_variables()


def _leaf_bytes(cls: type, obj: Any) -> int:
    """Bytes of a str, an int or a float that is small and the program's own; 0 of everything else."""
    if id(obj) in _INTERPRETERS:
        size = 0
    elif cls is str:
        size = str.__sizeof__(obj)
    elif cls is int:
        size = int.__sizeof__(obj)
    else:
        size = float.__basicsize__ if cls is float else 0
    return size if size <= PAGE_BYTES else 0


class _Walk:
    """Everything below an object."""

    def __init__(self, *, quiet: bool, changed: bool = False) -> None:
        self.quiet = quiet
        self.changed = changed
        """Whether what is looked through was walked before; for the text of the error."""
        self.ranges: list[Range] = []
        """Of what is large."""
        self.pages: set[int] = set()
        """Numbers of the pages on which the rest lies: a range for each object would take more memory than it has."""
        self.written = 0
        """Objects whose reference counts a quiet walk has written."""
        self._seen: set[int] = set()
        self._kinds: dict[type, _Kind] = {}

    def visit_all(self, objects: list[Any]) -> list[Any]:
        """Visits each, and returns what they refer to."""
        if self.quiet:
            return [referent for obj in objects for referent in self.visit(obj)]
        # The same as `visit()` for what there are millions of, with as few calls as can be.
        seen, pages, holders, others = self._seen, self.pages, [], []
        before = _onecopy._bytes_before({})  # noqa: SLF001 - our own module
        # Of a dict; a list has fewer.
        holder_bytes = dict.__sizeof__({}) + before
        for obj in objects:
            cls, start = type(obj), id(obj)
            if cls is dict or cls is list:
                if start in seen:
                    continue
                seen.add(start)
                holders.append(obj)
                start -= before
                size = holder_bytes
            else:
                size = _leaf_bytes(cls, obj)
                if not size:
                    others.append(obj)
                    continue
            pages.add(start // PAGE_BYTES)
            pages.add((start + size - 1) // PAGE_BYTES)
        for obj in holders:
            self._note_held(obj)
        found = gc.get_referents(*holders) if holders else []
        for obj in others:
            found += self.visit(obj)
        return found

    def visit(self, obj: Any) -> list[Any]:
        """Notes where an object lies, and returns what it refers to."""
        # The class itself is asked: `obj.__class__` is for a proxy to say, and may run any code.
        cls = type(obj)
        kind = self._kinds.get(cls)
        if kind is None:
            kind = self._kinds[cls] = _kind(cls)
        if kind is _Kind.NONE or id(obj) in _INTERPRETERS:
            return []
        if kind is not _Kind.LEAF or self.quiet:
            if id(obj) in self._seen:
                return []
            self._seen.add(id(obj))
        is_silent = self.quiet and _onecopy.is_frozen(obj)
        if kind is _Kind.DATA and (data := data_of(obj)) is not None:
            return self._visit_data(obj, data, is_silent=is_silent)
        if self.quiet and not is_silent:
            self._expect(obj, len(obj) if issubclass(cls, _SIZED) else 1)
            self.written += 1
            return [] if kind is _Kind.LEAF else _no_immortal_leaves(gc.get_referents(obj))
        before = _onecopy._bytes_before(obj)  # noqa: SLF001 - our own module
        self._note(id(obj) - before, own_bytes(obj) + before)
        if kind is _Kind.LEAF:
            return []
        self._note_held(obj)
        return gc.get_referents(obj)

    def _visit_data(self, obj: Any, data: list[Range], *, is_silent: bool) -> list[Any]:
        self.ranges += data
        if not holds_objects(obj):
            return []
        self._expect(obj, 0 if is_silent else obj.size)
        return elements(obj) if is_silent else _no_immortal_leaves(elements(obj))

    def _note_held(self, obj: Any) -> None:
        """Notes where a container has what it holds, without counting any of that."""
        held = _onecopy._held_by(obj)  # noqa: SLF001 - our own module
        if held is not None:
            self._note(*held)

    def _note(self, start: int, length: int) -> None:
        first, last = start // PAGE_BYTES, (start + length - 1) // PAGE_BYTES
        if last - first > 1:
            self.ranges.append((start, length))
        elif length:
            self.pages.add(first)
            self.pages.add(last)

    def _expect(self, obj: Any, more: int) -> None:
        """Stops before more is written than may be."""
        if self.quiet and self.written + more > FEW_OBJECTS:
            raise ValueError(_not_tagged(obj, changed=self.changed))

    def found(self) -> list[Range]:
        """All pages, those next to each other joined."""
        return merged(self.ranges + [(page * PAGE_BYTES, PAGE_BYTES) for page in self.pages])


def _no_immortal_leaves(objects: list[Any]) -> list[Any]:
    """Leaves out texts that the interpreter has made immortal: older than the data, they prove nothing of it.

    `freeze()` begins with what holds them.
    """
    return [obj for obj in objects if not (isinstance(obj, _LEAVES) and _onecopy.is_frozen(obj))]


def _not_tagged(obj: Any, *, changed: bool) -> str:
    name, again = type(obj).__qualname__, " again, as it has changed since" if changed else ""
    return (
        f"{name}: tag() it before the fork{again}. Looking through it now would write the reference count of "
        "everything in it, in this process, and so copy the very pages that are to be judged"
    )


def walked(obj: Any, *, quiet: bool, changed: bool = False) -> Place:
    """Everything that an object refers to; see the head of this file for `quiet`.

    Args:
        obj: The object.
        quiet: Whether nothing may be written to.
        changed: Whether it was walked before; for the text of the error.

    Raises:
        ValueError: A quiet walk would have to write to it.
    """
    walk = _Walk(quiet=quiet, changed=changed)
    roots = [obj]
    while roots:
        roots = walk.visit_all(roots)
    found = walk.found()
    if walk.written and not found:
        raise ValueError(_not_tagged(obj, changed=changed))
    return Place(found, walk.written)
