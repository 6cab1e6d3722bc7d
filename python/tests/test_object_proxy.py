"""A view of an object does what the object does, and stays a view: its type, its pickle, its copies, and no writing."""

from __future__ import annotations

import collections
import copy
import datetime as dt
import decimal
import fractions
import io
import math
import multiprocessing
import multiprocessing.reduction
import operator
import pickle
import sys
import types
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn import linear_model

import onecopy
from onecopy import _onecopy
from onecopy.views import CallableView, ObjectView

if TYPE_CHECKING:
    from pathlib import Path

FRAME = pd.DataFrame({"x": np.arange(50_000), "y": np.arange(50_000) / 7, "name": [f"row {n}" for n in range(50_000)]})


class Everything:
    """Does whatever an operator asks for, and says itself how it is pickled: so it is no record."""

    def __getstate__(self) -> dict[str, Any]:
        return vars(self)

    def __init__(self, number: int = 7) -> None:
        self.number = number
        self.get = "its own"
        self.was_entered = False

    @property
    def doubled(self) -> int:
        """A property."""
        return 2 * self.number

    def plus(self, other: int, *, twice: bool = False) -> int:
        """A method."""
        return (self.number + other) * (2 if twice else 1)

    def fails(self) -> None:
        """A method that raises."""
        raise LookupError("the object's own")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.number, args, kwargs

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, key: Any) -> Any:
        return "item", key

    def __contains__(self, value: object) -> bool:
        return value == self.number

    def __iter__(self) -> Any:
        return iter(range(self.number))

    def __reversed__(self) -> Any:
        return iter([self.number])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> bool:
        return error[0] is KeyError

    def __format__(self, spec: str) -> str:
        return f"formatted {spec}"

    def __str__(self) -> str:
        return "text"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Everything) and self.number == other.number

    def __hash__(self) -> int:
        return hash(self.number)

    def __bool__(self) -> bool:
        return self.number > 0

    def __matmul__(self, other: object) -> Any:
        return "matmul", other

    def __rmatmul__(self, other: object) -> Any:
        return "rmatmul", other

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.arange(self.number, dtype=dtype)


def test_attributes_methods_and_properties_are_the_objects() -> None:
    view: Any = onecopy.share(Everything())
    assert (view.number, view.doubled, view.plus(1), view.plus(1, twice=True)) == (7, 14, 8, 16)
    assert view.__doc__ == Everything.__doc__
    assert vars(view) == vars(view.get())
    assert {"plus", "doubled", "nbytes", "get"} <= set(dir(view))
    with pytest.raises(AttributeError, match="'Everything' object has no attribute 'nothing'"):
        view.nothing
    with pytest.raises(LookupError, match="the object's own"):
        view.fails()
    assert not hasattr(view, "__array_interface__")
    assert hasattr(view, "__array__")


def test_the_views_own_names_win() -> None:
    view: Any = onecopy.share(Everything())
    assert type(view.get()) is Everything
    assert view.get() is view.get()
    assert view.get().get == "its own"
    assert view.nbytes == len(onecopy.image_of(view))


def test_isinstance_is_true_of_both_and_type_is_the_views() -> None:
    view: Any = onecopy.share(dt.date(2026, 1, 2))
    kinds: list[type] = [dt.date, ObjectView, object, dt.datetime, dt.timedelta]
    assert list(map(isinstance, [view] * 5, kinds)) == [True, True, True, False, False]
    assert [type(view), view.__class__] == [ObjectView, dt.date]


def test_special_methods_go_through() -> None:
    real = Everything()
    view: Any = onecopy.share(real)
    assert len(view) == 7
    assert view["a", 1:2] == ("item", ("a", slice(1, 2)))
    assert 7 in view
    assert 8 not in view
    assert list(view) == list(range(7))
    assert list(reversed(view)) == [7]
    assert view(1, b=2) == (7, (1,), {"b": 2})
    assert f"{view:spec}" == "formatted spec"
    assert str(view) == "text"
    assert repr(view).startswith("ObjectView(<")
    assert view == real
    assert real == view
    assert view == onecopy.share(real)
    assert view != Everything(8)
    assert hash(view) == hash(real)
    assert {view: 1}[real] == 1
    assert bool(view)
    assert not onecopy.share(Everything(0))
    assert view @ 3 == ("matmul", 3)
    assert 3 @ view == ("rmatmul", 3)
    with view as entered:
        assert entered is view.get()
    exits: list[Any] = [type(view).__exit__(view, KeyError, None, None), type(view).__exit__(view, None, None, None)]
    assert exits == [True, False]
    assert np.asarray(view, np.int16).tolist() == list(range(7))


