"""What to say of a value that a container cannot hold: where the culprit is, and what to put in instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DEEPEST: Final = 100

_INSTEAD: Final = {
    **{name: f"onecopy.{name}()" for name in ("RLock", "Semaphore", "BoundedSemaphore", "Event", "Condition", "Queue")},
    **dict.fromkeys(("Lock", "lock"), "onecopy.Lock()"),
    **dict.fromkeys(("JoinableQueue", "SimpleQueue"), "onecopy.Queue()"),
    "Barrier": "onecopy.Barrier(parties)",
    "LifoQueue": "onecopy.LifoQueue()",
    "Synchronized": "onecopy.Value(value)",
    "SynchronizedArray": "onecopy.Array(values)",
}
"""By the names of classes that wait or share in the standard library."""


def refusal(value: Any, error: Exception, dump: Callable[[Any], object]) -> TypeError:
    """The error for a value that cannot be pickled.

    Args:
        value: What was to be put in.
        error: Why it cannot be.
        dump: Pickles a part of it, or raises.
    """
    path, culprit = "value", value
    way_out = _way_out(value)
    while not way_out and path.count(".") + path.count("[") < _DEEPEST:
        found = next(((step, part) for step, part in _parts(culprit) if _fails(part, dump)), None)
        if found is None:
            break
        path += found[0]
        culprit = found[1]
        way_out = _way_out(culprit)
    return TypeError(f"{path}: a container cannot hold this {type(culprit).__name__}: {error}{way_out}")


def _fails(part: Any, dump: Callable[[Any], object]) -> bool:
    try:
        dump(part)
    except Exception:  # noqa: BLE001 - of whatever kind
        return True
    return False


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, (set, frozenset)):
        yield from (("{…}", part) for part in value)
    elif not isinstance(value, type):
        yield from ((f".{name}", part) for name, part in getattr(value, "__dict__", {}).items())


def _way_out(culprit: Any) -> str:
    kind = type(culprit)
    instead = _INSTEAD.get(kind.__name__)
    if instead is not None and kind.__module__.partition(".")[0] in {
        "multiprocessing",
        "threading",
        "_thread",
        "queue",
    }:
        return f"; use {instead}, which can be in a container"
    if kind.__name__ == "function":
        return "; put in a function of a module, which goes by its name"
    return ""
