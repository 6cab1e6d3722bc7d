"""`onecopy.Array`: an ndarray that all processes write to."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, assert_type

import numpy as np
import pytest

import onecopy
from conftest import START_METHODS, in_store, least_growth

if TYPE_CHECKING:
    from collections.abc import Callable

# Tests do what types forbid.
ARRAY: Any = onecopy.Array


def array_bytes() -> int:
    """Bytes of all containers, when those that nobody holds are gone."""
    gc.collect()
    onecopy.collect()
    return onecopy.stats().container_bytes


# What it is made from


@pytest.mark.parametrize("shape", [0, 3, (), (0,), (2, 0, 3), (2, 3), np.int64(4), (np.int8(2), 2)])
def test_an_int_or_a_tuple_is_a_shape_of_zeros(shape: Any) -> None:
    array = ARRAY(shape)
    expected = np.zeros(shape)
    assert array.shape == expected.shape
    assert array.dtype == float
    assert (np.array(array) == expected).all()
    assert array.flags.writeable
    assert not array.flags.owndata
    assert array.flags.c_contiguous
    assert array.flags.aligned
    assert in_store(array.__array_interface__["data"][0]) or not array.size


@pytest.mark.parametrize(
    "data",
    [
        [1, 2, 3],
        [[1.5], [2.5]],
        [],
        3.5,
        np.float32(2),
        np.array(5),
        np.arange(12).reshape(3, 4)[:, ::-2],
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        range(5),
        b"bytes",
        "text",
        ["a", "bcd"],
        np.array(["2026-01-01", "NaT"], "datetime64[D]"),
        np.array([1 + 2j]),
        np.array([True, False]),
        np.array([(1, 2.5), (3, 4.5)], [("a", "i4"), ("b", "f8")]),
        np.arange(3, dtype=">i4"),
        np.zeros(2, "S0"),
    ],
    ids=repr,
)
def test_anything_else_is_data(data: Any) -> None:
    array = ARRAY(data)
    expected = np.asarray(data)
    assert array.dtype == expected.dtype
    assert array.shape == expected.shape
    np.testing.assert_array_equal(np.array(array), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array)), expected)


def test_views_and_other_arrays_are_data_too() -> None:
    numbers = onecopy.share([1, 2, 3])
    assert ARRAY(numbers).tolist() == [1, 2, 3]
    first = ARRAY([1, 2])
    second = ARRAY(first, float)
    second[0] = 9
    assert (first.tolist(), second.tolist(), second.dtype) == ([1, 2], [9.0, 2.0], np.dtype(float))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((3, object), onecopy.Unsupported, "pointers"),
        (([None, "x"], object), onecopy.Unsupported, "pointers"),
        (([[1], [1, 2]], object), onecopy.Unsupported, "pointers"),
        ((3, [("a", object)]), onecopy.Unsupported, "pointers"),
        ((3, np.dtypes.StringDType() if hasattr(np.dtypes, "StringDType") else object), onecopy.Unsupported, "dtype"),
        ((-1,), ValueError, "negative"),
        (((2, -1),), ValueError, "negative"),
        (((1.5, 2),), TypeError, "a tuple is a shape"),
        ((("a",),), TypeError, "a tuple is a shape"),
        ((3, "nonsense"), TypeError, "nonsense"),
        ((), TypeError, "shape_or_data"),
    ],
)
def test_what_it_is_not_made_from(arguments: tuple[Any, ...], error: type[Exception], text: str) -> None:
    before = array_bytes()
    with pytest.raises(error, match=text):
        ARRAY(*arguments)
    assert array_bytes() == before


@pytest.mark.parametrize("shape", [2**40, 2**46, (2**40, 2**40), 2**63 - 1, 2**63, (2**70,), (0, 2**63)])
def test_a_shape_without_memory_for_it_leaves_nothing(shape: Any) -> None:
    before = onecopy.stats()
    with pytest.raises(MemoryError):
        ARRAY(shape)
    assert onecopy.stats() == before


# What it does


def test_whatever_numpy_does_in_place_others_see() -> None:
    array = ARRAY(np.arange(6).reshape(2, 3))
    other = pickle.loads(pickle.dumps(array))
    assert type(other) is onecopy.Array
    array[0, 1] = 10
    array[1] = [7, 8, 9]
    array += 1
    np.multiply(array, 2, out=array)
    array[array > 20] = 0
    array.T[0, 0] = -1
    array.reshape(-1)[::5] -= 1
    memoryview(array)[1, 1] = 44
    assert other.tolist() == [[-2, 0, 6], [16, 44, 19]]
    other.sort(axis=1)
    other[...] = other[::-1].copy()
    other.fill(3)
    np.copyto(other, [1, 2, 3])
    np.add.at(other, (0, [0, 0]), 5)
    assert array.tolist() == [[11, 2, 3], [1, 2, 3]]


def test_what_computes_gives_plain_arrays() -> None:
    array = ARRAY([3.0, 1.0, 2.0])
    results = [array + 1, -array, array.copy(), np.sort(array), np.concatenate([array, array]), array.astype(int)]
    results += [np.array(array), array.to_numpy(), copy.copy(array), copy.deepcopy(array), array.cumsum(), array > 1]
    for result in results:
        assert type(result) is np.ndarray
        assert not np.shares_memory(result, array)
    assert type(array.sum()) is np.float64
    assert type(array[0]) is np.float64
    views = [array[1:], array[::-1], array.reshape(3, 1), array.T, array[None], array.view("i8"), array.ravel()]
    for view in views:
        assert type(view) is onecopy.Array
        assert np.shares_memory(view, array)


def test_it_looks_like_an_array() -> None:
    array = ARRAY([1, 2])
    assert repr(array) == "Array([1, 2])"
    assert str(array) == "[1 2]"
    assert len(array) == 2
    assert isinstance(array, np.ndarray)
    assert bytes(memoryview(ARRAY(3, "u1"))) == bytes(3)
    with pytest.raises(TypeError):
        len(ARRAY(()))
    with pytest.raises(TypeError, match="unhashable"):
        hash(array)


def test_views_keep_the_memory_and_the_last_gives_it_back() -> None:
    before = array_bytes()
    array = ARRAY(100_000, "u1")
    part = array[5:10]
    plain = array.view(np.ndarray)[7:9]
    raw = memoryview(array)[:20]
    array[:] = 6
    assert array_bytes() - before >= 100_000
    del array
    assert part.tolist() == [6] * 5
    del part
    assert raw[19] == 6
    raw.release()
    assert array_bytes() > before
    assert plain.tolist() == [6, 6]
    del plain
    assert array_bytes() == before


def test_a_token_keeps_it_and_parts_travel_as_parts() -> None:
    before = array_bytes()
    array = ARRAY(np.arange(24).reshape(2, 3, 4))
    parts: list[Callable[[Any], Any]] = [
        lambda a: a,
        lambda a: a[1],
        lambda a: a[:, ::-1, 1::2],
        lambda a: a.T,
        lambda a: a[1, 2, 3:3],
        lambda a: a[1, 2, 3:4].reshape(()),
        lambda a: a.view("u1")[..., 3],
        lambda a: np.broadcast_to(a[0], (3, 3, 4), subok=True),
    ]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for part in parts:
            sent = part(array)
            token = pickle.dumps(sent, protocol)
            assert len(token) < 500
            found = pickle.loads(token)
            assert type(found) is type(sent)
            np.testing.assert_array_equal(found, sent)
            if found.size and found.flags.writeable:
                found.flat[0] += 1
                assert sent.flat[0] == found.flat[0]
            del found, sent
    token = pickle.dumps(array[1])
    expected = array[1].tolist()
    del array
    assert array_bytes() > before
    assert pickle.loads(token).tolist() == expected
    with pytest.raises(onecopy.Gone):
        pickle.loads(token)
    assert array_bytes() == before


def test_damaged_tokens_are_errors() -> None:
    array = ARRAY(8)
    rebuild, (token, geometry, dtype) = array.__reduce__()
    for bad in (b"", token[:-1], token[:40] + bytes(24)):
        with pytest.raises(onecopy.OnecopyError):
            rebuild(bad, geometry, dtype)
    from onecopy._array import pack_numbers

    for numbers in ([0, 1, 9, 8], [8, 1, 8, 8], [-8, 1, 1, 8], [0, 1, 2, 64], [0, 1, 2, -8], [0, 2, 8, 8]):
        with pytest.raises((ValueError, TypeError)):
            rebuild(array.base.token(), pack_numbers(numbers), dtype)
    with pytest.raises(onecopy.CorruptImage, match="pointers"):
        rebuild(array.base.token(), geometry, "|O")
    assert rebuild(token, geometry, dtype).tolist() == [0.0] * 8


def test_elements_chosen_by_a_mask_are_a_copy_and_say_so() -> None:
    array = ARRAY([1, 2, 3])
    chosen = array[[0, 2]]
    chosen[0] = 9
    assert array.tolist() == [1, 2, 3]
    assert type(pickle.loads(pickle.dumps(chosen))) is np.ndarray
    with pytest.raises(TypeError, match="a copy of this process's own"):
        chosen.add(0, 1)
    with pytest.raises(TypeError, match="a copy of this process's own"):
        _ = chosen.lock


def test_what_a_type_checker_knows() -> None:
    assert_type(onecopy.Array(3), "onecopy.Array[Any, np.dtype[np.float64]]")
    numbers = onecopy.Array([1, 2], np.int32)
    assert_type(numbers, "onecopy.Array[Any, np.dtype[np.int32]]")
    assert_type(numbers.add(0), int)
    assert_type(onecopy.Array((2, 2)).add((0, 0), 0.5), float)
    assert_type(onecopy.Array(np.zeros(3, np.int8)).to_numpy().dtype, np.dtype[np.int8])


# In other data


def test_sharing_it_takes_what_it_holds_now() -> None:
    array = ARRAY([1, 2, 3])
    view = onecopy.share(array)
    inside = onecopy.share({"a": array, "part": array[::2]})
    array[:] = 0
    assert view.tolist() == [1, 2, 3]
    assert type(view) is onecopy.views.SharedArray
    assert inside["a"].tolist() == [1, 2, 3]
    assert inside["part"].tolist() == [1, 3]
    assert onecopy.to_python(array).tolist() == [0, 0, 0]
    assert type(onecopy.to_python(array)) is np.ndarray
    with pytest.raises(TypeError, match="share"):
        onecopy.private(array)


class Holder:
    """Says itself how it is pickled: so it is pickled whole."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __getstate__(self) -> dict[str, Any]:
        return vars(self)


