"""Views of lists and tuples: every kind of element, and everything a real list or tuple does without changing."""

from __future__ import annotations

import collections.abc
import copy
import gc
import io
import math
import operator
import pickle
import random
import signal
import struct
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAN_WITH_PAYLOAD = struct.unpack("<d", struct.pack("<Q", 0xFFFB_1234_5678_9ABC))[0]

COLUMNS: dict[str, list[Any]] = {
    "empty": [],
    "i8": [-128, 127, 0, 5],
    "i16": [-32768, 32767],
    "i32": [-(2**31), 2**31 - 1, 2**30, -(2**30)],
    "i64": [-(2**63), 2**63 - 1, 2**60, -(2**60), 2**62 + 1],
    "around the kept ints": [-1025, -1024, 4095, 4096, 256, 257, -5, -6],
    "u64": [0, 2**63, 2**64 - 1],
    "i64 and u64": [-1, 2**63],
    "past 64 bits": [2**64, -(2**63) - 1, 2**70, -(2**70), 10**1000, -(10**1000), 2**127, -(2**127), 255 << 64],
    "48 bits and more, mixed": [2**47 - 1, 2**47, -(2**47), -(2**47) - 1, None, 1.5],
    "float": [0.0, -0.0, 1.5, math.inf, -math.inf, 5e-324, 1.7976931348623157e308],
    "bool": [True, False, True],
    "None": [None, None, None],
    "int or None": [1, None, 3, None, None, 2**40, None, 8, 9],
    "float or None": [None, 1.0, -0.0],
    "bool or None": [True, None, False],
    "ascii": ["", "a", "abc", "embedded\0nul", "\0", "x" * 1000],
    "latin-1": ["é", "naïve", "ÿ" * 300, "ascii", ""],
    "ucs-2": ["日本語", "€", "a€", "é", "ascii", "\ud800", "\udc80 lone", "x\udfff"],
    "ucs-4": ["🦀", "a🦀b", "\U0010ffff", "日本", "\ud83d\ude00", ""],
    "str or None": [None, "a", None, "", "🦀", None],
    "bytes": [b"", b"a", b"\0\xff", bytes(range(256))],
    "bytes or None": [b"", None, b"abc"],
    "bool and int": [True, 1, False, 0],
    "int and float": [1, 1.0, 0, 0.0, -0.0],
    "mixture": [1, 1.0, True, None, "short", "a longer one", b"short", b"a longer one", 2**47, 2**70, "é", "日", -0.0],
}


def same(left: Any, right: Any) -> bool:
    """Equal in type, value and, for floats, every bit."""
    if type(left) is not type(right):
        return False
    if type(left) is float:
        return struct.pack("<d", left) == struct.pack("<d", right)
    return bool(left == right)


def all_same(left: Any, right: Any) -> bool:
    return len(left) == len(right) and all(map(same, left, right))


def outcome(function: Any) -> Any:
    """What a call gives: its result, or the type and text of its exception."""
    try:
        return function()
    except Exception as error:
        return type(error), str(error)


@pytest.fixture(params=COLUMNS, ids=str)
def data(request: pytest.FixtureRequest) -> list[Any]:
    """One list of each kind of column."""
    return COLUMNS[request.param]


@pytest.fixture(params=[list, tuple])
def kind(request: pytest.FixtureRequest) -> type:
    """The two builtins that are shared."""
    return request.param  # type: ignore[no-any-return]


