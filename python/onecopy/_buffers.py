"""Where an object has its data if it has them in one piece: its buffer, its image, its array."""

from __future__ import annotations

import os
import re
import sys
import types
import weakref
from typing import Any, Final

from onecopy import _onecopy

__all__ = ["own_buffer"]

PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")

Range = tuple[int, int]
"""Address and length."""

# What a program's code consists of belongs to everybody, not to the object that refers to it.
CODE: Final = (
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
CONSTANTS: Final = (type(None), type(Ellipsis), type(NotImplemented), bool)
_ROWS: Final = (_onecopy.RowView, _onecopy.RecordView, _onecopy.NamedTupleView)
_TYPESTR: Final = re.compile(r"[<>|=]([a-zA-Z])(\d+)?")


def _name(obj: Any) -> str:
    return type(obj).__qualname__


def library(kind: type) -> str:
    # Classes may have anything there.
    module: object = kind.__module__
    return module.partition(".")[0] if isinstance(module, str) else ""


def _refuse_small(obj: Any) -> None:
    """Refuses what is no data, or too small to be judged."""
    # The class itself is asked: `obj.__class__` is for a proxy to say, as an `ObjectView` is, and builds its object.
    kind = type(obj)
    if issubclass(kind, CODE):
        raise TypeError(f"{_name(obj)}: code belongs to the whole program; give the data")
    if issubclass(kind, _ROWS) and _onecopy._image_behind(obj) is None:  # noqa: SLF001 - our own module
        raise TypeError(f"{_name(obj)}: a row shares its pages with the rows beside it; give the whole view")
    # They hold nothing but themselves, beside others on one page.
    is_empty = kind is tuple and not obj
    if issubclass(kind, (*CONSTANTS, int, float, complex, str, bytes)) or kind is object or is_empty:
        size = own_bytes(obj)
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
    found = [(id(obj), own_bytes(obj))] if issubclass(type(obj), (str, bytes, int)) else data_of(obj, is_root=True)
    if found is None or holds_objects(obj):
        return None
    for start, length in found:
        if 0 < length < PAGE_BYTES and start % PAGE_BYTES:
            raise TypeError(
                f"{_name(obj)}: its {length} bytes lie on a page with other data, and a page is shared or copied as a "
                "whole; give something larger"
            )
    return found


def data_of(obj: Any, *, is_root: bool = False) -> list[Range] | None:
    """What an object keeps elsewhere, for others to read."""
    image = _onecopy._image_behind(obj)  # noqa: SLF001 - our own module
    if image is not None:
        return [_onecopy._buffer_range(image.buffer(0, image.nbytes, 0))]  # noqa: SLF001
    interface = getattr(obj, "__array_interface__", None) if is_root or _is_array(obj) else None
    if isinstance(interface, dict):
        return [_array(obj, interface)]
    if library(type(obj)) == "pyarrow":
        return _arrow(obj)
    if type(obj) is bytearray:
        # An export would be counted in the object.
        return [_onecopy._held_by(obj) or (0, 0)]  # noqa: SLF001 - our own module
    try:
        return [_onecopy._buffer_range(obj)]  # noqa: SLF001
    except Exception:  # noqa: BLE001 - a `__buffer__` may raise anything
        return None


def _is_array(obj: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(type(obj), numpy.ndarray)


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


def holds_objects(obj: Any) -> bool:
    """Whether the elements of an array are Python objects, or some of their fields are."""
    if not _is_array(obj):
        return False
    if obj.dtype.kind == "T":
        raise TypeError(f"{_name(obj)}: numpy does not show where a StringDType keeps its text")
    return bool(obj.dtype.hasobject)


def elements(array: Any) -> list[Any]:
    """The objects in an array; of a structured one, those of all fields, however deep."""
    if array.dtype.names is None:
        found: list[Any] = array.ravel("K").tolist()
        return found
    fields = [name for name in array.dtype.names if array.dtype[name].hasobject]
    return [element for name in fields for element in elements(array[name])]


def own_bytes(obj: Any) -> int:
    """Bytes at the object's own place. Classes may say anything in a `__sizeof__` of theirs, so it is not asked."""
    for plain in (str, bytes, int, tuple):
        if issubclass(type(obj), plain):
            return plain.__sizeof__(obj)
    return object.__sizeof__(obj)
