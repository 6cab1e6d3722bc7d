"""What views have that is written in Python: the columns of what is no table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from onecopy import _onecopy

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    """The names of the fields of an instance or namedtuple, or of a view of one."""
    kind = type(row)
    if isinstance(row, _onecopy.RecordView):
        return _onecopy._record_dict(row)  # noqa: SLF001 - our own module
    if kind is _onecopy.NamedTupleView:
        return dir(row)
    fields = getattr(kind, "__dataclass_fields__", getattr(kind, "_fields", None))
    if fields is None:
        raise TypeError(f"element {index} is no row with fields: found {kind.__qualname__}")
    return fields
