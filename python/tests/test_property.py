"""Views against real lists and tuples, for all kinds of elements.

The model is never the original object but what it becomes by pickling, as it would in a worker: a list that finds the
very NaN object that was put into it finds it by identity, which no other process can.
"""

from __future__ import annotations

import math
import pickle
import struct
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ProcessPoolExecutor

settings.register_profile("onecopy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("onecopy")

EDGES = [
    edge + delta for bits in (7, 8, 15, 16, 31, 32, 47, 48, 63, 64, 70) for edge in (2**bits,) for delta in (-1, 0)
]

ints = st.integers() | st.sampled_from(EDGES) | st.sampled_from(EDGES).map(lambda edge: -edge)
floats = st.floats() | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, -math.nan, 5e-324])
strings = st.text(st.characters(exclude_categories=())) | st.text(st.characters(codec="ascii"), min_size=4)
kinds: dict[str, st.SearchStrategy[Any]] = {
    "small ints": st.integers(-128, 127),
    "ints": ints,
    "floats": floats,
    "bools": st.booleans(),
    "nones": st.none(),
    "strings": strings,
    "bytes": st.binary(),
}
kinds["mixture"] = st.one_of(*kinds.values())
element = kinds["mixture"]
elements = st.one_of(
    *(st.lists(kind) for kind in kinds.values()),
    *(st.lists(kind | st.none()) for kind in kinds.values()),
)
sequences = elements | elements.map(tuple)


def copied(data: Any) -> Any:
    """What another process would get by pickling."""
    return pickle.loads(pickle.dumps(data))


