"""Waiting for one another: queues, locks, semaphores, events, conditions and barriers that all processes see."""

from collections.abc import Callable
from types import GenericAlias
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar, final, overload

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

_T = TypeVar("_T")

@final
class Lease(Generic[_T]):
    """An item that comes back if this process dies, or drops the lease, before it is done with it."""

    @property
    def item(self) -> _T:
        """The item."""

    @property
    def is_again(self) -> bool:
        """Whether another process had the item before, and died or gave it back."""

    def done(self) -> None:
        """Says that the item is done with: it will not come back, and counts as `task_done()`.

        Raises:
            RuntimeError: The lease has ended, or belongs to another process.
        """

    def give_back(self) -> None:
        """Gives the item back: whoever asks next gets it.

        Raises:
            RuntimeError: The lease has ended, or belongs to another process.
        """

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...

class Queue(Generic[_T]):
    """A queue that all processes see, as `multiprocessing.JoinableQueue` and a Manager's `Queue()`."""

    def __init__(self, maxsize: int = 0) -> None: ...
    def put(self, item: _T, block: bool = True, timeout: float | None = None) -> None:
        """Puts an item at the end.

        Args:
            item: Any object that can be pickled.
            block: Whether to wait for room.
            timeout: Seconds to wait; without end by default.

        Raises:
            queue.Full: There was no room in time.
            ValueError: This object was closed; `timeout` is below 0.
        """

    def put_nowait(self, item: _T) -> None:
        """Puts an item at the end if there is room.

        Raises:
            queue.Full: There is none.
        """

    @overload
    def get(self, block: bool = True, timeout: float | None = None, *, lease: Literal[False] = False) -> _T:
        """Takes the next item.

        Args:
            block: Whether to wait for one.
            timeout: Seconds to wait; without end by default.
            lease: Whether to return a `Lease` of the item: if this process dies before it is done, another gets it.

        Raises:
            queue.Empty: None came in time.
            ValueError: This object was closed; `timeout` is below 0.
        """

    @overload
    def get(self, block: bool = True, timeout: float | None = None, *, lease: Literal[True]) -> Lease[_T]: ...
    def get_nowait(self) -> _T:
        """Takes the next item if there is one.

        Raises:
            queue.Empty: There is none.
        """

    def qsize(self) -> int:
        """Items that can be taken, as of a moment ago."""

    def empty(self) -> bool:
        """Whether there are none, as of a moment ago."""

    def full(self) -> bool:
        """Whether there is no room, as of a moment ago."""

    @property
    def maxsize(self) -> int:
        """The most items that it holds; 0 for any number."""

    def task_done(self) -> None:
        """Says that an item which was got is done with.

        Raises:
            ValueError: It was said more often than items were put.
        """

    def join(self) -> None:
        """Waits until all items that were put are done with."""

    def close(self) -> None:
        """Ends the use of this object; others of the queue go on."""

    def join_thread(self) -> None:
        """Does nothing: there is no feeder thread to wait for. `multiprocessing.Queue` has it."""

    def cancel_join_thread(self) -> None:
        """Does nothing: there is no feeder thread to wait for. `multiprocessing.Queue` has it."""

    def verify(self) -> None:
        """Checks every invariant of the queue's memory.

        Raises:
            onecopy.OnecopyError: One is broken; the text says which and where.
        """

    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class LifoQueue(Queue[_T]):
    """A queue of which the item that was put last is taken first."""

    def __init__(self, maxsize: int = 0) -> None: ...

JoinableQueue: TypeAlias = Queue
SimpleQueue: TypeAlias = Queue

