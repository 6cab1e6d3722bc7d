"""Plain data with containers in it: they stay themselves in it, in every container and in every process."""

from __future__ import annotations

import dataclasses
import gc
import multiprocessing
import pickle
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onecopy
from onecopy import _containers, managers

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.context import BaseContext

WATCHDOG_S = 120


@dataclasses.dataclass
class Request:
    """What a client sends: a job, and where the reply goes."""

    job: Any
    replies: Any


class Slotted:
    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held


MAKERS: list[Callable[[], Any]] = [
    lambda: onecopy.List([1]),
    lambda: onecopy.Dict(a=1),
    lambda: onecopy.Set([1]),
    lambda: onecopy.Counter(a=1),
    lambda: onecopy.Value(1),
    lambda: onecopy.Array(3),
    lambda: onecopy.Namespace(a=1),
    onecopy.Queue,
    onecopy.LifoQueue,
    onecopy.Lock,
    onecopy.RLock,
    lambda: onecopy.Semaphore(2),
    lambda: onecopy.BoundedSemaphore(2),
    onecopy.Event,
    onecopy.Condition,
    lambda: onecopy.Barrier(2),
    lambda: managers.ManagedArray("i", [1]),
    lambda: managers.ManagedNamespace(a=1),
    lambda: onecopy.share([1, 2, 3]),
    lambda: onecopy.share({"a": [1]}),
    lambda: onecopy.share(np.arange(3)),
]

WRAPS: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (lambda held: [held], lambda data: data[0]),
    (lambda held: (1, held), lambda data: data[1]),
    (lambda held: {"deep": [{"er": held}]}, lambda data: data["deep"][0]["er"]),
    (Slotted, lambda data: data.held),
    (lambda held: Request(1, held), lambda data: data.replies),
]


def is_same(one: Any, other: Any) -> bool:
    """Whether both stand for one object of the store."""
    return onecopy.Value(one).compare_exchange(other, None)


@pytest.mark.parametrize("wrap", range(len(WRAPS)))
@pytest.mark.parametrize("kind", range(len(MAKERS)))
def test_each_kind_comes_out_as_itself(kind: int, wrap: int) -> None:
    held = MAKERS[kind]()
    put, look = WRAPS[wrap]
    boxes: list[tuple[Any, Callable[[Any], Any]]] = [
        (onecopy.List([put(held)]), lambda box: box[0]),
        (onecopy.Dict(a=put(held)), lambda box: box["a"]),
        (onecopy.Value(put(held)), lambda box: box.get()),
        (onecopy.Namespace(a=put(held)), lambda box: box.a),
    ]
    queue: onecopy.Queue[Any] = onecopy.Queue()
    queue.put(put(held))
    boxes.append((queue, lambda box: box.get_nowait()))
    for box, read in boxes:
        found = look(read(box))
        assert isinstance(held, type(found))
        assert is_same(found, held)


def answer(requests: onecopy.Queue[Request | None]) -> None:
    while (request := requests.get(timeout=WATCHDOG_S)) is not None:
        request.replies.put((request, request.job * 2))


def test_a_request_carries_the_queue_of_its_reply(context: BaseContext) -> None:
    gc.collect()
    onecopy.collect()
    before = onecopy.stats()
    requests: onecopy.Queue[Request | None] = onecopy.Queue()
    workers: list[Any] = [context.Process(target=answer, args=(requests,)) for _ in range(2)]  # type: ignore[attr-defined]
    for worker in workers:
        worker.start()
    mine: list[onecopy.Queue[Any]] = [onecopy.Queue() for _ in range(3)]
    for job in range(60):
        requests.put(Request(job, mine[job % 3]))
    for number, replies in enumerate(mine):
        got = [replies.get(timeout=WATCHDOG_S) for _ in range(20)]
        assert sorted(request.job for request, _ in got) == list(range(number, 60, 3))
        assert all(is_same(request.replies, replies) and result == request.job * 2 for request, result in got)
    for _ in workers:
        requests.put(None)
    for worker in workers:
        worker.join(WATCHDOG_S)
        assert worker.exitcode == 0
    workers.clear()
    del requests, mine, replies, got
    gc.collect()
    onecopy.collect()
    after = onecopy.stats()
    assert (after.containers, after.units, after.references) == (before.containers, before.units, before.references)


