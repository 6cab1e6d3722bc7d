"""What views have that is written in Python: keys, values and items, and the columns of what is no table."""

from __future__ import annotations

from collections.abc import ItemsView, KeysView, Mapping, ValuesView
from typing import TYPE_CHECKING, Any

from onecopy import _onecopy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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


def column(rows: Sequence[Any], name: str) -> list[Any]:
    """Returns the cells of a field of rows that are no table; None where a row lacks it."""
    is_there = not len(rows)
    cells: list[Any] = []
    for index, row in enumerate(rows):
        has = name in (row if isinstance(row, Mapping) else _fields(index, row))
        is_there = is_there or has
        if not has:
            cells.append(None)
        else:
            cells.append(row[name] if isinstance(row, Mapping) else getattr(row, name))
    if not is_there:
        raise KeyError(name)
    return cells


def _fields(index: int, row: Any) -> Any:
    """The names of the fields of an instance of a dataclass or namedtuple, or of a view of one."""
    kind = type(row)
    if kind in {_onecopy.RecordView, _onecopy.NamedTupleView}:
        return dir(row)
    fields = getattr(kind, "__dataclass_fields__", getattr(kind, "_fields", None))
    if fields is None:
        raise TypeError(f"element {index} is no row with fields: found {kind.__qualname__}")
    return fields
