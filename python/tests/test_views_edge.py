"""Views where two ways meet: look-ups that only Python can do, and equal data of different forms."""

from __future__ import annotations

import copy
import enum
import functools
import gc
import pickle
import sys
import threading
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest

import onecopy


class Text(str):
    """Hashes and compares as text does."""

    __slots__ = ()


class Folded(str):
    """Equals text whatever its case."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


class Color(enum.IntEnum):
    """Ints with names."""

    RED = 3


class Key:
    """Counts how often one is unpickled."""

    unpickled = 0

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Key) else other))

    def __hash__(self) -> int:
        return hash(self.value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        Key.unpickled += 1
        self.__dict__.update(state)


@dataclass
class Node:
    """A row that may lead to itself."""

    number: int
    others: list[Any] = field(default_factory=list)


@dataclass
class Task:
    """Can be called."""

    number: int

    def __call__(self) -> int:
        return self.number


class Point(NamedTuple):
    """A row that is a tuple."""

    x: int
    y: int


@dataclass
class Odd:
    """A field is named like a method that views once had."""

    _image: tuple[int, int]


@pytest.mark.parametrize("count", [3, 300])
def test_zeros_of_complex_keys_have_no_sign(count: int) -> None:
    data: dict[complex, int] = {complex(0.0, -number): number for number in range(1, count)}
    view = onecopy.share(data)
    for number in range(1, count):
        assert view[complex(-0.0, -number)] == view[complex(0.0, -number)] == number
    assert -1j in view


@pytest.mark.parametrize("count", [3, 300])
def test_keys_of_derived_classes_are_found(count: int) -> None:
    texts: Any = onecopy.share({f"key {number}": number for number in range(count)})
    numbers: Any = onecopy.share({number: str(number) for number in range(count + 3)} | {0.5: "half"})
    assert texts[Text("key 2")] == texts[np.str_("key 2")] == texts[Folded("KEY 2")] == 2
    assert Text("other") not in texts
    assert numbers[Color.RED] == numbers[np.int64(3)] == numbers[np.float64(3.0)] == numbers[np.float32(3)] == "3"
    assert numbers[np.float64(0.5)] == numbers[np.longdouble(0.5)] == "half"
    assert numbers[np.True_] == numbers[np.complex128(1)] == "1"
    assert np.float32(0.1) not in onecopy.share({0.1: 1})
    for missing in (np.float64(0.25), np.float64("nan"), np.datetime64("2026-01-01"), np.timedelta64(1, "ns")):
        assert missing not in texts
    with pytest.raises(TypeError, match="unhashable"):
        _ = texts[np.zeros(3)]
    with pytest.raises(TypeError, match="unhashable"):
        _ = numbers[(1, [])]


def test_keys_that_only_python_compares_are_unpickled_once_for_an_image() -> None:
    real: dict[Any, int] = {Key(number): number for number in range(100)}
    real |= {f"text {number}": number for number in range(100)} | {(1, "a"): 7}
    view: Any = onecopy.share([{"d": real}, 1])
    before = Key.unpickled
    assert view[0]["d"]["text 5"] == 5  # what is found by its hash needs none of them
    assert view[0]["d"][1, "a"] == 7
    assert Key.unpickled == before
    for number in (3, 4, 5):
        assert view[0]["d"][Key(number)] == view[0]["d"][number] == number
        assert "missing" not in view[0]["d"]
    assert Key.unpickled == before + 100


def test_views_of_dicts_with_the_same_keys_make_none_of_them() -> None:
    keys = [Key(1), Key(2)]
    view: Any = onecopy.share([dict.fromkeys(keys, number) for number in range(4)])
    before = Key.unpickled
    assert [len(view[number]) for number in range(4)] == [2] * 4
    assert Key.unpickled == before


def test_code_that_runs_while_names_are_interned_may_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither that thread nor another one waits for the names, as it would have the interpreter's lock meanwhile."""
    names = {"first": 1, "second": 2}
    view: Any = onecopy.share([dict(names), None, dict(names), dict(names)])
    intern = sys.intern
    met: list[Any] = []

    def interning(name: str) -> str:
        if len(met) < 1:
            met.append(name)
            thread = threading.Thread(target=lambda: met.append(view[2]["second"]))
            thread.start()
            thread.join()
            met.append(view[3]["first"])
        return intern(name)

    monkeypatch.setattr(sys, "intern", interning)
    assert [view[index]["second"] for index in (0, 2, 3)] == [2, 2, 2]
    assert met == ["first", 2, 1]


