"""Slots keep nothing: any number of passes leaves as many blocks allocated as the first, and nothing is put off."""

from __future__ import annotations

import contextlib
import copy
import decimal
import fractions
import itertools
import operator
import pickle
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
# More than an image keeps of its unpickled elements, so that each pass unpickles all of them.
MANY = 1100
FEW = 40
# Blocks that come and go with the interpreter's own caches.
SLACK = 12
PASSES = 20

Operation = tuple[str, "Callable[[], Any]"]


@dataclass
class Point:
    """A row of a table."""

    x: Any
    y: Any = 0.5

    def double(self) -> Any:
        """A method that a real instance runs."""
        return (self.x, self.x)


class Pair(NamedTuple):
    """A row of a table."""

    left: Any
    right: Any


class Own:
    """Pickled, as it has state methods of its own."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and self.number == other.number

    def __hash__(self) -> int:
        return hash(self.number)

    def __getstate__(self) -> tuple[Any, ...]:
        return (self.number, [self.number])

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.number = state[0]


class BadEqual(Own):
    """Raises when it is compared."""

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError("no comparison")

    __hash__ = Own.__hash__


class BadState(Own):
    """Raises when it is unpickled, but for one in three."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[0] % 3:
            raise ArithmeticError("no state")
        super().__setstate__(state)


def few(make: Callable[[int], Any]) -> Callable[[], list[Any]]:
    return lambda: [make(at) for at in range(FEW)]


def many(make: Callable[[int], Any]) -> Callable[[], list[Any]]:
    return lambda: [make(at) for at in range(MANY)]


MIXTURE = (
    7,
    2**40,
    2**70,
    1.5,
    True,
    None,
    "a",
    "é",
    "日本",
    b"b",
    b"longer bytes",
    (1, "x"),
    3 + 4j,
    "some longer text",
)

