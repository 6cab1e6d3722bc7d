"""What a signal's handler may do while its thread waits, and what ends with a thread or process that has something."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WATCHDOG_S = 120


@contextmanager
def handled_soon(handler: Callable[[], object]) -> Iterator[None]:
    """Runs `handler` for a signal that comes soon after the block has begun."""
    before = signal.signal(signal.SIGALRM, lambda *_: handler())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def forked(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def wait_until(what: Callable[[], object]) -> None:
    end = time.monotonic() + WATCHDOG_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize("kind", [onecopy.Lock, onecopy.RLock, onecopy.Semaphore, onecopy.BoundedSemaphore])
def test_a_handler_may_take_what_its_thread_waits_for(kind: Callable[[], Any]) -> None:
    lock, entered, handled = kind(), onecopy.Event(), []

    def hold() -> None:
        with lock:
            entered.set()
            # Until the handler waits as well, or has begun to.
            assert begun.wait(WATCHDOG_S)

    begun = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(WATCHDOG_S)

    def handler() -> None:
        begun.set()
        assert lock.acquire(timeout=WATCHDOG_S)
        lock.release()
        handled.append(True)

    with handled_soon(handler):
        assert lock.acquire(timeout=WATCHDOG_S)
    assert handled == [True]
    lock.release()
    holder.join(WATCHDOG_S)
    assert lock.acquire(block=False)
    lock.release()
    assert lock.deaths == 0


def test_a_handler_may_end_the_wait_of_its_own_thread() -> None:
    items: onecopy.Queue[int] = onecopy.Queue()
    with handled_soon(lambda: items.put(7)):
        assert items.get(timeout=WATCHDOG_S) == 7
    event = onecopy.Event()
    with handled_soon(event.set):
        assert event.wait(WATCHDOG_S)
    signals = onecopy.Semaphore(0)
    with handled_soon(signals.release):
        assert signals.acquire(timeout=WATCHDOG_S)
    condition = onecopy.Condition()

    def notify() -> None:
        with condition:
            condition.notify()

    with handled_soon(notify), condition:
        assert condition.wait(WATCHDOG_S)
    barrier = onecopy.Barrier(2)
    numbers = []
    with handled_soon(lambda: numbers.append(barrier.wait(WATCHDOG_S))):
        numbers.append(barrier.wait(WATCHDOG_S))
    assert sorted(numbers) == [0, 1]


class Stop(Exception):
    """What a handler raises."""


def test_what_a_handler_raises_comes_out_though_the_condition_has_lost_its_lock() -> None:
    condition, taken, leave = onecopy.Condition(), threading.Event(), threading.Event()

    def keep() -> None:
        with condition:
            condition.notify()
            taken.set()
            assert leave.wait(WATCHDOG_S)

    def stop() -> None:
        raise Stop

    keeper = threading.Thread(target=keep)
    with handled_soon(stop), pytest.raises(Stop), condition:  # noqa: PT012 - the signal may come before the wait
        keeper.start()
        # Woken, and then it waits for the lock that the keeper does not give back.
        condition.wait(WATCHDOG_S)
    leave.set()
    keeper.join(WATCHDOG_S)
    assert condition.acquire(timeout=WATCHDOG_S)
    condition.release()


def run_in_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(WATCHDOG_S)


def test_a_lock_outlives_the_thread_that_took_it_and_a_recursive_one_does_not() -> None:
    lock = onecopy.Lock()
    run_in_a_thread(lock.acquire)
    assert lock.locked()
    assert not lock.acquire(timeout=0.03)
    lock.release()
    with lock:
        assert lock.deaths == 0

    def keep() -> None:
        run_in_a_thread(lock.acquire)
        signal.pause()

    pid = forked(keep)
    wait_until(lock.locked)
    assert not lock.acquire(timeout=0.03)
    killed(pid)
    assert lock.acquire(timeout=WATCHDOG_S)
    assert lock.deaths == 1
    own = onecopy.RLock()
    run_in_a_thread(own.acquire)
    assert own.acquire(timeout=WATCHDOG_S)
    assert own.deaths == 1


def test_a_child_forked_under_a_lock_does_not_have_it() -> None:
    lock, own = onecopy.Lock(), onecopy.RLock()

    def use() -> None:
        assert lock.locked()
        assert not lock.acquire(timeout=0.01)
        assert not own.acquire(timeout=0.01)
        with pytest.raises(RuntimeError, match="does not hold"):
            own.release()

    with lock, own:
        pid = forked(use)
        assert os.waitpid(pid, 0)[1] == 0
        assert lock.locked()
        assert own.locked()
    assert lock.deaths == own.deaths == 0


def test_a_waiter_that_is_killed_never_had_the_lock() -> None:
    lock = onecopy.Lock()
    lock.acquire()
    pid = forked(lock.acquire)
    # It has asked others to stand back by then, or not: both are right.
    time.sleep(0.06)
    killed(pid)
    lock.release()
    assert lock.acquire(timeout=WATCHDOG_S)
    assert lock.deaths == 0


def test_the_last_one_at_a_barrier_finds_who_died_before() -> None:
    barrier = onecopy.Barrier(2)
    pid = forked(barrier.wait)
    wait_until(lambda: barrier.n_waiting == 1)
    killed(pid)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(WATCHDOG_S)
    assert (barrier.broken, barrier.deaths) == (True, 1)


def test_an_action_of_a_round_that_was_reset_ends_no_other() -> None:
    rounds: list[int] = []

    def act() -> None:
        rounds.append(1)
        if len(rounds) == 1:
            barrier.reset()
            # A whole round passes while this one's action runs.
            run_in_a_thread(barrier.wait)
            raise Stop

    barrier = onecopy.Barrier(1, action=act)
    with pytest.raises(Stop):
        barrier.wait(WATCHDOG_S)
    assert len(rounds) == 2
    assert not barrier.broken
    assert barrier.wait(WATCHDOG_S) == 0


def test_a_bounded_semaphore_of_nothing_stays_so() -> None:
    nothing = onecopy.BoundedSemaphore(0)
    with pytest.raises(ValueError, match="too many times"):
        nothing.release()
    assert not nothing.acquire(block=False)


def test_thousands_of_units_and_leases_of_a_dead_process_come_back() -> None:
    many = 3_000
    units = onecopy.BoundedSemaphore(many)
    items: onecopy.Queue[int] = onecopy.Queue()
    for number in range(many):
        items.put(number)

    def take() -> None:
        kept = [items.get(lease=True) for _ in range(many) if units.acquire()]
        taken.set()
        signal.pause()
        kept.clear()

    taken = onecopy.Event()
    pid = forked(take)
    assert taken.wait(WATCHDOG_S)
    assert (units.get_value(), items.qsize()) == (0, 0)
    killed(pid)
    for _ in range(many):
        assert units.acquire(timeout=WATCHDOG_S)
    assert units.deaths == many
    again = [items.get(timeout=WATCHDOG_S, lease=True) for _ in range(many)]
    assert sorted(lease.item for lease in again) == list(range(many))
    for lease in again:
        assert lease.is_again
        lease.done()
    items.join()
    with pytest.raises(queue.Empty):
        items.get_nowait()


def test_as_many_may_wait_as_there_are_threads_in_a_store() -> None:
    assert onecopy.Barrier(32_767).parties == 32_767
    for parties in (0, 32_768, 1 << 40):
        with pytest.raises(ValueError, match="1 to 32767, as many threads as can share a store"):
            onecopy.Barrier(parties)
