"""What the meter says of processes, and how it is asked."""

from collections.abc import Sequence
from os import PathLike
from typing import (
    Any,
    Self,
    final,
)

@final
class ProcessMemory:
    """One process's memory; sizes in bytes, as the kernel accounts for them."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def parent(self) -> int:
        """Its parent's id."""

    @property
    def name(self) -> str:
        """Its name, at most 15 bytes."""

    @property
    def threads(self) -> int:
        """Threads."""

    @property
    def rss(self) -> int:
        """Pages present, each counted in full however many processes map it."""

    @property
    def pss(self) -> int:
        """Pages present, each divided by the number of its mappings."""

    @property
    def uss(self) -> int:
        """Pages that only this process maps."""

    @property
    def shared(self) -> int:
        """Pages mapped more than once."""

    @property
    def private_dirty(self) -> int:
        """The written part of `uss`."""

    @property
    def pss_shmem(self) -> int | None:
        """The part of PSS in shared memory; None before Linux 5.9."""

    @property
    def swap(self) -> int:
        """Anonymous memory swapped out."""

    @property
    def role(self) -> str:
        """`"parent"`, `"worker"` (forked from a relative that is alive) or `"alone"`."""

    @property
    def inherited(self) -> int:
        """Memory that existed when it, or one of its children, was forked."""

    @property
    def copied(self) -> int:
        """The part of `inherited` that it has copied by writing."""

    @property
    def last_owner(self) -> int:
        """The part of `inherited` that nobody copied and nobody else has any more."""

    @property
    def new(self) -> int:
        """Private memory that came after the fork."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class SkippedProcess:
    """A process of the tree that could not be measured."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def name(self) -> str:
        """Its name, at most 15 bytes."""

    @property
    def reason(self) -> str:
        """`"exited"`, `"vanished"`, `"denied"`, `"kernel_thread"` or `"parents_memory"`."""

    @property
    def rss(self) -> int | None:
        """Its RSS in bytes, if that at least could be read."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class StoreMemory:
    """A store that the tree maps, counted once however many processes map it."""

    @property
    def id(self) -> str:
        """The store's id."""

    @property
    def allocated(self) -> int | None:
        """Bytes of memory that it occupies, touched or not; None if no descriptor of it may be read."""

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that map it."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class Report:
    """What a process tree's memory is made of, and how many copies of its data exist.

    Printed, it is what `onecopy report` prints. Sums are None as soon as one living process could not be read: a part
    is never shown as the whole.
    """

    @property
    def root(self) -> int:
        """Id of the process at the top."""

    @property
    def complete(self) -> bool:
        """Whether every living process of the tree was read, in one steady pass."""

    @property
    def drift(self) -> int:
        """Pages that moved while the tree was read, as page faults tell; the numbers may be off by as many."""

    @property
    def copies(self) -> float | None:
        """Physical copies of the tree's data: 1.00 is one copy; None if it cannot be told."""

    @property
    def copies_reason(self) -> str | None:
        """Why `copies` is None."""

    @property
    def level(self) -> str:
        """What the count rests on: `"A"`, page frame numbers; `"B"`, bits that need no privilege."""

    @property
    def agreement(self) -> float | None:
        """How much of the physical memory (PSS) the count explains, 1.0 for all of it; None if PSS is not known."""

    @property
    def wasted(self) -> int | None:
        """Bytes that exist only because processes wrote to inherited memory."""

    @property
    def sum_rss(self) -> int | None:
        """What adding up `ps` or `top` would say, in bytes."""

    @property
    def sum_pss(self) -> int | None:
        """Physical memory of the tree in bytes, if all who share it are in it."""

    @property
    def sum_uss(self) -> int | None:
        """Bytes that only one process of the tree maps, added up."""

    @property
    def sum_private_dirty(self) -> int | None:
        """Bytes that only one process maps and that were written, added up."""

    @property
    def allocated(self) -> int | None:
        """Bytes of memory that stores occupy, each store counted once."""

    @property
    def processes(self) -> list[ProcessMemory]:
        """The processes, parents before children."""

    @property
    def skipped(self) -> list[SkippedProcess]:
        """Processes that could not be measured, and why."""

    @property
    def stores(self) -> list[StoreMemory]:
        """The stores that the tree maps."""

    @property
    def limits(self) -> list[str]:
        """What the numbers cannot tell here, in plain words."""

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as dicts and lists."""

def memory(pid: int | None = None, children: bool = True) -> Report:
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
        TypeError: `pid` is no number.
        ValueError: `pid` is below 1.

    Example:
        >>> import onecopy
        >>> report = onecopy.memory()
        >>> report.complete and report.sum_pss <= report.sum_rss
        True
    """

