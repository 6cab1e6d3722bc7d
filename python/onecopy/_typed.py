"""Classes that add to a container: which are shared by their content, how an object is taken apart, and made again.

Subclasses of list, tuple, dict, set and frozenset, and the types of `collections`. An object of such a class is its
content, what the class has beside it (the *argument*: a factory, a `maxlen`), and its attributes (the *state*).
"""

from __future__ import annotations

import collections
import copyreg
import sys
import types
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from onecopy import _pickle, _reducers

if TYPE_CHECKING:
    from collections.abc import Callable

    Taken = tuple[Any, list[Any] | None, Any, Any] | None

__all__ = ["Kind", "blank", "complete", "find", "kind_of", "real_class", "setter", "way"]

DICT, SET, LIST, FROZEN, HOLDER = range(5)
"""How objects get their content: `crates/onecopy-py/src/view/real_typed.rs` has the same numbers."""


class Kind(NamedTuple):
    """What objects of a class are made of."""

    root: type
    """The container that the class adds to."""
    layout: type
    """The class of the standard library that says how objects are laid out."""
    family: int


_FAMILIES: Final[dict[type, int]] = {
    dict: DICT,
    set: SET,
    list: LIST,
    collections.deque: LIST,
    tuple: FROZEN,
    frozenset: FROZEN,
    collections.UserDict: HOLDER,
    collections.UserList: HOLDER,
    collections.ChainMap: HOLDER,
}
_LAYOUTS: Final = (collections.OrderedDict, collections.defaultdict)
STANDARD: Final = {
    f"collections:{kind.__name__}": kind
    for kind in (*_LAYOUTS, collections.Counter, *(root for root in _FAMILIES if root.__module__ == "collections"))
}
"""Classes that are known without looking for them, by the names that images have for them."""

HELD: Final[dict[type, tuple[str, type]]] = {
    collections.UserDict: ("data", dict),
    collections.UserList: ("data", list),
    collections.ChainMap: ("maps", list),
}
"""The attribute that leads to the content, and what the content is."""

_OWN_WAYS: Final = (
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__setstate__",
    "__getnewargs__",
    "__getnewargs_ex__",
)
_OF_BUILTINS: Final = (types.MethodDescriptorType, types.WrapperDescriptorType)
_KNOWN: Final = frozenset({object, collections.Counter, *_LAYOUTS, *_FAMILIES})


def kind_of(cls: type) -> Kind | None:
    """Returns what objects of a class are made of; None if they are no containers, or more than one."""
    mro = cls.__mro__
    roots = [root for root in _FAMILIES if root in mro]
    if len(roots) != 1:
        return None
    layout = next((layout for layout in _LAYOUTS if layout in mro), roots[0])
    return Kind(roots[0], layout, _FAMILIES[roots[0]])


def way(cls: type, is_heap_type: bool) -> tuple[str, Callable[[Any], Taken], str] | None:
    """Returns how objects of a class are shared by their content: its name, what takes one apart, the argument's name.

    None if they are pickled: they are no containers, or pickled in a way of their own, or their class is written in C
    and may know more of them than what can be seen.
    """
    kind = kind_of(cls)
    if kind is None or not (cls in _KNOWN or is_heap_type) or not _is_plain(cls):
        return None
    name = f"{cls.__module__}:{cls.__qualname__}"
    return name, _TAKES.get(kind.layout) or _TAKES[kind.root], _ARGUMENTS.get(kind.layout, "argument")


def _is_plain(cls: type) -> bool:
    """Whether a class can be found by its name, and its objects are no more than content and attributes."""
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not cls or cls in copyreg.dispatch_table or cls in _reducers.reducers:
        return False
    if cls in _KNOWN:
        return True
    # Namedtuples are rows.
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return False
    if cls.__module__.partition(".")[0] == "onecopy":
        return False
    for name in _OWN_WAYS:
        definer = next((base for base in cls.__mro__ if name in vars(base)), object)
        if definer not in _KNOWN:
            return False
    made = (base for base in cls.__mro__ if base not in _KNOWN and base.__module__ != "builtins")
    return not any(map(_takes_from_builtins, made))


def _takes_from_builtins(cls: type) -> bool:
    """Whether a class has what works on real objects alone: `__getattr__ = dict.get`, or a name that views need."""
    has_taken = any(isinstance(value, _OF_BUILTINS) for value in vars(cls).values())
    return has_taken or any(
        isinstance(vars(cls).get(name), property) for name in ("__name__", "__qualname__", "__dict__")
    )


