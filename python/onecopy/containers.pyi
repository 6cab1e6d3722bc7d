"""Containers that all processes see and change."""

from collections import Counter as _RealCounter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, MutableSet
from collections.abc import Set as AbstractSet
from typing import Any, Generic, Self, SupportsIndex, TypeVar, final, overload

from onecopy._stubs.containing import _Collection, _Container, _Mapping

__all__ = ["Counter", "Dict", "List", "Set", "Value", "WriterLock"]

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")
_S = TypeVar("_S")

@final
class WriterLock:
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
class List(_Collection, MutableSequence[_T]):
    """A list that all processes see and change; each method is one step for all others."""

    def __init__(self, iterable: Iterable[_T] = ..., /) -> None: ...
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
    def append(self, object: _T, /) -> None:
        """Adds an element at the end."""

    def extend(self, iterable: Iterable[_T], /) -> None:
        """Adds all elements of an iterable at the end, in one step unless more than 16,384 are longer than a word."""

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
        """Sorts the elements, as `list.sort` does.

        `key` and the comparisons run without the lock, on a copy, and again if the list has changed meanwhile.

        Raises:
            ValueError: `key`, or a comparison, changes the list.
            TimeoutError: Others have changed it during each try, for ten seconds. `with l.lock:` keeps them out.
        """

    def copy(self) -> list[_T]:
        """The elements as a real list, of one moment."""

    def to_python(self) -> list[_T]:
        """The elements as a real list, of one moment."""

    @overload
    def add(self: List[int], index: SupportsIndex, amount: SupportsIndex | None = None, /) -> int:
        """Adds to a number in one step (1 if no amount is given), and returns the sum.

        Raises:
            IndexError: There is no such element.
            TypeError: The element, or `amount`, is no number.
        """

    @overload
    def add(self: List[float], index: SupportsIndex, amount: float | SupportsIndex | None = None, /) -> float: ...
    def update_with(self, index: SupportsIndex, function: Callable[[_T], _T], /) -> _T:
        """Replaces an element by what a function makes of it, and returns that.

        The function runs without the lock, and again if somebody was faster: it may run more than once.

        Args:
            index: Which element.
            function: Gets the element, returns the next one.

        Raises:
            IndexError: There is no such element.
            RuntimeError: The function changes the element itself.
            TimeoutError: Others have changed it during each try, for ten seconds. `with l.lock:` keeps them out.
        """

    def compare_exchange(self, index: SupportsIndex, old: object, new: _T, /) -> bool:
        """Replaces an element if it is `old`: an equal value of the same type. Returns whether it was.

        `==` of pickled values runs without the lock. A container or view is the same only as itself.

        Raises:
            IndexError: There is no such element.
        """
    def __copy__(self) -> list[_T]: ...
    def __deepcopy__(self, memo: dict[Any, Any]) -> list[Any]: ...

@final
class Value(_Container, Generic[_T]):
    """One value of any kind that all processes see and change."""

    @overload
    def __new__(cls) -> Self: ...
    @overload
    def __new__(cls, value: _T, /) -> Self: ...
    def get(self) -> _T:
        """The value."""

    def set(self, value: _T, /) -> None:
        """Replaces the value."""

    @property
    def value(self) -> _T:
        """The value, as `multiprocessing.Value` calls it."""

    @value.setter
    def value(self, value: _T, /) -> None: ...
    @overload
    def add(self: Value[int], amount: SupportsIndex | None = None, /) -> int:
        """Adds to a number in one step (1 if no amount is given), and returns the sum.

        Raises:
            TypeError: The value, or `amount`, is no number.
        """

    @overload
    def add(self: Value[float], amount: float | SupportsIndex | None = None, /) -> float: ...
    def update_with(self, function: Callable[[_T], _T], /) -> _T:
        """Replaces the value by what a function makes of it, and returns that.

        The function runs without the lock, and again if somebody was faster: it may run more than once.

        Raises:
            RuntimeError: The function changes the value itself.
            TimeoutError: Others have changed it during each try, for ten seconds. `with v.lock:` keeps them out.
        """

    def compare_exchange(self, old: object, new: _T, /) -> bool:
        """Replaces the value if it is `old`: an equal value of the same type. Returns whether it was.

        `==` of pickled values runs without the lock. A container or view is the same only as itself.
        """
    def __copy__(self) -> Value[_T]: ...
    def __deepcopy__(self, memo: dict[Any, Any]) -> Value[Any]: ...

