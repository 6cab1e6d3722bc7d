"""The native part of onecopy; import `onecopy` instead."""

import sys
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from os import PathLike
from types import GenericAlias
from typing import (
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    Never,
    Self,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    final,
    overload,
)

import numpy as np
from typing_extensions import Buffer

_T_co = TypeVar("_T_co", covariant=True)
_K = TypeVar("_K")
_T = TypeVar("_T")
_Huge: TypeAlias = Literal["auto"] | bool
_Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
# NumPy declares its arrays as buffers from Python 3.12 on.
_Memory: TypeAlias = Buffer | _Array

__all__ = [
    "AttachError",
    "BuildBuffer",
    "Collected",
    "CorruptImage",
    "DictView",
    "FreezeRefused",
    "FreezeUnsupported",
    "FrozenSetView",
    "Gone",
    "Image",
    "ImageBuffer",
    "ListView",
    "NamedTupleView",
    "ObjectView",
    "OnecopyError",
    "PrivateBuffer",
    "ProcessMemory",
    "RecordView",
    "Report",
    "RowView",
    "Sampler",
    "SetView",
    "SkippedProcess",
    "Stats",
    "StoreMemory",
    "TableView",
    "TupleView",
    "Unsupported",
    "__version__",
    "_attach_node",
    "_attach_row",
    "_attach_table",
    "_attach_view",
    "_buffer_image",
    "_buffer_range",
    "_cli_main",
    "_file_image",
    "_freeze_header",
    "_freeze_is_main",
    "_freeze_look",
    "_freeze_rows",
    "_freeze_seal",
    "_freeze_trouble",
    "_freeze_walk",
    "_image",
    "_image_behind",
    "_measure_ranges",
    "_real",
    "_relatives",
    "array_allocate",
    "array_geometry",
    "collect",
    "image_of_view",
    "is_frozen",
    "memory",
    "open_buffer",
    "open_file",
    "private_items",
    "save_graph",
    "share_graph",
    "stats",
    "tree_apply",
    "tree_apply_csr",
]

__version__: Final[str]

class OnecopyError(Exception):
    """Base of the errors that only onecopy raises.

    Attributes carry the evidence, each where it applies: `store` (its id), `offset` (bytes from the start), `errno`.
    """

class AttachError(OnecopyError, OSError):
    """A token cannot be turned into a view: its store was not found or does not fit.

    Attributes:
        store: Id of the store.
        pid: The process that made the token.
        fd: That process's file descriptor of the store.
    """

class Gone(AttachError, LookupError):
    """Every process that held the shared object has dropped it, and its token had been used before."""

class CorruptImage(OnecopyError, ValueError):
    """Bytes that claim to be an image contradict themselves.

    Attributes:
        offset: Where, in bytes from the image's start.
    """

class Unsupported(OnecopyError, TypeError):
    """Objects of this kind cannot be shared; the text names the path to the object."""

class FreezeUnsupported(OnecopyError, RuntimeError):
    """`freeze()` does not work in this process; the text says why, and what works instead."""

class FreezeRefused(OnecopyError, TypeError):
    """An object cannot be frozen, and `freeze()` was told to be strict.

    Attributes:
        path: The way to the object, from `obj`.
    """

    path: str

