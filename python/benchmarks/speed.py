"""Rows about one process: reading a view and making one."""

from __future__ import annotations

import multiprocessing
import operator
import os
import pickle
import random
import statistics
import time
from mmap import mmap
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import onecopy
from measure import Ratio, Row, seconds, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

GIB = 2**30


def ints_to_1000(n: int) -> list[int]:
    """As in the question: each a separate object."""
    return [1 + word % 1000 for word in memoryview(random.Random(1).randbytes(2 * n)).cast("H")]


def ints_of_40_bits(n: int) -> list[int]:
    """Too many for any cache of ints."""
    return [word >> 24 for word in memoryview(random.Random(2).randbytes(8 * n)).cast("Q")]


def strings_of_16(n: int) -> list[str]:
    """Distinct ASCII strings of 16 characters."""
    return [f"{number:016x}" for number in random.Random(3).sample(range(2**60), n)]


def count_below(l: Sequence[int], t: int) -> int:  # noqa: E741 - as in the question
    """The generator loop of the question."""
    return sum(x < t for x in l)


def read_at(data: Any, places: list[int]) -> Any:
    """Indexes at random places; nothing but the indexing is in the loop."""
    get = data.__getitem__
    for _ in map(get, places):
        pass


def subscript_at(data: Any, places: list[int]) -> Any:
    """The same, as a program would write it."""
    for place in places:
        data[place]


# What the elements are, a list of them, and at most how much slower the view may be.
Kind: TypeAlias = tuple[str, Any, float | None]


def subscripting(what: str, kinds: Iterable[Kind], places: list[int], rounds: int) -> Iterator[Row]:
    """`view[i]` at these places against a real list, for each kind of element."""
    for label, values, at_most in kinds:
        view = onecopy.share(values)
        ratio = side_by_side(
            lambda v=view: subscript_at(v, places),  # type: ignore[misc]
            lambda d=values: subscript_at(d, places),  # type: ignore[misc]
            rounds,
        )
        yield ratio.row(f"{what}, {label}", "real list", at_most)