class TestElements:
    def test_every_element_comes_back(self, data: list[Any], kind: type) -> None:
        real = kind(data)
        view = onecopy.share(real)
        assert len(view) == len(real)
        assert all_same(list(view), list(real))
        assert all_same([view[i] for i in range(len(real))], list(real))
        assert all_same([view[i - len(real)] for i in range(len(real))], list(real))
        assert all_same(view.tolist(), list(real))
        assert all_same(onecopy.to_python(view), real)
        assert type(onecopy.to_python(view)) is kind
        assert all_same(list(reversed(view)), list(reversed(real)))

    def test_a_view_equals_the_original(self, data: list[Any], kind: type) -> None:
        real = kind(data)
        view = onecopy.share(real)
        assert view == real
        assert real == view
        assert view == onecopy.share(real)
        assert not view != real
        assert view != kind([*data, 1])
        assert (view == list(data)) is (kind is list)

    def test_repr_differs_in_the_name_alone(self, data: list[Any], kind: type) -> None:
        short = kind(item for item in data[:1000] if not isinstance(item, (str, bytes)) or len(item) < 100)
        view = onecopy.share(short)
        assert repr(view) == f"{type(view).__name__}({short!r})"

    def test_nan_keeps_its_bits(self) -> None:
        for nans in ([math.nan, -math.nan, NAN_WITH_PAYLOAD], [math.nan, NAN_WITH_PAYLOAD, None, "mixed"]):
            assert all_same(list(onecopy.share(nans))[:2], nans[:2])
        assert same(onecopy.share([NAN_WITH_PAYLOAD, "x"])[0], NAN_WITH_PAYLOAD)

    def test_nan_equals_nothing_but_the_view_itself(self) -> None:
        view = onecopy.share([math.nan])
        assert view == view  # noqa: PLR0124 - a list equals itself, whatever is in it
        assert not (view != view)  # noqa: PLR0124
        assert view != [math.nan]
        assert math.nan not in view

    def test_the_guess_from_a_sample_may_be_wrong(self) -> None:
        bases: list[list[Any]] = [[7] * 100_000, [7.5] * 100_000, [True] * 100_000]
        for odd in (None, 1.5, "str", True, 2**63, 2**70, b"bytes", -(2**63)):
            for base in map(list, bases):
                base[54_321] = odd
                view = onecopy.share(base)
                assert all_same(view[54_310:54_330], base[54_310:54_330])
                assert all_same(list(view), base)

    def test_text_past_one_gibibyte_of_offsets_is_read(self) -> None:
        piece = "x" * (1 << 26)
        texts: list[str | None] = [*[piece] * 17, "é", "end", None]
        view = onecopy.share(texts)
        assert view[16] == piece
        assert view[17:] == ["é", "end", None]


