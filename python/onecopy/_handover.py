"""How an object that `get()` built goes to a worker: its arrays and Arrow buffers by token.

They are ordinary arrays over memory of an image, and would be pickled by their content. `multiprocessing` pickles what
it hands over with a pickler of its own, and asks that one for reducers; every other pickle stays what it was.
"""

from __future__ import annotations

import pickle
import sys
import weakref
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from onecopy._onecopy import Image

_SMALL: Final = 4096
"""Bytes below which content is as good as a token."""

_images: Final[weakref.WeakValueDictionary[int, Image]] = weakref.WeakValueDictionary()
"""Images around whose memory objects were built, by their address."""
_registered: Final[set[type]] = set()


def note(image: Image) -> None:
    """Has arrays over an image's memory handed to workers by token."""
    if not image.is_named:
        return
    _images[image.buffer(0, image.nbytes, 0).address] = image
    for module, name, reduce in _REDUCERS:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and kind not in _registered:
            _registered.add(kind)
            from multiprocessing.reduction import ForkingPickler

            ForkingPickler.register(kind, reduce)


def _find(address: int, byte_len: int) -> tuple[Image, int] | None:
    """The image in which bytes lie, and where."""
    for start, image in list(_images.items()):
        if start <= address and address + byte_len <= start + image.nbytes:
            return image, address - start
    return None


def _reduce_array(array: Any) -> Any:
    low = high = array.__array_interface__["data"][0]
    for length, stride in zip(array.shape, array.strides, strict=True):
        reach = (length - 1) * stride
        low, high = min(low, low + reach), max(high, high + reach)
    found = None
    if array.nbytes >= _SMALL and not array.flags.writeable and not array.dtype.hasobject:
        found = _find(low, high - low + array.itemsize)
    if found is None:
        return array.__reduce_ex__(pickle.DEFAULT_PROTOCOL)
    from onecopy import _dtypes

    image, offset = found
    first = array.__array_interface__["data"][0] - low
    place = (offset, high - low + array.itemsize, first)
    return _array, (image, place, array.shape, array.strides, _dtypes.to_code(array.dtype))


def _array(
    image: Image, place: tuple[int, int, int], shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any
) -> Any:
    """Unpickles an array of an object."""
    import numpy as np

    from onecopy import _dtypes

    note(image)
    offset, byte_len, first = place
    memory: Any = image.buffer(offset, byte_len, 0)
    return np.ndarray(shape, _dtypes.from_code(dtype), memory, first, strides)


def _reduce_arrow(buffer: Any) -> Any:
    found = _find(buffer.address, buffer.size) if buffer.size >= _SMALL and not buffer.is_mutable else None
    if found is None:
        return buffer.__reduce_ex__(pickle.DEFAULT_PROTOCOL)
    return _arrow, (*found, buffer.size)


def _reduce_column(array: Any) -> Any:
    """Pandas copies the chunk of an Arrow column together before it is pickled, even if there is only one."""
    reduced = array.__reduce_ex__(pickle.DEFAULT_PROTOCOL)
    chunks: Any = getattr(array, "_pa_array", None)
    state = reduced[2]
    if getattr(chunks, "num_chunks", 0) != 1 or not isinstance(state, dict) or "_pa_array" not in state:
        return reduced
    return (*reduced[:2], {**state, "_pa_array": chunks.chunk(0)}, *reduced[3:])


def _arrow(image: Image, offset: int, byte_len: int) -> Any:
    """Unpickles a buffer of an Arrow column."""
    import pyarrow as pa

    note(image)
    return pa.py_buffer(image.buffer(offset, byte_len, 0))


_REDUCERS: Final = (
    ("numpy", "ndarray", _reduce_array),
    ("pyarrow", "Buffer", _reduce_arrow),
    ("pandas.arrays", "ArrowExtensionArray", _reduce_column),
    ("pandas.arrays", "ArrowStringArray", _reduce_column),
)