@final
class ListView(Sequence[_T_co], Buffer, Generic[_T_co]):
    """A shared list: looks like a list, never changes, and is one copy in memory for all processes.

    Elements are made when they are read, so `view[0] is view[0]` need not hold, and a NaN in it equals nothing, not
    even when it was the very object that was shared.

    Example:
        >>> import onecopy
        >>> view = onecopy.share([3, 1, 2])
        >>> sorted(view), view[1:]
        ([1, 2, 3], ListView([1, 2]))
    """

    __hash__: None  # type: ignore[assignment]
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> _T_co: ...
    @overload
    def __getitem__(self, key: slice, /) -> Self: ...
    def __setitem__(self, key: Any, value: Any, /) -> Never: ...
    def __delitem__(self, key: Any, /) -> Never: ...
    def __iter__(self) -> Iterator[_T_co]: ...
    def __reversed__(self) -> Iterator[_T_co]: ...
    def __contains__(self, value: object, /) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Sequence[Any], /) -> bool: ...
    def __le__(self, other: Sequence[Any], /) -> bool: ...
    def __gt__(self, other: Sequence[Any], /) -> bool: ...
    def __ge__(self, other: Sequence[Any], /) -> bool: ...
    def __add__(self, other: Sequence[_T], /) -> list[_T_co | _T]: ...
    def __radd__(self, other: Sequence[_T], /) -> list[_T_co | _T]: ...
    def __mul__(self, count: SupportsIndex, /) -> list[_T_co]: ...
    def __rmul__(self, count: SupportsIndex, /) -> list[_T_co]: ...
    def __iadd__(self, other: Any, /) -> Never: ...  # type: ignore[misc]
    def __imul__(self, count: Any, /) -> Never: ...  # type: ignore[misc]
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> _Array: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...
        def __release_buffer__(self, buffer: memoryview, /) -> None: ...

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = ..., /) -> int:
        """Returns the index of the first element that equals `value`, between `start` and `stop`.

        Raises:
            ValueError: There is none.
        """

    def count(self, value: Any, /) -> int:
        """Returns how many elements equal `value`."""

    def copy(self) -> list[_T_co]:
        """Returns a real list of the elements."""

    def tolist(self) -> list[_T_co]:
        """Returns a real list of the elements."""

    def append(self, *_args: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def extend(self, *_args: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def insert(self, *_args: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def pop(self, *_args: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def remove(self, *_args: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def clear(self) -> Never:
        """Raises TypeError: a shared list never changes."""

    def reverse(self) -> Never:
        """Raises TypeError: a shared list never changes."""

    def sort(self, **_kwargs: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def _to_python(self) -> list[_T_co]: ...

@final
class TupleView(Sequence[_T_co], Buffer, Generic[_T_co]):
    """A shared tuple: looks like a tuple, hashes like one, and is one copy in memory for all processes.

    Elements are made when they are read, so `view[0] is view[0]` need not hold, and a NaN in it equals nothing, not
    even when it was the very object that was shared.

    Example:
        >>> import onecopy
        >>> view = onecopy.share((3, 1, 2))
        >>> view == (3, 1, 2), {view: "found"}[(3, 1, 2)]
        (True, 'found')
    """

    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def __hash__(self) -> int: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> _T_co: ...
    @overload
    def __getitem__(self, key: slice, /) -> Self: ...
    def __setitem__(self, key: Any, value: Any, /) -> Never: ...
    def __delitem__(self, key: Any, /) -> Never: ...
    def __iter__(self) -> Iterator[_T_co]: ...
    def __reversed__(self) -> Iterator[_T_co]: ...
    def __contains__(self, value: object, /) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Sequence[Any], /) -> bool: ...
    def __le__(self, other: Sequence[Any], /) -> bool: ...
    def __gt__(self, other: Sequence[Any], /) -> bool: ...
    def __ge__(self, other: Sequence[Any], /) -> bool: ...
    def __add__(self, other: Sequence[_T], /) -> tuple[_T_co | _T, ...]: ...
    def __radd__(self, other: Sequence[_T], /) -> tuple[_T_co | _T, ...]: ...
    def __mul__(self, count: SupportsIndex, /) -> tuple[_T_co, ...]: ...
    def __rmul__(self, count: SupportsIndex, /) -> tuple[_T_co, ...]: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> _Array: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...
        def __release_buffer__(self, buffer: memoryview, /) -> None: ...

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = ..., /) -> int:
        """Returns the index of the first element that equals `value`, between `start` and `stop`.

        Raises:
            ValueError: There is none.
        """

    def count(self, value: Any, /) -> int:
        """Returns how many elements equal `value`."""

    def tolist(self) -> list[_T_co]:
        """Returns a real list of the elements."""

    def _to_python(self) -> tuple[_T_co, ...]: ...

@final
class DictView(Mapping[_K, _T_co], Generic[_K, _T_co]):
    """A shared dict: looks like a dict, never changes, and is one copy in memory for all processes.

    Values are made when they are read, so `view[key] is view[key]` need not hold.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, key: _K, /) -> _T_co: ...
    def __setitem__(self, key: Never, value: Never, /) -> Never: ...
    def __delitem__(self, key: Never, /) -> Never: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_K]: ...
    def __reversed__(self) -> Iterator[_K]: ...
    @overload
    def get(self, key: _K, default: None = None, /) -> _T_co | None: ...
    @overload
    def get(self, key: _K, default: _T, /) -> _T_co | _T: ...
    def keys(self) -> KeysView[_K]: ...
    def values(self) -> ValuesView[_T_co]: ...
    def items(self) -> ItemsView[_K, _T_co]: ...
    def copy(self) -> dict[_K, _T_co]: ...
    def __or__(self, value: Mapping[Any, Any], /) -> dict[Any, Any]: ...
    def __ror__(self, value: Mapping[Any, Any], /) -> dict[Any, Any]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: Any) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def _keys(self) -> Any: ...
    def _values(self) -> Any: ...
    def _to_python(self) -> dict[_K, _T_co]: ...

@final
class RowView(Mapping[_K, _T_co], Generic[_K, _T_co]):
    """A dict in a shared list of dicts: looks like a dict and never changes. Its cells lie in the table's columns."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: _K, /) -> _T_co: ...
    def __setitem__(self, key: Never, value: Never, /) -> Never: ...
    def __delitem__(self, key: Never, /) -> Never: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_K]: ...
    def __reversed__(self) -> Iterator[_K]: ...
    @overload
    def get(self, key: _K, default: None = None, /) -> _T_co | None: ...
    @overload
    def get(self, key: _K, default: _T, /) -> _T_co | _T: ...
    def keys(self) -> KeysView[_K]: ...
    def values(self) -> ValuesView[_T_co]: ...
    def items(self) -> ItemsView[_K, _T_co]: ...
    def copy(self) -> dict[_K, _T_co]: ...
    def __or__(self, value: Mapping[Any, Any], /) -> dict[Any, Any]: ...
    def __ror__(self, value: Mapping[Any, Any], /) -> dict[Any, Any]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: Any) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def _keys(self) -> Any: ...
    def _values(self) -> Any: ...
    def _to_python(self) -> dict[_K, _T_co]: ...

@final
class SetView(AbstractSet[_T_co], Generic[_T_co]):
    """A shared set: looks like a set, never changes, and is one copy in memory for all processes.

    Operators with other sets give real ones. Members are compared as the builtin does.
    """

    def __len__(self) -> int: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_T_co]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __le__(self, other: AbstractSet[Any], /) -> bool: ...
    def __lt__(self, other: AbstractSet[Any], /) -> bool: ...
    def __ge__(self, other: AbstractSet[Any], /) -> bool: ...
    def __gt__(self, other: AbstractSet[Any], /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __and__(self, value: AbstractSet[Any], /) -> Any: ...
    def __rand__(self, value: AbstractSet[Any], /) -> Any: ...
    def __or__(self, value: AbstractSet[Any], /) -> Any: ...
    def __ror__(self, value: AbstractSet[Any], /) -> Any: ...
    def __sub__(self, value: AbstractSet[Any], /) -> Any: ...
    def __rsub__(self, value: AbstractSet[Any], /) -> Any: ...
    def __xor__(self, value: AbstractSet[Any], /) -> Any: ...
    def __rxor__(self, value: AbstractSet[Any], /) -> Any: ...
    def isdisjoint(self, other: Iterable[Any], /) -> bool: ...
    def issubset(self, other: Iterable[Any], /) -> bool: ...
    def issuperset(self, other: Iterable[Any], /) -> bool: ...
    def union(self, *others: Iterable[Any]) -> set[Any]: ...
    def intersection(self, *others: Iterable[Any]) -> set[Any]: ...
    def difference(self, *others: Iterable[Any]) -> set[Any]: ...
    def symmetric_difference(self, other: Iterable[Any], /) -> set[Any]: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: Any) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def _to_python(self) -> set[_T_co]: ...

@final
class FrozenSetView(AbstractSet[_T_co], Generic[_T_co]):
    """A shared frozenset: looks like a frozenset, never changes, and is one copy in memory for all processes.

    Operators with other sets give real ones. Members are compared as the builtin does.
    """

    def __len__(self) -> int: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_T_co]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __le__(self, other: AbstractSet[Any], /) -> bool: ...
    def __lt__(self, other: AbstractSet[Any], /) -> bool: ...
    def __ge__(self, other: AbstractSet[Any], /) -> bool: ...
    def __gt__(self, other: AbstractSet[Any], /) -> bool: ...
    def __hash__(self) -> int: ...
    def __and__(self, value: AbstractSet[Any], /) -> Any: ...
    def __rand__(self, value: AbstractSet[Any], /) -> Any: ...
    def __or__(self, value: AbstractSet[Any], /) -> Any: ...
    def __ror__(self, value: AbstractSet[Any], /) -> Any: ...
    def __sub__(self, value: AbstractSet[Any], /) -> Any: ...
    def __rsub__(self, value: AbstractSet[Any], /) -> Any: ...
    def __xor__(self, value: AbstractSet[Any], /) -> Any: ...
    def __rxor__(self, value: AbstractSet[Any], /) -> Any: ...
    def isdisjoint(self, other: Iterable[Any], /) -> bool: ...
    def issubset(self, other: Iterable[Any], /) -> bool: ...
    def issuperset(self, other: Iterable[Any], /) -> bool: ...
    def union(self, *others: Iterable[Any]) -> set[Any]: ...
    def intersection(self, *others: Iterable[Any]) -> set[Any]: ...
    def difference(self, *others: Iterable[Any]) -> set[Any]: ...
    def symmetric_difference(self, other: Iterable[Any], /) -> set[Any]: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: Any) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def _to_python(self) -> frozenset[_T_co]: ...

