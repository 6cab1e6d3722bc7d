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
    TypedView,
)

# Type checkers, which know the name, read the stub.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from onecopy._array import SharedArray
    from onecopy._object_array import ObjectArray
    from onecopy._typed_views import (
        ChainMapView,
        CounterView,
        DefaultDictView,
        DequeView,
        OrderedDictView,
        UserDictView,
        UserListView,
    )

__all__ = [
    "ArrayView",
    "BytesView",
    "CallableView",
    "ChainMapView",
    "CounterView",
    "DefaultDictView",
    "DequeView",
    "DictView",
    "FrozenSetView",
    "ListView",
    "NamedTupleView",
    "ObjectArray",
    "ObjectView",
    "OrderedDictView",
    "RecordView",
    "RowView",
    "SetView",
    "SharedArray",
    "StrView",
    "TableView",
    "TupleView",
    "TypedView",
    "UserDictView",
    "UserListView",
]


def __dir__() -> list[str]:
    """What is public, also what is loaded when it is asked for."""
    return __all__


def __getattr__(name: str) -> object:
    """Loads what not every program needs: the arrays' classes with numpy, the views of the types of `collections`."""
    if name == "SharedArray":
        from onecopy._array import SharedArray

        return SharedArray
    if name == "ObjectArray":
        from onecopy._object_array import ObjectArray

        return ObjectArray
    if name in __all__:
        from onecopy import _typed_views

        return getattr(_typed_views, name)
    raise AttributeError(f"module 'onecopy.views' has no attribute {name!r}")
