"""A table of all objects: address, length and type of each, written before a fork.

`onecopy run --why` reads it from outside, to say which objects lie on the pages that workers have copied. Workers
themselves are never walked, because that would write to the reference counts of everything they share.

This file stands alone: the command also hands it to interpreters that do not have the package.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import struct
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["install", "write_objects"]

HEAD_BYTES = 16
"""What the cyclic collector keeps before an object."""
LARGEST = 2**32 - 1


def _everything() -> list[Any]:
    """All objects that can be reached from modules and running frames, those that gc.freeze() has hidden included."""
    # In this order: a list that is being built when all objects are asked for would find, and hold, itself.
    roots: list[Any] = gc.get_objects()
    roots.extend(sys.modules.values())
    if sys.version_info >= (3, 13):
        # Before, asking a running function for its variables would leave a copy of them behind in it.
        for frame in sys._current_frames().values():  # noqa: SLF001 - documented
            inner: FrameType | None = frame
            while inner is not None:
                # This function's own variables refer to everything.
                if inner.f_globals is not globals():
                    roots.extend(inner.f_locals.values())
                inner = inner.f_back
        # A frame that is its own variable would keep everything alive until a worker's collector finds it.
        del frame, inner
    seen: dict[int, Any] = {}
    while roots:
        # A loop and no comprehension: before 3.12 that would be a function, and a cell would hold this dict, so that it
        # found itself as well. A worker's collector would free it, and write to everything in it.
        fresh: list[Any] = []
        for obj in roots:
            if id(obj) not in seen and type(obj) is not FrameType and obj is not seen:
                seen[id(obj)] = obj
                fresh.append(obj)
        roots = gc.get_referents(*fresh) if fresh else []
    found = list(seen.values())
    # Whatever else may refer to it, it holds nothing any more.
    seen.clear()
    return found


def _buffers(obj: Any) -> list[tuple[int, int, str]]:
    """Memory of an object that lies elsewhere: address, length, what it is."""
    if type(obj) is list and sys.implementation.name == "cpython":
        # ob_item, behind the head and the length.
        place = ctypes.c_void_p.from_address(id(obj) + 24).value or 0
        return [(place, 8 * len(obj), "list items")]
    if type(obj) is dict and sys.implementation.name == "cpython":
        # ma_keys, behind the head, the length and a version.
        place = ctypes.c_void_p.from_address(id(obj) + 32).value or 0
        return [(place, max(sys.getsizeof(obj) - dict.__basicsize__ - HEAD_BYTES, 0), "dict keys")]
    if type(obj) is bytearray and len(obj):
        with contextlib.suppress(BufferError):
            return [(ctypes.addressof(ctypes.c_char.from_buffer(obj)), len(obj), "bytearray data")]
    interface = getattr(obj, "__array_interface__", None) if type(obj).__name__ == "ndarray" else None
    if isinstance(interface, dict) and getattr(obj, "base", None) is None:
        return [(interface["data"][0], int(obj.nbytes), f"ndarray {obj.dtype}")]
    return []


def _family() -> int:
    """The bottom of the stack, which a process and everything that is forked from it have in common (proc(5))."""
    # The name of the process stands in parentheses and may hold anything.
    fields = Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()
    return int(fields[25])


def write_objects(folder: str | os.PathLike[str]) -> int:
    """Writes the table of this process's objects into a folder and returns how many there are.

    Args:
        folder: It must exist.

    Returns:
        The number of objects.
    """
    names: dict[str, int] = {}
    counted: list[bool] = []
    rows = bytearray()
    pack = struct.Struct("<QII").pack
    count = 0

    def add(start: int, length: int, name: str, is_counted: bool) -> None:
        kind = names.setdefault(name, len(names))
        if kind == len(counted):
            counted.append(is_counted)
        rows.extend(pack(start, min(length, LARGEST), kind))

    objects = _everything()
    for obj in objects:
        kind = type(obj)
        try:
            length = sys.getsizeof(obj)
        except Exception:  # noqa: BLE001, S112 - objects may have any __sizeof__; one without a length is left out
            continue
        head = HEAD_BYTES if gc.is_tracked(obj) else 0
        module = kind.__module__
        name = kind.__qualname__ if module in {"builtins", "__main__"} else f"{module}.{kind.__qualname__}"
        buffers = _buffers(obj)
        # What lies elsewhere is in getsizeof, and is no part of the object's own place.
        own = kind.__basicsize__ + head if buffers or not kind.__itemsize__ else length
        add(id(obj) - head, min(own, length), name, is_counted=True)
        for start, size, what in buffers:
            if start and size:
                add(start, size, what, is_counted=False)
        count += 1
    del objects
    path = Path(folder)
    (path / f"objects-{os.getpid()}.bin").write_bytes(rows)
    types = [{"name": name, "counted": counted[kind]} for name, kind in names.items()]
    text = json.dumps({"pid": os.getpid(), "family": _family(), "types": types})
    # The head says that the table is whole, so it comes last.
    (path / f"objects-{os.getpid()}.json").write_text(text)
    return count


MOST_COLLECTIONS = 1_000
"""Full collections that one process tells of."""


def mark_collections(folder: str) -> None:
    """Tells of each full collection: when it began, how long it took, in whichever process."""
    started = 0.0
    told: dict[int, int] = {}

    def on_collection(phase: str, info: dict[str, int]) -> None:
        nonlocal started
        if info["generation"] != 2:  # noqa: PLR2004 - the oldest
            return
        if phase == "start":
            started = time.monotonic()
            return
        pid = os.getpid()
        told[pid] = told.get(pid, 0) + 1
        if told[pid] > MOST_COLLECTIONS:
            return
        label = f"full collection, {time.monotonic() - started:.3f} s, {info['collected']} objects collected"
        line = json.dumps({"pid": pid, "kind": "gc", "label": label, "t": started}) + "\n"
        # Whoever measures may have ended.
        with contextlib.suppress(OSError):
            file = os.open(os.path.join(folder, f"marks-{pid}.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # noqa: PTH118
            os.write(file, line.encode())
            os.close(file)

    gc.callbacks.append(on_collection)


def install(folder: str) -> None:
    """Writes the table before the first fork, and never again: walking writes to pages that workers then share."""
    written = False
    mark_collections(folder)

    def before() -> None:
        nonlocal written
        # Workers inherit this, too, and with it that there is nothing left to do.
        if not written:
            written = True
            with contextlib.suppress(OSError):
                write_objects(folder)

    os.register_at_fork(before=before)
