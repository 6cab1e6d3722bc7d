"""What containers ask Python for: pickles of their values, and the order of a sort."""

from __future__ import annotations

import copy
import io
import pickle
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, cast

from onecopy import _onecopy, _pickle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy._onecopy import ArrayMemory, Dict, Image


def dumps(value: Any) -> Any:
    """Pickles a value with its buffers inside, unless containers refer to it.

    Of a view that shows the whole of an image of the store, the image; of a Namespace or an Array, what it shows; of
    data with such things or other containers in it, the pickle and what it leaves out.

    Raises:
        TypeError: The value, or something inside it, cannot be pickled.
    """
    left_out = part(value)
    if left_out is not None:
        return left_out
    _pickle.register_libraries()
    try:
        pickle_, parts = _dumps(value)
    # Which of them it is depends on the version; the last is what the locks of multiprocessing raise.
    except (AttributeError, TypeError, RuntimeError, pickle.PicklingError) as error:
        if type(error) is RuntimeError and "through inheritance" not in str(error):
            raise
        from onecopy import _refusals

        raise _refusals.refusal(value, error, _dumps) from error
    return (pickle_, parts) if parts else pickle_


def _dumps(value: Any) -> tuple[bytes, list[Any]]:
    pickler = _Pickler(out := io.BytesIO())
    pickler.dump(value)
    return out.getvalue(), pickler.parts


class _Pickler(_pickle.Pickler):
    """Leaves out what containers refer to."""

    def __init__(self, out: io.BytesIO) -> None:
        super().__init__(out, 5)
        self.parts: list[Any] = []

    def reducer_override(self, obj: Any) -> Any:
        """Returns how an object is rebuilt: what is left out, by its number."""
        left_out = part(obj)
        if left_out is None:
            return super().reducer_override(obj)
        self.parts.append(left_out)
        return _left_out, (len(self.parts) - 1,)


class _Loading(threading.local):
    """What pickles that a thread reads at the moment have left out."""

    parts: Sequence[Any] = ()


_loading: Final = _Loading()


def _left_out(number: int) -> Any:
    if number >= len(_loading.parts):
        raise pickle.UnpicklingError("a value of a onecopy container is read by the container alone")
    return _loading.parts[number]


def loads(pickled: bytes, parts: Sequence[Any]) -> Any:
    """Unpickles a value of which something was left out."""
    outer, _loading.parts = _loading.parts, parts
    try:
        return pickle.loads(pickled)  # noqa: S301 - from a container of this user's
    finally:
        _loading.parts = outer


def part(value: Any) -> Any:
    """What a container refers to, instead of pickling a value: what it shows, or itself; None for all others."""
    place = type(value).__module__
    if place == "onecopy.views":
        return _whole_image(value)
    if place in ("onecopy", "onecopy.managers"):
        shown = _shown(value)
        if shown is not None:
            return shown
    return value if _onecopy.is_container(value) else None


def same(pickled: bytes | None, kept: Any, value: Any) -> bool:
    """Whether what a container keeps, as a pickle if that is all of it, is the same value of the same type.

    Equal values are the same, though their pickles may differ: a set has another order in each process, and what is
    twice in a value is written once. What has no `==`, or one that answers for each element as arrays have, is the
    same if its pickle is.
    """
    if type(kept) is not type(value):
        return False
    written = dumps(value)
    if written in (pickled, dumps(kept)):
        return True
    if getattr(kept, "ndim", 0):
        return False
    try:
        return bool(kept == value)
    except ValueError:  # there are arrays inside, whose `==` is neither true nor false
        return False


def deep_copy(container: Any, place: int, memo: dict[Any, Any]) -> Any:
    """What `copy.deepcopy` gives of a container: the builtin, or another `Value`, with copies of what is in it.

    Each read makes a new object for a container, so its place says whether it was copied before.
    """
    known = ("onecopy", place)  # the keys of `copy` are ints
    if known in memo:
        return memo[known]
    match container:
        case _onecopy.List():
            items = memo[known] = []
            items.extend(copy.deepcopy(container.to_python(), memo))
            return items
        case _onecopy.Dict():
            entries = memo[known] = {}
            entries.update(copy.deepcopy(container.to_python(), memo))
            return entries
        case _onecopy.Value():
            value = memo[known] = _onecopy.Value()
            value.set(copy.deepcopy(container.get(), memo))
            return value
        case _:  # nothing but keys, and their counts
            memo[known] = container.to_python()
            return memo[known]


def _shown(value: Any) -> Dict[str, Any] | ArrayMemory | None:
    namespaces = sys.modules.get("onecopy._namespace")
    if namespaces is not None and isinstance(value, namespaces.Namespace):
        return cast("Dict[str, Any]", namespaces.entries(value))
    arrays = sys.modules.get("onecopy._writable")
    if arrays is not None and type(value) is arrays.Array:
        return cast("ArrayMemory | None", arrays.whole_memory(value))
    proxies = sys.modules.get("onecopy._array_proxy")
    if proxies is not None and type(value) is proxies.ManagedArray:
        return cast("ArrayMemory", proxies.memory_of(value))
    return None


def namespace_of(entries: Dict[str, Any], is_managed: bool) -> Any:
    """The namespace that shows a dict."""
    if is_managed:
        from onecopy import _managed_namespace

        return _managed_namespace.over(entries)
    from onecopy import _namespace

    return _namespace.over(entries)


def array_of(memory: ArrayMemory) -> Any:
    """The array that shows memory, as whoever made it has described it."""
    if len(memory.description) == 1:  # a typecode
        from onecopy import _array_proxy

        return _array_proxy.shown(memory)
    from onecopy import _writable

    return _writable.shown(memory)


def _whole_image(view: Any) -> Image | None:
    arrays = sys.modules.get("onecopy._array")
    if arrays is not None and type(view) is arrays.SharedArray:
        image = arrays.whole_image(view)
    else:
        image = _onecopy.image_of_view(view)
    return image if image is not None and image.has_token else None


def sorted_places(items: list[Any], key: Callable[[Any], Any] | None, reverse: bool) -> list[int]:
    """The places of the elements in the order in which `list.sort` would put them."""
    keys = items if key is None else [key(item) for item in items]
    return sorted(range(len(items)), key=keys.__getitem__, reverse=reverse)
