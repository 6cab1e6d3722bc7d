"""Waiting for one another: queues, locks, semaphores, events, conditions and barriers that all processes see."""

from onecopy._onecopy import (
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Lease,
    LifoQueue,
    Lock,
    Queue,
    RLock,
    Semaphore,
)

JoinableQueue = Queue
"""As `multiprocessing` calls a queue with `task_done()` and `join()`, which every `Queue` has."""

SimpleQueue = Queue
"""As `multiprocessing` calls a queue without a bound."""

__all__ = [
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "JoinableQueue",
    "Lease",
    "LifoQueue",
    "Lock",
    "Queue",
    "RLock",
    "Semaphore",
    "SimpleQueue",
]


def __dir__() -> list[str]:
    """What is public."""
    return __all__
