"""Rows about nested data in one process: dicts, rows of tables, and what sharing annotations costs."""

from __future__ import annotations

import gc
import pickle
import random
from multiprocessing import Manager
from typing import TYPE_CHECKING, Any

import numpy as np

import onecopy
from coco import make_rows, read_every_field
from measure import Row, side_by_side
from memory import MIB, summed_pss
from speed import strings_of_16

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def look_up(data: Mapping[str, Any], keys: list[str]) -> None:
    """Finds keys that are there."""
    for key in keys:
        data[key]


def look_in_vain(data: Mapping[str, Any], keys: list[str]) -> None:
    """Looks for keys that are not there."""
    for key in keys:
        data.get(key)


def field_at(rows: Sequence[Any], places: list[int], field: str) -> None:
    """One field of rows at random places."""
    for place in places:
        rows[place][field]


def two_fields(rows: Sequence[Any]) -> float:
    """Iterates rows and reads two fields."""
    total = 0.0
    for row in rows:
        total += row["area"] + row["category_id"]
    return total


def unpickle_field(pickles: list[bytes], field: str) -> None:
    """What a list of pickled rows costs."""
    for one in pickles:
        pickle.loads(one)[field]


class Plain:
    """An object like any."""

    def __init__(self, number: int) -> None:
        self.label = f"object {number}"
        self.weight = number / 3
        self.number = number + 1000


def read_attributes(thing: Plain, times: int) -> None:
    """Reads a str, a float and an int."""
    for _ in range(times):
        thing.label  # noqa: B018
        thing.weight  # noqa: B018
        thing.number  # noqa: B018


def weigh(things: Sequence[Plain]) -> float:
    """One attribute of each."""
    total = 0.0
    for thing in things:
        total += thing.weight
    return total


def instances(rounds: int, scale: int) -> Iterator[Row]:
    """Attributes of instances: of one again and again, and one of each of many."""
    times = 300_000 // scale
    real = [Plain(number) for number in range(times)]
    alone = onecopy.share(real[7])
    ratio = side_by_side(lambda: read_attributes(alone, times), lambda: read_attributes(real[7], times), rounds)
    yield ratio.row("attribute of a shared plain object", "a real one's", 3.0)
    view = onecopy.share(real)
    ratio = side_by_side(lambda: weigh(view), lambda: weigh(real), rounds)
    yield ratio.row(f"an attribute of each of {times:,} plain objects", "real list", None)


