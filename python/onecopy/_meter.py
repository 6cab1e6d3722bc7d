"""Watching memory from within: `watch`, `tag`, `assert_shared`."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from onecopy._onecopy import Sampler, _buffer_range, _measure_ranges

if TYPE_CHECKING:
    from types import TracebackType

    from onecopy._onecopy import Report

__all__ = ["Watch", "assert_shared", "tag", "watch"]

MOST_RANGES = 512
"""Ranges of memory that one tag may have."""
PAGE_BYTES = os.sysconf("SC_PAGESIZE")

_own_folder: tempfile.TemporaryDirectory[str] | None = None


def _side_folder() -> str:
    """Where tags are left for whoever measures: the folder of `onecopy run`, or one of this program's own."""
    global _own_folder  # noqa: PLW0603 - made when it is first needed
    given = os.environ.get("ONECOPY_SIDE")
    if given:
        return given
    if _own_folder is None:
        _own_folder = tempfile.TemporaryDirectory(prefix="onecopy-tags-", ignore_cleanup_errors=True)
    return _own_folder.name


def _buffer(obj: Any) -> tuple[int, int] | None:
    """Address and length of an object's own buffer, if it has one."""
    interface = getattr(obj, "__array_interface__", None)
    if isinstance(interface, dict):
        start, low, high = interface["data"][0], 0, obj.dtype.itemsize
        for length, stride in zip(obj.shape, obj.strides, strict=True):
            if length == 0:
                return start, 0
            low += min(0, stride * (length - 1))
            high += max(0, stride * (length - 1))
        return start + low, high - low
    try:
        return _buffer_range(obj)
    except (TypeError, BufferError):
        return None


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Whole pages, those next to each other joined; of too many, the largest."""
    pages = sorted((start // PAGE_BYTES, -(-(start + length) // PAGE_BYTES)) for start, length in ranges if length)
    joined: list[list[int]] = []
    for first, last in pages:
        if joined and first <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    joined.sort(key=lambda pair: pair[0] - pair[1])
    return [(first * PAGE_BYTES, (last - first) * PAGE_BYTES) for first, last in joined[:MOST_RANGES]]


def _ranges(obj: Any) -> list[tuple[int, int]]:
    """The memory behind an object: its buffer, its image in the store, or everything that it refers to."""
    import gc
    import sys

    from onecopy._file import image_of

    try:
        found = _buffer(image_of(obj))
    except TypeError:
        found = _buffer(obj)
    if found is not None:
        return [found]
    from onecopy._objects import HEAD_BYTES, _buffers

    ranges: list[tuple[int, int]] = []
    seen: set[int] = set()
    roots = [obj]
    while roots:
        fresh: list[Any] = []
        for item in roots:
            # What a program's code consists of belongs to everybody, not to this object.
            if id(item) not in seen and not isinstance(item, type | type(sys)) and not callable(item):
                seen.add(id(item))
                fresh.append(item)
        for item in fresh:
            buffers = [(start, length) for start, length, _ in _buffers(item)]
            own = type(item).__basicsize__ if buffers else sys.getsizeof(item)
            ranges += [(id(item) - HEAD_BYTES, own + HEAD_BYTES), *buffers]
        roots = gc.get_referents(*fresh) if fresh else []
    return ranges


def _check_name(name: object) -> None:
    """Refuses a tag's name that a report could not show."""
    if not isinstance(name, str) or not name.isprintable():
        raise ValueError(f"a tag's name must be printable text, not {name!r}")


def tag(name: str, obj: Any) -> None:
    """Gives the memory behind an object a name, under which reports show it.

    Call it in the parent, before the fork. Arrays and other buffers are one range; of lists, dicts and the like all
    that they refer to is walked once.

    Args:
        name: What to call it. Giving a name again takes it from what had it before.
        obj: An array, a view, or any object.

    Raises:
        ValueError: The name is no printable text.

    Example:
        >>> import onecopy
        >>> data = bytearray(10_000)
        >>> onecopy.tag("data", data)
    """
    _check_name(name)
    pid = os.getpid()
    lines = [{"pid": pid, "name": name, "start": 0, "len": 0}]
    lines += [{"pid": pid, "name": name, "start": start, "len": length} for start, length in _merged(_ranges(obj))]
    with Path(_side_folder(), f"tags-{pid}.jsonl").open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))


