"""The views: what `share()`, `open()` and reading parts of them return."""

import collections
import sys
from abc import ABCMeta
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from types import GenericAlias
from typing import (
    Any,
    ClassVar,
    Generic,
    Never,
    Self,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    final,
    overload,
)

import numpy as np
from typing_extensions import Buffer, disjoint_base

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

_T_co = TypeVar("_T_co", covariant=True)
_K = TypeVar("_K")
_T = TypeVar("_T")
_Shape_co = TypeVar("_Shape_co", bound=tuple[int, ...], covariant=True)
_DType_co = TypeVar("_DType_co", bound=np.dtype[Any], covariant=True)
_Array: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[Any]]

class _View:
    """What all views have. The bases whose names begin with `_` are here alone: at run time views have none."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: object, /) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __dask_tokenize__(self) -> bytes: ...
    def __dir__(self) -> list[str]: ...
    def __setattr__(self, name: str, _value: object, /) -> None: ...
    def __delattr__(self, name: str, /) -> None: ...

class _Ordered:
    """What can be compared with its like."""

    def __lt__(self, other: Any, /) -> bool: ...
    def __le__(self, other: Any, /) -> bool: ...
    def __gt__(self, other: Any, /) -> bool: ...
    def __ge__(self, other: Any, /) -> bool: ...

class _SequenceView(_View, _Ordered, Sequence[_T_co]):
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    @property
    def nbytes(self) -> int:
        """Bytes of the image that it is a part of."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> _T_co: ...
    @overload
    def __getitem__(self, key: slice, /) -> Self: ...
    def __iter__(self) -> Iterator[_T_co]: ...
    def __reversed__(self) -> Iterator[_T_co]: ...
    def __contains__(self, value: object, /) -> bool: ...
    def index(self, value: object, start: SupportsIndex = 0, stop: SupportsIndex = ..., /) -> int:
        """Returns the index of the first element that equals `value`, between `start` and `stop`.

        Raises:
            ValueError: There is none.
        """

    def count(self, value: object, /) -> int:
        """Returns how many elements equal `value`."""

    def tolist(self) -> list[_T_co]:
        """Returns a real list of the elements; containers among them stay views. `to_python` goes all the way."""

class _ElementsView(_SequenceView[_T_co], Buffer):
    # Assignment is refused with advice; to a type checker nothing can be assigned.
    def __setitem__(self, key: Never, value: Never, /) -> None: ...
    def __delitem__(self, key: Never, /) -> None: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> _Array: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...
        def __release_buffer__(self, buffer: memoryview, /) -> None: ...

    @overload
    def column(self: _ElementsView[_Mapping[str, _T]], name: str, /) -> Sequence[_T | None]: ...
    @overload
    def column(self, name: str, /) -> Sequence[Any]:
        """Returns all cells of a field of rows that are no table; a row that lacks the field has None there.

        Args:
            name: The field.

        Returns:
            A real list, made anew each time.

        Raises:
            KeyError: No row has such a field.
            TypeError: An element is no row.
        """

