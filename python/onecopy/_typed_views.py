"""The views of the types of `collections`."""

from __future__ import annotations

import collections
from collections.abc import ItemsView, KeysView, Mapping, Sequence, ValuesView
from types import FunctionType
from typing import TYPE_CHECKING, Any

from onecopy._onecopy import DictView
from onecopy._typed_base import (
    DictSubclass,
    SequenceSubclass,
    Typed,
    content,
    delegated,
    inside,
    shallow,
    text,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ChainMapView",
    "CounterView",
    "DefaultDictView",
    "DequeView",
    "OrderedDictView",
    "UserDictView",
    "UserListView",
]


class OrderedDictView(DictSubclass):
    """A shared `collections.OrderedDict`: compares with others in order."""

    __module__ = "onecopy.views"
    __slots__ = ()
    _shared_origin = collections.OrderedDict

    def __eq__(self, other: object) -> Any:
        same = self._shared_content.__eq__(content(other, dict))
        if same is True and isinstance(other, collections.OrderedDict):
            return all(map(_same, self, other))
        return same

    __hash__ = None  # type: ignore[assignment]

    def copy(self) -> Any:
        """Returns a real one; values that are containers stay views."""
        return shallow(self)

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        new = type(self)(self)
        new.update(other)
        return new

    def __ror__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        new = type(self)(other)
        new.update(self)
        return new

    without("move_to_end", vars())


def _same(one: Any, other: Any) -> bool:
    return one is other or bool(one == other)


class DefaultDictView(DictSubclass):
    """A shared `collections.defaultdict`: a missing key has the value that the factory makes, anew each time."""

    __module__ = "onecopy.views"
    __slots__ = ()
    _shared_origin = collections.defaultdict

    @property
    def default_factory(self) -> Any:
        """What makes the values of keys that are missing."""
        return self._shared_argument

    def __missing__(self, key: Any) -> Any:
        factory = self.default_factory
        if factory is None:
            raise KeyError(key)
        return factory()

    def copy(self) -> Any:
        """Returns a real one; values that are containers stay views."""
        return shallow(self)

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        new = shallow(self)
        new.update(other)
        return new

    def __ror__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        new = type(self)(self.default_factory, other)
        new.update(self)
        return new

    def __repr__(self) -> str:
        return text(self, lambda: f"{self.default_factory!r}, {inside(self._shared_content)}")


def _functions_of(cls: type, without: str, namespace: dict[str, Any]) -> None:
    """Adds the functions of a class of the standard library that is written in Python, but for some."""
    left_out = {*without.split(), "__init__", "__reduce__", "__repr__", "__copy__", "__new__", "__class_getitem__"}
    for name, value in vars(cls).items():
        if isinstance(value, FunctionType) and name not in left_out and name not in namespace:
            copied = FunctionType(value.__code__, value.__globals__, name, value.__defaults__, value.__closure__)
            copied.__kwdefaults__ = value.__kwdefaults__
            # Its examples make the original.
            copied.__doc__ = (value.__doc__ or "").partition(">>>")[0].rstrip() or None
            namespace[name] = copied
        elif isinstance(value, property) and name not in namespace:
            namespace[name] = value


class CounterView(DictSubclass):
    """A shared `collections.Counter`: a key that is missing counts 0."""

    __module__ = "onecopy.views"
    __slots__ = ()
    _shared_origin = collections.Counter

    def copy(self) -> Any:
        """Returns a real one."""
        return shallow(self)

    without("update subtract", vars())
    _functions_of(
        collections.Counter,
        "__delitem__ __iadd__ __isub__ __ior__ __iand__ __ixor__ _keep_positive",
        vars(),
    )
    __hash__ = None  # type: ignore[assignment]


class _Held(Typed):
    """What keeps its content in an attribute."""

    __slots__ = ()

    def copy(self) -> Any:
        """Returns a real one; containers in it stay views."""
        return shallow(self)


class UserDictView(_Held):
    """A shared `collections.UserDict`."""

    __module__ = "onecopy.views"
    __slots__ = ()
    _shared_root = _shared_origin = collections.UserDict
    __setitem__, __delitem__ = DictSubclass.__setitem__, DictSubclass.__delitem__
    __getitem__: Any = DictSubclass.__getitem__

    @property
    def data(self) -> Any:
        """The view of the dict."""
        return self._shared_content

    def get(self, key: Any, default: Any = None) -> Any:
        """Returns the value of `key`, or `default` if there is none."""
        return self[key] if key in self else default  # noqa: SIM401 - that would be this method

    def keys(self) -> Any:
        """Returns a set-like view of the keys."""
        return self._shared_content.keys() if type(self) is UserDictView else KeysView(self)

    def values(self) -> Any:
        """Returns a view of the values."""
        return self._shared_content.values() if type(self) is UserDictView else ValuesView(self)

    def items(self) -> Any:
        """Returns a set-like view of the pairs of key and value."""
        return self._shared_content.items() if type(self) is UserDictView else ItemsView(self)

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        theirs = other.data if isinstance(other, collections.UserDict) else other
        if type(self) is UserDictView and isinstance(theirs, (dict, DictView)):
            return self._shared_content == theirs
        same: Any = Mapping.__eq__
        return same(self, other)

    __hash__ = None  # type: ignore[assignment]
    __or__, __ror__ = collections.UserDict.__or__, collections.UserDict.__ror__
    without("update setdefault pop popitem clear", vars())


