"""One copy of your data for all your worker processes, with proof.

`share(data)` packs nested lists, dicts, arrays and objects into shared memory once; every process gets a read-only view
that behaves like the original, whatever the start method. `memory()` says how many copies of the data physically exist.

What is called is here. Classes to name in annotations and `except` are in `onecopy.views`, `onecopy.containers`,
`onecopy.errors`, `onecopy.meter` and `onecopy.store`.

    >>> import onecopy
    >>> view = onecopy.share([1, 2, 3])
    >>> view[1]
    2
"""

from onecopy._onecopy import (
    AttachError,
    Barrier,
    BoundedSemaphore,
    Condition,
    CorruptImage,
    Counter,
    Dict,
    Event,
    Gone,
    LifoQueue,
    List,
    Lock,
    OnecopyError,
    Queue,
    RLock,
    Semaphore,
    Set,
    Unsupported,
    Value,
    __version__,
    is_frozen,
)

# Type checkers know the name. `typing`, from which it usually comes, would cost each worker milliseconds.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from onecopy import containers, errors, managers, meter, multiprocessing, store, sync, views
    from onecopy._asserting import assert_shared, tag
    from onecopy._born import empty, full, ones, zeros
    from onecopy._file import from_buffer, image_of, open, save  # noqa: A004 - `onecopy.open`, as in `gzip.open`
    from onecopy._freeze import FreezeReport, freeze, freeze_check
    from onecopy._freeze_support import freeze_supported
    from onecopy._namespace import Namespace
    from onecopy._objects import write_objects
    from onecopy._report import ShareReport, share_check
    from onecopy._share import private, share, to_python
    from onecopy._side import mark
    from onecopy._writable import Array
    from onecopy.managers import Manager
    from onecopy.meter import memory, watch
    from onecopy.store import collect, stats
    from onecopy.sync import JoinableQueue, SimpleQueue

__all__ = [
    "Array",
    "AttachError",
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "CorruptImage",
    "Counter",
    "Dict",
    "Event",
    "FreezeReport",
    "Gone",
    "JoinableQueue",
    "LifoQueue",
    "List",
    "Lock",
    "Manager",
    "Namespace",
    "OnecopyError",
    "Queue",
    "RLock",
    "Semaphore",
    "Set",
    "ShareReport",
    "SimpleQueue",
    "Unsupported",
    "Value",
    "__version__",
    "assert_shared",
    "collect",
    "containers",
    "empty",
    "errors",
    "freeze",
    "freeze_check",
    "freeze_supported",
    "from_buffer",
    "full",
    "image_of",
    "is_frozen",
    "managers",
    "mark",
    "memory",
    "meter",
    "multiprocessing",
    "ones",
    "open",
    "private",
    "save",
    "share",
    "share_check",
    "stats",
    "store",
    "sync",
    "tag",
    "to_python",
    "views",
    "watch",
    "write_objects",
    "zeros",
]

_MODULES = ("containers", "errors", "managers", "meter", "multiprocessing", "store", "sync", "views")
_HOMES = {
    "_asserting": "assert_shared tag",
    "_born": "empty full ones zeros",
    "_file": "from_buffer image_of open save",
    "_freeze": "FreezeReport freeze freeze_check",
    "_freeze_support": "freeze_supported",
    "_namespace": "Namespace",
    "_objects": "write_objects",
    "_report": "ShareReport share_check",
    "_share": "private share to_python",
    "_side": "mark",
    "_writable": "Array",
    "managers": "Manager",
    "meter": "memory watch",
    "store": "collect stats",
    "sync": "JoinableQueue SimpleQueue",
}
"""The modules that are loaded when one of their names is first asked for."""


def __dir__() -> list[str]:
    """What is public, and no names that were only needed to say so."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


# Type checkers know the names from above, and would take a function of this name for leave to use any.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Loads the module that a name comes from: whatever is loaded at once, every spawned worker pays for."""
        if name in _MODULES:
            return __import__(f"onecopy.{name}", fromlist=[name])
        for home, names in _HOMES.items():
            if name in names.split():
                found: object = getattr(__import__(f"onecopy.{home}", fromlist=[name]), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module 'onecopy' has no attribute {name!r}")
