"""Rows about containers that several processes read and write at once. Each process is bound to a processor."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onecopy
from measure import Row, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Work = Callable[[float], int]
    """Works until a time of `time.perf_counter`; returns how many operations that were."""

KEYS = 100_000
READ = 20_000
"""Keys that a process works on, in an order of its own; well below what a window takes."""
WIDE = 12_345_678_901
PATIENCE_S = 120


@dataclass(frozen=True)
class Turn:
    """What a process did within the window."""

    operations: int
    seconds: float

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds


def work(work: Work, processor: int, gate: Any, window_s: float, answer: Any) -> None:
    """In a process of its own: begins with the others and works for the window."""
    os.sched_setaffinity(0, {processor})
    gate.wait(PATIENCE_S)
    started = time.perf_counter()
    done = work(started + window_s)
    answer.send(Turn(done, time.perf_counter() - started))


def together(works: list[Work], window_s: float) -> list[Turn]:
    """Forks a process for each, on the processors in turn, and lets them begin at once."""
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(len(works))
    processors = itertools.cycle(sorted(os.sched_getaffinity(0)))
    started = []
    for each, processor in zip(works, processors, strict=False):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(each, processor, gate, window_s, theirs))
        process.start()
        theirs.close()
        started.append((process, ours))
    turns = [ours.recv() for _, ours in started]
    for process, ours in started:
        process.join()
        ours.close()
    return turns


def total(turns: list[Turn]) -> float:
    """Operations a second of all together."""
    return sum(turn.rate for turn in turns)


def repeated(over: list[Any], batch: Callable[[Any], object]) -> Work:
    """Calls `batch` with all of `over` until the window ends."""

    def until(end: float) -> int:
        done = 0
        while time.perf_counter() < end:
            batch(over)
            done += len(over)
        return done

    return until


def reads(container: Any, over: list[Any]) -> Work:
    """Reads one element after the other."""

    def batch(over: list[Any]) -> None:
        for key in over:
            container[key]

    return repeated(over, batch)


def sets(container: Any, over: list[Any], value: object = WIDE) -> Work:
    """Sets one element after the other."""

    def batch(over: list[Any]) -> None:
        for key in over:
            container[key] = value

    return repeated(over, batch)


def adds(container: Any, over: list[Any]) -> Work:
    """Adds 1 to one element after the other."""

    def batch(over: list[Any]) -> None:
        add = container.add
        for key in over:
            add(key, 1)

    return repeated(over, batch)


def rate_row(what: str, against: str, at_least: float, ratios: list[float]) -> Row:
    """A row about a ratio that should be large."""
    ratio = statistics.median(ratios)
    figures = {"ratio": ratio, "spread": (min(ratios), max(ratios)), "at_least": at_least}
    return Row(what, against, f"≥ {at_least:g} ×", f"{ratio:.2f} ×", ratio >= at_least, figures)


def readers(name: str, container: Any, over: list[Any], window_s: float, rounds: int) -> Iterator[Row]:
    """Readers side by side, and one beside a writer."""
    halves = random.Random(7).sample(over, len(over))
    scaled, set_beside, add_beside = [], [], []
    for _ in range(rounds):
        alone = total(together([reads(container, over)], window_s))
        scaled.append(total(together([reads(container, over), reads(container, halves)], window_s)) / alone)
        set_beside.append(together([reads(container, over), sets(container, halves)], window_s)[0].rate / alone)
        add_beside.append(
            together([reads(container, over), adds(container, halves[:1] * READ)], window_s)[0].rate / alone
        )
    yield rate_row(f"two readers of a {name}", "one reader", 1.9, scaled)
    yield rate_row(f"reader of a {name} beside a setter of ints", "the reader alone", 0.85, set_beside)
    yield rate_row(f"reader of a {name} beside an adder to one element", "the reader alone", 0.85, add_beside)


def adders(shared: Any, window_s: float, rounds: int) -> Iterator[Row]:
    """Several processes add to one key; nothing is lost."""
    two, four_to_two = [], []
    over = ["counted"] * READ
    for _ in range(rounds):
        shared["counted"] = 0
        turns = together([adds(shared, over)] * 2, window_s)
        if shared["counted"] != sum(turn.operations for turn in turns):
            raise AssertionError("an addition was lost")
        two.append(total(turns))
        four_to_two.append(total(together([adds(shared, over)] * 4, window_s)) / two[-1])
    rate = statistics.median(two)
    yield Row(
        "two processes add to one key",
        "",
        "≥ 4 M/s in all",
        f"{rate / 1e6:.2f} M/s",
        rate >= 4e6,
        {"per_second": rate, "at_least": 4e6},
    )
    yield rate_row("four processes add to one key, on two processors", "two processes", 1.0, four_to_two)


def longest(container: Any, over: list[Any], value: object) -> Work:
    """Sets one element after the other; returns the longest time in nanoseconds instead of the number."""

    def until(end: float) -> int:
        most = 0
        now = time.perf_counter_ns()
        while now < end * 1e9:
            for key in over:
                container[key] = value
                before, now = now, time.perf_counter_ns()
                most = max(most, now - before)
        return most

    return until


def copies(container: Any) -> Work:
    """Copies the whole, again and again."""

    def until(end: float) -> int:
        done = 0
        while time.perf_counter() < end:
            container.copy()
            done += 1
        return done

    return until


def snapshots(kinds: dict[str, tuple[Any, object]], window_s: float) -> Iterator[Row]:
    """The longest operation of a setter while another process copies all."""
    for name, (container, value) in kinds.items():
        over = random.Random(5).sample(range(len(container)), READ)
        turn, _ = together([longest(container, over, value), copies(container)], window_s)
        most = turn.operations / 1e9
        yield Row(
            f"longest set beside copies of a {name}",
            "",
            "≤ 50 ms",
            seconds(most),
            most <= 0.05,
            {"seconds": most, "at_most": 0.05},
        )


def processes(scale: int) -> Iterator[Row]:
    """All rows; `scale` divides sizes and times."""
    window_s, rounds = 0.6 / min(scale, 4), 3
    count = KEYS // scale
    names = [f"k{number:015d}" for number in range(count)]
    order = random.Random(3).sample(names, min(READ, count))
    shared: Any = onecopy.Dict({name: number + (1 << 20) for number, name in enumerate(names)})
    yield from readers("Dict", shared, order, window_s, rounds)
    yield from adders(shared, window_s, rounds)
    numbers: Any = onecopy.List(range(1 << 20, (1 << 20) + count))
    yield from readers("List", numbers, random.Random(3).sample(range(count), min(READ, count)), window_s, rounds)
    many = 1_000_000 // scale
    texts = [f"text of {number:08d}" for number in range(many)]
    yield from snapshots(
        {
            f"List of {many:,} ints": (onecopy.List(range(1 << 20, (1 << 20) + many)), WIDE),
            f"List of {many:,} strs": (onecopy.List(texts), "another text, 24 letters"),
            f"Dict of {many:,} ints": (onecopy.Dict(enumerate(range(many))), WIDE),
            f"Dict of {many:,} strs": (onecopy.Dict(enumerate(texts)), "another text, 24 letters"),
        },
        4 * window_s,
    )