def test_it_cannot_be_inside_shared_data() -> None:
    before = onecopy.stats().units
    for data, advice in (
        (Holder(ARRAY(3)), r"x\.to_numpy\(\)"),
        (Holder(onecopy.Namespace(a=1)), r"vars\(x\)"),
        ([onecopy.Namespace(a=1)], r"vars\(x\)"),
    ):
        with pytest.raises(TypeError, match=f"cannot be inside .*{advice}"):
            onecopy.share(data)
        assert onecopy.stats().units == before


# add

INTS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
FLOATS = ("f2", "f4", "f8")


@pytest.mark.parametrize("dtype", INTS + FLOATS)
def test_add_returns_the_sum_and_leaves_the_neighbours(dtype: str) -> None:
    array = ARRAY((3, 4), dtype)
    kind = float if dtype[0] == "f" else int
    for index in ((1, 2), (-2, -2), (np.int8(1), np.uint64(2))):
        total = array.add(index, 3)
        assert type(total) is kind
    assert total == 9
    assert array.add((1, 2)) == 10
    assert array.add((1, 2), -4) == 6
    assert array.add((1, 2), np.dtype(dtype).type(1)) == 7
    assert array.add((1, 2), True) == 8
    assert array.sum() == 8
    assert array[1].add(2, 1) == 9
    assert array.T[::-1].add((1, 1), 1) == 10
    assert array[1, 2:3].reshape(()).add((), 1) == 11


