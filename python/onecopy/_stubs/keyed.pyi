"""Dicts, sets and counters that all processes see and change."""

from collections import Counter as _RealCounter
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    MutableSet,
    ValuesView,
)
from collections.abc import Set as AbstractSet
from types import GenericAlias
from typing import Any, ClassVar, Generic, Self, TypeVar, final, overload

from onecopy._stubs.containers import Lock

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")

@final
class Dict(MutableMapping[_K, _V], Generic[_K, _V]):
    """A dict that all processes see and change.

    It has the methods of `dict`, and keeps the order in which keys were set first. Values of plain types are kept as
    such; others are pickled in, and each read makes a new object of them: change a value by setting it.

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
        MemoryError: There is no memory; the dict is as it was.
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
    def __new__(cls, source: Mapping[_K, _V] | Iterable[tuple[_K, _V]] = ..., /) -> Self: ...
    @overload
    def __new__(
        cls: type[Dict[str, _V]], source: Mapping[str, _V] | Iterable[tuple[str, _V]] = ..., /, **items: _V
    ) -> Dict[str, _V]: ...
    @classmethod
    @overload
    def fromkeys(cls, iterable: Iterable[_T], value: None = None, /) -> Dict[_T, Any]:
        """A dict with these keys, which all have the same value."""

    @classmethod
    @overload
    def fromkeys(cls, iterable: Iterable[_T], value: _V, /) -> Dict[_T, _V]: ...
    def __getitem__(self, key: _K, /) -> _V: ...
    def __setitem__(self, key: _K, value: _V, /) -> None: ...
    def __delitem__(self, key: _K, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_K]: ...
    def __reversed__(self) -> Iterator[_K]: ...
    @overload
    def get(self, key: _K, default: None = None, /) -> _V | None:
        """The value of a key, or `default` if there is no such key."""

    @overload
    def get(self, key: _K, default: _V, /) -> _V: ...
    @overload
    def get(self, key: _K, default: _T, /) -> _V | _T: ...
    def setdefault(self, key: _K, default: _V = ..., /) -> _V:
        """The value of a key. A key that is not there is set to `default`."""

    @overload
    def pop(self, key: _K, /) -> _V:
        """Takes a key out and returns its value; `default` if there is no such key.

        Raises:
            KeyError: There is no such key, and no default.
        """

    @overload
    def pop(self, key: _K, default: _V, /) -> _V: ...
    @overload
    def pop(self, key: _K, default: _T, /) -> _V | _T: ...
    def popitem(self) -> tuple[_K, _V]:
        """Takes the last key out and returns it with its value.

        Raises:
            KeyError: There is none.
        """

    def keys(self) -> KeysView[_K]:
        """The keys, as they are whenever this is asked."""

    def values(self) -> ValuesView[_V]:
        """The values, as they are whenever this is asked."""

    def items(self) -> ItemsView[_K, _V]:
        """The items, as they are whenever this is asked."""

    def add(self, key: _K, amount: float = ..., /) -> _V:
        """Adds to the number of a key in one step. A key that is not there gets `amount`.

        Args:
            key: Which number.
            amount: What to add; 1 by default.

        Returns:
            The sum.

        Raises:
            TypeError: The value, or `amount`, is no int and no float.
        """

    def compare_exchange(self, key: _K, old: _V, new: _V, /) -> bool:
        """Replaces the value of a key if it is `old`: the same value of the same type.

        Args:
            key: Which value.
            old: What it has to be.
            new: What it becomes.

        Returns:
            Whether it was.

        Raises:
            KeyError: There is no such key.
        """

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
    def update_with(self, key: _K, function: Callable[[_V], _V], default: _V = ..., /) -> _V:
        """Replaces the value of a key by what a function makes of it, in one step.

        The function runs without the lock, and again if the value has changed meanwhile; after eight times in vain it
        runs under the lock. So it may run more than once.

        Args:
            key: Which value.
            function: Is given the value, and returns the new one.
            default: What it is given if there is no such key.

        Returns:
            The new value.

        Raises:
            KeyError: There is no such key, and no default.
        """

    def copy(self) -> dict[_K, _V]:
        """A real dict of what is in it at one moment."""

    def to_python(self) -> dict[_K, _V]:
        """A real dict of what is in it at one moment."""

    def clear(self) -> None:
        """Takes everything out. Its memory goes back to the store."""

    @property
    def lock(self) -> Lock:
        """The writers' lock, for `with`: others wait before they change the container, and readers go on."""

    def verify(self) -> None:
        """Checks every invariant of the container's memory.

        Raises:
            OnecopyError: One is broken; the text says which and where.
        """

    def __len__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __or__(self, other: Mapping[_K, _V], /) -> dict[_K, _V]: ...
    def __ror__(self, other: Mapping[_K, _V], /) -> dict[_K, _V]: ...
    def __ior__(self, other: Mapping[_K, _V] | Iterable[tuple[_K, _V]], /) -> Self: ...