@final
class Sampler:
    """A thread that samples a process tree; use `onecopy.watch()` instead."""

    def __new__(cls, pid: int | None, overhead: float, side_folder: str | PathLike[str] | None, earlier: bool) -> Self:
        """Starts at once.

        Args:
            pid: The process at the top; this one if None.
            overhead: The part of one processor that sampling may take.
            side_folder: Where tags are left.
            earlier: Whether descendants that are there already are in it.
        """

    def is_running(self) -> bool:
        """Whether it has neither ended nor been inherited by fork. One that is ending may still count as running."""

    def read(self) -> Report | None:
        """Reads now, and returns when that is done; None if there is nothing to read, or if it has ended."""

    def stop(self) -> None:
        """Takes a last reading and ends; again is no error, and neither is it in a forked child."""

    def report(self) -> Report | None:
        """The reading with the most physical memory."""

    def most_copied(self) -> Report | None:
        """The reading with the most copies of those in which another process had memory in common with somebody."""

    def forks(self) -> tuple[int, int]:
        """Forks noted, and processes that shared memory with somebody when they were read."""

    def max_copies(self) -> float | None:
        """The highest number of copies in any reading."""

    def json(self) -> str | None:
        """Everything, as JSON."""

    def html(self) -> str | None:
        """The report as a page."""

def _buffer_range(buffer: Any) -> tuple[int, int]:
    """Address and length of the memory behind an object with the buffer protocol.

    Args:
        buffer: The object.

    Returns:
        Both as numbers.

    Raises:
        TypeError: It has no buffer.
    """

def _measure_ranges(pid: int | None, name: str, ranges: Sequence[tuple[int, int]]) -> tuple[str, list[int]]:
    """Measures the tree below a process with some ranges of this one's memory named.

    Args:
        pid: The process at the top; this one if None.
        name: What the ranges are called.
        ranges: Addresses and lengths.

    Returns:
        The report as JSON, and who else has pages of what lies there in files or shared memory.
    """

def _note_forks() -> None: ...
def _fork_count() -> int: ...
def _relatives(pid: int | None) -> list[int]:
    """Processes of a tree, but this one, that are relatives of this one by fork.

    Args:
        pid: The process at the top; this one if None.

    Returns:
        Their numbers.
    """

def _layouts() -> list[tuple[str, str | None]]: ...
def _bytes_before(object: object) -> int:
    """Bytes that the interpreter keeps before an object: the collector's head, and managed pointers.

    Args:
        object: The object.

    Raises:
        TypeError: They are not known for this Python.
    """

def _held_by(object: object) -> tuple[int, int] | None:
    """Finds the memory of what a list, dict, set, frozenset or bytearray holds, without counting a reference.

    Args:
        object: The container.

    Returns:
        Address and length; None for anything else.

    Raises:
        TypeError: It is not known where this Python keeps it.
    """

def _digest(object: object) -> int:
    """Hashes the references that an object holds: with the same ones it lies in the same memory.

    Args:
        object: The object.

    Raises:
        TypeError: It is not known where this Python keeps them.
    """
