"""What `_pickle` and those who know single libraries (`_frames`, `_tensors`) have in common."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy._onecopy import Image, PrivateBuffer

# What `_frames` and `_tensors` know of types whose own pickles copy their data: for an instance, what `__reduce__`
# would return, or NotImplemented.
reducers: dict[type, Callable[[Any], Any]] = {}


class _Loading(threading.local):
    """What a thread unpickles at the moment: by `id()` of their images, the mappings that the object has so far."""

    def __init__(self) -> None:
        self.mappings: dict[int, PrivateBuffer | None] = {}


loading: Final = _Loading()


def private_mapping(image: Image) -> PrivateBuffer | None:
    """Returns a copy-on-write mapping of all of `image`, one for all parts of the object that is being unpickled.

    None if the image lies in memory that cannot be mapped.
    """
    mappings = loading.mappings
    if id(image) not in mappings:
        try:
            mappings[id(image)] = image.private(0, image.nbytes)
        except TypeError:
            mappings[id(image)] = None
    return mappings[id(image)]
