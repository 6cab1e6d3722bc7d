"""Values of containers: when two are the same, what a copy is, and what adding adds."""

from __future__ import annotations

import copy
import enum
import multiprocessing
import pickle
import threading
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import onecopy
from onecopy import _onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = frozenset({"red", "green", "blue", "black", "white"})


class Tagged:
    """Has no `__eq__`, and a set whose order in a pickle is the process's own."""

    def __init__(self) -> None:
        self.tags = set(WORDS)


class Weight(float):
    """Its sums have a set."""

    def __add__(self, other: float, /) -> Weight:
        total = Weight(float(self) + other)
        total.tags = set(WORDS)
        return total

    tags: set[Any]


class Place:
    """One value of a container, whatever that is."""

    def __init__(self, container: Any, *at: Any) -> None:
        self.container, self.at = container, at

    def get(self) -> Any:
        return self.container.get() if not self.at else self.container[self.at[0]]

    def exchange(self, old: Any, new: Any) -> bool:
        return bool(self.container.compare_exchange(*self.at, old, new))

    def add(self, *amount: Any) -> Any:
        return self.container.add(*self.at, *amount)


def places(value: Any) -> list[Place]:
    return [
        Place(onecopy.Value(value)),
        Place(onecopy.List([value]), 0),
        Place(onecopy.Dict(a=value), "a"),
        Place(onecopy.Counter(a=value), "a"),
    ]


def equal_values() -> list[tuple[Any, Any]]:
    text, twin = (bytes([97, 98, 99, 100]).decode() for _ in range(2))
    holed = set(range(1000))
    holed -= holed - {5, 900}
    inner = onecopy.List([1])
    queue: onecopy.Queue[int] = onecopy.Queue()
    return [
        (["abcd", "abcd"], [text, twin]),
        ([text, text], [text, twin]),
        (holed, {900, 5}),
        ({"tags": holed}, {"tags": {900, 5}}),
        ((1, inner), (1, inner)),
        ({"queue": queue}, {"queue": queue}),
        (1j, 1j),
    ]


@pytest.mark.parametrize("number", range(len(equal_values())))
def test_equal_values_of_one_type_are_exchanged(number: int) -> None:
    kept, old = equal_values()[number]
    for place in places(kept)[:3]:
        assert not place.exchange((old, 1), "lost")
        assert place.exchange(old, "new")
        assert place.get() == "new"
        assert not place.exchange(old, "lost")
    for place in places(kept)[:3]:
        assert place.exchange(place.get(), kept)
        place.container.verify()


def test_values_of_another_type_are_not_the_same() -> None:
    for kept, old in [(1, True), (1.0, 1), ([1], (1,)), ({1}, frozenset({1})), (b"a", bytearray(b"a")), ("a", b"a")]:
        for place in places(kept)[:3]:
            assert not place.exchange(old, "lost")
            assert place.exchange(kept, "new")


def test_containers_themselves_are_the_same_only_if_they_are_one() -> None:
    inner = onecopy.List([1])
    for place in places(inner)[:3]:
        assert not place.exchange(onecopy.List([1]), "lost")
        assert place.exchange(pickle.loads(pickle.dumps(inner)), "new")


def test_what_has_no_equality_is_the_same_as_what_was_read() -> None:
    np = pytest.importorskip("numpy")
    kept = Tagged()
    for place in places(kept)[:3]:
        assert not place.exchange(SimpleNamespace(), "lost")
        assert place.exchange(kept, kept)
        assert place.exchange(place.get(), "new")
    for place in places({"a": np.arange(3)})[:3]:
        assert not place.exchange({"a": np.zeros(3, int)}, "lost")
        assert place.exchange({"a": np.arange(3)}, "new")
    for place in places(np.arange(3))[:3]:
        assert not place.exchange(np.zeros(3, int), "lost")
        assert not place.exchange(np.zeros(4, int), "lost")
        assert place.exchange(np.arange(3), "new")


def test_a_comparison_that_raises_changes_nothing() -> None:
    class Bad(set[int]):
        def __eq__(self, other: object) -> bool:
            raise LookupError("no")

        __hash__ = None

    Bad.__qualname__ = "Bad"
    globals()["Bad"] = Bad
    for place in places({1})[:3]:
        assert not place.exchange(Bad({2}), "lost")
    for place in places(Bad({1}))[:3]:
        with pytest.raises(LookupError):
            place.exchange(Bad({2}), "lost")
        assert type(place.get()) is Bad


def exchange_tags(jobs: onecopy.Dict[str, Any], value: onecopy.Value[Any], items: onecopy.List[Any]) -> None:
    old = jobs["tags"]
    assert jobs.compare_exchange("tags", old, old | {"worker"})
    old = value.get()
    assert value.compare_exchange(old, old | {"worker"})
    assert items.compare_exchange(0, set(WORDS), {"worker"})
    assert items.add(1, 1) == 2.5


