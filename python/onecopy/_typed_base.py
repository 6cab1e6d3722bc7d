"""Views that remember a class: what they have in common, and the bases of those of subclasses of the builtins.

Each is thin over the view of the content.
"""

# ruff: noqa: SLF001 - these files share the names under which views keep what users do not see

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from onecopy import _typed
from onecopy._onecopy import TypedView, _real

if TYPE_CHECKING:
    from collections.abc import Iterator

WAY_OUT: Final = "shared data never change; onecopy.to_python(view) gives the real thing"
NOTHING: Final[Any] = object()


class Absent:
    """In the place of a method that would change the object: `hasattr()` says no, and the error what to do."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(f"'{owner.__name__}' object has no attribute '{self.name}': {WAY_OUT}")


def without(names: str, namespace: dict[str, Any]) -> None:
    """Puts a refusal in the place of each of these methods."""
    namespace.update({name: Absent(name) for name in names.split()})


def content(obj: Any, root: type) -> Any:
    """The view of the builtin behind a view of a class that adds to it; whatever else comes back as it is."""
    if isinstance(obj, TypedView) and type(obj)._shared_root is root:  # type: ignore[attr-defined]
        return obj._shared_content
    return obj


def delegated(names: str, namespace: dict[str, Any]) -> None:
    """Adds methods that do what those of the content do."""

    def delegate(name: str) -> Any:
        def method(self: Any, *args: Any) -> Any:
            root = self._shared_root
            own = getattr(self._shared_content, name, None)
            if own is None:
                # What views do not do, a real object does; an operator may be the other's.
                return NotImplemented if name.startswith("__") else getattr(_real(self), name)(*args)
            return own(*(content(arg, root) for arg in args))

        method.__name__ = method.__qualname__ = name
        return method

    namespace.update({name: delegate(name) for name in names.split()})


class Typed(TypedView):
    """What all of them have."""

    __module__ = "onecopy.views"
    __slots__ = ()
    _shared_root: ClassVar[Any] = None
    _shared_origin: ClassVar[Any] = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Makes a real object: what methods of the class do to make another like theirs, by `type(self)(...)`."""
        if cls._shared_origin is None:
            raise TypeError(f"cannot create '{cls.__name__}' instances; onecopy.share() returns them")
        return cls._shared_origin(*args, **kwargs)

    @property  # type: ignore[misc]  # read-only, as views are
    def __class__(self) -> Any:
        """The class of the original, for `isinstance()`."""
        return type(self)._shared_origin or type(self)

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        """The attributes of the original, as views."""
        return dict(attributes(self))

    def __getattr__(self, name: str) -> Any:
        """Finds attributes of the original, and of its class."""
        for base in type(self).__mro__:
            if type(vars(base).get(name)) is Absent:
                vars(base)[name].__get__(self, type(self))
        # What protocols ask a type for, this type answers.
        if not (name.startswith("__") and name.endswith("__")):
            found = attributes(self).get(name, NOTHING)
            if found is not NOTHING:
                return found
            for base in getattr(origin(self), "__mro__", ()):
                if name in vars(base) and not hasattr(vars(base)[name], "__get__"):
                    return vars(base)[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __dir__(self) -> list[str]:
        """The names that it has: completion offers no method that is missing."""
        names = {name for base in type(self).__mro__ for name, value in vars(base).items() if type(value) is not Absent}
        return sorted({*(name for name in names if not name.startswith("_shared")), *map(str, attributes(self))})

    def __repr__(self) -> str:
        return text(self, lambda: inside(self._shared_content))

    def __len__(self) -> int:
        return len(self._shared_content)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._shared_content)

    def __contains__(self, value: object) -> bool:
        return value in self._shared_content

    delegated("__eq__", vars())
    __hash__ = None  # type: ignore[assignment]


def attributes(view: Any) -> Any:
    """The attributes of the original, as a mapping."""
    state = view._shared_state
    if state is None:
        return {}
    if isinstance(state, TypedView):  # as in `self.__dict__ = self`
        return state._shared_content
    if not isinstance(state, Sequence):
        return state
    attributes, slots = state
    return {**(attributes or {}), **slots}


def origin(view: Any) -> type:
    """The class of the original; raises if it cannot be had."""
    known: type | None = type(view)._shared_origin
    return known or _typed.find(view._shared_image, view._shared_class)