@final
class Dict(_Mapping[_K, _V]):
    """A dict that all processes see and change.

    It has the methods of `dict`, and keeps the order in which keys were set first. Values of plain types are kept as
    such, and other containers and whole views stay what they are; others are pickled in, and each read makes a new
    object of them: change a value by setting it.

    Keys are None, bools, ints, floats, strs, bytes, Enum members, UUIDs, dates and datetimes, and tuples and frozensets
    of these. In a tuple a number comes back as the int that it equals.

    Each method is one step for all others; `update` sets up to 1,024 keys in one. `d[k] += 1` is two; use `d.add(k,
    1)`, or `with d.lock:`. Iterating yields the keys that were there when it began.

    Args:
        source: A mapping, or an iterable of pairs.
        items: More keys, as keywords.

    Raises:
        KeyError: There is no such key.
        TypeError: A key of this class cannot be found by other processes.
        MemoryError: There is no memory; the dict is as it was, or has whole steps of a large update.
        TimeoutError: A living process has had the lock for ten seconds.

    Examples:
        >>> import onecopy
        >>> ages = onecopy.Dict(ada=36, alan=41)
        >>> ages["grace"] = 85
        >>> ages.add("ada", 1)
        37
        >>> ages
        onecopy.Dict({'ada': 37, 'alan': 41, 'grace': 85})
    """

    @overload
    def __init__(self, source: Mapping[_K, _V] | Iterable[tuple[_K, _V]] = ..., /) -> None: ...
    @overload
    def __init__(
        self: Dict[str, _V], source: Mapping[str, _V] | Iterable[tuple[str, _V]] = ..., /, **items: _V
    ) -> None: ...
    @classmethod
    @overload
    def fromkeys(cls, iterable: Iterable[_T], value: None = None, /) -> Dict[_T, None]:
        """A dict with these keys, which all have the same value."""

    @classmethod
    @overload
    def fromkeys(cls, iterable: Iterable[_T], value: _V, /) -> Dict[_T, _V]: ...
    @overload  # type: ignore[override]
    def update(self, source: Mapping[_K, _V] | Iterable[tuple[_K, _V]] = ..., /) -> None:
        """Sets many keys, as `dict.update` does: up to 1,024 in one step.

        Args:
            source: A mapping, or an iterable of pairs.
            items: More keys, as keywords.
        """

    @overload
    def update(
        self: Dict[str, _V], source: Mapping[str, _V] | Iterable[tuple[str, _V]] = ..., /, **items: _V
    ) -> None: ...
    def update_with(self, key: _K, function: Callable[[_V], _V], /, default: _V = ...) -> _V:
        """Replaces the value of a key by what a function makes of it, in one step.

        The function runs without the lock, and again if somebody was faster: it may run more than once.

        Args:
            key: Which value.
            function: Is given the value, and returns the new one.
            default: What it is given if there is no such key.

        Returns:
            The new value.

        Raises:
            KeyError: There is no such key, and no default.
            RuntimeError: The function changes the value itself.
            TimeoutError: Others have changed it during each try, for ten seconds. `with d.lock:` keeps them out.
        """

    def copy(self) -> dict[_K, _V]:
        """A real dict of what is in it at one moment."""

    def to_python(self) -> dict[_K, _V]:
        """A real dict of what is in it at one moment."""

    def __or__(self, other: Mapping[_K, _V], /) -> dict[_K, _V]: ...
    def __ror__(self, other: Mapping[_K, _V], /) -> dict[_K, _V]: ...
    def __ior__(self, other: Mapping[_K, _V] | Iterable[tuple[_K, _V]], /) -> Self: ...
    def __copy__(self) -> dict[_K, _V]: ...
    def __deepcopy__(self, memo: dict[Any, Any]) -> dict[_K, Any]: ...

