"""Rows about eight workers that read nested data, a file, data frames and a model. The kernel does the counting."""

from __future__ import annotations

import gc
import multiprocessing
import os
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import onecopy
from coco import make_rows, read_every_field
from measure import Row, timed
from memory import MIB, READERS, SHARED, family, summed_pss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 900
SLICE_ROWS = 1 << 14
_gate: Any = None
_plain: Any = None


def remember(gate: Any) -> None:
    """Initializer of the workers."""
    global _gate  # noqa: PLW0603 - a pool hands barriers over only when a worker starts
    _gate = gate


def uss() -> int:
    """Bytes that this process alone maps, libraries included."""
    fields = ("Private_Clean:", "Private_Dirty:")
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(fields))


def mapped_pss(path: str) -> int:
    """Bytes of a file that the family maps, each page once."""
    total = 0
    for pid in family(os.getpid()):
        inside = False
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if "-" in line.split(maxsplit=1)[0]:
                inside = line.endswith(path)
            elif inside and line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def hold_while_counted(work: Callable[[], tuple[float, Any]]) -> tuple[float, int]:
    """In a worker: does the work and waits twice for the counting parent; returns its result and USS growth.

    What the work returns beside its result is what it has read, which is kept until everybody has been counted.
    """
    gc.collect()
    before = uss()
    result, kept = work()
    gc.collect()
    _gate.wait(PATIENCE_S)
    # Now all have read: what one alone had mapped of the store until here is shared.
    grown = uss() - before
    _gate.wait(PATIENCE_S)
    del kept
    return result, grown


def read_rows(rows: Any) -> tuple[float, int]:
    """Work on rows that were handed over."""
    return hold_while_counted(lambda: (read_every_field(rows), rows))


def read_inherited(_: int) -> tuple[float, int]:
    """Work on rows that were there before the fork."""
    return hold_while_counted(lambda: (read_every_field(_plain), _plain))


def read_file(path: str) -> tuple[float, int]:
    """Sums a file's numbers."""

    def work() -> tuple[float, Any]:
        view = onecopy.open(path)
        return float(view["numbers"].sum()), view

    return hold_while_counted(work)


def counted(
    method: str, workers: int, work: Callable[[Any], tuple[float, int]], argument: Any, count: Callable[[], int]
) -> tuple[int, list[tuple[float, int]]]:
    """What `count` says more than before while all workers have done their work; and what they returned."""
    context = multiprocessing.get_context(method)
    gate = context.Barrier(workers + 1)
    with context.Pool(workers, remember, (gate,)) as pool:
        pool.map(abs, range(workers * 4), chunksize=1)
        before = count()
        working = pool.map_async(work, [argument] * workers, chunksize=1)
        gate.wait(PATIENCE_S)
        grown = count() - before
        gate.wait(PATIENCE_S)
        return grown, working.get(PATIENCE_S)


