"""A table of all objects: address, length and type of each, written before a fork.

`onecopy run --why` reads it from outside, to say which objects lie on the pages that workers have copied. Workers
themselves are never walked, because that would write to the reference counts of everything they share.

This file stands alone: the command also hands it to interpreters that do not have the package.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import json
import mmap
import os
import struct
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, BinaryIO

if __package__:
    from onecopy import _handlers, _left, _samples
else:
    # An interpreter that does not have the package.
    import onecopy_handlers as _handlers  # type: ignore[import-not-found,no-redef,unused-ignore]
    import onecopy_left as _left  # type: ignore[import-not-found,no-redef,unused-ignore]
    import onecopy_samples as _samples  # type: ignore[import-not-found,no-redef,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Seen = dict[int, mmap.mmap]
    Stretch = tuple[int, int]
    Held = Callable[[Any], Stretch | None]

__all__ = ["install", "write_objects"]

HEAD_BYTES = sys.getsizeof([]) - [].__sizeof__()
"""What the cyclic collector keeps before an object."""
LARGEST = 2**32 - 1
REGION_BITS = 26
"""Addresses that one map of what was seen covers, 64 MiB."""
PIECE = 1_024
"""Objects whose referents are asked for at once, and rows that are written at once."""
LEAVES = {bool, bytearray, bytes, complex, float, int, str}
"""Types whose objects refer to nothing."""


def _roots() -> list[Any]:
    """What the collector knows, modules, and the variables of running frames."""
    # In this order: a list that is being built when all objects are asked for would find, and hold, itself.
    roots: list[Any] = gc.get_objects()
    roots.extend(sys.modules.values())
    if sys.version_info >= (3, 13):
        # Before, asking a running function for its variables would leave a copy of them behind in it.
        for frame in sys._current_frames().values():  # noqa: SLF001 - documented
            inner: FrameType | None = frame
            while inner is not None:
                # This module's own variables refer to everything.
                if inner.f_globals is not globals():
                    roots.extend(inner.f_locals.values())
                inner = inner.f_back
        # A frame that is its own variable would keep everything alive until a worker's collector finds it.
        del frame, inner
    return roots


def _new_region() -> mmap.mmap:
    """A byte for each 16 of the addresses, of which no two objects begin in the same; memory only where it is used."""
    region = mmap.mmap(-1, 1 << (REGION_BITS - 4), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # Kernels may be built without huge pages, and Python before 3.8 has no name for it.
    with contextlib.suppress(OSError, AttributeError):
        region.madvise(mmap.MADV_NOHUGEPAGE)
    return region


def _unseen(objects: list[Any], seen: Seen) -> list[Any]:
    """Those that come for the first time."""
    found = []
    for obj in objects:
        place = id(obj)
        region = seen.get(place >> REGION_BITS)
        if region is None:
            region = seen[place >> REGION_BITS] = _new_region()
        slot = (place & ((1 << REGION_BITS) - 1)) >> 4
        if not region[slot]:
            region[slot] = 1
            # A frame refers to whatever its function is looking at.
            if type(obj) is not FrameType:
                found.append(obj)
    return found


_module = type.__dict__["__module__"].__get__
_qualname = type.__dict__["__qualname__"].__get__


class _Kind:
    """What the rows of one type have in common."""

    __slots__ = ("basic", "held", "is_fixed", "is_leaf", "is_sized", "number", "what")

    def __init__(self, kind: type, number: int, what: str, held: Held | None) -> None:
        self.number = number
        self.basic = kind.__basicsize__
        self.is_leaf = kind in LEAVES
        self.is_fixed = not kind.__itemsize__
        sizeof: object = kind.__sizeof__
        self.is_sized = not self.is_fixed or sizeof is not object.__sizeof__
        self.held = held
        self.what = what


class _Table:
    """The file of the table, and the types in it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._rows: list[int] = []
        self._kinds: dict[type, _Kind] = {}
        self._numbers: dict[str, int] = {}
        self._counted: list[bool] = []
        self._elsewhere, self._limits = _elsewhere()
        self.count = 0

    def _number(self, name: str, *, is_counted: bool) -> int:
        number = self._numbers.setdefault(name, len(self._numbers))
        if number == len(self._counted):
            self._counted.append(is_counted)
        return number

    def _new_kind(self, kind: type) -> _Kind:
        # What the interpreter itself knows: metaclasses may say anything, and run any code.
        module, name = _module(kind), str.__str__(_qualname(kind))
        if type(module) is str and module not in {"builtins", "__main__"}:
            name = f"{module}.{name}"
        what, held = self._elsewhere.get(kind) or ("ndarray", _ndarray if _is_ndarray(kind) else None)
        found = self._kinds[kind] = _Kind(kind, self._number(name, is_counted=True), what, held)
        return found

    def add_all(self, objects: list[Any], left: list[Any]) -> None:  # noqa: C901 - one loop for millions
        """Adds their rows, and what may refer to others to what is left to be looked at."""
        kinds, rows, is_tracked, getsizeof = self._kinds, self._rows, gc.is_tracked, sys.getsizeof
        for obj in objects:
            try:
                kind = kinds.get(type(obj)) or self._new_kind(type(obj))
            except KeyboardInterrupt:
                raise
            except BaseException:  # noqa: BLE001 - metaclasses may have anything; what the object holds is looked at
                left.append(obj)
                continue
            head = 0
            if not kind.is_leaf:
                left.append(obj)
                head = HEAD_BYTES if is_tracked(obj) else 0
            length = kind.basic + head
            if kind.is_sized:
                try:
                    size = getsizeof(obj)
                    if kind.held is not None:
                        self._add_held(kind, kind.held, obj)
                except KeyboardInterrupt:
                    raise
                except BaseException:  # noqa: BLE001, S112 - any __sizeof__; one without a length is left out
                    continue
                if kind.held is None and not kind.is_fixed:
                    length = size
                # What lies elsewhere is in the size, and is no part of the object's own place.
                length = min(length, size, LARGEST)
            rows += (id(obj) - head, length, kind.number)
            self.count += 1
            if len(rows) >= 3 * PIECE:
                self.flush()

    def _add_held(self, kind: _Kind, held: Held, obj: Any) -> None:
        start, extent = held(obj) or (0, 0)
        if start and extent:
            what = f"ndarray {obj.dtype}" if held is _ndarray else kind.what
            self._rows += (start, min(extent, LARGEST), self._number(what, is_counted=False))

    def flush(self) -> None:
        """Writes the rows that wait."""
        self._file.write(struct.pack("<" + len(self._rows) // 3 * "QII", *self._rows))
        self._rows.clear()

    def head(self, seconds: float) -> str:
        """What the rows mean, and how long it took to write them."""
        types = [{"name": name, "counted": self._counted[number]} for name, number in self._numbers.items()]
        return json.dumps(
            {"pid": os.getpid(), "family": _family(), "seconds": seconds, "types": types, "limits": self._limits}
        )


# Memory of an object that lies elsewhere: address and length, or None.


def _bytearray(obj: bytearray) -> Stretch | None:
    with contextlib.suppress(BufferError):
        return (ctypes.addressof(ctypes.c_char.from_buffer(obj)), len(obj)) if obj else None
    return None


def _is_ndarray(kind: type) -> bool:
    numpy = sys.modules.get("numpy")
    return type(numpy) is type(sys) and numpy.__dict__.get("ndarray") is kind


def _ndarray(obj: Any) -> Stretch | None:
    interface = getattr(obj, "__array_interface__", None)
    if isinstance(interface, dict) and getattr(obj, "base", None) is None:
        return interface["data"][0], int(obj.nbytes)
    return None


def _elsewhere() -> tuple[dict[type, tuple[str, Held]], list[str]]:
    """By type, what lies elsewhere and where; and what is not known here.

    The extension knows where lists and dicts keep what they hold. It is not imported for that: whoever measures a
    program must not change it. Without it, the place is found out on samples.
    """
    found: dict[type, tuple[str, Held]] = {bytearray: ("bytearray data", _bytearray)}
    extension = sys.modules.get("onecopy._onecopy")
    limits = []
    for kind, what in ((list, "list items"), (dict, "dict keys")):
        try:
            if type(extension) is type(sys):
                held: Held = extension._held_by  # noqa: SLF001 - of this package
                held(kind())
            else:
                held = _samples.found(kind)
        except (AttributeError, TypeError, OSError) as error:
            # Another version, or a layout that does not hold here.
            limits.append(f"memory of {what} has no name: {error}")
        else:
            found[kind] = what, held
    return found, limits


def _family() -> int:
    """The bottom of the stack, which a process and everything that is forked from it have in common (proc(5))."""
    # The name of the process stands in parentheses and may hold anything.
    fields = Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()
    return int(fields[25])


def _write(place: int, name: str) -> _Table:
    """Writes the rows of all objects that can be reached, those that gc.freeze() has hidden included."""
    # Whatever is made from here on is no root, and nothing that is looked at refers to it: the walk does not find
    # itself. It has no closures, as these would be cells that the collector knows.
    objects = _roots()
    seen: Seen = {}
    left: list[Any] = []
    with open(_left.create(place, name), "wb", buffering=0) as file:  # noqa: PTH123 - of a descriptor
        table = _Table(file)
        for start in range(0, len(objects), PIECE):
            table.add_all(_unseen(objects[start : start + PIECE], seen), left)
        del objects
        while left:
            # The last ones first, so that few are left at any time.
            piece = left[-PIECE:]
            del left[-PIECE:]
            table.add_all(_unseen(gc.get_referents(*piece), seen), left)
        table.flush()
    return table


def _give_back() -> None:
    """Gives memory back to the kernel that the allocator has kept: workers would inherit it, and write to it."""
    # Not every C library has it.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))


def write_objects(folder: str | os.PathLike[str]) -> int:
    """Writes the table of this process's objects into a folder and returns how many there are.

    `onecopy why PID --objects FOLDER` reads it; nobody but this user can. Call it in the parent, before the fork. It
    takes some seconds for a million objects, and next to no memory that stays.

    Args:
        folder: It must exist.

    Returns:
        The number of objects.

    Raises:
        FileNotFoundError, NotADirectoryError: There is no such folder.
        OSError: The table cannot be written there.

    Example:
        >>> import onecopy, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     onecopy.write_objects(folder) > 1_000
        True
    """
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _write_into(place)
    finally:
        os.close(place)


def _write_into(place: int) -> int:
    """Writes the table into an open folder and returns how many objects there are."""
    name = f"objects-{os.getpid()}"
    # The head says that the table is whole, so it comes last, and an older one goes first.
    _left.remove(place, name + ".json")
    begun = time.monotonic()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        table = _write(place, name + ".bin")
    finally:
        if was_enabled:
            gc.enable()
    with open(_left.create(place, name + ".json"), "w") as file:  # noqa: PTH123 - of a descriptor
        file.write(table.head(time.monotonic() - begun))
    count = table.count
    del table
    _give_back()
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
            _left.append(folder, f"marks-{pid}.jsonl", line.encode())

    gc.callbacks.append(on_collection)


def before_fork(folder: str) -> Iterator[None]:
    """Goes on once, before the first fork, and writes the table. A table that cannot be written is none.

    A generator goes on inside its `try`, so that also a signal that arrived just before is caught: a function would
    raise before its first line. Not covered: of several exceptions all but the first; one that is raised while the
    first is being handed on; and one that is set in another thread than the main one, from outside
    (`PyThreadState_SetAsyncExc`).
    """
    handlers = _handlers.Handlers()
    try:
        try:
            yield
        except GeneratorExit:
            # The program ends, and never forked.
            return
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises
            handlers.raised = error
        handlers.hold()
        with contextlib.suppress(Exception):
            # The name may be another folder's by now.
            place = _left.open_folder(folder)
            try:
                _write_into(place)
            finally:
                os.close(place)
    except BaseException as error:  # noqa: BLE001 - of one that is not held yet
        handlers.raised = handlers.raised or error
    handlers.release()
    if handlers.raised is not None:
        _handlers.raise_after_fork(handlers.raised)


def install(folder: str) -> None:
    """Writes the table before the first fork, and never again: walking writes to pages that workers then share."""
    try:
        os.close(_left.open_folder(folder))
    except OSError:
        # Somebody else's: nothing is left there.
        return
    mark_collections(folder)
    steps = before_fork(folder)
    next(steps)
    # The outer iterator ends when it is first asked, so that nobody waits for the inner one or steps into it: a thread
    # that forks meanwhile, a worker, a later fork.
    once = map(next, iter([steps]))
    os.register_at_fork(before=functools.partial(next, once, None))