def _state(obj: Any) -> Any:
    """The attributes of an object: None, a dict, or a tuple of a dict or None and of the slots."""
    return object.__getstate__(obj)


def _take_dict(obj: Any) -> Taken:
    return list(dict.keys(obj)), list(dict.values(obj)), None, _state(obj)


def _take_ordered(obj: Any) -> Taken:
    ordered = collections.OrderedDict
    return list(ordered.keys(obj)), list(ordered.values(obj)), None, _state(obj)


_factory: Final[Any] = vars(collections.defaultdict)["default_factory"]


def _take_default(obj: Any) -> Taken:
    factory = _factory.__get__(obj)
    return list(dict.keys(obj)), list(dict.values(obj)), factory, _state(obj)


def _take_list(obj: Any) -> Taken:
    return list.__getitem__(obj, slice(None)), None, None, _state(obj)


def _take_tuple(obj: Any) -> Taken:
    return tuple.__getitem__(obj, slice(None)), None, None, _state(obj)


def _take_set(obj: Any) -> Taken:
    # Neither hashes the members anew nor asks the object for an iterator.
    return set(obj), None, None, _state(obj)


def _take_frozenset(obj: Any) -> Taken:
    return frozenset(obj), None, None, _state(obj)


def _take_deque(obj: Any) -> Taken:
    deque = collections.deque
    return list(deque.__iter__(obj)), None, deque.maxlen.__get__(obj), _state(obj)


def _takes_held(name: str, kind: type) -> Callable[[Any], Taken]:
    def take(obj: Any) -> Taken:
        state = _state(obj)
        if type(state) is not dict:
            return None
        attributes = dict(state)
        content = attributes.pop(name, None)
        # Whoever keeps something else there has ideas of their own.
        return (content, None, None, attributes or None) if type(content) is kind else None

    return take


_TAKES: Final[dict[type, Callable[[Any], Taken]]] = {
    dict: _take_dict,
    collections.OrderedDict: _take_ordered,
    collections.defaultdict: _take_default,
    list: _take_list,
    tuple: _take_tuple,
    set: _take_set,
    frozenset: _take_frozenset,
    collections.deque: _take_deque,
    **{holder: _takes_held(*held) for holder, held in HELD.items()},
}
_ARGUMENTS: Final[dict[type, str]] = {collections.defaultdict: "default_factory", collections.deque: "maxlen"}


def find(image: Any, name: str) -> type:
    """Returns the class that an image names, imported if it has to be; that runs code, as unpickling does."""
    known = STANDARD.get(name)
    if known is not None:
        return known
    if not image.allows_pickle:
        raise _pickle.refusal(image)
    return _pickle.find_class(name)


def real_class(image: Any, name: str) -> tuple[type, int, bool]:
    """Returns the class of an object, how the object gets its content, and whether it can be hashed."""
    cls = find(image, name)
    kind = kind_of(cls)
    if kind is None:
        raise TypeError(f"{name} is no class of containers")
    return cls, kind.family, cls.__hash__ is not None


def blank(cls: type, members: list[Any] | None = None) -> Any:
    """Makes an object of a class, as unpickling would: without its `__init__`; of members if they never change."""
    kind: Any = kind_of(cls)
    if members is None:
        return kind.layout.__new__(cls)
    return kind.layout.__new__(cls, members)


def setter(obj: Any) -> Callable[[Any, Any, Any], None]:
    """Returns the function that puts an entry into a dict, past whatever its class does then."""
    ordered = collections.OrderedDict
    return ordered.__setitem__ if isinstance(obj, ordered) else dict.__setitem__


def complete(obj: Any, content: Any, argument: Any, state: Any) -> None:
    """Gives an object what it has beside entries and members: what it refers to, its argument, its attributes."""
    cls = type(obj)
    kind: Any = kind_of(cls)
    if kind.root is list:
        list.extend(obj, content)
    elif kind.root is collections.deque:
        collections.deque.__init__(obj, content, argument)
    elif kind.layout is collections.defaultdict:
        collections.defaultdict.__init__(obj, argument)
    elif kind.family == HOLDER:
        name, _ = HELD[kind.root]
        object.__getattribute__(obj, "__dict__")[name] = content
    attributes, slots = state if type(state) is tuple else (state, None)
    if attributes is obj:
        # As in `self.__dict__ = self`.
        object.__setattr__(obj, "__dict__", obj)
    elif attributes:
        own = object.__getattribute__(obj, "__dict__")
        for name, value in attributes.items():
            own[sys.intern(name) if type(name) is str else name] = value
    for name, value in (slots or {}).items():
        object.__setattr__(obj, name, value)
