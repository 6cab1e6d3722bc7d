"""How much a process has rebuilt from images, so that whoever measures can count it.

Pickled parts of an image become objects in each process that reads them, and these look like any other memory to the
kernel. So each process leaves the sums, by image, in a memory file of its own; others find it among its descriptors. It
is made anew with each change, so that nobody reads half of one, and it goes with its process. Small objects are left
out: they are made when they are read, and most are dropped at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from onecopy import _onecopy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onecopy._onecopy import Image

__all__ = ["by_process", "note"]

_NAME: Final = "rebuilt-by-onecopy"
_MOST_BYTES: Final = 1 << 20
"""How much of another process's file is read."""
_MOST_COUNTED: Final = 1 << 47
"""No process has memory for more."""


class _Noted:
    """What this process has rebuilt."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        # By the address of an image that is alive: the reference that says when it is not, its place, its pickles.
        self.images: dict[int, tuple[weakref.ref[Image], str, set[int]]] = {}
        self.sizes: dict[int, int] = {}
        self.file = -1

    def write(self) -> None:
        """Leaves the sums for others. A program does not fail because it may be measured."""
        sums: dict[str, int] = {}
        # A copy: the garbage collector may run anywhere here and let an image go, which calls `_forget()`.
        for key, (_, place, _) in list(self.images.items()):
            sums[place] = sums.get(place, 0) + self.sizes.get(key, 0)
        with contextlib.suppress(OSError):
            file = os.memfd_create(_NAME)
            try:
                os.write(file, json.dumps({"pid": os.getpid(), "images": sums}).encode())
                file, self.file = self.file, file
            finally:
                # The last one, or this one if it could not be written.
                if file >= 0:
                    os.close(file)


_noted: Final[dict[int, _Noted]] = {}
"""By the number of forks that the process comes from."""


def note(image: Image, offset: int, size: int) -> None:
    """Counts a pickle of `size` bytes at `offset` of an image, from which an object has been made."""
    noted, key = _of_this_process(), id(image)
    with noted.lock:
        if key not in noted.images:
            noted.images[key] = weakref.ref(image, lambda _: _forget(noted, key)), image.place, set()
            noted.sizes[key] = 0
        offsets = noted.images[key][2]
        if offset not in offsets:
            offsets.add(offset)
            noted.sizes[key] += size
            noted.write()


def _of_this_process() -> _Noted:
    """What was made before a fork is the parent's: the child has its pages, and copies those that it writes to."""
    forks = _onecopy._fork_count()  # noqa: SLF001 - our own module
    noted = _noted.get(forks)
    if noted is None:
        # One step, so that all threads get the same.
        noted = _noted.setdefault(forks, _Noted())
        for of_parent in [key for key in _noted if key != forks]:
            gone = _noted.pop(of_parent, None)
            if gone is not None and gone.file >= 0:
                os.close(gone.file)
    return noted


def _forget(noted: _Noted, key: int) -> None:
    """Counts no more what was made of an image that has gone."""
    # Another thread may have had the lock at a fork; and at the end of a process nobody measures it.
    if sys.is_finalizing() or noted is not _noted.get(_onecopy._fork_count()):  # noqa: SLF001 - our own module
        return
    with noted.lock:
        del noted.images[key], noted.sizes[key]
        noted.write()


def by_process(pids: Iterable[int]) -> dict[int, dict[str, int]]:
    """Returns how many bytes of pickles each of some processes has made objects of, by the images' places."""
    found = {pid: _of(pid) for pid in pids}
    return {pid: sums for pid, sums in found.items() if sums}


def _of(pid: int) -> dict[str, int]:
    """What one process has left. Of a process that is gone or somebody else's, nothing is known."""
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError, ValueError, RecursionError):
                if os.readlink(path) == f"/memfd:{_NAME} (deleted)":  # noqa: PTH115 - it is no path
                    sums = _sums(path, pid)
                    if sums is not None:
                        return sums
    return {}


def _sums(path: Path, pid: int) -> dict[str, int] | None:
    """What a process has written; None if it is its parent's, which a child has until it makes one of its own."""
    with path.open("rb") as file:
        left: Any = json.loads(file.read(_MOST_BYTES))
    sums = left.get("images") if isinstance(left, dict) and left.get("pid") == pid else None
    if not isinstance(sums, dict):
        return None
    return {place: size for place, size in sums.items() if type(size) is int and 0 < size < _MOST_COUNTED}
