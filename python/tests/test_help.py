"""Views say what to do: each error names the way out, and a large view has a short text."""

from __future__ import annotations

import datetime as dt
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Box:
    label: str
    width: float


class Pair(NamedTuple):
    left: int
    right: int


DATA: dict[str, Any] = {
    "list": [1, 2, 3],
    "tuple": (1, 2, "x"),
    "dict": {"a": 1, "b": 2},
    "set": {1, 2},
    "frozenset": frozenset([1, 2]),
    "table": [{"x": 1}, {"x": 2}],
    "boxes": [Box("a", 1.0), Box("b", 2.0)],
    "pairs": [Pair(1, 2), Pair(3, 4)],
}
VIEW = onecopy.share(DATA)
VIEWS: dict[str, Any] = {
    **{name: VIEW[name] for name in DATA},
    "row": VIEW["table"][0],
    "record": VIEW["boxes"][0],
    "pair": VIEW["pairs"][0],
    "object": onecopy.share(range(5)),
}
REAL: dict[str, Any] = {"list": [], "dict": {}, "set": set(), "table": [], "row": {}}
CHANGES = [
    (kind, name)
    for kind, real in REAL.items()
    for name in dir(real)
    if not name.startswith("_") and not hasattr(VIEWS[kind], name)
]
WAY_OUT = r"onecopy\.to_python\(view\)|view\.get\(\)|view\.column\("


def test_the_methods_that_are_missing_are_those_that_change_things() -> None:
    assert {name for kind, name in CHANGES if kind == "dict"} == {"clear", "pop", "popitem", "setdefault", "update"} | {
        "fromkeys"
    }
    assert ("list", "append") in CHANGES
    assert ("set", "add") in CHANGES


@pytest.mark.parametrize(("kind", "name"), [change for change in CHANGES if change[1] not in {"fromkeys", "copy"}])
def test_a_method_that_would_change_a_view_names_the_way_out(kind: str, name: str) -> None:
    view = VIEWS[kind]
    with pytest.raises(AttributeError, match=WAY_OUT) as raised:
        getattr(view, name)
    assert str(raised.value).startswith(f"'{type(view).__name__}' object has no attribute '{name}'")
    assert not hasattr(view, name)
    assert not hasattr(type(view), name)
    assert name not in dir(view)


@pytest.mark.parametrize("kind", VIEWS)
def test_attributes_cannot_be_set(kind: str) -> None:
    view = VIEWS[kind]
    for name in ("width", "anything"):
        with pytest.raises(AttributeError, match=WAY_OUT):
            setattr(view, name, 1)
        with pytest.raises(AttributeError, match=WAY_OUT):
            delattr(view, name)


ASSIGNMENTS: list[Callable[[Any], Any]] = [
    lambda view: view.__setitem__(0, 1),
    lambda view: view.__delitem__(0),
    lambda view: view.__setitem__("x", [1, 2]),
]


@pytest.mark.parametrize("kind", ["list", "tuple", "table", "dict", "row", "object"])
def test_an_assignment_names_the_way_out(kind: str) -> None:
    for assign in ASSIGNMENTS:
        with pytest.raises(TypeError, match=WAY_OUT):
            assign(VIEWS[kind])


@pytest.mark.parametrize("kind", ["list", "table", "boxes", "pairs"])
def test_shuffling_names_the_way_out(kind: str) -> None:
    with pytest.raises(TypeError, match=WAY_OUT):
        random.Random(1).shuffle(VIEWS[kind])


def test_a_table_that_is_asked_by_a_name_says_what_a_column_is() -> None:
    lists: list[Any] = [VIEW["table"], VIEW["boxes"], onecopy.share([{"x": 1}])]
    for rows in lists:
        with pytest.raises(TypeError, match=r"list indices must be integers or slices, not str; view\.column\(name\)"):
            rows["x"]
    with pytest.raises(TypeError, match="not float"):
        VIEW["table"][1.5]


