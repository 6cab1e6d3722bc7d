"""`freeze()`: real objects, immortal before the fork; its report and warnings."""

from __future__ import annotations

import gc as collector
import threading
import time
import types
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from onecopy import _onecopy
from onecopy._freeze_support import require_support
from onecopy._onecopy import FreezeRefused
from onecopy._ways import name as name_of
from onecopy._ways import path as path_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SEAL_LIMIT_BYTES: Final = 256 << 20
_MANY_SKIPPED: Final = 0.1
_SHOWN_TYPES: Final = 8
# Parts of the program, not of its data: left alone and counted, but neither refused nor warned about.
_CODE: Final = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)


@dataclass(frozen=True, slots=True)
class FreezeReport:
    """What `freeze()` has done, or what `freeze_check()` found that it would do.

    Attributes:
        objects: How many objects were made immortal. What was immortal before does not count.
        bytes: What they occupy, estimated; what bytearrays and arrays point to is not counted.
        seconds: How long it took, with the collection and the filling of holes.
        walk_seconds: How long it took to visit, mark and prepare the objects.
        types: How many objects of each class.
        skipped: How many objects of each class were left as they are. They stay usable and count references; a worker
            copies the pages of those that it touches.
        paths: For each skipped class the way to the first such object.
        sealed_bytes: Bytes that were taken to fill the holes between frozen objects, three times as many as are
            frozen at most.
    """

    __module__ = "onecopy"
    objects: int
    bytes: int
    seconds: float
    walk_seconds: float
    types: dict[type, int]
    skipped: dict[type, int]
    paths: dict[type, str]
    sealed_bytes: int = 0

    def __str__(self) -> str:
        each = f" ({self.walk_seconds / self.objects * 1e9:.0f} ns each to mark)" if self.objects else ""
        lines = [f"{self.objects:,} objects, {self.bytes / 2**20:.1f} MiB, in {self.seconds:.3f} s{each}"]
        lines += [f"  {count:>12,}  {name_of(kind)}" for kind, count in _most(self.types)]
        if self.sealed_bytes:
            lines.append(f"{self.sealed_bytes / 2**20:.2f} MiB taken to fill holes between frozen objects")
        if self.skipped:
            lines.append(f"{sum(self.skipped.values()):,} objects left as they are:")
            lines += [
                f"  {count:>12,}  {name_of(kind)}, first {self.paths[kind]}" for kind, count in _most(self.skipped)
            ]
        return "\n".join(lines)


def _most(counts: Mapping[type, int]) -> Iterator[tuple[type, int]]:
    """The most frequent classes, most frequent first."""
    yield from sorted(counts.items(), key=lambda pair: -pair[1])[:_SHOWN_TYPES]


class _State:
    """What this process remembers of earlier calls."""

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}
        self.frozen_before = False

    @property
    def running(self) -> threading.Lock:
        """The lock of whoever freezes. A child has its own: another thread may have been freezing at the fork."""
        return self._locks.setdefault(_onecopy._fork_count(), threading.Lock())  # noqa: SLF001 - our own module


_state: Final = _State()


def freeze(
    obj: object,
    *,
    hash: bool = True,  # noqa: A002 - names what is computed
    dicts: bool = False,
    utf8: bool = False,
    gc: bool = True,
    seal: bool = True,
    strict: bool = False,
) -> FreezeReport:
    """Makes an object and all it refers to immortal, so that forked workers read it without copying its pages.

    Call it once, late, in the process that forks the workers. The objects stay what they are, at full speed, but
    nothing of them is ever freed: there is no way back. To free the data, let a template process freeze it and fork
    the workers, and retire that family as a whole.

    Args:
        obj: Lists, tuples, dicts, sets, frozensets, deques, OrderedDicts, defaultdicts and SimpleNamespaces to any
            depth; instances of classes written in Python (dataclasses, namedtuples, enums, with or without
            `__slots__`) that have no `__del__`; numbers, strs, bytes, bytearrays, dates and times, Decimals, ranges,
            `array.array`, numpy arrays. Whatever else is met, such as a class, a function, a lock or a data frame, is
            left as it is.
        hash: Whether to compute hashes now; a str remembers its hash, and a reader that computes it writes it.
        dicts: Whether to make the `__dict__` of each instance now, for workers that call `vars()`, pickle or copy.
            About 70 bytes an instance.
        utf8: Whether to make the UTF-8 form of strs that are not ASCII now, for workers that hand them to sqlite3 or to
            extensions written in Rust.
        gc: Whether to collect and then call `gc.freeze()`, so that collections in workers leave all alone that exists
            now. Without it a collection copies about 3 MiB.
        seal: Whether to fill the holes between frozen objects, so that new objects of workers do not land there. What
            small calls freeze is sealed as soon as there is more of it.
        strict: Whether to refuse, before anything is changed, if an object would be left as it is. Classes, functions
            and modules do not count.

    Returns:
        What was frozen and what was not.

    Raises:
        FreezeUnsupported: (a `RuntimeError`) This interpreter cannot; the text says why.
        FreezeRefused: (a `TypeError`) With `strict`: `path` leads to an object that cannot be frozen.
        MemoryError: There is no memory to remember where the walk has been. What was frozen so far stays frozen, and
            what lies below it and was not reached is not found by another call.
        RuntimeError: It is running already, in another thread or below this call.

    Example:
        >>> import onecopy
        >>> data = {"words": ["one", "copy"], "counts": [1001, 1002]}
        >>> if onecopy.freeze_supported()[0]:  # a program that forks workers leaves gc and seal on
        ...     print(onecopy.freeze(data, gc=False, seal=False).skipped, onecopy.is_frozen(data["words"]))
        ... else:
        ...     print({}, True)
        {} True
    """
    require_support()
    running = _state.running
    if not running.acquire(blocking=False):
        raise RuntimeError("freeze() is running already, in another thread or below this call")
    try:
        started = time.perf_counter()
        _warn_of_history()
        if strict:
            _refuse_skipped(obj)
        objects, size, kinds, left = _onecopy._freeze_walk(obj, hash, dicts, utf8)  # noqa: SLF001 - our own module
        walked = time.perf_counter() - started
        _state.frozen_before = True
        if gc:
            collector.collect()
            collector.freeze()
        # The last step: whatever is freed later opens holes again.
        sealed = _onecopy._freeze_seal(_SEAL_LIMIT_BYTES) if seal else 0  # noqa: SLF001
        taken = time.perf_counter() - started
        # Names and paths ask the objects themselves, so they come when everything is done.
        skipped, paths = _skips(left)
        del left
        report = FreezeReport(objects, size, taken, walked, _by_class(kinds), skipped, paths, sealed)
    finally:
        running.release()
    _warn_of_skips(report)
    return report


