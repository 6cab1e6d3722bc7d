"""Containers and views as values of containers: what comes out is the thing itself, in every process."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

import onecopy
from onecopy.errors import Gone

np = pytest.importorskip("numpy")

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.context import BaseContext

KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "List": (lambda: onecopy.List([1]), lambda inner: inner.append(2)),
    "Dict": (lambda: onecopy.Dict(a=1), lambda inner: inner.update(b=2)),
    "Set": (lambda: onecopy.Set({1}), lambda inner: inner.add(2)),
    "Counter": (lambda: onecopy.Counter(a=1), lambda inner: inner.add("a")),
    "Value": (lambda: onecopy.Value(1), lambda inner: inner.set([2])),
    "Namespace": (lambda: onecopy.Namespace(a=1), lambda inner: setattr(inner, "b", 2)),
    "Array": (lambda: onecopy.Array((2, 3), "int32"), lambda inner: inner.add((1, 2), 5)),
}
OUTER: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "List": (lambda inner: onecopy.List([0, inner]), lambda outer: outer[1]),
    "Dict": (lambda inner: onecopy.Dict(inner=inner), lambda outer: outer["inner"]),
    "Value": (onecopy.Value, lambda outer: outer.get()),
    "Namespace": (lambda inner: onecopy.Namespace(inner=inner), lambda outer: outer.inner),
}


def plain(inner: Any) -> Any:
    """The content, to be compared."""
    if isinstance(inner, np.ndarray):
        return inner.tolist()
    if isinstance(inner, onecopy.Value):
        return inner.get()
    return vars(inner) if isinstance(inner, onecopy.Namespace) else inner.to_python()


@pytest.fixture(autouse=True)
def settled() -> None:
    """What processes of earlier tests had when they died is given back before anything is counted."""
    gc.collect()
    onecopy.collect()


def figures() -> tuple[int, ...]:
    gc.collect()
    stats = onecopy.stats()
    return stats.containers, stats.references, stats.live_objects, stats.units, stats.allocated_bytes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("outer", OUTER)
def test_what_is_put_in_comes_out_as_itself(kind: str, outer: str) -> None:
    before = figures()
    inner = KINDS[kind][0]()
    holder = OUTER[outer][0](inner)
    found = OUTER[outer][1](holder)
    assert type(found) is type(inner)
    KINDS[kind][1](found)
    assert plain(inner) == plain(found) == plain(OUTER[outer][1](holder)) != plain(KINDS[kind][0]())
    del inner, found
    # The holder keeps it.
    assert plain(OUTER[outer][1](holder)) != plain(KINDS[kind][0]())
    del holder
    assert figures() == before


def change(holder: Any) -> tuple[list[str], list[Any]]:
    for inner in holder:
        KINDS[type(inner).__name__][1](inner)
    holder[0].append(holder[1])
    return [type(inner).__name__ for inner in holder], [plain(inner) for inner in holder[1:]]


def test_another_process_changes_what_is_inside(other_process: ProcessPoolExecutor) -> None:
    holder: Any = onecopy.List([make() for make, _ in KINDS.values()])
    names, contents = other_process.submit(change, holder).result()
    assert names == list(KINDS)
    assert [plain(inner) for inner in holder[1:]] == contents
    assert holder[0][2]["b"] == 2
    holder[0].clear()


def make_nested() -> Any:
    return onecopy.Dict(rows=onecopy.List([onecopy.Namespace(total=onecopy.Value(3)), onecopy.share([1, 2])]))


def test_what_another_process_has_put_in_outlives_it(context: BaseContext) -> None:
    holder: Any = onecopy.Value()
    worker = context.Process(target=_set_nested, args=(holder,))  # type: ignore[attr-defined]
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    onecopy.collect()
    rows = holder.get()["rows"]
    assert (rows[0].total.get(), list(rows[1])) == (3, [1, 2])
    rows[0].total.add(1)
    assert holder.get()["rows"][0].total.get() == 4


def _set_nested(holder: Any) -> None:
    holder.set(make_nested())


def test_views_come_out_as_views() -> None:
    views = [onecopy.share([1, 2]), onecopy.share({"a": [1]}), onecopy.share(np.arange(5)), onecopy.share((1, "x"))]
    held: Any = onecopy.List(views)
    objects = onecopy.stats().live_objects
    for view, found in zip(views, held, strict=True):
        assert type(found) is type(view)
        assert list(found) == list(view)
    assert onecopy.stats().live_objects == objects
    array: Any = held[2]
    assert array.__array_interface__["data"] == views[2].__array_interface__["data"]
    # A part is a copy.
    held[0] = views[2][1:]
    assert type(held[0]) is np.ndarray


@pytest.mark.parametrize(
    "drop",
    [
        lambda held: held.clear(),
        lambda held: held.__setitem__(0, 1),
        lambda held: held.__delitem__(0),
        lambda held: held.pop(),
        lambda held: held.__setitem__(slice(None), [1, 2]),
        lambda held: held.remove(held[0]),
    ],
)
def test_what_is_dropped_goes(drop: Callable[[Any], object]) -> None:
    held: Any = onecopy.List()
    before = figures()
    held.append(onecopy.Dict(a="a text that needs a block"))
    assert figures() != before
    drop(held)
    assert figures()[:4] == before[:4]
    held.verify()


def test_thousands_of_changes_leave_nothing() -> None:
    held: Any = onecopy.Dict(a=None)
    inner: Any = onecopy.List([1])

    def turn(count: int) -> None:
        for number in range(count):
            held["a"] = inner
            held["b"] = onecopy.Value(number % 100)
            assert held["a"][0] == 1
            assert held["b"].get() == number % 100
            held["a"] = held["b"] = number

    turn(200)
    before, blocks = figures(), sys.getallocatedblocks()
    turn(2000)
    assert figures() == before
    assert sys.getallocatedblocks() - blocks < 100


def test_a_container_may_hold_itself_until_it_is_collected() -> None:
    before = figures()
    held: Any = onecopy.List([1])
    named: Any = onecopy.Dict(list=held)
    space: Any = onecopy.Namespace(list=held)
    held.extend([held, named, space])
    assert repr(held).count("...") >= 2
    assert held == held[1] == named["list"]
    assert named == held[2]
    assert space == held[3]
    assert held != onecopy.List([1])
    assert held[1][1][1][0] == 1
    same = pickle.loads(pickle.dumps(held))
    assert same == held
    twin: Any = onecopy.List([1])
    twin.extend([twin, named, space])
    with pytest.raises(RecursionError):
        assert held == twin
    del held, named, space, same, twin
    gc.collect()
    onecopy.collect()
    assert figures() == before


def test_what_cannot_be_inside_says_what_can() -> None:
    held: Any = onecopy.List()
    unkeyed: Any = onecopy.Dict()
    array = onecopy.Array((2, 3), "int32")
    for part in (array[0], array.T, array[:, 1:], array.reshape(6)):
        with pytest.raises(TypeError, match=r"to_numpy\(\)"):
            held.append(part)
    with pytest.raises(TypeError, match="unhashable"):
        unkeyed.setdefault(held, 1)
    token = pickle.dumps(onecopy.List([1]))
    del pickle.loads(token)[:]
    with pytest.raises(Gone):
        held.append(pickle.loads(token))
    assert held == []


def _endless(held: Any, ready: Any) -> None:
    ready.set()
    while True:
        inner = onecopy.List(["a text that needs a block"])
        held["a"] = inner
        inner.append(held)
        held["b"] = [inner.to_python()[0]]
        held["a"] = onecopy.Value(3)
        held.clear()


def test_a_killed_worker_leaves_nothing(context: BaseContext) -> None:
    before = figures()
    held: Any = onecopy.Dict()
    for _ in range(3):
        ready = context.Event()
        worker = context.Process(target=_endless, args=(held, ready))  # type: ignore[attr-defined]
        worker.start()
        assert ready.wait(60)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    held.verify()
    held.clear()
    del held
    onecopy.collect()
    assert figures()[:3] == before[:3]
