"""Arrays: what can be shared, what a view is, arrays born in the store."""

from __future__ import annotations

import contextlib
import gc
import inspect
import multiprocessing
import os
import pickle
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

import onecopy
from families import wait_until

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    import numpy.typing as npt

MIB = 2**20
PAGE = 4096

RANDOM = np.random.default_rng(7)
NUMERIC = ["b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g", "c8", "c16", "G"]
DTYPES = [
    *NUMERIC,
    ">i4",
    ">f8",
    ">c16",
    ">U3",
    "M8[D]",
    "M8[ns]",
    "m8[us]",
    "M8[25s]",
    "S1",
    "S7",
    "U1",
    "U12",
    "V5",
    "i4,f8",
]


def sample(dtype: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """An array whose every byte matters."""
    kind = np.dtype(dtype)
    count = int(np.prod(shape))
    if kind.kind == "b":
        return RANDOM.integers(0, 2, count).astype(bool).reshape(shape)
    if kind.kind == "U":
        return np.array([chr(65 + n % 50) * (n % 3) for n in range(count)], kind).reshape(shape)
    return np.frombuffer(RANDOM.bytes(count * kind.itemsize), kind).reshape(shape).copy()


def same_bytes(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> bool:
    """Equal to the last bit of every element, NaN, padding and all."""
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 0, 2), (4, 5), (2, 3, 4)], ids=str)
def test_every_dtype_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    array = sample(dtype, shape)
    view = onecopy.share(array)
    assert type(view).__name__ == "SharedArray"
    assert same_bytes(view, array)
    assert not view.flags.writeable
    assert same_bytes(onecopy.to_python(view), array)
    assert same_bytes(pickle.loads(pickle.dumps(view)), array)


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype([("a", "i4"), ("b", "f8", (2, 3)), ("c", "U4")]),
        np.dtype([("a", "i1"), ("b", "f8")], align=True),
        np.dtype([("outer", [("inner", "M8[s]"), ("other", ">i2")]), ("z", "?")]),
        np.dtype({"names": ["x", "y"], "formats": ["i2", "i2"], "offsets": [4, 0], "itemsize": 12}),
    ],
    ids=["nested array", "aligned", "nested record", "offsets"],
)
def test_structured_dtypes(dtype: Any) -> None:
    array = np.zeros((3, 2), dtype)
    array[dtype.names[0]] = np.ones((3, 2), dtype[0])
    view = onecopy.share(array)
    assert view.dtype == dtype
    assert view.tobytes() == array.tobytes()
    column = pickle.loads(pickle.dumps(view[dtype.names[0]]))
    assert same_bytes(np.asarray(column), array[dtype.names[0]])


BASE = np.arange(2 * 3 * 4 * 5, dtype=np.int32).reshape(2, 3, 4, 5)
ORDERS: dict[str, Any] = {
    "C": BASE,
    "F": np.asfortranarray(BASE),
    "permuted": BASE.transpose(2, 0, 3, 1),
    "every second": BASE[:, :, ::2, ::-3],
    "backwards": BASE[::-1, ::-1, ::-1, ::-1],
    "broadcast": np.broadcast_to(BASE[0, :, :1], (6, 3, 4, 5)),
    "broadcast scalar": np.broadcast_to(np.float64(2.5), (1000, 1000)),
    "windows": np.lib.stride_tricks.sliding_window_view(np.arange(20), 5),
    "field": np.ones(5, "i4,f8")["f1"],
    "runs of three bytes": sample("u1", (50, 7, 4))[:, :, :3],
    "padding": np.ones((4, 6), np.dtype("i1,f8", align=True))[::2, ::-1],
    "dates": sample("M8[ns]", (6, 5))[::-2, 1::2],
    "long axes of one": BASE[:1, ::2, :1].transpose(3, 2, 1, 0),
    "nothing of a part": BASE[::2, 5:, ::-1],
    "elements of no bytes": np.zeros((3, 4), "V0")[::2],
    "many gaps": sample("f4", (300, 400))[::3, ::-2],
    "many columns": np.asfortranarray(sample("c16", (200, 300)))[::-1, 1:],
}


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("way", ["alone", "in a list", "in a tuple of a dict"])
def test_every_memory_order(name: str, way: str) -> None:
    array = ORDERS[name]
    whole: Any = {"alone": array, "in a list": [array], "in a tuple of a dict": {"a": (array,)}}[way]

    def of(shared: Any) -> Any:
        return {
            "alone": lambda: shared,
            "in a list": lambda: shared[0],
            "in a tuple of a dict": lambda: shared["a"][0],
        }[way]()

    # NumPy's own copies leave out what lies between the fields.
    same = same_bytes if array.dtype.names is None else np.array_equal
    view = onecopy.share(whole)
    assert isinstance(of(view), onecopy.views.SharedArray)
    assert same(of(view), array)
    assert same(of(pickle.loads(pickle.dumps(view))), array)
    assert same(of(onecopy.to_python(view)), array)
    assert all(stride >= 0 for stride in of(view).strides)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 12, 16, 24])