class TestAccess:
    @pytest.mark.parametrize("length", [0, 1, 2, 5])
    def test_slices_are_views_with_the_right_elements(self, kind: type, length: int) -> None:
        real = kind(range(length))
        view = onecopy.share(real)
        limits = [None, *range(-length - 2, length + 3), sys.maxsize, -sys.maxsize]
        for start in limits:
            for stop in limits:
                for step in (None, 1, 2, 3, -1, -2, sys.maxsize, -sys.maxsize):
                    part = view[start:stop:step]
                    assert type(part) is type(view)
                    assert part == real[start:stop:step]
                    assert part[::-2] == real[start:stop:step][::-2]

    def test_slices_of_slices(self, kind: type) -> None:
        rng = random.Random(1)
        real = kind(range(200))
        view = onecopy.share(real)
        for _ in range(500):
            a, b = real, view
            for _ in range(4):
                start, stop = (rng.choice([None, rng.randint(-220, 220)]) for _ in range(2))
                part = slice(start, stop, rng.choice([1, 2, -1, -3]))
                a, b = a[part], b[part]
                assert a == b
                assert list(a) == b.tolist()
                assert list(reversed(a)) == list(reversed(b))

    def test_indexes_that_do_not_exist(self, data: list[Any], kind: type) -> None:
        real = kind(data)
        view = onecopy.share(real)
        n = len(data)
        for key in (n, -n - 1, 10**10, -(10**10), 2**70, b"a", 1.0, None, (0,), sys.maxsize, -sys.maxsize - 1):
            assert outcome(lambda key=key: real[key]) == outcome(lambda key=key: view[key])

    def test_anything_with_index_is_an_index(self) -> None:
        view = onecopy.share([10, 20, 30])
        assert view[True] == 20
        assert view[np.int64(2)] == 30
        assert operator.getitem(view, -1) == 30

    def test_a_zero_step(self) -> None:
        assert outcome(lambda: onecopy.share([1])[::0]) == outcome(lambda: [1][::0])

    def test_membership_index_and_count(self, data: list[Any], kind: type) -> None:
        real = kind(data)
        view = onecopy.share(real)
        for value in [*data, *data, 77, "no such", None, 1, 1.0, True, 2**100, math.nan, object()]:
            assert (value in view) == (value in real)
            assert view.count(value) == real.count(value)
            assert outcome(lambda v=value: view.index(v)) == outcome(lambda v=value: real.index(v))

    def test_index_with_limits(self, kind: type) -> None:
        real = kind([1, 2, 1, 2, 1])
        view = onecopy.share(real)
        limits = [-100, -5, -3, -1, 0, 1, 3, 5, 100, sys.maxsize, 2**70, -(2**70)]
        for start in limits:
            assert outcome(lambda s=start: view.index(2, s)) == outcome(lambda s=start: real.index(2, s))
            for stop in limits:
                found = outcome(lambda s=start, e=stop: view.index(2, s, e))
                assert found == outcome(lambda s=start, e=stop: real.index(2, s, e))
        with pytest.raises(TypeError):
            view.index(2, "a")

    def test_searching_a_slice_with_a_step(self) -> None:
        real: list[Any] = list(range(100))
        for part in (slice(None, None, 3), slice(90, 3, -7), slice(10, 20)):
            for value in (0, 3, 12, 15, 90, 13.0, 19):
                assert onecopy.share(real)[part].count(value) == real[part].count(value)
                assert (value in onecopy.share(real)[part]) == (value in real[part])

    def test_values_that_equal_across_types(self) -> None:
        class Two:
            def __eq__(self, other: object) -> bool:
                return other == 2

            __hash__ = None  # type: ignore[assignment]

        view = onecopy.share([1, 2, 3])
        assert Two() in view
        assert view.index(Two()) == 1
        assert 2.0 in view
        assert np.int64(3) in view
        assert 2 in onecopy.share([1.0, 2.0])


class TestComparing:
    def test_order_is_that_of_lists(self, kind: type) -> None:
        samples = [[], [1], [1, 2], [1, 3], [2], [1, 2, 3], [1.0, 2], [0]]
        for a in samples:
            for b in samples:
                for op in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
                    expected = op(kind(a), kind(b))
                    assert op(onecopy.share(kind(a)), kind(b)) is expected
                    assert op(kind(a), onecopy.share(kind(b))) is expected
                    assert op(onecopy.share(kind(a)), onecopy.share(kind(b))) is expected

    def test_types_that_have_no_order(self, kind: type) -> None:
        other = tuple if kind is list else list
        view = onecopy.share(kind([1, "a"]))
        for stranger in (other([1, "a"]), onecopy.share(other([1, "a"])), 5, "1a", None):
            assert view != stranger
            with pytest.raises(TypeError):
                view < stranger  # noqa: B015
        with pytest.raises(TypeError):
            view < kind([1, 2])  # noqa: B015

    def test_a_list_that_shrinks_while_it_is_compared(self) -> None:
        class Shrinking:
            def __eq__(self, other: object) -> bool:
                real.clear()
                return True

            __hash__ = None  # type: ignore[assignment]

        real: list[Any] = [Shrinking(), 2, 3]
        assert onecopy.share([1, 2, 3]) != real
        assert real == []

    def test_subclasses_of_list_compare(self) -> None:
        class Mine(list[int]):
            pass

        assert onecopy.share([1, 2]) == Mine([1, 2])
        assert Mine([1, 2]) == onecopy.share([1, 2])

    def test_tuples_hash_alike(self) -> None:
        for name, data in COLUMNS.items():
            view = onecopy.share(tuple(data))
            assert hash(view) == hash(tuple(data)), name
            assert hash(view[1:]) == hash(tuple(data[1:]))
            by_data: dict[Any, str] = {tuple(data): name}
            assert by_data[view] == name
        nan = onecopy.share((math.nan,))
        assert hash(nan) == hash(nan)

    def test_lists_do_not_hash(self) -> None:
        with pytest.raises(TypeError, match="unhashable"):
            hash(onecopy.share([1]))
        assert not isinstance(onecopy.share([1]), collections.abc.Hashable)
        assert isinstance(onecopy.share((1,)), collections.abc.Hashable)


