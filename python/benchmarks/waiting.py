"""Rows about queues, locks and events, beside those of `multiprocessing` and of its Manager."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from typing import TYPE_CHECKING, Any

import onecopy
from containers_processes import PATIENCE_S, most_row, rate_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from measure import Row

TEXT = "x" * 1024


def take(items: Any, count: int, ready: Any, done: Any) -> None:
    """In a process of its own: takes so many items, and says when it has them."""
    ready.set()
    for _ in range(count):
        items.get()
    done.send(time.perf_counter())


def passed(items: Any, item: object, count: int) -> float:
    """Items a second from one process to another, from the first `put` to the last `get`."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    ready = context.Event()
    taker = context.Process(target=take, args=(items, count, ready, theirs))
    taker.start()
    ready.wait(PATIENCE_S)
    started = time.perf_counter()
    for _ in range(count):
        items.put(item)
    ended = ours.recv()
    taker.join()
    return float(count / (ended - started))


def queues(counts: dict[str, int], rounds: int) -> Iterator[Row]:
    """Two processes and a queue."""
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        makers: dict[str, Callable[[], Any]] = {
            "onecopy": onecopy.Queue,
            "multiprocessing": context.Queue,
            "manager": manager.Queue,
        }
        rates: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds):
            for name, make in makers.items():
                for what, item in (("ints", 7), ("strs", TEXT)):
                    rates.setdefault((name, what), []).append(passed(make(), item, counts[name]))

    def ratios(other: str, what: str) -> list[float]:
        return [mine / their for mine, their in zip(rates["onecopy", what], rates[other, what], strict=True)]

    rate = statistics.median(rates["onecopy", "ints"])
    what = f"a queue, small ints from one process to another ({rate / 1e6:.2f} M/s)"
    yield rate_row(what, "multiprocessing.Queue", 10, ratios("multiprocessing", "ints"))
    yield rate_row("the same", "Manager().Queue()", 50, ratios("manager", "ints"))
    yield rate_row("a queue, strs of 1 KiB", "multiprocessing.Queue", 5, ratios("multiprocessing", "strs"))
    yield rate_row("the same", "Manager().Queue()", 5, ratios("manager", "strs"))


def pair_ns(lock: Any, count: int) -> float:
    """Nanoseconds of taking a free lock and giving it back."""
    started = time.perf_counter()
    for _ in range(count):
        lock.acquire()
        lock.release()
    return (time.perf_counter() - started) / count * 1e9


def locks(count: int, rounds: int) -> Iterator[Row]:
    """A lock that nobody else wants."""
    with multiprocessing.get_context("fork").Manager() as manager:
        ours, theirs = onecopy.Lock(), manager.Lock()
        mine: list[float] = []
        ratios: list[float] = []
        for _ in range(rounds):
            mine.append(pair_ns(ours, count))
            ratios.append(pair_ns(theirs, max(count // 1000, 20)) / mine[-1])
    yield most_row("a free lock: acquire and release", "≤ 60 ns", 60, statistics.median(mine), "{:.0f} ns")
    yield rate_row("the same", "Manager().Lock()", 500, ratios)


def answer(asked: Any, told: Any, count: int) -> None:
    """In a process of its own: waits for an event, and says when it woke."""
    for _ in range(count):
        asked.wait(PATIENCE_S)
        woken = time.perf_counter()
        asked.clear()
        told.send(woken)


def events(count: int) -> Iterator[Row]:
    """From `set` in one process to the return of `wait` in another, which sleeps."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    asked = onecopy.Event()
    process = context.Process(target=answer, args=(asked, theirs, count))
    process.start()
    taken: list[float] = []
    for _ in range(count):
        # It sleeps by then.
        time.sleep(0.002)
        started = time.perf_counter()
        asked.set()
        taken.append((ours.recv() - started) * 1e6)
    process.join()
    yield most_row("an event, from set to a sleeper's waking", "≤ 60 µs", 60, statistics.median(taken), "{:.0f} µs")


def waiting(scale: int) -> Iterator[Row]:
    """All of them; of each so many, divided by the scale."""
    rounds = 5
    ours = 200_000 // scale
    counts = {"onecopy": ours, "multiprocessing": ours // 10, "manager": ours // 50}
    yield from queues(counts, rounds)
    yield from locks(ours, rounds)
    yield from events(300 // scale)