@pytest.mark.parametrize("step", [1, 2, -1, -3])
def test_every_size_of_elements_and_step(size: int, step: int) -> None:
    array = sample(f"V{size}", (5, 6, 7))
    for axes in ((0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)):
        for part in (array[::step], array[:, ::step], array[..., ::step], array[::step, 1:, ::step], array[:, 2:3]):
            given = part.transpose(axes)
            view = onecopy.share(given)
            assert same_bytes(view, given)
            # Nothing lies between the elements: the longest axis ends where the data end.
            assert (
                view.nbytes
                == sum((length - 1) * stride for length, stride in zip(view.shape, view.strides, strict=True)) + size
            )


@pytest.mark.parametrize("dtype", ["f8", "M8[s]", "i4,f8"])
def test_arrays_inside_data_ask_python_once_each(dtype: str) -> None:
    arrays = [sample(dtype, (3, 4))[:, ::2] for _ in range(200)]
    onecopy.share(arrays)
    calls = 0

    def count(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        view = onecopy.share(arrays)
    finally:
        sys.setprofile(None)
    assert calls <= len(arrays) + 20
    assert all(same_bytes(left, right) for left, right in zip(view, arrays, strict=True))


def test_orders_without_gaps_are_kept() -> None:
    for name in ("C", "F", "permuted"):
        assert onecopy.share(ORDERS[name]).strides == ORDERS[name].strides
    # Laid out anew: nobody reads an array faster for lying backwards.
    assert all(stride > 0 for stride in onecopy.share(ORDERS["backwards"]).strides)


def test_repeated_elements_are_stored_once() -> None:
    before = onecopy.stats().allocated_bytes
    view = onecopy.share(np.broadcast_to(np.arange(1000.0), (100_000, 1000)))  # 800 MB if it were written out
    assert onecopy.stats().allocated_bytes - before < 4 * PAGE
    assert view.strides == (0, 8)
    assert float(view[99_999].sum()) == 499_500.0


# ── what is no plain array ────────────────────────────────────────────────────────────────────────────────────────────


class Special(np.ndarray[Any, Any]):
    """Something a subclass adds would be lost."""


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, None, {}]),
        np.array([(None, 1)], [("a", object), ("b", int)]),
        np.ma.masked_array([1, 2], [True, False]),
        np.rec.fromrecords([(1, 2.0)]),
        np.arange(3).view(Special),
    ],
    ids=["object", "record of objects", "masked", "recarray", "subclass"],
)
def test_other_arrays_are_shared_as_objects(array: Any) -> None:
    view: Any = onecopy.share(array)
    assert isinstance(view, onecopy.views.ObjectView)
    real: Any = onecopy.to_python(view)
    for again in (view.get(), pickle.loads(pickle.dumps(view)).get(), real):
        assert type(again) is type(array)
        assert again.dtype == array.dtype
        assert again.tolist() == array.tolist()
    inside = onecopy.share({"array": array})["array"]
    assert type(inside) is type(array)
    assert inside.tolist() == array.tolist()