@final
class ListView(_ElementsView[_T_co]):
    """A shared list: looks like a list, never changes, and is one copy in memory for all processes.

    Elements are made when they are read, so `view[0] is view[0]` need not hold, and a NaN in it equals nothing, not
    even when it was the very object that was shared.

    Example:
        >>> import onecopy
        >>> view = onecopy.share([3, 1, 2])
        >>> sorted(view), view[1:]
        ([1, 2, 3], ListView([1, 2]))
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __add__(self, other: Sequence[_T], /) -> list[_T_co | _T]: ...
    def __radd__(self, other: Sequence[_T], /) -> list[_T_co | _T]: ...
    def __mul__(self, count: SupportsIndex, /) -> list[_T_co]: ...
    def __rmul__(self, count: SupportsIndex, /) -> list[_T_co]: ...
    def __iadd__(self, other: Never, /) -> Self: ...  # type: ignore[misc]
    def __imul__(self, count: Never, /) -> Self: ...  # type: ignore[misc]
    def copy(self) -> list[_T_co]:
        """Returns a real list of the elements; containers among them stay views. `to_python` goes all the way."""

@final
class TupleView(_ElementsView[_T_co]):
    """A shared tuple: looks like a tuple, hashes like one, and is one copy in memory for all processes.

    Elements are made when they are read, so `view[0] is view[0]` need not hold, and a NaN in it equals nothing, not
    even when it was the very object that was shared.

    Example:
        >>> import onecopy
        >>> view = onecopy.share((3, 1, 2))
        >>> view == (3, 1, 2), {view: "found"}[(3, 1, 2)]
        (True, 'found')
    """

    def __hash__(self) -> int: ...
    def __add__(self, other: Sequence[_T], /) -> tuple[_T_co | _T, ...]: ...
    def __radd__(self, other: Sequence[_T], /) -> tuple[_T_co | _T, ...]: ...
    def __mul__(self, count: SupportsIndex, /) -> tuple[_T_co, ...]: ...
    def __rmul__(self, count: SupportsIndex, /) -> tuple[_T_co, ...]: ...

@final
class TableView(_SequenceView[_T_co]):
    """A shared list or tuple of rows with the same fields: dicts, or instances of a class or namedtuple.

    Looks like a list of its rows; `column(name)` gives all cells of a field, for numbers without copying them.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the fields, in order of the columns."""

    @overload
    def column(self: TableView[_Mapping[str, _T]], name: str, /) -> ListView[_T | None]: ...
    @overload
    def column(self, name: str, /) -> ListView[Any]:
        """Returns all cells of a field; a row that lacks the field has None there.

        Args:
            name: The field.

        Returns:
            A view with one element per row. `numpy.asarray` of it copies nothing if all are numbers.

        Raises:
            KeyError: There is no such field.
        """

    def __hash__(self) -> int: ...
    def __add__(self, value: Sequence[_T], /) -> list[_T_co | _T] | tuple[_T_co | _T, ...]: ...
    def __radd__(self, value: Sequence[_T], /) -> list[_T_co | _T] | tuple[_T_co | _T, ...]: ...
    def __mul__(self, value: SupportsIndex, /) -> list[_T_co] | tuple[_T_co, ...]: ...
    def __rmul__(self, value: SupportsIndex, /) -> list[_T_co] | tuple[_T_co, ...]: ...

class _Mapping(_View, Mapping[_K, _T_co]):
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __len__(self) -> int: ...
    def __getitem__(self, key: _K, /) -> _T_co: ...
    def __setitem__(self, key: Never, value: Never, /) -> None: ...
    def __delitem__(self, key: Never, /) -> None: ...
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
    def copy(self) -> dict[_K, _T_co]:
        """Returns a real dict of the entries; values that are containers stay views. `to_python` goes all the way."""

    def __or__(self, value: Mapping[_K, _T], /) -> dict[_K, _T_co | _T]: ...
    def __ror__(self, value: Mapping[_K, _T], /) -> dict[_K, _T_co | _T]: ...

@final
class DictView(_Mapping[_K, _T_co]):
    """A shared dict: looks like a dict, never changes, and is one copy in memory for all processes.

    Values are made when they are read, so `view[key] is view[key]` need not hold.
    """

    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    @property
    def nbytes(self) -> int:
        """Bytes of the image that it is a part of."""

@final
class RowView(_Mapping[_K, _T_co]):
    """A dict in a shared list of dicts: looks like a dict and never changes. Its cells lie in the table's columns."""

    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...

