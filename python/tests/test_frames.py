"""Data frames: the same type and content in every process, their columns in the store's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import onecopy
from conftest import in_store

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

ROWS = 20_000
COLUMNS: dict[str, Any] = {
    **{f"n{i}": np.arange(ROWS) * 1.5 + i for i in range(10)},
    "name": [f"string number {i}" for i in range(ROWS)],
    "kind": [f"kind {i % 7}" for i in range(ROWS)],
}
FRAMES: dict[str, Any] = {
    "pandas": pd.DataFrame(COLUMNS),
    "pyarrow": pa.table(COLUMNS),
    "polars": pl.DataFrame(COLUMNS),
}


def addresses(frame: Any) -> list[int]:
    """Where the data of all columns lie."""
    if isinstance(frame, pd.DataFrame):
        numbers = [frame[f"n{i}"].to_numpy().ctypes.data for i in range(10)]
        return numbers + addresses(pa.table({name: frame[name].array.__arrow_array__() for name in ("name", "kind")}))
    if isinstance(frame, pl.DataFrame):
        return addresses(frame.to_arrow(compat_level=pl.CompatLevel.newest()))
    chunks = [chunk for column in frame.columns for chunk in column.chunks]
    buffers = [buffer for chunk in chunks for buffer in chunk.buffers()]
    return [buffer.address for buffer in buffers if buffer is not None and buffer.size > 64]


def look(view: Any) -> tuple[str, bool, bool, int]:
    """Reads a frame in a worker."""
    frame = view.get()
    found = addresses(frame)
    expected = FRAMES[type(frame).__module__.split(".")[0]]
    return type(frame).__name__, bool(frame.equals(expected)), all(map(in_store, found)), len(found)


@pytest.mark.parametrize("library", FRAMES)
def test_a_frame_is_read_in_place(library: str, context: BaseContext) -> None:
    frame = FRAMES[library]
    with context.Pool(1) as pool:
        name, equal, shared, count = pool.apply(look, (onecopy.share(frame),))
    assert (name, equal, shared) == (type(frame).__name__, True, True)
    assert count >= 12


@pytest.mark.parametrize("library", FRAMES)
def test_the_real_frame_comes_back(library: str) -> None:
    frame = FRAMES[library]
    view: Any = onecopy.share(frame)
    real: Any = onecopy.to_python(view)
    assert type(real) is type(frame)
    assert real.equals(frame)
    assert not any(map(in_store, addresses(real)))
    assert view.get() is view.get()


def test_a_real_pandas_frame_can_be_changed() -> None:
    real: Any = onecopy.to_python(onecopy.share(FRAMES["pandas"]))
    real.loc[0, "n0"] = 7.0
    assert real.loc[0, "n0"] == 7.0
    assert FRAMES["pandas"].loc[0, "n0"] == 0.0


@pytest.mark.parametrize("library", FRAMES)
def test_frames_inside_other_data(library: str) -> None:
    frame = FRAMES[library]
    view: Any = onecopy.share({"train": frame, "rows": [1, 2]})
    assert type(view["train"]) is type(frame)
    assert view["train"].equals(frame)
    assert all(map(in_store, addresses(view["train"])))


def test_series_and_arrays() -> None:
    series = pl.Series("name", COLUMNS["name"])
    assert onecopy.to_python(onecopy.share([series]))[0].equals(series)
    array = pa.array(COLUMNS["name"])
    assert onecopy.to_python(onecopy.share([array]))[0].equals(array)
    column = FRAMES["pandas"]["n3"]
    assert onecopy.to_python(onecopy.share([column]))[0].equals(column)
