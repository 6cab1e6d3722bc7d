"""`onecopy.List` and `onecopy.Value` against what a list does, with other processes beside, and as memory runs out."""

from __future__ import annotations

import enum
import math
import multiprocessing
import os
import pickle
import random
import signal
import struct
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

# Tests do what types forbid.
LIST: Any = onecopy.List
VALUE: Any = onecopy.Value


class Number(int):
    """Keeps its type."""


class Text(str):
    """Keeps its type."""

    __slots__ = ()


class Color(enum.IntEnum):
    """An int that is more."""

    RED = 1


class Grows:
    """Changes the list of the test when it is compared."""

    target: Any = None

    def __eq__(self, other: object) -> bool:
        Grows.target.append(0)
        return False

    __hash__ = None  # type: ignore[assignment]


class Raises:
    """Cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError

    __hash__ = None  # type: ignore[assignment]


VALUES: list[Any] = [
    *(None, True, False, 0, -1, 2**47 - 1, 2**47, -(2**47) - 1, 2**63, 2**64, -(2**63) - 1, 2**1000, -(2**999)),
    *(
        0.0,
        -0.0,
        1.5,
        math.inf,
        -math.inf,
        "",
        "five5",
        "longer than five",
        "é",
        "日本",
        "🦀",
        "\ud800",
        "a\udfffb" * 9,
    ),
    *(b"", b"12345", b"123456", bytes(range(256)), (1, "x"), [1, [2]], {"a": 1}, {1}, 3 + 4j),
    *(Number(7), Text("text"), Color.RED),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20].encode("ascii", "replace").decode())
def test_values_come_back_as_they_were(value: Any) -> None:
    held = LIST([value])
    held.append(value)
    cell = VALUE(value)
    for found in (held[0], held[-1], *held, held.copy()[0], held[:1][0], cell.get(), held.pop()):
        assert found == value
        assert type(found) is type(value)
        assert repr(found) == repr(value)
    held.verify()


@pytest.mark.parametrize("bits", [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000123, 0xFFFFFFFFFFFFFFFF])
def test_payloads_of_nans_stay(bits: int) -> None:
    (nan,) = struct.unpack("<d", struct.pack("<Q", bits))
    held = LIST([nan])
    for found in (held[0], next(iter(held)), held.pop()):
        assert struct.unpack("<Q", struct.pack("<d", found)) == (bits,)


@pytest.mark.parametrize("wrap", [lambda held: [held], lambda held: {"a": (held,)}])
@pytest.mark.parametrize("inner", [LIST, VALUE])
def test_a_container_inside_shared_data_is_refused(inner: Any, wrap: Callable[[Any], Any]) -> None:
    before = onecopy.stats().units
    with pytest.raises(TypeError, match="an argument of its own"):
        onecopy.share(wrap(inner()))
    assert onecopy.stats().units == before


def test_a_view_inside_a_container_is_its_content() -> None:
    held = LIST([onecopy.share([1, 2]), (onecopy.share({"a": 1}),)])
    for _ in range(2):
        assert held == [[1, 2], ({"a": 1},)]


@pytest.mark.parametrize("change", ["append", "insert", "extend", "set", "slice", "exchange"])
def test_what_cannot_be_pickled_changes_nothing(change: str) -> None:
    held = LIST([1, 2, 3])
    bad: Any = lambda: None  # noqa: E731 - has no name to be found by
    changes: dict[str, Callable[[], Any]] = {
        "append": lambda: held.append(bad),
        "insert": lambda: held.insert(0, bad),
        "extend": lambda: held.extend([4, bad]),
        "set": lambda: held.__setitem__(0, bad),
        "slice": lambda: held.__setitem__(slice(0, 2), [4, bad]),
        "exchange": lambda: held.compare_exchange(0, 1, bad),
    }
    with pytest.raises(TypeError, match="cannot hold this"):
        changes[change]()
    assert held == [1, 2, 3]


HUGE = 2**100
MISUSES: dict[str, Callable[[Any], Any]] = {
    "insert": lambda x: x.insert(HUGE, 1),
    "pop": lambda x: x.pop(-HUGE),
    "get": lambda x: x[HUGE],
    "set": lambda x: x.__setitem__(-HUGE, 1),
    "del": lambda x: x.__delitem__(HUGE),
    "times": lambda x: x * HUGE,
    "itimes": lambda x: x.__imul__(HUGE),
    "itimes too much": lambda x: x.__imul__(2**61),
    "itimes float": lambda x: x.__imul__(1.5),
    "step 0": lambda x: x[::0],
    "steps": lambda x: x.__setitem__(slice(0, 3, 2), [1]),
    "hash": hash,
    "order": lambda x: x < (1,),
    "remove": lambda x: x.remove(9),
    "index": lambda x: x.index(3, 0, -1),
    "pop 3": lambda x: x.pop(3),
    "raises": lambda x: x.remove(Raises()),
    "key": lambda x: x.sort(key=lambda at: 1 // (at - 2)),
    "unsortable": lambda x: x.sort(key=lambda at: at if at % 2 else "x"),
    "huge slices": lambda x: (x[-HUGE:HUGE], x[HUGE:-HUGE:-HUGE], x[::HUGE], x[:: -(2**63)]),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_errors_are_those_of_a_list_and_change_nothing(misuse: str) -> None:
    def outcome(held: Any) -> Any:
        try:
            return MISUSES[misuse](held)
        except Exception as error:
            return type(error)

    held = LIST([1, 2, 3])
    assert outcome(held) == outcome([1, 2, 3])
    assert held == [1, 2, 3]


def test_comparisons_that_change_the_list() -> None:
    held = Grows.target = LIST([1, 2])
    assert held.count(Grows()) == 0
    assert Grows() not in held
    with pytest.raises(ValueError, match="not in list"):
        held.remove(Grows())
    assert held[:2] == [1, 2]
    held.verify()


def test_iteration_sees_changes_as_a_lists_does() -> None:
    def walk(held: Any) -> list[int]:
        seen = []
        for element in held:
            seen.append(element)
            if element % 3 == 0 and len(seen) < 300:
                held.append(len(seen))
            if element % 7 == 1:
                del held[0]
        return seen

    assert walk(LIST(range(200))) == walk(list(range(200)))


ROUNDS = 500


def change_all(held: Any, total: Any) -> None:
    for at in range(ROUNDS):
        held.add(0)
        total.add(2**50)
        held.append(str(at) * 3)
        held.append(at)
        held.pop()


def test_processes_change_one_list_at_once(context: Any) -> None:
    held, total = LIST([0]), VALUE(0)
    workers = [context.Process(target=change_all, args=(held, total)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert (held[0], total.get(), len(held)) == (3 * ROUNDS, 3 * ROUNDS * 2**50, 1 + 3 * ROUNDS)
    held.verify()


def insert_for_ever(held: Any, name: int, beat: Any) -> None:
    for at in range(10**9):
        held.append((name, at)) if at % 2 else held.insert(len(held) // 2, f"{name} {at}")
        beat.add(1)


def test_killed_writers_leave_a_sound_list() -> None:
    held, chance = LIST(), random.Random(1)
    context = multiprocessing.get_context("fork")
    for name in range(30):
        beat = VALUE(0)
        worker = context.Process(target=insert_for_ever, args=(held, name, beat))
        worker.start()
        enough = chance.randrange(1, 200)
        while beat.get() < enough:
            assert worker.is_alive()
        worker.kill()
        worker.join(60)
        held.verify()
        mine = [each for each in held if (each[0] == name if isinstance(each, tuple) else each.split()[0] == str(name))]
        assert beat.get() <= len(mine) <= beat.get() + 1  # the last may have gone in without its count
        held.append("after")
        held.pop()


def hold(held: Any, pipe: Any) -> None:
    held.lock.acquire()
    pipe.send(None)
    signal.pause()


def test_the_lock_of_a_stopped_and_then_killed_holder() -> None:
    held = LIST([1])
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    worker = context.Process(target=hold, args=(held, theirs))
    worker.start()
    ours.recv()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WNOWAIT)
    assert held[0] == 1
    with pytest.raises(TimeoutError, match=rf"{worker.pid}.*(stopped|T)"):
        held.lock.acquire(timeout=0.05)
    worker.kill()
    worker.join(60)
    held.append(2)
    assert (held.lock.deaths, held.lock.locked(), held.copy()) == (1, False, [1, 2])


def test_the_lock_is_re_entrant_and_no_fork_childs() -> None:
    held = LIST([0])

    def count() -> None:
        for _ in range(200):
            with held.lock, held.lock:
                held[0] = held[0] + 1

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held[0] == 600
    with held.lock:
        pid = os.fork()
        if pid == 0:
            try:
                held.lock.release()
            except RuntimeError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert held.lock.locked()
    with pytest.raises(RuntimeError):
        held.lock.release()


@pytest.mark.parametrize("value", [2**40, 2**90, 1.5, "some longer text", "日本", b"some bytes", (1, "x")])
def test_reads_keep_nothing(value: Any) -> None:
    held = LIST([value] * 200)

    def read() -> None:
        for at in range(200):
            held[at]
        for _ in held:
            pass
        held.copy()
        held.append(held.pop())

    kept = []
    for _ in range(10):
        before = sys.getallocatedblocks()
        read()
        kept.append(sys.getallocatedblocks() - before)
    assert min(kept[1:]) <= 12


def test_dropped_lists_and_cleared_ones_give_all_back() -> None:
    onecopy.collect()  # what dead workers of other tests held
    before = onecopy.stats()
    held = LIST()
    for at in range(200_000):
        held.append(at)
    grown = onecopy.stats().container_bytes - before.container_bytes
    held.clear()
    assert onecopy.stats().container_bytes - before.container_bytes <= grown // 10
    del held
    after = onecopy.stats()
    assert (after.containers, after.chunks, after.container_bytes) == (
        before.containers,
        before.chunks,
        before.container_bytes,
    )


def test_a_value_is_changed_only_if_it_is_the_same() -> None:
    cell = VALUE(1)
    assert not cell.compare_exchange(True, 2)
    assert not cell.compare_exchange(1.0, 2)
    assert cell.compare_exchange(1, 2**70)
    assert cell.add(-(2**70)) == 0
    cell.value = "text"
    with pytest.raises(TypeError):
        cell.add()
    assert cell.value == "text"


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def wait_with_an_alarm(held: Any) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    held.lock.acquire(timeout=60)


def test_a_signals_handler_ends_the_wait_for_a_lock() -> None:
    held = LIST([1])
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    worker = context.Process(target=hold, args=(held, theirs))
    worker.start()
    ours.recv()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            wait_with_an_alarm(held)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        worker.kill()
        worker.join(60)
    held.append(2)
    assert held == [1, 2]


def test_a_token_that_nobody_unpickles_can_be_given_up() -> None:
    onecopy.collect(max_age=0)  # what other tests left: holds of dead workers, and tokens
    before = onecopy.stats()
    held = LIST(["some longer text"] * 1000)
    pickle.dumps(held)
    assert onecopy.stats().units == before.units + 1
    del held
    assert onecopy.stats().containers == before.containers + 1
    onecopy.collect(max_age=0)
    after = onecopy.stats()
    assert (after.units, after.containers, after.container_bytes) == (
        before.units,
        before.containers,
        before.container_bytes,
    )