class _SetView(_View, AbstractSet[_T_co]):
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    @property
    def nbytes(self) -> int:
        """Bytes of the image that it is a part of."""

    def __len__(self) -> int: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_T_co]: ...
    def __le__(self, other: AbstractSet[Any], /) -> bool: ...
    def __lt__(self, other: AbstractSet[Any], /) -> bool: ...
    def __ge__(self, other: AbstractSet[Any], /) -> bool: ...
    def __gt__(self, other: AbstractSet[Any], /) -> bool: ...
    # These give what the other operand is, set or frozenset.
    def __rand__(self, value: AbstractSet[_T], /) -> AbstractSet[_T]: ...
    def __ror__(self, value: AbstractSet[_T], /) -> AbstractSet[_T_co | _T]: ...
    def __rsub__(self, value: AbstractSet[_T], /) -> AbstractSet[_T]: ...
    def __rxor__(self, value: AbstractSet[_T], /) -> AbstractSet[_T_co | _T]: ...
    def isdisjoint(self, other: Iterable[object], /) -> bool: ...
    def issubset(self, other: Iterable[object], /) -> bool: ...
    def issuperset(self, other: Iterable[object], /) -> bool: ...

@final
class SetView(_SetView[_T_co]):
    """A shared set: looks like a set, never changes, and is one copy in memory for all processes.

    Operators with other sets give real ones. Members are compared as the builtin does.
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __and__(self, value: AbstractSet[object], /) -> set[_T_co]: ...
    def __or__(self, value: AbstractSet[_T], /) -> set[_T_co | _T]: ...
    def __sub__(self, value: AbstractSet[object], /) -> set[_T_co]: ...
    def __xor__(self, value: AbstractSet[_T], /) -> set[_T_co | _T]: ...
    def union(self, *others: Iterable[_T]) -> set[_T_co | _T]: ...
    def intersection(self, *others: Iterable[object]) -> set[_T_co]: ...
    def difference(self, *others: Iterable[object]) -> set[_T_co]: ...
    def symmetric_difference(self, other: Iterable[_T], /) -> set[_T_co | _T]: ...

@final
class FrozenSetView(_SetView[_T_co]):
    """A shared frozenset: looks like a frozenset, never changes, and is one copy in memory for all processes.

    Operators with other sets give real ones. Members are compared as the builtin does.
    """

    def __hash__(self) -> int: ...
    def __and__(self, value: AbstractSet[object], /) -> frozenset[_T_co]: ...
    def __or__(self, value: AbstractSet[_T], /) -> frozenset[_T_co | _T]: ...
    def __sub__(self, value: AbstractSet[object], /) -> frozenset[_T_co]: ...
    def __xor__(self, value: AbstractSet[_T], /) -> frozenset[_T_co | _T]: ...
    def union(self, *others: Iterable[_T]) -> frozenset[_T_co | _T]: ...
    def intersection(self, *others: Iterable[object]) -> frozenset[_T_co]: ...
    def difference(self, *others: Iterable[object]) -> frozenset[_T_co]: ...
    def symmetric_difference(self, other: Iterable[_T], /) -> frozenset[_T_co | _T]: ...

class _Record(_View):
    def __getattr__(self, name: str, /) -> Any: ...

@final
class RecordView(_Record):
    """An instance of a class in shared data: has its attributes, methods and properties, and never changes.

    Its type derives from the class, so `isinstance` is true of both.
    """

class _Named(_Record, _Ordered):
    def __dir__(self) -> list[str]: ...
    def __hash__(self) -> int: ...

@final
class NamedTupleView(_Named, Sequence[Any]):
    """A namedtuple in shared data: has its attributes and methods, indexes and unpacks like it, and never changes."""

    def __add__(self, other: tuple[object, ...], /) -> tuple[object, ...]: ...
    def __radd__(self, other: tuple[object, ...], /) -> tuple[object, ...]: ...
    def __mul__(self, count: SupportsIndex, /) -> tuple[object, ...]: ...
    def __rmul__(self, count: SupportsIndex, /) -> tuple[object, ...]: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, key: slice, /) -> tuple[Any, ...]: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __contains__(self, key: object, /) -> bool: ...

@final
class ObjectView(_View, Generic[_T_co]):
    """A shared object of a type that images do not know.

    Its buffers (arrays, columns, tensors) are read-only memory of the image.
    """

    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def get(self) -> _T_co:
        """Returns the object, built at the first call: one object per view and process, the same each time.

        The view keeps it in this process's memory, apart from its buffers, as long as it lives.
        """

    @property
    def nbytes(self) -> int:
        """Bytes of the image that it is a part of."""

    def __getitem__(self, key: Never, /) -> Never: ...
    def __setitem__(self, key: Never, value: Never, /) -> None: ...
    def __delitem__(self, key: Never, /) -> None: ...

@disjoint_base
class TypedView(_View):
    """The base of views that remember a class: of subclasses of builtins, and of the types of `collections`.

    `isinstance(view, TheClass)` is true. The view of a subclass has the methods, properties and attributes of the
    class; what would change the object raises an error.

    Example:
        >>> import collections, onecopy
        >>> view = onecopy.share(collections.OrderedDict(a=1))
        >>> isinstance(view, collections.OrderedDict), isinstance(view, onecopy.views.TypedView)
        (True, True)
    """

    def __new__(cls, image: object, node: int, content: object) -> Self: ...
    @property
    def nbytes(self) -> int:
        """Bytes of the image that it is a part of."""

    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    @property
    def _shared_content(self) -> Any: ...
    @property
    def _shared_argument(self) -> Any: ...
    @property
    def _shared_state(self) -> Any: ...
    @property
    def _shared_class(self) -> str: ...
    @property
    def _shared_image(self) -> Any: ...
    def _shared_text(self, short: str, make: Callable[[], str]) -> str: ...

class _TypedMapping(TypedView, _Mapping[_K, _T_co]): ...

class CounterView(_TypedMapping[_K, int]):
    """A shared `collections.Counter`: a key that is missing counts 0."""

    def copy(self) -> collections.Counter[_K]:
        """Returns a real one."""

    def total(self) -> int: ...
    def most_common(self, n: int | None = None) -> list[tuple[_K, int]]: ...
    def elements(self) -> Iterator[_K]: ...
    def __missing__(self, key: object, /) -> int: ...
    def __add__(self, other: collections.Counter[_T] | CounterView[_T], /) -> collections.Counter[_K | _T]: ...
    def __sub__(self, other: collections.Counter[_T] | CounterView[_T], /) -> collections.Counter[_K]: ...
    def __and__(self, other: collections.Counter[_T] | CounterView[_T], /) -> collections.Counter[_K]: ...
    def __or__(self, other: collections.Counter[_T] | CounterView[_T], /) -> collections.Counter[_K | _T]: ...  # type: ignore[override]
    def __pos__(self) -> collections.Counter[_K]: ...
    def __neg__(self) -> collections.Counter[_K]: ...
    def __lt__(self, other: Any, /) -> bool: ...
    def __le__(self, other: Any, /) -> bool: ...
    def __gt__(self, other: Any, /) -> bool: ...
    def __ge__(self, other: Any, /) -> bool: ...

class OrderedDictView(_TypedMapping[_K, _T_co]):
    """A shared `collections.OrderedDict`: compares with others in order."""

    def copy(self) -> collections.OrderedDict[_K, _T_co]:
        """Returns a real one; values that are containers stay views."""

class DefaultDictView(_TypedMapping[_K, _T_co]):
    """A shared `collections.defaultdict`: a missing key has the value that the factory makes, anew each time."""

    @property
    def default_factory(self) -> Callable[[], _T_co] | None:
        """What makes the values of keys that are missing."""

    def __missing__(self, key: object, /) -> _T_co: ...
    def copy(self) -> collections.defaultdict[_K, _T_co]:
        """Returns a real one; values that are containers stay views."""

class UserDictView(_TypedMapping[_K, _T_co]):
    """A shared `collections.UserDict`."""

    @property
    def data(self) -> DictView[_K, _T_co]:
        """The view of the dict."""

    @overload
    def get(self, key: _K, default: None = None) -> _T_co | None: ...
    @overload
    def get(self, key: _K, default: _T) -> _T_co | _T: ...
    def copy(self) -> collections.UserDict[_K, _T_co]:  # type: ignore[override]
        """Returns a real one; containers in it stay views."""

class ChainMapView(_TypedMapping[_K, _T_co]):
    """A shared `collections.ChainMap`."""

    @property
    def maps(self) -> Sequence[Mapping[_K, _T_co]]:
        """The view of the mappings, the first first."""

    @property
    def parents(self) -> collections.ChainMap[_K, _T_co]: ...
    @overload
    def get(self, key: _K, default: None = None) -> _T_co | None: ...
    @overload
    def get(self, key: _K, default: _T) -> _T_co | _T: ...
    def __missing__(self, key: object) -> Never: ...
    def __bool__(self) -> bool: ...
    def new_child(self, m: Mapping[_K, _T] | None = None, **kwargs: _T) -> collections.ChainMap[_K, _T_co | _T]: ...
    def copy(self) -> collections.ChainMap[_K, _T_co]:  # type: ignore[override]
        """Returns a real one with a real copy of the first mapping; the others stay views."""

class _TypedSequence(TypedView, _Ordered, Sequence[_T_co], metaclass=ABCMeta):
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __len__(self) -> int: ...
    def __setitem__(self, _key: Never, _value: Never, /) -> None: ...
    def __delitem__(self, _key: Never, /) -> None: ...

class UserListView(_TypedSequence[_T_co]):
    """A shared `collections.UserList`."""

    @property
    def data(self) -> ListView[_T_co]:
        """The view of the list."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> _Array: ...
    def __add__(self, other: Iterable[_T]) -> collections.UserList[_T_co | _T]: ...
    def __radd__(self, other: Iterable[_T]) -> collections.UserList[_T_co | _T]: ...
    def __mul__(self, n: int) -> collections.UserList[_T_co]: ...
    def __rmul__(self, n: int) -> collections.UserList[_T_co]: ...
    def index(self, value: object, *limits: SupportsIndex) -> int: ...
    def count(self, item: object) -> int: ...
    def tolist(self) -> list[_T_co]:
        """Returns a real list of the elements; containers among them stay views. `to_python` goes all the way."""

    @overload
    def __getitem__(self, i: SupportsIndex) -> _T_co: ...
    @overload
    def __getitem__(self, i: slice) -> collections.UserList[_T_co]: ...
    def copy(self) -> collections.UserList[_T_co]:
        """Returns a real one; containers in it stay views."""

