"""Pickling with buffers outside the pickle, and which classes' instances can be rows of a table."""

from __future__ import annotations

import copyreg
import dataclasses
import functools
import io
import pickle
import sys
from typing import TYPE_CHECKING, Any, Final

from onecopy import _content, _reducers
from onecopy._onecopy import ImageBuffer

if TYPE_CHECKING:
    from collections.abc import Iterable

_PROTOCOL: Final = 5
_DATACLASS_ROWS: Final = 1
_NAMEDTUPLE_ROWS: Final = 2


class Pickler(pickle.Pickler):
    """Asks `_reducers.reducers` first."""

    def reducer_override(self, obj: Any) -> Any:
        """Returns how an object of a known type is rebuilt."""
        reduce = _reducers.reducers.get(type(obj))
        if reduce is None:
            is_ours = type(obj).__module__.startswith("onecopy") and type(obj) is not _Column
            return _reduce_view(obj) if is_ours else NotImplemented
        return reduce(obj)


def _reduce_view(obj: Any) -> Any:
    """Takes a view inside an object apart: its token would be good for one reader alone. Refuses a container's."""
    from onecopy._share import VIEWS, to_python

    if type(obj) in VIEWS:
        return _itself, (to_python(obj),)
    objects = sys.modules.get("onecopy._object_array")
    if objects is not None and type(obj) is objects.ObjectArray:
        return _itself, (objects.real(obj),)
    arrays = sys.modules.get("onecopy._array")
    if arrays is not None and type(obj) in (arrays.SharedArray, arrays.BornArray):
        return obj.view(sys.modules["numpy"].ndarray).__reduce_ex__(_PROTOCOL)
    content = _content.way(obj)
    if content is not None:
        name = type(obj).__name__
        article = "an" if name[0] in "AE" else "a"
        comma, instead = (",", f", or put in what it holds now: {content}") if content else (", or", "")
        raise TypeError(
            f"{article} onecopy.{name} cannot be inside shared data; put both into a container, as in "
            f"onecopy.List([x]){comma} pass it to workers as an argument of its own{instead}"
        )
    return NotImplemented


def _itself(obj: Any) -> Any:
    return obj


def register_libraries() -> None:
    """Looks which libraries' types have to be pickled in another way than their own."""
    from onecopy import _frames, _numpy_kinds

    _frames.register(sys.modules)
    _numpy_kinds.register(sys.modules)
    if "torch" in sys.modules:
        from onecopy import _tensors

        _tensors.register(sys.modules)


def dumps(obj: Any) -> tuple[bytes, list[memoryview]]:
    """Pickles `obj`; buffers inside it are returned beside the pickle, not copied."""
    register_libraries()
    obj = _with_column(obj)
    out = io.BytesIO()
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        try:
            buffers.append(buffer.raw())
        except BufferError:  # not contiguous: pickled in the stream
            return True
        return False

    Pickler(out, _PROTOCOL, buffer_callback=keep).dump(obj)
    return out.getvalue(), buffers