class TestJoining:
    def test_sums_and_products_are_real(self, data: list[Any], kind: type) -> None:
        real = kind(data)
        view = onecopy.share(real)
        more = kind([1, "x"])
        for result, expected in (
            (view + more, real + more),
            (more + view, more + real),
            (view + view, real + real),
            (view + onecopy.share(more), real + more),
            (view * 3, real * 3),
            (2 * view, 2 * real),
            (view * 0, real * 0),
            (view * -1, real * -1),
        ):
            assert type(result) is kind
            assert all_same(result, expected)

    def test_what_cannot_be_joined(self, kind: type) -> None:
        real = kind([1])
        view = onecopy.share(real)
        other = (1,) if kind is list else [1]
        for stranger in (other, 1, None, "a"):
            assert outcome(lambda s=stranger: view + s) == outcome(lambda s=stranger: real + s)
        for factor in (1.5, "a", None):
            assert outcome(lambda f=factor: view * f)[0] is TypeError
        with pytest.raises((OverflowError, MemoryError)):
            view * sys.maxsize * 2

    def test_a_real_list_takes_a_view(self) -> None:
        real = [0]
        real.extend(onecopy.share([1, 2]))
        real[1:1] = onecopy.share([5])
        assert real == [0, 5, 1, 2]
        assert [*onecopy.share([1, 2])] == [1, 2]
        assert sorted(onecopy.share([2, 1])) == [1, 2]


class TestNothingChanges:
    @pytest.mark.parametrize(
        "change",
        [
            lambda v: operator.setitem(v, 0, 1),
            lambda v: operator.setitem(v, slice(0, 1), [1]),
            lambda v: operator.delitem(v, 0),
            lambda v: operator.iadd(v, [1]),  # type: ignore[no-untyped-call]
            lambda v: operator.iadd(v, v),  # type: ignore[no-untyped-call]
            lambda v: operator.iadd(v, (1,)),  # type: ignore[no-untyped-call]
            lambda v: operator.imul(v, 2),  # type: ignore[no-untyped-call]
        ],
    )
    def test_writing_says_what_to_do_instead(self, change: Callable[[Any], Any]) -> None:
        view = onecopy.share([3, 1, 2])
        with pytest.raises(TypeError, match=r"to_python\(view\).*private\(view\)"):
            change(view)
        assert view == [3, 1, 2]

    def test_a_tuple_refuses_too(self) -> None:
        view: Any = onecopy.share((1, 2))
        with pytest.raises(TypeError, match=r"to_python"):
            view[0] = 1
        assert not hasattr(view, "append")

    def test_copies(self, data: list[Any], kind: type) -> None:
        view = onecopy.share(kind(data))
        assert copy.copy(view) is view
        assert copy.deepcopy(view) is view
        assert copy.deepcopy({"a": [view]})["a"][0] is view
        assert onecopy.share(view) is view
        if kind is list:
            assert type(view.copy()) is list
            assert all_same(view.copy(), data)
        else:
            assert not hasattr(view, "copy")

    def test_the_original_may_change_afterwards(self) -> None:
        real = [1, 2, 3]
        view = onecopy.share(real)
        real[0] = 100
        real.append(4)
        assert view == [1, 2, 3]