def test_a_spawned_worker_exchanges_a_set_of_strs() -> None:
    jobs = onecopy.Dict(tags=set(WORDS))
    value, items = onecopy.Value(set(WORDS)), onecopy.List([set(WORDS), Weight(1.5)])
    worker = multiprocessing.get_context("spawn").Process(target=exchange_tags, args=(jobs, value, items))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    assert jobs["tags"] == value.get() == WORDS | {"worker"}
    assert items[0] == {"worker"}


class Level(enum.IntEnum):
    LOW = 1


class Amount:
    def __index__(self) -> int:
        return 3


def test_add_takes_and_adds_to_the_same_numbers_everywhere() -> None:
    for kept in (1, 1.5, True, 2**70, Level.LOW):
        for amount in (1, 0.5, True, 2**70, Amount(), Level.LOW):
            number = 3 if isinstance(amount, Amount) else amount
            for place in places(kept):
                assert place.add(amount) == kept + number == place.get()
                assert type(place.get()) is type(kept + number)
                place.container.verify()
        for place in places(kept):
            assert place.add() == kept + 1
    for text in ("x", None, [1], 1j, b"1"):
        for place in places(text):
            with pytest.raises(TypeError, match=r"add\(\) adds numbers to numbers"):
                place.add(1)
            assert place.get() == text
        for place in places(1):
            if text is not None:
                with pytest.raises(TypeError, match=r"add\(\) adds numbers to numbers"):
                    place.add(text)
            assert place.get() == 1


def test_add_takes_numbers_of_numpy() -> None:
    np = pytest.importorskip("numpy")
    for kept in (1, np.int64(1), np.uint8(1)):
        for amount in (300, np.int64(300), np.uint16(300)):
            for place in places(kept):
                assert place.add(amount) == 301
                assert type(place.get()) is int


def test_add_to_what_pickles_in_another_order_each_time_ends() -> None:
    for place in places(1)[1:]:
        weight = Weight(1.0)
        weight.tags = set(range(1000)) - (set(range(1000)) - {5, 900})
        place.container[place.at[0]] = weight
        assert place.add(1) == 2.0


def test_counters_name_the_method() -> None:
    counts = onecopy.Counter(a=1)
    with pytest.raises(TypeError, match=r"^update\(\) adds numbers"):
        counts.update({"a": "x"})
    counts["b"] = "x"  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"^subtract\(\) adds numbers"):
        counts.subtract("b")
    with pytest.raises(TypeError, match=r"^Counter\(\) adds numbers"):
        onecopy.Counter({"a": "x"}).__init__({"a": 1})


def copies() -> list[tuple[Any, Any, Callable[[Any], object]]]:
    return [
        (onecopy.List([1, [2]]), [1, [2]], lambda x: x.append(3)),
        (onecopy.Dict(a=[1]), {"a": [1]}, lambda x: x.update(b=2)),
        (onecopy.Set("ab"), set("ab"), lambda x: x.add("c")),
        (onecopy.Counter("aab"), Counter("aab"), lambda x: x.update("c")),
        (onecopy.Namespace(a=[1]), SimpleNamespace(a=[1]), lambda x: setattr(x, "b", 2)),
    ]


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("number", range(len(copies())))
def test_a_copy_is_real_and_ones_own(number: int, how: Callable[[Any], Any]) -> None:
    container, real, change = copies()[number]
    before = pickle.loads(pickle.dumps(container))
    own = how(container)
    assert type(own) is type(real)
    assert own == real
    change(own)
    assert own != real
    assert how(before) == real
    twice = copy.deepcopy([container, before])
    assert twice[0] is twice[1]


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_value_is_another_value(how: Callable[[Any], Any]) -> None:
    value = onecopy.Value([1])
    own = how(value)
    own.set(2)
    assert value.get() == [1]
    assert own != value


def test_a_deep_copy_has_no_containers_in_it_and_a_shallow_one_has() -> None:
    inner = onecopy.List([1])
    for outer in (onecopy.List([inner, (inner,)]), onecopy.Dict({0: inner, 1: (inner,)})):
        shallow: Any = copy.copy(outer)
        deep: Any = copy.deepcopy(outer)
        inner.append(2)
        assert shallow[0] == [1, 2] == shallow[1][0]
        assert type(shallow[0]) is onecopy.List
        assert type(deep[0]) is type(deep[1][0]) is list
        assert deep[0] is deep[1][0]
        assert deep[0] == [1]
        inner.pop()


