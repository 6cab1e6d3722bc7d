"""The views: what `share()`, `open()` and reading parts of them return."""

from onecopy._onecopy import (
    ArrayView,
    BytesView,
    CallableView,
    DictView,
    FrozenSetView,
    ListView,
    NamedTupleView,
    ObjectView,
    RecordView,
    RowView,
    SetView,
    StrView,
    TableView,
    TupleView,
)

# Type checkers, which know the name, read the stub.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from onecopy._array import SharedArray
    from onecopy._object_array import ObjectArray

__all__ = [
    "ArrayView",
    "BytesView",
    "CallableView",
    "DictView",
    "FrozenSetView",
    "ListView",
    "NamedTupleView",
    "ObjectArray",
    "ObjectView",
    "RecordView",
    "RowView",
    "SetView",
    "SharedArray",
    "StrView",
    "TableView",
    "TupleView",
]


def __dir__() -> list[str]:
    """What is public, the arrays' classes included, which are loaded when they are asked for."""
    return __all__


def __getattr__(name: str) -> object:
    """Loads numpy with an array's class, for those who ask for it."""
    if name == "SharedArray":
        from onecopy._array import SharedArray

        return SharedArray
    if name == "ObjectArray":
        from onecopy._object_array import ObjectArray

        return ObjectArray
    raise AttributeError(f"module 'onecopy.views' has no attribute {name!r}")