class TestPickling:
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_a_view_pickles_to_a_token(self, data: list[Any], kind: type, protocol: int) -> None:
        real = kind(data)
        view = onecopy.share(real)
        for part in (slice(None), slice(1, None), slice(None, None, -2)):
            packed = pickle.dumps(view[part], protocol)
            assert len(packed) <= 200 or protocol < 3
            again = pickle.loads(packed)
            assert type(again) is type(view)
            assert all_same(list(again), list(real[part]))

    def test_steps_that_leave_the_image_are_refused(self) -> None:
        for steps in ((0, 1, 4), (3, 1, 1), (-1, 1, 1), (2, -1, 4), (0, sys.maxsize, 3), (0, 2, 3), (1, 1, 2**62)):
            function, (token, *_) = onecopy.share([1, 2, 3]).__reduce__()
            with pytest.raises(IndexError, match="do not lie in 3 elements"):
                function(token, *steps)

    def test_iterators_can_be_copied(self, data: list[Any]) -> None:
        view = onecopy.share(data)
        for iterator in (iter(view), reversed(view)):
            next(iterator, None)
            twin = copy.copy(iterator)
            again = pickle.loads(pickle.dumps(iterator))
            rest = list(iterator)
            assert all_same(list(twin), rest)
            assert all_same(list(again), rest)
            assert list(copy.copy(iterator)) == []


class TestProtocols:
    def test_a_view_is_a_sequence(self, kind: type) -> None:
        view = onecopy.share(kind([1, 2, 3]))
        assert isinstance(view, collections.abc.Sequence)
        assert not isinstance(view, collections.abc.MutableSequence)
        match view:
            case [first, *rest]:
                assert (first, rest) == (1, [2, 3])
            case _:
                pytest.fail("match does not take a view for a sequence")

    def test_a_view_is_true_unless_empty(self) -> None:
        assert onecopy.share([0])
        assert not onecopy.share([])

    def test_iterators_know_their_length(self) -> None:
        view = onecopy.share([1, 2, 3])
        iterator = iter(view)
        assert operator.length_hint(iterator) == 3
        next(iterator)
        assert operator.length_hint(iterator) == 2
        assert iter(iterator) is iterator
        assert list(iterator) == [2, 3]
        assert operator.length_hint(iterator) == 0
        assert next(iterator, "end") == "end"

    def test_classes_are_final_and_not_made_by_hand(self) -> None:
        for cls in (onecopy.views.ListView, onecopy.views.TupleView):
            with pytest.raises(TypeError):
                cls()
            with pytest.raises(TypeError):
                type("Sub", (cls,), {})
            assert cls.__module__ == "onecopy.views"
        with pytest.raises(TypeError):
            type(iter(onecopy.share([1])))()

    def test_annotations(self) -> None:
        assert repr(onecopy.views.ListView[int]) == "onecopy.views.ListView[int]"

    def test_weak_references_and_lifetime(self) -> None:
        view = onecopy.share([1, 2, 3])
        weak = weakref.ref(view)
        iterator = iter(view)
        part = view[1:]
        next(iterator)
        del view
        gc.collect()
        assert weak() is not None, "an iterator holds its view"
        assert list(iterator) == [2, 3]
        gc.collect()
        assert weak() is None, "an exhausted iterator has let go"
        assert part == [2, 3]

    def test_explicit_slots(self) -> None:
        view = onecopy.share([1, 2, 3])
        assert view.__len__() == 3
        assert view.__getitem__(-1) == 3
        assert view.__contains__(2)
        assert list(view.__iter__()) == [1, 2, 3]