def dicts(rounds: int, scale: int) -> Iterator[Row]:
    """Look-ups by str keys."""
    n = 1_000_000 // scale
    keys = strings_of_16(n)
    real = {key: number for number, key in enumerate(keys)}
    view = onecopy.share(real)
    some = random.Random(5).choices(keys, k=n // 2)
    # As they come from elsewhere: equal to the keys, but other objects, whose hashes are not known yet.
    fresh: list[list[str]] = [[(" " + key)[1:] for key in some] for _ in range(2 * rounds + 2)]
    missing = [key[::-1] + "-" for key in some]
    kinds: tuple[tuple[str, Callable[[Any], None]], ...] = (
        ("hit, the very key object", lambda data: look_up(data, some)),
        ("hit, an equal str that was never hashed", lambda data: look_up(data, fresh.pop())),
        ("miss", lambda data: look_in_vain(data, missing)),
    )
    for label, look in kinds:
        ratio = side_by_side(lambda look=look: look(view), lambda look=look: look(real), rounds)  # type: ignore[misc]
        yield ratio.row(f"`view[key]`, {n:,} str keys, {label}", "real dict", 3.0)
    with Manager() as manager:
        few = some[:2000]
        small = {key: real[key] for key in few}
        ours, theirs = onecopy.share(small), manager.dict(small)
        ratio = side_by_side(lambda: look_up(ours, few), lambda: look_up(theirs, few), 5)
    yield ratio.row("`view[key]`, 2,000 str keys", "`Manager().dict()`", 1 / 300, faster=True)


def rows_of_tables(rounds: int, rows: list[dict[str, Any]], view: Any) -> Iterator[Row]:
    """Reading rows of dicts."""
    places = random.Random(6).choices(range(len(rows)), k=len(rows) // 3)
    for field, kind in (("area", "float"), ("image_id", "int"), ("file_name", "str")):
        ratio = side_by_side(
            lambda field=field: field_at(view, places, field),  # type: ignore[misc]
            lambda field=field: field_at(rows, places, field),  # type: ignore[misc]
            rounds,
        )
        yield ratio.row(f'`view[i]["{field}"]` ({kind}), random i', "real list of dicts", 4.0)
    few = places[: len(places) // 10]
    pickles = [pickle.dumps(rows[place]) for place in few]
    yield side_by_side(lambda: field_at(view, few, "area"), lambda: unpickle_field(pickles, "area"), rounds).row(
        '`view[i]["area"]`, random i', "unpickling that row", 0.1, faster=True
    )
    pickles = [pickle.dumps({"id": place, "x": place * 0.5, "name": f"n{place}"}) for place in few]
    small = onecopy.share([{"id": place, "x": place * 0.5, "name": f"n{place}"} for place in range(len(rows))])
    yield side_by_side(lambda: field_at(small, few, "x"), lambda: unpickle_field(pickles, "x"), rounds).row(
        "the same, rows of three plain fields", "unpickling that row", None, faster=True
    )
    yield side_by_side(lambda: two_fields(view), lambda: two_fields(rows), rounds).row(
        "iterating rows and reading two fields", "real list of dicts", 4.0
    )
    yield side_by_side(lambda: read_every_field(view), lambda: read_every_field(rows), max(3, rounds // 3)).row(
        "reading every field of every row", "real list of dicts", 2.0
    )
    yield column(view, rows, rounds)


def column(view: Any, rows: list[dict[str, Any]], rounds: int) -> Row:
    """A whole column as an array, which is memory of the store."""
    array = np.asarray(view.column("area"))
    start = array.ctypes.data
    whole = np.frombuffer(onecopy.image_of(view), np.uint8)
    inside = whole.ctypes.data <= start and start + array.nbytes <= whole.ctypes.data + whole.nbytes
    ratio = side_by_side(
        lambda: np.asarray(view.column("area")).sum(), lambda: sum(row["area"] for row in rows), rounds
    )
    row = ratio.row('`np.asarray(view.column("area")).sum()`', "`sum` over the real list", None, faster=True)
    verdict = "no copy: its data lie in the image" if inside else "COPIED"
    return Row(row.what, row.against, "no copy", f"{row.measured}; {verdict}", inside, row.figures)


def coco(rounds: int, scale: int) -> Iterator[Row]:
    """COCO-like annotations: what their image takes, what making it costs, and reading it."""
    gc.collect()
    before = summed_pss()
    rows = make_rows(860_000 // scale)
    gc.collect()
    real_bytes = summed_pss() - before
    ratio = side_by_side(lambda: onecopy.share(rows), lambda: pickle.dumps(rows, 5), max(3, rounds // 3))
    yield ratio.row(f"`share({len(rows):,} annotations)`", "`pickle.dumps`", 1.5)
    view = onecopy.share(rows)
    image_bytes = onecopy.image_of(view).nbytes
    share = image_bytes / real_bytes
    yield Row(
        f"image of {len(rows):,} annotations",
        f"real objects: {real_bytes / MIB:,.0f} MiB",
        "≤ 0.35 ×",
        f"{share:.3f} × ({image_bytes / MIB:,.0f} MiB)",
        share <= 0.35,
        {"image_bytes": image_bytes, "real_bytes": real_bytes, "ratio": share, "at_most": 0.35},
    )
    yield from rows_of_tables(rounds, rows, view)
