"""What containers ask Python for: pickles of their values, and the order of a sort."""

from __future__ import annotations

import pickle
import sys
from typing import TYPE_CHECKING, Any, cast

from onecopy import _onecopy, _pickle

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy._onecopy import ArrayMemory, Dict, Image


def dumps(value: Any) -> bytes | Image | Dict[str, Any] | ArrayMemory:
    """Pickles a value with its buffers inside, unless containers refer to it.

    Of a view that shows the whole of an image of the store, the image; of a Namespace or an Array, what it shows.

    Raises:
        TypeError: The value, or something inside it, cannot be pickled.
    """
    if type(value).__module__ == "onecopy.views":
        image = _whole_image(value)
        if image is not None:
            return image
    elif type(value).__module__ in ("onecopy", "onecopy.managers"):
        shown = _shown(value)
        if shown is not None:
            return shown
    try:
        pickled, buffers = _pickle.dumps(value)
    except (AttributeError, pickle.PicklingError) as error:  # which of them it is depends on the version
        raise TypeError(f"a container cannot hold this {type(value).__name__}: {error}") from error
    if buffers:
        import io

        out = io.BytesIO()
        _pickle.Pickler(out, 5).dump(value)
        return out.getvalue()
    return pickled


def _shown(value: Any) -> Dict[str, Any] | ArrayMemory | None:
    namespaces = sys.modules.get("onecopy._namespace")
    if namespaces is not None and isinstance(value, namespaces.Namespace):
        return cast("Dict[str, Any]", namespaces.entries(value))
    arrays = sys.modules.get("onecopy._writable")
    if arrays is not None and type(value) is arrays.Array:
        return cast("ArrayMemory | None", arrays.whole_memory(value))
    proxies = sys.modules.get("onecopy._array_proxy")
    if proxies is not None and type(value) is proxies.ArrayProxy:
        return cast("ArrayMemory", proxies.memory_of(value))
    return None


def namespace_of(entries: Dict[str, Any]) -> Any:
    """The namespace that shows a dict."""
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
    if arrays is not None and isinstance(view, arrays.SharedArray):
        image = arrays.whole_image(view)
    else:
        image = _onecopy.image_of_view(view)
    return image if image is not None and image.has_token else None


def sorted_places(items: list[Any], key: Callable[[Any], Any] | None, reverse: bool) -> list[int]:
    """The places of the elements in the order in which `list.sort` would put them."""
    keys = items if key is None else [key(item) for item in items]
    return sorted(range(len(items)), key=keys.__getitem__, reverse=reverse)