@pytest.mark.parametrize("dtype", INTS)
def test_nothing_wraps_around(dtype: str) -> None:
    array = ARRAY(4, dtype)
    limits = np.iinfo(dtype)
    for limit, step in ((limits.max, 1), (limits.min, -1)):
        array[1] = limit
        for amount in (step, 2**63 * step, 2**70 * step):
            with pytest.raises(OverflowError):
                array.add(1, amount)
        assert array.tolist() == [0, limit, 0, 0]
        assert array.add(1, -limit) == 0
    with pytest.raises(TypeError):
        array.add(0, 1.0)
    with pytest.raises(TypeError):
        array.add(0, "1")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("amount", [0.1, 1e-3, 1e5, float("inf"), float("nan"), 3])
def test_floats_add_as_numpy_adds_them(dtype: str, amount: float) -> None:
    array = ARRAY([0.1, 0.2, 0.3], dtype)
    expected = array.to_numpy()
    with np.errstate(over="ignore"):
        for _ in range(5):
            total = array.add(1, amount)
            expected[1] += expected.dtype.type(amount)
    np.testing.assert_array_equal(array, expected)
    np.testing.assert_equal(total, float(expected[1]))


@pytest.mark.parametrize(
    "dtype",
    ["?", "c8", "c16", "g", "S4", "U1", "V4", "datetime64[s]", "timedelta64[s]", ">i4", ">f8", ">f2", [("a", "i4")]],
)
def test_add_says_what_it_cannot_add_to(dtype: Any) -> None:
    array = ARRAY(2, dtype)
    with pytest.raises(TypeError, match="ints and floats of 1, 2, 4 or 8 bytes"):
        array.add(0, 1)


