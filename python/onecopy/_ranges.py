"""Where the memory of an object lies: its buffer, its image, or all that it refers to.

Asking an object what it refers to writes: each referent's reference count goes up and down, in the page where it lies.
Before a fork that does not matter. Afterwards it copies, in the process that asks, the very pages that are to be
judged. So a walk is *quiet* then: it descends only where nothing is written (frozen objects are not counted) or where
it does not matter (a handful of objects that hold arrays), and refuses the rest.
"""

from __future__ import annotations

import array
import collections
import ctypes
import enum
import gc
import mmap
import os
import re
import sys
import types
import weakref
from dataclasses import dataclass
from typing import Any, Final

from onecopy import _onecopy
from onecopy._objects import HEAD_BYTES

__all__ = ["Place", "merged", "own_buffer", "tables", "walked"]

PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")
MOST_RANGES: Final = 512
"""Ranges of memory that one object may have; of more, the largest count."""
FEW_OBJECTS: Final = 1_000
"""Objects that a quiet walk may write to: some dozen pages at most, in the one process that asks."""

Range = tuple[int, int]
"""Address and length."""

# What a program's code consists of belongs to everybody, not to the object that refers to it.
_CODE: Final = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.CodeType,
    types.FrameType,
    weakref.ReferenceType,
)
_CONSTANTS: Final = (type(None), type(Ellipsis), type(NotImplemented), bool)
_SIZED: Final = (list, dict, tuple, set, frozenset, collections.deque)
_EMPTY: Final = (str, bytes, tuple)
_ROWS: Final = (_onecopy.RowView, _onecopy.RecordView, _onecopy.NamedTupleView)
_TYPESTR: Final = re.compile(r"[<>|=]([a-zA-Z])(\d+)?")
_HIDDEN: Final = {"polars", "torch", "tensorflow", "jax", "jaxlib", "cupy"}
"""Libraries whose objects keep their data where neither buffers nor the collector lead."""
_SMALL_INTS: Final = range(-5, 257)
_HAS_HEAD: Final = 1 << 14
"""Py_TPFLAGS_HAVE_GC."""


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


def _name(obj: Any) -> str:
    return type(obj).__qualname__


def _library(kind: type) -> str:
    # Classes may have anything there.
    module: object = kind.__module__
    return module.partition(".")[0] if isinstance(module, str) else ""


def _refuse_small(obj: Any) -> None:
    """Refuses what is no data, or too small to be judged."""
    if isinstance(obj, _CODE):
        raise TypeError(f"{_name(obj)}: code belongs to the whole program; give the data")
    if isinstance(obj, _ROWS):
        raise TypeError(f"{_name(obj)}: a row shares its pages with the rows beside it; give the whole view")
    # They hold nothing but themselves, beside others on one page.
    is_empty = type(obj) is tuple and not obj
    if isinstance(obj, (*_CONSTANTS, int, float, complex, str, bytes)) or type(obj) is object or is_empty:
        size = _own_bytes(obj)
        if size < PAGE_BYTES:
            raise TypeError(
                f"{_name(obj)}: its {size} bytes lie on a page with other objects of the interpreter, and a page is "
                "shared or copied as a whole; give the list, array or view that holds the data"
            )


def own_buffer(obj: Any) -> list[Range] | None:
    """The memory of a view, an array or another buffer; None for everything else.

    Raises:
        TypeError: It is code, or so small that it has no page of its own.
    """
    _refuse_small(obj)
    found = [(id(obj), _own_bytes(obj))] if isinstance(obj, (str, bytes, int)) else _data(obj, is_root=True)
    if found is None or _holds_objects(obj):
        return None
    for start, length in found:
        if 0 < length < PAGE_BYTES and start % PAGE_BYTES:
            raise TypeError(
                f"{_name(obj)}: its {length} bytes lie on a page with other data, and a page is shared or copied as a "
                "whole; give something larger"
            )
    return found


