"""`onecopy.Array`: an ndarray over memory of the store that all processes write to."""

from __future__ import annotations

import math
import operator
import pickle
import sys
from typing import TYPE_CHECKING, Any, SupportsIndex, cast, overload

import numpy as np

from onecopy import _array, _dtypes
from onecopy._array import DType_co, Shape_co, StoredArray
from onecopy._onecopy import ArrayMemory

if TYPE_CHECKING:
    from typing import TypeAlias, TypeVar

    import numpy.typing as npt

    from onecopy.containers import WriterLock

    Scalar = TypeVar("Scalar", bound=np.generic)
    Lengths: TypeAlias = SupportsIndex | tuple[SupportsIndex, ...]
    Kind: TypeAlias = type[Scalar] | np.dtype[Scalar]

__all__ = ["Array"]


class Array(StoredArray[Shape_co, DType_co]):
    """A writable ndarray that every process sees.

    Whatever NumPy does to it in place (`a[i] = x`, `a += 1`, `np.add(a, b, out=a)`, `a.sort()`), all processes see at
    once; slices, transposes and reshapes show the same memory and keep it alive. What computes new numbers (`a + 1`,
    `a.copy()`, `np.array(a)`) returns a plain ndarray of this process. It pickles to a token.

    An element is written in one step if it has 1, 2, 4 or 8 bytes and is aligned. `a[i] += 1` is two steps: `add` is
    one, and `with a.lock:` makes one of many, if all who write take it. Reading and writing take no lock.

    Args:
        shape_or_data: An int or a tuple of ints is a shape, and the array is of zeros. Anything else is data to copy:
            a list, an ndarray, a view.
        dtype: Type of the elements; by default that of the data, or float.

    Raises:
        Unsupported: (a `TypeError`) Elements of this dtype are pointers, or of no fixed width.
        MemoryError: There is not enough memory; it is taken now, not at the first touch.

    Example:
        >>> import onecopy
        >>> a = onecopy.Array((2, 3), int)
        >>> a[1] = [4, 5, 6]
        >>> a.add((1, 0), 10)
        14
        >>> onecopy.Array([1.5, 2.5]).sum()
        np.float64(4.0)
    """

    __module__ = "onecopy"
    __slots__ = ()

    @overload
    def __new__(
        cls, shape_or_data: np.ndarray[Shape_co, DType_co], dtype: None = None
    ) -> Array[Shape_co, DType_co]: ...
    @overload
    def __new__(cls, shape_or_data: Lengths) -> Array[Any, np.dtype[np.float64]]: ...
    @overload
    def __new__(cls, shape_or_data: npt.ArrayLike, dtype: Kind[Scalar]) -> Array[Any, np.dtype[Scalar]]: ...
    @overload
    def __new__(cls, shape_or_data: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Array[Any, Any]: ...
    def __new__(cls, shape_or_data: Any, dtype: Any = None) -> Any:
        """Takes memory of the store, and fills it with data if there are any."""
        shape = _shape(shape_or_data)
        if shape is not None:
            return _zeros(shape, float if dtype is None else dtype)
        data = np.asarray(shape_or_data, dtype)
        array = _zeros(data.shape, data.dtype)
        np.copyto(array, data, casting="no")
        return array

    @property
    def lock(self) -> WriterLock:
        """The lock for what is more than one step: `with a.lock:`. Writers that do not take it are not kept out.

        Examples:
            >>> import onecopy
            >>> grid = onecopy.Array([1, 2, 3])
            >>> with grid.lock:
            ...     grid *= 2
            >>> int(grid.sum())
            12
        """
        return _memory(self, "lock").lock

    @overload
    def add(
        self: Array[Any, np.dtype[np.integer[Any]]],
        index: SupportsIndex | tuple[SupportsIndex, ...],
        amount: int = 1,
        /,
    ) -> int: ...
    @overload
    def add(
        self: Array[Any, np.dtype[np.floating[Any]]],
        index: SupportsIndex | tuple[SupportsIndex, ...],
        amount: float = 1,
        /,
    ) -> float: ...
    @overload
    def add(self, index: SupportsIndex | tuple[SupportsIndex, ...], amount: float = 1, /) -> int | float: ...
    def add(self, index: Any, amount: Any = 1, /) -> Any:
        """Adds to one element in one step, whoever else adds to it at the same time, and returns the sum.

        Args:
            index: An int, or a tuple with one for each axis.
            amount: What to add; an int where the elements are ints.

        Raises:
            IndexError: There is no such element.
            OverflowError: The sum does not fit the dtype. The element is as it was: nothing wraps around.
            TypeError: The elements are no ints or floats of 1, 2, 4 or 8 bytes in the machine's byte order, or they are
                not aligned to their size.

        Example:
            >>> import onecopy
            >>> hits = onecopy.Array(3, "int32")
            >>> hits.add(-1)
            1
        """
        memory = _memory(self, "add")
        index = index if isinstance(index, tuple) else (index,)
        if self.ndim == 0:  # for which the buffer protocol has no strides
            if index:
                raise IndexError(f"this array has no axes, so the index of its element is (), not {index}")
            cell: Any = self.reshape(1)
            return cell.add(0, amount)
        if self.dtype.char == "e" and self.dtype.isnative:
            return _add_half(self, memory, index, amount)
        return memory.add(self, index, amount)

    def to_numpy(self) -> np.ndarray[Shape_co, DType_co]:
        """Returns a copy in this process's own memory.

        Examples:
            >>> import onecopy
            >>> onecopy.Array([1, 2]).to_numpy()
            array([1, 2])
        """
        return cast("np.ndarray[Shape_co, DType_co]", np.array(self, order="K", subok=False))

    def __init_subclass__(cls, **kw: Any) -> None:
        """Refuses: workers would get an Array."""
        raise TypeError(
            "onecopy.Array cannot be derived from: workers would get the Array without it. Keep one as an attribute of "
            "your class"
        )

    def __copy__(self) -> Any:
        """Returns a plain copy."""
        return self.to_numpy()

    def __deepcopy__(self, memo: dict[int, Any] | None, /) -> Any:
        """Returns a plain copy."""
        return self.to_numpy()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickles to a token, with the part of the memory that this shows; a copy that kept this type as an ndarray."""
        memory = _memory_of(self)
        if memory is None:
            return self.view(np.ndarray).__reduce_ex__(protocol)
        offset = _array.address(self) - memory.address if self.size else 0
        geometry = _array.pack_numbers([offset, self.ndim, *self.shape, *self.strides])
        return _attached, (memory.token(), geometry, _dtypes.to_code(self.dtype))

    def __reduce__(self) -> Any:
        """Pickles like the newest protocol."""
        return self.__reduce_ex__(5)


_array.plain_types.add(Array)


def _shape(given: Any) -> tuple[int, ...] | None:
    """Returns the shape that an argument is, or None if it is data."""
    if isinstance(given, tuple):
        try:
            return tuple(operator.index(length) for length in given)
        except TypeError:
            raise TypeError(f"a tuple is a shape, of ints, not {given!r}; give data as a list or an ndarray") from None
    if isinstance(given, np.ndarray):
        return None
    try:
        return (operator.index(given),)
    except TypeError:
        return None


def _zeros(shape: tuple[int, ...], dtype: Any) -> Array[Any, Any]:
    if any(n < 0 for n in shape):
        raise ValueError(f"negative dimensions are not allowed: {shape}")
    kind, _ = _array.storable(dtype)
    # NumPy refuses shapes without elements as well whose other lengths are so large.
    if math.prod(n for n in shape if n) * kind.itemsize > sys.maxsize:
        raise MemoryError(f"an array of shape {shape} and dtype {kind} is larger than any address space")
    description = pickle.dumps((shape, _dtypes.to_code(kind)), 5)
    memory: Any = ArrayMemory(math.prod(shape) * kind.itemsize, kind.itemsize, description)
    return _show(shape, kind, memory, 0, None)


def _show(shape: Any, dtype: np.dtype[Any], memory: Any, offset: int, strides: Any) -> Array[Any, Any]:
    return np.ndarray.__new__(Array, shape, dtype, memory, offset, strides)


def _attached(token: bytes, geometry: bytes, dtype: Any) -> Array[Any, Any]:
    """Unpickles an array."""
    offset, ndim, *rest = _array.unpack_numbers(geometry)
    memory = ArrayMemory.attach(token)
    return _show(tuple(rest[:ndim]), _dtypes.from_code(dtype), memory, offset, tuple(rest[ndim:]))


def shown(memory: ArrayMemory) -> Array[Any, Any]:
    """Returns the whole array, as its maker described it."""
    shape, dtype = pickle.loads(memory.description)  # noqa: S301 - from a store of this user
    return _show(shape, _dtypes.from_code(dtype), memory, 0, None)


def whole_memory(array: Array[Any, Any]) -> ArrayMemory | None:
    """Returns the memory that an array shows the whole of, as it was made; None if its elements are its own.

    Raises:
        TypeError: It shows a part, or in another way.
    """
    memory = _memory_of(array)
    if memory is None:
        return None
    if memory.description:
        whole = shown(memory)
        is_at = _array.address(array) == _array.address(whole)
        if is_at and (array.shape, array.strides, array.dtype) == (whole.shape, whole.strides, whole.dtype):
            return memory
    raise TypeError(
        "a container can hold an onecopy.Array as it was made, and not a part of it or another view; put in the whole, "
        "or what it holds now: x.to_numpy()"
    )


def _memory_of(array: Array[Any, Any]) -> ArrayMemory | None:
    """Returns the memory of the store that an array shows; None if its elements are its own."""
    base: object = _array.root(array).base
    return base if isinstance(base, ArrayMemory) else None


def _memory(array: Array[Any, Any], what: str) -> ArrayMemory:
    memory = _memory_of(array)
    if memory is None:
        raise TypeError(
            f"{what}: these elements were chosen by a mask or a list, so they are a copy of this process's own"
        )
    return memory


def _add_half(array: Array[Any, Any], memory: ArrayMemory, index: Any, amount: Any) -> float:
    """Adds to a float16, which only NumPy can add."""
    at = memory.offset(array, index)
    amount = np.float16(amount)
    whole = np.frombuffer(cast("Any", memory), np.uint8)
    while True:
        # A copy: what is expected must be what was added to.
        old = np.frombuffer(whole[at : at + 2].tobytes(), np.float16)[0]
        new = old + amount
        if memory.replace(at, 2, int(old.view(np.uint16)), int(new.view(np.uint16))):
            return float(new)
