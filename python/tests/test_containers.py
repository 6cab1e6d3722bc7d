"""Where containers keep what they hold: what the extension says agrees with what the interpreter shows."""

from __future__ import annotations

import collections
import ctypes
import itertools
import json
import multiprocessing
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import onecopy
from onecopy import _onecopy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What is looked for by address must not be in two places of one container.
WORDS = [f"word {number}" for number in range(3_000)]


def memory(place: tuple[int, int]) -> bytes:
    start, length = place
    return ctypes.string_at(start, length) if length else b""


def addresses(place: tuple[int, int]) -> set[int]:
    found = memory(place)
    return {int.from_bytes(found[at : at + 8], sys.byteorder) for at in range(0, len(found), 8)}


def test_every_layout_holds_in_this_python() -> None:
    assert dict(_onecopy._layouts()) == dict.fromkeys(("before", "dict", "set", "values"))


class Lists(list[Any]):
    """Has more than a list."""


class Dicts(dict[Any, Any]):
    """Says anything of its size."""

    def __sizeof__(self) -> int:
        raise RuntimeError("no size")


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 8, 9, 100, 3_000])
@pytest.mark.parametrize(
    "make",
    [
        list,
        Lists,
        dict.fromkeys,
        Dicts.fromkeys,
        collections.OrderedDict.fromkeys,
        set,
        frozenset,
    ],
)
def test_what_a_container_holds_lies_where_it_is_said(make: Callable[[Any], Any], count: int) -> None:
    container = make(WORDS[:count])
    found = _onecopy._held_by(container)
    assert found is not None
    assert {id(word) for word in container} <= addresses(found)
    if isinstance(container, list):
        assert found[1] == 8 * count


def test_keys_that_are_no_strs_are_found_too() -> None:
    numbers = [float(number) for number in range(300)]
    keys = dict.fromkeys(numbers)
    found = _onecopy._held_by(keys)
    assert found is not None
    assert {id(number) for number in numbers} <= addresses(found)


def test_the_sizes_are_those_of_the_interpreter() -> None:
    for count in (6, 100, 3_000):
        keys: dict[str, None] = dict.fromkeys(WORDS[:count])
        assert (_onecopy._held_by(keys) or (0, 0))[1] == keys.__sizeof__() - dict.__basicsize__
        words = set(WORDS[:count])
        inside = words.__sizeof__() == set.__basicsize__
        assert (_onecopy._held_by(words) or (0, 0))[1] == (128 if inside else words.__sizeof__() - set.__basicsize__)


@pytest.mark.parametrize("length", [1, 2, 10_000])
def test_the_bytes_of_a_bytearray_are_found_without_an_export(length: int) -> None:
    data = bytearray(number % 251 for number in range(length))
    assert memory(_onecopy._held_by(data) or (0, 0)) == data
    del data[: length // 2]
    assert memory(_onecopy._held_by(data) or (0, 0)) == data
    data.append(1)  # nobody holds it


def test_an_empty_bytearray_and_other_objects_hold_nothing() -> None:
    assert (_onecopy._held_by(bytearray()) or (0, 0))[1] == 0
    for other in (1, "text", b"bytes", (1, 2), object(), len, collections.deque([1])):
        assert _onecopy._held_by(other) is None


class Plain:
    """Has a managed `__dict__`."""


class Slots:
    """Has neither."""

    __slots__ = ("a",)


class Referred:
    """Has weak references alone."""

    __slots__ = ("__weakref__", "a")


@pytest.mark.parametrize(
    "sample", [1, "text", [], {}, (1,), set(), Plain(), Slots(), Referred(), len, Plain, Plain.__init__]
)
def test_what_lies_before_an_object_is_what_getsizeof_adds(sample: Any) -> None:
    own = type.__sizeof__(sample) if isinstance(sample, type) else sample.__sizeof__()
    assert _onecopy._bytes_before(sample) == sys.getsizeof(sample) - own


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda: [*WORDS], lambda held: held.append("more")),
        (lambda: [*WORDS], lambda held: held.__setitem__(5, "other")),
        (lambda: [*WORDS], list.reverse),
        (lambda: dict.fromkeys(WORDS, 1), lambda held: held.__setitem__("word 5", "other")),
        (lambda: dict.fromkeys(WORDS, 1), lambda held: held.__delitem__("word 5")),
        (lambda: {"a": 1}, lambda held: held.__setitem__("b", 2)),
        (Slots, lambda held: setattr(held, "a", "other")),
    ],
)
def test_a_digest_changes_with_the_references_alone(make: Callable[[], Any], change: Callable[[Any], object]) -> None:
    held = make()
    before = _onecopy._digest(held)
    again = [held, held]  # its own count
    assert held == again[0]
    assert "nothing" not in (held if isinstance(held, (list, dict)) else ())
    assert _onecopy._digest(held) == before
    change(held)
    assert _onecopy._digest(held) != before