def _data(obj: Any, *, is_root: bool = False) -> list[Range] | None:
    """What an object keeps elsewhere, for others to read."""
    image = _onecopy._image_behind(obj)  # noqa: SLF001 - our own module
    if image is not None:
        return [_onecopy._buffer_range(image.buffer(0, image.nbytes, 0))]  # noqa: SLF001
    interface = getattr(obj, "__array_interface__", None) if is_root or _is_array(obj) else None
    if isinstance(interface, dict):
        return [_array(obj, interface)]
    if _library(type(obj)) == "pyarrow":
        return _arrow(obj)
    if type(obj) is bytearray:
        # An export would be counted in the object; ob_start lies behind the head, the length, ob_alloc and ob_bytes.
        return [(_pointer(obj, 40), len(obj))]
    try:
        return [_onecopy._buffer_range(obj)]  # noqa: SLF001
    except Exception:  # noqa: BLE001 - a `__buffer__` may raise anything
        return None


def _is_array(obj: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(obj, numpy.ndarray)


def _array(obj: Any, interface: dict[str, Any]) -> Range:
    """From numpy's array interface, which others have, too, and of which not every part must be there."""
    try:
        shape, strides, data = interface["shape"], interface.get("strides"), interface.get("data")
        found = _TYPESTR.match(interface["typestr"])
        kind, digits = found.groups() if found else ("", None)
        item = 8 if kind == "O" else int(digits or 0) * (4 if kind == "U" else 1)
        if isinstance(data, tuple):
            start = int(data[0])
        else:
            start = _onecopy._buffer_range(obj if data is None else data)[0] + int(interface.get("offset", 0))  # noqa: SLF001
        if strides is None:
            length = item
            for count in shape:
                length *= count
            return start, length
        low = high = 0
        for count, stride in zip(shape, strides, strict=True):
            if count == 0:
                return start, 0
            low += min(0, stride * (count - 1))
            high += max(0, stride * (count - 1))
    except (KeyError, IndexError, TypeError, ValueError, BufferError) as error:
        raise TypeError(f"{_name(obj)}: its __array_interface__ is not what numpy describes: {error!r}") from error
    return start + low, high - low + item


def _arrow(obj: Any) -> list[Range] | None:
    """The buffers of an Arrow table, column or array."""
    if hasattr(obj, "columns"):
        parts = list(obj.columns)
    elif hasattr(obj, "chunks"):
        parts = list(obj.chunks)
    elif hasattr(obj, "buffers"):
        return [(buffer.address, buffer.size) for buffer in obj.buffers() if buffer is not None]
    else:
        return None
    return [found for part in parts for found in _arrow(part) or []]


def _holds_objects(obj: Any) -> bool:
    """Whether the elements of an array are Python objects, or some of their fields are."""
    if not _is_array(obj):
        return False
    if obj.dtype.kind == "T":
        raise TypeError(f"{_name(obj)}: numpy does not show where a StringDType keeps its text")
    return bool(obj.dtype.hasobject)


def _elements(array: Any) -> list[Any]:
    """The objects in an array; of a structured one, those of all fields, however deep."""
    if array.dtype.names is None:
        found: list[Any] = array.ravel("K").tolist()
        return found
    fields = [name for name in array.dtype.names if array.dtype[name].hasobject]
    return [element for name in fields for element in _elements(array[name])]


def _own_bytes(obj: Any) -> int:
    """Bytes at the object's own place. Classes may say anything in a `__sizeof__` of theirs, so it is not asked."""
    for plain in (str, bytes, int, tuple):
        if isinstance(obj, plain):
            return plain.__sizeof__(obj)
    return object.__sizeof__(obj)


def _pointer(obj: Any, offset: int) -> int:
    return ctypes.c_void_p.from_address(id(obj) + offset).value or 0


def tables(obj: Any) -> list[Range]:
    """Where CPython keeps the items of its own containers: allocations of their own, read without counting anything."""
    if isinstance(obj, list):
        # ob_item, behind the head and the length.
        return [(_pointer(obj, 24), 8 * list.__len__(obj))]
    if isinstance(obj, dict):
        # ma_keys, behind the head, the length and a version. Values that lie apart are few.
        return [(_pointer(obj, 32), max(dict.__sizeof__(obj) - dict.__basicsize__, 0))]
    if isinstance(obj, (set, frozenset)):
        # The table, behind fill, used and mask; small sets have it inside.
        return [(_pointer(obj, 40), 16 * (_pointer(obj, 32) + 1))]
    return []


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
    if issubclass(kind, (*_CODE, *_CONSTANTS)):
        return _Kind.NONE
    library = _library(kind)
    if library in _HIDDEN:
        raise TypeError(
            f"{kind.__qualname__}: {library} does not show where its data lie; give a numpy array or an Arrow table "
            "over them"
        )
    if issubclass(kind, (str, bytes, int, float, complex)):
        return _Kind.LEAF
    numpy = sys.modules.get("numpy")
    is_array = numpy is not None and issubclass(kind, numpy.ndarray)
    if is_array or issubclass(kind, (bytearray, memoryview, array.array, mmap.mmap)):
        return _Kind.DATA
    return _Kind.DATA if library in {"onecopy", "pyarrow"} else _Kind.HOLDER


_HOLDER_BYTES: Final = dict.__basicsize__ + HEAD_BYTES
"""Of a dict; a list has fewer."""


def _is_interpreters(obj: Any) -> bool:
    """Whether the interpreter has only one of these, for everybody."""
    cls = type(obj)
    return (cls is int and obj in _SMALL_INTS) or (cls in _EMPTY and not obj)


def _leaf_bytes(cls: type, obj: Any) -> int:
    """Bytes of a str, an int or a float that is small and the program's own; 0 of everything else."""
    if cls is str:
        size = str.__sizeof__(obj) if obj else 0
    elif cls is int:
        size = 0 if obj in _SMALL_INTS else int.__sizeof__(obj)
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
        for obj in objects:
            cls, start = type(obj), id(obj)
            if cls is dict or cls is list:
                if start in seen:
                    continue
                seen.add(start)
                holders.append(obj)
                start -= HEAD_BYTES
                size = _HOLDER_BYTES
            else:
                size = _leaf_bytes(cls, obj)
                if not size:
                    others.append(obj)
                    continue
            pages.add(start // PAGE_BYTES)
            pages.add((start + size - 1) // PAGE_BYTES)
        for obj in holders:
            for start, length in tables(obj):
                self._note(start, length)
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
        if kind is _Kind.NONE:
            return []
        if kind is not _Kind.LEAF or self.quiet:
            if id(obj) in self._seen:
                return []
            self._seen.add(id(obj))
        if _is_interpreters(obj):
            return []
        is_silent = self.quiet and _onecopy.is_frozen(obj)
        if kind is _Kind.DATA and (data := _data(obj)) is not None:
            return self._visit_data(obj, data, is_silent=is_silent)
        if self.quiet and not is_silent:
            self._expect(obj, len(obj) if issubclass(cls, _SIZED) else 1)
            self.written += 1
        else:
            head = HEAD_BYTES if cls.__flags__ & _HAS_HEAD else 0
            self._note(id(obj) - head, _own_bytes(obj) + head)
            if kind is not _Kind.LEAF:
                for start, length in tables(obj):
                    self._note(start, length)
        return [] if kind is _Kind.LEAF else gc.get_referents(obj)

    def _visit_data(self, obj: Any, data: list[Range], *, is_silent: bool) -> list[Any]:
        self.ranges += data
        if not _holds_objects(obj):
            return []
        self._expect(obj, 0 if is_silent else obj.size)
        return _elements(obj)

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


def _not_tagged(obj: Any, *, changed: bool) -> str:
    again = " again, as it has changed since" if changed else ""
    return (
        f"{_name(obj)}: tag() it before the fork{again}. Looking through it now would write the reference count of "
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
