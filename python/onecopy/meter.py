"""Memory as the kernel accounts for it: reports, and watching from within.

What everybody calls is in `onecopy` as well: `onecopy.memory`, `watch`, `assert_shared`, `tag`, `mark`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from onecopy import _onecopy, _rebuilt, _side
from onecopy._asserting import assert_shared, tag
from onecopy._onecopy import Sampler, _note_forks, _write_report
from onecopy._side import mark

if TYPE_CHECKING:
    from types import TracebackType
    from typing import SupportsIndex

    from _typeshed import StrOrBytesPath

__all__ = [
    "ProcessMemory",
    "Report",
    "SkippedProcess",
    "StoreMemory",
    "Watch",
    "assert_shared",
    "mark",
    "memory",
    "tag",
    "watch",
]


def __dir__() -> list[str]:
    """What is public, and no names that were only needed to make it."""
    return __all__


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """One process's memory; sizes in bytes, as the kernel accounts for them.

    Attributes:
        pid: Its id.
        parent: Its parent's id.
        name: Its name, at most 15 bytes.
        threads: Threads.
        rss: Pages present, each counted in full however many processes map it.
        pss: Pages present, each divided by the number of its mappings.
        uss: Pages that only this process maps.
        shared: Pages mapped more than once.
        private_dirty: The written part of `uss`.
        pss_shmem: The part of PSS in shared memory; None before Linux 5.9.
        swap: Anonymous memory swapped out.
        role: `"parent"`, `"worker"` (forked from a relative that is alive) or `"alone"`.
        inherited: Memory that existed when it, or one of its children, was forked.
        copied: The part of `inherited` that it has copied by writing.
        last_owner: The part of `inherited` that nobody copied and nobody else has any more.
        new: Private memory that came after the fork.
    """

    pid: int
    parent: int
    name: str
    threads: int
    rss: int
    pss: int
    uss: int
    shared: int
    private_dirty: int
    pss_shmem: int | None
    swap: int
    role: str
    inherited: int
    copied: int
    last_owner: int
    new: int


@dataclass(frozen=True, slots=True)
class SkippedProcess:
    """A process of the tree that could not be measured.

    Attributes:
        pid: Its id.
        name: Its name, at most 15 bytes.
        reason: `"exited"`, `"vanished"`, `"denied"`, `"kernel_thread"` or `"parents_memory"`.
        rss: Its RSS in bytes, if that at least could be read.
    """

    pid: int
    name: str
    reason: str
    rss: int | None


@dataclass(frozen=True, slots=True)
class StoreMemory:
    """A store that the tree maps, counted once however many processes map it.

    Attributes:
        id: The store's id.
        allocated: Bytes of memory that it occupies, touched or not; None if no descriptor of it may be read.
        pids: Ids of the processes that map it.
    """

    id: str
    allocated: int | None
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What a process tree's memory is made of, and how many copies of its data exist.

    Printed, it is what `onecopy report` prints. Sums are None as soon as one living process could not be read: a part
    is never shown as the whole.

    Attributes:
        root: Id of the process at the top.
        complete: Whether every living process of the tree was read, in one steady pass.
        drift: Pages that moved while the tree was read, as page faults tell; the numbers may be off by as many.
        copies: Physical copies of the tree's data: 1.00 is one copy; None if it cannot be told.
        copies_reason: Why `copies` is None.
        level: What the count rests on: `"A"`, page frame numbers; `"B"`, bits that need no privilege.
        agreement: How much of the physical memory (PSS) the count explains, 1.0 for all of it; None if PSS is not
            known.
        wasted: Bytes that exist only because processes wrote to inherited memory.
        sum_rss: What adding up `ps` or `top` would say, in bytes.
        sum_pss: Physical memory of the tree in bytes, if all who share it are in it.
        sum_uss: Bytes that only one process of the tree maps, added up.
        sum_private_dirty: Bytes that only one process maps and that were written, added up.
        allocated: Bytes of memory that stores occupy, each store counted once.
        processes: The processes, parents before children.
        skipped: Processes that could not be measured, and why.
        stores: The stores that the tree maps.
        limits: What the numbers cannot tell here, in plain words.
        rebuilt: By process, bytes of pickles that it has made objects of, for each image that it still has. `copies`
            speaks of pages and does not know that these are further copies of the same data. Only what `memory()` and
            `Watch.read()` return has it.
    """

    root: int
    complete: bool
    drift: int
    copies: float | None
    copies_reason: str | None
    level: str
    agreement: float | None
    wasted: int | None
    sum_rss: int | None
    sum_pss: int | None
    sum_uss: int | None
    sum_private_dirty: int | None
    allocated: int | None
    processes: tuple[ProcessMemory, ...]
    skipped: tuple[SkippedProcess, ...]
    stores: tuple[StoreMemory, ...]
    limits: tuple[str, ...]
    _json: str
    rebuilt: dict[int, int] = field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as dicts and lists, in the form that `onecopy report --json` prints."""
        found: dict[str, Any] = json.loads(self._json)
        return found

    def __str__(self) -> str:
        text = _onecopy._report_text(self._json)  # noqa: SLF001 - our own module
        if not self.rebuilt:
            return text
        each = ", ".join(f"process {pid} {size / 2**20:.1f} MiB" for pid, size in sorted(self.rebuilt.items()))
        said = "rebuilt from pickled parts of images, so further copies of them, in bytes of pickles"
        return f"{text.rstrip()}\n{said}: {each}\n"

    __repr__ = __str__


def memory(pid: SupportsIndex | None = None, children: bool = True) -> Report:
    """Measures the memory of a process and its children, from the kernel's own accounting.

    Args:
        pid: The process; by default this one.
        children: Whether to measure all processes below it as well.

    Returns:
        A report that prints as the one of the command `onecopy report`. A child that may not be looked into is in
        `skipped`, and leaves the sums None.

    Raises:
        ProcessLookupError: There is no such process.
        PermissionError: It may not be looked into: it is somebody else's, say.
        RuntimeError: `/proc` is that of another pid namespace, where the number means another process.
        TypeError: `pid` is no number.
        ValueError: `pid` is below 1.

    Example:
        >>> import onecopy
        >>> report = onecopy.memory()
        >>> report.complete and report.sum_pss <= report.sum_rss
        True
    """
    return _with_rebuilt(_onecopy._memory(pid, children))  # noqa: SLF001 - our own module


def _with_rebuilt(report: Report) -> Report:
    """The same, with what the processes say that they have rebuilt."""
    found = _rebuilt.by_process(row.pid for row in report.processes)
    return replace(report, rebuilt={pid: sum(sizes.values()) for pid, sizes in found.items()})


class Watch:
    """Samples this process and its children in a thread of its own; see `watch`."""

    def __init__(self, overhead: float, pid: int | None, *, earlier: bool = True) -> None:
        self._pid = pid
        self._earlier = earlier
        self._overhead = overhead
        self._owner = os.getpid()
        self._sampler: Sampler | None = None
        self._was_read = False

    def start(self) -> None:
        """Begins to sample.

        Raises:
            RuntimeError: It was started before, or `/proc` is that of another pid namespace.
            ValueError: The overhead is no part of one processor, or `pid` is below 1.
            ProcessLookupError, PermissionError: There is no process `pid`, or it is somebody else's.
        """
        if self._sampler is not None:
            raise RuntimeError("a watch can be used once")
        self._owner = os.getpid()
        self._sampler = Sampler(self._pid, self._overhead, _side.folder(), self._earlier)

    def read(self) -> Report:
        """Reads now, and returns when that is done, whatever the overhead may be.

        Call it in a test while the workers are alive and have done their work: what a watch sees of itself depends on
        when it looks.

        Returns:
            The report, of all processes of the tree.

        Raises:
            RuntimeError: The watch does not run, or belongs to the process that forked this one; or not all processes
                could be read.

        Example:
            >>> import onecopy
            >>> with onecopy.watch() as watched:
            ...     report = watched.read()
            >>> report.complete
            True
        """
        if self._sampler is None or not self._sampler.is_running():
            self._refuse_others()
            raise RuntimeError("the watch does not run")
        report = self._sampler.read()
        if report is None or not report.complete:
            limits = [] if report is None else report.limits
            raise RuntimeError("\n".join(["not all processes could be read", *limits]))
        self._was_read = True
        return _with_rebuilt(report)

    def stop(self) -> None:
        """Takes a last reading and ends; again is no error. In a child that was forked meanwhile nothing happens."""
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
        self.stop()
        self._refuse_others()
        assert self._sampler is not None  # noqa: S101 - stop() has looked
        return self._sampler

    def _refuse_others(self) -> None:
        if os.getpid() != self._owner:
            raise RuntimeError(f"the watch belongs to process {self._owner}, which started it")

    def _verdict(self) -> tuple[Report | None, str]:
        """For tests: the reading with the most copies, if any was shared, and what no reading has seen. Ends the watch.

        Who has asked for a reading has chosen its moment: other forks are no matter then.
        """
        sampler = self._stopped()
        forked, sharers = sampler.forks()
        unread = forked - sharers
        if unread <= 0 or (self._was_read and sharers > 0):
            return sampler.most_copied(), ""
        if sharers == 0:
            workers = "1 worker was" if forked == 1 else f"{forked} workers were"
            return sampler.most_copied(), f"{workers} forked, and none was there long enough to be read"
        return sampler.most_copied(), f"{unread} of {forked} workers that were forked were not read"

    def report(self) -> Report | None:
        """The reading with the most physical memory; None if there was none. Ends the watch."""
        return self._stopped().report()

    def max_copies(self) -> float | None:
        """The highest number of copies in any reading; None if nothing was ever shared. Ends the watch."""
        return self._stopped().max_copies()

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts and lists, in the form that `onecopy run --json` writes. Ends the watch."""
        found: dict[str, Any] = json.loads(self._stopped().json() or "null")
        return found

    def to_html(self, path: StrOrBytesPath) -> None:
        """Writes the report as a page that needs no network. Ends the watch.

        A new file is one that only this user can read, as command lines may hold secrets.

        Raises:
            OSError: The file cannot be written; the old one is left then.
        """
        _write_report(os.fsdecode(path), (self._stopped().html() or "").encode())


os.register_at_fork(before=_note_forks)


def watch(*, overhead: float = 0.01, pid: int | None = None) -> Watch:
    """Samples the memory of this process and its children while a block runs.

    A thread of the meter's own does it, which never takes the interpreter's lock. CPython 3.12 and later count it, and
    give a DeprecationWarning when such a process forks; this thread is no danger to children, which go on without it.
    The filter is `ignore:This process .* is multi-threaded:DeprecationWarning`.

    Just before each `os.fork()`, multiprocessing's included, the watch notes what the process has, which takes a
    millisecond or two and some five more per GiB, within the same budget. Only so can it tell what a child has copied
    from what both have allocated since.

    Args:
        overhead: The part of one processor that sampling may take.
        pid: Another process to watch instead of this one.

    Returns:
        The watch, to be used in a `with` statement, or with `start()` and `stop()`.

    Example:
        >>> import onecopy
        >>> with onecopy.watch() as watched:
        ...     data = bytearray(1_000_000)
        >>> watched.report().complete
        True
    """
    return Watch(overhead, pid)
