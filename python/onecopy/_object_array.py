"""Arrays of Python objects that are strs, numbers or None: a column of an image, and not a pickle.

An array of objects is an array of pointers, so no process can read another's. What its elements are lies in an image
of its own, as that of a list, in a buffer of the pickle. What reads it looks like the array, and makes an element when
it is asked for.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from onecopy import _onecopy, _rebuilt
from onecopy._onecopy import ImageBuffer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ObjectArray", "reduce_array"]

_PLAIN: Final = frozenset({str, bytes, int, float, complex, bool, type(None)})
_COUNTED: Final = 1 << 14
"""Bytes of the smallest column whose objects count as memory of the process that makes them."""


class ObjectArray(NDArrayOperatorsMixin):
    """A shared array of strs, numbers or None: reads as a numpy array does, and makes elements when they are read.

    Integers, slices, `...` and `None` as indexes copy nothing; other indexes, operators and all other attributes of an
    ndarray work on a real array, which `numpy.asarray(view)` makes.

    Attributes:
        dtype: The dtype of the real array: of objects, or numpy's StringDType.
        shape: The shape.
        ndim: The number of dimensions.
        size: The number of elements.
    """

    __module__ = "onecopy.views"
    __slots__ = ("__weakref__", "_buffer", "_column", "_first", "_places", "dtype")

    def __init__(self, buffer: object, column: object, places: object, first: int, dtype: np.dtype[Any]) -> None:
        self._buffer: Any = buffer
        self._column: Any = column
        # As many bytes as elements, which nobody reads or writes: numpy says where a part of them lies.
        self._places: Any = places
        self._first = first
        self.dtype = dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return tuple(self._places.shape)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return int(self._places.ndim)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self._places.size)

    @property
    def T(self) -> ObjectArray:  # noqa: N802 - as numpy's
        """The same with its axes reversed."""
        return self._part(self._places.T)

    def _part(self, places: Any) -> ObjectArray:
        return ObjectArray(self._buffer, self._column, places, self._first, self.dtype)

    def _at(self, places: Any) -> int:
        """The index in the column of the first of some elements."""
        return int(places.__array_interface__["data"][0]) - self._first

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __getitem__(self, key: object) -> Any:
        keys: Any = key if type(key) is tuple else (key,)
        if not all(part is None or part is ... or type(part) is slice or _is_index(part) for part in keys):
            return self._real(self.dtype)[key]
        is_open = any(part is ... for part in keys)
        places = self._places[keys if is_open else (*keys, ...)]
        if places.ndim or is_open:
            return self._part(places)
        return self._column[self._at(places)]

    def __setitem__(self, key: object, value: object) -> None:
        raise ValueError(
            "assignment destination is read-only: a shared array never changes; onecopy.to_python(view) gives a copy"
        )

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __contains__(self, value: object) -> bool:
        return value in self._column if self._is_whole() else bool((self._real(self.dtype) == value).any())

    def _is_whole(self) -> bool:
        return self.size == len(self._column) and bool(self._places.flags.c_contiguous)

    def tolist(self) -> Any:
        """The elements as nested lists."""
        return self._real(np.dtype(object)).tolist()

    def _elements(self) -> list[Any]:
        if self._is_whole():
            found: list[Any] = self._column.tolist()
            return found
        indexes = np.full(self.shape, self._at(self._places), np.int64)
        for axis, stride in enumerate(self._places.strides):
            along = [1] * self.ndim
            along[axis] = -1
            indexes += (np.arange(self.shape[axis]) * stride).reshape(along)
        column = self._column
        return [column[index] for index in indexes.ravel().tolist()]

    def _real(self, dtype: Any) -> Any:
        return _real_array(self._elements(), self.shape, dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Makes a real array, which is this process's own, and counted as rebuilt as long as the image lives."""
        if copy is False:
            raise ValueError("unable to avoid a copy: the elements are made when they are read")
        byte_len = self._buffer.nbytes
        if byte_len >= _COUNTED and self._is_whole():
            _rebuilt.note(self._buffer.image, self._buffer.node, byte_len)
        made = self._real(self.dtype)
        return made if dtype is None else made.astype(dtype)

    def __array_ufunc__(self, ufunc: object, method: str, *inputs: object, **kwargs: object) -> Any:
        """Runs a ufunc on real arrays."""
        out: Any = kwargs.get("out", ())
        if any(type(array) is ObjectArray for array in out):
            raise ValueError(
                "output array is read-only: shared data never change; numpy.array(view) gives one to be written to"
            )
        plain = [real(value) for value in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    __hash__ = None  # type: ignore[assignment]  # as ndarray's

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(f"'ObjectArray' object has no attribute {name!r}")
        return getattr(self._real(self.dtype), name)

    def __repr__(self) -> str:
        text = np.array2string(real(self if self.size <= 1000 else self[:3]), separator=", ")  # noqa: PLR2004
        more = "" if self.size <= 1000 else f" and more, shape={self.shape}"  # noqa: PLR2004
        return f"ObjectArray({text}{more})"

    def __reduce__(self) -> Any:
        """Pickles to a token of the image, and what of it this shows."""
        shown = (self._at(self._places), self.shape, self._places.strides)
        return _attached, (self._buffer.image, self._buffer.node, *shown)

    def __copy__(self) -> ObjectArray:
        return self

    def __deepcopy__(self, memo: object) -> ObjectArray:
        return self


def _is_index(part: Any) -> bool:
    return hasattr(type(part), "__index__") and not isinstance(part, (bool, np.bool_, np.ndarray))


def _attached(image: Any, node: int, at: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """Unpickles an array, or a part of one."""
    whole: Any = _onecopy._attach_node(image, node).get()  # noqa: SLF001 - our own module
    flat = whole._places.reshape(-1)  # noqa: SLF001 - of this file
    return whole._part(np.ndarray(shape, np.uint8, flat.data if flat.size else bytes(1), at, strides))  # noqa: SLF001


def real(array: Any) -> Any:
    """The real array behind one of these; anything else as it is."""
    return array._real(array.dtype) if type(array) is ObjectArray else array  # noqa: SLF001 - of this file


def _real_array(elements: list[Any], shape: tuple[int, ...], dtype: Any) -> Any:
    made = np.empty(len(elements), dtype)
    made[:] = elements
    return made.reshape(shape)


def reduce_array(array: Any) -> Any:
    """How an array of objects is rebuilt as a column; None if it has to be pickled."""
    if array.dtype != np.dtype(object) and array.dtype.kind != "T":
        return None
    elements = array.ravel().tolist() if array.ndim else [array.item()]
    if not set(map(type, elements)) <= _PLAIN:
        return None
    column: Any = _onecopy.share_graph(elements)
    image: Any = _onecopy.image_of_view(column)
    content = pickle.PickleBuffer(image.buffer(0, image.nbytes, 0))
    return rebuilt, (content, array.shape, array.dtype)


def rebuilt(buffer: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Shows the array in an image; of other memory it makes a real one."""
    if type(buffer) is not ImageBuffer:
        column: Any = _onecopy.open_buffer(bytes(buffer), False, False)
        return _real_array(column.tolist(), shape, dtype)
    column = _onecopy.open_buffer(buffer, False, False)
    places = np.empty(shape, np.uint8)
    if places.size != len(column):
        raise pickle.UnpicklingError("an array whose elements are not as many as its shape says")
    return ObjectArray(buffer, column, places, places.__array_interface__["data"][0], dtype)