class TestBuffers:
    FORMATS: tuple[tuple[list[Any], str, Any], ...] = (
        ([1, 2, 3], "l", np.int64),
        ([2**63], "L", np.uint64),
        ([1.5, -0.0, 2.0], "d", np.float64),
        ([True, False, True], "?", np.bool_),
        ([], "d", np.float64),
    )

    @pytest.mark.parametrize(("data", "letter", "dtype"), FORMATS)
    def test_numbers_are_a_buffer(self, data: list[Any], letter: str, dtype: Any, kind: type) -> None:
        view = onecopy.share(kind(data))
        memory = memoryview(view)
        assert memory.readonly
        assert memory.format == letter
        assert memory.tolist() == data
        array = np.asarray(view)
        assert array.dtype == dtype == np.asarray(data).dtype
        assert not array.flags.writeable
        assert array.tolist() == data
        if data:
            assert np.shares_memory(array, np.asarray(view))

    def test_slices_have_strides(self) -> None:
        real = list(range(50))
        view = onecopy.share(real)
        for part in (slice(3, 40), slice(None, None, 3), slice(None, None, -1), slice(40, 2, -5), slice(7, 8, 9)):
            array = np.asarray(view[part])
            assert array.tolist() == real[part]
            assert np.shares_memory(array, np.asarray(view))
            assert memoryview(view[part]).tolist() == real[part]
        assert bytes(view[2:4]) == struct.pack("<qq", 2, 3)
        with pytest.raises(BufferError, match="side by side"):
            io.BytesIO().write(view[::2])

    @pytest.mark.parametrize("data", [[1, None], ["a"], [b"a"], [1, 1.5], [2**70]])
    def test_other_columns_are_not(self, data: list[Any]) -> None:
        with pytest.raises(BufferError, match="tolist"):
            memoryview(onecopy.share(data))
        array = np.asarray(onecopy.share(data))
        assert array.dtype == np.asarray(data).dtype
        assert array.tolist() == np.asarray(data).tolist()

    def test_array_arguments(self) -> None:
        view = onecopy.share([1, 2, 3])
        assert view.__array__("float32").dtype == np.float32
        assert not np.shares_memory(view.__array__(copy=True), np.asarray(view))
        assert np.shares_memory(view.__array__(), np.asarray(view))
        with pytest.raises(ValueError, match="avoid a copy"):
            view.__array__("float32", copy=False)
        with pytest.raises(ValueError, match="avoid a copy"):
            onecopy.share(["a"]).__array__(copy=False)
        assert onecopy.share([1, None]).__array__().tolist() == [1, None]

    def test_a_buffer_outlives_its_view(self) -> None:
        memory = memoryview(onecopy.share(list(range(1000))))
        gc.collect()
        assert memory[999] == 999
        array = np.asarray(onecopy.share([1.5] * 1000))
        gc.collect()
        assert array.sum() == 1500

    def test_nobody_writes(self) -> None:
        with pytest.raises(TypeError):
            struct.pack_into("<q", onecopy.share([1]), 0, 5)
        with pytest.raises(ValueError):  # noqa: PT011 - NumPy's own text
            np.asarray(onecopy.share([1]))[0] = 5

    def test_arithmetic_does_not_overflow_where_a_list_would_not(self) -> None:
        array = np.asarray(onecopy.share([100, 200]))
        assert (array * array).tolist() == [10_000, 40_000]


