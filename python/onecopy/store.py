"""What the store of this family holds, and giving back what nobody needs: `onecopy.stats` and `onecopy.collect`.

`containers` says what each shared container uses its memory for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from onecopy import _onecopy

__all__ = ["Collected", "ContainerStats", "Stats", "collect", "containers", "stats"]


def __dir__() -> list[str]:
    """What is public, and no names that were only needed to make it."""
    return __all__


@dataclass(frozen=True, slots=True)
class Stats:
    """Figures of this process's store at one moment; sizes in bytes.

    Attributes:
        live_objects: Shared objects that can be read.
        building_objects: Objects being built, among them arrays born in the store and not yet shared.
        dying_objects: Objects whose memory is being given back.
        holds: Holds: one per object and process that uses it.
        units: Pickled tokens that nobody has unpickled yet.
        references: Containers and views in containers, each as often as it is in one.
        processes: Processes that use the store.
        containers: Shared containers, which processes write to.
        chunks: Pieces of memory that containers took when they grew.
        container_bytes: Bytes of containers and their chunks, in whole pages; `allocated_bytes` has them, too.
        allocated_bytes: Bytes of all objects, in whole pages.
        occupied_bytes: Bytes of memory that the store occupies, its own tables included.
        max_bytes: Quota for `allocated_bytes`; 0 means none.
        capacity_bytes: Address space set aside for the store, which costs no memory.
        retried_reads: How often this process, since it started, began a read of a container anew because a writer had
            disturbed it.
    """

    live_objects: int
    building_objects: int
    dying_objects: int
    holds: int
    units: int
    references: int
    processes: int
    containers: int
    chunks: int
    container_bytes: int
    allocated_bytes: int
    occupied_bytes: int
    max_bytes: int
    capacity_bytes: int
    retried_reads: int

    def to_dict(self) -> dict[str, int]:
        """Returns the figures as a dict."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ContainerStats:
    """A shared container at one moment, and what its memory is used for; sizes in bytes.

    Attributes:
        id: Its name in the store.
        kind: `"List"`, `"Dict"`, `"Namespace"`, `"Set"`, `"Counter"`, `"Value"`, `"Array"`, `"Queue"`,
            `"Lock"`, `"Semaphore"`, `"Event"`, `"Condition"` or `"Barrier"`; `"Mixed"` for a value that is plain data
            with containers in it; `"Unknown"` if another version of this package made it.
        length: Elements, or keys; of a `Value` 1.
        holds: Processes that use it.
        units: Pickled tokens of it that nobody has unpickled yet.
        chunks: Pieces of memory that it took when it grew.
        total_bytes: All its memory, in whole pages: the sum of the next three.
        live_bytes: What is in use, its own tables included.
        free_bytes: What its next elements can take.
        limbo_bytes: What was replaced, and is kept a while for those who may still be reading it.
        large_values: Values of 2 MiB and more, which lie outside it. One that several containers have, as copies of
            each other, is counted by each.
        large_bytes: Bytes of these, in whole pages, which `total_bytes` does not have.
    """

    id: str
    kind: str
    length: int
    holds: int
    units: int
    chunks: int
    total_bytes: int
    live_bytes: int
    free_bytes: int
    limbo_bytes: int
    large_values: int
    large_bytes: int

    def to_dict(self) -> dict[str, int | str]:
        """Returns the figures as a dict."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Collected:
    """What `collect()` gave back.

    Attributes:
        processes: Dead processes that were recovered.
        holds: Holds they had left behind.
        units: Pickled tokens that were given up because of their age.
        cycles: Containers that only containers referred to, which nobody could come to any more.
        objects: Objects that went with these, and chunks of containers.
        bytes: Bytes of those objects.
    """

    processes: int
    holds: int
    units: int
    cycles: int
    objects: int
    bytes: int


def stats() -> Stats:
    """Returns figures of this process's store, which is made if there is none yet.

    Returns:
        Counts and sizes in bytes.

    Raises:
        TimeoutError: Another process is stopped while it holds the store's lock.

    Example:
        >>> import onecopy
        >>> before = onecopy.stats().live_objects
        >>> view = onecopy.share([1, 2, 3])
        >>> onecopy.stats().live_objects - before
        1
    """
    return Stats(**dict(_onecopy._stats()))  # noqa: SLF001 - our own module


def containers() -> list[ContainerStats]:
    """Returns what each container of this process's store uses its memory for.

    The figures of one that is being changed may be a moment apart. Nobody who uses a container is disturbed.

    Returns:
        One row for each container that some process holds, or a token keeps.

    Raises:
        TimeoutError: Another process is stopped while it holds the store's lock.

    Example:
        >>> import onecopy
        >>> numbers = onecopy.List(range(1000))
        >>> row = next(row for row in onecopy.store.containers() if row.length == 1000)
        >>> row.kind, row.length, row.live_bytes >= 8000
        ('List', 1000, True)
    """
    return [ContainerStats(**row) for row in _onecopy._containers()]  # noqa: SLF001 - our own module


def collect(max_age: float | None = None) -> Collected:
    """Gives back what nobody needs: holds of dead processes, containers that only each other lead to, old tokens.

    A pickled view keeps its object alive until it is unpickled once, as it may be on its way. One that was lost or
    thrown away keeps it until this is called with `max_age`.

    Args:
        max_age: Age in seconds from which on tokens are given up; None keeps them all.

    Returns:
        What was given back.

    Raises:
        ValueError: `max_age` is negative or no number.
        TimeoutError: Another process is stopped while it holds the store's lock.

    Example:
        >>> import onecopy
        >>> onecopy.collect().units
        0
    """
    return Collected(**dict(_onecopy._collect(max_age)))  # noqa: SLF001 - our own module
