"""Which classes' instances are shared by their attributes, and the classes of the views that show them."""

from __future__ import annotations

import collections
import copyreg
import dataclasses
import functools
import sys
import types
from abc import ABCMeta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from onecopy import _reducers
from onecopy._onecopy import (
    RecordView,
    _real,
    _record_dict,
    _record_field,
    _record_hash,
    _record_layout,
    _record_same,
    _register_record_class,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    # Kind of rows; fields of a namedtuple, or slots; what reads the slots if the class answers for those that are not
    # set; whether instances have a `__dict__`.
    Layout: TypeAlias = tuple[int, tuple[str, ...], tuple[Callable[..., Any], ...] | None, bool]

_INSTANCES: Final = 1
_NAMEDTUPLES: Final = 2
_TEXT: Final = 1000
"""Characters of a text that a class makes of a view."""
_OBJECTS: Final = frozenset({"onecopy", "scipy"})
"""Packages whose instances stay whole: their compiled functions look into objects of the exact types."""
_SLOTS: Final = ("_onecopy_at", "_onecopy_rows")

# Special names that a namedtuple's class may define: its view does what a tuple does.
_NAMEDTUPLE_NAMES: Final = frozenset(
    "__module__ __doc__ __qualname__ __slots__ __annotations__ __annotate__ __annotate_func__ __annotations_cache__ "
    "__conditional_annotations__ __firstlineno__ __static_attributes__ __type_params__ __orig_bases__ __match_args__ "
    "__new__ __repr__ __getnewargs__ __replace__ __dict__ __weakref__ __slotnames__ __init_subclass__ "
    "__class_getitem__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __hash__ __parameters__".split()
)


def layout(cls: type) -> Layout | None:
    """Returns how instances of a class are rows; None if they are more than attributes, or have a way to be pickled."""
    metaclass = type(cls)
    if metaclass is not type and metaclass is not ABCMeta and not _is_pydantic(metaclass):
        return None
    if cls in copyreg.dispatch_table or cls in _reducers.reducers:
        return None
    return _decided(cls)


@functools.lru_cache(maxsize=1024)
def _decided(cls: Any) -> Layout | None:
    if cls is types.SimpleNamespace:
        return _INSTANCES, (), None, True
    is_reduced = cls.__reduce_ex__ is not object.__reduce_ex__ or cls.__reduce__ is not object.__reduce__
    if is_reduced or not _is_importable(cls):
        return None
    if issubclass(cls, tuple):
        return _namedtuple(cls)
    return _instances(cls) if _is_plain(cls) and _has_default_state(cls) else None


def _instances(cls: Any) -> Layout | None:
    """How instances are rows that keep their attributes in slots or a dict, and nothing else."""
    # As pickle finds them; each once, though a class may repeat a slot of its base.
    slots: list[str] = list(dict.fromkeys(copyreg._slotnames(cls)))  # type: ignore[attr-defined]  # noqa: SLF001
    members = [static(cls, name) for name in slots]
    are_slots = all(isinstance(member, types.MemberDescriptorType) for member in members)
    has_dict = _record_layout(cls, len(slots)) if are_slots else None
    if has_dict is None:
        return None
    getters = tuple(member.__get__ for member in members) if hasattr(cls, "__getattr__") else None
    return _INSTANCES, tuple(map(sys.intern, slots)), getters, has_dict


def _is_importable(cls: type) -> bool:
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls


def _is_plain(cls: Any) -> bool:
    """Whether instances are made of attributes alone, and found in them as by any object."""
    if cls.__module__.partition(".")[0] in _OBJECTS and not dataclasses.is_dataclass(cls):
        return False
    # Those of the first are typed by what they hold, or pickled.
    is_container = issubclass(cls, (collections.UserDict, collections.UserList, collections.ChainMap))
    is_made_oddly = cls.__new__ is not object.__new__ or cls.__getattribute__ is not object.__getattribute__
    if is_container or is_made_oddly:
        return False
    if any(hasattr(cls, name) for name in ("__getnewargs__", "__getnewargs_ex__", "__del__")):
        return False
    for base in cls.__mro__[:-1]:
        attributes = vars(base)
        if "__class__" in attributes:
            return False
        if not isinstance(attributes.get("__dict__"), types.GetSetDescriptorType | None):
            return False
    return True


def _has_default_state(cls: type) -> bool:
    """Whether pickle would take the attributes as they are."""
    for name in ("__getstate__", "__setstate__"):
        found: Any = getattr(cls, name, None)
        if found is None or found is getattr(object, name, None):
            continue
        pydantic = sys.modules.get("pydantic.main")
        if pydantic is not None and found is getattr(pydantic.BaseModel, name):
            continue
        # Dataclasses and attrs define them for classes with slots.
        if getattr(found, "__globals__", {}).get("__name__") not in {"dataclasses", "attr._make"}:
            return False
    return True


def _is_pydantic(metaclass: type) -> bool:
    pydantic = sys.modules.get("pydantic.main")
    return pydantic is not None and metaclass is type(pydantic.BaseModel)


def _namedtuple(cls: Any) -> Layout | None:
    """How instances of a namedtuple's class, or of a class derived from one, are rows."""
    bases = cls.__mro__[: cls.__mro__.index(tuple)]
    names = vars(bases[-1]).get("_fields") if bases else None
    if not isinstance(names, tuple) or not names or vars(bases[-1]).get("__slots__") != ():
        return None
    if cls.__new__ is not vars(bases[-1])["__new__"].__func__ or cls._fields != names:
        return None
    defined = {name for base in bases for name in vars(base) if name.startswith("__") and name.endswith("__")}
    has_state = any(hasattr(cls, name) for name in ("__setstate__", "__getnewargs_ex__"))
    if defined - _NAMEDTUPLE_NAMES or has_state or type(cls) is not type:
        return None
    return _NAMEDTUPLES, tuple(map(sys.intern, names)), None, any("__dict__" in vars(base) for base in bases)


def static(cls: type, name: str) -> Any:
    """Returns what a class has under a name, as it stands there; None if it has nothing."""
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return None


# One for each class, for good: views have it as their type. And what in it is no property of the class's own.
_view_classes: dict[type, tuple[type, frozenset[str]]] = {}


def view_class(cls: type | None, names: tuple[str, ...]) -> tuple[type, tuple[bool, ...]]:
    """Returns the class of the views of a class's instances, and which of the fields the class itself answers for.

    Args:
        cls: The class, or None where nobody may import it.
        names: The fields of a table.
    """
    found = layout(cls) if cls is not None else None
    if cls is None or found is None or found[0] != _INSTANCES:
        return _unknown(), tuple(name in {"__class__", "__dict__", "__weakref__"} for name in names)
    known = _view_classes.get(cls)
    if known is None:
        known = _view_classes.setdefault(cls, (_make(cls, found), frozenset(found[1]) | _class_methods(cls)))
    view, ours = known
    return view, tuple(name not in ours and _answers_first(static(view, name)) for name in names)


def _answers_first(attribute: object) -> bool:
    """Whether an attribute of a class comes before one of the instance, as properties do."""
    kind = type(attribute)
    return hasattr(kind, "__get__") and (hasattr(kind, "__set__") or hasattr(kind, "__delete__"))


def _class_methods(cls: type) -> set[str]:
    """The names of the methods that are given the class, which is not to be the view's."""
    names = {name for base in cls.__mro__ for name in vars(base) if not name.startswith("__")}
    return {name for name in names if isinstance(static(cls, name), classmethod)}


def _make(cls: Any, found: Layout) -> type:
    _, slots, _, has_dict = found

    def new(_view: type, *args: Any, **options: Any) -> Any:
        return cls(*args, **options)

    namespace: dict[str, Any] = {
        "__doc__": cls.__doc__,
        "__class__": property(lambda _view: cls),
        "__new__": new,
        **{name: property(functools.partial(_record_field, name=name), _refuse, _refuse) for name in slots},
    }
    for name in _class_methods(cls) - set(slots):
        namespace[name] = property(functools.partial(_of_class, name=name, cls=cls), _refuse, _refuse)
    if has_dict:
        namespace["__dict__"] = property(functools.partial(_record_dict, slots=slots), _refuse, _refuse)
    if cls is types.SimpleNamespace:
        namespace["__eq__"] = _equal_namespaces
        namespace["__hash__"] = None
    elif cls.__eq__ is object.__eq__:
        # Functions of the extension do not take a view for `self`.
        namespace["__eq__"] = lambda view, other: _record_same(view, other)  # noqa: PLW0108
        own = cls.__hash__ is not object.__hash__
        namespace["__hash__"] = cls.__hash__ if own else lambda view: _record_hash(view)  # noqa: PLW0108
    if cls is not types.SimpleNamespace and not _is_generated(cls.__repr__):
        namespace["__repr__"] = _short(cls.__repr__)
    # What the interpreter lays out in C would be looked at in C, past the attributes.
    base = _bare() if cls is types.SimpleNamespace else cls
    return _derived(base, cls.__name__, cls.__qualname__, namespace)


def _derived(base: type, name: str, qualname: str, namespace: dict[str, Any]) -> type:
    """A class of views. None of the class's own hooks sees it come: it is no subclass that anybody has written."""
    bases = (base,) if issubclass(base, RecordView) else (RecordView, base)
    namespace |= {"__module__": "onecopy.views", "__qualname__": f"{qualname}View", "__slots__": _SLOTS}
    made: type = type.__new__(type(base), f"{name}View", bases, namespace, onecopy=True)
    if isinstance(made, ABCMeta):
        from _abc import _abc_init  # type: ignore[import-not-found] # what `ABCMeta` does beside making a class

        _abc_init(made)
    type.__setattr__(made, "__slots__", ())
    _register_record_class(made)
    return made


def _is_generated(text_of: Any) -> bool:
    """Whether a `__repr__` shows the fields and nothing else."""
    if text_of is object.__repr__:
        return True
    code = getattr(getattr(text_of, "__wrapped__", text_of), "__code__", None)
    name = getattr(code, "co_filename", "")
    # dataclasses wrap what they have made; attrs names it.
    return name.startswith("<attrs generated") or (name == "<string>" and hasattr(text_of, "__wrapped__"))


def _short(text_of: Callable[[Any], str]) -> Callable[[Any], str]:
    @functools.wraps(text_of)
    def short(view: Any) -> str:
        text = text_of(view)
        half = _TEXT // 2
        return text if len(text) <= _TEXT else f"{text[:half]}...{text[-half:]}"

    return short


def _of_class(_view: Any, name: str, cls: type) -> Any:
    return getattr(cls, name)


def _refuse(_view: Any, _value: object = None) -> None:
    raise AttributeError("shared data never change; onecopy.to_python(view) gives the real thing")


def _equal_namespaces(view: Any, other: object) -> Any:
    if not isinstance(other, types.SimpleNamespace):
        return NotImplemented
    return vars(view) == vars(other)


@functools.cache
def _bare() -> type:
    """Records of no class."""
    namespace = {"__module__": "onecopy.views", "__slots__": ("__weakref__",)}
    return type.__new__(type, "RecordView", (RecordView,), namespace, onecopy=True)


@functools.cache
def _unknown() -> type:
    """The class of views of instances whose class nobody may import, or that is another one now: they have fields.

    Whatever else they are asked for, a real instance has to answer.
    """

    def attribute(view: Any, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"a view of an instance of an unknown class has no attribute {name!r}")
        return getattr(_real(view), name)

    def equal(view: Any, other: object) -> Any:
        return _real(view) == _real(other)

    namespace = {
        "__getattr__": attribute,
        "__eq__": equal,
        "__hash__": lambda view: hash(_real(view)),
        "__lt__": lambda view, other: _real(view) < _real(other),
        "__le__": lambda view, other: _real(view) <= _real(other),
        "__gt__": lambda view, other: _real(view) > _real(other),
        "__ge__": lambda view, other: _real(view) >= _real(other),
        "__dict__": property(_record_dict, _refuse, _refuse),
        "__dir__": lambda view: list(_record_dict(view)),
    }
    return _derived(_bare(), "Record", "Record", namespace)


def new_row(cls: type) -> Any:
    """Makes an instance without attributes, as unpickling would: without calling its `__init__`."""
    return types.SimpleNamespace() if cls is types.SimpleNamespace else object.__new__(cls)


def set_attributes(instance: Any, names: tuple[str, ...], values: tuple[Any, ...]) -> None:
    """Gives an instance its attributes, as unpickling would: past the class's `__setattr__`, and past properties."""
    found = layout(type(instance))
    slots = found[1] if found is not None else ()
    for name, value in zip(names, values, strict=True):
        if name in slots or found is None or not found[3]:
            object.__setattr__(instance, name, value)
        else:
            instance.__dict__[name] = value