@final
class TableView(Sequence[Any]):
    """A shared list or tuple of rows with the same fields: dicts, or instances of a dataclass or namedtuple.

    Looks like a list of its rows; `column(name)` gives all cells of a field, for numbers without copying them.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the fields, in order of the columns."""

    def column(self, name: str, /) -> ListView[Any]:
        """Returns all cells of a field; a row that lacks the field has None there.

        Args:
            name: The field.

        Returns:
            A view with one element per row. `numpy.asarray` of it copies nothing if all are numbers.

        Raises:
            KeyError: There is no such field.
        """

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, key: slice, /) -> TableView: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __reversed__(self) -> Iterator[Any]: ...
    def __contains__(self, key: object, /) -> bool: ...
    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = ..., /) -> int: ...
    def count(self, value: Any, /) -> int: ...
    def tolist(self) -> list[Any]: ...
    def __add__(self, value: Any, /) -> Any: ...
    def __radd__(self, value: Any, /) -> Any: ...
    def __mul__(self, value: SupportsIndex, /) -> Any: ...
    def __rmul__(self, value: SupportsIndex, /) -> Any: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Any, /) -> bool: ...
    def __le__(self, other: Any, /) -> bool: ...
    def __gt__(self, other: Any, /) -> bool: ...
    def __ge__(self, other: Any, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: Any) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def _to_python(self) -> Any: ...

