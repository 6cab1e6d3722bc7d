"""Code of others in operations of containers: when it runs, and what becomes of what it raises."""

from __future__ import annotations

import collections
import pickle
from typing import Any

import pytest

import onecopy

# Tests do what types forbid.
LIST: Any = onecopy.List
COUNTER: Any = onecopy.Counter
VALUE: Any = onecopy.Value


class Here:
    """What code that runs in an operation looks at."""

    shown: Any = None
    counter: Any = None


locked: list[bool] = []


class Shows:
    """Shows a container, and is kept in it as a pickle."""

    def __repr__(self) -> str:
        """Shows what it is in."""
        return repr(Here.shown)


MADE: dict[str, Any] = {
    "List": lambda: onecopy.List([Shows()]),
    "Value": lambda: onecopy.Value(Shows()),
    "Namespace": lambda: onecopy.Namespace(x=Shows()),
    "Dict": lambda: onecopy.Dict(x=Shows()),
    "Counter": lambda: COUNTER({"x": Shows()}),
}
AGAIN = {
    "List": "onecopy.List([onecopy.List([...])])",
    "Value": "onecopy.Value(onecopy.Value(...))",
    "Namespace": "onecopy.Namespace(x=onecopy.Namespace(...))",
    "Dict": "onecopy.Dict({'x': onecopy.Dict({...})})",
    "Counter": "onecopy.Counter({'x': onecopy.Counter({...})})",
}


@pytest.mark.parametrize("name", MADE)
def test_a_container_that_shows_itself_does_so_once(name: str) -> None:
    Here.shown = MADE[name]()
    assert repr(Here.shown) == AGAIN[name]
    Here.shown = pickle.loads(pickle.dumps(Here.shown))
    assert repr(Here.shown) == AGAIN[name]


class Index:
    """Is an int of its own kind, or none."""

    def __init__(self, value: int | None) -> None:
        """Keeps what it is."""
        self.value = value

    def __index__(self) -> int:
        """Raises what no container raises."""
        if self.value is None:
            raise ZeroDivisionError("no index")
        return self.value


def test_what_an_index_raises_is_raised() -> None:
    for add in (lambda amount: LIST([40]).add(0, amount), VALUE(40).add):
        with pytest.raises(ZeroDivisionError, match="no index"):
            add(Index(None))
        with pytest.raises(TypeError, match="of class str"):
            add("1")
        assert add(Index(2)) == 42
        assert add(Index(1 << 70)) > 1 << 70


class Half(float):
    """A number that runs code when it is added or read."""

    def __radd__(self, other: float) -> float:
        """Looks at the lock."""
        locked.append(Here.counter.lock.locked())
        return float(other) + float(self)

    __add__ = __radd__

    def __reduce__(self) -> tuple[Any, ...]:
        """Is read by code."""
        return read, (float(self),)


def read(value: float) -> Half:
    """Looks at the lock."""
    locked.append(Here.counter.lock.locked())
    return Half(value)


def test_numbers_of_other_classes_are_added_without_the_lock() -> None:
    counter = Here.counter = COUNTER(a=0.5)
    locked.clear()
    counter.update(a=Half(1))
    assert counter["a"] == 1.5
    counter["b"] = Half(2)
    counter.update(b=1, c=3)
    counter.subtract(b=0.5)
    assert float(counter["b"]) == 2.5
    assert counter["c"] == 3
    assert locked
    assert not any(locked)
    # Nothing has happened where one of them is no number.
    counter["d"] = "text"
    with pytest.raises(TypeError, match="numbers"):
        counter.update(c=1, d=1)
    assert counter["c"] == 3


def test_a_counter_that_others_change_meanwhile_loses_nothing() -> None:
    counter = Here.counter = COUNTER(a=0.5)

    class Busy(Half):
        def __radd__(self, other: float) -> float:
            if len(locked) < 5:
                counter.add("a", 1)
            return super().__radd__(other)

        __add__ = __radd__

    locked.clear()
    counter.update(a=Busy(0.25))
    assert counter["a"] == 5.75
    assert len(locked) == 6


def test_what_is_made_again_is_filled_in_one_step() -> None:
    numbers = LIST([1, 2])
    numbers.__init__(["a"] * 20_000)
    assert numbers == ["a"] * 20_000
    numbers.__init__()
    assert numbers == []
    words: Any = onecopy.Set("abc")
    words.__init__("cd")
    assert list(words) == ["c", "d"]
    words.__init__()
    assert not words
    counts = COUNTER("aab")
    counts.__init__("ac")
    assert counts == collections.Counter("aaabc")
    names: Any = onecopy.Namespace(a=1)
    same = pickle.loads(pickle.dumps(names))
    names.__init__(b=2)
    assert vars(same) == {"a": 1, "b": 2}


@pytest.mark.parametrize("count", [3, 1500, 20_000])
def test_updates_of_any_size_are_those_of_the_real_ones(count: int) -> None:
    dict_: Any = onecopy.Dict((n, str(n)) for n in range(count // 2))
    items: list[Any] = [(n, "x" * (n % 20)) for n in range(count // 4, count)] + [(0, "again"), (1.0, None)]
    dict_.update(items)
    model: dict[Any, Any] = {n: str(n) for n in range(count // 2)}
    model.update(items)
    assert list(dict_.items()) == list(model.items())
    counts, real = COUNTER(dict.fromkeys(range(count), 1)), collections.Counter(dict.fromkeys(range(count), 1))
    for _ in range(2):
        counts.update(dict.fromkeys(range(1, 2 * count, 2), 1 << 50))
        real.update(dict.fromkeys(range(1, 2 * count, 2), 1 << 50))
    counts.subtract(dict.fromkeys(range(count), 0.5))
    real.subtract(dict.fromkeys(range(count), 0.5))
    assert list(counts.items()) == list(real.items())
    dict_.verify()
    counts.verify()