def coco(scale: int) -> Iterator[Row]:
    """COCO-like annotations in eight forkserver workers, and as a plain list in four forked and four spawned ones."""
    global _plain  # noqa: PLW0603 - what forked workers inherit
    rows = make_rows(860_000 // scale)
    expected = read_every_field(rows)
    before = summed_pss()
    view: Any = onecopy.share(rows)
    image = onecopy.image_of(view).nbytes
    made = summed_pss() - before
    grown, results = counted("forkserver", READERS, read_rows, view, summed_pss)
    grown += made
    right = [result for result, _ in results] == [expected] * READERS
    most = max(each for _, each in results)
    label = f"{len(rows):,} annotations, 8 forkserver workers reading every field"
    yield Row(
        label,
        "one copy",
        "Σ PSS ≤ 1.01 × image + 0.5 MiB each",
        f"{grown / MIB:.1f} MiB for an image of {image / MIB:.1f} MiB{'' if right else '; WRONG SUMS'}",
        right and 0.9 * image <= grown <= 1.01 * image + READERS * MIB / 2,
        {"grown_bytes": grown, "image_bytes": image},
    )
    yield Row(
        f"{label}: USS that each gains",
        "",
        "≤ 17 MB",
        f"{most / 1e6:.2f} MB at most",
        most <= 17e6,
        {"bytes": most, "at_most_bytes": 17_000_000},
    )
    del view
    few = READERS // 2
    _plain = rows
    for method, work, argument in (("fork", read_inherited, 0), ("spawn", read_rows, rows)):
        grown, results = counted(method, few, work, argument, summed_pss)
        yield Row(
            f"the same as a plain list, {few} {method} workers",
            "",
            "",
            f"Σ PSS grows by {grown / MIB:,.0f} MiB, {grown / few / 1e6:,.0f} MB a worker",
            None,
            {"grown_bytes": grown, "workers": few},
        )
    _plain = None


def big_file(scale: int) -> Iterator[Row]:
    """A file of 4 GiB read by eight processes."""
    with tempfile.TemporaryDirectory(prefix="onecopy-benchmark-") as folder:
        path = Path(folder) / "big.onecopy"
        data = onecopy.ones(2**32 // 8 // scale)
        onecopy.save({"numbers": data}, path)
        expected = float(data.sum())
        del data
        size = path.stat().st_size
        taken = [timed(lambda: onecopy.open(path)["numbers"][-1]) for _ in range(15)]
        value = statistics.median(taken)
        yield Row(
            f"`open()` of a file of {size / 2**30:.1f} GiB and reading one number",
            "",
            "≤ 5 ms",
            f"{value * 1e3:.3f} ms, slowest {max(taken) * 1e3:.3f} ms",
            value <= 5e-3,
            {"seconds": value, "at_most": 5e-3, "bytes": size},
        )
        grown, results = counted("spawn", READERS, read_file, str(path), lambda: mapped_pss(str(path)))
        right = [result for result, _ in results] == [expected] * READERS
        yield Row(
            f"a file of {size / 2**30:.1f} GiB read by 8 spawned workers",
            "one copy in the page cache",
            "≤ 1.01 copies",
            f"{grown / size:.3f} copies, {'all sums right' if right else 'WRONG SUMS'}",
            right and grown <= 1.01 * size,
            {"grown_bytes": grown, "file_bytes": size},
        )


def store_ranges() -> list[tuple[int, int]]:
    """Where this process maps the store."""
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if "memfd:onecopy" in line]
    spans = [line.split()[0].split("-") for line in lines]
    return [(int(start, 16), int(end, 16)) for start, end in spans]


def frame_buffers(frame: Any) -> list[int]:
    """Addresses of the data of a frame's columns."""
    import pyarrow as pa

    kind = type(frame).__module__.partition(".")[0]
    if kind == "pandas":
        numbers = [frame[name].to_numpy().ctypes.data for name in frame.columns if frame[name].dtype.kind in "if"]
        texts = {
            name: frame[name].array.__arrow_array__() for name in frame.columns if frame[name].dtype.kind not in "if"
        }
        return numbers + frame_buffers(pa.table(texts))
    if kind == "polars":
        import polars as pl

        return frame_buffers(frame.to_arrow(compat_level=pl.CompatLevel.newest()))
    buffers = [buffer for column in frame.columns for chunk in column.chunks for buffer in chunk.buffers()]
    return [buffer.address for buffer in buffers if buffer is not None and buffer.size > 64]


def read_frame(views: tuple[Any, Any]) -> tuple[float, int]:
    """Reads all columns; returns their sum, or NaN if a column does not lie in the store."""
    small, view = views
    frame_sum(small.get())  # what the libraries take for themselves they have from now on

    def work() -> tuple[float, Any]:
        frame = view.get()
        ranges = store_ranges()
        if not all(any(start <= address < end for start, end in ranges) for address in frame_buffers(frame)):
            return float("nan"), frame
        return frame_sum(frame), frame

    return hold_while_counted(work)


def frame_sum(frame: Any) -> float:
    """A number that depends on every cell; made from a few rows at a time, so that it needs no memory to speak of."""
    total = 0.0
    for start in range(0, len(frame), SLICE_ROWS):
        stop = start + SLICE_ROWS
        part = frame.iloc[start:stop] if hasattr(frame, "iloc") else frame[start:stop]
        total += sum(float(np.asarray(part[f"n{number}"]).sum()) for number in range(10))
        total += sum(
            sum(map(len, part[name].to_pylist() if hasattr(part[name], "to_pylist") else part[name].to_list()))
            for name in ("text", "kind")
        )
    return total


def frames(scale: int) -> Iterator[Row]:
    """Frames of 5 M rows, ten numeric columns and two of strs, in four spawned workers."""
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    n, few = 5_000_000 // scale, READERS // 2
    columns: dict[str, Any] = {f"n{i}": np.arange(n) * (i + 0.5) for i in range(10)}
    columns["text"] = pa.array([f"string number {i}" for i in range(n)])
    columns["kind"] = pa.array([f"kind {i % 7}" for i in range(n)])
    table = pa.table(columns)
    del columns
    makers: dict[str, Callable[[], Any]] = {
        "pyarrow": lambda: table,
        "polars": lambda: pl.from_arrow(table),
        "pandas": lambda: table.to_pandas(
            types_mapper=lambda t: pd.StringDtype("pyarrow") if t == pa.string() else None
        ),
    }
    for name, make in makers.items():
        frame = make()
        expected = frame_sum(frame)
        small = onecopy.share(make_small(frame))
        allocated, before = onecopy.stats().allocated_bytes, summed_pss(SHARED)
        view = onecopy.share(frame)
        image = onecopy.stats().allocated_bytes - allocated
        made = summed_pss(SHARED) - before
        grown, results = counted("spawn", few, read_frame, (small, view), lambda: summed_pss(SHARED))
        shared = made + grown
        right = all(result == expected for result, _ in results)
        most = max(each for _, each in results)
        yield Row(
            f"{name} frame of {n:,} rows, 10 numeric and 2 str columns, {few} spawned workers",
            "one copy",
            "same sums, columns in the store, USS + ≤ 1 % each",
            f"image {image / MIB:,.0f} MiB, Σ PSS of the store {shared / MIB:,.0f} MiB, USS + {most / MIB:.1f} MiB each"
            f"{'' if right else '; WRONG, or COPIED'}",
            right and shared <= 1.01 * image + MIB and most <= 0.01 * image + MIB,
            {"image_bytes": image, "shared_bytes": shared, "uss_bytes": most},
        )
        del frame, view, small


def make_small(frame: Any) -> Any:
    """A frame like this one, of a few rows."""
    if hasattr(frame, "iloc"):
        return frame.iloc[:10].copy()
    part = frame.slice(0, 10)  # an Arrow table's slice is pickled with all of the buffers that it shows a part of
    return type(frame).from_pydict(part.to_pydict()) if hasattr(frame, "to_pydict") else part