def test_tuples_are_told_apart_and_hashes_do_not_matter() -> None:
    held = tuple(WORDS)
    before = _onecopy._digest(held)
    assert hash(held)
    assert _onecopy._digest(held) == before
    assert _onecopy._digest((*WORDS[1:], WORDS[0])) != before


@pytest.mark.parametrize("sample", [0, 1, -1, 2**100, b"", b"bytes", "text", 1.5, None, Ellipsis, range(3), len])
def test_objects_of_any_length_have_a_digest(sample: Any) -> None:
    assert _onecopy._digest(sample) == _onecopy._digest(sample)


UNKNOWN = "onecopy does not know how this Python lays out dicts"


def test_a_layout_that_does_not_hold_is_told_by_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = _onecopy._held_by

    def held_by(obj: Any) -> Any:
        if isinstance(obj, dict):
            raise TypeError(f"dict: {UNKNOWN}; give an array or a view")
        return real(obj)

    monkeypatch.setattr(_onecopy, "_held_by", held_by)
    with pytest.raises(TypeError, match=UNKNOWN):
        onecopy.tag("unknown", dict.fromkeys(WORDS))
    onecopy.tag("known", [*WORDS])


def test_the_digest_of_a_short_text_is_of_the_text_alone() -> None:
    """A short str is smaller than its class says, and others lie right behind it."""
    texts = [f"{number:05d}" for number in range(3_000)]
    before = [_onecopy._digest(text) for text in texts[::2]]
    kept = texts[::2]
    del texts
    assert [_onecopy._digest(text) for text in kept] == before


CONTENTS: list[tuple[Callable[[], Any], Any]] = [
    (lambda: onecopy.List([1, 2, {"a": 3}]), [1, 2, {"a": 3}]),
    (lambda: onecopy.List([{"a": 1, "b": "x"}] * 3), [{"a": 1, "b": "x"}] * 3),
    (lambda: onecopy.Dict({"a": [1], 2: None}), {"a": [1], 2: None}),
    (lambda: onecopy.Set([1, "x"]), {1, "x"}),
    (lambda: onecopy.Counter("aab"), {"a": 2, "b": 1}),
    (lambda: onecopy.Value([1, 2]), [1, 2]),
    (lambda: onecopy.Value(3), 3),
    (lambda: onecopy.Value(onecopy.List([1])), [1]),
    (lambda: onecopy.Namespace(a=1), {"a": 1}),
    (lambda: onecopy.Manager().Namespace(a=1), {"a": 1}),
    (lambda: onecopy.Manager().Array("i", [1, 2]), [1, 2]),
]


@pytest.mark.parametrize(("make", "content"), CONTENTS)
def test_sharing_and_saving_take_what_a_container_holds_now(make: Any, content: Any, tmp_path: Path) -> None:
    container = make()
    view = onecopy.share(container)
    onecopy.save(container, tmp_path / "kept")
    for name in ("append", "clear"):
        if hasattr(container, name):
            getattr(container, name)(*([5] if name == "append" else []))
    real = onecopy.to_python(view)
    assert (real, type(real)) == (content, type(content))
    assert onecopy.to_python(onecopy.open(tmp_path / "kept")) == content
    assert not isinstance(view, onecopy.views.ObjectView)