def test_a_deep_copy_of_what_contains_itself_ends() -> None:
    outer: onecopy.List[Any] = onecopy.List()
    outer.append(outer)
    deep: Any = copy.deepcopy(outer)
    assert type(deep) is list
    assert deep[0] is deep
    value: onecopy.Value[Any] = onecopy.Value()
    value.set(value)
    own = copy.deepcopy(value)
    assert own.get() == own != value
    names = onecopy.Namespace(a=1)
    names.itself = names
    real = copy.deepcopy(names)
    assert real.itself is real
    assert real.a == 1
    del names.itself
    outer.clear()
    value.set(None)
    own.set(None)


WAITING: list[Callable[[], Any]] = [
    onecopy.Queue, onecopy.LifoQueue, onecopy.Lock, onecopy.RLock, onecopy.Semaphore, onecopy.BoundedSemaphore,
    onecopy.Event, onecopy.Condition, lambda: onecopy.Barrier(1),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WAITING)))
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_what_others_wait_for_has_no_copy(number: int, how: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="cannot be copied"):
        how(WAITING[number]())


@pytest.mark.parametrize("number", range(len(WAITING) + 1))
def test_what_comes_out_equals_what_was_put_in(number: int) -> None:
    kinds: list[Callable[[], Any]] = [*WAITING, lambda: onecopy.Value(1)]
    make = kinds[number]
    one, other = make(), make()
    items = onecopy.List([other, one])
    assert items[1] == one != items[0]
    assert hash(items[1]) == hash(one) == hash(pickle.loads(pickle.dumps(one)))
    assert items == items.copy() == [other, one]
    assert items.index(one) == 1
    assert {one: 1, other: 2}[items[1]] == 1
    items.remove(one)
    assert items == [other]
    assert one != 1
    jobs = onecopy.Dict(a=one)
    assert jobs == {"a": one}
    assert jobs["a"] == jobs["a"]


class Worker:
    def __init__(self) -> None:
        self.barrier = onecopy.Barrier(1, self.act)
        self.acts = onecopy.Value(0)

    def act(self) -> None:
        self.acts.add(1)


def test_a_barrier_whose_action_leads_to_it_can_be_put_in() -> None:
    worker = Worker()
    for same in (onecopy.List([worker])[0], onecopy.Value(worker.barrier).get(), pickle.loads(pickle.dumps(worker))):
        barrier = same.barrier if isinstance(same, Worker) else same
        barrier.wait()
    assert worker.acts.get() == 3
    del worker, same, barrier
    onecopy.collect()


def test_asking_what_something_is_does_nothing_else() -> None:
    barrier = onecopy.Barrier(1, lambda: None)  # which cannot be pickled
    assert _onecopy.is_container(barrier)
    with pytest.raises(TypeError):
        onecopy.List([barrier])
    with pytest.raises(TypeError):
        onecopy.List([barrier])


def test_namespaces_and_arrays_cannot_be_derived_from() -> None:
    with pytest.raises(TypeError, match="cannot be derived from"):
        type("Own", (onecopy.Namespace,), {})
    pytest.importorskip("numpy")
    with pytest.raises(TypeError, match="cannot be derived from"):
        type("Own", (onecopy.Array,), {})


def test_a_function_that_changes_its_container_is_told_by_which_method_and_what_to_do() -> None:
    value = onecopy.Value(0)

    def late(old: int) -> int:
        value.set(old + 1)
        return old

    with pytest.raises(RuntimeError, match=r"^update_with\(\): .*return"):
        value.update_with(late)


def test_who_waits_in_vain_is_told_for_which_container() -> None:
    words = onecopy.Set(range(3719))
    texts: list[str] = []

    def take() -> None:
        try:
            words.lock.acquire(timeout=0)
        except TimeoutError as error:
            texts.append(str(error))

    with words.lock:
        thread = threading.Thread(target=take)
        thread.start()
        thread.join(60)
    identity = next(row.id for row in onecopy.store.containers() if (row.kind, row.length) == ("Set", 3719))
    assert f"the lock of container {identity} " in texts[0]
    assert "kill" not in texts[0]


def test_a_default_can_be_named() -> None:
    counts: onecopy.Dict[str, int] = onecopy.Dict()
    assert counts.update_with("a", lambda old: old + 1, default=5) == 6
    assert counts.update_with("a", lambda old: old + 1, default=5) == 7
    settings = onecopy.Namespace()
    assert settings.update_with("a", lambda old: old + 1, default=5) == 6
    with pytest.raises(AttributeError):
        settings.update_with("b", lambda old: old)


def test_a_lock_goes_with_its_container() -> None:
    containers: list[Any] = [onecopy.List(), onecopy.Namespace(), onecopy.Array(1)]
    for held in containers:
        with pytest.raises(TypeError, match="pass the container"):
            pickle.dumps(held.lock)
        with pytest.raises(TypeError, match="pass the container"):
            onecopy.Value([held.lock])
