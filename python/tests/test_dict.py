"""`onecopy.Dict`: it behaves as a dict, by itself and for many processes at once."""

from __future__ import annotations

import collections.abc
import datetime as dt
import decimal
import enum
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import uuid
import zoneinfo
from typing import Any, NamedTuple

import pytest

import onecopy
from conftest import least_growth

# Tests do what types forbid.
DICT: Any = onecopy.Dict
LIST: Any = onecopy.List
VALUE: Any = onecopy.Value
METHODS = ("fork", "forkserver", "spawn")


class Color(enum.Enum):
    """Two members and an alias."""

    RED = 1
    BLUE = "b"
    CRIMSON = 1  # noqa: PIE796 - another name of the same member


class Level(enum.IntEnum):
    """Ints with names."""

    LOW = 1


class Right(enum.Flag):
    """Flags of which several may be set."""

    READ = 1
    WRITE = 2


class Name(str):
    """A str that hashes and compares as one."""

    __slots__ = ()


class Backwards(str):
    """A str with an equality of its own."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return NotImplemented

    __hash__ = str.__hash__


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


class Own:
    """Hashable, but not to be found by its bytes."""


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
KEYS: list[Any] = [
    None,
    0,
    -1,
    2**47,
    2**64,
    -(2**200),
    0.5,
    -0.5,
    1e300,
    math.inf,
    "",
    "abcde",
    "abcdef",
    "é",
    "日本語",
    "🦀" * 10,
    b"",
    b"bytes",
    b"more bytes",
    (),
    (1, "two", None, b"3"),
    ((1, (2, (3, ()))), "x" * 100),
    frozenset(),
    frozenset({1, "a", (2, 3)}),
    Color.RED,
    Color.BLUE,
    Right.READ,
    Right.READ | Right.WRITE,
    uuid.UUID(int=7),
    dt.date(2026, 1, 1),
    dt.datetime(2026, 1, 1, 12, 30, 1, 7),  # noqa: DTZ001 - naive ones are keys as well
    dt.datetime(2026, 1, 1, 12, 30, tzinfo=dt.UTC),
    (dt.date(2026, 1, 1), Color.RED),
]
VALUES: list[Any] = [*KEYS, True, math.pi, [1, 2], {"a": [1]}, 3 + 4j, "a str that is longer", bytes(5000), Own]


def test_it_is_a_mutable_mapping_of_its_own_class() -> None:
    shared = DICT()
    assert isinstance(shared, collections.abc.MutableMapping)
    assert not isinstance(shared, dict)
    assert DICT[str, int].__args__ == (str, int)
    with pytest.raises(TypeError, match="unhashable"):
        hash(shared)


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_any_key_is_found_again_and_comes_back_equal(key: Any) -> None:
    shared = DICT()
    shared[key] = "here"
    assert shared[key] == "here"
    assert key in shared
    [back] = shared
    assert back == key
    assert hash(back) == hash(key)
    assert type(back) is type(key)
    assert shared.popitem() == (key, "here")
    with pytest.raises(KeyError) as caught:
        shared[key]
    assert caught.value.args == (key,)
    shared.verify()


def test_all_of_them_are_different_keys_in_their_order() -> None:
    shared = DICT((key, at) for at, key in enumerate(KEYS))
    assert len(shared) == len(KEYS)
    assert list(shared) == KEYS
    assert list(reversed(shared)) == KEYS[::-1]
    assert shared.to_python() == {key: at for at, key in enumerate(KEYS)}
    for at, key in enumerate(KEYS):
        assert shared.pop(key) == at
    assert not shared
    shared.verify()


EQUAL = [
    [1, 1.0, True],
    [0, 0.0, -0.0, False],
    [2**60, float(2**60)],
    [2**100, float(2**100)],
    [(1, 2.0), (True, 2)],
    [((1.0,),), ((1,),)],
    [frozenset({1, 2.0}), frozenset({2, True})],
    [Level.LOW, 1],
    [Name("a"), "a"],
    [Name("a longer name"), "a longer name"],
    [Point(1, 2), (1, 2)],
    [Color.RED, Color.CRIMSON],
    [
        dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 1, 13, tzinfo=BERLIN),
    ],
]


@pytest.mark.parametrize("equal", EQUAL, ids=repr)
def test_equal_keys_are_one_key_and_the_first_form_stays(equal: list[Any]) -> None:
    assert len(set(equal)) == 1
    for first in equal:
        shared = DICT([(first, "first")])
        for other in equal:
            shared[other] = repr(other)
            assert shared[first] == repr(other)
        [back] = shared
        assert back == first
        if type(first) in {int, float, bool}:
            assert repr(back) == repr(first)


@pytest.mark.parametrize("key", [Own(), Own, 3j, decimal.Decimal(1), Backwards("a"), (1, Own()), range(3)], ids=repr)
def test_a_key_that_others_cannot_find_is_refused_with_the_reason(key: Any) -> None:
    shared = DICT()
    for use in (shared.__getitem__, shared.__contains__, shared.get, shared.pop, lambda key: shared.update({key: 1})):
        with pytest.raises(TypeError, match=r"cannot be a key: .*pickles.*Use a str"):
            use(key)
    assert not shared


@pytest.mark.parametrize("key", [[], {}, set(), (1, []), DICT()], ids=repr)
def test_a_key_that_no_dict_takes_is_refused_as_dicts_do(key: Any) -> None:
    with pytest.raises(TypeError, match="unhashable type"):
        DICT()[key] = 1


def test_a_time_that_the_clock_shows_twice_is_no_key() -> None:
    twice = dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
    with pytest.raises(TypeError, match="twice or never"):
        DICT()[twice] = 1


def test_a_member_of_an_enum_made_in_a_function_is_no_key() -> None:
    local = enum.Enum("local", "A", qualname="test.<locals>.local")
    with pytest.raises(TypeError, match="made in a function"):
        DICT()[local.A] = 1


def test_tuples_in_tuples_have_a_limit() -> None:
    key: Any = 1
    for _ in range(64):
        key = (key,)
    shared = DICT([(key, "deep")])
    assert list(shared) == [key]
    with pytest.raises(TypeError, match="at most 64 tuples"):
        shared[key,] = 1


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_any_value_comes_back(value: Any) -> None:
    shared = DICT(a=value)
    assert shared["a"] == value
    assert type(shared["a"]) is type(value)
    assert shared.get("a") == shared.pop("a") == value
    assert shared.setdefault("a", value) is value
    assert shared.setdefault("a") == value
    shared.verify()


def test_a_value_that_cannot_be_pickled_changes_nothing() -> None:
    shared = DICT(a=1)
    changes: list[Any] = [lambda: shared.__setitem__("a", lambda: 1), lambda: shared.update(b=2, c=lambda: 1)]
    for change in changes:
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            change()
    assert shared == {"a": 1}


def test_what_a_default_is_good_for() -> None:
    shared = DICT(a=1)
    assert shared.get("b") is None
    assert shared.get("b", 2) == 2
    assert shared.pop("b", None) is None
    assert shared.pop("a", 2) == 1
    with pytest.raises(KeyError):
        shared.pop("a")
    with pytest.raises(TypeError):
        shared.pop("a", 1, 2)
    with pytest.raises(KeyError):
        shared.popitem()


def test_updates_take_what_dicts_take() -> None:
    shared = DICT({"a": 1}, b=2)
    shared.update([("c", 3)], d=4)
    shared.update(DICT(e=5))
    shared.update(collections.ChainMap({"f": 6}))
    shared |= {"g": 7}
    shared |= [("h", 8)]
    assert list(shared.items()) == list(zip("abcdefgh", range(1, 9), strict=True))
    with pytest.raises(TypeError, match="element #1 to a sequence"):
        shared.update([("x", 1), 2])
    with pytest.raises(ValueError, match="element #0 has length 3; 2 is required"):
        shared.update([(1, 2, 3)])
    assert "x" not in shared


def test_a_large_update_is_as_one_of_a_dict() -> None:
    items = [(f"key {number % 7000}", number) for number in range(10_000)]
    shared = DICT(items)
    assert list(shared.items()) == list(dict(items).items())
    shared.clear()
    assert shared == {}
    shared.verify()


def test_operators_give_real_dicts() -> None:
    shared = DICT(a=1, b=2)
    assert shared == {"a": 1, "b": 2} == shared
    assert shared == DICT(b=2, a=1)
    assert shared != {"a": 1}
    assert shared != [("a", 1), ("b", 2)]
    assert type(shared | {"b": 3}) is dict
    assert shared | {"b": 3} == {"a": 1, "b": 3}
    assert {"b": 3} | shared == {"b": 2, "a": 1}
    assert shared | DICT(c=3) == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(TypeError):
        shared | [("a", 1)]
    with pytest.raises(TypeError):
        shared < {}  # noqa: B015


def test_views_show_what_is_there_now() -> None:
    shared = DICT(a=1)
    keys, values, items = shared.keys(), shared.values(), shared.items()
    shared["b"] = [2]
    assert list(keys) == ["a", "b"]
    assert list(values) == [1, [2]]
    assert list(items) == [("a", 1), ("b", [2])]
    assert list(reversed(items)) == [("b", [2]), ("a", 1)]
    assert len(keys) == len(values) == len(items) == 2
    assert "b" in keys
    assert ("b", [2]) in items
    assert ("b", 2) not in items
    assert ("c", 2) not in items
    assert "b" not in items
    assert [2] in values
    assert keys & {"a", "c"} == {"a"}
    assert {"a", "c"} - keys == {"c"}
    assert keys | ["d"] == {"a", "b", "d"}
    assert keys ^ {"a"} == {"b"}
    assert keys == {"a", "b"} == shared.keys()
    assert keys > {"a"}
    assert keys.isdisjoint({"c"})
    assert repr(keys) == "onecopy.dict_keys(['a', 'b'])"
    assert keys.mapping["a"] == 1
    for view, kind in ((keys, "KeysView"), (values, "ValuesView"), (items, "ItemsView")):
        assert isinstance(view, getattr(collections.abc, kind))


def test_iteration_yields_what_was_there_when_it_began() -> None:
    shared = DICT.fromkeys(range(5), "x")
    for key in shared:
        del shared[key]
        shared[key + 100] = "y"
    assert list(shared) == [100, 101, 102, 103, 104]
    rest = iter(shared.items())
    next(rest)
    assert rest.__length_hint__() == 4
    assert list(pickle.loads(pickle.dumps(rest))) == [(key, "y") for key in range(101, 105)]
    assert len(list(rest)) == 4
    assert list(rest) == []


def test_sums_are_exact() -> None:
    shared = DICT()
    assert shared.add("a") == 1
    assert shared.add("a", 2**62) == 2**62 + 1
    assert shared.add("a", 2**70) == 2**70 + 2**62 + 1
    assert shared.add("a", -(2**70)) == 2**62 + 1
    assert shared.add("b", 0.5) == 0.5
    assert shared.add("b", 1) == 1.5
    assert shared.add("c", 7) == 7
    assert shared.add("c", 0.25) == 7.25
    shared["d"] = "text"
    for key, amount in (("d", 1), ("a", "1"), ("new", "1"), ("new", b"")):
        with pytest.raises(TypeError, match="add"):
            shared.add(key, amount)
    assert "new" not in shared
    shared.verify()


def test_a_value_is_replaced_if_it_is_the_expected_one() -> None:
    shared = DICT(a=1, b=[1])
    assert not shared.compare_exchange("a", 2, 3)
    assert not shared.compare_exchange("a", 1.0, 3)
    assert shared.compare_exchange("a", 1, 3)
    assert shared.compare_exchange("b", [1], [2])
    assert shared == {"a": 3, "b": [2]}
    with pytest.raises(KeyError):
        shared.compare_exchange("c", None, 1)


def test_a_function_makes_the_next_value() -> None:
    shared = DICT(a=[1])
    assert shared.update_with("a", lambda old: [*old, 2]) == [1, 2]
    assert shared["a"] == [1, 2]
    assert shared.update_with("b", lambda old: old + 1, 0) == 1
    assert shared["b"] == 1
    with pytest.raises(KeyError):
        shared.update_with("c", lambda old: old)
    with pytest.raises(ZeroDivisionError):
        shared.update_with("b", lambda old: old / 0)
    assert not shared.lock.locked()


def test_lists_and_single_values_have_it_too() -> None:
    numbers, value = LIST([1, [2]]), VALUE([1])
    assert numbers.update_with(1, lambda old: [*old, 3]) == [2, 3]
    assert value.update_with(lambda old: [*old, 2]) == [1, 2]
    assert numbers == [1, [2, 3]]
    assert value.get() == [1, 2]
    with pytest.raises(IndexError):
        numbers.update_with(5, lambda old: old)
    with pytest.raises(RuntimeError, match="changes what it is to be given"):
        numbers.update_with(0, lambda old: numbers.add(0) + old)
    assert not numbers.lock.locked()


def test_a_function_whose_value_changes_runs_again() -> None:
    shared = DICT(a=0)
    seen = []

    def slow(old: int) -> int:
        seen.append(shared.lock.locked())
        if len(seen) < 8:
            shared["a"] += 1
        return old + 100

    assert shared.update_with("a", slow) == 107
    assert seen == [False] * 8
    with pytest.raises(RuntimeError, match="changes what it is to be given"):
        shared.update_with("a", lambda old: shared.add("a") + old)
    assert not shared.lock.locked()


def test_the_lock_keeps_other_threads_out() -> None:
    shared = DICT(a=0)

    def add() -> None:
        for _ in range(500):
            with shared.lock:
                shared["a"] += 1

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared["a"] == 2000


def test_a_copy_by_pickle_is_the_same_dict() -> None:
    shared = DICT(a=1)
    other = pickle.loads(pickle.dumps(shared))
    other["b"] = 2
    assert shared == {"a": 1, "b": 2}


# Many processes.


def count(shared: Any, rounds: int) -> None:
    for number in range(rounds):
        shared.add("all")
        shared.add(number % 10)
        shared.add((os.getpid(), Color.RED))
        shared[os.getpid(), number % 50] = "x" * (number % 100)


@pytest.mark.parametrize("method", METHODS)
def test_processes_add_to_one_dict(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    shared = DICT()
    rounds, workers = 400, 3
    processes = [context.Process(target=count, args=(shared, rounds)) for _ in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert shared["all"] == rounds * workers
    assert [shared[digit] for digit in range(10)] == [rounds * workers // 10] * 10
    pids = [process.pid for process in processes]
    assert [shared[pid, Color.RED] for pid in pids] == [rounds] * workers
    assert len(shared) == 11 + workers * 51
    shared.verify()


def write_for_ever(shared: Any, ready: Any) -> None:
    number = 0
    while True:
        shared[number % 100] = "x" * (number % 300)
        shared.pop((number + 50) % 100, None)
        shared.update({f"key {number % 7}": number, "many": [number]})
        shared.add("count")
        number += 1
        if number == 50:
            ready.set()


def test_a_writer_that_is_killed_leaves_a_whole_dict() -> None:
    context = multiprocessing.get_context("fork")
    shared = DICT()
    for _ in range(20):
        ready = context.Event()
        writer = context.Process(target=write_for_ever, args=(shared, ready))
        writer.start()
        assert ready.wait(60)
        before = shared["count"]
        while shared["count"] < before + 20:
            pass
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        counted = shared.add("count")
        assert shared["count"] == counted
        assert shared["many"] == [shared["many"][0]]
        shared.verify()
    shared.clear()
    shared.verify()


def test_a_spawned_process_finds_members_of_this_file() -> None:
    context = multiprocessing.get_context("spawn")
    shared = DICT([(Color.BLUE, 0), (Right.READ | Right.WRITE, 0), (uuid.UUID(int=3), 0)])
    worker = context.Process(target=add_to_each, args=(shared,))
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    assert shared == {Color.BLUE: 1, Right.READ | Right.WRITE: 1, uuid.UUID(int=3): 1}


def add_to_each(shared: Any) -> None:
    for key in (Color.BLUE, Right.READ | Right.WRITE, uuid.UUID(int=3)):
        shared.add(key)


# Slots that are written by hand do what the methods do.


@pytest.mark.parametrize("kind", [onecopy.Dict, onecopy.Counter], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key)[:40])
def test_a_slot_does_what_the_method_of_its_name_does(kind: Any, key: Any) -> None:
    shared, real = kind(), {}
    for value in (3, -(2**47), 2**47, 2**70, 0.5, math.nan, True, None, "", "abc", "é" * 9, "€" * 9, "😀" * 9, [1]):
        shared[key] = real[key] = value
        assert repr(shared[key]) == repr(kind.__getitem__(shared, key)) == repr(value)
        assert repr(shared.get(key)) == repr(shared.setdefault(key, 5)) == repr(value)
        assert (key in shared, kind.__contains__(shared, key), len(shared)) == (True, True, 1)
        assert list(shared) == list(real)
        assert repr(shared.pop(key)) == repr(value)
        assert (key in shared, kind.__contains__(shared, key), len(shared)) == (False, False, 0)
        assert shared.setdefault(key, 7) == 7
        del shared[key]
        assert shared.get(key) is None
        assert shared.get(key, 1) == shared.pop(key, 1) == 1
        with pytest.raises(KeyError) as raised:
            shared.pop(key)
        assert raised.value.args == (key,)
        shared.verify()


def test_elements_of_a_set_come_and_go_whatever_they_are() -> None:
    shared: Any = onecopy.Set()
    for key in KEYS:
        assert shared.add(key) is None
        assert shared.add(key) is None
        assert key in shared
    assert list(shared) == KEYS
    for key in KEYS:
        assert shared.discard(key) is None
        assert shared.discard(key) is None
        assert key not in shared
    shared.verify()


@pytest.mark.parametrize("name", ["get", "setdefault", "pop", "add"])
def test_methods_refuse_too_few_and_too_many_arguments(name: str) -> None:
    shared = DICT({1: 2})
    for arguments in [(), (1, 2, 3)]:
        with pytest.raises(TypeError):
            getattr(shared, name)(*arguments)
    with pytest.raises(TypeError):
        getattr(shared, name)(key=1)
    assert shared == {1: 2}


def test_defaults_are_given_back_as_they_are_and_not_kept() -> None:
    shared = DICT({1: 2})
    default = object()
    before = sys.getrefcount(default)
    for key in (5, "absent", None, (1, 2), 2**80):
        for _ in range(100):
            assert shared.get(key, default) is default
            assert shared.pop(key, default) is default
    assert sys.getrefcount(default) == before
    text = "a str of some length" * 2
    before = sys.getrefcount(text)
    for key in range(100):
        assert shared.setdefault(("k", key), text) is shared.setdefault(str(key), text) is text
    assert sys.getrefcount(text) == before


def test_adding_passes_over_every_width() -> None:
    shared = DICT()
    for start in (0, 2**47 - 2, 2**63 - 2, -(2**47), -(2**63) - 1, 2**100):
        for key in ("n", 1, None):
            shared[key] = start
            for step in (1, 1, 1, -1, True, 2**47, -(2**70)):
                expected = shared[key] + step
                assert shared.add(key, step) == shared[key] == expected
            assert shared.add(key) == shared.add(key, None) - 1
    shared["f"] = 0.5
    assert shared.add("f", 1) == 1.5
    shared["s"] = "s"
    for amount in (1, 0.5, "s"):
        with pytest.raises(TypeError):
            shared.add("s", amount)
    shared.verify()


# Slots keep nothing.


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_any_number_of_passes_leaves_as_many_blocks_as_the_first(value: Any) -> None:
    shared = DICT(dict.fromkeys(range(50), value), word=value)
    shared.update({key: value for key in KEYS if key not in shared})

    def one_pass() -> None:
        for key in range(50):
            shared[key]
            shared[key] = value
            shared.get(key)
            key in shared  # noqa: B015
            shared.compare_exchange(key, value, value)
            shared.setdefault(key, value)
            shared.pop(key)
            shared[key] = value
            shared.add("sum", 2**40)
            shared.add("sum", -(2**40))
        for key in KEYS:
            shared.get(key)
        list(shared), list(shared.items()), list(shared.values())
        shared.to_python(), shared == shared.copy(), repr(shared)
        key, last = shared.popitem()
        shared[key] = last
        bad: Any
        for bad in (Own(), [], "absent"):
            for use in (shared.__getitem__, shared.__delitem__, shared.pop):
                with pytest.raises((KeyError, TypeError)):
                    use(bad)

    assert least_growth(one_pass) <= 0
