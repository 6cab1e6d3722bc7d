"""Why is a view pickled: to travel, to be hashed, or into a file?

A token names one store for as long as it lives, and keeps its object until it is used. Whoever pickles to hash the
bytes needs the same bytes each time and never uses them; whoever pickles into a file finds nothing there later. A
pickle does not say what it is for, but the functions that wait for it do: those of known libraries are looked for
among the callers.
"""

from __future__ import annotations

import os
import pickle
import stat
import sys
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from onecopy._onecopy import Image

# Functions that hash what they pickle.
_HASHING: Final = (
    ("joblib.hashing", "Hasher.hash"),
    ("dask.tokenize", "_normalize_pickle"),
    ("datasets.fingerprint", "Hasher.hash"),
)
# Functions that pickle into a file, and which of their variables is the file.
_SAVING: Final = (
    ("joblib.numpy_pickle", "dump", "filename"),
    ("torch.serialization", "save", "f"),
    ("pandas.io.pickle", "to_pickle", "filepath_or_buffer"),
    ("cloudpickle.cloudpickle", "dump", "file"),
    ("dill._dill", "dump", "file"),
)
# Whose functions call each other while they pickle. Whoever calls into them is the last that is looked at: a whole
# stack takes longer than making a token.
_PICKLING: Final = frozenset(
    "pickle joblib.hashing joblib.numpy_pickle cloudpickle.cloudpickle dill._dill datasets.utils._dill onecopy._array "
    "datasets.fingerprint torch.serialization".split()
)

_looked_at = 0
"""How many modules there were when functions were last looked for."""
_found: Final[dict[int, tuple[CodeType, str | None]]] = {}
"""By the address of their code: the code, and the variable with the file, or None if they hash."""
_images: Final[dict[bytes, weakref.WeakSet[Image]]] = {}
"""By their digest: several may be equal, and each may be the last one that lives."""


def is_hash(in_store: bool) -> bool:
    """Returns whether what is being pickled is going to be hashed; warns if it goes into a file.

    Args:
        in_store: Whether it would be a token, which is nothing worth in a file.
    """
    if _looked_at != len(sys.modules):
        _look()
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to ask
    while frame is not None:
        found = _found.get(id(frame.f_code))
        if found is not None:
            if found[1] is None:
                return True
            if in_store and _is_file(frame.f_locals.get(found[1])):
                _warn_of_file(frame)
                return False
        if frame.f_globals.get("__name__") not in _PICKLING:
            return False
        frame = frame.f_back
    return False


def _look() -> None:
    """Finds the functions whose modules have been imported."""
    global _looked_at  # noqa: PLW0603 - once per process and set of modules
    count = len(sys.modules)
    for module, name, *variable in (*_HASHING, *_SAVING, (__name__, "dask_token")):
        function: Any = sys.modules.get(module)
        for part in name.split("."):
            function = getattr(function, part, None)
        code = getattr(function, "__code__", None)
        if code is not None:
            _found[id(code)] = (code, variable[0] if variable else None)
    # Last: until then other threads have to look for themselves.
    _looked_at = count


def _is_file(target: object) -> bool:
    """Whether something is a path, or a file that has one: no pipe, socket, terminal or memory."""
    try:
        if isinstance(target, (str, os.PathLike)):
            return not os.path.exists(target) or os.path.isfile(target)  # noqa: PTH110, PTH113 - may be any text
        opened: Any = target
        name = opened.name
        if not isinstance(name, str) or not name:
            return False
        return _is_regular(opened)
    except Exception:  # noqa: BLE001 - somebody else's code, which is asked for the sake of a warning alone
        return False


def _is_regular(opened: Any) -> bool:
    """Whether a file with a name is one on a disk, or has no descriptor to tell: a file inside an archive, say."""
    try:
        descriptor = opened.fileno()
    except (AttributeError, OSError):
        return True
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _warn_of_file(saving: FrameType) -> None:
    """Warns whoever called the library one of whose functions pickles into a file."""
    text = (
        "a view is pickled into a file, where it is a token, not data: it can be read while processes of this program "
        "live, and not later; onecopy.save(view, path) writes the data"
    )
    library, level = _package(saving), 1
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - as `warnings` looks for it
    is_above = False
    while frame is not None and not (is_above and _package(frame) != library):
        is_above = is_above or frame is saving
        frame, level = frame.f_back, level + 1
    warnings.warn(text, RuntimeWarning, stacklevel=level)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def dask_token(view: object) -> bytes:
    """Returns what dask's `tokenize` hashes of a view: `is_hash()` finds this very function."""
    return pickle.dumps(view, pickle.HIGHEST_PROTOCOL)


def hashed(digest: bytes, image: Any) -> tuple[Any, tuple[bytes]]:
    """Returns what an image is pickled as to be hashed: its digest, and a function that finds it as long as it lives.

    dask looks whether what it hashes can be unpickled.
    """
    for known in [known for known, images in _images.items() if not images]:
        _images.pop(known, None)
    _images.setdefault(digest, weakref.WeakSet()).add(image)
    return _image_hashed, (digest,)


def _image_hashed(digest: bytes) -> Image:
    """Unpickles what was pickled to be hashed."""
    image = next(iter(_images.get(digest, ())), None)
    if image is None:
        raise pickle.UnpicklingError("this view was pickled to be hashed, not to be read: pickle it again")
    return image