class _Column:
    """Stands for an array of objects that is pickled as a column."""

    def __init__(self, reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


def _with_column(obj: Any) -> Any:
    """What to pickle of an array of objects by itself. Inside an object, who knows whether it does with less."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "ndarray"):
        return obj
    if type(obj) is not numpy.ndarray and (type(obj).__module__, type(obj).__name__) != (
        "onecopy.views",
        "ObjectArray",
    ):
        return obj
    from onecopy import _object_array

    obj = _object_array.real(obj)
    reduced = _object_array.reduce_array(obj)
    return obj if reduced is None else _Column(reduced)


def loads(data: Any, buffers: Iterable[Any]) -> Any:
    """Rebuilds an object."""
    first = next(iter(buffers), None)
    if type(first) is ImageBuffer:
        from onecopy import _handover

        _handover.note(first.image)
    loading = _reducers.loading
    outer, loading.mappings = loading.mappings, {}
    try:
        return pickle.loads(data, buffers=buffers)  # noqa: S301 - from a store of this user, or allowed by the caller
    finally:
        loading.mappings = outer


def refusal(image: Any) -> Exception:
    """Returns the error for a pickle in an image that came from elsewhere."""
    return pickle.UnpicklingError(
        f"{image!r} has pickled elements, which run code when they are read; "
        "onecopy.open(path, allow_pickle=True) reads them, if you trust where the file comes from"
    )


@functools.lru_cache(maxsize=256)
def row_fields(cls: type) -> tuple[int, tuple[str, ...]] | None:
    """Returns how instances of `cls` can be rows: 1 for a dataclass or 2 for a namedtuple, and the names of the fields.

    None if `cls` is neither, or if it has its own idea of how its instances are pickled.
    """
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not cls or cls in copyreg.dispatch_table:
        return None
    if cls.__reduce_ex__ is not object.__reduce_ex__ or cls.__reduce__ is not object.__reduce__:
        return None
    if issubclass(cls, tuple):
        names = cls.__dict__.get("_fields")
        plain = cls.__bases__ == (tuple,) and isinstance(names, tuple) and cls.__dict__.get("__slots__") == ()
        return (_NAMEDTUPLE_ROWS, tuple(map(sys.intern, names))) if plain and names else None
    if not dataclasses.is_dataclass(cls) or type(cls) is not type or _pickles_its_own_way(cls):
        return None
    names = tuple(sys.intern(field.name) for field in dataclasses.fields(cls))
    slots: Any = copyreg._slotnames(cls)  # type: ignore[attr-defined]  # noqa: SLF001 - as pickle finds them
    return (_DATACLASS_ROWS, names) if names and set(slots) <= set(names) else None


# Special names that rows have, or do without: operators and conversions of the class's own would be missing in them.
_ROW_METHODS: Final = frozenset(
    "__module__ __doc__ __qualname__ __dict__ __weakref__ __slots__ __annotations__ __annotate__ __annotate_func__ "
    "__annotations_cache__ __conditional_annotations__ __firstlineno__ __static_attributes__ __type_params__ "
    "__orig_bases__ __parameters__ __abstractmethods__ __init_subclass__ __class_getitem__ __subclasshook__ "
    "__slotnames__ __dataclass_fields__ __dataclass_params__ __match_args__ __replace__ __init__ __post_init__ "
    "__repr__ __hash__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __setattr__ __delattr__ __getstate__ __setstate__ "
    "__sizeof__".split()
)


def _pickles_its_own_way(cls: type) -> bool:
    """Whether instances of a dataclass are more than their attributes, or are pickled as something else."""
    for method in ("__getstate__", "__setstate__"):
        found = getattr(cls, method, None)
        own = found is not None and found is not getattr(object, method, None)
        if own and getattr(found, "__module__", None) != "dataclasses":
            return True
    bases = [base for base in cls.__mro__ if base is not object and base.__module__ not in {"typing", "abc"}]
    defined = {name for base in bases for name in vars(base) if name.startswith("__") and name.endswith("__")}
    if defined - _ROW_METHODS:
        return True
    return any(issubclass(cls, base) for base in (int, str, float, bytes, list, dict, set, frozenset))


def new_row(cls: type, kind: int, names: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    """Makes an instance of a row's class, as unpickling would: without calling its `__init__`."""
    if kind == _NAMEDTUPLE_ROWS:
        return tuple.__new__(cls, values)
    instance: Any = object.__new__(cls)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(instance, name, value)
    return instance


def find_class(name: str) -> type:
    """Imports the class that a table names as `module:qualname`."""
    module, _, qualname = name.partition(":")
    __import__(module)
    found: Any = sys.modules[module]
    for part in qualname.split("."):
        found = getattr(found, part)
    if not isinstance(found, type):
        raise TypeError(f"{name} is no class")
    return found