def text(view: Any, make: Any) -> str:
    """The text of a view, with an end where data have cycles."""
    name = type(view).__name__
    inner: str = view._shared_text("...", make)
    return f"{name}({inner})"


def inside(shown: Any) -> str:
    """The text of a view of a builtin, without the view's name."""
    text = repr(shown)
    return text[text.index("(") + 1 : -1]


def shallow(view: Any) -> Any:
    """A real object of the class; containers in it stay views."""
    real = _typed.blank(origin(view))
    shown = view._shared_content
    if isinstance(real, dict):
        put = _typed.setter(real)
        for key, value in shown.items():
            put(real, key, value)
    held: Any = dict(shown.items()) if isinstance(shown, Mapping) else list(shown)
    _typed.complete(real, held, view._shared_argument, dict(attributes(view)))
    return real


class DictSubclass(Typed):
    """A dict with a class of its own."""

    __slots__ = ()
    _shared_root = dict

    def __getitem__(self, key: Any) -> Any:
        """Returns the value of `key`, or what `__missing__` of the class makes of it."""
        found = self._shared_content.get(key, NOTHING)
        if found is not NOTHING:
            return found
        missing = getattr(type(self), "__missing__", None)
        if missing is None:
            raise KeyError(key)
        return missing(self, key)

    def __setitem__(self, _key: Any, _value: Any) -> NoReturn:
        raise TypeError(f"'{type(self).__name__}' object does not support item assignment: {WAY_OUT}")

    def __delitem__(self, _key: Any) -> NoReturn:
        raise TypeError(f"'{type(self).__name__}' object does not support item deletion: {WAY_OUT}")

    def get(self, key: Any, default: Any = None, /) -> Any:
        """Returns the value of `key`, or `default` if there is none."""
        return self._shared_content.get(key, default)

    def keys(self) -> Any:
        """Returns a set-like view of the keys."""
        return self._shared_content.keys()

    def values(self) -> Any:
        """Returns a view of the values."""
        return self._shared_content.values()

    def items(self) -> Any:
        """Returns a set-like view of the pairs of key and value."""
        return self._shared_content.items()

    delegated("__reversed__ copy __or__ __ror__", vars())
    without("update setdefault pop popitem clear", vars())


class OrderedView(Typed):
    """What can be compared with its like."""

    __slots__ = ()
    delegated("__lt__ __le__ __gt__ __ge__", vars())


class SequenceSubclass(OrderedView):
    __slots__ = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Shows the elements to NumPy, as the content does."""
        import numpy as np

        return np.array(self._shared_content, dtype=dtype, copy=copy)

    def __add__(self, other: Any) -> Any:
        return self._shared_content + content(other, self._shared_root)

    def __radd__(self, other: Any) -> Any:
        return other + self._shared_content

    def __mul__(self, count: Any) -> Any:
        return self._shared_content * count

    __rmul__ = __mul__

    def __reversed__(self) -> Any:
        return reversed(self._shared_content)

    delegated("__getitem__ index count tolist column", vars())


class ListSubclass(SequenceSubclass):
    """A list with a class of its own."""

    __slots__ = ()
    _shared_root = list
    __setitem__, __delitem__ = DictSubclass.__setitem__, DictSubclass.__delitem__
    delegated("copy", vars())
    without("append extend insert pop remove clear sort reverse", vars())


class TupleSubclass(SequenceSubclass):
    """A tuple with a class of its own."""

    __slots__ = ()
    _shared_root = tuple

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self._shared_content)


class SetLikeSubclass(OrderedView):
    __slots__ = ()
    delegated("__and__ __or__ __sub__ __xor__ __rand__ __ror__ __rsub__ __rxor__", vars())
    delegated("isdisjoint issubset issuperset union intersection difference symmetric_difference copy", vars())


class SetSubclass(SetLikeSubclass):
    """A set with a class of its own."""

    __slots__ = ()
    _shared_root = set
    without("add discard remove pop clear update", vars())
    without("intersection_update difference_update symmetric_difference_update", vars())


class FrozenSetSubclass(SetLikeSubclass):
    """A frozenset with a class of its own."""

    __slots__ = ()
    _shared_root = frozenset

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self._shared_content)


Mapping.register(DictSubclass)
Sequence.register(SequenceSubclass)
AbstractSet.register(SetLikeSubclass)
