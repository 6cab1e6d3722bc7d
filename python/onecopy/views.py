"""The views: what `share()`, `open()` and reading parts of them return."""

from onecopy._onecopy import (
    DictView,
    FrozenSetView,
    ListView,
    NamedTupleView,
    ObjectView,
    RecordView,
    RowView,
    SetView,
    TableView,
    TupleView,
    TypedView,
)

# Type checkers, which know the name, read the stub.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from onecopy._array import SharedArray
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
    "ChainMapView",
    "CounterView",
    "DefaultDictView",
    "DequeView",
    "DictView",
    "FrozenSetView",
    "ListView",
    "NamedTupleView",
    "ObjectView",
    "OrderedDictView",
    "RecordView",
    "RowView",
    "SetView",
    "SharedArray",
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
    """Loads what not every program needs: the array's class with numpy, the views of the types of `collections`."""
    if name == "SharedArray":
        from onecopy._array import SharedArray

        return SharedArray
    if name in __all__:
        from onecopy import _typed_views

        return getattr(_typed_views, name)
    raise AttributeError(f"module 'onecopy.views' has no attribute {name!r}")