def test_an_object_says_how_to_get_it() -> None:
    pandas = pytest.importorskip("pandas")
    frame = onecopy.share(pandas.DataFrame({"x": [1, 2]}))
    uses: list[Callable[[], Any]] = [lambda: frame.__setitem__("x", 1), lambda: frame.__delitem__("x")]
    for use in uses:
        with pytest.raises(TypeError, match=re.escape("view.get() gives the object itself")):
            use()


# Texts.


LARGE: dict[str, Any] = {
    "list": list(range(200_000)),
    "tuple": tuple(range(200_000)),
    "dict": {f"key {n}": n for n in range(50_000)},
    "set": set(range(50_000)),
    "table": [{"id": n, "name": f"row {n}"} for n in range(50_000)],
    "boxes": [Box(f"box {n}", float(n)) for n in range(50_000)],
    "lists": [list(range(1000)) for _ in range(1000)],
    "deep": [[[[[n] * 7 for n in range(7)] for _ in range(7)] for _ in range(7)] for _ in range(7)],
    "text": ["x" * 1_000_000, b"y" * 1_000_000],
}


@pytest.mark.parametrize("name", LARGE)
def test_the_text_of_a_large_view_is_short(name: str) -> None:
    view = onecopy.share(LARGE[name])
    text = repr(view)
    assert len(text) < 60_000
    assert "..." in text
    assert text.startswith(f"{type(view).__name__}(")
    assert onecopy.to_python(view) == LARGE[name]
    assert repr(view) == text  # nothing is left of the first


def test_a_large_list_shows_its_ends_and_a_small_one_all() -> None:
    assert repr(onecopy.share(list(range(200_000)))) == "ListView([0, 1, 2, ..., 199997, 199998, 199999])"
    assert repr(onecopy.share({n: n for n in range(2000)})) == (
        "DictView({0: 0, 1: 1, 2: 2, ..., 1997: 1997, 1998: 1998, 1999: 1999})"
    )
    assert repr(onecopy.share(dict.fromkeys(range(2000))).keys()) == "dict_keys([0, 1, 2, ..., 1997, 1998, 1999])"
    for data in (list(range(999)), {"a": [1, 2]}, (1,), []):
        assert repr(onecopy.share([data])) == f"ListView([{onecopy.share(data)!r}])"
    assert repr(onecopy.share(["x" * 900])) == f"ListView([{'x' * 900!r}])"
    assert repr(onecopy.share(list(range(1000)))) == f"ListView({list(range(1000))})"


def test_after_an_error_texts_are_whole_again() -> None:
    class Odd:
        def __reduce__(self) -> Any:
            return _odd, ()

    view = onecopy.share([list(range(900)), Odd()])
    with pytest.raises(ZeroDivisionError):
        repr(view)
    assert repr(onecopy.share(list(range(900)))) == f"ListView({list(range(900))})"


def _odd() -> Any:
    raise ZeroDivisionError


# Sizes, and the object of a view.


def test_views_know_the_bytes_of_their_image() -> None:
    for data in ([1, 2, 3], (1, "x"), {"a": 1}, {1, 2}, frozenset([1]), [{"x": 1}, {"x": 2}], dt.date(2026, 1, 1)):
        view = onecopy.share(data)
        assert view.nbytes == len(onecopy.image_of(view))
    assert onecopy.share({"x": list(range(100_000, 200_000))})["x"].nbytes > 100_000
    # A field of a row goes first.
    assert onecopy.share([{"nbytes": 5}, {"nbytes": 6}])[1]["nbytes"] == 6


def test_a_view_has_one_object_in_a_process() -> None:
    for data in (range(5), dt.date(2026, 1, 1), np.array([None, 1], dtype=object)):
        view = onecopy.share(data)
        assert view.get() is view.get()
    assert "one object per view and process" in str(type(view).get.__doc__)
