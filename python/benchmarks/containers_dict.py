"""Rows about `onecopy.Dict` and its kin: one operation against a real dict, memory, and a `Manager`'s dict.

An operation takes nanoseconds, so it is timed in many small batches, ours and the real dict's turn by turn in one
process; of each the 2nd percentile counts: what it takes when nobody is in the way.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import random
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import onecopy
from measure import Row, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HOT, MANY = 1_000, 1_000_000
MIB = 2**20


def low(times: list[float]) -> float:
    """The 2nd percentile."""
    return sorted(times)[len(times) // 50]


class Batches:
    """Seconds of one operation: ours and theirs, in batches turn by turn."""

    def __init__(self) -> None:
        self.ours: list[float] = []
        self.theirs: list[float] = []

    def run(
        self,
        batches: int,
        batch: Callable[[int], Sequence[Any]],
        ours: Callable[[Any], Any],
        theirs: Callable[[Any], Any],
    ) -> Batches:
        """Times both with the same batches; the first few are to warm up."""
        clock = time.perf_counter
        gc.collect()
        gc.disable()
        try:
            for number in range(batches + 3):
                keys = batch(number)
                turns = [(ours, self.ours), (theirs, self.theirs)]
                for action, times in turns if number % 2 else reversed(turns):
                    started = clock()
                    action(keys)
                    taken = clock() - started
                    if number >= 3:
                        times.append(taken / len(keys))
        finally:
            gc.enable()
        return self

    def row(self, what: str, against: str, at_most: float | None) -> Row:
        """A row; `at_most` bounds ours / theirs."""
        mine, other = low(self.ours), low(self.theirs)
        ratio = mine / other
        return Row(
            what,
            against,
            "" if at_most is None else f"≤ {at_most:g} ×",
            f"{ratio:.2f} × ({seconds(mine)} against {seconds(other)})",
            None if at_most is None else ratio <= at_most,
            {"ratio": ratio, "ours_s": mine, "theirs_s": other, "at_most": at_most},
        )


# The operations: as a program would write them.


def get_each(data: Any, keys: Sequence[Any]) -> None:
    """`d[k]`."""
    for key in keys:
        data[key]


def in_each(data: Any, keys: Sequence[Any]) -> None:
    """`k in d`."""
    for key in keys:
        key in data  # noqa: B015


def set_each(data: Any, keys: Sequence[Any]) -> None:
    """`d[k] = x`."""
    for key in keys:
        data[key] = 1234567


def set_text(data: Any, keys: Sequence[Any]) -> None:
    """`d[k] = s`, a str of 64 characters."""
    text = TEXT
    for key in keys:
        data[key] = text


def add_each(data: Any, keys: Sequence[Any]) -> None:
    """`d.add(k, 1)`."""
    for key in keys:
        data.add(key, 1)


def increment_each(data: Any, keys: Sequence[Any]) -> None:
    """`d[k] += 1`."""
    for key in keys:
        data[key] += 1


def delete_each(data: Any, keys: Sequence[Any]) -> None:
    """`del d[k]`."""
    for key in keys:
        del data[key]


def insert_each(data: Any, keys: Sequence[Any]) -> None:
    """`s.add(k)`."""
    for key in keys:
        data.add(key)


TEXT = "0123456789abcdef" * 4


def int_keys(n: int) -> list[int]:
    """Distinct ints of 40 bits."""
    return random.Random(11).sample(range(2**40), n)


def str_keys(n: int) -> list[str]:
    """Distinct strs of 16 characters."""
    return [f"{key:016x}" for key in random.Random(12).sample(range(2**60), n)]


def filled(made: Any, keys: Sequence[Any], values: Sequence[Any] | None = None) -> Any:
    """A dict with these keys."""
    made.update(zip(keys, values if values is not None else range(len(keys)), strict=True))
    return made


def points(quick: bool, n: int) -> Iterator[Row]:
    """Operations on keys that are there, or not: the nearest cache holds a small dict, no cache a large one."""
    is_hot = n == HOT
    where = f"{n:,} keys" if is_hot else f"{n:,} keys, random"
    batches, size = (60, 1_000) if quick else (300, 2_000 if is_hot else 5_000)
    keys, names, absent = int_keys(n), str_keys(n), [-key for key in range(1, n + 1)]
    ints, real_ints = filled(onecopy.Dict(), keys), filled({}, keys)
    strs, real_strs = filled(onecopy.Dict(), names), filled({}, names)
    choose = random.Random(13)

    def of(source: Sequence[Any]) -> Callable[[int], Sequence[Any]]:
        return lambda _: choose.choices(source, k=size)

    def row(  # noqa: PLR0917 - a table
        what: str, source: Sequence[Any], ours: Any, theirs: Any, use: Any, at_most: float | None, other: Any = None
    ) -> Row:
        taken = Batches().run(
            batches, of(source), lambda some: use(ours, some), lambda some: (other or use)(theirs, some)
        )
        against = "real dict" if other is None else "`d[k] += 1`, real dict"
        return taken.row(f"Dict: {what}, {where}", against, at_most)

    yield row("get by int", keys, ints, real_ints, get_each, 1.8 if is_hot else 1.2)
    yield row("get by str of 16", names, strs, real_strs, get_each, 2.0 if is_hot else 1.7)
    yield row("`k in d`, absent int", absent, ints, real_ints, in_each, 1.3 if is_hot else 0.9)
    yield row("set an int", keys, ints, real_ints, set_each, 1.3)
    yield row("`d.add(k, 1)`", keys, ints, real_ints, add_each, 0.8, increment_each)
    yield row("set a str of 64 by str", names, strs, real_strs, set_text, 3.0 if is_hot else 2.3)
    unique = onecopy.Set(keys)
    yield row("`k in s` of a set", keys, unique, set(keys), in_each, None)
    yield from turnover(where, is_hot, batches, size)


def turnover(where: str, is_hot: bool, batches: int, size: int) -> Iterator[Row]:
    """Keys come and go: memory that a dict has had before."""
    n = HOT if is_hot else MANY
    keys = int_keys(n)
    ours, theirs = filled(onecopy.Dict(), keys), filled({}, keys)
    deleted, inserted = Batches(), Batches()
    size = min(size, n // 2)
    for number in range(batches // 10):
        random.Random(number).shuffle(keys)
        parts = [keys[at : at + size] for at in range(0, n // 2 // size * size, size)][:20]
        for times, use in ((deleted, delete_each), (inserted, set_each)):
            for turn, part in enumerate(parts):
                pair = [(ours, times.ours), (theirs, times.theirs)]
                for data, taken in pair if turn % 2 else reversed(pair):
                    started = time.perf_counter()
                    use(data, part)
                    taken.append((time.perf_counter() - started) / len(part))
    yield inserted.row(f"Dict: a key that was there before, {where}", "real dict", 2.1)
    yield deleted.row(f"Dict: `del d[k]`, {where}", "real dict", 2.3 if is_hot else 3.0)


def filling(quick: bool) -> Iterator[Row]:
    """New keys, one after the other, from an empty dict on."""
    n = 100_000 if quick else MANY
    keys = int_keys(n)
    fresh, warm = Batches(), Batches()
    for _ in range(3 if quick else 5):
        ours: Any = onecopy.Dict()
        for times in (fresh, warm):
            theirs: Any = {}
            gc.collect()
            for data, taken in ((ours, times.ours), (theirs, times.theirs)):
                started = time.perf_counter()
                set_each(data, keys)
                taken.append((time.perf_counter() - started) / n)
            ours.clear()
    yield fresh.row(f"Dict: {n:,} new keys, an empty dict", "real dict", 3.0)
    yield warm.row(f"Dict: {n:,} new keys, after `clear()`", "real dict", None)


def real_bytes(data: dict[Any, Any]) -> int:
    """A real dict with its keys and values; small ints are the interpreter's."""
    own = sum(map(sys.getsizeof, data)) + sum(sys.getsizeof(value) for value in data.values() if not -5 <= value <= 256)
    return sys.getsizeof(data) + own


