"""Queues, locks and the like as items of containers: what comes out is the thing itself, and the container keeps it."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from typing import Any

import pytest

import onecopy
from onecopy import managers

METHODS = ("fork", "forkserver", "spawn")
WATCHDOG_S = 120


def note(of: list[int] = []) -> None:  # noqa: B006 - what the last one at the barrier calls; it is found by its name
    of.append(1)


def all_kinds() -> list[Any]:
    """One of each, which nobody but the caller has."""
    lock = onecopy.Lock()
    return [
        lock,
        onecopy.RLock(),
        onecopy.Condition(lock),
        onecopy.Condition(),
        onecopy.Barrier(2, action=note, timeout=WATCHDOG_S),
        onecopy.Semaphore(2),
        onecopy.BoundedSemaphore(2),
        onecopy.Event(),
        onecopy.Queue(3),
        onecopy.LifoQueue(),
        managers.ManagedArray("i", [1, 2]),
        managers.ManagedNamespace(x=1),
    ]


def use_all(items: Any) -> None:
    lock, recursive, condition, own, barrier, units, bounded, event, queue, stack, numbers, names = items
    assert not lock.acquire(block=False)  # the condition's
    with recursive, recursive:
        numbers[0] += 1
        names.x += 1
    assert not condition.acquire(timeout=0.001)
    for semaphore in (units, bounded):
        semaphore.acquire()
        semaphore.release()
    event.set()
    stack.put("under")
    stack.put("top")
    queue.put(barrier.parties)
    with own:
        own.notify()
    assert barrier.wait() in (0, 1)


@pytest.mark.parametrize("method", METHODS)
def test_each_is_itself_in_a_worker(method: str) -> None:
    # Nobody has them but the list.
    items = onecopy.List(all_kinds())
    context: Any = multiprocessing.get_context(method)
    lock, condition, own = items[0], items[2], items[3]
    with condition, own:
        assert lock.locked()
        worker = context.Process(target=use_all, args=(items,))
        worker.start()
        assert own.wait(WATCHDOG_S)
        assert items[4].wait() in (0, 1)
    worker.join(WATCHDOG_S)
    assert worker.exitcode == 0
    assert not lock.locked()
    assert items[7].is_set()
    assert items[8].get(timeout=WATCHDOG_S) == 2
    assert items[8].maxsize == 3
    assert type(items[9]) is onecopy.LifoQueue
    assert items[9].get(timeout=WATCHDOG_S) == "top"
    assert (list(items[10]), items[10].typecode, items[11].x) == ([2, 2], "i", 2)
    assert [type(item) for item in items][:-1] == [type(item) for item in all_kinds()][:-1]


def test_they_live_as_long_as_what_they_are_in() -> None:
    before = onecopy.stats().containers
    store = onecopy.Dict(enumerate(all_kinds()))
    held = onecopy.stats().containers
    assert held > before
    for _ in range(3):
        for key in list(store):
            assert store[key] is not None
    assert onecopy.stats().containers == held
    condition = store[2]
    del store
    # The condition keeps its lock.
    assert onecopy.stats().containers == before + 2
    with condition:
        assert not condition.wait(0)
    del condition
    assert onecopy.stats().containers == before


def test_two_conditions_of_one_lock_keep_it() -> None:
    lock = onecopy.RLock()
    box = onecopy.Value(onecopy.Condition(lock))
    other = pickle.loads(pickle.dumps(onecopy.Condition(lock)))
    with box.get():
        assert lock.locked()
        other.notify()
    with pytest.raises(RuntimeError, match="with condition"):
        other.notify()


def test_a_barrier_takes_its_action_and_timeout_along() -> None:
    box = onecopy.Value(onecopy.Barrier(1, action=note))
    before = len(note.__defaults__[0])  # type: ignore[index]
    box.get().wait()
    assert len(note.__defaults__[0]) == before + 1  # type: ignore[index]
    hasty = onecopy.Barrier(2, timeout=0)
    box.set(hasty)
    with pytest.raises(threading.BrokenBarrierError):
        box.get().wait()
    assert hasty.broken
    with pytest.raises(TypeError, match=r"cannot hold .*lambda"):
        box.set(onecopy.Barrier(1, action=lambda: None))
    assert box.get().broken  # as it was


def test_an_array_of_a_manager_is_itself_in_a_list() -> None:
    numbers = onecopy.Manager().Array("d", [1.5])
    box = onecopy.List([numbers])
    box[0][0] = 2.5
    assert (numbers[0], box[0].typecode) == (2.5, "d")


@pytest.mark.parametrize("base", [onecopy.Queue, onecopy.LifoQueue, onecopy.Lock, onecopy.Condition, onecopy.Dict])
def test_no_class_can_be_derived(base: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot be derived|not an acceptable base type"):
        type("Mine", (base,), {})


@pytest.mark.parametrize("kind", range(12))
def test_none_may_be_inside_shared_data(kind: int) -> None:
    with pytest.raises(TypeError, match="cannot be inside shared data"):
        onecopy.share([all_kinds()[kind]])
