"""Rows about containers that several processes read and write at once. Each process is bound to a processor."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import resource
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onecopy
from measure import Row, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Work = Callable[[float], int]
    """Works for a while, or until a time of `time.perf_counter`; returns how many operations that were."""

KEYS = 100_000
READ = 20_000
"""Keys that a process works on, in an order of its own; well below what a window takes."""
BATCH = 5_000
"""Operations that are timed as one: half a millisecond, in which a processor is seldom taken away."""
FEWEST = 20
"""Batches that make a median."""
WIDE = 12_345_678_901
PATIENCE_S = 120


@dataclass(frozen=True)
class Batch:
    """Operations one after the other, and when; `undisturbed` if nobody else had the processor in between."""

    operations: int
    started: float
    ended: float
    undisturbed: bool

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / (self.ended - self.started)

    def overlaps(self, other: Batch) -> bool:
        """Whether both were under way at some time."""
        return self.started < other.ended and other.started < self.ended


@dataclass(frozen=True)
class Turn:
    """What a process did within the window."""

    batches: list[Batch]
    retries: int = 0
    """Reads that were begun anew."""

    @property
    def operations(self) -> int:
        """In all batches."""
        return sum(batch.operations for batch in self.batches)

    @property
    def rate(self) -> float:
        """Operations a second, waiting for a processor included."""
        return self.operations / (self.batches[-1].ended - self.batches[0].started)

    def rate_beside(self, others: list[Turn]) -> float:
        """The median of batches during which this process and all others were at work.

        What else runs on the machine takes a processor from one of them now and then: then a batch measures that. Where
        it is in nearly all, what the others did is not asked, and then nothing.
        """
        first = max(other.batches[0].started for other in (self, *others))
        last = min(other.batches[-1].ended for other in (self, *others))
        own = [batch for batch in self.batches if first <= batch.started and batch.ended <= last]
        quiet = [batch for batch in own if batch.undisturbed]
        idle = [batch for other in others for batch in other.batches if not batch.undisturbed]
        together = [batch for batch in quiet if not any(batch.overlaps(gap) for gap in idle)]
        chosen = next((some for some in (together, quiet, own) if len(some) >= FEWEST), self.batches)
        return statistics.median(batch.rate for batch in chosen)


def work(work: Work, processor: int, gate: Any, times: tuple[float, int], answer: Any) -> None:
    """In a process of its own: some batches that do not count, then begins with the others and works for the window."""
    window_s, warm_up = times
    os.sched_setaffinity(0, {processor})
    for _ in range(warm_up):
        work(0)
    gate.wait(PATIENCE_S)
    before = onecopy.stats().retried_reads
    batches = []
    end = time.perf_counter() + window_s
    while time.perf_counter() < end:
        switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        started = time.perf_counter()
        done = work(end)
        ended = time.perf_counter()
        undisturbed = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw == switches
        batches.append(Batch(done, started, ended, undisturbed))
    answer.send(Turn(batches, onecopy.stats().retried_reads - before))


def together(works: list[Work], window_s: float, warm_up: int = 0) -> list[Turn]:
    """Forks a process for each, on the processors in turn, and lets them begin at once."""
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(len(works))
    processors = itertools.cycle(sorted(os.sched_getaffinity(0)))
    started = []
    for each, processor in zip(works, processors, strict=False):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(each, processor, gate, (window_s, warm_up), theirs))
        process.start()
        theirs.close()
        started.append((process, ours))
    turns = [ours.recv() for _, ours in started]
    for process, ours in started:
        process.join()
        ours.close()
    return turns


def rates(turns: list[Turn]) -> list[float]:
    """Operations a second of each while all were at work."""
    return [turn.rate_beside([other for other in turns if other is not turn]) for turn in turns]


def total(turns: list[Turn]) -> float:
    """Operations a second of all together."""
    return sum(turn.rate for turn in turns)


def once(over: list[Any], batch: Callable[[Any], object]) -> Work:
    """Calls `batch` with a part of `over`, each time with the next."""
    parts = itertools.cycle([over[at : at + BATCH] for at in range(0, len(over), BATCH)])

    def part(_: float) -> int:
        now = next(parts)
        batch(now)
        return len(now)

    return part


def reads(container: Any, over: list[Any]) -> Work:
    """Reads one element after the other."""

    def batch(over: list[Any]) -> None:
        for key in over:
            container[key]

    return once(over, batch)


def sets(container: Any, over: list[Any], value: object = WIDE) -> Work:
    """Sets one element after the other."""

    def batch(over: list[Any]) -> None:
        for key in over:
            container[key] = value

    return once(over, batch)


def adds(container: Any, over: list[Any]) -> Work:
    """Adds 1 to one element after the other."""

    def batch(over: list[Any]) -> None:
        add = container.add
        for key in over:
            add(key, 1)

    return once(over, batch)


def rate_row(what: str, against: str, at_least: float, ratios: list[float]) -> Row:
    """A row about a ratio that should be large."""
    ratio = statistics.median(ratios)
    figures = {"ratio": ratio, "spread": (min(ratios), max(ratios)), "at_least": at_least}
    return Row(what, against, f"≥ {at_least:g} ×", f"{ratio:.2f} ×", ratio >= at_least, figures)


def most_row(what: str, target: str, at_most: float, measured: float, shown: str) -> Row:
    """A row about a figure that should be small."""
    figures = {"measured": measured, "at_most": at_most}
    return Row(what, "", target, shown.format(measured), measured <= at_most, figures)


def readers(name: str, make: Callable[[], Any], over: list[Any], window_s: float, rounds: int) -> Iterator[Row]:
    """Readers side by side, and one beside a writer; each round with pages of its own, as some fit the caches better.

    Each is compared with the reader alone right before it and right after it, as machines become faster and slower.
    """
    halves = random.Random(7).sample(over, len(over))
    setter, adder = "setter of ints", "adder to one element"
    ratios: dict[str, list[float]] = {"reader": [], setter: [], adder: []}
    retries = {setter: 0.0, adder: 0.0}
    warm_up = len(over) // BATCH + 1
    for _ in range(rounds):
        container = make()
        reader = reads(container, over)
        beside = {
            "reader": reads(container, halves),
            setter: sets(container, halves),
            adder: adds(container, halves[:1] * READ),
        }
        before = rates(together([reader], window_s, warm_up))[0]
        for other, does in beside.items():
            turns = together([reader, does], window_s, warm_up)
            after = rates(together([reader], window_s, warm_up))[0]
            both = rates(turns)
            ratios[other].append(2 * (sum(both) if other == "reader" else both[0]) / (before + after))
            before = after
            if other in retries:
                retries[other] = max(retries[other], turns[0].retries / turns[0].operations)
    yield rate_row(f"two readers of a {name}", "one reader", 1.9, ratios["reader"])
    for writer, most in retries.items():
        yield rate_row(f"reader of a {name} beside a {writer}", "the reader alone", 0.85, ratios[writer])
        yield most_row(f"its retries, beside a {writer}", "≤ 0.02 a read", 0.02, most, "{:.5f} a read")


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
        most = max(batch.operations for batch in turn.batches) / 1e9
        yield Row(
            f"longest set beside copies of a {name}",
            "",
            "≤ 50 ms",
            seconds(most),
            most <= 0.05,
            {"seconds": most, "at_most": 0.05},
        )


def queued_s() -> float:
    """How long this process has waited for a processor."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


