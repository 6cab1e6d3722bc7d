"""`onecopy.Set`: it behaves as a set, by itself and for many processes at once."""

from __future__ import annotations

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
SET: Any = onecopy.Set
METHODS = ("fork", "forkserver", "spawn")


def test_it_is_a_mutable_set_of_its_own_class() -> None:
    shared = SET("abc")
    assert isinstance(shared, collections.abc.MutableSet)
    assert SET[str].__args__ == (str,)
    assert repr(SET()) == "onecopy.Set()"
    assert repr(SET([1])) == "onecopy.Set({1})"
    with pytest.raises(TypeError, match="unhashable"):
        hash(shared)


def test_elements_keep_the_order_in_which_they_were_added() -> None:
    shared = SET([3, 1, 2, 1])
    assert list(shared) == [3, 1, 2]
    assert [shared.pop() for _ in range(3)] == [3, 1, 2]
    with pytest.raises(KeyError):
        shared.pop()


def test_elements_come_and_go() -> None:
    shared = SET()
    assert shared.add((1, "a")) is None
    shared.add((1, "a"))
    assert len(shared) == 1
    assert (1.0, "a") in shared
    shared.discard("absent")
    with pytest.raises(KeyError) as caught:
        shared.remove((2, 3))
    assert caught.value.args == ((2, 3),)
    shared.remove((1, "a"))
    assert not shared
    shared.verify()


def test_a_set_is_looked_for_as_the_frozenset_that_it_equals() -> None:
    shared = SET([frozenset({1, 2})])
    assert {2, 1} in shared
    shared.remove({1, 2})
    assert not shared
    with pytest.raises(TypeError, match="unhashable"):
        shared.add({1})


def test_elements_that_others_cannot_find_are_refused() -> None:
    for use in (SET().add, SET().discard, SET().__contains__):
        with pytest.raises(TypeError, match="cannot be a key"):
            use(object())


def test_operators_give_real_sets() -> None:
    shared = SET([1, 2, 3])
    for result, expected in (
        (shared | {4}, {1, 2, 3, 4}),
        (shared & {1, 9}, {1}),
        (shared - {1}, {2, 3}),
        (shared ^ {1, 4}, {2, 3, 4}),
        ({4} | shared, {1, 2, 3, 4}),
        ({4, 1} - shared, {4}),
        (shared & SET([3]), {3}),
        (shared | {5: 0}.keys(), {1, 2, 3, 5}),
        (shared.union([7], "a"), {1, 2, 3, 7, "a"}),
        (shared.copy(), {1, 2, 3}),
    ):
        assert type(result) is set
        assert result == expected
    for operand in ([1], "a", None):
        with pytest.raises(TypeError):
            shared | operand
        with pytest.raises(TypeError, match="unsupported operand"):
            shared |= operand
    assert shared == {1, 2, 3} == shared
    assert shared != [1, 2, 3]
    assert shared < {1, 2, 3, 4}
    assert shared >= SET([1])


def test_operators_in_place_change_the_shared_one() -> None:
    shared = same = SET(range(10))
    shared |= {10}
    shared &= set(range(5, 20))
    shared -= {7}
    shared ^= {5, 50}
    assert shared is same
    assert shared == {6, 8, 9, 10, 50}
    shared -= shared
    assert shared == set()
    shared.update([1, 2], (3,), SET([4]))
    shared.intersection_update([1, 2, 3], {2, 3, 9})
    shared.difference_update([2], [5])
    shared.symmetric_difference_update([3, 4])
    assert shared == {4}
    shared.verify()


def test_in_place_operators_of_many_threads_lose_nothing() -> None:
    import threading

    shared = SET(range(400))

    def take(start: int) -> None:
        for first in range(start, 400, 40):
            shared.difference_update(range(first, first + 10))
            shared.update([("gone", first)])

    threads = [threading.Thread(target=take, args=(start,)) for start in range(0, 40, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared == {("gone", first) for first in range(0, 400, 10)}


def take_all(tasks: Any, done: Any) -> None:
    while True:
        try:
            task = tasks.pop()
        except KeyError:
            return
        done.add((task, os.getpid()))


@pytest.mark.parametrize("method", METHODS)
def test_each_element_is_taken_by_one_process(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    tasks, done = SET(range(1000)), SET()
    workers = [context.Process(target=take_all, args=(tasks, done)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(task for task, _ in done) == list(range(1000))
    assert not tasks
    done.verify()


def change_for_ever(shared: Any, ready: Any) -> None:
    number = 0
    while True:
        shared.add(f"element {number % 200}")
        shared.discard(f"element {(number + 100) % 200}")
        shared.symmetric_difference_update(range(number % 30))
        number += 1
        if number == 20:
            ready.set()


def test_a_writer_that_is_killed_leaves_a_whole_set() -> None:
    context = multiprocessing.get_context("fork")
    shared = SET()
    for _ in range(10):
        ready = context.Event()
        writer = context.Process(target=change_for_ever, args=(shared, ready))
        writer.start()
        assert ready.wait(60)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        shared.add("survivor")
        assert "survivor" in shared
        shared.verify()


def test_a_copy_by_pickle_is_the_same_set() -> None:
    shared = SET()
    pickle.loads(pickle.dumps(shared)).add("a")
    assert shared == {"a"}


def test_any_number_of_passes_leaves_as_many_blocks_as_the_first() -> None:
    elements = [1, 2**70, "a", "a longer element", (1, "b"), frozenset({1}), None, 0.5]
    shared = SET(elements)

    def one_pass() -> None:
        for element in elements:
            for _ in range(20):
                shared.add(element)
                element in shared  # noqa: B015
                shared.remove(element)
                shared.add(element)
        list(shared), shared | {1}, shared == set(elements), repr(shared), shared.copy()
        shared.symmetric_difference_update([1, "new"])
        shared.symmetric_difference_update([1, "new"])
        with pytest.raises(KeyError):
            shared.remove("absent")
        with pytest.raises(TypeError):
            shared.add(object())

    assert least_growth(one_pass) <= 12  # what comes with the interpreter's own caches