def freeze_check(obj: object) -> FreezeReport:
    """Counts what `freeze()` would freeze and what it would leave, and marks nothing.

    Args:
        obj: What is to be frozen.

    Returns:
        The same report, `paths` included. It remembers each object that it meets, about 20 bytes each meanwhile.

    Raises:
        FreezeUnsupported: (a `RuntimeError`) This interpreter cannot freeze; the text says why.
        MemoryError: There is no memory to remember where the walk has been.

    Example:
        >>> import threading
        >>> import onecopy
        >>> if onecopy.freeze_supported()[0]:
        ...     print(onecopy.freeze_check([{"lock": threading.Lock()}]).paths[type(threading.Lock())])
        ... else:
        ...     print("obj[0]['lock']")
        obj[0]['lock']
    """
    require_support()
    started = time.perf_counter()
    objects, size, kinds, left = _onecopy._freeze_look(obj)  # noqa: SLF001 - our own module
    skipped, paths = _skips(left)
    taken = time.perf_counter() - started
    return FreezeReport(objects, size, taken, taken, _by_class(kinds), skipped, paths)


def _warn_of_history() -> None:
    if _onecopy._fork_count() > 0:  # noqa: SLF001 - our own module
        warnings.warn(
            "freeze() in a forked process: its siblings do not share what it freezes; freeze in the parent, before "
            "the fork",
            RuntimeWarning,
            stacklevel=3,
        )
    if _state.frozen_before:
        warnings.warn(
            "freeze() for the second time in this process: what an earlier call froze is never freed; freeze "
            "everything in one call, late",
            RuntimeWarning,
            stacklevel=3,
        )


def _warn_of_skips(report: FreezeReport) -> None:
    data = {kind: count for kind, count in report.skipped.items() if not issubclass(kind, _CODE)}
    count = sum(data.values())
    if count > _MANY_SKIPPED * (count + report.objects):
        listed = "; ".join(f"{count:,} × {name_of(kind)}, first {report.paths[kind]}" for kind, count in _most(data))
        warnings.warn(
            f"freeze() left {count:,} objects as they are and froze {report.objects:,}; workers copy the pages of "
            f"those that they touch: {listed}",
            RuntimeWarning,
            stacklevel=3,
        )


def _refuse_skipped(obj: object) -> None:
    _, _, _, left = _onecopy._freeze_look(obj)  # noqa: SLF001 - our own module
    refused = [(kind, way) for kind, _, way in left if not issubclass(kind, _CODE)]
    if refused:
        kind, way = refused[0]
        path = path_of(way)
        error = FreezeRefused(f"{path}: cannot freeze {name_of(kind)}; nothing was frozen")
        error.path = path
        raise error


def _hashable(kind: type) -> type:
    """The class itself, or the first of its bases that can be a key: a metaclass may forbid it."""
    for base in type.mro(kind):
        try:
            hash(base)
        except Exception:  # noqa: BLE001, S112 - whatever a metaclass raises
            continue
        return base
    return object


def _by_class(pairs: list[tuple[type, int]]) -> dict[type, int]:
    """Counts by class."""
    found: dict[type, int] = {}
    for kind, count in pairs:
        key = _hashable(kind)
        found[key] = found.get(key, 0) + count
    return found


def _skips(left: list[tuple[type, int, list[Any]]]) -> tuple[dict[type, int], dict[type, str]]:
    """Counts and paths by class."""
    paths: dict[type, str] = {}
    for kind, _, way in left:
        try:
            path = path_of(way)
        except Exception:  # noqa: BLE001 - objects on the way may have ideas of their own
            path = "obj → … (the way cannot be told)"
        paths.setdefault(_hashable(kind), path)
    return _by_class([(kind, count) for kind, count, _ in left]), paths