def reading(rounds: int, scale: int) -> Iterator[Row]:
    """Loops, indexing and bulk work on a view against a real list."""
    n = 1_000_000 // scale
    for label, data, t, at_most in (
        ("ints 1 to 1000", ints_to_1000(n), 500, 1.3),
        ("random 40-bit ints", ints_of_40_bits(n), 2**39, 1.8),
    ):
        view = onecopy.share(data)
        ratio = side_by_side(lambda v=view, t=t: count_below(v, t), lambda d=data, t=t: count_below(d, t), rounds)  # type: ignore[misc]
        yield ratio.row(f"generator loop `sum(x < t for x in l)`, {label}", "real list", at_most)

    places = random.Random(4).choices(range(n), k=n // 2)
    kinds: tuple[Kind, ...] = (
        ("int", ints_of_40_bits(n), 1.5),
        ("16-character str", strings_of_16(n), 2.0),
    )
    yield from subscripting("`view[i]`, random i", kinds, places, rounds)
    yield from hot(rounds)

    numbers = ints_of_40_bits(n)
    view = onecopy.share(numbers)
    yield side_by_side(lambda: int(np.asarray(view).sum()), lambda: sum(numbers), rounds).row(
        "`np.asarray(view).sum()`", "`sum(list)`", 0.1, faster=True
    )
    yield side_by_side(lambda: list(view), numbers.copy, rounds).row("`list(view)`, 40-bit ints", "`list.copy()`", None)
    yield side_by_side(lambda: -1 in view, lambda: -1 in numbers, rounds).row(
        "`x in view`, absent int", "real list", None
    )
    words = strings_of_16(n)
    shared_words = onecopy.share(words)
    yield side_by_side(lambda: "no" in shared_words, lambda: "no" in words, rounds).row(
        "`x in view`, absent str", "real list", None
    )
    yield side_by_side(lambda: max(map(len, shared_words)), lambda: max(map(len, words)), rounds).row(
        "loop over 16-character strs", "real list", None
    )
    yield side_by_side(lambda: view == numbers, lambda: numbers.copy() == numbers, rounds).row(
        "`view == list`", "`list.copy() == list`", None
    )


def hot(rounds: int) -> Iterator[Row]:
    """`view[i]` where everything is in the nearest cache: what the access itself costs."""
    places = random.Random(5).sample(range(1_000), 1_000) * 200
    kinds: tuple[Kind, ...] = (
        ("int to 1000", ints_to_1000(1_000), 1.6),
        ("int of 40 bits", ints_of_40_bits(1_000), 1.6),
        ("float", [number / 3 for number in ints_of_40_bits(1_000)], None),
        ("16-character str", strings_of_16(1_000), 2.0),
    )
    yield from subscripting("`view[i]` of 1,000 elements", kinds, places, rounds)


def into_fresh_memory(array: np.ndarray[Any, Any]) -> None:
    """What sharing an array costs at least: its bytes copied into new shared memory, one thread."""
    descriptor = os.memfd_create("benchmark")
    try:
        os.ftruncate(descriptor, array.nbytes)
        with mmap(descriptor, array.nbytes) as memory:
            target = np.frombuffer(memory, array.dtype)
            np.copyto(target, array)
            del target
    finally:
        os.close(descriptor)


def making(rounds: int, scale: int) -> Iterator[Row]:
    """What `share()` costs."""
    n = 10_000_000 // scale
    data: Any = ints_to_1000(n)
    yield side_by_side(lambda: onecopy.share(data), lambda: pickle.dumps(data, 5), rounds).row(
        f"`share({n:,} ints)`, 1 to 1000", "`pickle.dumps`", 0.25
    )
    data = ints_of_40_bits(n)
    yield side_by_side(lambda: onecopy.share(data), lambda: pickle.dumps(data, 5), rounds).row(
        f"`share({n:,} ints)`, 40 bits", "`pickle.dumps`", 0.25
    )
    n //= 10
    data = strings_of_16(n)
    yield side_by_side(lambda: onecopy.share(data), lambda: pickle.dumps(data, 5), rounds).row(
        f"`share({n:,} strs)`", "`pickle.dumps`", 0.7
    )
    data = [None, True, 1, 1.5, "one", b"two", 2**50] * (n // 7)
    yield side_by_side(lambda: onecopy.share(data), lambda: pickle.dumps(data, 5), rounds).row(
        f"`share({n:,} of mixed kinds)`", "`pickle.dumps`", None
    )
    size = GIB // scale
    array = np.ones(size // 8)
    yield side_by_side(lambda: onecopy.share(array), lambda: into_fresh_memory(array), max(3, rounds // 2)).row(
        f"`share(ndarray of {size // 2**20} MiB)`", "memcpy into fresh shared memory", 1.15
    )
    yield born_in_the_store(array, rounds)


def born_in_the_store(array: np.ndarray[Any, Any], rounds: int) -> Row:
    """Sharing an array that was made by `onecopy.empty` copies nothing."""
    ours, theirs = [], []
    for _ in range(max(3, rounds // 2)):
        born = onecopy.empty(array.shape, array.dtype)
        born[:] = array
        started = time.perf_counter()
        view = onecopy.share(born)
        ours.append(time.perf_counter() - started)
        del born, view
        started = time.perf_counter()
        into_fresh_memory(array)
        theirs.append(time.perf_counter() - started)
    ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
    ratio = Ratio(
        statistics.median(ours), statistics.median(theirs), statistics.median(ratios), (ratios[0], ratios[-1])
    )
    return ratio.row("`share` of an array born in the store", "memcpy into fresh shared memory", 0.05)


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def attach_times(connection: Any) -> None:
    """In a new process: seconds for the first view, for views of it again, and for views of other objects."""
    first, others = connection.recv()
    started = time.perf_counter()
    view = pickle.loads(first)
    taken = time.perf_counter() - started
    again = per_call(lambda: pickle.loads(first), 300)
    each = []
    kept = []
    for token in others:
        started = time.perf_counter()
        kept.append(pickle.loads(token))
        each.append(time.perf_counter() - started)
    connection.send((taken, again, statistics.median(each), len(view)))


def per_call(action: Callable[[], Any], calls: int) -> float:
    """Median seconds of one call."""
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def tokens(processes: int) -> Iterator[Row]:
    """How big a token is, and how long a worker takes to get a view from it."""
    view = onecopy.share(list(range(1_000_000)))
    others = [onecopy.share([number] * 100) for number in range(200)]
    size = len(pickle.dumps(view))
    yield Row("token", "", "≤ 200 bytes", f"{size} bytes", size <= 200, {"bytes": size, "at_most": 200})
    context = multiprocessing.get_context("spawn")
    answers = []
    for _ in range(processes):
        mine, theirs = context.Pipe()
        worker = context.Process(target=attach_times, args=(theirs,))
        worker.start()
        mine.send((pickle.dumps(view), [pickle.dumps(other) for other in others]))
        answers.append(mine.recv())
        worker.join()
    names = (
        ("first attach of a spawned worker", 100e-6),
        ("further view of an attached object", 1.5e-6),
        ("view of another object of the same store", None),
    )
    for index, (what, at_most) in enumerate(names):
        value = statistics.median(map(operator.itemgetter(index), answers))
        met = None if at_most is None else value <= at_most
        target = "" if at_most is None else f"≤ {at_most * 1e6:g} µs"
        yield Row(what, "", target, seconds(value), met, {"seconds": value, "at_most": at_most})
