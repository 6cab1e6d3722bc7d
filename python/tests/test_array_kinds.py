"""Arrays of strs, numbers or None are columns; numpy's own kinds of arrays keep their data in buffers."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onecopy
from onecopy import _rebuilt
from onecopy.errors import RebuiltWarning
from onecopy.views import ObjectArray, ObjectView
from test_property import element, identical

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

MIB = 2**20
NAMES = np.array([f"row {n}" for n in range(24)], dtype=object).reshape(2, 3, 4)
STRINGS = np.array(["a", "", "日本語", "long " * 99], dtype=np.dtypes.StringDType())
OBJECTS: dict[str, Any] = {
    "names": NAMES,
    "mixed": np.array([1, None, 2.5, "a", b"x", True, 2**70, 1j], dtype=object),
    "nothing": np.empty((0, 3), dtype=object),
    "one": np.array("alone", dtype=object),
    "strings": STRINGS,
    "column order": np.asfortranarray(NAMES[0]),
    "a part": NAMES[:, ::-1, 1],
}


@pytest.mark.parametrize("name", OBJECTS)
def test_arrays_of_plain_objects_come_back_through_every_door(name: str, tmp_path: Path) -> None:
    real = OBJECTS[name]
    view: Any = onecopy.share(real)
    onecopy.save(real, tmp_path / "file")
    others = [
        pickle.loads(pickle.dumps(view)),
        onecopy.open(tmp_path / "file", validate="full", allow_pickle=True),
        onecopy.from_buffer(bytes(onecopy.image_of(view)), allow_pickle=True),
    ]
    for shown in (view, *others):
        assert [type(shown), shown.__class__, type(shown.get())] == [ObjectView, ObjectArray, ObjectArray]
        assert (shown.shape, shown.ndim, shown.size, shown.dtype) == (real.shape, real.ndim, real.size, real.dtype)
        assert identical(shown.tolist(), real.tolist())
        made = np.asarray(shown)
        assert type(made) is np.ndarray
        assert made.dtype == real.dtype
        assert identical(made.tolist(), real.tolist())
        again = onecopy.to_python(shown)
        assert type(again) is np.ndarray
        assert again.dtype == real.dtype
        assert identical(again.tolist(), real.tolist())
    inside: Any = onecopy.share({"array": real, "rest": [1]}, strict=True)
    assert type(inside["array"]) is ObjectArray
    assert identical(inside["array"].tolist(), real.tolist())
    assert identical(onecopy.to_python(inside)["array"].tolist(), real.tolist())
    assert identical(onecopy.share([inside["array"]])[0].tolist(), real.tolist())


KEYS: list[Any] = [
    *(0, -1, (1, 2, 3), (0, -1), slice(None), slice(None, None, -1), (..., 1), (slice(1), ..., slice(0, 2))),
    *((None, 0), (1, 2, 3, ...), np.int64(1), (slice(5, 2),), (0, slice(None, None, 2), slice(3, None, -2))),
]


def same(found: Any, expected: Any) -> None:
    if isinstance(expected, np.ndarray):
        assert found.shape == expected.shape
        assert found.tolist() == expected.tolist()
    else:
        assert found == expected


def test_indexes_are_numpys_and_copy_nothing() -> None:
    view: Any = onecopy.share(NAMES)
    for key in KEYS:
        same(view[key], NAMES[key])
        if isinstance(NAMES[key], np.ndarray):
            assert type(view[key]) is ObjectArray
            same(pickle.loads(pickle.dumps(view[key])), NAMES[key])
            assert len(pickle.dumps(view[key])) < 300
            for second in KEYS[:2]:
                if NAMES[key].ndim and len(NAMES[key]):
                    same(view[key][second], NAMES[key][second])
    same(view.T[1], NAMES.T[1])
    chosen = NAMES == "row 3"
    for key in (chosen, [0, 1, 0], np.array([1, 0]), (np.array([0, 1]), 2)):
        same(view[key], NAMES[key])
        assert type(view[key]) is np.ndarray
    for key in ((2,), (0, 0, 0, 0), "x", 7):
        with pytest.raises(IndexError):
            view[key]
    with pytest.raises(ValueError, match="read-only"):
        view.get()[0] = "x"


def test_it_calculates_as_an_array() -> None:
    view: Any = onecopy.share(NAMES)
    assert (view == "row 3").tolist() == (NAMES == "row 3").tolist()
    assert (view + "!").tolist() == (NAMES + "!").tolist()
    assert ("!" + view.get()).tolist() == ("!" + NAMES).tolist()
    assert np.unique(view).tolist() == np.unique(NAMES).tolist()
    assert pd.Series(view.get()[0, 0]).tolist() == NAMES[0, 0].tolist()
    assert "row 7" in view
    assert "row 99" not in view
    assert [part.tolist() for part in view] == [part.tolist() for part in NAMES]
    assert len(view) == 2
    assert view.reshape(-1).tolist() == NAMES.reshape(-1).tolist()
    assert view.astype(str).dtype.kind == "U"
    with pytest.raises(TypeError, match="unsized"):
        len(onecopy.share(OBJECTS["one"]))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        view.nothing


@settings(max_examples=40)
@given(st.lists(element), st.integers(1, 3))
def test_any_plain_objects(elements: list[Any], width: int) -> None:
    real: Any = np.empty(len(elements) // width * width, dtype=object)
    real[:] = elements[: len(real)]
    real = real.reshape(-1, width)
    view: Any = onecopy.share(real)
    assert identical(view.tolist(), pickle.loads(pickle.dumps(real)).tolist())
    assert identical(view[::-1, 0].tolist(), pickle.loads(pickle.dumps(real[::-1, 0])).tolist())
    assert identical(onecopy.to_python(view).tolist(), pickle.loads(pickle.dumps(real)).tolist())


def own_bytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) * 1024


def read_all(view: Any) -> tuple[int, int]:
    """What a worker finds, and what reading it left in its memory."""
    view[0]
    before = own_bytes()
    count = sum(len(view[index]) for index in range(0, len(view), 7))
    count += sum(map(len, view[::5]))
    gained = own_bytes() - before
    return count, gained


def test_workers_read_one_column(other_process: ProcessPoolExecutor) -> None:
    real = np.array([f"a name that is longer {n}" for n in range(200_000)], dtype=object)
    view: Any = onecopy.share(real, strict=True)
    other_process.submit(read_all, onecopy.share(real[:1000])).result(120)
    count, gained = other_process.submit(read_all, view).result(120)
    assert count == sum(map(len, real[::7])) + sum(map(len, real[::5]))
    assert gained < MIB
    onecopy.assert_shared(view)


def test_a_real_array_of_it_is_counted() -> None:
    view: Any = onecopy.share(np.array([f"a name {n}" for n in range(100_000)], dtype=object))
    place = view.get()._buffer.image.place
    assert view[7] == "a name 7"
    assert (view == "a name 7").sum() == 1
    before = _rebuilt.by_process([os.getpid()]).get(os.getpid(), {}).get(place, 0)
    made = np.asarray(view)
    after = _rebuilt.by_process([os.getpid()])[os.getpid()][place]
    assert after - before > 100_000
    assert made[7] == "a name 7"


def test_what_pandas_needs_real_objects_for_is_warned_about() -> None:
    frame = pd.DataFrame({"s": pd.Series([f"a long text {n}" for n in range(100_000)], dtype=object)})
    with pytest.warns(RebuiltWarning, match=r'astype\("string\[pyarrow\]"\)'):
        view: Any = onecopy.share(frame)
    assert view.equals(frame)
    onecopy.share(frame.astype("string[pyarrow]"), strict=True)


MASKED = np.ma.masked_array(np.arange(1 << 18).reshape(512, 512), np.arange(1 << 18).reshape(512, 512) % 3 == 0)
COLUMNS: list[Any] = [np.arange(1 << 17), np.arange(1 << 17) / 3]
RECORDS: Any = np.rec.fromarrays(COLUMNS, names="a,b")  # type: ignore[call-overload]  # which numpy's stubs forget
KINDS: dict[str, Any] = {
    "masked": MASKED,
    "masked backwards": MASKED[::-1, ::2],
    "masked by columns": MASKED.T,
    "no mask": np.ma.masked_array(np.arange(1 << 18) / 7),
    "filled": np.ma.masked_array(np.arange(1 << 18), np.arange(1 << 18) % 2 == 1, fill_value=-5, hard_mask=True),
    "matrix": np.arange(1 << 18).reshape(512, 512).view(np.matrix),
    "recarray": RECORDS,
}


@pytest.mark.parametrize("name", KINDS)
def test_numpys_kinds_keep_their_class_and_share_their_data(name: str, tmp_path: Path) -> None:
    real = KINDS[name]
    report = onecopy.share_check(real)
    assert report.rebuilt_bytes < 2000
    view: Any = onecopy.share(real, strict=True)
    onecopy.save(real, tmp_path / "file")
    again = onecopy.to_python(view)
    parts = (view.get(), again, pickle.loads(pickle.dumps(view)).get())
    for part in (*parts, onecopy.open(tmp_path / "file", allow_pickle=True).get()):
        assert type(part) is type(real)
        assert part.dtype == real.dtype
        assert part.tolist() == real.tolist()
        if isinstance(real, np.ma.MaskedArray):
            assert np.ma.getmaskarray(part).tolist() == np.ma.getmaskarray(real).tolist()
            assert (part.fill_value, part.hardmask) == (real.fill_value, real.hardmask)
            assert (np.ma.getmask(part) is np.ma.nomask) == (np.ma.getmask(real) is np.ma.nomask)
    assert not np.asarray(view.get()).flags.writeable
    again[0] = again[1]
    assert isinstance(view, type(real))
    assert view.sum() == real.sum() if real.dtype.names is None else (view.a.sum() == real.a.sum())
    inside: Any = onecopy.share({"x": real}, strict=True)["x"]
    assert type(inside) is type(real)
    assert inside.tolist() == real.tolist()


def in_worker(view: Any) -> tuple[str, float, int]:
    view[0]
    before = own_bytes()
    total = float(np.asarray(view.get()).sum()) if view.dtype.names is None else float(view.b.sum())
    return type(view.get()).__name__, total, own_bytes() - before


@pytest.mark.parametrize("name", ["masked", "matrix", "recarray"])
def test_workers_share_their_data(name: str, other_process: ProcessPoolExecutor) -> None:
    view: Any = onecopy.share(KINDS[name])
    other_process.submit(in_worker, onecopy.share(KINDS[name][:4])).result(120)
    kind, total, gained = other_process.submit(in_worker, view).result(120)
    assert kind == type(KINDS[name]).__name__
    assert total == in_worker(view)[1]
    assert gained < MIB


def first_name(part: Any) -> Any:
    return type(part).__name__, part[0]


def test_parts_go_to_workers_by_token(start_method: str) -> None:
    view: Any = onecopy.share(NAMES)
    with multiprocessing.get_context(start_method).Pool(1) as pool:
        assert pool.apply(first_name, (view[1, 2],)) == ("ObjectArray", "row 20")


def test_numpy_keeps_the_mask_of_a_view() -> None:
    masked = np.ma.masked_array([1.0, 2.0, 3.0, -999.0], mask=[False, False, False, True])
    view: Any = onecopy.share(masked)
    for function in (np.ma.average, np.ma.median, np.ma.asarray, np.ma.masked_invalid, np.asanyarray):
        found = function(view)
        assert np.ma.allequal(found, function(masked))
        assert type(found) is type(function(masked))
    assert type(np.asarray(view)) is np.ndarray
    assert np.array(view, copy=True, subok=True).flags.writeable


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_beside_an_array_is_an_error_where_numpy_would_go_by_elements() -> None:
    matrix: Any = np.array([[1, 2], [3, 4]]).view(np.matrix)
    view: Any = onecopy.share(matrix)
    assert (view * np.array([[1], [1]])).tolist() == [[3], [7]]
    with pytest.raises(TypeError, match=r"put view\.get\(\) there"):
        np.array([1, 1]) * view
    assert (np.array([1, 1]) * view.get()).tolist() == [[4, 6]]
    assert (2 * view).tolist() == [[2, 4], [6, 8]]


def test_nothing_is_written_into_an_array_of_objects() -> None:
    view: Any = onecopy.share(np.array([1, 2, None], dtype=object))[:2]
    with pytest.raises(ValueError, match="output array is read-only: shared data never change"):
        view += 1
    with pytest.raises(ValueError, match="read-only"):
        np.add([1, 2], [3, 4], out=view)
    assert view.tolist() == [1, 2]
