"""What several containers have: bases that exist for type checkers alone, as at run time containers have none."""

from collections.abc import ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from types import GenericAlias
from typing import Any, ClassVar, SupportsIndex, TypeVar, overload

from onecopy.containers import WriterLock

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")

class _Container:
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    @property
    def lock(self) -> WriterLock:
        """The writers' lock, for `with`: others wait before they change the container, and readers go on."""

    def verify(self) -> None:
        """Checks every invariant of the container's memory.

        Raises:
            onecopy.OnecopyError: One is broken; the text says which and where.
        """

class _Collection(_Container):
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def clear(self) -> None:
        """Takes everything out. Its memory goes back to the store."""

class _Mapping(_Collection, MutableMapping[_K, _V]):
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
    @overload
    def setdefault(self: _Mapping[_K, _T | None], key: _K, default: None = None, /) -> _T | None:
        """The value of a key. A key that is not there is set to `default`."""

    @overload
    def setdefault(self, key: _K, default: _V, /) -> _V: ...
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

    @overload
    def add(self: _Mapping[_K, int], key: _K, amount: SupportsIndex | None = None, /) -> int:
        """Adds to the number of a key in one step. A key that is not there gets `amount`.

        Args:
            key: Which number.
            amount: What to add, 1 by default: an int, a float, or anything with `__index__`.

        Returns:
            The sum.

        Raises:
            TypeError: The value, or `amount`, is no number.
        """

    @overload
    def add(self: _Mapping[_K, float], key: _K, amount: float | SupportsIndex | None = None, /) -> float: ...
    @overload
    def add(self: _Mapping[_K, int], key: _K, amount: float, /) -> float: ...
    @overload
    def add(self: _Mapping[_K, Any], key: _K, amount: float | SupportsIndex | None = None, /) -> Any: ...
    def compare_exchange(self, key: _K, old: object, new: _V, /) -> bool:
        """Replaces the value of a key if it is `old`: an equal value of the same type.

        `==` of pickled values runs without the lock. A container or view is the same only as itself.

        Args:
            key: Which value.
            old: What it has to be.
            new: What it becomes.

        Returns:
            Whether it was.

        Raises:
            KeyError: There is no such key.
        """
