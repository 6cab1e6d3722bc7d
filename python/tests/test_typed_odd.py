"""Objects that add to containers in odd ways, and where they stand among others."""

from __future__ import annotations

import collections
import warnings
from typing import Any

import pytest

import onecopy
from test_typed import SAMPLES, Scores, Version, Words, same


def test_an_object_that_keeps_something_else_is_pickled() -> None:
    odd: Any = collections.UserDict()
    odd.data = collections.OrderedDict(a=1)
    view: Any = onecopy.share(odd)
    assert type(view) is onecopy.views.ObjectView
    assert type(view.get().data) is collections.OrderedDict


class Dot(dict[str, Any]):
    """Its attributes are its items, by a method of the builtin."""

    __getattr__ = dict.get


class Titled(dict[str, Any]):
    """Has a property of a name that classes have themselves."""

    @property
    def __name__(self) -> str:
        return "a name"


def test_classes_that_take_methods_of_builtins_are_pickled() -> None:
    view: Any = onecopy.share({"dot": Dot(a=1), "titled": Titled(b=2)})
    assert view["dot"].a == 1
    assert view["dot"].b is None
    assert view["titled"].__name__ == "a name"


def test_several_in_a_list_are_what_one_is() -> None:
    view: Any = onecopy.share([collections.UserDict({"a": n}) for n in range(3)])
    assert type(view) is onecopy.views.ListView
    assert type(view[0]) is onecopy.views.UserDictView
    assert [one["a"] for one in view] == [0, 1, 2]


def test_a_copy_of_a_set_is_a_real_one() -> None:
    copied = onecopy.share(SAMPLES["Tags"]).copy()
    assert copied == SAMPLES["Tags"]
    assert type(copied) is type(SAMPLES["Tags"].copy())


def test_an_object_of_a_class_that_nobody_can_import_is_refused() -> None:
    class Local(dict[Any, Any]): ...

    with pytest.raises(onecopy.errors.Unsupported, match=r"^data\[0\]: cannot share .*Local"):
        onecopy.share([Local()])


def test_nothing_is_said_to_be_rebuilt() -> None:
    data = dict(SAMPLES) | {"big": collections.Counter(f"word {number}" for number in range(50_000))}
    report = onecopy.share_check(data)
    assert report.rebuilt == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert onecopy.share(data, strict=True)["big"]["word 5"] == 1


def test_numpy_sees_the_elements() -> None:
    numpy = pytest.importorskip("numpy")
    assert numpy.asarray(onecopy.share(Words([1, 2, 3]))).tolist() == [1, 2, 3]
    assert numpy.asarray(onecopy.share(Version((1.5, 2)))).tolist() == [1.5, 2]
    assert numpy.asarray(onecopy.share(collections.deque([1, 2]))).tolist() == [1, 2]


def test_rows_of_a_subclass_are_a_list_and_rows_in_one_a_table() -> None:
    rows = Words([{"a": 1, "b": 2}] * 0 + [{"a": n, "b": str(n)} for n in range(5)])
    view: Any = onecopy.share(rows)
    assert view[2]["a"] == 2
    assert same(onecopy.to_python(view), rows)
    shared: Any = onecopy.share([Scores(a=n) for n in range(3)])
    assert [row["a"] for row in shared] == [0, 1, 2]
    first = {"a": 1, "b": 2}
    held: Any = onecopy.share([[first, {"a": 3, "b": 4}], collections.UserDict()])
    assert held[0][0] == first
    user: Any = collections.UserDict()
    user.data = first
    both: Any = onecopy.share([[first, {"a": 3, "b": 4}], user])
    assert both[1]["a"] == 1
    real: Any = onecopy.to_python(both)
    assert real[1].data is real[0][0]