@final
class RecordView:
    """A dataclass instance in a shared list of them: has its attributes, methods and properties, and never changes."""

    def __dir__(self) -> list[str]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Any, /) -> bool: ...
    def __le__(self, other: Any, /) -> bool: ...
    def __gt__(self, other: Any, /) -> bool: ...
    def __ge__(self, other: Any, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: Any) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def _to_python(self) -> Any: ...

@final
class NamedTupleView:
    """A namedtuple in a shared list of them: has its attributes and methods, indexes and unpacks like it."""

    def __dir__(self) -> list[str]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Any, /) -> bool: ...
    def __le__(self, other: Any, /) -> bool: ...
    def __gt__(self, other: Any, /) -> bool: ...
    def __ge__(self, other: Any, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: Any) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __contains__(self, key: object, /) -> bool: ...
    def _to_python(self) -> Any: ...

@final
class ObjectView:
    """A shared object of a type that images do not know.

    Its buffers (arrays, columns, tensors) are read-only memory of the image.
    """

    def get(self) -> Any:
        """Returns the object, rebuilt at the first call: the same each time."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: Any) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def _to_python(self) -> Any: ...

def share_graph(data: Any, huge: _Huge | None = None, progress: Callable[[str, int, int], object] | None = None) -> Any:
    """Shares any object and returns a view of it; see `onecopy.share`."""

def _attach_view(
    image: Image | bytes, start: int, step: int, len: int, node: int | None = None
) -> ListView[Any] | TupleView[Any]: ...
def _attach_node(image: Image, node: int) -> Any: ...
def _attach_row(image: Image, table: int, row: int) -> Any: ...
def _attach_table(image: Image, node: int, start: int, step: int, len: int) -> TableView: ...
def _image(token: bytes, allow_pickle: bool) -> Image: ...
def _file_image(path: str, identity: tuple[int, int, int], allow_pickle: bool) -> Image: ...
def _buffer_image(content: bytes, allow_pickle: bool) -> Image: ...
def save_graph(data: Any, path: str, progress: Callable[[str, int, int], object] | None = None) -> None:
    """Writes the image of any object to a file; see `onecopy.save`."""

def open_file(path: str, allow_pickle: bool, full: bool, copy: bool) -> Any:
    """Maps the image in a file; see `onecopy.open`."""

def open_buffer(buffer: Buffer, allow_pickle: bool, full: bool) -> Any:
    """Shows the image in a buffer; see `onecopy.from_buffer`."""

def image_of_view(view: Any) -> Image | None:
    """Finds the image that a view shows the whole of; None for views of a part."""

def _real(view: Any) -> Any: ...
def private_items(view: ListView[Any] | TupleView[Any]) -> PrivateBuffer:
    """Maps the image of a column of numbers copy-on-write.

    Args:
        view: A view of numbers without None.

    Returns:
        The items from the view's lowest to its highest, writable.

    Raises:
        TypeError: Its elements are no plain numbers.
        MemoryError: No address space is left.
    """

@final
class Image:
    """One shared object: immutable bytes in the store, held by this process as long as this lives."""

    @staticmethod
    def attach(token: bytes) -> Image:
        """Turns a token into the image, in any process of the same user.

        Args:
            token: The 64 bytes that `Image.token` gave.

        Returns:
            The image; this process holds it from now on.

        Raises:
            Gone: Nothing holds the image any more.
            AttachError: Its store was not found, or does not fit.
        """

    def __reduce__(self) -> tuple[Any, ...]: ...
    def token(self) -> bytes:
        """Makes a token for another process.

        Returns:
            64 bytes. They count as an interest in the image until they are attached once.
        """

    @property
    def nbytes(self) -> int:
        """Bytes of the image."""

    def buffer(self, offset: int, byte_len: int, node: int) -> ImageBuffer:
        """Exports part of the image, read-only.

        Args:
            offset: Where it begins, in bytes from the image's start.
            byte_len: How long it is, in bytes.
            node: The node whose data it is; 0 for the root.

        Returns:
            An exporter of the buffer protocol, which keeps the image.

        Raises:
            IndexError: It reaches past the image.
        """

    def private(self, offset: int, byte_len: int) -> PrivateBuffer:
        """Maps the image copy-on-write and exports part of it, writable.

        Args:
            offset: Where it begins, in bytes from the image's start.
            byte_len: How long it is, in bytes.

        Returns:
            An exporter of the buffer protocol, which keeps the mapping and the image.

        Raises:
            IndexError: It reaches past the image.
            MemoryError: No address space is left.
        """

@final
class ImageBuffer(Buffer):
    """Part of an image's bytes, read-only."""

    @property
    def node(self) -> int:
        """Offset of the node that this is the data of; 0 for the root."""

    @property
    def image(self) -> Image:
        """The image that this is a part of."""

    @property
    def address(self) -> int:
        """Address of the first byte."""

    @property
    def nbytes(self) -> int:
        """Number of bytes."""

    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class PrivateBuffer(Buffer):
    """Part of a private copy-on-write mapping, writable."""

    @property
    def nbytes(self) -> int:
        """Number of bytes."""

    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class BuildBuffer(Buffer):
    """An array's data while its image is built: writable until it is sealed."""

    @property
    def sealed(self) -> bool:
        """Whether the image is complete, so that what is written here stays in this process."""

    @property
    def address(self) -> int:
        """Address of the first byte of data."""

    @property
    def nbytes(self) -> int:
        """Number of bytes of data."""

    def fill(self, source: Buffer | _Array) -> None:
        """Copies all data from a contiguous buffer of as many bytes; large ones by two threads.

        Args:
            source: Bytes (format `B`), as many as `nbytes`.

        Raises:
            ValueError: The source has another length, or gaps.
            BufferError: The image is complete already.
        """

    def publish(self) -> Image:
        """Makes the image visible and immutable. Nobody may write here afterwards.

        Returns:
            The image.

        Raises:
            BufferError: The image is complete already.
        """

    def seal(self, dtype: str, item_size: int, shape: Sequence[int], strides: Sequence[int]) -> Image | None:
        """Like `publish`, but the memory stays valid and becomes private to this process.

        Args:
            dtype: What NumPy calls the type of the elements.
            item_size: Bytes per element.
            shape: Elements along each dimension.
            strides: Bytes from one element to the next along each dimension.

        Returns:
            The image; None if it cannot be done in place, because the memory came here by fork, is sealed already, or
            this description needs a longer head.

        Raises:
            ValueError: Shape and strides reach past the data.
            TimeoutError: Another process is stopped while it holds the store's lock.
        """

    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

