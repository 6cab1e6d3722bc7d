"""Keys, values and items of dict views and rows against those of the builtin dict."""

from __future__ import annotations

import collections.abc
import gc
import operator
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

DICTS: dict[str, dict[Any, Any]] = {
    "empty": {},
    "ints": {number: number * 2 for number in range(20)},
    "mixed": {1: "a", "b": [1, 2], (1, "x"): None, 2.5: {"deep": 1}, None: {1, 2}},
    "strings": {"a": 1, "b": 2, "c": 3},
}
ROWS: dict[str, Any] = {
    "row": [{"a": 1, "b": [1, 2], "c": None}, {"a": 2, "b": [], "c": "x"}],
    "ragged row": [{"a": 1}, {"a": 2, "b": 3}, {"b": 1, "a": 1}],
}
CASES: list[tuple[dict[Any, Any], Any]] = [(data, onecopy.share(data)) for data in DICTS.values()]
CASES += [(row, view) for rows in ROWS.values() for row, view in zip(rows, onecopy.share(rows), strict=True)]
PARTS = ["keys", "values", "items"]
SET_PARTS = ["keys", "items"]

Pair = tuple[dict[Any, Any], Any]


@pytest.fixture(params=range(len(CASES)), ids=lambda index: f"{index}")
def pair(request: pytest.FixtureRequest) -> Pair:
    """A real dict and its view."""
    index: int = request.param
    return CASES[index]


def outcome(action: Callable[..., Any], *arguments: Any) -> Any:
    """What an action gives, or the type of its error."""
    try:
        return action(*arguments)
    except Exception as error:
        return type(error)


def plain(data: Any) -> Any:
    """Views of containers as the containers themselves."""
    data = onecopy.to_python(data)
    return type(data)(plain(part) for part in data) if isinstance(data, (list, tuple)) else data


OTHERS: dict[str, Callable[[dict[Any, Any]], Any]] = {
    "the same": lambda data: data.keys(),
    "its items": lambda data: data.items(),
    "a set of the keys": set,
    "some keys": lambda data: set(list(data)[::2]),
    "more keys": lambda data: {*data, "more", 77},
    "a frozenset": lambda _data: frozenset({"a", 1, "zz"}),
    "a list": lambda data: [*data, "more"],
    "pairs": lambda data: [(key, 1) for key in data],
    "a tuple": lambda _data: ("a", "a", 1),
    "a string": lambda _data: "abc",
    "a generator": lambda data: (key for key in data),
    "nothing": lambda _data: (),
    "a number": lambda _data: 5,
    "unhashable": lambda _data: [[1]],
    "values": lambda data: data.values(),
    "a dict": lambda _data: {"a": 1},
    "a view of a set": lambda data: onecopy.share(set(data)),
}
OPERATORS = ["and_", "or_", "sub", "xor", "eq", "ne", "lt", "le", "gt", "ge"]


@pytest.mark.parametrize("part", SET_PARTS)
@pytest.mark.parametrize("other", OTHERS)
def test_operators_do_what_the_builtins_do(pair: Pair, part: str, other: str) -> None:
    data, view = pair

    def theirs(*, real: bool, reflected: bool = False) -> Any:
        made = OTHERS[other](data)
        if not real or other != "a view of a set":
            return made
        # To the right it is a set of a kind of its own, to the left it does what a set does.
        return set(made) if reflected else frozenset(made)

    real, shown = getattr(data, part)(), getattr(view, part)()
    for name in OPERATORS:
        work = getattr(operator, name)
        expected = plain(outcome(work, real, theirs(real=True)))
        found = plain(outcome(work, shown, theirs(real=False)))
        assert found == expected, name
        assert type(found) is type(expected)
        if name == "xor" and other == "its items":
            continue  # the builtin's own work, which knows its own kind of pairs alone
        expected = plain(outcome(work, theirs(real=True, reflected=True), real))
        assert plain(outcome(work, theirs(real=False), shown)) == expected, f"reflected {name}"
    assert outcome(shown.isdisjoint, theirs(real=False)) == outcome(real.isdisjoint, theirs(real=True))


@pytest.mark.parametrize("part", PARTS)
def test_they_are_read_like_the_builtins(pair: Pair, part: str) -> None:
    data, view = pair
    real, shown = getattr(data, part)(), getattr(view, part)()
    assert len(shown) == len(real)
    assert bool(shown) == bool(real)
    assert plain(list(shown)) == plain(list(real))
    assert plain(list(reversed(shown))) == plain(list(reversed(real)))
    assert all(element in shown for element in shown)
    assert repr(shown) == f"dict_{part}({list(shown)!r})"
    assert plain(list(pickle.loads(pickle.dumps(shown)))) == plain(list(real))
    assert shown.mapping is view
    iterator = iter(shown)
    for _ in real:
        next(iterator)
    with pytest.raises(StopIteration):
        next(iterator)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "element",
    [
        1,
        "a",
        "zz",
        None,
        (1, "a"),
        ("a", 1),
        ("a", 1, 2),
        ("a",),
        ("a", [1]),
        [1],
        ([1], 1),
        ["a", 1],
        {1},
        float("nan"),
    ],
    ids=repr,
)
def test_membership_is_the_builtins(pair: Pair, part: str, element: Any) -> None:
    data, view = pair
    real, shown = getattr(data, part)(), getattr(view, part)()
    assert outcome(operator.contains, shown, element) == outcome(operator.contains, real, element)


@pytest.mark.parametrize("part", PARTS)
def test_hashes_and_writing_are_the_builtins(part: str) -> None:
    data, view = CASES[1]
    real, shown = getattr(data, part)(), getattr(view, part)()
    assert isinstance(outcome(hash, shown), int) == isinstance(outcome(hash, real), int)
    for name in ("add", "append", "__getitem__", "__setitem__", "__add__"):
        assert not hasattr(shown, name)
        assert not hasattr(real, name)
    assert (shown == getattr(view, part)()) == (real == getattr(data, part)())
    with pytest.raises(TypeError):
        type(shown)()


@pytest.mark.parametrize("part", PARTS)
def test_abstract_classes_know_them(pair: Pair, part: str) -> None:
    data, view = pair
    names = [
        "KeysView",
        "ValuesView",
        "ItemsView",
        "Set",
        "Collection",
        "Reversible",
        "MappingView",
        "Sequence",
        "Hashable",
    ]
    for name in names:
        abstract = getattr(collections.abc, name)
        assert isinstance(getattr(view, part)(), abstract) == isinstance(getattr(data, part)(), abstract), name


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("index", [1, len(DICTS)])
def test_reading_runs_no_python_code(part: str, index: int) -> None:
    _, view = CASES[index]
    calls = []

    def note(frame: Any, event: str, _arg: Any) -> None:
        if event == "call":
            calls.append(frame.f_code.co_qualname)

    gc.disable()
    sys.setprofile(note)
    try:
        entries = getattr(view, part)()
        for _ in entries:
            pass
        list(reversed(entries))
        77 in entries  # noqa: B015 - what it runs is what counts
        repr(entries)
    finally:
        sys.setprofile(None)
        gc.enable()
    assert calls == []


def test_they_keep_what_they_show() -> None:
    keys = onecopy.share({"only": [1, 2]}).keys()
    gc.collect()
    assert list(keys) == ["only"]
