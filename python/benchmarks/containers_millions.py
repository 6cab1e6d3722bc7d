"""Rows about containers of ten million elements: that they work, what they take, and what they give back."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import onecopy
from measure import Row, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANY = 10_000_000
FIRST = 1 << 20
"""No int that the interpreter has anyway."""


def container_bytes() -> int:
    """Bytes of all containers; those of the bench's other sections are gone."""
    return onecopy.stats().container_bytes


def given_back(what: str, at_least: float, act: Callable[[], object]) -> Row:
    """The part of the memory of containers that goes with `act`."""
    before = container_bytes()
    act()
    part = 1 - container_bytes() / before
    figures = {"part": part, "bytes": before, "at_least": at_least}
    measured = f"{part:.1%} of {before / 2**20:,.0f} MiB"
    return Row(what, "", f"≥ {at_least:.0%} given back", measured, part >= at_least, figures)


def filled(what: str, act: Callable[[], object], count: int) -> Row:
    """How long it takes to fill one; whatever goes wrong is an exception."""
    started = time.perf_counter()
    act()
    taken = time.perf_counter() - started
    each = seconds(taken / count)
    return Row(what, "", "works", f"{seconds(taken)}, {each} each", True, {"seconds": taken, "count": count})


def lists(count: int) -> Iterator[Row]:
    """Appends one by one, a look at all, and `clear()`."""
    shared: Any = onecopy.List()

    def fill() -> None:
        append = shared.append
        for number in range(FIRST, FIRST + count):
            append(number)

    before = container_bytes()
    yield filled(f"List: {count:,} appends", fill, count)
    if list(shared) != list(range(FIRST, FIRST + count)):
        raise AssertionError("not what was appended")
    each = (container_bytes() - before) / count
    yield Row("List: bytes an element", "", "", f"{each:.1f}", None, {"bytes": each})
    yield given_back(f"List: `clear()` of {count:,}", 0.95, shared.clear)


def dicts(count: int) -> Iterator[Row]:
    """Keys one by one, deletions down to a hundredth, and `clear()`."""
    shared: Any = onecopy.Dict()

    def fill() -> None:
        for number in range(count):
            shared[f"k{number:015d}"] = FIRST + number

    before = container_bytes()
    yield filled(f"Dict: {count:,} new keys", fill, count)
    each = (container_bytes() - before) / count
    real: dict[str, int] = {f"k{number:015d}": FIRST + number for number in range(count)}
    if any(shared[key] != value for key, value in real.items()):
        raise AssertionError("not what was set")
    sample = next(iter(real.items()))
    theirs = sys.getsizeof(real) / count + sum(map(sys.getsizeof, sample))
    del real
    yield Row(
        f"Dict: bytes an entry, {count:,} of 16 characters and an int",
        f"real dict: {theirs:.0f} bytes",
        "≤ 1.2 ×",
        f"{each / theirs:.2f} × ({each:.0f} bytes)",
        each <= 1.2 * theirs,
        {"bytes": each, "theirs": theirs, "at_most": 1.2},
    )

    def shrink() -> None:
        for number in range(count):
            if number % 100:
                del shared[f"k{number:015d}"]

    yield given_back("Dict: deletions down to 1 %", 0.8, shrink)
    if len(shared) != len(range(0, count, 100)) or shared["k" + "0" * 15] != FIRST:
        raise AssertionError("not what was left")
    for number in range(count):
        shared[f"k{number:015d}"] = number
    yield given_back(f"Dict: `clear()` of {count:,}", 0.95, shared.clear)


def millions(scale: int) -> Iterator[Row]:
    """All rows; `scale` divides the sizes."""
    yield from lists(MANY // scale)
    yield from dicts(MANY // scale)