def array_allocate(
    dtype: str, item_size: int, shape: Sequence[int], strides: Sequence[int], byte_len: int, huge: _Huge
) -> BuildBuffer:
    """Takes memory for an array and describes it; the data are zero.

    Args:
        dtype: What NumPy calls the type of the elements.
        item_size: Bytes per element.
        shape: Elements along each dimension.
        strides: Bytes from one element to the next along each dimension, none negative.
        byte_len: Bytes of data.
        huge: Whether to use pages of 2 MiB.

    Returns:
        The writable data.

    Raises:
        ValueError: Shape and strides reach past `byte_len`.
        MemoryError: There is not enough memory.
    """

def array_geometry(image: Image, node: int) -> tuple[str, tuple[int, ...], tuple[int, ...], int, int]:
    """Reads what an image says of its array.

    Args:
        image: The image that the array lies in.
        node: The array's node; 0 for the root.

    Returns:
        Type, shape, strides in bytes, offset of the data in the image, bytes of data.

    Raises:
        CorruptImage: It is not the image of an array.
    """

def tree_apply(nodes: _Memory, rows: _Memory, leaves: _Memory) -> None:
    """Finds the leaf of every row in a decision tree of scikit-learn.

    Args:
        nodes: The tree's nodes, of 64 bytes each.
        rows: An array of two dimensions (float32).
        leaves: Where the indexes of the leaves (int64) go.

    Raises:
        CorruptImage: The nodes are no tree, or ask for more columns than there are.
        ValueError: The sizes do not fit.
    """

