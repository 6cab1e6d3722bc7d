"""Queues, locks, semaphores, events, conditions and barriers: as `multiprocessing`'s, under every start method."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

METHODS = ("fork", "forkserver", "spawn")
WATCHDOG_S = 120


def started(method: str, work: Callable[..., None], *arguments: Any) -> Any:
    process = multiprocessing.get_context(method).Process(target=work, args=arguments)  # type: ignore[attr-defined]
    process.start()
    return process


def ended(process: Any, code: int = 0) -> None:
    process.join(WATCHDOG_S)
    assert process.exitcode == code


def use_all(  # noqa: PLR0917 - one of each
    items: onecopy.Queue[Any],
    lock: onecopy.Lock,
    recursive: onecopy.RLock,
    semaphore: onecopy.Semaphore,
    event: onecopy.Event,
    condition: onecopy.Condition,
    barrier: onecopy.Barrier,
) -> None:
    with lock, recursive, recursive:
        items.put({"pid": os.getpid()})
    assert semaphore.acquire()
    event.set()
    with condition:
        condition.notify()
    barrier.wait(WATCHDOG_S)


@pytest.mark.parametrize("method", METHODS)
def test_all_of_them_work_between_processes(method: str) -> None:
    items: onecopy.Queue[Any] = onecopy.Queue()
    lock, recursive, semaphore, event = onecopy.Lock(), onecopy.RLock(), onecopy.Semaphore(2), onecopy.Event()
    condition, barrier = onecopy.Condition(), onecopy.Barrier(2)
    with condition:
        process = started(method, use_all, items, lock, recursive, semaphore, event, condition, barrier)
        assert event.wait(WATCHDOG_S)
        assert condition.wait(WATCHDOG_S)
    barrier.wait(WATCHDOG_S)
    ended(process)
    assert items.get(timeout=WATCHDOG_S) == {"pid": process.pid}
    # The unit that it had when it ended has come back, or comes when it is asked for.
    assert semaphore.acquire(timeout=WATCHDOG_S)
    assert semaphore.acquire(timeout=WATCHDOG_S)
    assert not lock.locked()
    items.verify()


def test_each_pickles_to_the_same_object() -> None:
    items: onecopy.Queue[int] = onecopy.Queue(3)
    same: onecopy.Queue[int] = pickle.loads(pickle.dumps(items))
    same.put(1)
    assert (items.get(), same.maxsize) == (1, 3)
    stack: onecopy.LifoQueue[int] = pickle.loads(pickle.dumps(onecopy.LifoQueue()))
    assert type(stack) is onecopy.LifoQueue
    stack.put(1)
    stack.put(2)
    assert stack.get() == 2
    lock = onecopy.Lock()
    with lock:
        assert not pickle.loads(pickle.dumps(lock)).acquire(block=False)
    recursive = onecopy.RLock()
    with recursive:
        again = pickle.loads(pickle.dumps(recursive))
        assert again.acquire(block=False)
        again.release()
    bounded = onecopy.BoundedSemaphore(2)
    with bounded:
        assert pickle.loads(pickle.dumps(bounded)).get_value() == 1
    condition = onecopy.Condition(lock)
    with pickle.loads(pickle.dumps(condition)):
        assert lock.locked()
    event = onecopy.Event()
    pickle.loads(pickle.dumps(event)).set()
    assert event.is_set()
    barrier = onecopy.Barrier(1, action=print, timeout=5)
    assert pickle.loads(pickle.dumps(barrier)).wait() == 0


def test_a_queue_keeps_its_bound_and_says_full_and_empty() -> None:
    items: onecopy.Queue[Any] = onecopy.Queue(maxsize=1)
    assert (items.empty(), items.full(), items.qsize()) == (True, False, 0)
    items.put("one")
    assert (items.empty(), items.full(), items.qsize()) == (False, True, 1)
    for put in (items.put_nowait, lambda item: items.put(item, False), lambda item: items.put(item, timeout=0.001)):
        with pytest.raises(queue.Full):
            put("two")
    assert items.get() == "one"
    for get in (
        items.get_nowait,
        lambda: items.get(False),
        lambda: items.get(timeout=0.001),
        lambda: items.get(True, 0),
    ):
        with pytest.raises(queue.Empty):
            get()
    items.task_done()
    with pytest.raises(ValueError, match="task_done"):
        items.task_done()
    items.join()
    items.close()
    for use in (lambda: items.put(1), items.get):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_items_keep_their_type_and_what_cannot_be_pickled_stays_out() -> None:
    items: onecopy.Queue[Any] = onecopy.Queue()
    values = [None, True, 7, 1 << 90, -0.5, "é", "日本", b"bytes", (1, [2]), {"a": {1}}, range(3)]
    for value in values:
        items.put(value)
    assert [items.get() for _ in values] == values
    with pytest.raises(TypeError, match="cannot hold"):
        items.put(lambda: None)
    assert items.empty()


def test_a_lease_ends_in_order_and_comes_back_by_an_error() -> None:
    items: onecopy.Queue[str] = onecopy.Queue()
    items.put("order")
    with pytest.raises(KeyError), items.get(lease=True) as lease:  # noqa: PT012 - the block is what is tested
        assert (lease.item, lease.is_again) == ("order", False)
        raise KeyError
    with items.get(lease=True) as lease:
        assert (lease.item, lease.is_again) == ("order", True)
        lease.done()
    with pytest.raises(RuntimeError, match="has ended"):
        lease.done()
    items.join()
    with pytest.raises(queue.Empty):
        items.get(False, lease=True)


def test_a_lease_that_nobody_has_any_more_gives_its_item_back() -> None:
    items: onecopy.Queue[str] = onecopy.Queue()
    items.put("order")
    # Nobody keeps it, so nobody could ever say that it is done.
    assert items.get(lease=True).item == "order"
    assert items.qsize() == 1
    lease = items.get(lease=True)
    assert (lease.item, lease.is_again) == ("order", True)
    lease.done()
    del lease
    assert items.empty()
    items.join()


def test_a_lease_that_is_dropped_while_others_have_the_lock_is_given_back_later() -> None:
    # What is put is pickled before the lock is taken, what is got is made while it is held: it may drop anything.
    items: onecopy.Queue[Any] = onecopy.Queue()
    for number in range(100):
        items.put(number)
    leases = [items.get(lease=True) for _ in range(100)]
    stop = threading.Event()

    def use() -> None:
        while not stop.is_set():
            items.put(None)
            items.get(timeout=WATCHDOG_S)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    while leases:
        leases.pop()
    stop.set()
    for thread in threads:
        thread.join(WATCHDOG_S)
    assert items.qsize() == 100
    items.verify()


def die_with_a_lease(items: onecopy.Queue[Any], taken: onecopy.Event) -> None:
    lease = items.get(lease=True)
    assert lease.item == 0
    taken.set()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("method", METHODS)
def test_an_item_of_a_consumer_that_was_killed_comes_back(method: str) -> None:
    items: onecopy.Queue[int] = onecopy.Queue()
    taken = onecopy.Event()
    items.put(0)
    items.put(1)
    process = started(method, die_with_a_lease, items, taken)
    assert taken.wait(WATCHDOG_S)
    ended(process, -signal.SIGKILL)
    assert items.get() == 1
    with items.get(timeout=WATCHDOG_S, lease=True) as lease:
        assert (lease.item, lease.is_again) == (0, True)


def test_threads_wait_for_each_other_without_keeping_the_interpreter() -> None:
    items: onecopy.Queue[int] = onecopy.Queue()
    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(items.get())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(3):
        items.put(number)
    for thread in threads:
        thread.join(WATCHDOG_S)
    assert sorted(got) == [0, 1, 2]


class Stop(Exception):
    """What a signal's handler raises."""


