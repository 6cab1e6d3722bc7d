"""Pickling with buffers outside the pickle, and how the class of a table's rows is found."""

from __future__ import annotations

import io
import pickle
import sys
from typing import TYPE_CHECKING, Any, Final

from onecopy import _content, _reducers
from onecopy._onecopy import ImageBuffer

if TYPE_CHECKING:
    from collections.abc import Iterable

_PROTOCOL: Final = 5


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

    # Of the class itself: what `__class__` says is the object's.
    if issubclass(type(obj), VIEWS):
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
