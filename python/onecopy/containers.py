"""The containers: what all processes see and change. `onecopy` itself has those that a program makes."""

from onecopy._onecopy import Counter, Dict, List, Lock, Set, Value

__all__ = ["Counter", "Dict", "List", "Lock", "Set", "Value"]


def __dir__() -> list[str]:
    """What is public."""
    return __all__
