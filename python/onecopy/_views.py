"""The keys, values and items of dict views and rows."""

from __future__ import annotations

from collections.abc import ItemsView, KeysView, ValuesView
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Keys(KeysView[Any]):
    """The keys of a view: set-like, in order."""

    __slots__ = ()
    _mapping: Any

    def __iter__(self) -> Iterator[Any]:
        """Yields the keys in order."""
        yield from self._mapping._keys()  # noqa: SLF001 - of this package's own classes

    def __reversed__(self) -> Iterator[Any]:
        """Yields the keys from the last to the first."""
        yield from reversed(self._mapping._keys())  # noqa: SLF001

    def __repr__(self) -> str:
        """Returns what the builtin's would be."""
        return f"dict_keys({list(self)!r})"


class Values(ValuesView[Any]):
    """The values of a view, in order."""

    __slots__ = ()
    _mapping: Any

    def __iter__(self) -> Iterator[Any]:
        """Yields the values in order."""
        yield from self._mapping._values()  # noqa: SLF001

    def __reversed__(self) -> Iterator[Any]:
        """Yields the values from the last to the first."""
        yield from reversed(self._mapping._values())  # noqa: SLF001

    def __contains__(self, value: object) -> bool:
        """Tells whether some value equals this one."""
        return any(found is value or found == value for found in self)

    def __repr__(self) -> str:
        """Returns what the builtin's would be."""
        return f"dict_values({list(self)!r})"


class Items(ItemsView[Any, Any]):
    """The pairs of key and value of a view: set-like, in order."""

    __slots__ = ()
    _mapping: Any

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Yields the pairs in order."""
        return zip(self._mapping._keys(), self._mapping._values(), strict=True)  # noqa: SLF001

    def __reversed__(self) -> Iterator[tuple[Any, Any]]:
        """Yields the pairs from the last to the first."""
        keys = reversed(self._mapping._keys())  # noqa: SLF001
        return zip(keys, reversed(self._mapping._values()), strict=True)  # noqa: SLF001

    def __repr__(self) -> str:
        """Returns what the builtin's would be."""
        return f"dict_items({list(self)!r})"