def survive(shared: Any, calls: Any, answers: Any) -> None:
    """In a process of its own: appends when told to; says when that was done, and how long it had no processor."""
    while calls.recv():
        before = queued_s()
        shared.append(1)
        answers.send((time.perf_counter(), queued_s() - before))


def hold(shared: Any, ready: Any) -> None:
    """In a process of its own: takes the lock, and waits for its end."""
    with shared.lock:
        ready.send(True)
        time.sleep(PATIENCE_S)


def spin() -> None:
    """In a process of its own: wants a processor all the time."""
    while True:
        pass


def survivors(busy: int, deaths: int) -> Iterator[Row]:
    """How long others wait after the SIGKILL of whoever holds the lock, beside `busy` processes."""
    context = multiprocessing.get_context("fork")
    shared: Any = onecopy.List()
    spinners = [context.Process(target=spin, daemon=True) for _ in range(busy)]
    others = []
    for _ in range(2):
        (theirs, ours), (answers, answer) = context.Pipe(duplex=False), context.Pipe(duplex=False)
        process = context.Process(target=survive, args=(shared, theirs, answer), daemon=True)
        others.append((process, ours, answers))
    for process in [*spinners, *(other[0] for other in others)]:
        process.start()
    waits, queues = [], []
    for _ in range(deaths):
        held, ready = context.Pipe(duplex=False)
        holder = context.Process(target=hold, args=(shared, ready), daemon=True)
        holder.start()
        held.recv()
        for _, calls, _ in others:
            calls.send(True)
        # Long enough for all to sleep; none gets on before the holder is dead.
        time.sleep(0.03)
        killed = time.perf_counter()
        holder.kill()
        for _, _, answers in others:
            done, queued = answers.recv()
            waits.append(done - killed)
            queues.append(queued)
        holder.join()
    for process, calls, _ in others:
        calls.send(False)
        process.join()
    for process in spinners:
        process.kill()
        process.join()
    worst = max(waits)
    tail = seconds(statistics.quantiles(waits, n=20)[-1])
    own = seconds(max(wait - queued for wait, queued in zip(waits, queues, strict=True)))
    figures = {"seconds": worst, "at_most": 0.05, "all": sorted(waits)}
    beside = f" beside {busy} busy processes" if busy else ""
    yield Row(
        f"wait after the SIGKILL of a lock's holder{beside}, longest of {len(waits)}",
        "",
        "" if busy else "≤ 50 ms",
        f"{seconds(worst)} (median {seconds(statistics.median(waits))}, 95th percentile {tail}; "
        f"longest without the time in which a survivor had no processor {own})",
        None if busy else worst <= 0.05,
        figures,
    )


