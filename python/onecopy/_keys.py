"""Keys of dicts, sets and counters that are no plain values: what they are written as, and how they are made again."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ENUM: Final = ord("e")
FLAG: Final = ord("g")
UUID: Final = ord("u")
DATE: Final = ord("d")
NAIVE: Final = ord("n")
AWARE: Final = ord("a")

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def parts(key: Any) -> tuple[int, tuple[Any, ...]]:
    """A tag and plain values, the same for equal keys.

    Raises:
        TypeError: There are none for a key of this class.
    """
    kind: Any = type(key)
    if kind is dt.date:
        return DATE, (key.toordinal(),)
    if kind is dt.datetime:
        return _parts_of_datetime(key)
    # Who has a UUID or an Enum has loaded their modules.
    uuid = sys.modules.get("uuid")
    if uuid is not None and kind is uuid.UUID:
        return UUID, (key.bytes,)
    enum = sys.modules.get("enum")
    if enum is not None and isinstance(key, enum.Enum) and kind.__eq__ is object.__eq__:
        return _parts_of_member(key, kind, is_flag=isinstance(key, enum.Flag))
    # What no dict takes is refused as dicts do it.
    hash(key)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    raise TypeError(
        f"{name} cannot be a key: other processes have to find it by its bytes, but equal objects may have different "
        "pickles, and hash() differs between spawned processes. Use a str, an int, or a tuple of what makes keys equal"
    )


def _parts_of_datetime(key: dt.datetime) -> tuple[int, tuple[Any, ...]]:
    offset = key.utcoffset()
    if offset is None:
        return NAIVE, (*key.timetuple()[:6], key.microsecond)
    if key.replace(fold=1 - key.fold).utcoffset() != offset:
        raise TypeError(
            f"{key!r} cannot be a key: its clock shows this time twice or never, and Python calls it equal to no time "
            "of another zone. Use key.astimezone(datetime.timezone.utc)"
        )
    since = key - _EPOCH
    try:
        _ = _EPOCH + since
    except OverflowError:
        raise TypeError(f"{key!r} cannot be a key: in UTC it is outside the years 1 to 9999") from None
    return AWARE, (since.days, since.seconds, since.microseconds)


def _parts_of_member(key: Any, kind: Any, *, is_flag: bool) -> tuple[int, tuple[Any, ...]]:
    # In spawned processes the main module has another name.
    module = "__main__" if kind.__module__ == "__mp_main__" else kind.__module__
    if "<locals>" in kind.__qualname__:
        raise TypeError(f"{key!r} cannot be a key: other processes cannot find a class that was made in a function")
    if is_flag:
        return FLAG, (module, kind.__qualname__, key.value)
    return ENUM, (module, kind.__qualname__, key.name)


def object_of(tag: int, written: tuple[Any, ...]) -> Any:
    """The key that `parts` gave these for."""
    return _MAKERS[tag](*written)


def _aware(days: int, seconds: int, microseconds: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(days, seconds, microseconds)


def _uuid(content: bytes) -> Any:
    import uuid

    return uuid.UUID(bytes=content)


def _class(module: str, name: str) -> Any:
    import importlib

    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _member(module: str, name: str, member: str) -> Any:
    return _class(module, name)[member]


def _flag(module: str, name: str, value: int) -> Any:
    return _class(module, name)(value)


_MAKERS: Final[dict[int, Callable[..., Any]]] = {
    ENUM: _member,
    FLAG: _flag,
    UUID: _uuid,
    DATE: dt.date.fromordinal,
    NAIVE: dt.datetime,
    AWARE: _aware,
}