def test_a_container_that_holds_a_container_is_not_shared() -> None:
    with pytest.raises(onecopy.errors.Unsupported, match=r"data\[1\].*to_python\(\)"):
        onecopy.share(onecopy.List([1, onecopy.List()]))


@pytest.mark.parametrize("new", [lambda n: 10**6 + n, lambda n: 2**40 + n, lambda n: -(2**70) - n, float, str])
def test_reads_of_new_values_keep_no_more_than_free_lists_do(new: Callable[[int], Any]) -> None:
    value: onecopy.Value[Any] = onecopy.Value()
    numbers, entries = onecopy.List[Any]([0]), onecopy.Dict[str, Any](a=0)
    count = itertools.count()

    def passes(read: Callable[[], Any]) -> int:
        before = sys.getallocatedblocks()
        for _ in range(2000):
            value.set(new(next(count)))
            numbers[0] = entries["a"] = value.get()
            assert read() is not None
        return sys.getallocatedblocks() - before

    reads: list[Callable[[], Any]] = [value.get, lambda: value.value, lambda: numbers[0], lambda: entries["a"]]
    for read in reads:
        # The interpreter keeps up to a hundred floats, and from 3.14 on ints; the first pass fills that.
        assert [kept for kept in (passes(read), passes(read), passes(read)) if kept > 150] == []
        assert min(passes(read) for _ in range(3)) <= 5


def test_what_has_no_content_is_not_shared() -> None:
    things: list[Any] = [onecopy.Queue(), onecopy.Lock(), onecopy.Condition()]
    for one in things:
        with pytest.raises(onecopy.errors.Unsupported, match=r"an argument of its own$"):
            onecopy.share(one)


def test_the_real_thing_of_each_kind() -> None:
    inner = onecopy.List([1])
    cases: list[tuple[Any, Any]] = [
        (onecopy.List([1, [2]]), [1, [2]]),
        (onecopy.Dict(a=1), {"a": 1}),
        (onecopy.Set([1]), {1}),
        (onecopy.Counter("aab"), collections.Counter("aab")),
        (onecopy.Value((1, "a")), (1, "a")),
        (onecopy.Namespace(a=1), {"a": 1}),
    ]
    for container, content in cases:
        real = onecopy.to_python(container)
        assert type(real) is type(content)
        assert real == content
    assert type(onecopy.to_python(onecopy.List([inner]))[0]) is onecopy.List
    assert json.loads(json.dumps(onecopy.Dict(a=inner), default=onecopy.to_python)) == {"a": [1]}


class Holder:
    def __init__(self, held: Any) -> None:
        self.held = held


def test_what_cannot_be_held_is_named_with_its_place_and_the_way_out(tmp_path: Any) -> None:
    box: Any = onecopy.Dict()
    with (tmp_path / "file").open("w") as file:
        cases: list[tuple[Any, str]] = [
            ({"a": [1, lambda: 0]}, r"value\['a'\]\[1\]: a container cannot hold this function.*of a module"),
            (lambda: 0, r"value: a container cannot hold this function"),
            (Holder([multiprocessing.Lock()]), r"value\.held\[0\]: .*this Lock.*use onecopy\.Lock\(\)"),
            ([multiprocessing.Queue()], r"value\[0\]: .*use onecopy\.Queue\(\)"),
            ([multiprocessing.Event()], r"value\[0\]: .*use onecopy\.Event\(\)"),
            ((threading.Lock(),), r"value\[0\]: .*use onecopy\.Lock\(\)"),
            ([multiprocessing.Value("i", 1)], r"value\[0\]: .*use onecopy\.Value\(value\)"),
            ({"a": {"b": file}}, r"value\['a'\]\['b'\]: a container cannot hold this TextIOWrapper"),
        ]
        for value, text in cases:
            with pytest.raises(TypeError, match=text):
                box["k"] = value
    assert box == {}