class _Acquired:
    """What is taken and given back."""

    def acquire(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> bool:
        """Takes it, and returns whether it was to be had.

        Args:
            block: Whether to wait for it.
            timeout: Seconds to wait; without end by default.
            blocking: The same as `block`.
        """

    def __enter__(self) -> bool: ...
    def __exit__(self, *_error: object) -> None: ...

class _Mortal(_Acquired):
    @property
    def deaths(self) -> int:
        """What processes had when they died, and others got."""

@final
class Lock(_Mortal):
    """A lock that all processes see, as `multiprocessing.Lock`."""

    def __init__(self) -> None: ...
    def release(self) -> None:
        """Gives the lock back, whoever has taken it.

        Raises:
            RuntimeError: Nobody has it.
        """

    def locked(self) -> bool:
        """Whether some living thread of some process has the lock."""

@final
class RLock(_Mortal):
    """A lock that the thread which has it may take again, as `multiprocessing.RLock`."""

    def __init__(self) -> None: ...
    def release(self) -> None:
        """Gives the lock back once.

        Raises:
            RuntimeError: This thread does not have it.
        """

    def locked(self) -> bool:
        """Whether some living thread of some process has the lock."""

@final
class Semaphore(_Mortal):
    """A semaphore that all processes see, as `multiprocessing.Semaphore`."""

    def __init__(self, value: int = 1) -> None: ...
    def release(self, n: int = 1) -> None:
        """Gives `n` units back, or adds them."""

    def get_value(self) -> int:
        """Units to be had, as of a moment ago."""

@final
class BoundedSemaphore(_Mortal):
    """A semaphore that never has more units than it began with, as `multiprocessing.BoundedSemaphore`."""

    def __init__(self, value: int = 1) -> None: ...
    def release(self, n: int = 1) -> None:
        """Gives `n` units back.

        Raises:
            ValueError: There would be more than at first.
        """

    def get_value(self) -> int:
        """Units to be had, as of a moment ago."""

@final
class Event:
    """An event that all processes see, as `multiprocessing.Event`."""

    def __init__(self) -> None: ...
    def is_set(self) -> bool:
        """Whether it is set."""

    def set(self) -> None:
        """Sets it, and wakes all who wait for it."""

    def clear(self) -> None:
        """Takes it back."""

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, and returns whether it was.

        Args:
            timeout: Seconds to wait; without end by default.
        """

@final
class Condition(_Acquired):
    """A condition that all processes see, as `multiprocessing.Condition`."""

    def __init__(self, lock: Lock | RLock | None = None) -> None: ...
    def release(self) -> None:
        """Gives the lock back.

        Raises:
            RuntimeError: It is not held.
        """

    def wait(self, timeout: float | None = None) -> bool:
        """Gives the lock back, waits until it is woken, and takes the lock again. Returns whether it was woken.

        Args:
            timeout: Seconds to wait; without end by default.

        Raises:
            RuntimeError: The lock is not held.
        """

    def wait_for(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T:
        """Waits until a function returns something true, and returns what it returned last.

        Args:
            predicate: It is called with the lock held, at first and each time this is woken.
            timeout: Seconds to wait in all; without end by default.
        """

    def notify(self, n: int = 1) -> None:
        """Wakes up to `n` of those who wait.

        Raises:
            RuntimeError: The lock is not held.
        """

    def notify_all(self) -> None:
        """Wakes all who wait.

        Raises:
            RuntimeError: The lock is not held.
        """

@final
class Barrier:
    """A barrier that all processes see, as `multiprocessing.Barrier`."""

    def __init__(
        self, parties: int, action: Callable[[], object] | None = None, timeout: float | None = None
    ) -> None: ...
    def wait(self, timeout: float | None = None) -> int:
        """Waits until all have come, and returns this one's number, from 0 on.

        Args:
            timeout: Seconds to wait; who waits in vain breaks the barrier.

        Raises:
            threading.BrokenBarrierError: Somebody has broken it, or died.
        """

    def reset(self) -> None:
        """Makes the barrier as it was at first. Those who wait get `threading.BrokenBarrierError`."""

    def abort(self) -> None:
        """Breaks the barrier: all who wait, and all who come, get `threading.BrokenBarrierError`."""

    @property
    def parties(self) -> int:
        """How many have to come."""

    @property
    def n_waiting(self) -> int:
        """How many wait, as of a moment ago."""

    @property
    def broken(self) -> bool:
        """Whether it is broken."""

    @property
    def deaths(self) -> int:
        """Deaths that broke it."""