ELEMENTS: dict[str, Callable[[], list[Any]]] = {
    "small int": few(lambda at: at - 20),
    "wide int": few(lambda at: 2**40 + at),
    "unsigned int": few(lambda at: 2**63 + at),
    "large int": few(lambda at: 2**90 + at),
    "float": few(lambda at: at + 0.5),
    "bool": few(lambda at: at % 2 == 0),
    "none": few(lambda _: None),
    "int or none": few(lambda at: at * 2**40 if at % 3 else None),
    "ascii": few(lambda at: f"text number {at}"),
    "latin": few(lambda at: f"naïve {at}"),
    "two bytes": few(lambda at: f"日本 {at}"),
    "four bytes": few(lambda at: f"🦀 {at}"),
    "bytes": few(lambda at: b"some bytes %d" % at),
    "tuple": few(lambda at: (at, str(at))),
    "list": few(lambda at: [at, [str(at)]]),
    "dict": few(lambda at: {"a": at, ("b", at): [at]}),
    "set": few(lambda at: {at, "x"}),
    "frozenset": few(lambda at: frozenset((at, 2**70))),
    "array": few(lambda at: np.arange(at + 1)),
    "mixture": few(lambda at: MIXTURE[at % len(MIXTURE)]),
    "fraction": many(lambda at: fractions.Fraction(at, 7)),
    "decimal": many(lambda at: decimal.Decimal(at) / 7),
    "own state": many(Own),
    "mixture with pickles": many(lambda at: Own(at) if at % 2 else MIXTURE[at // 2 % len(MIXTURE)]),
}


def loop(things: Any) -> int:
    """Takes one after the other; how many there were."""
    return sum(1 for _ in things)


def raises(use: Callable[[], Any]) -> Callable[[], None]:
    """The use, whose error is the point."""

    def attempt() -> None:
        with contextlib.suppress(Exception):
            use()

    return attempt


def each(use: Callable[[Any], Any], over: Any) -> Callable[[], None]:
    """The use of one after the other; an error does not end it."""

    def attempt() -> None:
        for part in over:
            with contextlib.suppress(Exception):
                use(part)

    return attempt


def begun(view: Any) -> None:
    """An iterator that is left in the middle."""
    iterator = iter(view)
    loop(itertools.islice(iterator, len(view) // 2))
    operator.length_hint(iterator)
    copy.copy(iterator)


def of_sequence(view: Any, real: Any) -> Iterator[Operation]:
    """What can be done with a list or tuple."""
    length = len(view)
    yield "[i]", each(view.__getitem__, range(length))
    yield "[i] again", lambda: [view[at] for at in range(length)]
    yield "[-i]", lambda: [view[-at] for at in range(1, length + 1)]
    yield "[slice]", lambda: [loop(view[1:9]), loop(view[::-3]), view[2:][1]]
    yield "for", lambda: loop(view)
    yield "reversed", lambda: loop(reversed(view))
    yield "begun", lambda: begun(view)
    yield "pickled iterator", lambda: loop(pickle.loads(pickle.dumps(iter(view[:5]))))
    yield "list", lambda: list(view)
    yield "tuple", lambda: tuple(view)
    yield "tolist", view.tolist
    yield "to_python", lambda: onecopy.to_python(view)
    yield "part to_python", lambda: onecopy.to_python(view[1:])
    yield "repr", lambda: repr(view)
    yield "in", lambda: (real[-1] in view, "absent" in view)
    yield "index", lambda: view.index(real[-1])
    yield "index absent", raises(lambda: view.index("absent"))
    yield "count", lambda: view.count(real[0])
    yield "equal", lambda: (view == real, view != real, view == view[:], view == [])
    yield "order", raises(lambda: view < real)
    yield "hash", raises(lambda: hash(view[:]))
    yield "plus", lambda: (view[:3] + view[:2], view[:3] * 2)
    yield "sorted", raises(lambda: sorted(view))
    yield "unpack", raises(lambda: dict.fromkeys(view))
    yield "star", lambda: [*view]
    yield "zip", lambda: loop(zip(view, view, strict=True))
    yield "pickle", lambda: pickle.loads(pickle.dumps(view))
    yield "[past the end]", each(view.__getitem__, [length, -length - 1, 2**70, "x", None, 1.5] * 50)
    yield "[past the end] by operator", each(partial_getitem(view), [length, -length - 1] * 100)
    yield "array", raises(lambda: np.asarray(view))


def partial_getitem(view: Any) -> Callable[[Any], Any]:
    return lambda key: view[key]


def of_mapping(view: Any, real: Any) -> Iterator[Operation]:
    """What can be done with a dict or row."""
    keys = list(real)
    yield "[key]", lambda: [view[key] for key in keys]
    yield "get", lambda: [view.get(key) for key in [*keys, "absent"]]
    yield "in", lambda: [key in view for key in [*keys, "absent"]]
    yield "for", lambda: loop(view)
    yield "reversed", lambda: loop(reversed(view))
    yield "keys", lambda: loop(view.keys())
    yield "values", lambda: loop(view.values())
    yield "items", lambda: loop(view.items())
    yield "keys as a set", lambda: (view.keys() & {keys[0]}, view.keys() | {"x"}, view.keys() == set(keys))
    yield "copy", lambda: (view.copy(), dict(view), {**view})
    yield "or", lambda: (view | {1: 2}, {1: 2} | view)
    yield "equal", lambda: (view == real, view != real)
    yield "repr", lambda: repr(view)
    yield "to_python", lambda: onecopy.to_python(view)
    yield "[absent]", each(view.__getitem__, ["absent", 2**70, [], fractions.Fraction(1, 3)] * 50)


def of_set(view: Any, real: Any) -> Iterator[Operation]:
    """What can be done with a set."""
    yield "for", lambda: loop(view)
    yield "in", lambda: [member in view for member in [*real, "absent", 2**71]]
    yield "in unhashable", each(view.__contains__, [[], {}] * 50)
    yield "operators", lambda: (view & real, view | real, view - {1}, view ^ {1}, real & view, real - view)
    yield "methods", lambda: (view.union([1]), view.isdisjoint([1]), view.issuperset(real), view.issubset(real))
    yield "equal", lambda: (view == real, view <= real, view > real)
    yield "hash", raises(lambda: hash(view))
    yield "repr", lambda: repr(view)
    yield "to_python", lambda: onecopy.to_python(view)


def of_table(view: Any, real: Any) -> Iterator[Operation]:
    """What can be done with a table of dicts."""
    rows = range(len(view))
    yield '[i]["x"]', lambda: [view[at]["x"] for at in rows]
    yield '[i].get("x")', lambda: [view[at].get("x") for at in rows]
    yield 'for row: row["x"]', lambda: [row["x"] for row in view]
    yield "for row: items", lambda: [loop(row.items()) for row in view]
    yield "column", lambda: loop(view.column("x"))
    yield "column[i]", lambda: [view.column("x")[at] for at in range(20)]
    yield "no such column", each(view.column, ["absent"] * 100)
    yield '[i]["absent"]', each(view[1].__getitem__, ["absent"] * 100)
    yield "[past the end]", each(view.__getitem__, [len(view), "x"] * 50)
    yield "slices", lambda: (loop(view[::-2]), loop(reversed(view)))
    yield "equal", lambda: (view == real, view[1] == real[1])
    yield "in", lambda: (real[3] in view, view.index(real[3]), view.count(real[0]))
    yield "repr", lambda: repr(view)
    yield "to_python", lambda: (onecopy.to_python(view), onecopy.to_python(view[2]))


def of_records(view: Any, real: Any) -> Iterator[Operation]:
    """What can be done with rows that were instances of a class."""
    name = "x" if isinstance(real[0], Point) else "left"
    rows = range(len(view))
    yield "[i].field", lambda: [getattr(view[at], name) for at in rows]
    yield "for row: row.field", lambda: [getattr(row, name) for row in view]
    yield "[i].absent", each(lambda row: row.absent, view[:50])
    yield "equal", lambda: (view[1] == real[1], view == real)
    yield "hash", raises(lambda: hash(view[1]))
    yield "repr", lambda: repr(view)
    yield "method", raises(lambda: [row.double() for row in view])
    yield "unpack", raises(lambda: [tuple(row) for row in view])
    yield "dir", lambda: dir(view[0])
    yield "to_python", lambda: onecopy.to_python(view)


def used(name: str, elements: list[Any]) -> Iterator[tuple[str, Iterator[Operation]]]:
    """The views of some elements, and what can be done with each."""
    hashable = not isinstance(elements[0], (list, dict, set, np.ndarray))
    if name != "array":  # comparing lists of arrays is an error
        yield "list", of_sequence(onecopy.share(elements), elements)
        yield "tuple", of_sequence(onecopy.share(tuple(elements)), tuple(elements))
        values = dict(enumerate(elements))
        yield "dict", of_mapping(onecopy.share(values), values)
        rows = [{"x": element, "n": at} for at, element in enumerate(elements)]
        yield "table", of_table(onecopy.share(rows), rows)
        points = [Point(element) for element in elements]
        yield "dataclasses", of_records(onecopy.share(points), points)
        pairs = [Pair(element, at) for at, element in enumerate(elements)]
        yield "namedtuples", of_records(onecopy.share(pairs), pairs)
    else:
        view = onecopy.share(elements)
        yield "list", iter([("for", lambda: loop(view)), ("to_python", lambda: onecopy.to_python(view))])
    if hashable:
        keyed = {element: at for at, element in enumerate(elements)}
        yield "dict by key", of_mapping(onecopy.share(keyed), keyed)
        yield "set", of_set(onecopy.share(set(elements)), set(elements))
        yield "frozenset", of_set(onecopy.share(frozenset(elements)), frozenset(elements))


def settle() -> None:
    """Enters the extension the ordinary way, which releases what slots have put off."""
    onecopy.is_frozen(None)


def kept_by(use: Callable[[], Any]) -> tuple[int, int] | None:
    """Blocks that each of many passes leaves behind, and those whose release it puts off; None if one does neither.

    Caches and free lists of the interpreter fill up in the first passes; a leak comes with every pass.
    """
    blocks = sys.getallocatedblocks
    grown = put_off = 0
    use()
    for _ in range(PASSES):
        settle()
        before = blocks()
        use()
        after = blocks()
        settle()
        grown, put_off = blocks() - before, after - blocks()
        if grown <= SLACK and put_off <= SLACK:
            return None
    return grown, put_off


def leaks(operations: Iterator[Operation]) -> list[str]:
    """The operations that keep something."""
    found = []
    for name, use in operations:
        kept = kept_by(use)
        if kept is not None:
            found.append(f"{name}: {kept[0]} blocks a pass, {kept[1]} put off")
    return found


@pytest.mark.parametrize("name", ELEMENTS)
def test_passes_over_views_allocate_nothing_that_stays(name: str) -> None:
    found = {kind: leaks(operations) for kind, operations in used(name, ELEMENTS[name]())}
    assert found == {kind: [] for kind in found}


def test_a_failing_comparison_keeps_nothing() -> None:
    real = [BadEqual(at) for at in range(MANY)]
    view = onecopy.share(real)

    def operations() -> Iterator[Operation]:
        yield "in", raises(lambda: 5 in view)
        yield "index", each(lambda start: view.index(5, start), range(MANY))
        yield "equal", each(lambda start: view[start:] == real[start:], range(0, MANY, 50))
        yield "count", each(lambda start: view[start:].count(5), range(MANY))

    assert leaks(operations()) == []


def test_failing_unpickling_keeps_nothing() -> None:
    class_of = BadState
    view = onecopy.share([class_of(at) for at in range(3 * MANY)])
    records = onecopy.share([{"x": class_of(at), "n": at} for at in range(3 * MANY)])

    def iterate() -> None:
        iterator = iter(view)
        for _ in range(len(view)):
            with contextlib.suppress(ArithmeticError):
                next(iterator)

    def operations() -> Iterator[Operation]:
        yield "[i]", each(lambda at: view[at], range(len(view)))
        yield "next", iterate
        yield "for", each(lambda start: loop(view[start:]), range(1, 600))
        yield "list", each(lambda start: list(view[start:]), range(1, 600))
        yield "tolist", each(lambda start: view[start:].tolist(), range(1, 600))
        yield "to_python", each(lambda start: onecopy.to_python(view[start:]), range(1, 600))
        yield '[i]["x"]', each(lambda at: records[at]["x"], range(len(records)))

    assert leaks(operations()) == []


def test_elements_are_released_at_once() -> None:
    view = onecopy.share([Tracked(at) for at in range(MANY)])
    order = list(range(MANY))
    random.Random(1).shuffle(order)
    Tracked.alive = 0
    for at in order * 3:
        view[at]
    after_indexing = Tracked.alive
    for _ in view:
        pass
    after_iterating = Tracked.alive
    # What an image keeps of its unpickled elements, and the one that the loop's name refers to.
    assert max(after_indexing, after_iterating) <= 1025


class Tracked(Own):
    """Counts its instances that were unpickled and live."""

    alive = 0

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        super().__setstate__(state)
        Tracked.alive += 1

    def __del__(self) -> None:
        Tracked.alive -= 1


def test_workers_that_read_pickled_objects_do_not_grow() -> None:
    command = [sys.executable, str(ROOT / "tools" / "epochs.py"), "--objects=20000"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