@pytest.mark.parametrize("dtype", ["i2", "i8", "f4", "f2"])
def test_elements_across_a_boundary_are_refused(dtype: str) -> None:
    whole = ARRAY(64, "u1")
    across = whole[1:-7].view(dtype)
    assert not across.flags.aligned
    with pytest.raises((TypeError, ValueError), match=r"aligned|no element"):
        across.add(0, 1)
    assert not whole.any()
    records = ARRAY(3, np.dtype([("a", "u1"), ("n", dtype)], align=True))
    assert records["n"].add(1, 5) == 5
    assert records.tolist() == [(0, 0), (0, 5), (0, 0)]


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (3, IndexError),
        (-4, IndexError),
        ((0, 0), IndexError),
        ((), IndexError),
        (2**70, (IndexError, OverflowError)),
        (0.0, TypeError),
        (slice(None), TypeError),
        ("a", TypeError),
        (None, TypeError),
    ],
)
def test_an_index_names_one_element(index: Any, error: Any) -> None:
    array = ARRAY(3, int)
    with pytest.raises(error):
        array.add(index, 1)
    assert not array.any()
    half = ARRAY(3, "f2")
    with pytest.raises(error):
        half.add(index, 1)
    with pytest.raises(IndexError):
        ARRAY(0, int).add(0, 1)
    with pytest.raises(IndexError, match="no axes"):
        ARRAY((), int).add(0, 1)


# Processes

ADDS = 400
KINDS = ("i1", "u2", "i4", "i8", "f2", "f4", "f8")


def add_many(arrays: dict[str, Any], locked: Any) -> None:
    for number in range(ADDS):
        for kind, array in arrays.items():
            array.add(number % 4, 1 if number < 4 * 25 or kind != "i1" else 0)
        with locked.lock:
            locked[0] += 1
            with locked[1:].lock:
                locked[1] -= 1


