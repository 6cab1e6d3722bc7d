"""Lists and single values that all processes see and change, and the locks of containers."""

from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from types import GenericAlias
from typing import Any, ClassVar, Generic, Self, SupportsIndex, TypeVar, final, overload

_T = TypeVar("_T")
_S = TypeVar("_S")

@final
class Lock:
    """The writers' lock of a container.

    `with c.lock:` makes several operations one step: other threads and processes wait before they change the container.
    Readers go on, and see each operation as it is done. A thread may take the lock again while it has it. If its holder
    dies, what it had completed stays, the lock is free, and `deaths` counts it.

    Examples:
        >>> import onecopy
        >>> numbers = onecopy.List([1, 2])
        >>> with numbers.lock:
        ...     numbers[0] += 1
    """

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
class ListIterator(Iterator[_T], Generic[_T]):
    """Yields the elements of a list as they are when they are reached."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> _T: ...
    def __length_hint__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class List(MutableSequence[_T], Generic[_T]):
    """A list that all processes see and change.

    It has the methods of `list`. Elements of plain types are kept as such; others are pickled in, and each read makes a
    new object of them: change an element by setting it.

    Each method is one step for all others. `l[i] += 1` is two; use `l.add(i, 1)`, or `with l.lock:`.

    Args:
        iterable: The first elements.

    Raises:
        MemoryError: There is no memory; the list is as it was.
        TimeoutError: A living process has had the lock for ten seconds.

    Examples:
        >>> import onecopy
        >>> numbers = onecopy.List([3, 1, 2])
        >>> numbers.append(0)
        >>> numbers.sort()
        >>> numbers
        onecopy.List([0, 1, 2, 3])
    """

    def __new__(cls, iterable: Iterable[_T] | None = None, /) -> Self: ...
    def append(self, object: _T, /) -> None:
        """Adds an element at the end."""

    def extend(self, iterable: Iterable[_T], /) -> None:
        """Adds all elements of an iterable at the end, in one step."""

    def insert(self, index: SupportsIndex, object: _T, /) -> None:
        """Inserts an element before the one at `index`."""

    def pop(self, index: SupportsIndex = -1, /) -> _T:
        """Takes an element out, the last one by default, and returns it.

        Raises:
            IndexError: There is none at this index.
        """

    def remove(self, value: _T, /) -> None:
        """Takes the first element out that equals `value`.

        Raises:
            ValueError: There is none.
        """

    def clear(self) -> None:
        """Takes all elements out. Their memory goes back to the store."""

    def index(self, value: Any, start: SupportsIndex | None = None, stop: SupportsIndex | None = None, /) -> int:
        """The index of the first element between `start` and `stop` that equals `value`.

        Raises:
            ValueError: There is none.
        """

    def count(self, value: Any, /) -> int:
        """How many elements equal `value`."""

    def reverse(self) -> None:
        """Turns the order of the elements round, in one step."""

    def sort(self, *, key: Callable[[_T], Any] | None = None, reverse: bool = False) -> None:
        """Sorts the elements, as `list.sort` does."""

    def copy(self) -> list[_T]:
        """The elements as a real list, of one moment."""

    def to_python(self) -> list[_T]:
        """The elements as a real list, of one moment."""

    def add(self, index: SupportsIndex, amount: int | None = None, /) -> int:
        """Adds to an int in one step, and returns the sum.

        Args:
            index: Which element.
            amount: What to add.

        Raises:
            IndexError: There is no such element.
            TypeError: It is no int.
        """

    def compare_exchange(self, index: SupportsIndex, old: _T, new: _T, /) -> bool:
        """Replaces an element if it is `old`: the same value of the same type. Returns whether it was.

        Args:
            index: Which element.
            old: What it has to be.
            new: What it becomes.

        Raises:
            IndexError: There is no such element.
        """

    @property
    def lock(self) -> Lock:
        """The writers' lock, for `with`: others wait before they change the list, and readers go on."""

    def verify(self) -> None:
        """Checks every invariant of the list's memory.

        Raises:
            OnecopyError: One is broken; the text says which and where.
        """

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
    def __iter__(self) -> ListIterator[_T]: ...
    def __reversed__(self) -> ListIterator[_T]: ...
    def __contains__(self, value: object, /) -> bool: ...
    def __add__(self, other: Sequence[_S], /) -> list[_T | _S]: ...
    def __radd__(self, other: list[_S], /) -> list[_T | _S]: ...
    def __iadd__(self, values: Iterable[_T], /) -> Self: ...
    def __mul__(self, count: SupportsIndex, /) -> list[_T]: ...
    def __rmul__(self, count: SupportsIndex, /) -> list[_T]: ...
    def __imul__(self, count: SupportsIndex, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Sequence[_T], /) -> bool: ...
    def __le__(self, other: Sequence[_T], /) -> bool: ...
    def __gt__(self, other: Sequence[_T], /) -> bool: ...
    def __ge__(self, other: Sequence[_T], /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class Value(Generic[_T]):
    """One value of any kind that all processes see and change.

    Values of plain types are kept as such; others are pickled in, and each read makes a new object.

    Args:
        value: The first value.

    Raises:
        MemoryError: There is no memory; the value is as it was.
        TimeoutError: A living process has had the lock for ten seconds.

    Examples:
        >>> import onecopy
        >>> total = onecopy.Value(40)
        >>> total.add(2)
        42
        >>> total.get()
        42
    """

    def __new__(cls, value: _T | None = None, /) -> Self: ...
    def get(self) -> _T:
        """The value."""

    def set(self, value: _T, /) -> None:
        """Replaces the value."""

    @property
    def value(self) -> _T:
        """The value, as `multiprocessing.Value` calls it."""

    @value.setter
    def value(self, value: _T) -> None: ...
    def add(self, amount: int | None = None, /) -> int:
        """Adds to an int in one step, and returns the sum.

        Raises:
            TypeError: The value, or `amount`, is no int.
        """

    def compare_exchange(self, old: _T, new: _T, /) -> bool:
        """Replaces the value if it is `old`: the same value of the same type. Returns whether it was."""

    @property
    def lock(self) -> Lock:
        """The writers' lock, for `with`: others wait before they change the value, and readers go on."""

    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

def _attach_list(token: bytes) -> List[Any]: ...
def _attach_value(token: bytes) -> Value[Any]: ...
