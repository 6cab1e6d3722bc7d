"""Nested data: the same content, the same types, one copy, in every process."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import enum
import gc
import os
import pickle
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import onecopy

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.context import BaseContext


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: float

    def norm1(self) -> float:
        return abs(self.x) + abs(self.y)


@dataclass
class Box:
    label: str
    xywh: list[float]
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def area(self) -> float:
        return self.xywh[2] * self.xywh[3]


@dataclass(frozen=True, slots=True)
class Key:
    a: int
    b: str


def identical(left: Any, right: Any) -> bool:  # noqa: PLR0911 - a case each
    """Equal, of the same types all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        return bool(left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes())
    if dataclasses.is_dataclass(left):
        return all(identical(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left))
    if isinstance(left, dict):
        pairs = zip(left.items(), right.items(), strict=True) if len(left) == len(right) else [((0, 0), (0, 1))]
        return all(identical(a, b) for (a, b) in pairs)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(identical, left, right))
    if isinstance(left, float):
        return repr(left) == repr(right)
    return bool(left == right)


atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**66)
    | st.floats()
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(), max_size=70)
    | st.binary(max_size=70)
    | st.dates()
    | st.datetimes()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.just(Colour.RED)
    | st.just(...)
    | st.just(range(3))
)
keys = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.dates(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
rows = st.lists(
    st.fixed_dictionaries({"id": st.integers(), "x": st.floats()}, optional={"n": st.text(max_size=5)}), min_size=2
)
dtypes = (
    npst.scalar_dtypes()
    | npst.unicode_string_dtypes(max_len=3)
    | npst.byte_string_dtypes(max_len=3)
    | npst.array_dtypes(npst.integer_dtypes() | npst.floating_dtypes(), max_size=3)
)
# Arrays inside pickled objects go through NumPy's own pickles, which forget the byte order of some types.
kept_by_pickle = dtypes.filter(lambda dtype: pickle.loads(pickle.dumps(np.empty(0, dtype))).dtype == dtype)
arrays = (
    npst.arrays(kept_by_pickle, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    | st.integers(0, 5).map(lambda n: np.asfortranarray(np.arange(4.0 * n).reshape(2, -1)))
    | st.integers(1, 5).map(lambda n: np.arange(12)[::n])
)
nested = st.recursive(
    atoms | arrays | rows | st.lists(st.builds(Point, st.integers(), st.floats()), min_size=2, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(keys, inner, max_size=5)
        | st.dictionaries(st.text(max_size=5), inner, max_size=12)
        | st.sets(keys, max_size=12)
        | st.frozensets(keys, max_size=5)
        | st.builds(
            Box, st.text(max_size=5), st.lists(st.floats(), max_size=4), st.dictionaries(st.text(max_size=3), inner)
        )
        | st.lists(st.builds(Key, st.integers(), st.text(max_size=3)), min_size=2, max_size=4)
    ),
    max_leaves=25,
)


@given(nested)
@settings(deadline=None)
def test_the_real_thing_comes_back(data: Any) -> None:
    assert identical(onecopy.to_python(onecopy.share([data])), [data])


@given(st.lists(nested, max_size=4))
@settings(deadline=None, max_examples=50)
def test_it_comes_back_through_pickle(data: Any) -> None:
    assert identical(onecopy.to_python(pickle.loads(pickle.dumps(onecopy.share(data)))), data)


def real_in_worker(view: Any, image: bytes, path: str) -> list[Any]:
    """In another process: the real thing from the store, from a buffer and from a file."""
    views = [view, onecopy.from_buffer(image, allow_pickle=True), onecopy.open(path, allow_pickle=True)]
    return [onecopy.to_python(one) for one in views]


@given(nested)
@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_another_process_gets_the_same_from_store_buffer_and_file(
    other_process: ProcessPoolExecutor, tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / f"data-{os.getpid()}.onecopy"
    onecopy.save([data], path)
    view = onecopy.share([data])
    image = bytes(onecopy.image_of(view))
    # They come back by pickle, in which NumPy itself forgets the byte order of some str arrays.
    expected = pickle.loads(pickle.dumps([data]))
    for there in other_process.submit(real_in_worker, view, image, str(path)).result(120):
        assert identical(there, expected)


@given(st.dictionaries(keys, st.integers(), max_size=40), st.lists(keys, max_size=20))
@settings(deadline=None)
def test_a_dict_finds_what_a_dict_finds(data: dict[Any, int], others: list[Any]) -> None:
    view = onecopy.share(data)
    assert len(view) == len(data)
    for key in [*data, *others, decimal.Decimal(1), np.int64(1), "a", ()]:
        assert (key in view) == (key in data)
        assert view.get(key, "absent") == data.get(key, "absent")
    assert list(view) == list(data)
    assert view == data
    assert data == view


@given(st.sets(keys, max_size=30), st.sets(keys, max_size=30))
@settings(deadline=None)
def test_a_set_does_what_a_set_does(left: set[Any], right: set[Any]) -> None:
    view = onecopy.share(left)
    for other in (right, onecopy.share(right)):
        assert view & other == left & right
        assert view | other == left | right
        assert view - other == left - right
        assert view ^ other == left ^ right
        assert (view <= other, view < other, view >= other, view > other) == (
            left <= right,
            left < right,
            left >= right,
            left > right,
        )
        assert (view == other) == (left == right)
        assert view.isdisjoint(other) == left.isdisjoint(right)
    assert right - view == right - left
    assert set(view) == left


DATA: dict[Any, Any] = {
    "rows": [{"id": i, "name": f"n{i}", "box": [1.0, float(i)], "deep": {"a": {"b": (i,)}}} for i in range(100)],
    "ragged": [{"a": 1}, {"a": 2, "b": None}, {"b": 3, "a": 4}],
    "points": [Point(i, i / 2) for i in range(10)],
    "boxes": [Box(f"b{i}", [0.0, 0.0, 2.0, float(i)]) for i in range(10)],
    "array": np.arange(20_000.0).reshape(100, 200),
    "set": {1, "a", (2, 3), None},
    "when": dt.datetime(2026, 1, 2, 3, 4),  # noqa: DTZ001 - any value will do
    1: "int",
    (1, "x"): frozenset({1.5}),
    None: [[[[[]]]]],
}


def read(view: Any) -> tuple[Any, ...]:
    """Reads parts of DATA in a worker."""
    return (
        view["rows"][7]["deep"]["a"]["b"][0],
        view["ragged"][2]["a"],
        view["points"][3].norm1(),
        view["boxes"][4].area,
        float(view["array"][99, 199]),
        view[(1, "x")] == frozenset({1.5}),
        view["when"].year,
        view["rows"] == DATA["rows"],
    )


def test_every_start_method_reads_the_same(context: BaseContext) -> None:
    view = onecopy.share(DATA)
    with context.Pool(2) as pool:
        results = pool.map(read, [view, view])
    assert results == [(7, 4, 4.5, 8.0, 19_999.0, True, 2026, True)] * 2


@pytest.mark.parametrize(
    "part",
    [
        lambda v: v["rows"],
        lambda v: v["rows"][3],
        lambda v: v["rows"][3]["deep"],
        lambda v: v["rows"][10:90:7],
        lambda v: v["rows"].column("name")[5:8],
        lambda v: v["points"][3],
        lambda v: v["boxes"][3],
        lambda v: v["array"][3:5],
        lambda v: v["set"],
        lambda v: v[None][0][0],
        lambda v: v[(1, "x")],
    ],
)
def test_every_part_pickles_to_a_token(part: Any) -> None:
    view = part(onecopy.share(DATA))
    pickled = pickle.dumps(view)
    assert len(pickled) <= 300
    again = pickle.loads(pickled)
    assert type(again) is type(view)
    assert identical(onecopy.to_python(again), onecopy.to_python(view))


def test_rows_are_mappings_in_their_own_order() -> None:
    view: Any = onecopy.share(DATA["ragged"])
    assert [list(row) for row in view] == [["a"], ["a", "b"], ["b", "a"]]
    assert [dict(row.items()) for row in view] == DATA["ragged"]
    assert "b" not in view[0]
    with pytest.raises(KeyError, match="b"):
        view[0]["b"]
    assert list(view.column("b")) == [None, None, 3]
    assert isinstance(view[0], Mapping)
    assert not isinstance(view[0], MutableMapping)
    assert view[1] | {"c": 1} == {"a": 2, "b": None, "c": 1}
    assert {"a": 9, "c": 1} | view[1] == {"a": 2, "c": 1, "b": None}
    row: Any = view[0]
    with pytest.raises(TypeError, match="never change"):
        row["a"] = 1
    with pytest.raises(TypeError, match="unhashable"):
        [] in view[0]  # noqa: B015


def test_a_column_is_memory_of_the_store() -> None:
    view: Any = onecopy.share([{"x": i, "y": i / 2} for i in range(1000)])
    x, y = np.asarray(view.column("x")), np.asarray(view.column("y"))
    assert x.dtype == np.int64
    assert float(y.sum()) == 499_500 / 2
    again = np.asarray(view.column("x"))
    assert again.ctypes.data == x.ctypes.data
    assert not x.flags.writeable
    assert np.asarray(view[100:200:2].column("x")).tolist() == list(range(100, 200, 2))
    with pytest.raises(KeyError, match="z"):
        view.column("z")


def test_records_have_attributes_methods_and_properties() -> None:
    view: Any = onecopy.share(DATA)
    box, point = view["boxes"][3], view["points"][3]
    assert (box.label, box.xywh[2], box.area) == ("b3", 2.0, 6.0)
    assert box == DATA["boxes"][3]
    assert DATA["boxes"][3] == box
    x, y = point
    assert (x, y, point.x, point[1], len(point), point.norm1()) == (3, 1.5, 3, 1.5, 2, 4.5)
    assert point == DATA["points"][3]
    assert hash(point) == hash(DATA["points"][3])
    assert isinstance(onecopy.to_python(point), Point)
    with pytest.raises(AttributeError):
        _ = box.nothing
    with pytest.raises(AttributeError):
        box.label = "other"


def test_shared_references_and_cycles() -> None:
    inner: dict[str, Any] = {"a": [1]}
    data: list[Any] = [inner, inner, [inner]]
    data.append(data)
    inner["back"] = data
    view = onecopy.share(data)
    assert view[3][3][3][0]["back"][1]["a"][0] == 1
    real: Any = onecopy.to_python(view)
    assert real[0] is real[1]
    assert real[2][0] is real[0]
    assert real[3] is real
    assert real[0]["back"] is real
    assert "..." in repr(view)


def test_what_is_referenced_twice_is_stored_once() -> None:
    text, numbers = "x" * 10_000, list(range(10_000))
    before = onecopy.stats().allocated_bytes
    view: Any = onecopy.share({"texts": [text] * 1000, "lists": [numbers] * 1000, "rows": [{"t": text}] * 1000})
    assert onecopy.stats().allocated_bytes - before < 400_000
    assert view["texts"][999] == text
    assert view["lists"][7][9_999] == 9_999
    flat = onecopy.share([text] * 1000)
    assert onecopy.stats().allocated_bytes - before < 500_000
    assert flat[5] == text


def test_rows_that_are_also_found_by_key() -> None:
    rows = [{"id": i, "tags": ["a", i]} for i in range(50)]
    data = {"rows": rows, "by_id": {row["id"]: row for row in rows}}
    view: Any = onecopy.share(data)
    assert view["by_id"][7] == view["rows"][7] == rows[7]
    real = onecopy.to_python(view)
    assert real == data
    assert real["by_id"][7] is real["rows"][7]


def test_a_million_levels() -> None:
    data: list[Any] = []
    for _ in range(1_000_000):
        data = [data]
    view: Any = onecopy.share(data)
    for _ in range(1_000_000):
        view = view[0]
    assert len(view) == 0
    real: Any = onecopy.to_python(onecopy.share(data))
    for _ in range(1_000_000):
        real = real[0]
    assert real == []


def test_the_path_to_what_cannot_be_shared() -> None:
    lock = __import__("threading").Lock()
    cases: list[tuple[Any, str]] = [
        ({"a": [1, {"callback": lock}]}, 'data["a"][1]["callback"]: cannot share lock'),
        ([{"x": 1}, {"x": lock}], 'data[1]["x"]: cannot share lock'),
        ([Box("a", []), Box("b", lock)], "data[1].xywh: cannot share lock"),
        ({3: (0, lock)}, "data[3][1]: cannot share lock"),
        ([lock], "data[0]: cannot share lock"),
        (lock, "data: cannot share lock"),
    ]
    before = onecopy.stats()
    for data, text in cases:
        with pytest.raises(onecopy.Unsupported) as caught:
            onecopy.share(data)
        assert str(caught.value).startswith(text)
    assert onecopy.stats() == before


class Grows:
    """Changes the list that it is in while it is pickled."""

    def __init__(self, home: list[Any]) -> None:
        self.home = home

    def __reduce__(self) -> Any:
        self.home.append(1)
        return (list, ())


def test_a_change_meanwhile_is_noticed() -> None:
    data: list[Any] = [1, 2]
    data += [Grows(data), 3]
    before = onecopy.stats().live_objects
    with pytest.raises(RuntimeError, match="changed while being shared"):
        onecopy.share(data)
    assert onecopy.stats().live_objects == before


def test_progress_is_reported_and_may_stop_the_build() -> None:
    calls: list[tuple[str, int, int]] = []
    data = [{"a": i, "b": [i]} for i in range(100_000)]
    onecopy.share(data, progress=lambda *call: calls.append(call))
    assert {phase for phase, _, _ in calls} == {"measuring", "writing"}
    assert calls[-1][1] == calls[-1][2]
    before = onecopy.stats().live_objects

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        onecopy.share(data, progress=stop)
    assert onecopy.stats().live_objects == before


def test_protocols() -> None:
    view: Any = onecopy.share(DATA)
    assert isinstance(view, Mapping)
    assert isinstance(view["rows"], Sequence)
    assert isinstance(view["set"], AbstractSet)
    assert view.keys() == DATA.keys()
    assert view.keys() & {1, 2} == {1}
    assert list(view["rows"][0].values())[:2] == [0, "n0"]
    assert ("id", 0) in view["rows"][0].items()
    assert list(reversed(view)) == list(reversed(DATA))
    assert copy.deepcopy(view) is view
    assert onecopy.share(view) is view
    match view["rows"][1]:
        case {"id": 1, "name": name}:
            assert name == "n1"
        case _:
            pytest.fail("a row is a mapping")
    with pytest.raises(TypeError, match="unhashable"):
        hash(view)
    with pytest.raises(KeyError):
        view["nothing"]
    with pytest.raises(TypeError, match="unhashable"):
        view[[]]
    assert view["rows"] == DATA["rows"]
    assert DATA["rows"] == view["rows"]
    assert view["rows"] != DATA["rows"][:-1]
    assert view["rows"].index(DATA["rows"][5]) == 5
    assert repr(onecopy.share({"a": {1}})) == "DictView({'a': SetView({1})})"


def test_views_inside_data_are_taken_apart() -> None:
    inner = onecopy.share({"a": [1, 2]})
    array = onecopy.share(np.arange(5))
    view: Any = onecopy.share({"inner": inner, "array": array, "list": [inner["a"]]})
    assert onecopy.to_python(view)["inner"] == {"a": [1, 2]}
    assert view["array"].tolist() == [0, 1, 2, 3, 4]
    assert type(view["list"][0]).__name__ == "ListView"


def test_pickled_objects_keep_their_type() -> None:
    data = {"range": range(3), "day": dt.date(2026, 1, 2), "price": decimal.Decimal("9.99")}
    view: Any = onecopy.share(data)
    for name, value in data.items():
        assert type(view[name]) is type(value)
        assert view[name] == value
    whole = onecopy.share(data["price"])
    assert isinstance(whole, onecopy.views.ObjectView)
    assert whole.get() == data["price"]
    assert whole.get() is whole.get()


class Holder:
    """An object with an array in it, which is pickled."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def test_buffers_of_objects_are_memory_of_the_store() -> None:
    holder = Holder(np.arange(100_000.0))
    before = onecopy.stats().allocated_bytes
    view: Any = onecopy.share([holder, 1])
    assert onecopy.stats().allocated_bytes - before < 900_000
    first = view[0]
    assert view[0] is first  # built once as long as somebody has it
    assert float(first.array[99_999]) == 99_999.0
    assert not first.array.flags.writeable
    real: Any = onecopy.to_python(view)
    real[0].array[0] = 7
    assert float(view[0].array[0]) == 0.0


def test_unpickled_elements_are_kept() -> None:
    view = onecopy.share([dt.date(2026, 1, 1 + i) for i in range(20)])
    assert view[3] is view[3]
    many = onecopy.share([decimal.Decimal(i) for i in range(5000)])
    assert list(many) == list(range(5000))


def test_nothing_is_left_behind() -> None:
    gc.collect()
    onecopy.collect(0)
    before = onecopy.stats()
    view: Any = onecopy.share(DATA)
    parts = [view["rows"], view["rows"][3], view["array"], view["boxes"][1], iter(view["rows"]), view.items()]
    del view
    gc.collect()
    assert onecopy.stats().live_objects == before.live_objects + 1
    parts.clear()
    gc.collect()
    assert onecopy.stats() == before


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs the C recursion guard of 3.12")
def test_comparing_cycles_is_a_recursion_error() -> None:
    data: list[Any] = []
    data.append(data)
    with pytest.raises(RecursionError):
        assert onecopy.share(data) == onecopy.share(data)
