"""One copy of your data for all your worker processes, with proof.

`share(data)` packs nested lists, dicts, arrays and objects into shared memory once; every process gets a read-only view
that behaves like the original, whatever the start method. `memory()` says how many copies of the data physically exist.

    >>> import onecopy
    >>> view = onecopy.share([1, 2, 3])
    >>> view[1]
    2
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy._file import from_buffer, image_of, open, save  # noqa: A004 - `onecopy.open`, as in `gzip.open`
from onecopy._freeze import FreezeReport, freeze, freeze_check, freeze_supported
from onecopy._meter import Watch, assert_shared, tag, watch
from onecopy._objects import write_objects
from onecopy._onecopy import (
    AttachDenied,
    AttachError,
    Collected,
    CorruptImage,
    DictView,
    FreezeRefused,
    FreezeUnsupported,
    FrozenSetView,
    Gone,
    ListView,
    NamedTupleView,
    ObjectView,
    OnecopyError,
    ProcessMemory,
    RecordView,
    Report,
    RowView,
    SetView,
    SkippedProcess,
    Stats,
    StoreMemory,
    TableView,
    TupleView,
    Unsupported,
    __version__,
    collect,
    is_frozen,
    memory,
    stats,
)
from onecopy._share import empty, full, ones, private, share, to_python, zeros
from onecopy._side import mark

if TYPE_CHECKING:
    from onecopy._array import SharedArray as SharedArray

__all__ = [
    "AttachDenied",
    "AttachError",
    "Collected",
    "CorruptImage",
    "DictView",
    "FreezeRefused",
    "FreezeReport",
    "FreezeUnsupported",
    "FrozenSetView",
    "Gone",
    "ListView",
    "NamedTupleView",
    "ObjectView",
    "OnecopyError",
    "ProcessMemory",
    "RecordView",
    "Report",
    "RowView",
    "SetView",
    "SkippedProcess",
    "Stats",
    "StoreMemory",
    "TableView",
    "TupleView",
    "Unsupported",
    "Watch",
    "__version__",
    "assert_shared",
    "collect",
    "empty",
    "freeze",
    "freeze_check",
    "freeze_supported",
    "from_buffer",
    "full",
    "image_of",
    "is_frozen",
    "mark",
    "memory",
    "ones",
    "open",
    "private",
    "save",
    "share",
    "stats",
    "tag",
    "to_python",
    "watch",
    "write_objects",
    "zeros",
]


def __dir__() -> list[str]:
    """What is public, and no names that were only needed to say so."""
    return sorted({*__all__, "SharedArray", *(name for name in globals() if name.startswith("__"))})


def __getattr__(name: str) -> Any:
    """Imports what needs numpy when it is asked for."""
    if name == "SharedArray":
        from onecopy._array import SharedArray

        return SharedArray
    raise AttributeError(f"module 'onecopy' has no attribute {name!r}")