BINARY: list[Any] = [
    *(
        operator.add,
        operator.sub,
        operator.mul,
        operator.truediv,
        operator.floordiv,
        operator.mod,
        operator.pow,
        divmod,
    ),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
]
UNARY: list[Any] = [
    operator.neg,
    operator.pos,
    abs,
    int,
    float,
    complex,
    round,
    math.trunc,
    math.floor,
    math.ceil,
    hash,
    str,
    bool,
]


@pytest.mark.parametrize("one", [fractions.Fraction(7, 3), decimal.Decimal("7.5")])
def test_numbers_calculate_on_either_side(one: Any) -> None:
    view = onecopy.share(one)
    for work in BINARY:
        for other in (2, type(one)(3)):
            assert work(view, other) == work(one, other)
            assert work(other, view) == work(other, one)
            assert work(view, onecopy.share(type(one)(3))) == work(one, type(one)(3))
    for work in UNARY:
        assert work(view) == work(one)
        assert type(work(view)) is type(work(one))
    assert round(view, 1) == round(one, 1)
    assert pow(view, 2) == pow(one, 2)


def test_bits_and_indexes() -> None:
    one, other = collections.Counter("aab"), collections.Counter("abc")
    for work in (operator.and_, operator.or_, operator.add, operator.sub):
        assert work(onecopy.share(one), other) == work(one, other)
        assert work(one, onecopy.share(other)) == work(one, other)
    numbers = onecopy.share(range(9))
    assert numbers[3] == 3
    assert list(numbers[2:4]) == [2, 3]
    assert 8 in numbers
    assert numbers.index(4) == 4
    assert numbers == range(9)
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        operator.index(numbers)
    with pytest.raises(IndexError, match="range object index out of range"):
        numbers[9]


def test_errors_are_the_objects() -> None:
    date: Any = onecopy.share(dt.date(2026, 1, 2))
    uses: list[tuple[Any, str]] = [
        (lambda: date["x"], "'datetime.date' object is not subscriptable"),
        (date, "ObjectView' object is not callable"),
        (lambda: len(date), "has no len"),
        (lambda: iter(date), "'datetime.date' object is not iterable"),
        (lambda: date + 1, "unsupported operand type"),
        (lambda: 1 + date, "unsupported operand type"),
    ]
    for work, said in uses:
        with pytest.raises(TypeError, match=said):
            work()


def test_only_what_can_be_called_can_be_called() -> None:
    date, task = onecopy.share(dt.date(2026, 1, 2)), onecopy.share(Everything())
    assert [type(date), type(task)] == [ObjectView, CallableView]
    assert [callable(date), callable(task)] == [False, True]
    assert issubclass(CallableView, ObjectView)
    again: Any = pickle.loads(pickle.dumps(task))
    assert type(again) is CallableView
    assert again(1) == (7, (1,), {})
    assert copy.deepcopy(task) is task
    assert onecopy.share(task) is task
    # A word of the node says so.
    for view, flag in ((date, 0), (task, 1)):
        content = bytes(onecopy.image_of(view))
        node = int.from_bytes(content[24:32], "little")
        assert (content[node], content[node + 2]) == (9, flag)


def test_views_are_keys_and_columns_of_frames() -> None:
    mask: Any = onecopy.share(FRAME["x"] > 49_990)
    assert not callable(mask)
    assert FRAME[mask].equals(FRAME[mask.get()])
    assert FRAME.loc[mask].equals(FRAME[mask.get()])
    assert FRAME.assign(z=onecopy.share(FRAME["x"]))["z"].tolist() == FRAME["x"].tolist()


def test_writing_is_refused_with_the_way_out() -> None:
    view: Any = onecopy.share(FRAME)
    writes: list[tuple[type[Exception], Any]] = [
        (TypeError, lambda: operator.setitem(view, "y", 1)),
        (TypeError, lambda: operator.delitem(view, "y")),
        (AttributeError, lambda: setattr(view, "y", 1)),
        (AttributeError, lambda: delattr(view, "y")),
    ]
    for error, write in writes:
        with pytest.raises(error, match=r"onecopy.to_python\(view\)"):
            write()
    assert view["y"].equals(FRAME["y"])


