"""Private views: writable, copied page by page when written, seen by nobody else."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onecopy

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

MIB = 2**20
PAGE = 4096
WATCHDOG_S = 120


def anonymous_bytes() -> int:
    """Memory that is no file's: copied pages among it."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("smaps_rollup has no Anonymous")


ARRAYS: dict[str, Any] = {
    "rows": np.arange(12.0).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "no dimensions": np.array(5),
    "empty": np.zeros((0, 3)),
    "text": np.array(["a", "bc"]),
    "times": np.array(["2020", "2021"], "M8[D]"),
    "swapped": np.arange(5, dtype=">i4"),
    "record": np.zeros(3, "i4,f8"),
    "large": np.arange(1_000_000),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_private_array_is_writable_and_the_view_stays(name: str) -> None:
    array = ARRAYS[name]
    view = onecopy.share(array)
    mine = onecopy.private(view)
    assert type(mine) is np.ndarray
    assert mine.flags.writeable
    assert (mine.dtype, mine.shape, mine.strides) == (view.dtype, view.shape, view.strides)
    assert np.array_equal(mine, array)
    mine[...] = np.zeros((), array.dtype)
    assert np.array_equal(view, array)
    assert np.array_equal(mine, np.zeros_like(array))
    assert np.array_equal(onecopy.private(view), array)  # a second one starts afresh


def test_private_of_a_part() -> None:
    view = onecopy.share(np.arange(10_000.0).reshape(100, 100))
    mine = onecopy.private(view[::-2, 5:])
    assert np.array_equal(mine, view[::-2, 5:])
    mine[0, 0] = -1
    assert view[99, 5] == 9905


def test_repeated_elements_can_be_changed_one_by_one() -> None:
    view = onecopy.share(np.broadcast_to(np.arange(3), (4, 3)))
    mine = onecopy.private(view)
    mine[0, 0] = 9
    assert mine.tolist() == [[9, 1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 2]]
    assert view.tolist() == [[0, 1, 2]] * 4


def test_only_written_pages_are_copied() -> None:
    view = onecopy.share(np.ones(16 * MIB, np.uint8), huge=False)
    mine = onecopy.private(view)
    assert int(mine.sum()) == 16 * MIB  # read all
    before = anonymous_bytes()
    mine[:: 16 * PAGE] = 2  # every sixteenth page
    copied = anonymous_bytes() - before
    assert MIB <= copied <= MIB + MIB // 4
    mine[:] = 3
    assert anonymous_bytes() - before >= 16 * MIB
    del mine
    gc.collect()
    assert anonymous_bytes() - before <= MIB
    assert int(view.sum()) == 16 * MIB


def test_private_array_outlives_its_view() -> None:
    gc.collect()
    before = onecopy.stats()
    view = onecopy.share(np.arange(1_000_000))
    mine = onecopy.private(view)[500:]
    mine[0] = -5
    del view
    gc.collect()
    # Pages that were not written are still the image's: it stays as long as they may be read.
    assert onecopy.stats().live_objects == before.live_objects + 1
    others = [onecopy.share(np.full(1_000_000, number)) for number in range(3)]
    assert mine[0] == -5
    assert np.array_equal(mine[1:], np.arange(501, 1_000_000))
    del mine, others
    gc.collect()
    assert onecopy.stats() == before


def test_pickles_by_content() -> None:
    view = onecopy.share(np.arange(1000))
    mine = onecopy.private(view)
    mine[3] = -3
    again = pickle.loads(pickle.dumps(mine))
    assert type(again) is np.ndarray
    assert again[3] == -3
    again[4] = -4
    assert mine[4] == 4


def test_sharing_a_private_array_shares_what_stands_in_it() -> None:
    view = onecopy.share(np.arange(1000))
    mine = onecopy.private(view)
    mine[0] = 7
    again = onecopy.share(mine)
    mine[0] = 8
    assert (view[0], again[0], mine[0]) == (0, 7, 8)


# ── lists and tuples ─────────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS: dict[str, list[Any]] = {
    "small ints": [1, -2, 3],
    "ints": [2**40, 0, -1],
    "unsigned": [2**63, 1, 0],
    "floats": [1.5, -0.0, 2.0],
    "bools": [True, False, True],
    "long": list(range(100_000)),
}


@pytest.mark.parametrize("container", [list, tuple])
@pytest.mark.parametrize("name", COLUMNS)
def test_private_of_numbers(name: str, container: type[list[Any] | tuple[Any, ...]]) -> None:
    data = COLUMNS[name]
    view: Any = onecopy.share(container(data))
    for part, expected in ((view, data), (view[1:], data[1:]), (view[::-2], data[::-2]), (view[5:5], [])):
        mine = onecopy.private(part)
        assert type(mine) is np.ndarray
        assert mine.ndim == 1
        assert mine.tolist() == expected
        mine[:] = 1
        assert mine.tolist() == [1] * len(expected)
        assert list(part) == expected


@pytest.mark.parametrize("data", [["a"], [1, None], [2**70], [1, 2.5, "x"], [b"x"]])
def test_what_is_no_column_of_numbers_is_refused(data: list[Any]) -> None:
    with pytest.raises(TypeError, match=r"no plain numbers.*to_python\(view\)"):
        onecopy.private(onecopy.share(data))


@pytest.mark.parametrize("thing", [[1, 2], "text", 5, None, np.arange(3)])
def test_what_is_no_view_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"^view: expected a shared array or a list of numbers"):
        onecopy.private(thing)


WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None  # as if it were not installed
import onecopy
view = onecopy.share([1, 2, 3, 2**40])
mine = onecopy.private(view[1:])
assert type(mine) is memoryview and not mine.readonly
mine[0] = 20
assert mine.tolist() == [20, 3, 2**40] and view == [1, 2, 3, 2**40]
try:
    onecopy.private(view[::2])
except TypeError as error:
    print(error)
try:
    onecopy.empty(3)
except ModuleNotFoundError as error:
    print(error)
"""


def test_private_numbers_without_numpy() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_NUMPY], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    step, made = run.stdout.splitlines()
    assert "a slice with a step needs numpy" in step
    assert "numpy" in made


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_and_report(view: Any, number: int) -> tuple[float, float]:
    mine = onecopy.private(view)
    mine[:] = number
    return float(mine.sum()), float(view.sum())


def test_workers_write_for_themselves(context: BaseContext) -> None:
    view = onecopy.share(np.ones(100_000))
    with context.Pool(3) as pool:
        found = pool.starmap(write_and_report, [(view, number) for number in range(6)])
    assert found == [(100_000.0 * number, 100_000.0) for number in range(6)]
    assert view.min() == view.max() == 1


def test_forked_child_and_parent_write_apart() -> None:
    view = onecopy.share(np.ones(100_000))
    mine = onecopy.private(view)
    mine[0] = 2
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert mine[0] == 2
            mine[:] = 3
            assert view.max() == 1
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (mine[0], mine[1], view[0]) == (2, 1, 1)
