"""What containers ask Python for: pickles of their values, and the order of a sort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy import _pickle

if TYPE_CHECKING:
    from collections.abc import Callable


def dumps(value: Any) -> bytes:
    """Pickles a value with its buffers inside.

    Raises:
        TypeError: The value, or something inside it, cannot be pickled.
    """
    pickled, buffers = _pickle.dumps(value)
    if buffers:
        import io

        out = io.BytesIO()
        _pickle.Pickler(out, 5).dump(value)
        return out.getvalue()
    return pickled


def sorted_places(items: list[Any], key: Callable[[Any], Any] | None, reverse: bool) -> list[int]:
    """The places of the elements in the order in which `list.sort` would put them."""
    keys = items if key is None else [key(item) for item in items]
    return sorted(range(len(items)), key=keys.__getitem__, reverse=reverse)