@pytest.mark.parametrize("what", ["queue", "full", "lock", "semaphore", "event", "condition", "barrier", "join"])
def test_a_signal_ends_a_wait(what: str) -> None:
    items: onecopy.Queue[int] = onecopy.Queue(1)
    lock, semaphore, condition = onecopy.Lock(), onecopy.Semaphore(0), onecopy.Condition()
    if what in ("full", "join"):
        items.put(1)
    lock.acquire()
    waits: dict[str, Callable[[], object]] = {
        "queue": items.get,
        "full": lambda: items.put(2),
        "lock": lock.acquire,
        "semaphore": semaphore.acquire,
        "event": onecopy.Event().wait,
        "condition": condition.wait,
        "barrier": onecopy.Barrier(2).wait,
        "join": items.join,
    }

    def stop(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with condition, pytest.raises(Stop):  # noqa: PT012 - the signal may come before the wait
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            waits[what]()
        signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    items.verify()
    with condition:
        condition.notify_all()


def hold(lock: Any, held: onecopy.Event) -> None:
    lock.acquire()
    held.set()
    signal.pause()


@pytest.mark.parametrize("kind", [onecopy.Lock, onecopy.RLock, onecopy.BoundedSemaphore])
def test_what_a_process_had_when_it_was_killed_is_given_to_others_and_told(kind: Callable[[], Any]) -> None:
    lock, held = kind(), onecopy.Event()
    process = started("fork", hold, lock, held)
    assert held.wait(WATCHDOG_S)
    assert not lock.acquire(block=False)
    os.kill(process.pid, signal.SIGKILL)
    ended(process, -signal.SIGKILL)
    assert lock.acquire(timeout=WATCHDOG_S)
    assert lock.deaths == 1
    lock.release()


def test_errors_name_the_way_out() -> None:
    with pytest.raises(RuntimeError, match="nobody holds"):
        onecopy.Lock().release()
    with pytest.raises(RuntimeError, match="does not hold"):
        onecopy.RLock().release()
    with pytest.raises(ValueError, match="too many times"):
        onecopy.BoundedSemaphore().release()
    with pytest.raises(ValueError, match="0 to"):
        onecopy.Semaphore(-1)
    with pytest.raises(ValueError, match="1 to 32767"):
        onecopy.Barrier(0)
    with pytest.raises(TypeError, match=r"onecopy.Lock or onecopy.RLock, not .*threading|_thread"):
        onecopy.Condition(threading.Lock())  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="with condition"):
        onecopy.Condition().wait(0)
    with pytest.raises(ValueError, match="nan"):
        onecopy.Event().wait(float("nan"))
    barrier = onecopy.Barrier(2)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(0)
    assert barrier.broken


