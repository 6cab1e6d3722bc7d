"""`share()` and its inverses: which road each kind of object takes."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, overload

from onecopy import _content, _importing, _onecopy, _progress
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
    Unsupported,
)

if TYPE_CHECKING:
    import array
    import collections
    import mmap
    from enum import Enum
    from typing import ClassVar, Protocol

    import numpy as np

    from onecopy._progress import Progress
    from onecopy.containers import Counter, Dict, List, Set
    from onecopy.views import (
        ChainMapView,
        CounterView,
        DefaultDictView,
        DequeView,
        ObjectArray,
        OrderedDictView,
        SharedArray,
        UserDictView,
        UserListView,
    )

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
    # Which of the two a list becomes, only the data tell.
    Rows: TypeAlias = TableView["RowView[str, V]"] | ListView["DictView[str, V]"]
    Items: TypeAlias = ListView["T"] | TableView["T"]
    Shape = TypeVar("Shape", bound="tuple[int, ...]")
    # Arrays of objects are pickled.
    DType = TypeVar("DType", bound="np.dtype[np.number[Any] | np.flexible | np.bool | np.datetime64]")

    class NamedTuple(Protocol):
        """An instance of some class made by `namedtuple`."""

        @property
        def _fields(self) -> tuple[str, ...]: ...
        def _asdict(self) -> dict[str, Any]: ...

    class Dataclass(Protocol):
        """An instance of some dataclass."""

        __dataclass_fields__: ClassVar[dict[str, Any]]

    # Their views are instances as well; none of a namedtuple is a tuple, but it says so.
    Instance = TypeVar("Instance", bound="Dataclass | NamedTuple | types.SimpleNamespace")
    # Pickled, so that they keep their class, though they are kinds of what is not.
    Whole = TypeVar(
        "Whole",
        bound="Enum | range",
    )

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
Item = TypeVar("Item", int, float, str)
Number = TypeVar("Number", bound="complex | np.number[Any] | np.bool")
Plain = TypeVar("Plain", bound="int | float | complex | np.generic | None")
Atom = TypeVar("Atom", bound="str | int | float | complex | bytes | np.generic | None")
View = TypeVar(
    "View",
    bound="ListView[Any] | TupleView[Any] | TableView[Any] | DictView[Any, Any] | RowView[Any, Any] | SetView[Any] "
    "| FrozenSetView[Any] | RecordView | NamedTupleView | ObjectView[Any] | SharedArray[Any, Any] | TypedView "
    "| BytesView | ArrayView[Any] | StrView",
)
Huge: TypeAlias = Literal["auto"] | bool

VIEWS: Final = (
    ListView,
    TupleView,
    DictView,
    SetView,
    FrozenSetView,
    TableView,
    RowView,
    RecordView,
    NamedTupleView,
    ObjectView,
    CallableView,
    TypedView,
    BytesView,
    ArrayView,
    StrView,
)
# Named in a pickle and not contained in it: sharing one would share nothing.
_CODE: Final = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
# They cannot change and are small: they travel through a pipe as fast as a token would.
_ATOMS: Final = (int, float, complex, type(None))


@overload
def share(data: View, *, huge: Huge = "auto", progress: Progress = False, strict: bool = False) -> View: ...
@overload
def share(data: Instance, *, huge: Huge = "auto", progress: Progress = False, strict: bool = False) -> Instance: ...
@overload
def share(
    data: Whole, *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> ObjectView[Whole]: ...
@overload
def share(  # type: ignore[overload-overlap]  # kinds of dict, with views of their own
    data: collections.Counter[K], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> CounterView[K]: ...
@overload
def share(  # type: ignore[overload-overlap]  # kinds of dict, with views of their own
    data: collections.OrderedDict[K, V], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> OrderedDictView[K, V]: ...
@overload
def share(  # type: ignore[overload-overlap]  # kinds of dict, with views of their own
    data: collections.defaultdict[K, V], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> DefaultDictView[K, V]: ...
@overload
def share(
    data: collections.deque[T], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> DequeView[T]: ...
@overload
def share(
    data: collections.UserDict[K, V], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> UserDictView[K, V]: ...
@overload
def share(
    data: collections.UserList[T], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> UserListView[T]: ...
@overload
def share(
    data: collections.ChainMap[K, V], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> ChainMapView[K, V]: ...
@overload
def share(data: Plain, *, huge: Huge = "auto", progress: Progress = False, strict: bool = False) -> Plain: ...
@overload
def share(data: str, *, huge: Huge = "auto", progress: Progress = False, strict: bool = False) -> StrView: ...
@overload
def share(
    data: bytes | bytearray | mmap.mmap | memoryview[int],
    *,
    huge: Huge = "auto",
    progress: Progress = False,
    strict: bool = False,
) -> BytesView: ...
@overload
def share(
    data: array.array[Item], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> ArrayView[Item]: ...
@overload
def share(
    data: np.ndarray[Shape, DType], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> SharedArray[Shape, DType]: ...
@overload
def share(
    data: np.ndarray[Shape, np.dtype[np.object_]],
    *,
    huge: Huge = "auto",
    progress: Progress = False,
    strict: bool = False,
) -> ObjectView[ObjectArray | np.ndarray[Shape, np.dtype[np.object_]]]: ...
@overload
def share(
    data: list[Atom], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> ListView[Atom]: ...
@overload
def share(  # type: ignore[overload-overlap]  # only str keys make a table
    data: list[dict[str, V]], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> Rows[V]: ...
@overload
def share(
    data: list[dict[K, V]], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> ListView[DictView[K, V]]: ...
@overload
def share(
    data: list[list[Atom]], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> ListView[ListView[Atom]]: ...
@overload
def share(
    data: list[list[V]], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> ListView[Items[V]]: ...
@overload
def share(
    data: list[set[V]], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> ListView[SetView[V]]: ...
@overload
def share(data: list[T], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False) -> Items[T]: ...
@overload
def share(
    data: tuple[Atom, ...], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> TupleView[Atom]: ...
@overload
def share(
    data: tuple[T, ...], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> TupleView[T] | TableView[T]: ...
@overload
def share(
    data: dict[K, Atom], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> DictView[K, Atom]: ...
@overload
def share(
    data: dict[K, list[Atom]], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> DictView[K, ListView[Atom]]: ...
@overload
def share(
    data: dict[K, list[V]], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> DictView[K, Items[V]]: ...
@overload
def share(
    data: dict[K, dict[T, V]], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> DictView[K, DictView[T, V]]: ...
@overload
def share(
    data: dict[K, set[V]], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> DictView[K, SetView[V]]: ...
@overload
def share(
    data: dict[K, V], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> DictView[K, V]: ...
@overload
def share(data: set[T], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False) -> SetView[T]: ...
@overload
def share(
    data: frozenset[T], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> FrozenSetView[T]: ...
@overload
def share(
    data: List[Atom], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> ListView[Atom]: ...
@overload
def share(data: List[T], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False) -> Items[T]: ...
@overload
def share(
    data: Dict[K, V], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> DictView[K, V]: ...
@overload
def share(
    data: Counter[K], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False
) -> DictView[K, int]: ...
@overload
def share(data: Set[T], *, huge: Huge = "auto", progress: Progress = False, strict: bool = False) -> SetView[T]: ...
@overload
def share(data: object, *, huge: Huge = "auto", progress: Progress = False, strict: bool = False) -> Any: ...
def share(data: Any, *, huge: Huge = "auto", progress: Progress = False, strict: bool = False) -> Any:
    """Packs `data` into shared memory once and returns a read-only view of it.

    The view behaves like the original. It pickles to a token of less than 200 bytes: send it to any process of the
    same user, in whatever way, and it shows the same memory there. The memory is freed when the last process has
    dropped its last view and no token is on its way.

    Args:
        data: Lists, tuples, dicts, sets and frozensets of anything, to any depth; their subclasses and the types of
            `collections`; arrays of any dtype without objects; a str, bytes, bytearray, memoryview, mmap or
            array.array; instances of classes by their attributes (dataclasses, attrs, pydantic models, plain classes),
            namedtuples; whatever can be pickled. What is met twice is stored once, and cycles are fine. A list or tuple
            whose elements are dicts with str keys, or instances of one class or namedtuple, becomes a table of columns.
            An array made by `empty()`, `zeros()`, `ones()` or `full()` is not copied but becomes read-only itself. A
            container that workers write to (`onecopy.List` and the like) is shared as what it holds at that moment: a
            list, dict, set or array. An int, float, complex or None is returned as it is, and so is a view.
        huge: Whether to use pages of 2 MiB: where it pays, always, or never. Best effort.
        progress: True shows a bar on stderr if the build takes long; a callable is called now and then with the phase
            (`"measuring"`, `"writing"`), the steps done, and the steps in all (0 while nobody knows).
        strict: Whether to refuse what would only be warned about.

    Returns:
        A `ListView`, `TupleView`, `DictView`, `SetView`, `FrozenSetView`, `TableView`, `SharedArray`, `StrView`,
        `BytesView` or `ArrayView`; for an instance a `RecordView`, which is one of its class as well, or a
        `NamedTupleView`; for subclasses of the builtins, and for the types of `collections`, a view that remembers the
        class, as `CounterView` does; for other objects an `ObjectView`, which does what the object does. All are in
        `onecopy.views`.

    Warns:
        RebuiltWarning: More than 1 MiB of it is pickled, and so rebuilt in every process that reads it; the text names
            the paths. `share_check()` lists all of it.

    Raises:
        Unsupported: (a `TypeError`) Something cannot be pickled; the text names the path to it. Or `strict` is
            true, and more than 1 MiB would be rebuilt.
        MemoryError: There is not enough memory. `requested` and `available` tell how much, in bytes. Nothing is left
            behind.
        RuntimeError: The data changed meanwhile.

    Example:
        >>> import onecopy
        >>> view = onecopy.share({"labels": ["cat", "dog"], "boxes": [{"id": 1, "xywh": [0.5, 1.0, 2.0, 3.0]}]})
        >>> view["labels"][1], view["boxes"][0]["xywh"][3]
        ('dog', 3.0)
        >>> view["labels"] == ["cat", "dog"]
        True
    """
    _check_huge(huge)
    if isinstance(data, VIEWS) or type(data) in _ATOMS:
        return data
    _importing.check()
    if _is_numpy(data, "ndarray"):
        from onecopy import _array

        shared = _array.share_array(data, huge)
        if shared is not None:
            return shared
    elif _is_numpy(data, "generic") and not _is_numpy(data, "void"):
        return data
    elif _content.way(data):
        return share(_content.plain(data), huge=huge, progress=progress, strict=strict)
    elif isinstance(data, _CODE):
        raise Unsupported(f"data: cannot share {_describe(data)}")
    with _progress.reporter(progress) as report:
        return _onecopy.share_graph(data, huge, report, _judge_strictly if strict else _judge)


def _judge(found: list[tuple[str, type, int, int]], strict: bool = False) -> None:
    """Is called with all that every process would rebuild, before anything is written."""
    # Not at once: most of what is shared is not pickled, and workers would pay for the import.
    from onecopy import _report

    _report.judge(found, strict)


def _judge_strictly(found: list[tuple[str, type, int, int]]) -> None:
    _judge(found, strict=True)


def _check_huge(huge: object) -> None:
    if not isinstance(huge, bool) and huge != "auto":
        error = ValueError if isinstance(huge, str) else TypeError
        raise error(f'huge must be "auto", True or False, not {huge!r}')


def _is_numpy(data: object, name: str) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(data, getattr(numpy, name))


def _describe(data: object) -> str:
    """Names a function or class that was given."""
    return f"{type(data).__qualname__} {getattr(data, '__qualname__', '')}".rstrip()


def _typename(data: object) -> str:
    return type(data).__qualname__


@overload
def to_python(view: ListView[DictView[K, V]]) -> list[dict[K, V]]: ...
@overload
def to_python(view: ListView[ListView[T]]) -> list[list[T]]: ...
@overload
def to_python(view: ListView[T]) -> list[T]: ...
@overload
def to_python(view: TableView[RowView[K, V]]) -> list[dict[K, V]] | tuple[dict[K, V], ...]: ...
@overload
def to_python(view: TableView[T]) -> list[T] | tuple[T, ...]: ...
@overload
def to_python(view: TupleView[T]) -> tuple[T, ...]: ...
@overload
def to_python(view: DictView[K, ListView[T]]) -> dict[K, list[T]]: ...
@overload
def to_python(view: DictView[K, DictView[T, V]]) -> dict[K, dict[T, V]]: ...
@overload
def to_python(view: DictView[K, V] | RowView[K, V]) -> dict[K, V]: ...
@overload
def to_python(view: CounterView[K]) -> collections.Counter[K]: ...
@overload
def to_python(view: OrderedDictView[K, V]) -> collections.OrderedDict[K, V]: ...
@overload
def to_python(view: DefaultDictView[K, V]) -> collections.defaultdict[K, V]: ...
@overload
def to_python(view: DequeView[T]) -> collections.deque[T]: ...
@overload
def to_python(view: UserDictView[K, V]) -> collections.UserDict[K, V]: ...
@overload
def to_python(view: UserListView[T]) -> collections.UserList[T]: ...
@overload
def to_python(view: ChainMapView[K, V]) -> collections.ChainMap[K, V]: ...
@overload
def to_python(view: SetView[T]) -> set[T]: ...
@overload
def to_python(view: FrozenSetView[T]) -> frozenset[T]: ...
@overload
def to_python(view: ObjectView[T]) -> T: ...
@overload
def to_python(view: StrView) -> str: ...
@overload
def to_python(view: BytesView) -> bytes | bytearray | mmap.mmap | memoryview[int]: ...
@overload
def to_python(view: ArrayView[Item]) -> array.array[Item]: ...
@overload
def to_python(view: SharedArray[Shape, DType]) -> np.ndarray[Shape, DType]: ...
@overload
def to_python(view: List[T]) -> list[T]: ...
@overload
def to_python(view: Counter[K]) -> collections.Counter[K]: ...
@overload
def to_python(view: Dict[K, V]) -> dict[K, V]: ...
@overload
def to_python(view: Set[T]) -> set[T]: ...
@overload
def to_python(view: T) -> T: ...
def to_python(view: Any) -> Any:
    """Returns the real thing behind a view or a container, in this process's own memory and free to be changed.

    Args:
        view: What `share()` returned, or any part of it; or a container, of which this is what it holds now.

    Returns:
        New objects of the original types, with the shared references and cycles of the original. Containers inside a
        container stay what they are. What is neither is returned as it is.

    Raises:
        RecursionError: Tuples are nested deeper than 100.

    Example:
        >>> import onecopy
        >>> real = onecopy.to_python(onecopy.share([1, 2, 3]))
        >>> real.append(4)
        >>> real
        [1, 2, 3, 4]
    """
    if type(view) in VIEWS:
        return _onecopy._real(view)  # noqa: SLF001 - our own module
    if _is_numpy(view, "ndarray"):
        from onecopy._array import StoredArray, real_array

        return real_array(view) if isinstance(view, StoredArray) else view
    if _content.way(view):
        return _content.real(view)
    return _onecopy._real(view)  # noqa: SLF001 - our own module; rows, too


@overload
def private(view: np.ndarray[Shape, DType]) -> np.ndarray[Shape, DType]: ...
@overload
def private(view: ListView[Number] | TupleView[Number]) -> np.ndarray[tuple[int], np.dtype[Any]]: ...
def private(view: Any) -> Any:
    """Returns a writable copy-on-write picture of a view, which nobody else sees.

    Nothing is copied at first. A page (4096 bytes) is copied when it is written to for the first time; all others
    stay shared. It pickles like any array: by its content.

    Args:
        view: A `SharedArray`, or a list or tuple view of numbers without None that fit one numeric column.

    Returns:
        For an array, a writable ndarray of the same dtype, shape and strides. For a list or tuple, a writable ndarray
        of one dimension, or, where numpy is not installed, a writable memoryview.

    Raises:
        TypeError: It is not a view, or its elements are not plain numbers.
        MemoryError: No address space is left for the mapping.

    Example:
        >>> import onecopy
        >>> view = onecopy.share([1, 2, 3])
        >>> mine = onecopy.private(view)
        >>> mine[0] = 100
        >>> int(mine[0]), view[0]
        (100, 1)
    """
    kind = type(view)
    if kind is ListView or kind is TupleView:
        return _private_sequence(view)
    if _is_numpy(view, "ndarray"):
        from onecopy._array import private_array

        return private_array(view)
    raise TypeError(f"view: expected a shared array or a list of numbers, found {_typename(view)}")


def _private_sequence(view: ListView[Any] | TupleView[Any]) -> Any:
    try:
        items = memoryview(view)
    except (BufferError, TypeError) as error:
        raise TypeError(
            f"view: its elements are no plain numbers, so they cannot be changed in place; "
            f"to_python(view) gives a real list ({error})"
        ) from error
    buffer: Any = _onecopy.private_items(view)
    # A slice with a step begins inside the column and jumps over elements of it.
    strides = items.strides or (items.itemsize,)
    try:
        import numpy as np
    except ModuleNotFoundError:
        if strides != (items.itemsize,):
            raise TypeError("view: a slice with a step needs numpy; use private(view.copy()) or to_python()") from None
        letter: Any = items.format
        return memoryview(buffer).cast(letter)
    offset = 0 if strides[0] >= 0 else buffer.nbytes - items.itemsize
    return np.ndarray(len(view), np.dtype(items.format), buffer, offset, strides)