def test_what_is_twice_in_the_data_is_one_object() -> None:
    inner = onecopy.List([1])
    data: list[Any] = [inner, {"again": inner}, onecopy.List([1])]
    box = onecopy.Value(data)
    found = box.get()
    assert found[0] is found[1]["again"]
    assert not is_same(found[0], found[2])
    found[0].append(2)
    assert inner == [1, 2]
    assert found == data


def test_it_lives_as_long_as_the_value() -> None:
    before = onecopy.stats()
    box: onecopy.Dict[str, Any] = onecopy.Dict()
    for number in range(100):
        box["a"] = [onecopy.List([number]), "x" * 1000]
    assert box["a"] == [[99], "x" * 1000]
    assert onecopy.stats().containers == before.containers + 3
    inner = box.pop("a")[0]
    assert onecopy.stats().containers == before.containers + 2
    assert inner == [99]
    del inner, box
    assert onecopy.stats() == dataclasses.replace(
        onecopy.stats(), containers=before.containers, units=before.units, references=before.references
    )


def test_circles_through_plain_data_are_collected() -> None:
    onecopy.collect()
    before = onecopy.stats().containers
    ring: onecopy.List[Any] = onecopy.List()
    ring.append({"me": ring, "other": [onecopy.Dict(back=(ring,))]})
    assert ring[0]["other"][0]["back"][0][0]["me"] == ring
    del ring
    assert onecopy.stats().containers > before
    onecopy.collect()
    assert onecopy.stats().containers == before


def test_large_data_is_kept_too() -> None:
    inner = onecopy.List([1])
    text = "é" * (3 << 20)
    box = onecopy.List([(inner, text)])
    found = box[0]
    assert found[1] == text
    assert is_same(found[0], inner)


def test_an_image_of_the_store_stays_one_copy() -> None:
    view = onecopy.share(list(range(100_000)))
    before = onecopy.stats().live_objects
    box = onecopy.List([(number, view) for number in range(20)])
    found = box.to_python()
    assert all(type(item[1]) is onecopy.views.ListView for item in found)
    assert onecopy.stats().live_objects == before


def dict_of_any() -> onecopy.Dict[Any, Any]:
    return onecopy.Dict()


def test_what_fails_leaves_nothing(tmp_path: Any) -> None:
    before = onecopy.stats()
    box: onecopy.List[Any] = onecopy.List()
    with pytest.raises(TypeError, match=r"value\[1\]: a container cannot hold this function"):
        box.append([onecopy.Queue(), lambda: None])
    with pytest.raises(TypeError, match=r"as it was made.*x\.to_numpy\(\)"):
        box.append([onecopy.Array(5)[1:]])
    with pytest.raises(TypeError, match="cannot be inside shared data"):
        onecopy.share([box])
    with pytest.raises(TypeError, match="cannot be inside shared data"):
        onecopy.save([box], tmp_path / "file")
    with pytest.raises(TypeError):
        dict_of_any()[(box,)] = 1
    assert box == []
    del box
    after = onecopy.stats()
    assert (after.containers, after.units, after.references) == (before.containers, before.units, before.references)
    with pytest.raises(pickle.UnpicklingError, match="by the container alone"):
        _containers._left_out(0)


class Curious:
    """Reads other data with containers in it while it is unpickled."""

    def __init__(self, box: onecopy.List[Any]) -> None:
        self.box = box
        self.seen: Any = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.box = state["box"]
        self.seen = self.box[0]