class DequeView(_TypedSequence[_T_co]):
    """A shared `collections.deque`."""

    @property
    def maxlen(self) -> int | None:
        """The most elements that the original holds; None if there is no such number."""

    def __getitem__(self, index: SupportsIndex, /) -> _T_co: ...  # type: ignore[override]
    def __add__(self, other: collections.deque[_T] | DequeView[_T], /) -> collections.deque[_T_co | _T]: ...
    def __radd__(self, other: collections.deque[_T], /) -> collections.deque[_T_co | _T]: ...
    def __mul__(self, count: SupportsIndex, /) -> collections.deque[_T_co]: ...
    def __rmul__(self, count: SupportsIndex, /) -> collections.deque[_T_co]: ...
    def __reversed__(self) -> Iterator[_T_co]: ...
    def index(self, value: object, *limits: SupportsIndex) -> int:
        """Returns the index of the first element that equals `value`, between two limits.

        Raises:
            ValueError: There is none.
        """

    def copy(self) -> collections.deque[_T_co]:
        """Returns a real one; containers in it stay views."""

class SharedArray(np.ndarray[_Shape_co, _DType_co]):
    """A read-only ndarray over one shared image.

    Made by `onecopy.share()`; slices, transposes and reshapes of it are shared arrays too. Whatever computes new
    numbers returns a plain, writable ndarray.
    """
