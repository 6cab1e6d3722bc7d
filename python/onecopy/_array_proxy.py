"""What `Manager().Array()` makes: an `array.array` that every process sees, without NumPy."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING, Any

from onecopy._onecopy import ArrayMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["ManagedArray"]


class ManagedArray:
    """Numbers of one C type that every process sees, as `array.array(typecode, sequence)`, of a fixed length.

    Reading and writing an element is one step; `a[i] += 1` is two. It pickles to a token.

    Args:
        typecode: As of `array.array`, other than those of characters.
        sequence: The numbers.

    Raises:
        ValueError: There is no such typecode.
    """

    __module__ = "onecopy.managers"
    __slots__ = ("__weakref__", "_memory", "_numbers", "_typecode")

    def __init__(self, typecode: str, sequence: Iterable[Any]) -> None:
        if typecode in ("u", "w"):
            raise ValueError(f"typecode {typecode!r} is of characters; put a str into a Value, or several into a List")
        numbers = array.array(typecode, sequence)
        byte_len = len(numbers) * numbers.itemsize
        self._show(ArrayMemory(byte_len, numbers.itemsize, typecode.encode()))
        if numbers:
            self._numbers[:] = memoryview(numbers)

    def _show(self, memory: ArrayMemory) -> None:
        self._typecode = memory.description.decode()
        self._memory = memory
        self._numbers = memoryview(memory).cast(self._typecode)  # type: ignore[call-overload]  # any of array's

    @property
    def typecode(self) -> str:
        """The C type of the numbers."""
        return self._typecode

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return array.array(self._typecode, self._numbers[index].tolist())
        return self._numbers[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice) and not isinstance(value, array.array):
            value = array.array(self._typecode, value)
        try:
            self._numbers[index] = value
        except ValueError:
            # `array.array` calls a number that is too large an OverflowError.
            if not isinstance(index, slice):
                array.array(self._typecode, [value])
            raise

    def __iter__(self) -> Iterator[Any]:
        return iter(self._numbers)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ManagedArray):
            other = other._getvalue()
        return self._getvalue() == other if isinstance(other, array.array) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes

    def tolist(self) -> list[Any]:
        """The numbers as a list."""
        return list(self._numbers)

    def _getvalue(self) -> array.array[Any]:
        return array.array(self._typecode, self._numbers.tobytes())

    def __str__(self) -> str:
        return str(self._getvalue())

    def __repr__(self) -> str:
        return f"onecopy.managers.ManagedArray({self._typecode!r}, {self.tolist()!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles to a token."""
        return _attached, (self._memory.token(),)


def _attached(token: bytes) -> ManagedArray:
    """Unpickles an array."""
    return shown(ArrayMemory.attach(token))


def shown(memory: ArrayMemory) -> ManagedArray:
    """The array that shows memory, which its maker has described by a typecode."""
    proxy = ManagedArray.__new__(ManagedArray)
    proxy._show(memory)  # noqa: SLF001 - of this file
    return proxy


def memory_of(proxy: ManagedArray) -> ArrayMemory:
    """What an array shows."""
    return proxy._memory  # noqa: SLF001 - of this file
