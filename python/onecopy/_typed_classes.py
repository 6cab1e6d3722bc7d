"""The class of the views of each class that is met: of a subclass, made when the first of its objects is read.

It has the functions, properties and class methods of the original. They find what the builtin does in the view's own
bases: a `super()` in them looks behind the view's class.
"""

# ruff: noqa: SLF001 - these files share the names under which views keep what users do not see

from __future__ import annotations

import collections
import functools
import operator
from types import CellType, FunctionType
from typing import Any, Final

from onecopy import _typed
from onecopy._onecopy import DictView, FrozenSetView, ListView, RowView, SetView, TableView, TupleView, TypedView
from onecopy._typed_base import (
    NOTHING,
    DictSubclass,
    FrozenSetSubclass,
    ListSubclass,
    SetSubclass,
    TupleSubclass,
    Typed,
)
from onecopy._typed_views import (
    ChainMapView,
    CounterView,
    DefaultDictView,
    DequeView,
    OrderedDictView,
    UserDictView,
    UserListView,
)

__all__ = ["show", "view_of"]

_BUILTIN: Final[dict[type, Any]] = {
    dict: DictSubclass,
    list: ListSubclass,
    tuple: TupleSubclass,
    set: SetSubclass,
    frozenset: FrozenSetSubclass,
}
_STANDARD: Final[dict[type, Any]] = {
    kind._shared_origin: kind
    for kind in (
        CounterView,
        OrderedDictView,
        DefaultDictView,
        DequeView,
        UserDictView,
        UserListView,
        ChainMapView,
    )
}
# Classes that are found by their names live as long as the process, as a rule, and so do their views.
_views: Final[dict[type, Any]] = {**_BUILTIN, **_STANDARD}
_SKIPPED: Final = frozenset(
    "__new__ __init__ __init_subclass__ __class_getitem__ __setattr__ __delattr__ __reduce__ __reduce_ex__ "
    "__getstate__ __setstate__ __copy__ __deepcopy__ __class__ __del__ __set_name__ "
    "__subclasshook__ __replace__ __sizeof__".split()
)
_KEPT: Final = frozenset({"__doc__", "__hash__", "__match_args__"})


class _OfClass:
    """A class method: it has the class of the original, as what it makes is no view."""

    def __init__(self, method: Any) -> None:
        self.method = method

    def __get__(self, instance: object, owner: Any) -> Any:
        return self.method.__get__(None, owner._shared_origin)


def view_of(cls: type) -> Any:
    """Returns the class of the views of objects of `cls`."""
    known = _views.get(cls)
    if known is not None:
        return known
    bases = [view_of(base) for base in cls.__bases__ if base in _views or base.__module__ not in _LEFT_OUT]
    cell = CellType()
    namespace: dict[str, Any] = {"__slots__": (), "__module__": "onecopy.views", "__qualname__": f"{cls.__name__}View"}
    if any(issubclass(base, Typed) for base in bases):
        namespace["_shared_origin"] = cls
    made: Any = type(f"{cls.__name__}View", (*bases,) or (object,), namespace)
    cell.cell_contents = made
    # Afterwards, so that nothing is told that it was put into a class.
    for name, value in vars(cls).items():
        taken = _taken(name, value, cell)
        if taken is not NOTHING:
            setattr(made, name, taken)
    if "__getattr__" in vars(made):
        made.__getattr__ = _both(made.__getattr__)
    return _views.setdefault(cls, made)


_LEFT_OUT: Final = frozenset({"builtins", "typing", "abc", "collections.abc", "_collections_abc"})


def _taken(name: str, value: Any, cell: CellType) -> Any:  # noqa: PLR0911 - a line for each kind
    """What of a class its views have; nothing of what would make or change an object, and no plain values."""
    if name in _SKIPPED:
        return NOTHING
    if isinstance(value, FunctionType):
        return _with_class(value, cell)
    if isinstance(value, property):
        get = value.fget
        return property(_with_class(get, cell) if isinstance(get, FunctionType) else get, doc=value.__doc__)
    if isinstance(value, functools.cached_property):
        return property(_with_class(value.func, cell) if isinstance(value.func, FunctionType) else value.func)
    if isinstance(value, classmethod):
        return _OfClass(value)
    if isinstance(value, staticmethod) or name in _KEPT:
        return value
    is_slot = type(value).__name__ in {"member_descriptor", "getset_descriptor"}
    return value if hasattr(value, "__get__") and not is_slot else NOTHING


def _with_class(function: Any, cell: CellType) -> Any:
    """A function whose `super()`, like that of functions which it wraps, looks behind the class of `cell`."""
    code, cells = function.__code__, function.__closure__ or ()
    closure = tuple(
        cell if name == "__class__" else _wrapped(old, cell) for name, old in zip(code.co_freevars, cells, strict=True)
    )
    if all(map(operator.is_, closure, cells)):
        return _explained(function) if _BUILTIN_NAMES.intersection(code.co_names) else function
    made = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    return functools.update_wrapper(made, function)


def _wrapped(old: CellType, cell: CellType) -> CellType:
    """What a decorator has kept of a method."""
    try:
        kept = old.cell_contents
    except ValueError:  # empty so far
        return old
    if not isinstance(kept, FunctionType) or "__class__" not in kept.__code__.co_freevars:
        return old
    return CellType(_with_class(kept, cell))


_BUILTIN_NAMES: Final = frozenset({"super", *(kind.__name__ for kind in _BUILTIN)})


def _explained(function: Any) -> Any:
    """A function that may call the builtin's own methods, as in `dict.get(self, key)`, which take no view."""

    @functools.wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if "doesn't apply to" not in str(error):
                raise
            raise TypeError(
                f"{function.__qualname__}() calls a method of the builtin, which takes no view: super() in its place "
                "does, and onecopy.to_python(view) gives the real thing"
            ) from error

    return method


def _both(getter: Any) -> Any:
    """A `__getattr__` that is asked for what neither the object nor its class has."""

    def __getattr__(self: Any, name: str) -> Any:  # noqa: N807 - it becomes the method
        try:
            return Typed.__getattr__(self, name)
        except AttributeError:
            return getter(self, name)

    return __getattr__


_CONTENT: Final[dict[Any, Any]] = {
    dict: (DictView, RowView),
    list: (ListView, TableView),
    tuple: (TupleView, TableView),
    set: SetView,
    frozenset: FrozenSetView,
}
_HELD_AS: Final[dict[Any, Any]] = {
    collections.deque: list,
    **{holder: kind for holder, (_, kind) in _typed.HELD.items()},
}


def show(image: Any, node: int, name: str, shown: Any) -> Any:
    """Returns the view of an object: of its class, which is found by its name, over the view of its content."""
    kind = _by_name.get(name)
    if kind is None:
        root = next((root for root, like in _CONTENT.items() if isinstance(shown, like)), dict)
        try:
            found = _typed.find(image, name)
        except Exception:  # noqa: BLE001 - whatever it is, it is raised when somebody asks for more than the content
            kind = _BUILTIN[root]
        else:
            if _typed.kind_of(found) is None:
                raise TypeError(f"{name} is no class of containers")
            kind = view_of(found)
    if not isinstance(shown, _CONTENT[_HELD_AS.get(kind._shared_root, kind._shared_root)]):
        raise TypeError(f"the content of a {name} is no {type(shown).__name__}")
    make: Any = TypedView.__new__
    return make(kind, image, node, shown)


_by_name: Final = {name: _views[kind] for name, kind in _typed.STANDARD.items()}