def test_nothing_that_workers_add_is_lost(context: Any) -> None:
    arrays = {kind: ARRAY(8, kind) for kind in KINDS}
    locked = ARRAY(2, "i8")
    workers = [context.Process(target=add_many, args=(arrays, locked)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    for kind, array in arrays.items():
        each = 3 * (25 if kind == "i1" else ADDS // 4)
        assert array.tolist() == [each] * 4 + [0] * 4, kind
    assert locked.tolist() == [3 * ADDS, -3 * ADDS]


def write_and_return(array: Any, part: Any) -> Any:
    array[0] = 5
    part += 1
    return array[1:]


@pytest.mark.parametrize("start_method", START_METHODS)
def test_it_goes_to_workers_and_comes_back(start_method: str) -> None:
    import multiprocessing

    context = multiprocessing.get_context(start_method)
    array = ARRAY(4, int)
    with context.Pool(1) as pool:
        back = pool.apply(write_and_return, (array, array[2:]))
        pool.close()
        pool.join()
    assert array.tolist() == [5, 0, 1, 1]
    back[0] = 7
    assert array.tolist() == [5, 7, 1, 1]


def die(array: Any, lock: bool) -> None:
    array[1] = 1
    if lock:
        array.lock.acquire()
    array[1] = 2
    own = ARRAY(1_000_000, "u1")
    own[:] = 1
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("lock", [False, True])
def test_a_killed_worker_leaves_nothing_but_what_it_wrote(context: Any, lock: bool) -> None:
    before = array_bytes()
    array = ARRAY(2, int)
    own = array_bytes()
    deaths = array.lock.deaths
    worker = context.Process(target=die, args=(array, lock))
    worker.start()
    worker.join(120)
    assert worker.exitcode == -signal.SIGKILL
    with array.lock:
        assert array.tolist() == [0, 2]
    assert array.lock.deaths == deaths + lock
    assert array_bytes() == own
    del array
    assert array_bytes() == before


def test_the_lock_is_one_for_all_views_and_threads() -> None:
    array = ARRAY(4, int)
    with array.lock, array[2:].lock:
        assert pickle.loads(pickle.dumps(array)).lock.locked()
        failed: list[BaseException] = []

        def try_it() -> None:
            try:
                array.lock.acquire(timeout=0)
            except TimeoutError as error:
                failed.append(error)

        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
        assert len(failed) == 1
    assert not array.lock.locked()
    with pytest.raises(RuntimeError):
        array.lock.release()


# What it costs


@pytest.mark.parametrize("dtype", ["i4", "f2"])
def test_any_number_of_passes_leaves_as_many_blocks_as_the_first(dtype: str) -> None:
    array = ARRAY((4, 4), dtype)

    def one_pass() -> None:
        for _ in range(2):
            array.add((1, 1), 1)
            array.add((1, 1), -1)
            array[1, 2] = 3
            array[2:].T.add((0, 0), 0)
            with array.lock:
                pass
            pickle.loads(pickle.dumps(array[1:])).sum()
            ARRAY([1, 2, 3]).to_numpy()
        for bad in (9, "x", (1,)):
            with pytest.raises((IndexError, TypeError)):
                array.add(bad, 1)
        with pytest.raises((OverflowError, TypeError)):
            array.add((0, 0), [1])

    for _ in range(40):  # until the interpreter's lists of free objects are full
        one_pass()
    assert least_growth(one_pass) <= 0


def test_the_package_does_not_need_numpy_until_it_is_asked_for() -> None:
    program = (
        "import sys, onecopy\n"
        "onecopy.Namespace(a=1)\n"
        "assert 'numpy' not in sys.modules\n"
        "sys.modules['numpy'] = None\n"
        "try:\n    onecopy.Array\n"
        "except ImportError as error:\n    assert 'numpy' in str(error)\n"
        "else:\n    raise SystemExit('there is no numpy')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
