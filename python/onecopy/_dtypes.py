"""How dtypes are written down: as a text in an image, as a short code in a token."""

from __future__ import annotations

import ast
import functools
from typing import Any

import numpy as np
from numpy.lib.format import descr_to_dtype, dtype_to_descr

from onecopy._onecopy import CorruptImage


def to_code(dtype: np.dtype[Any]) -> Any:
    """Returns the shortest picklable that `from_code` turns back."""
    return dtype.str if dtype.names is None and dtype.subdtype is None else dtype


def from_code(code: Any) -> np.dtype[Any]:
    """Turns back what `to_code` gave; it comes from a pickle."""
    return _without_objects(code if isinstance(code, np.dtype) else np.dtype(code))


def _without_objects(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Refuses a dtype from outside by which numpy would follow shared bytes as pointers."""
    if dtype.hasobject:
        raise CorruptImage(f"an array of dtype {dtype}, whose elements are pointers to Python objects, is never shared")
    return dtype


def _descr(dtype: np.dtype[Any]) -> str:
    """Returns the dtype as the text that stands in the image: the one that .npy files use, where there is one."""
    try:
        descr: Any = dtype_to_descr(dtype)
    except ValueError:  # fields that overlap or are out of order
        descr = _layout(dtype)
    return descr if isinstance(descr, str) else repr(descr)


def _layout(dtype: np.dtype[Any]) -> Any:
    """Describes a dtype by its fields' offsets, as a literal that `numpy.dtype` accepts."""
    if dtype.subdtype is not None:
        return (_layout(dtype.subdtype[0]), dtype.subdtype[1])
    if dtype.names is None or dtype.fields is None:
        return dtype.str
    fields = [dtype.fields[name] for name in dtype.names]
    return {
        "names": list(dtype.names),
        "formats": [_layout(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
    }


@functools.lru_cache(maxsize=64)
def _from_text(text: str) -> np.dtype[Any]:
    if not text.startswith(("[", "{")):
        return np.dtype(text)
    literal = ast.literal_eval(text)
    return descr_to_dtype(literal) if isinstance(literal, list) else np.dtype(literal)


def stored(text: str, node: int) -> np.dtype[Any]:
    """The type that the array node at an offset names; what it says is input."""
    try:
        return _without_objects(_from_text(text))
    except (TypeError, ValueError, SyntaxError, KeyError, MemoryError, RecursionError, CorruptImage) as error:
        corrupt: Any = CorruptImage(
            f"corrupt image at offset {node}: an array cannot have elements of type {text[:60]!r}"
        )
        corrupt.offset = node
        raise corrupt from error


@functools.lru_cache(maxsize=64)
def to_text(dtype: np.dtype[Any]) -> str | None:
    """Returns the text that stands in an image; None if the elements are pointers, or no text brings the dtype back."""
    if dtype.hasobject:
        return None
    try:
        text = _descr(dtype)
        return text if _from_text(text) == dtype else None
    except (TypeError, ValueError):
        return None


def why_refused(dtype: np.dtype[Any]) -> str:
    """Tells why a dtype has no text."""
    if dtype.kind == "T":
        return "its strings lie outside the array; use a fixed width ('U')"
    if dtype.hasobject:
        return "its elements are pointers to Python objects; use a numeric or fixed-width string dtype"
    return "its description does not bring it back"