def processes(scale: int) -> Iterator[Row]:
    """All rows; `scale` divides sizes and times."""
    window_s, rounds = (0.15, 15) if scale == 1 else (0.1, 3)
    count = KEYS // scale
    names = [f"k{number:015d}" for number in range(count)]
    order = random.Random(3).sample(names, min(READ, count))
    numbers = range(1 << 20, (1 << 20) + count)
    items = dict(zip(names, numbers, strict=True))
    yield from readers("Dict", lambda: onecopy.Dict(items), order, window_s, rounds)
    yield from adders(onecopy.Dict(items), window_s, rounds)
    places = random.Random(3).sample(range(count), min(READ, count))
    yield from readers("List", lambda: onecopy.List(numbers), places, window_s, rounds)
    yield from survivors(0, 100 // scale + 5)
    yield from survivors(16, 20 // scale + 5)
    many = 1_000_000 // scale
    texts = [f"text of {number:08d}" for number in range(many)]
    yield from snapshots(
        {
            f"List of {many:,} ints": (onecopy.List(range(1 << 20, (1 << 20) + many)), WIDE),
            f"List of {many:,} strs": (onecopy.List(texts), "another text, 24 letters"),
            f"Dict of {many:,} ints": (onecopy.Dict(enumerate(range(many))), WIDE),
            f"Dict of {many:,} strs": (onecopy.Dict(enumerate(texts)), "another text, 24 letters"),
        },
        2.4 / min(scale, 4),
    )