def test_memmap_is_shared_as_the_array_it_is(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "numbers", np.int16, "w+", shape=(3, 4))
    mapped[:] = 5
    assert np.array_equal(onecopy.share(mapped), np.full((3, 4), 5, np.int16))


@pytest.mark.parametrize("huge", [True, False, "auto"])
def test_huge_is_best_effort(huge: Any) -> None:
    array = RANDOM.integers(0, 255, 5 * MIB + 3, np.uint8)
    assert np.array_equal(onecopy.share(array, huge=huge), array)


@pytest.mark.parametrize(("huge", "error"), [("yes", ValueError), (1, TypeError), (None, TypeError)])
def test_huge_is_checked(huge: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match='huge must be "auto", True or False'):
        onecopy.share(np.zeros(3), huge=huge)
    with pytest.raises(error, match='huge must be "auto", True or False'):
        onecopy.share([1], huge=huge)


def test_atoms_and_views_are_returned_as_they_are() -> None:
    for atom in (1, 1.5, True, None, 2j, np.str_("a"), np.float32(1), np.int64(2), np.bool_(True)):
        assert onecopy.share(atom) is atom
        assert onecopy.to_python(atom) is atom
    view = onecopy.share(np.arange(3))
    assert onecopy.share(view) is view
    part = view[1:]
    assert onecopy.share(part) is part


# ── views are read-only, results are not ─────────────────────────────────────────────────────────────────────────────


