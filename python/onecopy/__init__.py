"""One copy of your data for all your worker processes, with proof.

`share(data)` packs nested lists, dicts, arrays and objects into shared memory once; every process gets a read-only view
that behaves like the original, whatever the start method. `memory()` says how many copies of the data physically exist.

    >>> import onecopy
    >>> view = onecopy.share([1, 2, 3])
    >>> view[1]
    2
"""

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

# Type checkers know the name. `typing`, from which it usually comes, would cost each worker milliseconds.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from onecopy._array import SharedArray as SharedArray
    from onecopy._file import from_buffer, image_of, open, save  # noqa: A004 - `onecopy.open`, as in `gzip.open`
    from onecopy._freeze import FreezeReport, freeze, freeze_check, freeze_supported
    from onecopy._meter import Watch, assert_shared, tag, watch
    from onecopy._objects import write_objects
    from onecopy._share import empty, full, ones, private, share, to_python, zeros
    from onecopy._side import mark

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

_HOMES = {
    "_array": "SharedArray",
    "_file": "from_buffer image_of open save",
    "_freeze": "FreezeReport freeze freeze_check freeze_supported",
    "_meter": "Watch assert_shared tag watch",
    "_objects": "write_objects",
    "_share": "empty full ones private share to_python zeros",
    "_side": "mark",
}
"""The modules that are loaded when one of their names is first asked for."""


def __dir__() -> list[str]:
    """What is public, and no names that were only needed to say so."""
    return sorted({*__all__, "SharedArray", *(name for name in globals() if name.startswith("__"))})


def __getattr__(name: str) -> "Any":
    """Loads the module that a name comes from: whatever is loaded at once, every spawned worker pays for."""
    for home, names in _HOMES.items():
        if name in names.split():
            found = getattr(__import__(f"onecopy.{home}", fromlist=[name]), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module 'onecopy' has no attribute {name!r}")