def tree_apply_csr(
    nodes: _Memory, data: _Memory, indices: _Memory, indptr: _Memory, columns: int, leaves: _Memory
) -> None:
    """Does the same for a matrix in compressed sparse rows, whose other values are zero.

    Args:
        nodes: The tree's nodes, of 64 bytes each.
        data: The values (float32).
        indices: Their columns (int32).
        indptr: Where each row begins among them (int32).
        columns: Columns of the matrix.
        leaves: Where the indexes of the leaves (int64) go.

    Raises:
        CorruptImage: The nodes are no tree, or ask for more columns than there are.
        ValueError: The matrix contradicts itself.
    """

@final
class Stats:
    """Figures of this process's store at one moment; sizes in bytes."""

    @property
    def live_objects(self) -> int:
        """Shared objects that can be read."""

    @property
    def building_objects(self) -> int:
        """Objects being built, among them arrays born in the store and not yet shared."""

    @property
    def dying_objects(self) -> int:
        """Objects whose memory is being given back."""

    @property
    def holds(self) -> int:
        """Holds: one per object and process that uses it."""

    @property
    def units(self) -> int:
        """Pickled tokens that nobody has unpickled yet."""

    @property
    def processes(self) -> int:
        """Processes that use the store."""

    @property
    def allocated_bytes(self) -> int:
        """Bytes of all objects, in whole pages."""

    @property
    def occupied_bytes(self) -> int:
        """Bytes of memory that the store occupies, its own tables included."""

    @property
    def max_bytes(self) -> int:
        """Quota for `allocated_bytes`; 0 means none."""

    @property
    def capacity_bytes(self) -> int:
        """Address space set aside for the store, which costs no memory."""

    def to_dict(self) -> dict[str, int]:
        """Returns the figures as a dict."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class Collected:
    """What `collect()` gave back."""

    @property
    def processes(self) -> int:
        """Dead processes that were recovered."""

    @property
    def holds(self) -> int:
        """Holds they had left behind."""

    @property
    def units(self) -> int:
        """Pickled tokens that were given up because of their age."""

    @property
    def objects(self) -> int:
        """Objects that went with these."""

    @property
    def bytes(self) -> int:
        """Bytes of those objects."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

def stats() -> Stats:
    """Returns figures of this process's store, which is made if there is none yet.

    Returns:
        Counts and sizes in bytes.

    Raises:
        TimeoutError: Another process is stopped while it holds the store's lock.

    Example:
        >>> import onecopy
        >>> before = onecopy.stats().live_objects
        >>> view = onecopy.share([1, 2, 3])
        >>> onecopy.stats().live_objects - before
        1
    """

