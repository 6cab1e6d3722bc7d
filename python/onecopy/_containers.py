"""What containers ask Python for: pickles of their values, and the order of a sort."""

from __future__ import annotations

import pickle
import sys
from typing import TYPE_CHECKING, Any

from onecopy import _onecopy, _pickle

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy._onecopy import Image


def dumps(value: Any) -> bytes | Image:
    """Pickles a value with its buffers inside. Of a view that shows the whole of an image of the store, the image.

    Raises:
        TypeError: The value, or something inside it, cannot be pickled.
    """
    if type(value).__module__ == "onecopy.views":
        image = _whole_image(value)
        if image is not None:
            return image
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