class UserListView(_Held):
    """A shared `collections.UserList`."""

    __module__ = "onecopy.views"
    __slots__ = ()
    _shared_root = _shared_origin = collections.UserList
    __setitem__, __delitem__ = DictSubclass.__setitem__, DictSubclass.__delitem__
    __array__ = SequenceSubclass.__array__

    def tolist(self) -> list[Any]:
        """Returns a real list of the elements; containers among them stay views. `to_python` goes all the way."""
        return list(self._shared_content)

    @property
    def data(self) -> Any:
        """The view of the list."""
        return self._shared_content

    def index(self, value: Any, *limits: Any) -> int:
        """Returns the index of the first element that equals `value`."""
        return self._shared_content.index(value, *limits)  # type: ignore[no-any-return]

    without("append extend insert pop remove clear sort reverse", vars())
    _functions_of(collections.UserList, "__setitem__ __delitem__ __iadd__ __imul__ __contains__ __len__ copy", vars())
    __hash__ = None  # type: ignore[assignment]


class ChainMapView(_Held):
    """A shared `collections.ChainMap`."""

    __module__ = "onecopy.views"
    __slots__ = ()
    _shared_root = _shared_origin = collections.ChainMap
    __setitem__, __delitem__ = DictSubclass.__setitem__, DictSubclass.__delitem__

    @property
    def maps(self) -> Any:
        """The view of the mappings, the first first."""
        return self._shared_content

    def __iter__(self) -> Iterator[Any]:
        # As the original does, but without a dict of all keys.
        maps = list(self.maps)
        for index in range(len(maps) - 1, -1, -1):
            below = maps[index + 1 :]
            for key in maps[index]:
                if not any(key in other for other in below):
                    yield key

    def __len__(self) -> int:
        return len(self.maps[0]) if len(self.maps) == 1 else sum(1 for _ in self)

    def keys(self) -> Any:
        """Returns a set-like view of the keys."""
        return KeysView(self)

    def values(self) -> Any:
        """Returns a view of the values."""
        return ValuesView(self)

    def items(self) -> Any:
        """Returns a set-like view of the pairs of key and value."""
        return ItemsView(self)

    def __reversed__(self) -> Iterator[Any]:
        return iter(list(self)[::-1])

    def copy(self) -> Any:
        """Returns a real one with a real copy of the first mapping; the others stay views."""
        first, *others = self.maps
        return type(self)(first.copy(), *others)

    def __repr__(self) -> str:
        return text(self, lambda: ", ".join(map(repr, self.maps)))

    __eq__ = Mapping.__eq__
    __hash__ = None  # type: ignore[assignment]
    without("update setdefault pop popitem clear", vars())
    _functions_of(collections.ChainMap, "__setitem__ __delitem__ __ior__ pop popitem clear", vars())


def _with_deques(name: str) -> Any:
    """A comparison with deques, which lists are not."""

    def compare(self: Any, other: object) -> Any:
        if not isinstance(other, collections.deque):
            return NotImplemented
        theirs: Any = content(other, collections.deque)
        theirs = list(other) if theirs is other else theirs
        return getattr(self._shared_content, name)(theirs)

    compare.__name__ = name
    return compare


class DequeView(Typed):
    """A shared `collections.deque`."""

    __module__ = "onecopy.views"
    __slots__ = ()
    _shared_root = _shared_origin = collections.deque
    __setitem__, __delitem__ = DictSubclass.__setitem__, DictSubclass.__delitem__

    @property
    def maxlen(self) -> Any:
        """The most elements that the original holds; None if there is no such number."""
        return self._shared_argument

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise TypeError("sequence index must be integer, not 'slice'")
        return self._shared_content[index]

    def index(self, value: Any, *limits: Any) -> int:
        """Returns the index of the first element that equals `value`, between two limits.

        Raises:
            ValueError: There is none.
        """
        try:
            return self._shared_content.index(value, *limits)  # type: ignore[no-any-return]
        except ValueError:
            raise ValueError(f"{value!r} is not in deque") from None

    def copy(self) -> Any:
        """Returns a real one; containers in it stay views."""
        return shallow(self)

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, collections.deque):
            raise TypeError(f'can only concatenate deque (not "{type(other).__name__}") to deque')
        new = shallow(self)
        new.extend(other)
        return new

    def __radd__(self, other: Any) -> Any:
        if not isinstance(other, collections.deque):
            return NotImplemented
        new = other.copy()
        new.extend(self)
        return new

    def __mul__(self, count: Any) -> Any:
        return shallow(self) * count

    __rmul__ = __mul__

    def __repr__(self) -> str:
        limit = self.maxlen
        return text(self, lambda: inside(self._shared_content) + ("" if limit is None else f", maxlen={limit}"))

    __lt__, __le__, __gt__, __ge__ = map(_with_deques, ("__lt__", "__le__", "__gt__", "__ge__"))
    __eq__ = _with_deques("__eq__")
    __hash__ = None

    def __reversed__(self) -> Any:
        return reversed(self._shared_content)

    delegated("count", vars())
    without("append appendleft extend extendleft insert pop popleft remove clear reverse rotate", vars())


Mapping.register(UserDictView)
Mapping.register(ChainMapView)
Sequence.register(UserListView)
Sequence.register(DequeView)