def test_pickle_and_copy_are_the_views() -> None:
    view: Any = onecopy.share(FRAME)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps(view, protocol)
        assert len(pickled) < 250
        again = pickle.loads(pickled)
        assert type(again) is ObjectView
        assert again.get().equals(FRAME)
    function, arguments = view.__reduce_ex__(4)
    assert function.__name__ == "_attach_node"
    assert type(arguments[0]) is _onecopy.Image
    assert view.__reduce__()[0] is function
    assert copy.copy(view) is view
    assert copy.deepcopy(view) is view
    assert copy.deepcopy([view])[0] is view
    assert onecopy.share(view) is view
    assert onecopy.image_of(view).nbytes == view.nbytes


def test_an_object_that_may_not_be_built_is_not_asked_for_its_class() -> None:
    view = onecopy.from_buffer(bytes(onecopy.image_of(onecopy.share(dt.date(2026, 1, 2)))))
    assert not isinstance(view, dt.date)
    assert isinstance(view, ObjectView)
    assert not hasattr(view, "year")
    with pytest.raises(AttributeError, match=r"no attribute 'year': .*allow_pickle"):
        view.year
    with pytest.raises(pickle.UnpicklingError, match="allow_pickle"):
        len(view)


def test_a_frame_does_what_pandas_does() -> None:
    view: Any = onecopy.share(FRAME)
    assert isinstance(view, pd.DataFrame)
    assert view["x"].sum() == FRAME["x"].sum()
    assert view.x.sum() == FRAME.x.sum()
    assert np.shares_memory(view["x"].to_numpy(), view.get()["x"].to_numpy())
    assert view.iloc[7, 0] == 7
    assert view.loc[3:5, "y"].tolist() == FRAME.loc[3:5, "y"].tolist()
    assert view[view["x"] > 49_990].equals(FRAME[FRAME["x"] > 49_990])
    assert view[["x", "y"]].equals(FRAME[["x", "y"]])
    assert len(view) == len(FRAME)
    assert list(view) == list(FRAME)
    numbers = onecopy.share(FRAME[["x", "y"]])
    assert (numbers + numbers).equals(FRAME[["x", "y"]] * 2)
    assert (2 * numbers).equals(FRAME[["x", "y"]] * 2)
    assert (FRAME[["x", "y"]] + numbers).equals(FRAME[["x", "y"]] * 2)
    assert (numbers == FRAME[["x", "y"]]).all().all()
    assert np.sqrt(numbers).equals(np.sqrt(FRAME[["x", "y"]]))
    assert np.asarray(numbers).tolist() == FRAME[["x", "y"]].to_numpy().tolist()
    assert pd.concat([view, FRAME]).equals(pd.concat([FRAME, FRAME]))
    small = FRAME.head(9)
    assert small.merge(view, on="x").equals(small.merge(FRAME, on="x"))
    assert view.merge(small, on="x").equals(FRAME.merge(small, on="x"))
    assert pa.Table.from_pandas(view).equals(pa.Table.from_pandas(FRAME))
    assert view.describe().equals(FRAME.describe())
    assert view.groupby(view["x"] % 3)["y"].sum().equals(FRAME.groupby(FRAME["x"] % 3)["y"].sum())


def test_arrow_asks_a_view_by_its_protocols() -> None:
    table = pa.table({"x": list(range(1000)), "s": [f"{n}" for n in range(1000)]})
    view: Any = onecopy.share(table)
    assert pa.table(view).equals(table)
    assert view.column("x")[3].as_py() == 3
    assert view.num_rows == 1000


def test_a_model_predicts() -> None:
    model = linear_model.LinearRegression().fit(FRAME[["x"]], FRAME["y"])
    view: Any = onecopy.share(model)
    assert isinstance(view, linear_model.LinearRegression)
    assert view.predict(FRAME[["x"]].head()).tolist() == model.predict(FRAME[["x"]].head()).tolist()
    features = onecopy.share(FRAME[["x"]])
    assert view.predict(features).tolist() == model.predict(FRAME[["x"]]).tolist()
    assert view.score(features, FRAME["y"]) == pytest.approx(1.0)


def in_pool(method: str, function: Any, argument: Any) -> Any:
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply(function, (argument,))