class Watch:
    """Samples this process and its children in a thread of its own; see `watch`."""

    def __init__(self, overhead: float, pid: int | None) -> None:
        self._pid = os.getpid() if pid is None else pid
        self._overhead = overhead
        self._sampler: Sampler | None = None

    def start(self) -> None:
        """Begins to sample."""
        if self._sampler is not None:
            raise RuntimeError("a watch can be used once")
        self._sampler = Sampler(self._pid, self._overhead, _side_folder())

    def stop(self) -> None:
        """Takes a last reading and ends; again is no error."""
        if self._sampler is None:
            raise RuntimeError("the watch was not started")
        self._sampler.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _stopped(self) -> Sampler:
        if self._sampler is None:
            raise RuntimeError("the watch was not started")
        self._sampler.stop()
        return self._sampler

    @property
    def report(self) -> Report | None:
        """The reading with the most physical memory; None if there was none. Ends the watch."""
        return self._stopped().report()

    @property
    def max_copies(self) -> float | None:
        """The highest number of copies in any reading; None if nothing was ever shared. Ends the watch."""
        return self._stopped().max_copies()

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts and lists, in the form that `onecopy run --json` writes. Ends the watch."""
        found: dict[str, Any] = json.loads(self._stopped().json() or "null")
        return found

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Writes the report as a page that needs no network. Ends the watch."""
        Path(path).write_text(self._stopped().html() or "", encoding="utf-8")


def watch(*, overhead: float = 0.01, pid: int | None = None) -> Watch:
    """Samples the memory of this process and its children while a block runs.

    A thread of the meter's own does it, which never takes the interpreter's lock. CPython 3.12 and later warn when a
    process with threads forks; this thread is no danger to children, which go on without it.

    Args:
        overhead: The part of one processor that sampling may take.
        pid: Another process to watch instead of this one.

    Returns:
        The watch, to be used in a `with` statement, or with `start()` and `stop()`.

    Example:
        >>> import onecopy
        >>> with onecopy.watch() as watched:
        ...     data = bytearray(1_000_000)
        >>> watched.report.complete
        True
    """
    return Watch(overhead, pid)


def _users(report: dict[str, Any], start: int) -> tuple[dict[str, Any], list[dict[str, Any]], set[int]]:
    """The sums over the ranges in question, what each process has of them, and who maps them at all."""
    total = {"pages": 0, "frames": 0, "new": 0}
    users: dict[int, dict[str, Any]] = {}
    kinds = set()
    own = os.getpid()
    for row in report["mappings"]:
        if not row["tagged"] or not any(user["pid"] == own for user in row["processes"]):
            continue
        kinds.add(row["kind"])
        for key in total:
            # Not known when a process could not be read, which the caller looks at first.
            total[key] += row[key] or 0
        for user in row["processes"]:
            sums = users.setdefault(user["pid"], {"pid": user["pid"], "shared": 0, "copied": 0, "new": 0})
            for key in ("shared", "copied", "new"):
                sums[key] += user["pages"][key]
    mapping = {pid for pid, user in users.items() if user["shared"] or user["copied"]}
    if "shared_memory" in kinds:
        # Processes that were not forked from each other have it at other addresses.
        for store in report["stores"]:
            mapping |= {user["pid"] for user in store["users"] if user["rss"]}
    _ = start
    return total, sorted(users.values(), key=lambda user: user["pid"]), mapping


def assert_shared(obj: Any, *, max_copies: float = 1.05, pid: int | None = None) -> None:
    """Fails unless an object is in memory once, and other processes have it, too.

    Call it while the workers are alive and have done their work. Without any other process that maps the memory it
    fails as well: workers that hold pickled copies of their own would otherwise look like one copy.

    Args:
        obj: An array, a view, or any object of this process.
        max_copies: How many copies may exist.
        pid: The process whose tree is looked at; this one if not given.

    Raises:
        ValueError: `max_copies` is below 1, or no number.
        AssertionError: With the table of who has copied what, the level of evidence and the agreement.
    """
    if not max_copies >= 1:
        raise ValueError(f"max_copies must be at least 1, not {max_copies!r}")
    ranges = _merged(_ranges(obj))
    name = type(obj).__name__
    if not ranges:
        raise AssertionError(f"{name} has no memory of its own: there is nothing to share")
    report = json.loads(_measure_ranges(os.getpid() if pid is None else pid, name, ranges))
    total, users, mapping = _users(report, ranges[0][0])
    copies = total["frames"] / total["pages"] if total["pages"] else None
    others = mapping - {os.getpid()}
    agreement = report["tree"]["copies"]["agreement"]
    evidence = f"level {report['level']}, agreement with PSS " + (
        "unknown" if agreement is None else f"{100 * agreement:.1f} %"
    )
    problem = ""
    if not report["complete"]:
        problem = "the processes could not be measured: " + "; ".join(report["limits"])
    elif not others:
        problem = "no other process maps this memory: workers that have the data have copies of their own"
    elif copies is None:
        problem = "this memory is younger than the other processes: nothing of it is shared"
    elif copies > max_copies:
        problem = f"{copies:.3f} copies of it exist, and {max_copies:.3f} are allowed"
    if not problem:
        return
    size = total["pages"] * PAGE_BYTES / 2**20
    lines = [f"{name} of {size:.1f} MiB: {problem}", f"  ({evidence})"]
    lines += [
        f"  process {user['pid']}: shared {user['shared'] / 2**20:.2f} MiB, copied {user['copied'] / 2**20:.2f} MiB, "
        f"new {user['new'] / 2**20:.2f} MiB"
        for user in users
    ]
    raise AssertionError("\n".join(lines))