def collect(max_age: float | None = None) -> Collected:
    """Gives back what nobody needs: holds of dead processes and, with `max_age`, tokens that were never unpickled.

    A pickled view keeps its object alive until it is unpickled once, as it may be on its way. One that was lost or
    thrown away keeps it until this is called.

    Args:
        max_age: Age in seconds from which on tokens are given up; None keeps them all.

    Returns:
        What was given back.

    Raises:
        ValueError: `max_age` is negative or no number.
        TimeoutError: Another process is stopped while it holds the store's lock.

    Example:
        >>> import onecopy
        >>> onecopy.collect().units
        0
    """

@final
class ProcessMemory:
    """One process's memory; sizes in bytes, as the kernel accounts for them."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def parent(self) -> int:
        """Its parent's id."""

    @property
    def name(self) -> str:
        """Its name, at most 15 bytes."""

    @property
    def threads(self) -> int:
        """Threads."""

    @property
    def rss(self) -> int:
        """Pages present, each counted in full however many processes map it."""

    @property
    def pss(self) -> int:
        """Pages present, each divided by the number of its mappings."""

    @property
    def uss(self) -> int:
        """Pages that only this process maps."""

    @property
    def shared(self) -> int:
        """Pages mapped more than once."""

    @property
    def private_dirty(self) -> int:
        """The written part of `uss`."""

    @property
    def pss_shmem(self) -> int | None:
        """The part of PSS in shared memory; None before Linux 5.9."""

    @property
    def swap(self) -> int:
        """Anonymous memory swapped out."""

    @property
    def role(self) -> str:
        """`"parent"`, `"worker"` (forked from a relative that is alive) or `"alone"`."""

    @property
    def inherited(self) -> int:
        """Memory that existed when it, or one of its children, was forked."""

    @property
    def copied(self) -> int:
        """The part of `inherited` that it has copied by writing."""

    @property
    def last_owner(self) -> int:
        """The part of `inherited` that nobody copied and nobody else has any more."""

    @property
    def new(self) -> int:
        """Private memory that came after the fork."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class SkippedProcess:
    """A process of the tree that could not be measured."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def name(self) -> str:
        """Its name, at most 15 bytes."""

    @property
    def reason(self) -> str:
        """`"exited"`, `"vanished"`, `"denied"` or `"kernel_thread"`."""

    @property
    def rss(self) -> int | None:
        """Its RSS in bytes, if that at least could be read."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class StoreMemory:
    """A store that the tree maps, counted once however many processes map it."""

    @property
    def id(self) -> str:
        """The store's id."""

    @property
    def allocated(self) -> int | None:
        """Bytes of memory that it occupies, touched or not; None if no descriptor of it may be read."""

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that map it."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class Report:
    """What a process tree's memory is made of, and how many copies of its data exist.

    Printed, it is a table. Sums are None as soon as one living process could not be read: a part is never shown as
    the whole.
    """

    @property
    def root(self) -> int:
        """Id of the process at the top."""

    @property
    def complete(self) -> bool:
        """Whether every living process of the tree was read, in one steady pass."""

    @property
    def drift(self) -> int:
        """Pages that moved while the tree was read, as page faults tell; the numbers may be off by as many."""
    @property
    def copies(self) -> float | None:
        """Physical copies of the tree's data: 1.00 is one copy; None if it cannot be told."""

    @property
    def copies_reason(self) -> str | None:
        """Why `copies` is None."""

    @property
    def level(self) -> str:
        """What the count rests on: `"A"`, page frame numbers; `"B"`, bits that need no privilege."""

    @property
    def agreement(self) -> float | None:
        """How much of the physical memory (PSS) the count explains, 1.0 for all of it; None if PSS is not known."""

    @property
    def wasted(self) -> int | None:
        """Bytes that exist only because processes wrote to inherited memory."""

    @property
    def sum_rss(self) -> int | None:
        """What adding up `ps` or `top` would say, in bytes."""

    @property
    def sum_pss(self) -> int | None:
        """Physical memory of the tree in bytes, if all who share it are in it."""

    @property
    def sum_uss(self) -> int | None:
        """Bytes that only one process of the tree maps, added up."""

    @property
    def sum_private_dirty(self) -> int | None:
        """Bytes that only one process maps and that were written, added up."""

    @property
    def allocated(self) -> int | None:
        """Bytes of memory that stores occupy, each store counted once."""

    @property
    def processes(self) -> list[ProcessMemory]:
        """The processes, parents before children."""

    @property
    def skipped(self) -> list[SkippedProcess]:
        """Processes that could not be measured, and why."""

    @property
    def stores(self) -> list[StoreMemory]:
        """The stores that the tree maps."""

    @property
    def limits(self) -> list[str]:
        """What the numbers cannot tell here, in plain words."""

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as dicts and lists."""

def memory(pid: int | None = None, children: bool = True) -> Report:
    """Measures the memory of a process and its children, from the kernel's own accounting.

    Args:
        pid: The process; by default this one.
        children: Whether to measure all processes below it as well.

    Returns:
        A report that prints as a table. A child that may not be looked into is in `skipped`, and leaves the sums
        None.

    Raises:
        ProcessLookupError: There is no such process.
        PermissionError: It is somebody else's.
        ValueError: `pid` is below 1.

    Example:
        >>> import onecopy
        >>> report = onecopy.memory()
        >>> report.complete and report.sum_pss <= report.sum_rss
        True
    """

def _cli_main(argv: Sequence[str]) -> int:
    """Runs the `onecopy` command.

    Args:
        argv: The command line, the program's name first.

    Returns:
        The exit code.
    """

_Found: TypeAlias = tuple[int, int, list[tuple[type, int]], list[tuple[type, int, list[Any]]]]

def _freeze_walk(root: Any, hash: bool, dicts: bool, utf8: bool) -> _Found:
    """Freezes everything that is reachable.

    Returns objects, bytes, objects by class, and the skipped ones with the way to the first of each class.
    """

def _freeze_look(root: Any) -> _Found:
    """Counts what `_freeze_walk` would freeze, and changes nothing."""

def _freeze_seal(limit: int) -> int:
    """Keeps new objects out of the pools with frozen ones; returns the bytes that it took."""

def _freeze_trouble() -> str | None:
    """Why freezing does not work here, as far as the interpreter's memory tells; None if it does. Forks once."""

