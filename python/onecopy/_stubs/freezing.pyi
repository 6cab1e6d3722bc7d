"""What `freeze()` asks the extension."""

from typing import (
    Any,
    TypeAlias,
)

_Found: TypeAlias = tuple[int, int, list[tuple[type, int]], list[tuple[type, int, list[Any]]]]

def _freeze_walk(root: Any, hash: bool, dicts: bool, utf8: bool) -> _Found:
    """Freezes everything that is reachable.

    Returns objects, bytes, objects by class, and the skipped ones with the way to the first of each class.
    """

def _freeze_look(root: Any) -> _Found:
    """Counts what `_freeze_walk` would freeze, and changes nothing."""

def _freeze_seal(limit: int) -> int:
    """Keeps new objects out of the pools with frozen ones; returns the bytes that it took."""

def _freeze_trouble() -> str | None:
    """Why freezing does not work here, as far as the interpreter's memory tells; None if it does. Forks once."""

def _freeze_rows() -> list[tuple[int, int]]:
    """The audited versions: pairs of the minor version and the first patch level."""

def _freeze_header(object: Any) -> int:
    """The header of an object, for tests."""

def is_frozen(object: object) -> bool:
    """Tells whether an object is immortal: neither counted nor freed, and read by forked children without a copy.

    Args:
        object: Any object. Its parts are not looked at.

    Returns:
        True for what `freeze()` has frozen, and for what the interpreter itself keeps for ever, such as None and small
        ints. False on Pythons without immortal objects.

    Example:
        >>> import onecopy
        >>> onecopy.is_frozen([1, 2, 3])
        False
    """