def test_writing_is_refused_with_advice() -> None:
    view = onecopy.share(np.arange(6.0).reshape(2, 3))
    with pytest.raises(ValueError, match=r"read-only.*private\(view\).*to_python\(view\)"):
        view[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        view += 1
    with pytest.raises(ValueError, match="read-only"):
        view.sort()
    with pytest.raises(ValueError, match="WRITEABLE"):
        view.flags.writeable = True
    with pytest.raises(ValueError, match="WRITEABLE"):
        np.asarray(view).flags.writeable = True


def test_exporter_refuses_a_writable_buffer() -> None:
    exporter: Any = onecopy.share(np.arange(6.0)).base
    assert memoryview(exporter).readonly
    with pytest.raises(TypeError, match="read-write"):
        struct.pack_into("d", exporter, 0, 1.0)
    if sys.version_info >= (3, 12):
        with pytest.raises(BufferError, match=r"never change.*onecopy\.private"):
            exporter.__buffer__(inspect.BufferFlags.WRITABLE)


RESULTS: dict[str, Any] = {
    "a + 1": lambda a: a + 1,
    "-a": lambda a: -a,
    "a == 1": lambda a: a == 1,
    "copy": lambda a: a.copy(),
    "astype": lambda a: a.astype("f4"),
    "astype same": lambda a: a.astype(a.dtype),
    "sort": np.sort,
    "concatenate": lambda a: np.concatenate([a, a]),
    "sum of axis": lambda a: a.sum(axis=0),
    "mean of axis": lambda a: np.mean(a, axis=1),
    "cumsum": lambda a: a.cumsum(),
    "take": lambda a: a.take([0, 1]),
    "where": lambda a: np.where(a > 2, a, 0),
    "dot": lambda a: a.dot(a.T),
    "matmul": lambda a: a @ a.T,
    "array": np.array,
    "ufunc out": lambda a: np.add(a, 1, out=np.empty(a.shape)),
    "reduce": np.add.reduce,
    "outer": lambda a: np.multiply.outer(a[0], a[0]),
    "ravel of F": lambda a: a.T.ravel(),
    "modf": lambda a: np.modf(a)[0],
    "nonzero": lambda a: a.nonzero()[0],
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_is_computed_is_a_plain_array(name: str) -> None:
    array = np.arange(6.0).reshape(2, 3)
    view = onecopy.share(array)
    result, expected = RESULTS[name](view), RESULTS[name](array)
    assert type(result) is np.ndarray
    assert result.flags.writeable
    assert np.array_equal(result, expected)
    assert np.array_equal(pickle.loads(pickle.dumps(result)), expected)


def test_chosen_elements_are_a_writable_copy() -> None:
    view = onecopy.share(np.arange(10))
    for chosen in (view[[1, 2]], view[view > 5]):
        chosen[0] = 100
        again = pickle.loads(pickle.dumps(chosen))
        assert type(again) is np.ndarray
        assert again[0] == 100
    assert list(view) == list(range(10))


def test_scalars_are_scalars() -> None:
    view = onecopy.share(np.arange(6.0).reshape(2, 3))
    for scalar in (view[0, 0], view.sum(), view.mean(), np.max(view), view.item(0)):
        assert isinstance(scalar, float)


def test_copy_and_deepcopy_return_the_view() -> None:
    import copy

    view = onecopy.share(np.arange(5))
    before = onecopy.stats()
    assert copy.copy(view) is view
    assert copy.deepcopy({"a": [view]})["a"][0] is view
    assert onecopy.stats() == before


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def peak_rss_bytes() -> int:
    return int(next(line for line in Path("/proc/self/status").open() if line.startswith("VmHWM")).split()[1]) * 1024


PEAK = """
import numpy as np, onecopy, sys
sys.path.insert(0, sys.argv[1])
from test_array import peak_rss_bytes
onecopy.share(np.ones(10))
source = eval(sys.argv[2])
open("/proc/self/clear_refs", "w").write("5")  # the peak so far is forgotten
before = peak_rss_bytes()
view = onecopy.share(source)
print(peak_rss_bytes() - before, source.nbytes)
"""


@pytest.mark.parametrize(
    "make",
    [
        "np.ones((16 << 20,))",
        "np.asfortranarray(np.ones((4 << 10, 4 << 10)))",
        "np.ones((8 << 10, 4 << 10))[::2, ::-1]",
    ],
    ids=["C", "F", "gaps"],
)
def test_peak_is_source_and_image(make: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PEAK, str(Path(__file__).parent), make], capture_output=True, text=True, check=True
    )
    grown, image = map(int, run.stdout.split())
    assert image >= 128 * MIB
    assert 0.9 * image <= grown <= 1.02 * image + 2 * MIB


def test_large_copies_are_right_at_every_seam() -> None:
    # Past 32 MiB two threads copy; odd lengths put the seam inside a page.
    for extra in (0, 1, 4095, 4097):
        array = RANDOM.integers(0, 255, 33 * MIB + extra, np.uint8)
        assert np.array_equal(onecopy.share(array), array)


def test_other_threads_run_while_a_large_array_is_copied() -> None:
    array = np.ones(64 * MIB, np.uint8)
    ticks = 0
    running = True

    def tick() -> None:
        nonlocal ticks
        while running:
            ticks += 1
            time.sleep(0)

    def ticked() -> bool:
        before = ticks
        onecopy.share(array)
        return ticks > before + 1_000  # not just once in between

    thread = threading.Thread(target=tick)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody is made to let others run: whoever runs was let
    try:
        wait_until(ticked)
    finally:
        sys.setswitchinterval(interval)
        running = False
        thread.join()


def test_threads_share_at_the_same_time() -> None:
    arrays = [np.full(200_000, number) for number in range(8)]
    views: dict[int, Any] = {}

    def work(number: int) -> None:
        for _ in range(20):
            views[number] = pickle.loads(pickle.dumps(onecopy.share(arrays[number])))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        assert np.array_equal(views[number], arrays[number])


# ── born in the store ────────────────────────────────────────────────────────────────────────────────────────────────


def test_makers_agree_with_numpy() -> None:
    for dtype in (*NUMERIC, "M8[s]", "U5", "S"):
        for shape in (3, (2, 3), (), (0, 2), [4]):
            zeros = onecopy.zeros(shape, dtype)
            expected = np.zeros(shape, dtype)
            assert isinstance(zeros, np.ndarray)
            assert type(zeros.copy()) is np.ndarray
            assert zeros.dtype == expected.dtype
            assert np.array_equal(zeros, expected)
            assert zeros.flags.writeable
    assert np.array_equal(onecopy.ones((2, 3), "c16"), np.ones((2, 3), "c16"))
    assert np.array_equal(onecopy.full((2, 3), [1, 2, 3]), np.full((2, 3), [1, 2, 3]))
    assert onecopy.full(3, 7).dtype == np.full(3, 7).dtype
    assert onecopy.full(3, 2.9, int).tolist() == np.full(3, 2.9, int).tolist()
    assert onecopy.zeros((3, 4), order="F").strides == np.zeros((3, 4), order="F").strides
    assert onecopy.empty(2).dtype == float


@pytest.mark.parametrize(
    ("arguments", "error"),
    [(((-1,),), ValueError), ((3, object), TypeError), ((3, "no such type"), TypeError), ((1.5,), TypeError)],
)
def test_makers_check_their_arguments(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    before = onecopy.stats().building_objects
    with pytest.raises(error):
        onecopy.empty(*arguments)
    with pytest.raises(ValueError, match="order must be"):
        onecopy.zeros(3, order="K")  # type: ignore[call-overload]
    assert onecopy.stats().building_objects == before


@pytest.mark.parametrize("order", ["C", "F"])
def test_sharing_an_array_born_there_copies_nothing(order: Any) -> None:
    array = onecopy.empty((512, 1024), order=order)
    array[:] = RANDOM.random((512, 1024))
    expected = array.copy()
    before = onecopy.stats()
    view = onecopy.share(array)
    after = onecopy.stats()
    assert after.allocated_bytes == before.allocated_bytes
    assert (after.live_objects, after.building_objects) == (before.live_objects + 1, before.building_objects - 1)
    assert np.array_equal(view, expected)
    assert view.strides == array.strides
    assert np.array_equal(pickle.loads(pickle.dumps(view)), expected)


def test_sealed_array_is_read_only_and_other_references_write_for_themselves() -> None:
    array = onecopy.zeros(100_000)
    # numpy's types have the buffer protocol from 3.12 on only, and a memoryview of floats takes ints only.
    head, buffer = array[:10], cast("Any", memoryview(cast("Any", array)))
    array[:] = 1
    view = onecopy.share(array)
    assert not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 5
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
    head[0] = 7  # a reference from before: this process's alone
    buffer[50_000] = 8.0
    assert (array[0], array[50_000]) == (7, 8)
    assert view.min() == view.max() == 1
    assert pickle.loads(pickle.dumps(view)).max() == 1
    del view
    gc.collect()
    assert (array[0], array[1], array[50_000]) == (7, 1, 8)  # the memory outlives the view


def test_old_references_outlive_everything_else() -> None:
    array = onecopy.ones(300_000)
    part = array[1000:2000]
    view = onecopy.share(array)
    del array, view
    gc.collect()
    others = [onecopy.share(np.full(300_000, number)) for number in range(5)]  # would reuse the memory
    assert part.sum() == 1000
    part[:] = 3
    assert [int(other.min()) for other in others] == [int(other.max()) for other in others] == list(range(5))


def test_reshaped_whole_is_sealed_and_a_part_is_copied() -> None:
    array = onecopy.zeros(1 << 20)
    array[:] = np.arange(1 << 20)
    before = onecopy.stats().allocated_bytes
    part = onecopy.share(array[1:])
    assert onecopy.stats().allocated_bytes > before
    still: Any = array
    assert still.flags.writeable
    assert part[0] == 1
    del part
    whole = onecopy.share(array.reshape(1024, 1024))
    assert onecopy.stats().allocated_bytes == before
    assert not array.flags.writeable
    assert whole.shape == (1024, 1024)
    assert np.array_equal(pickle.loads(pickle.dumps(whole))[1023], np.arange(1023 * 1024, 1 << 20))
    again = onecopy.share(array)  # a second time: what stands there now, as a copy
    assert np.array_equal(again, np.arange(1 << 20))


def test_threads_share_one_array_born_there() -> None:
    for _ in range(50):
        array = onecopy.full(50_000, 7.0)
        views: list[Any] = []
        stop = threading.Event()

        def ask(array: Any = array, stop: threading.Event = stop) -> None:
            # Asks the exporter all the time, as numpy does for whoever looks at the flag.
            while not stop.is_set():
                with contextlib.suppress(BufferError):
                    memoryview(array.base).release()

        def work(array: Any = array, views: list[Any] = views) -> None:
            views.append(onecopy.share(array))

        asking = threading.Thread(target=ask)
        asking.start()
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stop.set()
        asking.join()
        assert len(views) == 4
        assert all(view.min() == view.max() == 7 for view in views)


def test_unshared_array_is_given_back() -> None:
    before = onecopy.stats()
    array = onecopy.ones(1 << 20)
    assert onecopy.stats().allocated_bytes - before.allocated_bytes >= 8 * MIB
    del array
    gc.collect()
    assert onecopy.stats().allocated_bytes == before.allocated_bytes
    assert onecopy.stats().building_objects == before.building_objects


def fill(array: Any) -> None:
    array[:] = 7


def test_an_unshared_array_is_not_handed_to_who_would_write_to_a_copy() -> None:
    array = onecopy.zeros((10, 10))
    before = onecopy.stats()
    for thing in (array, array[2:5], array.T, {"out": [array]}):
        with pytest.raises(onecopy.Unsupported, match=r"onecopy\.share\(array\).*onecopy\.Array\(shape, dtype\)"):
            pickle.dumps(thing)
    with (
        multiprocessing.get_context("forkserver").Pool(1) as pool,
        pytest.raises(TypeError, match="before it is shared"),
    ):
        pool.apply(fill, (array,))
    after = onecopy.stats()
    assert (after.units, after.live_objects, after.allocated_bytes) == (
        before.units,
        before.live_objects,
        before.allocated_bytes,
    )
    for made in (array.copy(), array + 1, np.array(array), array[[1, 2]], array.sum(axis=0)):
        assert np.array_equal(pickle.loads(pickle.dumps(made)), made)
    onecopy.share(array)
    copied = pickle.loads(pickle.dumps(array))  # what it shows cannot change any more
    assert type(copied) is np.ndarray
    assert np.array_equal(copied, array)


def test_forked_child_has_its_own_picture_of_an_unshared_array() -> None:
    array = onecopy.ones(100_000)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            array[0] = 2  # not seen by the parent
            view = onecopy.share(array)  # a copy: the memory is the parent's
            assert view[0] == 2
            assert view[1] == 1
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert array[0] == 1
    assert onecopy.share(array).max() == 1


def sum_of(view: Any) -> tuple[str, float]:
    return type(view).__name__, float(view.sum())


def test_workers_read_an_array_born_there(context: BaseContext) -> None:
    array = onecopy.zeros((100, 100))
    with context.Pool(2) as pool:
        array[:] = 2
        view = onecopy.share(array)
        assert pool.map(sum_of, [view, view.T, view[1:]]) == [
            ("SharedArray", 20_000.0),
            ("SharedArray", 20_000.0),
            ("SharedArray", 19_800.0),
        ]


def test_numpy_is_imported_when_it_is_needed() -> None:
    program = """
import sys, onecopy
onecopy.share([1, 2])
print("numpy" in sys.modules)
onecopy.views.SharedArray
print("numpy" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]


def test_unknown_name_of_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        onecopy.nothing  # type: ignore[attr-defined]