class TestSharing:
    @pytest.mark.parametrize(
        "culprit", [threading.Lock(), (x for x in "a"), lambda: None, sys.stdout, memoryview(b"abcd").cast("B", (2, 2))]
    )
    @pytest.mark.parametrize("base", [1, 1.5, "a", None])
    def test_the_path_to_what_cannot_be_shared(self, culprit: Any, base: Any, kind: type) -> None:
        data = [base] * 100_000
        data[76_543] = culprit
        before = onecopy.stats().live_objects
        with pytest.raises(onecopy.Unsupported) as caught:
            onecopy.share(kind(data))
        assert isinstance(caught.value, TypeError)
        assert str(caught.value).startswith(f"data[76543]: cannot share {type(culprit).__name__}")
        assert onecopy.stats().live_objects == before

    @pytest.mark.parametrize("element", [1, 1.5, "abc", None])
    def test_a_list_that_changes_meanwhile(self, element: Any) -> None:
        """A signal handler is the one piece of Python code that can run in the middle."""
        real = [element] * 5_000_000
        before = onecopy.stats().live_objects

        def change(_signum: int, _frame: object) -> None:
            real.append(element)

        for delay in (0.001, 0.004, 0.016):
            previous = signal.signal(signal.SIGALRM, change)
            length = len(real)
            try:
                signal.setitimer(signal.ITIMER_REAL, delay)
                view = onecopy.share(real)
            except RuntimeError as error:
                assert "changed while being shared" in str(error)  # noqa: PT017 - either outcome is right
            else:
                # The signal came too early or too late: then the view is whole.
                assert len(view) in (length, length + 1)
                assert view.count(element) == len(view)
                del view
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, previous)
            assert onecopy.stats().live_objects == before

    def test_the_check_for_changes_does_find_them(self) -> None:
        real = ["abc"] * 3_000_000
        found = 0

        def change(_signum: int, _frame: object) -> None:
            real.append("abc")

        previous = signal.signal(signal.SIGALRM, change)
        try:
            for _ in range(5):
                signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
                with pytest.raises(RuntimeError, match="changed while being shared"):
                    onecopy.share(real)
                found += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        assert found == 5

    def test_interrupting(self) -> None:
        real = ["abc"] * 5_000_000
        before = onecopy.stats().live_objects

        def interrupt(_signum: int, _frame: object) -> None:
            raise KeyboardInterrupt

        previous = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            with pytest.raises(KeyboardInterrupt):
                onecopy.share(real)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        assert onecopy.stats().live_objects == before
        assert onecopy.share(real)[-1] == "abc"

    def test_elements_exchanged_by_a_handler_do_not_break_it(self) -> None:
        real: list[Any] = ["x" * 20] * 2_000_000

        def exchange(_signum: int, _frame: object) -> None:
            real[1_999_999] = random.choice(["x" * 20, "y" * 20, "x" * 200, "é" * 20, ""])
            real[5] = random.choice(["x" * 20, None, 5])

        previous = signal.signal(signal.SIGALRM, exchange)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.003)
            for _ in range(10):
                try:
                    view = onecopy.share(real)
                except RuntimeError as error:
                    assert "changed while being shared" in str(error)  # noqa: PT017 - either outcome is right
                else:
                    assert len(view) == 2_000_000
                    list(view)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)

    def test_threads_read_one_view(self) -> None:
        view = onecopy.share([random.Random(2).getrandbits(40) for _ in range(20_000)])
        expected = sum(view)
        sums: list[int] = []
        threads = [threading.Thread(target=lambda: sums.append(sum(view))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sums == [expected] * 4

    def test_no_reference_is_lost_or_left(self) -> None:
        """Reading, searching and failing leave reference counts as they were."""
        view: Any = onecopy.share([1, "a longer text", None, 2.5, True, b"bytes that are long", 2**70, 1000])
        probe = object()

        def work(times: int) -> None:
            for _ in range(times):
                list(view)
                [view[i] for i in range(-8, 8)]
                view == list(view)  # noqa: B015
                view.count(1000)
                iter(view).__length_hint__()
                for bad in (lambda: view[100], lambda: view["a"], lambda: view.index(probe), lambda: view + 1):
                    outcome(bad)

        work(10)
        gc.collect()
        before = sys.getallocatedblocks(), sys.getrefcount(probe)
        none = sys.getrefcount(None)
        work(300)
        gc.collect()
        after = sys.getallocatedblocks(), sys.getrefcount(probe)
        assert abs(after[0] - before[0]) < 50
        assert after[1] == before[1]
        assert abs(sys.getrefcount(None) - none) < 50


@pytest.fixture(autouse=True, scope="class")
def nothing_stays_in_the_store() -> Iterator[None]:
    """Every class of tests gives back what it shared."""
    gc.collect()
    before = onecopy.stats().live_objects
    yield
    gc.collect()
    deadline = time.monotonic() + 120
    while onecopy.stats().live_objects > before and time.monotonic() < deadline:
        onecopy.collect(max_age=0)
        gc.collect()
    assert onecopy.stats().live_objects <= before