class Everything:
    """Equals whatever it is compared with, which a dict asks only where the hashes are equal."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 5


class Anything(str):
    """The same as a str."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 5


@pytest.mark.parametrize("count", [1, 30])
def test_keys_are_compared_where_the_hashes_are_equal(count: int) -> None:
    real: dict[Any, int] = {Everything(): -1, **{f"key {number}": number for number in range(count)}}
    view: Any = onecopy.share([real, 1])[0]
    members: Any = onecopy.share([set(real), 1])[0]
    for key in ((1, 2), (), frozenset({1}), ((1,), "a"), {1}):
        if not isinstance(key, set):
            assert key not in real
            assert key not in view
        assert key not in members
    assert view[Everything()] == -1


@pytest.mark.parametrize("same", [False, True])
def test_a_row_is_looked_up_as_a_dict(*, same: bool) -> None:
    """Whether all rows have the same fields or not."""
    real: list[Any] = [{"a": 1, "b": 2}, {"a": 3, "b": 4} if same else {"b": 4}]
    rows: Any = onecopy.share(real)
    keys = [
        Key("b"),
        Key("c"),
        Text("b"),
        Folded("B"),
        Anything("b"),
        Everything(),
        np.str_("b"),
        1,
        None,
        (),
        "b",
        "c",
    ]
    for row, data in zip(rows, real, strict=True):
        assert [row.get(key) for key in keys] == [data.get(key) for key in keys]
        with pytest.raises(TypeError, match="unhashable"):
            row.get([])


def test_a_set_is_looked_up_as_a_frozenset() -> None:
    data = {frozenset({number}) for number in range(20)}
    view: Any = onecopy.share(data)
    assert {1} in data
    assert {1} in view
    assert {1, 2} not in view
    assert onecopy.share({1}) in view
    for wrong in ([1], {1: 1}):
        with pytest.raises(TypeError, match="unhashable"):
            _ = wrong in view


def test_equal_data_are_equal_whatever_their_form() -> None:
    row = {"a": 1}
    shared: Any = onecopy.share([row, row])
    table: Any = onecopy.share([{"a": 1}, {"a": 1}])
    assert (type(shared), type(table)) == (onecopy.views.ListView, onecopy.views.TableView)
    assert shared == table
    assert table == shared
    assert not shared != table
    assert shared[:1] == table[:1] == [row]
    assert table[::-1] == shared[1::-1]
    assert shared != table[:1]
    assert table[1:] != shared
    assert table != onecopy.share([row, row, row])
    assert table != onecopy.share([row, {"a": 2}])
    pair: Any = onecopy.share((row, row))
    pairs: Any = onecopy.share(({"a": 1}, {"a": 1}))
    assert (type(pair), type(pairs)) == (onecopy.views.TupleView, onecopy.views.TableView)
    assert pair == pairs
    assert pairs == pair
    assert pair != table
    assert pairs != shared
    assert shared + table == table + shared == [row] * 4
    points: Any = onecopy.share([Point(1, 2), Point(3, 4)])
    mixed: Any = onecopy.share([Point(1, 2), (3, 5)])
    assert type(mixed) is onecopy.views.ListView
    assert points < mixed
    assert mixed > points
    with pytest.raises(TypeError, match="not supported"):
        _ = shared < pairs


