"""Containers that all processes see and change."""

from collections.abc import Callable, Iterable, Iterator, MutableSequence
from types import GenericAlias
from typing import (
    Any,
    ClassVar,
    Generic,
    Self,
    SupportsIndex,
    TypeVar,
    final,
    overload,
)

_T = TypeVar("_T")
_S = TypeVar("_S")

@final
class Lock:
    """The writers' lock of a container, for `with`. Readers go on; a thread may take it again while it has it."""

    def acquire(self, timeout: float = 10.0) -> None:
        """Takes the lock.

        Args:
            timeout: Seconds to wait for a living holder.

        Raises:
            TimeoutError: It was not to be had in time; the text names the holder.
        """

    def release(self) -> None:
        """Gives the lock back.

        Raises:
            RuntimeError: This thread does not have it.
        """

    def locked(self) -> bool:
        """Whether some thread of some process has the lock."""

    @property
    def deaths(self) -> int:
        """Holders that have died in the lock."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_error: object) -> None: ...

@final
class List(MutableSequence[_T]):
    """A list that all processes see and change; each method is one step for all others."""

    @overload
    def __new__(cls, iterable: None = None, /) -> Self: ...
    @overload
    def __new__(cls, iterable: Iterable[_T], /) -> Self: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...

    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> _T: ...
    @overload
    def __getitem__(self, key: slice, /) -> list[_T]: ...
    @overload
    def __setitem__(self, key: SupportsIndex, value: _T, /) -> None: ...
    @overload
    def __setitem__(self, key: slice, value: Iterable[_T], /) -> None: ...
    def __delitem__(self, key: SupportsIndex | slice, /) -> None: ...
    def __iter__(self) -> Iterator[_T]: ...
    def __reversed__(self) -> Iterator[_T]: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __lt__(self, value: List[_T] | list[_T], /) -> bool: ...
    def __le__(self, value: List[_T] | list[_T], /) -> bool: ...
    def __gt__(self, value: List[_T] | list[_T], /) -> bool: ...
    def __ge__(self, value: List[_T] | list[_T], /) -> bool: ...
    def __add__(self, value: List[_S] | list[_S], /) -> list[_T | _S]: ...
    def __radd__(self, value: list[_S], /) -> list[_T | _S]: ...
    def __mul__(self, value: SupportsIndex, /) -> list[_T]: ...
    def __rmul__(self, value: SupportsIndex, /) -> list[_T]: ...
    def __iadd__(self, value: Iterable[_T], /) -> Self: ...  # type: ignore[misc]
    def __imul__(self, value: SupportsIndex, /) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def append(self, object: _T, /) -> None:
        """Adds an element at the end."""

    def extend(self, iterable: Iterable[_T], /) -> None:
        """Adds all elements of an iterable at the end, in one step."""

    def insert(self, index: SupportsIndex, object: _T, /) -> None:
        """Inserts an element before the one at `index`."""

    def pop(self, index: SupportsIndex = -1, /) -> _T:
        """Takes an element out, and returns it.

        Raises:
            IndexError: There is no such element.
        """

    def remove(self, value: _T, /) -> None:
        """Takes the first element out that equals `value`.

        Raises:
            ValueError: There is none.
        """

    def clear(self) -> None:
        """Takes all elements out. Their memory goes back to the store."""

    def index(self, value: object, start: SupportsIndex | None = None, stop: SupportsIndex | None = None, /) -> int:
        """The index of the first element between `start` and `stop` that equals `value`.

        Raises:
            ValueError: There is none.
        """

    def count(self, value: object, /) -> int:
        """How many elements equal `value`."""

    def reverse(self) -> None:
        """Turns the order of the elements round, in one step."""

    def sort(self, *, key: Callable[[_T], Any] | None = None, reverse: bool = False) -> None:
        """Sorts the elements, as `list.sort` does."""

    def copy(self) -> list[_T]:
        """The elements as a real list, of one moment."""

    def to_python(self) -> list[_T]:
        """The elements as a real list, of one moment."""

    def add(self: List[int], index: SupportsIndex, amount: int | None = None, /) -> int:
        """Adds to an int in one step (1 if no amount is given), and returns the sum.

        Raises:
            IndexError: There is no such element.
            TypeError: It is no int.
        """

    def update_with(self, index: SupportsIndex, function: Callable[[_T], _T], /) -> _T:
        """Replaces an element by what a function makes of it, and returns that.

        The function runs without the lock, again if somebody was faster; after eight times in vain, under the lock.

        Args:
            index: Which element.
            function: Gets the element, returns the next one.

        Raises:
            IndexError: There is no such element.
        """

    def compare_exchange(self, index: SupportsIndex, old: object, new: _T, /) -> bool:
        """Replaces an element if it is `old`: the same value of the same type. Returns whether it was.

        Raises:
            IndexError: There is no such element.
        """

    @property
    def lock(self) -> Lock:
        """The writers' lock, for `with`: others wait before they change the list, and readers go on."""

    def verify(self) -> None:
        """Checks every invariant of the list's memory.

        Raises:
            onecopy.OnecopyError: One is broken; the text says which and where.
        """

@final
class Value(Generic[_T]):
    """One value of any kind that all processes see and change."""

    @overload
    def __new__(cls) -> Self: ...
    @overload
    def __new__(cls, value: _T, /) -> Self: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def get(self) -> _T:
        """The value."""

    def set(self, value: _T, /) -> None:
        """Replaces the value."""

    @property
    def value(self) -> _T:
        """The value, as `multiprocessing.Value` calls it."""

    @value.setter
    def value(self, value: _T, /) -> None: ...
    def add(self: Value[int], amount: int | None = None, /) -> int:
        """Adds to an int in one step (1 if no amount is given), and returns the sum.

        Raises:
            TypeError: The value, or `amount`, is no int.
        """

    def update_with(self, function: Callable[[_T], _T], /) -> _T:
        """Replaces the value by what a function makes of it, and returns that.

        The function runs without the lock, again if somebody was faster; after eight times in vain, under the lock.
        """

    def compare_exchange(self, old: object, new: _T, /) -> bool:
        """Replaces the value if it is `old`: the same value of the same type. Returns whether it was."""

    @property
    def lock(self) -> Lock:
        """The writers' lock, for `with`: others wait before they change the value, and readers go on."""

def _attach_list(token: bytes) -> List[Any]: ...
def _attach_value(token: bytes) -> Value[Any]: ...
