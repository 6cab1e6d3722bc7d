"""Nested data at its edges: hostile classes, rows in rows, views in data, small stacks."""

from __future__ import annotations

import collections
import itertools
import threading
from collections import namedtuple
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Fresh:
    """A descriptor whose value is a new dict each time."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else {f"key {instance.n} {i}": i for i in range(3)}

    def __set__(self, instance: Any, value: Any) -> None:
        pass


@dataclass
class Computed:
    n: int
    made: Any = Fresh()

    def __reduce__(self) -> Any:
        raise TypeError("not by pickle")


@dataclass
class Cached:
    n: int
    late: int = field(init=False, default=7)

    def __post_init__(self) -> None:
        self.cache = [self.n]


class Slotted:
    __slots__ = ("extra",)
    extra: int


@dataclass
class OverSlots(Slotted):
    n: int


@dataclass
class Node:
    name: str
    after: Any = None
    before: Any = None


@dataclass(frozen=True)
class Cell:
    x: int
    y: Any = ()


class Impatient:
    """An instance whose slot is read by its class, which is interrupted."""

    __slots__ = ("n",)
    n: int

    def __getattr__(self, name: str) -> Any:
        raise KeyboardInterrupt


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the plain kind


class Holder:
    """An object that goes through pickle."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@pytest.mark.parametrize("inner", [Cell(1), collections.Counter("aab"), range(3), "text", b"bytes"])
def test_a_view_in_what_is_pickled_is_there_for_every_reader(tmp_path: Path, inner: Any) -> None:
    onecopy.save([Holder(onecopy.share(inner))], tmp_path / "file")
    onecopy.collect(0)
    for _ in range(2):
        read: Any = onecopy.open(tmp_path / "file", allow_pickle=True)
        assert onecopy.to_python(read)[0].rows == inner