@final
class Counter(MutableMapping[_K, int], Generic[_K]):
    """Counts that all processes add to.

    It has the methods of `collections.Counter`: what was never counted has the count 0. Keys are those of a
    `onecopy.Dict`.

    `add` is one step, so no count is lost, however many processes count. `update` and `subtract` are one step for
    those who write; who reads may see some counts before the others. `c[k] += 1` is two steps. The operators give
    real counters.

    Args:
        source: An iterable of what to count, or a mapping of counts.
        counts: More counts, as keywords.

    Raises:
        TypeError: A key of this class cannot be found by other processes.
        MemoryError: There is no memory.
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
    def __new__(cls, source: Mapping[_K, int] | Iterable[_K] = ..., /) -> Self: ...
    @overload
    def __new__(
        cls: type[Counter[str]], source: Mapping[str, int] | Iterable[str] = ..., /, **counts: int
    ) -> Counter[str]: ...
    @classmethod
    def fromkeys(cls, iterable: Any, value: Any = None, /) -> None:
        """Not for counters, as `collections.Counter` has it."""

    def __getitem__(self, key: _K, /) -> int: ...
    def __setitem__(self, key: _K, value: int, /) -> None: ...
    def __delitem__(self, key: _K, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_K]: ...
    def __reversed__(self) -> Iterator[_K]: ...
    @overload
    def get(self, key: _K, default: None = None, /) -> int | None:
        """The value of a key, or `default` if there is no such key."""

    @overload
    def get(self, key: _K, default: int, /) -> int: ...
    @overload
    def get(self, key: _K, default: _T, /) -> int | _T: ...
    def setdefault(self, key: _K, default: int = ..., /) -> int:
        """The value of a key. A key that is not there is set to `default`."""

    @overload
    def pop(self, key: _K, /) -> int:
        """Takes a key out and returns its value; `default` if there is no such key.

        Raises:
            KeyError: There is no such key, and no default.
        """

    @overload
    def pop(self, key: _K, default: int, /) -> int: ...
    @overload
    def pop(self, key: _K, default: _T, /) -> int | _T: ...
    def popitem(self) -> tuple[_K, int]:
        """Takes the last key out and returns it with its value.

        Raises:
            KeyError: There is none.
        """

    def keys(self) -> KeysView[_K]:
        """The keys, as they are whenever this is asked."""

    def values(self) -> ValuesView[int]:
        """The values, as they are whenever this is asked."""

    def items(self) -> ItemsView[_K, int]:
        """The items, as they are whenever this is asked."""

    def add(self, key: _K, amount: float = ..., /) -> int:
        """Adds to the number of a key in one step. A key that is not there gets `amount`.

        Args:
            key: Which number.
            amount: What to add; 1 by default.

        Returns:
            The sum.

        Raises:
            TypeError: The value, or `amount`, is no int and no float.
        """

    def compare_exchange(self, key: _K, old: int, new: int, /) -> bool:
        """Replaces the value of a key if it is `old`: the same value of the same type.

        Args:
            key: Which value.
            old: What it has to be.
            new: What it becomes.

        Returns:
            Whether it was.

        Raises:
            KeyError: There is no such key.
        """

    @overload  # type: ignore[override]
    def update(self, source: Mapping[_K, float] | Iterable[_K] = ..., /) -> None:
        """Counts what an iterable yields, or adds the counts of a mapping.

        Args:
            source: An iterable of what to count, or a mapping of counts.
            counts: More counts, as keywords.
        """

    @overload
    def update(self: Counter[str], source: Mapping[str, float] | Iterable[str] = ..., /, **counts: float) -> None: ...
    @overload
    def subtract(self, source: Mapping[_K, float] | Iterable[_K] = ..., /) -> None:
        """The same, with each count subtracted.

        Args:
            source: An iterable of what to count, or a mapping of counts.
            counts: More counts, as keywords.
        """

    @overload
    def subtract(self: Counter[str], source: Mapping[str, float] | Iterable[str] = ..., /, **counts: float) -> None: ...
    def update_with(self, key: _K, function: Callable[[int], int], /) -> int:
        """Replaces a count by what a function makes of it, in one step.

        The function runs without the lock, and again if the count has changed meanwhile; after eight times in vain it
        runs under the lock. So it may run more than once.

        Args:
            key: Which count.
            function: Is given the count, and returns the new one.

        Returns:
            The new count.
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

    def clear(self) -> None:
        """Takes everything out. Its memory goes back to the store."""

    @property
    def lock(self) -> Lock:
        """The writers' lock, for `with`: others wait before they change the container, and readers go on."""

    def verify(self) -> None:
        """Checks every invariant of the container's memory.

        Raises:
            OnecopyError: One is broken; the text says which and where.
        """

    def __len__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
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

@final
class Set(MutableSet[_K], Generic[_K]):
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
        MemoryError: There is no memory; the set is as it was.
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

    def __new__(cls, iterable: Iterable[_K] = ..., /) -> Self: ...
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

    def clear(self) -> None:
        """Takes everything out. Its memory goes back to the store."""

    @property
    def lock(self) -> Lock:
        """The writers' lock, for `with`: others wait before they change the container, and readers go on."""

    def verify(self) -> None:
        """Checks every invariant of the container's memory.

        Raises:
            OnecopyError: One is broken; the text says which and where.
        """

    def __len__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
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

def _attach_dict(token: bytes) -> Dict[Any, Any]: ...
def _attach_set(token: bytes) -> Set[Any]: ...
def _attach_counter(token: bytes) -> Counter[Any]: ...