def take_until_none(items: onecopy.Queue[Any], report: Any) -> None:
    while True:
        with items.get(lease=True) as lease:
            if lease.item is None:
                return
            # Said before it is done: if it dies in between, the item comes again, and is told so.
            report.send((lease.item, lease.is_again))


@pytest.mark.parametrize("method", METHODS)
def test_every_item_comes_though_consumers_are_killed(method: str) -> None:
    count, rounds = 300, 3
    items: onecopy.Queue[Any] = onecopy.Queue()
    context = multiprocessing.get_context(method)
    reader, writer = context.Pipe(duplex=False)
    said: list[tuple[int, bool]] = []
    for first in range(0, count, count // rounds):
        victims = [started(method, take_until_none, items, writer) for _ in range(2)]
        for number in range(first, first + count // rounds):
            items.put(number)
        # Somebody is at work: wherever they are, they are killed.
        said.append(reader.recv())
        for victim in victims:
            os.kill(victim.pid, signal.SIGKILL)
            ended(victim, -signal.SIGKILL)
        items.verify()
    last = started(method, take_until_none, items, writer)
    # It finds what the others had when the queue is empty.
    items.join()
    items.put(None)
    writer.close()
    while True:
        try:
            said.append(reader.recv())
        except EOFError:
            break
    ended(last)
    items.verify()
    items.join()
    assert items.empty()
    # Nothing is lost, and what came twice was told to come again.
    assert {number for number, _ in said} == set(range(count))
    firsts = [number for number, is_again in said if not is_again]
    assert len(firsts) == len(set(firsts))