def test_a_record_that_leads_to_itself_is_printed() -> None:
    nodes = [Node(1), Node(2)]
    nodes[0].others = [nodes[1]]
    nodes[1].others = [nodes[0], nodes[1]]
    view: Any = onecopy.share(nodes)
    assert isinstance(view[0], onecopy.views.RecordView)
    one = "NodeView(number=1, others=ListView([NodeView(number=2, others=ListView([NodeView(...), NodeView(...)]))]))"
    assert repr(view[0]) == one


@pytest.mark.parametrize("root", [functools.partial(int, base=2), np.add])
def test_what_can_be_called_is_an_object_like_others(root: Any) -> None:
    view = onecopy.share(root)
    assert isinstance(view, onecopy.views.ObjectView)
    assert type(view.get()) is type(root)


def test_an_instance_that_can_be_called_is_a_record() -> None:
    view: Any = onecopy.share(Task(3))
    assert isinstance(view, onecopy.views.RecordView)
    assert callable(view)
    assert view() == 3


@pytest.mark.parametrize("root", [int, Task, len, Task(3).__call__, lambda: 1, [].append])
def test_code_is_not_shared(root: Any) -> None:
    with pytest.raises(onecopy.Unsupported, match="data: cannot share"):
        onecopy.share(root)


def test_index_of_a_table_is_that_of_a_list() -> None:
    real = [{"a": number % 3} for number in range(10)]
    view: Any = onecopy.share(real)
    assert type(view) is onecopy.views.TableView
    limits: list[tuple[Any, ...]] = [(), (1,), (-4,), (-40,), (2, 4), (5, -1), (0, 40), (-3, -1), (9, 2), (40,)]
    for value in ({"a": 0}, {"a": 2}, {"a": 9}):
        for limit in limits:
            try:
                expected = real.index(value, *limit)
            except ValueError:
                with pytest.raises(ValueError, match="no row"):
                    view.index(value, *limit)
            else:
                assert view.index(value, *limit) == expected
    with pytest.raises(TypeError, match="__index__"):
        view.index({"a": 0}, "1")  # type: ignore[arg-type]


def test_iterators_of_tables_are_copied_half_way() -> None:
    real = [{"id": number, "name": str(number)} for number in range(4)]
    table: Any = onecopy.share(real)
    for iterator, rows in ((iter(table), real), (reversed(table), real[::-1]), (iter(table[::2]), real[::2])):
        for left in range(len(rows), -1, -1):
            for twin in (copy.copy(iterator), copy.deepcopy(iterator), pickle.loads(pickle.dumps(iterator))):
                assert list(twin) == rows[len(rows) - left :]
            assert next(iterator, None) == (rows[len(rows) - left] if left else None)


class Loud:
    """Reads the view that it came from when it goes."""

    view: Any = None
    gone = 0

    def __init__(self, number: int) -> None:
        self.number = number

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if Loud.view is not None and self.number == 0 and not Loud.gone:
            Loud.gone = -1
            _ = Loud.view[0]  # another of the same, which the outer one then replaces
            Loud.gone = 0

    def __del__(self) -> None:
        if Loud.view is not None:
            Loud.gone += 1
            _ = Loud.view[1]


def test_an_object_that_reads_its_image_when_it_goes_does_not_hang() -> None:
    view: Any = onecopy.share([Loud(0), Loud(1), 1])
    Loud.view = view
    first = view.tolist()[0]
    assert first.number == 0
    assert Loud.gone > 0
    Loud.view = None
    gc.collect()


def test_fields_have_any_name(tmp_path: Any) -> None:
    view: Any = onecopy.share([Odd((1, 2)), Odd((3, 4))])
    assert view[0]._image == (1, 2)
    onecopy.save(view[0], tmp_path / "odd")
    again = onecopy.open(tmp_path / "odd", allow_pickle=True)
    assert again == Odd((1, 2))
    with pytest.raises(TypeError, match="whole"):
        onecopy.image_of(view[0])
    assert pickle.loads(pickle.dumps(view))[1]._image == (3, 4)