class Keeping:
    """Keeps its hash when it is asked for it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.kept: int | None = None

    def __hash__(self) -> int:
        if self.kept is None:
            self.kept = hash(self.number)
        return self.kept

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keeping) and self.number == other.number


def test_keys_that_keep_their_hash_are_found() -> None:
    view = onecopy.share({Keeping(n): n for n in range(20)})
    assert view[Keeping(7)] == 7
    assert Keeping(20) not in view
    assert Keeping(3) in onecopy.share({Keeping(n) for n in range(5)})


def test_fields_made_on_access_are_all_different() -> None:
    Computed.__reduce__ = object.__reduce__  # type: ignore[method-assign]
    try:
        view: Any = onecopy.share([Computed(n) for n in range(5)])
        assert [list(row.made) for row in view] == [[f"key {n} {i}" for i in range(3)] for n in range(5)]
    finally:
        del Computed.__reduce__


def test_attributes_beside_the_fields_are_kept() -> None:
    real: Any = onecopy.to_python(onecopy.share([Cached(1), Cached(2)]))
    assert [(row.n, row.cache, row.late) for row in real] == [(1, [1], 7), (2, [2], 7)]
    rows = [OverSlots(1), OverSlots(2)]
    rows[0].extra, rows[1].extra = 10, 20
    real = onecopy.to_python(onecopy.share(rows))
    assert [row.extra for row in real] == [10, 20]


def test_a_row_that_leads_to_a_later_row_leads_to_that_row() -> None:
    rows: list[dict[str, Any]] = [{"name": n, "next": None} for n in range(3)]
    rows[0]["next"] = rows[1]
    rows[2]["next"] = rows[0]
    real: Any = onecopy.to_python(onecopy.share(rows))
    assert real[0]["next"] is real[1]
    assert real[2]["next"] is real[0]
    chain = [Node(str(n)) for n in range(200)]
    for left, right in itertools.pairwise(chain):
        left.after, right.before = right, left
    view: Any = onecopy.share(chain)
    assert onecopy.image_of(view).nbytes < 20_000
    assert view[0].after.after.name == "2"
    real = onecopy.to_python(view)
    assert real[5].after is real[6]
    assert real[6].before is real[5]
    assert "..." in repr(view[0])


def test_views_in_data_are_not_kept_as_tokens(tmp_path: Path) -> None:
    rows: Any = onecopy.share([Node("a"), Node("b")])
    whole: Any = onecopy.share(Holder([1, 2, 3]))
    array_view: Any = onecopy.share([Cell(1), Cell(2)])[1]
    onecopy.save(rows[1], tmp_path / "row")
    onecopy.save({"holder": whole, "cell": array_view}, tmp_path / "holder")
    inner = onecopy.share([1, 2, 3])
    outer: Any = onecopy.share({"h": Holder(inner)})
    many = onecopy.share([inner] * 100)
    assert onecopy.image_of(many).nbytes < 3000
    del rows, whole, array_view, inner
    onecopy.collect(0)
    assert onecopy.open(tmp_path / "row", allow_pickle=True).name == "b"
    again = onecopy.open(tmp_path / "holder", allow_pickle=True)
    assert (again["holder"].rows, again["cell"].x) == ([1, 2, 3], 2)
    for _ in range(2):
        assert onecopy.to_python(outer)["h"].rows == [1, 2, 3]


def test_arrays_of_the_store_in_objects_are_copied_into_the_image() -> None:
    np = pytest.importorskip("numpy")
    array = onecopy.share(np.arange(1000.0))
    view: Any = onecopy.share([Holder(array), Holder(array[::2])])
    del array
    onecopy.collect(0)
    for _ in range(2):
        real: Any = onecopy.to_python(view)
        assert real[0].rows.sum() == 499_500
        assert real[1].rows.sum() == 249_500


def test_rows_that_are_also_keys_and_members() -> None:
    cells = [Cell(n, (n, "y")) for n in range(4)]
    data = {
        "cells": cells,
        "names": {cells[0]: "a", (cells[1], 1): "b"},
        "some": {cells[2], cells[3]},
        "fixed": frozenset({cells[1]}),
        "pairs": [Pair(cells[0], 1), Pair(cells[1], 2)],
    }
    real: Any = onecopy.to_python(onecopy.share(data))
    assert real == data
    assert next(iter(real["fixed"])) is real["cells"][1]


def in_thread(action: Callable[[], Any], stack_kib: int) -> list[Any]:
    """What an action returns or raises in a thread with a stack of so many KiB."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(action())
        except RecursionError as error:
            outcome.append(type(error))

    before = threading.stack_size(stack_kib * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    return outcome


@pytest.mark.parametrize("stack_kib", [256, 512, 8192])
def test_deep_tuples_do_not_overflow_a_small_stack(stack_kib: int) -> None:
    deep: Any = ()
    for _ in range(1900):
        deep = (deep, 1)
    view: Any = onecopy.share({"deep": deep, "flat": (1, (2, (3,)))})
    assert in_thread(lambda: onecopy.to_python(view["deep"]), stack_kib) == [RecursionError]
    assert in_thread(lambda: hash(view["deep"]), stack_kib) == [RecursionError]
    assert in_thread(lambda: onecopy.to_python(view["flat"]), stack_kib) == [(1, (2, (3,)))]


def test_a_slot_that_is_not_set_is_not_asked_of_the_class() -> None:
    first = Impatient()
    first.n = 1
    view: Any = onecopy.share([first, Impatient()])
    assert view[0].n == 1
    with pytest.raises(KeyboardInterrupt):
        _ = view[1].n


@dataclass
class Account:
    n: int

    def __bool__(self) -> bool:
        return self.n > 0

    def __str__(self) -> str:
        return f"account of {self.n}"


def test_instances_keep_operators_of_their_own() -> None:
    view: Any = onecopy.share([Account(0), Account(2)])
    assert [bool(row) for row in view] == [False, True]
    assert [str(row) for row in view] == ["account of 0", "account of 2"]
    assert type(view) is onecopy.views.TableView
    assert isinstance(view[0], Account)


@pytest.mark.parametrize("stack_kib", [4096, 8192])
def test_deep_lists_are_not_shown_or_compared_without_end(stack_kib: int) -> None:
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    views: Any = onecopy.share(deep), onecopy.share([deep, 1])[0]
    assert in_thread(lambda: repr(views[0]), stack_kib) == [RecursionError]
    assert in_thread(lambda: views[0] == views[1], stack_kib) == [RecursionError]
