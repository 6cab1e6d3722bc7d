"""`onecopy.Counter`: it counts as `collections.Counter` does, and loses nothing when many processes count."""

from __future__ import annotations

import collections
import collections.abc
import multiprocessing
import os
import pickle
import signal
from typing import Any

import pytest

import onecopy
from conftest import least_growth

# Tests do what types forbid.
COUNTER: Any = onecopy.Counter

METHODS = ("fork", "forkserver", "spawn")


def test_it_is_a_mutable_mapping_of_its_own_class() -> None:
    shared = COUNTER()
    assert isinstance(shared, collections.abc.MutableMapping)
    assert repr(shared) == "onecopy.Counter()"
    assert repr(COUNTER("abb")) == "onecopy.Counter({'b': 2, 'a': 1})"
    assert COUNTER[str].__args__ == (str,)
    with pytest.raises(NotImplementedError):
        COUNTER.fromkeys("abc")


def test_what_was_never_counted_counts_zero() -> None:
    shared = COUNTER("abb", c=3)
    assert shared["b"] == 2
    assert shared["c"] == 3
    assert shared["x"] == 0
    assert "x" not in shared
    assert shared.get("x") is None
    del shared["x"]
    del shared["b"]
    assert dict(shared) == {"a": 1, "c": 3}
    assert shared.pop("c") == 3
    with pytest.raises(KeyError):
        shared.pop("c")


def test_counts_are_added_and_subtracted() -> None:
    shared = COUNTER(a=1)
    assert shared.add("a") == 2
    assert shared.add("b", 5) == 5
    shared.update("aab")
    shared.update({"a": 10}, c=0.5)
    shared.subtract(["a", "z"])
    shared.subtract(b=1)
    shared.update(COUNTER(a=100))
    assert shared == {"a": 113, "b": 5, "c": 0.5, "z": -1}
    assert shared.total() == 117.5
    shared["a"] += 1
    assert shared["a"] == 114
    assert shared.update_with("new", lambda count: count + 7) == 7
    with pytest.raises(TypeError, match="add"):
        shared.update({"a": "many"})
    shared.verify()


def test_the_most_common_come_first() -> None:
    shared = COUNTER("abracadabra")
    assert shared.most_common(3) == [("a", 5), ("b", 2), ("r", 2)]
    assert shared.most_common() == collections.Counter("abracadabra").most_common()
    assert sorted(shared.elements()) == sorted("abracadabra")


OPERATORS = ["__add__", "__sub__", "__and__", "__or__"]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("kind", [collections.Counter, COUNTER])
def test_operators_give_real_counters(name: str, kind: Any) -> None:
    left, right = {"a": 3, "b": -1, "c": 2}, {"a": 1, "b": 4, "d": 0}
    expected = getattr(collections.Counter(left), name)(collections.Counter(right))
    result = getattr(COUNTER(left), name)(kind(right))
    assert type(result) is collections.Counter
    assert result == expected
    reflected = getattr(collections.Counter(right), name)(collections.Counter(left))
    assert getattr(COUNTER(left), name.replace("__", "__r", 1))(collections.Counter(right)) == reflected


def test_signs() -> None:
    shared = COUNTER(a=3, b=-1)
    assert +shared == {"a": 3}
    assert -shared == {"b": 1}


def test_operators_in_place_change_the_shared_one() -> None:
    shared = same = COUNTER(a=3, b=1)
    shared += collections.Counter(a=1, c=2)
    assert shared == {"a": 4, "b": 1, "c": 2}
    shared -= COUNTER(a=4)
    assert shared == {"b": 1, "c": 2}
    shared |= collections.Counter(b=5)
    shared &= collections.Counter(b=4, c=9)
    assert shared is same
    assert dict(shared) == {"b": 4, "c": 2}
    with pytest.raises(TypeError):
        shared += 1
    shared.verify()


def test_counters_are_compared_as_counters() -> None:
    shared = COUNTER(a=1, b=0)
    assert shared == collections.Counter(a=1)
    assert collections.Counter(a=1) == shared
    assert shared == COUNTER(a=1)
    assert shared != collections.Counter(a=2)
    assert shared <= collections.Counter(a=2)
    assert shared < COUNTER(a=1, c=1)
    assert shared != {"a": 1}
    assert shared == {"a": 1, "b": 0}
    assert shared != 1


def count(shared: Any, rounds: int) -> None:
    for number in range(rounds):
        shared.add(number % 7)
        shared.update(["all", "all", ("tuple", number % 3)])


@pytest.mark.parametrize("method", METHODS)
def test_processes_count_at_once(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    shared = COUNTER()
    rounds, workers = 420, 3
    processes = [context.Process(target=count, args=(shared, rounds)) for _ in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    expected: collections.Counter[Any] = collections.Counter({"all": 2 * rounds * workers})
    expected.update(dict.fromkeys(range(7), rounds // 7 * workers))
    expected.update({("tuple", number): rounds // 3 * workers for number in range(3)})
    assert shared == expected
    shared.verify()


def count_for_ever(shared: Any, ready: Any) -> None:
    for number in range(1 << 60):
        shared.add("count")
        shared.update([number % 50, f"a word {number % 11}"])
        if number == 20:
            ready.set()


def test_a_process_that_is_killed_while_it_counts_loses_no_count_of_others() -> None:
    context = multiprocessing.get_context("fork")
    shared = COUNTER()
    for _ in range(10):
        ready = context.Event()
        writer = context.Process(target=count_for_ever, args=(shared, ready))
        writer.start()
        assert ready.wait(60)
        for _ in range(100):
            shared.add("mine")
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        shared.verify()
    assert shared["mine"] == 1000


def test_a_copy_by_pickle_is_the_same_counter() -> None:
    shared = COUNTER()
    pickle.loads(pickle.dumps(shared)).add("a")
    assert shared == {"a": 1}


def test_any_number_of_passes_leaves_as_many_blocks_as_the_first() -> None:
    shared = COUNTER("abc")

    def one_pass() -> None:
        for _ in range(50):
            shared.add("a")
            shared.add("wide", 2**70)
            shared.add("wide", -(2**70))
            shared.update("abc")
            shared.subtract("abc")
            shared["absent"]
            del shared["absent"]
        shared.most_common(), shared + shared, shared == shared.copy(), repr(shared)
        shared.pop("wide")
        with pytest.raises(TypeError):
            shared.add("a", "b")

    assert least_growth(one_pass) <= 12  # what comes with the interpreter's own caches