def memory(quick: bool) -> Iterator[Row]:
    """Bytes an entry, and what goes back when most keys are gone."""
    n = 1_000_000 if quick else 10_000_000
    for label, make in (("int keys", range), ("keys of 16 characters", str_keys)):
        names: Any = make(n)
        real = dict(zip(names, range(n), strict=True))
        theirs = real_bytes(real) / n
        del real
        before = onecopy.stats().allocated_bytes
        shared: Any = onecopy.Dict()
        set_numbers(shared, names)
        ours = (onecopy.stats().allocated_bytes - before) / n
        yield Row(
            f"Dict: memory of an entry, {n:,} {label}, ints",
            f"real dict: {theirs:.0f} bytes",
            "≤ 1.2 ×",
            f"{ours / theirs:.2f} × ({ours:.0f} bytes)",
            ours <= 1.2 * theirs,
            {"ratio": ours / theirs, "ours_bytes": ours, "theirs_bytes": theirs, "at_most": 1.2},
        )
        full = onecopy.stats().allocated_bytes - before
        delete_each(shared, names[n // 100 :])
        back = 1 - (onecopy.stats().allocated_bytes - before) / full
        yield Row(
            f"Dict: given back with 99 % of {n:,} {label}",
            "",
            "≥ 80 %",
            f"{back:.1%}",
            back >= 0.8,
            {"share": back, "at_least": 0.8},
        )
        del shared, names


def set_numbers(data: Any, keys: Sequence[Any]) -> None:
    """`d[k] = i`, counted up."""
    deque(map(data.__setitem__, keys, range(len(keys))), 0)


def managed(quick: bool) -> Iterator[Row]:
    """A `Manager`'s dict, which asks its server for each key."""
    n = 200 if quick else 2_000
    keys = int_keys(HOT)
    with multiprocessing.Manager() as manager:
        theirs: Any = manager.dict(dict.fromkeys(keys, 0))
        lock = manager.Lock()
        ours: Any = onecopy.Dict(dict.fromkeys(keys, 0))

        def add_locked(some: Sequence[Any]) -> None:
            for key in some:
                with lock:
                    theirs[key] += 1

        for what, mine, other, at_least in (
            ("get", get_each, lambda some: get_each(theirs, some), 140),
            ("set", set_each, lambda some: set_each(theirs, some), 140),
            ("`d.add(k, 1)`", add_each, add_locked, 1000),
        ):
            batch = random.Random(14).choices(keys, k=n)
            mine_s, other_s = math.inf, math.inf
            for _ in range(5):
                started = time.perf_counter()
                mine(ours, batch)
                mine_s = min(mine_s, time.perf_counter() - started)
                started = time.perf_counter()
                other(batch)
                other_s = min(other_s, time.perf_counter() - started)
            faster = other_s / mine_s
            yield Row(
                f"Dict: {what}",
                "`Manager().dict()`" + (" and its lock" if at_least == 1000 else ""),
                f"≥ {at_least:,} × faster",
                f"{faster:,.0f} × faster ({seconds(mine_s / n)} against {seconds(other_s / n)})",
                faster >= at_least,
                {"ratio": 1 / faster, "ours_s": mine_s / n, "theirs_s": other_s / n, "at_most": 1 / at_least},
            )


def rows(quick: bool) -> list[Row]:
    """All of them."""
    return [
        *points(quick, HOT),
        *points(quick, MANY // 10 if quick else MANY),
        *filling(quick),
        *memory(quick),
        *managed(quick),
    ]


def main() -> None:
    """Prints them: `containers_dict.py [--quick] [PART ...]`."""
    quick = "--quick" in sys.argv
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "hot": lambda: points(quick, HOT),
        "many": lambda: points(quick, MANY),
        "filling": lambda: filling(quick),
        "memory": lambda: memory(quick),
        "manager": lambda: managed(quick),
    }
    for name in [word for word in sys.argv[1:] if not word.startswith("-")] or parts:
        for row in parts[name]():
            verdict = "" if row.met is None else ("met" if row.met else "missed")
            print(f"{verdict:7} {row.what:64} {row.target:20} {row.measured}", flush=True)


if __name__ == "__main__":
    main()