@final
class Counter(_Mapping[_K, int]):
    """Counts that all processes add to.

    It has the methods of `collections.Counter`: what was never counted has the count 0. Keys are those of a
    `onecopy.Dict`.

    `add` is one step, so no count is lost, however many processes count. `update` and `subtract` are one step
    for up to 1,024 keys, and for any number if the counter has at most four times as many. `c[k] += 1` is two
    steps. Operators in place are one step for those who write; who reads may see some counts first. The others give
    real counters.

    Args:
        source: An iterable of what to count, or a mapping of counts.
        counts: More counts, as keywords.

    Raises:
        TypeError: A key of this class cannot be found by other processes.
        MemoryError: There is no memory; the counter is as it was, or has whole steps of a large update.
        TimeoutError: A living process has had the lock for ten seconds.

    Examples:
        >>> import onecopy
        >>> words = onecopy.Counter("to be or not to be".split())
        >>> words.add("to")
        3
        >>> words["question"]
        0
        >>> words.most_common(2)
        [('to', 3), ('be', 2)]
    """

    @overload
    def __init__(self, source: Mapping[_K, int] | Iterable[_K] | None = None, /) -> None: ...
    @overload
    def __init__(
        self: Counter[str], source: Mapping[str, int] | Iterable[str] | None = None, /, **counts: int
    ) -> None: ...
    @classmethod
    def fromkeys(cls, iterable: object, value: object = None, /) -> None:
        """Not for counters, as `collections.Counter` has it."""

    @overload  # type: ignore[override]
    def update(self, source: Mapping[_K, float] | Iterable[_K] | None = None, /) -> None:
        """Counts what an iterable yields, or adds the counts of a mapping.

        Args:
            source: An iterable of what to count, or a mapping of counts.
            counts: More counts, as keywords.
        """

    @overload
    def update(
        self: Counter[str], source: Mapping[str, float] | Iterable[str] | None = None, /, **counts: float
    ) -> None: ...
    @overload
    def subtract(self, source: Mapping[_K, float] | Iterable[_K] | None = None, /) -> None:
        """The same, with each count subtracted.

        Args:
            source: An iterable of what to count, or a mapping of counts.
            counts: More counts, as keywords.
        """

    @overload
    def subtract(
        self: Counter[str], source: Mapping[str, float] | Iterable[str] | None = None, /, **counts: float
    ) -> None: ...
    def update_with(self, key: _K, function: Callable[[int], int], /) -> int:
        """Replaces a count by what a function makes of it, in one step.

        The function runs without the lock, and again if somebody was faster: it may run more than once.

        Args:
            key: Which count.
            function: Is given the count, and returns the new one.

        Returns:
            The new count.

        Raises:
            RuntimeError: The function changes the count itself.
            TimeoutError: Others have changed it during each try, for ten seconds. `with c.lock:` keeps them out.
        """

    def most_common(self, n: int | None = None) -> list[tuple[_K, int]]:
        """The keys with the largest counts, largest first.

        Args:
            n: How many; all by default.

        Returns:
            The keys with their counts.
        """

    def elements(self) -> Iterator[_K]:
        """Each key as often as it counts."""

    def total(self) -> int:
        """The sum of all counts."""

    def copy(self) -> _RealCounter[_K]:
        """A `collections.Counter` of what is in it at one moment."""

    def to_python(self) -> _RealCounter[_K]:
        """A `collections.Counter` of what is in it at one moment."""

    def __le__(self, other: _RealCounter[_K] | Counter[_K], /) -> bool: ...
    def __lt__(self, other: _RealCounter[_K] | Counter[_K], /) -> bool: ...
    def __ge__(self, other: _RealCounter[_K] | Counter[_K], /) -> bool: ...
    def __gt__(self, other: _RealCounter[_K] | Counter[_K], /) -> bool: ...
    def __add__(self, other: _RealCounter[_K] | Counter[_K], /) -> _RealCounter[_K]: ...
    def __sub__(self, other: _RealCounter[_K] | Counter[_K], /) -> _RealCounter[_K]: ...
    def __and__(self, other: _RealCounter[_K] | Counter[_K], /) -> _RealCounter[_K]: ...
    def __or__(self, other: _RealCounter[_K] | Counter[_K], /) -> _RealCounter[_K]: ...
    def __radd__(self, other: _RealCounter[_K] | Counter[_K], /) -> _RealCounter[_K]: ...
    def __rsub__(self, other: _RealCounter[_K] | Counter[_K], /) -> _RealCounter[_K]: ...
    def __rand__(self, other: _RealCounter[_K] | Counter[_K], /) -> _RealCounter[_K]: ...
    def __ror__(self, other: _RealCounter[_K] | Counter[_K], /) -> _RealCounter[_K]: ...
    def __iadd__(self, other: _RealCounter[_K] | Counter[_K], /) -> Self: ...
    def __isub__(self, other: _RealCounter[_K] | Counter[_K], /) -> Self: ...
    def __iand__(self, other: _RealCounter[_K] | Counter[_K], /) -> Self: ...
    def __ior__(self, other: _RealCounter[_K] | Counter[_K], /) -> Self: ...
    def __pos__(self) -> _RealCounter[_K]: ...
    def __neg__(self) -> _RealCounter[_K]: ...
    def __copy__(self) -> _RealCounter[_K]: ...
    def __deepcopy__(self, memo: dict[Any, Any]) -> _RealCounter[_K]: ...

