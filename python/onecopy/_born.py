"""Arrays that are born in the store, so that sharing them copies nothing: `empty`, `zeros`, `ones`, `full`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, SupportsIndex, TypeAlias, TypeVar

    import numpy as np
    import numpy.typing as npt

    Scalar = TypeVar("Scalar", bound=np.generic)
    Lengths: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
    Order: TypeAlias = Literal["C", "F"]
    Kind: TypeAlias = type[Scalar] | np.dtype[Scalar]

__all__ = ["empty", "full", "ones", "zeros"]


@overload
def empty(shape: Lengths, *, order: Order = "C") -> npt.NDArray[np.float64]: ...
@overload
def empty(shape: Lengths, dtype: Kind[Scalar], *, order: Order = "C") -> npt.NDArray[Scalar]: ...
@overload
def empty(shape: Lengths, dtype: npt.DTypeLike, *, order: Order = "C") -> npt.NDArray[Any]: ...
def empty(shape: Lengths, dtype: npt.DTypeLike = float, *, order: Order = "C") -> npt.NDArray[Any]:
    """Makes a writable array whose memory lies in the store, so that sharing it later copies nothing.

    Args:
        shape: Elements along each dimension.
        dtype: Type of the elements; whatever `share()` accepts.
        order: `"C"` for rows, `"F"` for columns that lie together in memory.

    Returns:
        An ndarray, filled with zeros for now. No other process sees it until it is shared; a child made by fork has its
        own copy-on-write picture of it. Until then it refuses to be pickled, as whoever got it would write to a copy of
        its own: send what `share()` returns, or use `onecopy.Array`, which all processes write to.

    Raises:
        Unsupported: (a `TypeError`) Arrays of this dtype cannot be shared.
        MemoryError: There is not enough memory; it is taken now, not at the first touch.

    Example:
        >>> import onecopy
        >>> a = onecopy.empty((2, 3))
        >>> a[:] = 7
        >>> view = onecopy.share(a)
        >>> float(view.sum()), a.flags.writeable
        (42.0, False)
    """
    from onecopy import _array

    return _array.empty(shape, dtype, order=order)


@overload
def zeros(shape: Lengths, *, order: Order = "C") -> npt.NDArray[np.float64]: ...
@overload
def zeros(shape: Lengths, dtype: Kind[Scalar], *, order: Order = "C") -> npt.NDArray[Scalar]: ...
@overload
def zeros(shape: Lengths, dtype: npt.DTypeLike, *, order: Order = "C") -> npt.NDArray[Any]: ...
def zeros(shape: Lengths, dtype: npt.DTypeLike = float, *, order: Order = "C") -> npt.NDArray[Any]:
    """Makes a writable array of zeros in the store; arguments and errors are those of `empty`.

    Example:
        >>> import onecopy
        >>> onecopy.zeros(3, int).tolist()
        [0, 0, 0]
    """
    return empty(shape, dtype, order=order)


@overload
def ones(shape: Lengths, *, order: Order = "C") -> npt.NDArray[np.float64]: ...
@overload
def ones(shape: Lengths, dtype: Kind[Scalar], *, order: Order = "C") -> npt.NDArray[Scalar]: ...
@overload
def ones(shape: Lengths, dtype: npt.DTypeLike, *, order: Order = "C") -> npt.NDArray[Any]: ...
def ones(shape: Lengths, dtype: npt.DTypeLike = float, *, order: Order = "C") -> npt.NDArray[Any]:
    """Makes a writable array of ones in the store; arguments and errors are those of `empty`.

    Example:
        >>> import onecopy
        >>> onecopy.ones((2, 2)).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    return full(shape, 1, dtype, order=order)


@overload
def full(shape: Lengths, fill_value: object, dtype: Kind[Scalar], *, order: Order = "C") -> npt.NDArray[Scalar]: ...
@overload
def full(
    shape: Lengths, fill_value: object, dtype: npt.DTypeLike | None = None, *, order: Order = "C"
) -> npt.NDArray[Any]: ...
def full(
    shape: Lengths, fill_value: object, dtype: npt.DTypeLike | None = None, *, order: Order = "C"
) -> npt.NDArray[Any]:
    """Makes a writable array of one value in the store; what is not said here is as for `empty`.

    Args:
        shape: Elements along each dimension.
        fill_value: The value, or an array that broadcasts to `shape`.
        dtype: Type of the elements; by default that of `fill_value`.
        order: `"C"` or `"F"`.

    Example:
        >>> import onecopy
        >>> onecopy.full(3, 2.5).tolist()
        [2.5, 2.5, 2.5]
    """
    from onecopy import _array

    return _array.full(shape, fill_value, dtype, order=order)
