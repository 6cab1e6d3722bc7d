"""The containers: what all processes see and change. `onecopy` itself has those that a program makes."""

from onecopy._onecopy import Counter, Dict, List, Set, Value, WriterLock

__all__ = ["Counter", "Dict", "List", "Set", "Value", "WriterLock"]


def __dir__() -> list[str]:
    """What is public."""
    return __all__
