"""What the store of this family holds."""

from typing import (
    final,
)

@final
class Stats:
    """Figures of this process's store at one moment; sizes in bytes."""

    @property
    def live_objects(self) -> int:
        """Shared objects that can be read."""

    @property
    def building_objects(self) -> int:
        """Objects being built, among them arrays born in the store and not yet shared."""

    @property
    def dying_objects(self) -> int:
        """Objects whose memory is being given back."""

    @property
    def holds(self) -> int:
        """Holds: one per object and process that uses it."""

    @property
    def units(self) -> int:
        """Pickled tokens that nobody has unpickled yet."""

    @property
    def processes(self) -> int:
        """Processes that use the store."""

    @property
    def allocated_bytes(self) -> int:
        """Bytes of all objects, in whole pages."""

    @property
    def occupied_bytes(self) -> int:
        """Bytes of memory that the store occupies, its own tables included."""

    @property
    def max_bytes(self) -> int:
        """Quota for `allocated_bytes`; 0 means none."""

    @property
    def capacity_bytes(self) -> int:
        """Address space set aside for the store, which costs no memory."""

    def to_dict(self) -> dict[str, int]:
        """Returns the figures as a dict."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class Collected:
    """What `collect()` gave back."""

    @property
    def processes(self) -> int:
        """Dead processes that were recovered."""

    @property
    def holds(self) -> int:
        """Holds they had left behind."""

    @property
    def units(self) -> int:
        """Pickled tokens that were given up because of their age."""

    @property
    def objects(self) -> int:
        """Objects that went with these."""

    @property
    def bytes(self) -> int:
        """Bytes of those objects."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

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

def collect(max_age: float | None = None) -> Collected:
    """Gives back what nobody needs: holds of dead processes and, with `max_age`, tokens that were never unpickled.

    A pickled view keeps its object alive until it is unpickled once, as it may be on its way. One that was lost or
    thrown away keeps it until this is called.

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