@final
class Set(_Collection, MutableSet[_K]):
    """A set that all processes see and change.

    It has the methods of `set`, and keeps the order in which its elements were added. Elements are what may be a key of
    a `onecopy.Dict`.

    Each method is one step for all others; `update` adds up to 1,024 elements in one. What takes many elements out is
    one step for those who write; who reads may see some of them gone before the others. Iterating yields the elements
    that were there when it began. The operators give real sets.

    Args:
        iterable: The first elements.

    Raises:
        KeyError: There is no such element.
        TypeError: An element of this class cannot be found by other processes.
        MemoryError: There is no memory; the set is as it was, or has whole steps of a large update.
        TimeoutError: A living process has had the lock for ten seconds.

    Examples:
        >>> import onecopy
        >>> seen = onecopy.Set(["a"])
        >>> seen.add("b")
        >>> "b" in seen, len(seen)
        (True, 2)
        >>> seen - {"a"}
        {'b'}
    """

    def __init__(self, iterable: Iterable[_K] = ..., /) -> None: ...
    def __contains__(self, element: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_K]: ...
    def add(self, element: _K, /) -> None:
        """Adds an element."""

    def discard(self, element: object, /) -> None:
        """Takes an element out, if it is there."""

    def remove(self, element: object, /) -> None:
        """Takes an element out.

        Raises:
            KeyError: It is not there.
        """

    def pop(self) -> _K:
        """Takes an element out: the one that was added first.

        Raises:
            KeyError: The set is empty.
        """

    def update(self, *others: Iterable[_K]) -> None:
        """Adds all elements of iterables."""

    def intersection_update(self, *others: Iterable[object]) -> None:
        """Takes out what is not in all of the iterables."""

    def difference_update(self, *others: Iterable[object]) -> None:
        """Takes out what is in one of the iterables."""

    def symmetric_difference_update(self, other: Iterable[_K], /) -> None:
        """Takes out what is also in the iterable, and adds what is only there."""

    def union(self, *others: Iterable[_T]) -> set[_K | _T]:
        """A real set of what is in this or in one of the iterables."""

    def intersection(self, *others: Iterable[object]) -> set[_K]:
        """A real set of what is in this and in all of the iterables."""

    def difference(self, *others: Iterable[object]) -> set[_K]:
        """A real set of what is in this and in none of the iterables."""

    def symmetric_difference(self, other: Iterable[_T], /) -> set[_K | _T]:
        """A real set of what is in one of both and not in the other."""

    def isdisjoint(self, other: Iterable[object], /) -> bool:
        """Whether nothing is in both."""

    def issubset(self, other: Iterable[object], /) -> bool:
        """Whether all elements are in the iterable."""

    def issuperset(self, other: Iterable[object], /) -> bool:
        """Whether all that is in the iterable is an element."""

    def copy(self) -> set[_K]:
        """A real set of what is in it at one moment."""

    def to_python(self) -> set[_K]:
        """A real set of what is in it at one moment."""

    def __le__(self, other: AbstractSet[object], /) -> bool: ...
    def __lt__(self, other: AbstractSet[object], /) -> bool: ...
    def __ge__(self, other: AbstractSet[object], /) -> bool: ...
    def __gt__(self, other: AbstractSet[object], /) -> bool: ...
    def __or__(self, other: AbstractSet[_T], /) -> set[_K | _T]: ...
    def __xor__(self, other: AbstractSet[_T], /) -> set[_K | _T]: ...
    def __and__(self, other: AbstractSet[object], /) -> set[_K]: ...
    def __sub__(self, other: AbstractSet[object], /) -> set[_K]: ...
    def __ror__(self, other: AbstractSet[_T], /) -> set[_K | _T]: ...  # type: ignore[misc]
    def __rxor__(self, other: AbstractSet[_T], /) -> set[_K | _T]: ...  # type: ignore[misc]
    def __rand__(self, other: AbstractSet[_T], /) -> set[_T]: ...  # type: ignore[misc]
    def __rsub__(self, other: AbstractSet[_T], /) -> set[_T]: ...  # type: ignore[misc]
    def __ior__(self, other: AbstractSet[_K], /) -> Self: ...  # type: ignore[override,misc]
    def __ixor__(self, other: AbstractSet[_K], /) -> Self: ...  # type: ignore[override,misc]
    def __iand__(self, other: AbstractSet[object], /) -> Self: ...
    def __isub__(self, other: AbstractSet[object], /) -> Self: ...
    def __copy__(self) -> set[_K]: ...
    def __deepcopy__(self, memo: dict[Any, Any]) -> set[_K]: ...