def test_reading_may_read() -> None:
    box = onecopy.List([[onecopy.Dict(a=1)]])
    value: onecopy.Value[Any] = onecopy.Value([onecopy.Set([1]), Curious(box), onecopy.Set([2])])
    first, curious, last = value.get()
    assert (first, curious.seen, last) == ({1}, [{"a": 1}], {2})


def test_threads_read_each_their_own() -> None:
    boxes: list[onecopy.Value[Any]] = [
        onecopy.Value([onecopy.Value(number), [onecopy.Value(-number)]]) for number in range(4)
    ]
    wrong: list[Any] = []
    start = threading.Barrier(4)

    def read(number: int) -> None:
        start.wait(WATCHDOG_S)
        for _ in range(300):
            one, [other] = boxes[number].get()
            if (one.get(), other.get()) != (number, -number):
                wrong.append((number, one, other))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WATCHDOG_S)
    assert wrong == []


def test_list_methods_see_the_data() -> None:
    inner = onecopy.List([1])
    box: onecopy.List[Any] = onecopy.List([[inner], (2, inner), 3])
    assert box == [[[1]], (2, [1]), 3]
    assert [[1]] in box
    assert box.index((2, [1])) == 1
    assert box.count([inner]) == 1
    box.remove([[1]])
    assert repr(box) == "onecopy.List([(2, onecopy.List([1])), 3])"
    assert box[:1] == [(2, inner)]
    box[:] = [[inner]] * 3
    assert box.pop() == [inner]
    box.extend(box.copy())
    assert len(box) == 4
    assert all(is_same(found[0], inner) for found in box)


def test_update_with_sees_what_it_replaces() -> None:
    box: onecopy.Dict[str, Any] = onecopy.Dict(a=[onecopy.Value(1)])
    replaced = box.update_with("a", lambda old: [old[0], onecopy.Value(old[0].get() + 1)])
    assert [value.get() for value in replaced] == [1, 2]
    assert [value.get() for value in box["a"]] == [1, 2]


def test_reading_leaks_nothing() -> None:
    box: onecopy.List[Any] = onecopy.List([[onecopy.List([1]), number] for number in range(50)])

    def blocks() -> int:
        for _ in range(3):
            for data in box:
                data[0].append(data[1])
            box.to_python()
        gc.collect()
        return sys.getallocatedblocks()

    blocks()
    first = blocks()
    assert blocks() - first < 50
    assert blocks() - first < 50


def grow(data: Any) -> int:
    data["in"][0].append(data["n"])
    return len(data["in"][0])


def test_a_worker_changes_what_is_in_it(other_process: ProcessPoolExecutor) -> None:
    inner: onecopy.List[int] = onecopy.List()
    box = onecopy.List([{"n": 7, "in": (inner,)}])
    # The list is handed over, and a dict as it comes out of one: each is good for as many workers as there are.
    assert other_process.submit(first_of, box).result(WATCHDOG_S) == 1
    assert other_process.submit(grow, box[0]).result(WATCHDOG_S) == 2
    assert inner == [7, 7]


def first_of(box: onecopy.List[Any]) -> int:
    return grow(box[0])


def put_and_die(box: onecopy.List[Any], start: Any) -> None:
    start.wait()
    while True:
        box.append([onecopy.List([1]), "x"])
        box.clear()


def test_whoever_is_killed_leaves_nothing(start_method: str) -> None:
    context: Any = multiprocessing.get_context(start_method)
    box: onecopy.List[Any] = onecopy.List()
    for _ in range(5):
        start = context.Event()
        worker = context.Process(target=put_and_die, args=(box, start))
        worker.start()
        start.set()
        while not len(box):
            assert worker.is_alive()
        worker.kill()
        worker.join(WATCHDOG_S)
        assert all(data == [[1], "x"] for data in box)
        box.clear()
        onecopy.collect()
        box.verify()
    found = onecopy.stats().containers
    del box
    assert onecopy.stats().containers == found - 1