def identical(left: Any, right: Any) -> bool:
    """Equal, of the same type, and with floats the same bits; unlike `==`, for which 1 == True and 0.0 == -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack("d", left) == struct.pack("d", right)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(identical, left, right))
    return bool(left == right)


def outcome(action: Callable[[], Any]) -> Any:
    """What an operation returns, or the type of what it raises."""
    try:
        return action()
    except (TypeError, ValueError, IndexError) as error:
        return type(error)


def has_nan(data: Sequence[Any]) -> bool:
    return any(isinstance(one, float) and math.isnan(one) for one in data)


@pytest.mark.parametrize("kind", kinds)
def test_every_kind_comes_back_bit_for_bit(kind: str) -> None:
    @given(st.lists(kinds[kind]))
    @settings(max_examples=200)
    def check(data: list[Any]) -> None:
        view = onecopy.share(data)
        assert len(view) == len(data)
        assert identical(list(view), data)
        assert identical([view[i] for i in range(len(data))], data)
        assert identical(onecopy.to_python(view), data)

    check()


@given(sequences)
def test_to_python_gives_the_type_back(data: Any) -> None:
    assert identical(onecopy.to_python(onecopy.share(data)), data)


@given(sequences)
def test_sharing_a_view_gives_the_view(data: Any) -> None:
    view = onecopy.share(data)
    assert onecopy.share(view) is view


@given(sequences, st.integers(-200, 200))
def test_index_from_both_ends(data: Any, i: int) -> None:
    view, model = onecopy.share(data), copied(data)
    assert identical(outcome(lambda: view[i]), outcome(lambda: model[i]))


@given(st.data(), sequences)
def test_slices_are_views_of_the_same_elements(choose: st.DataObject, data: Any) -> None:
    view, model = onecopy.share(data), copied(data)
    for _ in range(3):  # slices of slices
        some = choose.draw(st.slices(len(model)))
        view, model = view[some], model[some]
        assert type(view) is type(onecopy.share(data))
        assert len(view) == len(model)
        assert identical(onecopy.to_python(view), model)
        assert identical(list(reversed(view)), list(reversed(model)))


@given(sequences, element)
def test_searching(data: Any, other: Any) -> None:
    view, model = onecopy.share(data), copied(data)
    for needle in [*copied(list(data))[:5], other, 1, 1.0, True, 2**70, "é", b""]:
        assert (needle in view) == (needle in model)
        assert view.count(needle) == model.count(needle)
        assert outcome(lambda: view.index(needle)) == outcome(lambda: model.index(needle))


@given(elements, element, st.integers(-5, 30), st.integers(-5, 30))
def test_index_within_bounds(data: list[Any], other: Any, start: int, stop: int) -> None:
    view, model = onecopy.share(data), copied(data)
    for needle in [*copied(data)[:3], other]:
        found = outcome(lambda: view.index(needle, start))
        assert found == outcome(lambda: model.index(needle, start))
        found = outcome(lambda: view.index(needle, start, stop))
        assert found == outcome(lambda: model.index(needle, start, stop))


COMPARISONS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a == b,
    lambda a, b: a != b,
    lambda a, b: a < b,
    lambda a, b: a <= b,
    lambda a, b: a > b,
    lambda a, b: a >= b,
]


@given(elements, elements)
def test_comparisons_with_lists_and_views(left: list[Any], right: list[Any]) -> None:
    view, model, others = onecopy.share(left), copied(left), copied(right)
    for compare in COMPARISONS:
        for mine, theirs in [(left, others), (left, copied(left)), (left, copied(left)[:-1]), (left, [*left, None])]:
            expected = outcome(lambda: compare(model, theirs))
            assert outcome(lambda: compare(view, theirs)) == expected
            shared = onecopy.share(theirs)
            assert outcome(lambda: compare(view, shared)) == expected
            mirrored = outcome(lambda: compare(theirs, model))
            assert outcome(lambda: compare(theirs, view)) == mirrored
            assert mine is left


@given(elements)
def test_lists_and_tuples_are_never_equal(data: list[Any]) -> None:
    assert onecopy.share(data) != tuple(data)
    assert onecopy.share(tuple(data)) != data
    assert onecopy.share(data) != onecopy.share(tuple(data))
    assert outcome(lambda: onecopy.share(data) < tuple(data)) is TypeError


@given(elements)
def test_hash_as_the_original_has_it(data: list[Any]) -> None:
    assert outcome(lambda: hash(onecopy.share(data))) is TypeError
    if not has_nan(data):  # the hash of a NaN is that of its object
        assert hash(onecopy.share(tuple(data))) == hash(tuple(data))


@given(sequences)
def test_repr_holds_the_original_repr(data: Any) -> None:
    assert repr(data) in repr(onecopy.share(data))
    assert str(onecopy.share(data)) == repr(onecopy.share(data))


@given(sequences, sequences, st.integers(-2, 4))
def test_adding_and_multiplying_give_real_sequences(data: Any, other: Any, times: int) -> None:
    view, model = onecopy.share(data), copied(data)
    assert identical(outcome(lambda: view + other), outcome(lambda: model + other))
    assert identical(outcome(lambda: other + view), outcome(lambda: other + model))
    assert identical(outcome(lambda: view + onecopy.share(other)), outcome(lambda: model + other))
    assert identical(view * times, model * times)
    assert identical(times * view, times * model)


@given(sequences)
def test_iterators(data: Any) -> None:
    view, model = onecopy.share(data), copied(data)
    iterator, real = iter(view), iter(model)
    for _ in range(len(model)):
        assert iterator.__length_hint__() == real.__length_hint__()
        assert identical(next(iterator), next(real))
    for _ in range(2):  # it stays exhausted
        with pytest.raises(StopIteration):
            next(iterator)
    assert iter(iterator) is iterator


@given(elements)
def test_unpacking_sorting_and_converting(data: list[Any]) -> None:
    view: Any = onecopy.share(data)
    model = copied(data)
    assert identical([*view], model)
    assert identical(tuple(view), tuple(model))
    items: list[Any] = list(view)
    first, *rest = (None, *items)
    assert first is None
    assert identical(rest, model)
    if not has_nan(data):
        expected = outcome(lambda: sorted(model))
        assert identical(outcome(lambda: sorted(view)), expected)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_a_column_of_ints_is_an_array(data: list[int]) -> None:
    numpy = pytest.importorskip("numpy")
    view = onecopy.share(data)
    array = numpy.asarray(view)
    assert array.tolist() == data
    assert not array.flags.writeable
    assert memoryview(view).tolist() == data
    assert memoryview(view).readonly


@given(st.lists(floats, min_size=1))
def test_a_column_of_floats_is_an_array(data: list[float]) -> None:
    numpy = pytest.importorskip("numpy")
    assert identical(numpy.asarray(onecopy.share(data)).tolist(), data)


CHANGES: list[Callable[[Any], Any]] = [
    lambda view: view.__setitem__(0, 1),
    lambda view: view.__delitem__(0),
    lambda view: view.append(1),
    lambda view: view.sort(),
    lambda view: view.clear(),
    lambda view: setattr(view, "attribute", 1),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("data", [[1, 2], (1, 2), ["a"], [None, 1.5]])
def test_nothing_changes_a_view(change: Callable[[Any], Any], data: Any) -> None:
    view = onecopy.share(data)
    with pytest.raises((TypeError, AttributeError)):
        change(view)
    assert identical(onecopy.to_python(view), data)


# ── in another process ───────────────────────────────────────────────────────────────────────────────────────────────


def read_there(view: Any, some: slice) -> tuple[Any, Any, Any]:
    """In the other process: the real data, a slice that travels back as a view, and its length."""
    return onecopy.to_python(view), view[some], len(view[some])


@given(st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_another_process_reads_the_same(other_process: ProcessPoolExecutor, choose: st.DataObject) -> None:
    data = choose.draw(sequences)
    some = choose.draw(st.slices(len(data)))
    there, back, length = other_process.submit(read_there, onecopy.share(data), some).result(120)
    assert identical(there, data)
    assert type(back) is type(onecopy.share(data))
    assert identical(onecopy.to_python(back), data[some])
    assert length == len(data[some])


@given(sequences)
def test_a_view_pickles_to_few_bytes(data: Any) -> None:
    view = onecopy.share(data)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        token = pickle.dumps(view, protocol)
        assert len(token) <= 200
        assert identical(onecopy.to_python(pickle.loads(token)), data)


def test_a_slice_of_much_pickles_to_few_bytes() -> None:
    view = onecopy.share(list(range(100_000)))[10:-10:7]
    token = pickle.dumps(view)
    assert len(token) <= 200
    assert list(pickle.loads(token)) == list(range(100_000))[10:-10:7]


def test_a_view_takes_little_memory_of_its_own() -> None:
    view = onecopy.share(list(range(100_000)))
    assert sys.getsizeof(view) < 500
