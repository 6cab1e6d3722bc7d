"""Arrays: views over images, arrays born in the store, private copies.

A shared array is an ndarray over the read-only bytes of an image. Three kinds of base object tell where an array's
memory lives, so that no flag has to be carried along through slices, transposes and reshapes:

* `ImageBuffer`: an image. Such arrays pickle to a token, whatever part of the image they show.
* `BuildBuffer`: writable memory of the store that nobody else sees yet; `share()` publishes it.
* `PrivateBuffer`: a copy-on-write mapping of an image, this process's alone.

`onecopy.Array` has a fourth: memory that all processes write to (`_writable.py`).
"""

from __future__ import annotations

import base64
import functools
import math
import operator
import sys
from typing import TYPE_CHECKING, Any, Final, SupportsIndex, TypeVar, cast

import numpy as np

from onecopy import _dtypes, _purpose
from onecopy._onecopy import (
    ArrayMemory,
    BuildBuffer,
    Image,
    ImageBuffer,
    Unsupported,
    array_allocate,
    array_share,
    array_shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    import numpy.typing as npt

    from onecopy._share import Huge

_TOKEN_LEN = 64
# Offset of the root node of an image.
_ROOT = 64
# Below this protocol bytes are written as an encoded str, which doubles every byte past 127.
_FIRST_PROTOCOL_WITH_BYTES = 3
_READ_ONLY = (
    "assignment destination is read-only: a shared array never changes; "
    "onecopy.private(view) gives a writable copy-on-write view, onecopy.to_python(view) a copy"
)


Shape_co = TypeVar("Shape_co", bound="tuple[int, ...]", covariant=True)
DType_co = TypeVar("DType_co", bound="np.dtype[Any]", covariant=True)


class StoredArray(np.ndarray[Shape_co, DType_co]):
    """What arrays over memory of the store have in common: what is computed from them is a plain ndarray.

    Elements chosen by a mask or a list of indexes are a copy as well, which keeps this type: a Python `__getitem__`
    would make `view[i]` four times slower.
    """

    __slots__ = ()

    def __array_wrap__(
        self,
        array: np.ndarray[Any, Any],
        context: Any = None,
        return_scalar: bool = False,
        /,
    ) -> Any:
        """Hands the result of a ufunc out as a plain array or scalar."""
        if array is self:
            return array
        plain = array.view(np.ndarray)
        return plain[()] if return_scalar else plain

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Runs a NumPy function; what it computed comes back as plain arrays."""
        return _plain(super().__array_function__(func, types, args, kwargs))


class SharedArray(StoredArray[Shape_co, DType_co]):
    """A read-only ndarray over one shared image.

    Made by `onecopy.share()`; slices, transposes and reshapes of it are shared arrays too. It pickles to a token of
    less than 200 bytes, by which another process sees the same memory. Whatever computes new numbers (`a + 1`,
    `a.copy()`, `np.sort(a)`) returns a plain, writable ndarray. Elements chosen by a mask or a list of indexes are a
    writable copy as well, which keeps this type (a Python `__getitem__` would make `view[i]` four times slower) and
    pickles as an ndarray.

    Example:
        >>> import onecopy, pickle, numpy as np
        >>> view = onecopy.share(np.arange(1_000_000))
        >>> len(pickle.dumps(view)) < 200
        True
        >>> type(view + 1).__name__
        'ndarray'
    """

    __module__ = "onecopy.views"
    __slots__ = ()

    def __setitem__(self, key: Any, value: Any) -> None:
        """Refuses, with advice, unless this array turned out to own its memory."""
        if not self.flags.writeable:
            raise ValueError(_READ_ONLY)
        super().__setitem__(key, value)

    def __copy__(self) -> Any:
        """Returns the view itself: what cannot change need not be copied."""
        return self if image_of(self) is not None else super().__copy__().view(np.ndarray)

    def __deepcopy__(self, memo: dict[int, Any] | None, /) -> Any:
        """Returns the view itself: what cannot change need not be copied."""
        return self if image_of(self) is not None else super().__deepcopy__(memo).view(np.ndarray)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickles to a token if this shows an image, and as an ndarray otherwise."""
        buffer = image_of(self)
        if buffer is None:
            return self.view(np.ndarray).__reduce_ex__(protocol)
        if buffer.node != 0 or buffer.image.is_hashed():
            geometry = pack_numbers([address(self) - buffer.address, self.ndim, *self.shape, *self.strides])
            return _array_in, (buffer.image, buffer.node, geometry, _dtypes.to_code(self.dtype))
        _, text, shape, strides = array_shown(buffer.image, 0)
        dtype = () if self.dtype == _dtypes.stored(text, _ROOT) else (_dtypes.to_code(self.dtype),)
        packed = buffer.image.token()
        offset = address(self) - buffer.address
        if dtype or offset or self.shape != shape or self.strides != strides:
            packed += pack_numbers([offset, self.ndim, *self.shape, *self.strides])
        if protocol.__index__() < _FIRST_PROTOCOL_WITH_BYTES:
            return _a, (base64.b85encode(packed).decode(), *dtype)
        return _a, (packed, *dtype)

    def __reduce__(self) -> Any:
        """Pickles like the newest protocol."""
        return self.__reduce_ex__(_FIRST_PROTOCOL_WITH_BYTES)


def _returns_plain(name: str) -> Callable[..., Any]:
    method = getattr(np.ndarray, name)

    @functools.wraps(method)
    def wrapper(self: StoredArray[Any, Any], *args: Any, **kwargs: Any) -> Any:
        return _plain(method(self, *args, **kwargs))

    return wrapper


for _name in (
    "argmax argmin argpartition argsort astype byteswap choose clip compress conj conjugate copy cumprod cumsum "
    "diagonal dot flatten max mean min nonzero partition prod ravel repeat reshape round searchsorted std sum take "
    "trace var"
).split():
    setattr(StoredArray, _name, _returns_plain(_name))


_UNSHARED = (
    "an array made by onecopy.empty(), zeros(), ones() or full() is nobody else's before it is shared, and a worker "
    "would write to a copy of its own: onecopy.share(array) hands it over to be read; onecopy.Array(shape, dtype) "
    "makes one that all processes write to; numpy.array(array) is a copy that pickles by its content"
)


class BornArray(StoredArray[Shape_co, DType_co]):
    """A writable ndarray in memory of the store that nobody else sees before `share()` publishes it."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Refuses while this is not shared; afterwards, and if it is a copy, it pickles as an ndarray."""
        whole = root(self)
        base: object = whole.base
        if isinstance(base, BuildBuffer) and whole.flags.writeable and not _purpose.is_hash(in_store=False):
            raise Unsupported(_UNSHARED)
        return self.view(np.ndarray).__reduce_ex__(protocol)

    def __reduce__(self) -> Any:
        """Pickles like the newest protocol."""
        return self.__reduce_ex__(_FIRST_PROTOCOL_WITH_BYTES)


def image_of(array: np.ndarray[Any, Any]) -> ImageBuffer | None:
    """Returns the exporter of the image that `array` shows a part of, or None."""
    base: object = root(array).base
    return base if isinstance(base, ImageBuffer) else None


def whole_image(array: np.ndarray[Any, Any]) -> Image | None:
    """Returns the image that `array` shows the whole of, as `share()` showed it, or None."""
    buffer = image_of(array)
    if buffer is None or buffer.node not in {0, _ROOT}:
        return None
    _, text, shape, strides = array_shown(buffer.image, buffer.node)
    is_whole = array.shape == shape and array.strides == strides and address(array) == buffer.address
    return buffer.image if is_whole and array.dtype == _dtypes.stored(text, _ROOT) else None


def root(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns the array at the bottom of a chain of views: its base is what has the memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _plain(result: Any) -> Any:
    """Strips the type from arrays that a computation made, also inside tuples and lists."""
    if isinstance(result, StoredArray):
        return (
            result
            if isinstance(root(result).base, (ImageBuffer, ArrayMemory, BuildBuffer))
            else result.view(np.ndarray)
        )
    if type(result) is tuple:
        return tuple(_plain(part) for part in result)
    if type(result) is list:
        return [_plain(part) for part in result]
    return result


def _a(packed: bytes | str, dtype: Any = None) -> SharedArray[Any, Any]:
    """Unpickles a shared array. The short name keeps tokens short."""
    if isinstance(packed, str):
        packed = base64.b85decode(packed)
    whole = show(*array_shown(Image.attach(packed[:_TOKEN_LEN]), 0))
    if len(packed) == _TOKEN_LEN and dtype is None:
        return whole
    return _part_of(whole, packed[_TOKEN_LEN:], dtype)


def _array_in(image: Image, node: int, geometry: bytes, dtype: Any) -> SharedArray[Any, Any]:
    """Unpickles a shared array that is a part of other data."""
    return _part_of(show(*array_shown(image, node)), geometry, dtype)


def _part_of(whole: SharedArray[Any, Any], geometry: bytes, dtype: Any) -> SharedArray[Any, Any]:
    numbers = unpack_numbers(geometry)
    offset, ndim = numbers[0], numbers[1]
    buffer: Any = image_of(whole)
    return SharedArray(
        tuple(numbers[2 : 2 + ndim]),
        whole.dtype if dtype is None else _dtypes.from_code(dtype),
        buffer,
        offset,
        tuple(numbers[2 + ndim :]),
    )


def pack_numbers(numbers: Sequence[int]) -> bytes:
    """Packs signed integers, seven bits to a byte, the sign lowest."""
    out = bytearray()
    for number in numbers:
        rest = number << 1 if number >= 0 else (~number << 1) | 1
        while rest > 0x7F:  # noqa: PLR2004 - seven bits
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def unpack_numbers(packed: bytes) -> list[int]:
    """Turns back what `pack_numbers` gave."""
    numbers = []
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the last seven bits
            numbers.append(~(number >> 1) if number & 1 else number >> 1)
            number = shift = 0
    return numbers


def address(array: np.ndarray[Any, Any]) -> int:
    """Returns where an array's first element lies."""
    return cast("int", array.__array_interface__["data"][0])


# A subclass of another kind would lose what it adds.
plain_types: Final = {np.ndarray, SharedArray, BornArray, np.memmap}


def text_of(array: np.ndarray[Any, Any]) -> str | None:
    """Returns the text by which an image names an array's dtype; None for arrays that are shared as objects."""
    if type(array) not in plain_types or array.dtype.kind == "T":  # strings that lie outside the array
        return None
    return _dtypes.to_text(array.dtype)


def share_array(array: np.ndarray[Any, Any], huge: Huge) -> SharedArray[Any, Any] | None:
    """Shares an ndarray; None if it has to be shared as an object."""
    text = text_of(array)
    if text is None:
        return None
    whole = root(array)
    base: object = whole.base
    if type(array) is SharedArray and isinstance(base, ImageBuffer):
        return array
    if isinstance(base, BuildBuffer):
        shown = base.publish(array, text)
        if shown is not None:
            # Views of it that were made before keep their flag; their writes stay in this process.
            array.flags.writeable = False
            whole.flags.writeable = False
            return show(*shown)
    return show(*array_share(array, text, huge))


def show(buffer: ImageBuffer, text: str, shape: tuple[int, ...], strides: tuple[int, ...]) -> SharedArray[Any, Any]:
    """Shows the array of an image."""
    memory: Any = buffer
    return SharedArray(shape, _dtypes.stored(text, buffer.node or _ROOT), memory, 0, strides)


def real(buffer: ImageBuffer, text: str, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Copies the array of an image."""
    return real_array(show(buffer, text, shape, strides))


def empty(
    shape: SupportsIndex | Sequence[SupportsIndex],
    dtype: npt.DTypeLike = float,
    *,
    order: Literal["C", "F"] = "C",
) -> np.ndarray[Any, np.dtype[Any]]:
    """Makes a writable array in the store; see `onecopy.empty`."""
    if str(order) not in {"C", "F"}:
        raise ValueError(f"order must be 'C' or 'F', not {order!r}")
    dims = dimensions(shape)
    if any(n < 0 for n in dims):
        raise ValueError(f"negative dimensions are not allowed: {dims}")
    kind, text = storable(dtype)
    byte_len = math.prod(dims) * kind.itemsize
    if byte_len > sys.maxsize:
        raise ValueError(f"an array of shape {dims} and dtype {kind} is larger than any address space")
    build: Any = array_allocate(text, kind.itemsize, dims, order == "F", "auto")
    return BornArray(dims, kind, build, order=order)


def storable(dtype: npt.DTypeLike) -> tuple[np.dtype[Any], str]:
    """Returns a dtype whose elements can lie in the store, and the text of it."""
    kind = np.dtype(dtype)
    if kind.itemsize == 0:
        # As numpy does: a text dtype without a length holds one character.
        kind = np.empty((), kind).dtype
    text = None if kind.kind == "T" else _dtypes.to_text(kind)
    if text is None:
        raise Unsupported(f"dtype: cannot share an array of dtype {kind!r}: {_dtypes.why_refused(kind)}")
    return kind, text


def dimensions(shape: Any) -> tuple[int, ...]:
    """Returns a shape, which may be one length, as ints."""
    try:
        return (operator.index(shape),)
    except TypeError:
        return tuple(operator.index(length) for length in shape)


def full(
    shape: SupportsIndex | Sequence[SupportsIndex],
    fill_value: Any,
    dtype: npt.DTypeLike | None,
    *,
    order: Literal["C", "F"],
) -> np.ndarray[Any, np.dtype[Any]]:
    """Makes a writable array of one value in the store; see `onecopy.full`."""
    kind = np.asarray(fill_value).dtype if dtype is None else dtype
    array = empty(shape, kind, order=order)
    np.copyto(array, fill_value, casting="unsafe")
    return array


def private_array(view: np.ndarray[Any, Any], path: str = "view") -> np.ndarray[Any, Any]:
    """Maps a shared array copy-on-write; see `onecopy.private`."""
    buffer = image_of(view)
    if buffer is None:
        raise TypeError(
            f"{path}: expected a shared array or a list of numbers, found an ndarray of this process; share() it first"
        )
    if view.size > 0 and any(
        stride == 0 and length > 1 for length, stride in zip(view.shape, view.strides, strict=True)
    ):
        # Repeated elements would change together.
        return np.array(view, subok=False)
    offset = address(view) - buffer.address
    mapping: Any = buffer.image.private(buffer.offset, buffer.nbytes)
    return np.ndarray(view.shape, view.dtype, mapping, offset, view.strides)


def real_array(view: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Copies a shared array into this process's own memory."""
    return np.array(view, order="K", subok=False)
