"""What `block`, `blocking` and `timeout` mean: as with what a Manager has in its server, in `threading` and `queue`."""

from __future__ import annotations

import queue
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable


def taken(lock: Any) -> Any:
    """A lock that this thread has, of which it can be asked in others."""
    lock.acquire()
    return lock


def filled(items: Any) -> Any:
    items.put("an item")
    return items


class Others:
    """Calls in another thread: an RLock is its own thread's."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwds: in_a_thread(lambda: getattr(self._thing, name)(*args, **kwds))


def in_a_thread(call: Callable[[], Any]) -> Any:
    found: list[Any] = []

    def run() -> None:
        found.append(outcome(call))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert found, "it waits without end"
    kind, *rest = found[0]
    if kind == "raised":
        raise rest[0](rest[1])
    return rest[0]


def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    try:
        return "returned", call()
    except (ValueError, TypeError, OverflowError, queue.Empty, queue.Full) as error:
        text = str(error) if isinstance(error, ValueError) else ""
        # As threading says it from 3.13 on.
        return "raised", type(error), text.replace("value must be positive", "value must be a non-negative number")


THINGS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "Lock": (onecopy.Lock, threading.Lock),
    "taken Lock": (lambda: taken(onecopy.Lock()), lambda: taken(threading.Lock())),
    "RLock": (onecopy.RLock, threading.RLock),
    "taken RLock": (lambda: Others(taken(onecopy.RLock())), lambda: Others(taken(threading.RLock()))),
    "Condition": (onecopy.Condition, threading.Condition),
    "Semaphore": (onecopy.Semaphore, threading.Semaphore),
    "empty Semaphore": (lambda: onecopy.Semaphore(0), lambda: threading.Semaphore(0)),
    "BoundedSemaphore": (onecopy.BoundedSemaphore, threading.BoundedSemaphore),
    "empty Queue": (onecopy.Queue, queue.Queue),
    "full Queue": (lambda: filled(onecopy.Queue(1)), lambda: filled(queue.Queue(1))),
    "empty LifoQueue": (onecopy.LifoQueue, queue.LifoQueue),
}

ACQUIRES: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1,), {}),
    ((0,), {}),
    (([],), {}),
    (("yes", 0.001), {}),
    ((True, 0), {}),
    ((True, -2), {}),
    ((False, 1), {}),
    ((False, 0), {}),
    ((False, -1), {}),
    ((), {"blocking": 0}),
    ((), {"blocking": "", "timeout": 3}),
    ((), {"timeout": 0.001}),
    ((), {"timeout": -0.5}),
]

GETS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("get", (0,), {}),
    ("get", ([], 5), {}),
    ("get", (1, 0.001), {}),
    ("get", (), {"timeout": -1}),
    ("get", (False, -1), {}),
    ("get", (), {"timeout": 0}),
    ("put", ("item", 0), {}),
    ("put", ("item", 1, 0.001), {}),
    ("put", ("item", True, -1), {}),
    ("put", ("item", "", -1), {}),
    ("put", ("item",), {"timeout": 0}),
]


def check(thing: str, method: str, args: tuple[Any, ...], kwds: dict[str, Any]) -> None:
    ours, standard = (make() for make in THINGS[thing])
    known, named = args, kwds
    if method == "acquire" and sys.version_info < (3, 12):  # where threading's locks ask for an int
        known = tuple(bool(arg) if isinstance(arg, (str, list)) else arg for arg in args)
        named = {name: bool(arg) if isinstance(arg, str) else arg for name, arg in kwds.items()}
    expected = outcome(lambda: getattr(standard, method)(*known, **named))
    assert outcome(lambda: getattr(ours, method)(*args, **kwds)) == expected


@pytest.mark.parametrize("thing", [thing for thing in THINGS if "Queue" not in thing])
def test_locks_take_what_threadings_take(thing: str) -> None:
    for args, kwds in ACQUIRES:
        # Whoever has to wait would wait without end.
        if args == (1,) and thing.startswith(("taken", "empty")):
            continue
        check(thing, "acquire", args, kwds)


@pytest.mark.parametrize("thing", [thing for thing in THINGS if "Queue" in thing])
def test_queues_take_what_the_standard_ones_take(thing: str) -> None:
    for method, args, kwds in GETS:
        # Either would wait, or takes an item.
        if not (thing == "full Queue" and method == "get"):
            check(thing, method, args, kwds)


@pytest.mark.parametrize("kind", [onecopy.Lock, onecopy.RLock])
def test_a_timeout_of_minus_one_waits_for_a_lock(kind: Any) -> None:
    lock, waits, got = kind(), threading.Event(), []

    def wait() -> None:
        waits.set()
        got.append(lock.acquire(True, -1))

    lock.acquire()
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert waits.wait(60)
    # It cannot have it, however long this takes.
    thread.join(0.05)
    assert got == []
    lock.release()
    thread.join(60)
    assert got == [True]


def test_the_truth_of_an_argument_may_fail() -> None:
    class Undecided:
        def __bool__(self) -> bool:
            raise KeyError("neither")

    calls: list[Any] = [onecopy.Lock().acquire, onecopy.Semaphore().acquire, onecopy.Queue().get]
    for call in calls:
        with pytest.raises(KeyError, match="neither"):
            call(Undecided())