def look_at_view(view: Any) -> tuple[Any, ...]:
    """What a worker finds."""
    return type(view).__name__, isinstance(view, pd.DataFrame), int(view["x"].sum()), view["name"].iloc[7]


def look_at_frame(frame: Any) -> tuple[Any, ...]:
    """What a worker finds in a part of the real thing, and whether its memory is shared."""
    x = frame["x"].to_numpy()
    return type(frame).__name__, int(x.sum()), lies_in_an_image(x), type(x).__name__


def lies_in_an_image(array: Any) -> bool:
    base: Any = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.obj if isinstance(base, memoryview) else base.base
    return isinstance(base, _onecopy.ImageBuffer)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_get_views_and_parts_by_token(method: str) -> None:
    view: Any = onecopy.share(FRAME)
    total = int(FRAME["x"].sum())
    assert in_pool(method, look_at_view, view) == ("ObjectView", True, total, "row 7")
    assert in_pool(method, look_at_frame, view.get()) == ("DataFrame", total, True, "ndarray")
    assert in_pool(method, look_at_frame, view[["x"]].iloc[100:]) == (
        "DataFrame",
        int(FRAME["x"].iloc[100:].sum()),
        True,
        "ndarray",
    )


def forked_len(obj: Any) -> int:
    return len(multiprocessing.reduction.ForkingPickler.dumps(obj))


@pytest.mark.parametrize(
    "obj",
    [
        pd.DataFrame({"x": np.arange(1 << 16), "y": np.arange(1 << 16) / 3}),
        pd.DataFrame({"s": [f"some text {n}" for n in range(1 << 14)]}).astype("string[pyarrow]"),
        pd.Series(np.arange(1 << 16)),
        pa.table({"x": list(range(1 << 16)), "s": [f"text {n}" for n in range(1 << 16)]}),
        linear_model.LinearRegression().fit(np.eye(400), np.eye(400)),
    ],
    ids=["DataFrame", "strings", "Series", "Table", "model"],
)
def test_what_get_built_goes_to_workers_by_token(obj: Any) -> None:
    """And by its content into any other pickle, which may outlive the store."""
    built = onecopy.share(obj).get()
    assert forked_len(built) < 10_000
    again = pickle.loads(multiprocessing.reduction.ForkingPickler.dumps(built))
    assert type(again) is type(obj)
    if hasattr(obj, "equals"):
        assert again.equals(obj)
    else:
        assert again.coef_.tolist() == obj.coef_.tolist()
    assert len(pickle.dumps(built)) > 100_000
    assert forked_len(obj) > 100_000


def test_strides_and_readonly_are_kept_when_a_part_is_handed_over() -> None:
    holder: Any = onecopy.share(pd.DataFrame(np.arange(24_000).reshape(200, 120)))
    block = holder.get().to_numpy()
    for part in (block, block.T, block[::-2, ::3], block[5:100, 1::2]):
        handed = pickle.loads(multiprocessing.reduction.ForkingPickler.dumps(part))
        assert handed.strides == part.strides
        assert handed.tolist() == part.tolist()
        assert not handed.flags.writeable
        assert forked_len(part) < 1000
    written = block.copy()
    written[0, 0] = -1
    assert pickle.loads(multiprocessing.reduction.ForkingPickler.dumps(written))[0, 0] == -1


def test_tokens_of_parts_are_taken_by_the_one_who_reads_them() -> None:
    """A part that was handed over keeps its memory when the view has gone."""
    built = onecopy.share(pd.DataFrame({"x": np.arange(1 << 16)})).get()
    pickled = multiprocessing.reduction.ForkingPickler.dumps(built)
    del built
    again = pickle.load(io.BytesIO(pickled))
    assert int(again["x"].sum()) == sum(range(1 << 16))


def test_isinstance_of_what_cannot_be_built_is_false(tmp_path: Path) -> None:
    module: Any = types.ModuleType("gone_by_then")
    module.Lost = type("Lost", (), {"__module__": "gone_by_then", "__reduce__": lambda self: (type(self), ())})
    sys.modules["gone_by_then"] = module
    try:
        onecopy.save(module.Lost(), tmp_path / "lost")
    finally:
        del sys.modules["gone_by_then"]
    view: Any = onecopy.open(tmp_path / "lost", allow_pickle=True)
    assert not isinstance(view, int)
    assert isinstance(view, ObjectView)
    with pytest.raises(ModuleNotFoundError):
        view.get()
