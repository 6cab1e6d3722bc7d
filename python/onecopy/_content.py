"""What a container holds now, as plain data: what `share()` and `save()` make an image of."""

from __future__ import annotations

from typing import Any, Final

_PLACES: Final = ("onecopy", "onecopy.containers", "onecopy.managers", "onecopy.sync")
"""Modules that the containers name as theirs."""

_WAYS: Final = {
    **dict.fromkeys(("List", "Dict", "Set", "Counter"), "x.to_python()"),
    "Value": "x.get()",
    "Array": "x.to_numpy()",
    **dict.fromkeys(("Namespace", "ManagedNamespace"), "vars(x)"),
    "ManagedArray": "x.tolist()",
    **dict.fromkeys(("Queue", "LifoQueue", "Lock", "RLock", "Semaphore", "BoundedSemaphore"), ""),
    **dict.fromkeys(("Event", "Condition", "Barrier"), ""),
}
"""How the content of each container is had; nothing where it is of no use."""


def way(data: Any) -> str | None:
    """The expression that gives the content of a container `x`, "" if there is none; None for what is no container."""
    kind = type(data)
    return _WAYS.get(kind.__name__) if kind.__module__ in _PLACES else None


def plain(data: Any) -> Any:
    """The content of a container, of one moment, for an image; whatever else comes back as it is."""
    if way(data) == "x.get()":
        return plain(data.get())
    content = real(data)
    # A dict is shared; a subclass of it would be pickled.
    return dict(content) if content is not data and type(data).__name__ == "Counter" else content


def real(data: Any) -> Any:
    """The content of a container, of one moment; whatever else comes back as it is."""
    match way(data):
        case "x.to_python()":
            return data.to_python()
        case "x.get()":
            return data.get()
        case "x.to_numpy()":
            return data.to_numpy()
        case "x.tolist()":
            return data.tolist()
        case "vars(x)":
            return dict(vars(data))
        case _:
            return data
