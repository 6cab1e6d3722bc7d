"""Rows about `onecopy.List` against a real list: element by element, in the middle, as a whole, and its memory."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import onecopy
from measure import Row, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOT = 1_000
MANY = 1_000_000
ASKED = 25_000
WIDE = 1 << 40
WIDEST = 12_345_678_901


def times(action: Callable[[Any], object], count: int) -> Callable[[Any], None]:
    """The action `count` times over."""

    def repeated(elements: Any) -> None:
        for _ in range(count):
            action(elements)

    return repeated


def read_each(order: list[int]) -> Callable[[Any], None]:
    """Reads the elements in this order."""

    def read(elements: Any) -> None:
        for index in order:
            elements[index]

    return read


def set_each(order: list[int], value: object) -> Callable[[Any], None]:
    """Sets the elements in this order."""

    def assign(elements: Any) -> None:
        for index in order:
            elements[index] = value

    return assign


def append_each(count: int) -> Callable[[Any], None]:
    """Appends, and takes all away at once."""

    def append(elements: Any) -> None:
        add = elements.append
        for _ in range(count):
            add(WIDEST)
        elements.clear()

    return append


def append_and_pop(count: int) -> Callable[[Any], None]:
    """Appends and takes back one by one."""

    def both(elements: Any) -> None:
        add, take = elements.append, elements.pop
        for _ in range(count):
            add(WIDEST)
            take()

    return both


def insert_and_delete(at: int, count: int) -> Callable[[Any], None]:
    """Inserts in the middle, then deletes there."""

    def both(elements: Any) -> None:
        for _ in range(count):
            elements.insert(at, WIDEST)
        for _ in range(count):
            del elements[at]

    return both


def in_front(elements: Any) -> None:
    """A queue: in at the end, out in front."""
    for _ in range(200):
        elements.append(WIDEST)
        elements.pop(0)


def looped(most: int) -> Callable[[Any], int]:
    """The loop of the question."""
    return lambda elements: sum(x < most for x in elements)


def compare(
    what: str, action: Callable[[Any], object], values: list[Any], at_most: float | None, rounds: int
) -> Iterator[Row]:
    """The action with a list of ours and with a real one of the same values."""
    ours: Any = onecopy.List(values)
    theirs = list(values)
    ratio = side_by_side(lambda: action(ours), lambda: action(theirs), rounds)
    yield ratio.row(f"List: {what}", "list", at_most)


def hot(rounds: int) -> Iterator[Row]:
    """A list whose memory is in the caches."""
    ints, wide = [n + 300 for n in range(HOT)], [n + WIDE for n in range(HOT)]
    order = random.Random(1).choices(range(HOT), k=20_000)
    in_order = list(range(HOT)) * 20
    texts = [f"text {n:011d}" for n in range(HOT)]
    yield from compare("get int, hot", read_each(order), ints, 2.4, rounds)
    yield from compare("get int one after the other, hot", read_each(in_order), ints, 1.8, rounds)
    yield from compare("get 16-character str, hot", read_each(order), texts, None, rounds)
    yield from compare("loop over small ints", times(looped(128), 20), [n % 256 for n in range(HOT)], 1.2, rounds)
    yield from compare("loop over 40-bit ints", times(looped(WIDE + 500), 20), wide, 1.5, rounds)
    yield from compare("set int, hot", set_each(order, WIDEST), ints, 1.8, rounds)
    yield from compare("append", append_each(20_000), [], 1.25, rounds)
    yield from compare("append and pop", append_and_pop(20_000), ints, 1.4, rounds)
    yield from compare("insert and delete in the middle of 1,000", insert_and_delete(500, 200), ints, 4, rounds)
    yield from compare("append and take the first of 1,000", in_front, ints, None, rounds)


def large(scale: int, rounds: int) -> Iterator[Row]:
    """Lists of 25,000 and a million."""
    asked = list(range(1_000, ASKED + 1_000))
    yield from compare("insert and delete in the middle of 25,000", insert_and_delete(12_500, 50), asked, 4, rounds)
    yield from compare("`list(l)` of 25,000", list, asked, 8, rounds)
    yield from compare("`l.copy()` of 25,000", lambda elements: elements.copy(), asked, 8, rounds)
    others = list(range(1_000, ASKED + 1_000))
    yield from compare("`l == other` of 25,000", lambda elements: elements == others, asked, 8, rounds)
    many = MANY // scale
    values = list(range(1 << 20, (1 << 20) + many))
    random.Random(2).shuffle(values)
    order = random.Random(3).choices(range(many), k=200_000 // scale)
    yield from compare(f"get int, random over {many:,}", read_each(order), values, 0.8, rounds)
    yield from compare(f"set int, random over {many:,}", set_each(order, WIDEST), values, 1.8, rounds)


def replaced(rounds: int) -> Iterator[Row]:
    """A value of 1.5 MiB in the place of another, against a copy of it in this process."""
    values = [bytes([number]) * (3 << 19) for number in range(2)] * 10
    ours: Any = onecopy.List([None])

    def replace() -> None:
        for value in values:
            ours[0] = value

    def copy() -> None:
        for value in values:
            bytearray(value)

    yield side_by_side(replace, copy, rounds).row("List: 1.5 MiB of bytes replaced", "a copy of them", None)


def given_back(scale: int) -> Iterator[Row]:
    """Ten million appends, and the memory after `clear()`."""
    count = 10_000_000 // scale
    shared: Any = onecopy.List()
    before = onecopy.stats().container_bytes
    for _ in range(count // 1_000):
        shared.extend(range(1_000))
    taken = onecopy.stats().container_bytes - before
    if len(shared) != count // 1_000 * 1_000 or shared[-1] != 999:
        raise AssertionError("an element was lost")
    shared.clear()
    left = onecopy.stats().container_bytes - before
    back = 1 - left / taken
    yield Row(
        f"List of {count:,} ints: memory given back by `clear()`",
        "",
        "≥ 95 %",
        f"{100 * back:.1f} % of {taken / 2**20:.0f} MiB, {taken / count:.1f} bytes an element",
        back >= 0.95,
        {"share": back, "at_least": 0.95, "bytes_per_element": taken / count},
    )


def lists(scale: int, rounds: int) -> Iterator[Row]:
    """All rows."""
    yield from hot(rounds)
    yield from large(scale, rounds)
    yield from replaced(rounds)
    yield from given_back(scale)