def _freeze_is_main() -> bool:
    """Whether this is the main interpreter; others have allocators of their own."""

def _freeze_rows() -> list[tuple[int, int]]:
    """The audited versions: pairs of the minor version and the first patch level."""

def _freeze_header(object: Any) -> int:
    """The header of an object, for tests."""

def is_frozen(object: Any) -> bool:
    """Tells whether an object is immortal: neither counted nor freed, and read by forked children without a copy.

    Args:
        object: Any object. Its parts are not looked at.

    Returns:
        True for what `freeze()` has frozen, and for what the interpreter itself keeps for ever, such as None and small
        ints. False on Pythons without immortal objects.

    Example:
        >>> import onecopy
        >>> onecopy.is_frozen([1, 2, 3])
        False
    """

@final
class Sampler:
    """A thread that samples a process tree; use `onecopy.watch()` instead."""

    def __new__(cls, pid: int | None, overhead: float, side_folder: str | PathLike[str] | None) -> Self:
        """Starts at once.

        Args:
            pid: The process at the top; this one if None.
            overhead: The part of one processor that sampling may take.
            side_folder: Where tags are left.
        """

    def note_fork(self) -> None:
        """Notes that this process is about to fork."""

    def stop(self) -> None:
        """Takes a last reading and ends; again is no error, and neither is it in a forked child."""

    def report(self) -> Report | None:
        """The reading with the most physical memory."""

    def max_copies(self) -> float | None:
        """The highest number of copies in any reading."""

    def json(self) -> str | None:
        """Everything, as JSON."""

    def html(self) -> str | None:
        """The report as a page."""

def _buffer_range(buffer: Any) -> tuple[int, int]:
    """Address and length of the memory behind an object with the buffer protocol.

    Args:
        buffer: The object.

    Returns:
        Both as numbers.

    Raises:
        TypeError: It has no buffer.
    """

def _measure_ranges(pid: int | None, name: str, ranges: Sequence[tuple[int, int]]) -> tuple[str, list[int]]:
    """Measures the tree below a process with some ranges of this one's memory named.

    Args:
        pid: The process at the top; this one if None.
        name: What the ranges are called.
        ranges: Addresses and lengths.

    Returns:
        The report as JSON, and who else has pages of what lies there in files or shared memory.
    """

def _relatives(pid: int | None) -> list[int]:
    """Processes of a tree, but this one, that are relatives of this one by fork.

    Args:
        pid: The process at the top; this one if None.

    Returns:
        Their numbers.
    """

def _image_behind(view: Any) -> Image | None:
    """The image that a view shows, or shows a part of.

    Args:
        view: Any object.

    Returns:
        None if it is no view, or one of a row.
    """
