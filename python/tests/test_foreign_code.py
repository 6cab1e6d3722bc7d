"""Code of others that operations of containers call runs without the lock: whatever it does, writers go on."""

from __future__ import annotations

import itertools
import os
import re
import signal
import threading
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

# More often than any operation tries before it gives up being polite.
DISTURBED = 12
WORD = "a text"


class Same:
    """Equal to a text, and found where it would be; `HOOK` is called by each comparison."""

    def __eq__(self, other: object) -> bool:
        HOOK()
        return other == WORD

    def __hash__(self) -> int:
        return hash(WORD)

    def __repr__(self) -> str:
        return "Same()"

    def __lt__(self, other: object) -> bool:
        HOOK()
        return id(self) < id(other)

    def __gt__(self, other: object) -> bool:
        HOOK()
        return id(self) > id(other)


class Number(Fraction):
    """A number whose sums and comparisons call `HOOK`."""

    def __radd__(self, other: Any) -> Any:
        HOOK()
        return super().__radd__(other)

    def __rsub__(self, other: Any) -> Any:
        HOOK()
        return super().__rsub__(other)

    def __lt__(self, other: Any) -> bool:
        HOOK()
        return super().__lt__(other)

    def __gt__(self, other: Any) -> bool:
        HOOK()
        return super().__gt__(other)


class FloatNumber(float):
    def __radd__(self, other: Any) -> float:
        HOOK()
        return float.__radd__(self, other)


def nothing() -> None:
    pass


HOOK: Callable[[], None] = nothing


def passing(value: Any) -> Any:
    HOOK()
    return value


def a_list() -> Any:
    return onecopy.List([3, WORD, 1])


def some_objects() -> Any:
    return onecopy.List([Same(), Same(), Same()])


def a_counter() -> Any:
    return onecopy.Counter({WORD: 3, "b": 2})


def assign(name: str, other: Callable[[], Any]) -> Callable[[Any], Any]:
    return lambda c: getattr(c, name)(other())


def extra(kind: str, number: int) -> Callable[[Any], None]:
    """A change that no operation below overlooks, though it is undone at once."""
    if kind == "List":
        return lambda c: c.__setitem__(0, number)
    if kind == "Value":
        return lambda c: c.set(number)
    if kind == "Set":
        return lambda c: (c.add(number), c.discard(number))[0]
    if kind == "Namespace":
        return lambda c: setattr(c, "a", number)
    return lambda c: (c.__setitem__("new", number), c.pop("new"), c.__setitem__(WORD, number))[0]


OPERATIONS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "List.sort by a key": (a_list, lambda c: c.sort(key=lambda x: str(passing(x)))),
    "List.sort of objects": (some_objects, lambda c: c.sort()),
    "List.remove": (a_list, lambda c: c.remove(Same())),
    "List.index": (a_list, lambda c: c.index(Same())),
    "List.count": (a_list, lambda c: c.count(Same())),
    "List.__contains__": (a_list, lambda c: Same() in c),
    "List.__eq__": (a_list, lambda c: c == [3, Same(), 1]),
    "List.update_with": (a_list, lambda c: c.update_with(0, passing)),
    "Value.update_with": (lambda: onecopy.Value(3), lambda c: c.update_with(passing)),
    "Namespace.update_with": (lambda: onecopy.Namespace(a=3), lambda c: c.update_with("a", passing)),
    "Dict.update_with": (lambda: onecopy.Dict({WORD: 3}), lambda c: c.update_with(WORD, passing)),
    "Dict.update": (lambda: onecopy.Dict({WORD: 3}), lambda c: c.update((passing("x"), n) for n in range(20))),
    "Dict.__eq__": (lambda: onecopy.Dict({WORD: 3}), lambda c: c == {Same(): 3}),
    "Counter.update_with": (a_counter, lambda c: c.update_with(WORD, passing)),
    "Counter.update": (a_counter, assign("update", lambda: {WORD: FloatNumber(2)})),
    "Counter +=": (a_counter, assign("__iadd__", lambda: {WORD: Number(2)})),
    "Counter -=": (a_counter, assign("__isub__", lambda: {WORD: Number(2)})),
    "Counter &=": (a_counter, assign("__iand__", lambda: {WORD: Number(2)})),
    "Counter |=": (a_counter, assign("__ior__", lambda: {WORD: Number(2)})),
    "Set |=": (lambda: onecopy.Set([WORD, "b"]), assign("__ior__", lambda: {passing("x")})),
    "Set &=": (lambda: onecopy.Set([WORD, "b"]), assign("__iand__", lambda: {Same(), "b"})),
    "Set -=": (lambda: onecopy.Set([WORD, "b"]), assign("__isub__", lambda: {Same(), "b"})),
    "Set ^=": (lambda: onecopy.Set([WORD, "b"]), assign("__ixor__", lambda: {passing("x"), "b"})),
    "Set.update": (lambda: onecopy.Set([WORD, "b"]), lambda c: c.update(passing(str(n)) for n in range(20))),
}
# Their code makes no difference here, as elements are found by their bytes: it may never be called.
BY_BYTES = {"Set &=", "Set -="}
CALLED = [name for name in OPERATIONS if name not in BY_BYTES]
# Their code runs once, in front of the operation or on a copy.
ONCE = {name for name in OPERATIONS if "Set" in name or "__" in name} | {"List.index", "List.count", "Dict.update"}


@pytest.fixture(autouse=True)
def quiet() -> Any:
    yield
    globals()["HOOK"] = nothing


def disturb(container: Any, kind: str, seen: list[bool], then: Callable[[], None] = nothing) -> None:
    """Has each call of the operation's code find that others were faster, `DISTURBED` times, and then does `then`."""
    numbers = itertools.count(1000)

    def hook() -> None:
        seen.append(container.lock.locked())
        if seen[-1] or len(seen) >= DISTURBED:
            then()
            return
        change = threading.Thread(target=extra(kind, next(numbers)), args=(container,))
        change.start()
        change.join()

    globals()["HOOK"] = hook


def made(name: str) -> tuple[Any, str, Callable[[Any], Any]]:
    make, operation = OPERATIONS[name]
    return make(), re.split("[. ]", name, maxsplit=1)[0], operation


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_lock_is_free_while_code_of_others_runs(name: str) -> None:
    container, kind, operation = made(name)
    seen: list[bool] = []
    disturb(container, kind, seen)
    operation(container)
    assert not any(seen)
    assert seen or name in BY_BYTES
    assert not container.lock.locked()


@pytest.mark.parametrize("name", CALLED)
def test_what_it_raises_changes_nothing(name: str) -> None:
    container, kind, operation = made(name)

    def fail() -> None:
        before.append(repr(container))
        raise ZeroDivisionError

    before: list[str] = []
    seen = [False] * (DISTURBED if name in ONCE else 0)
    disturb(container, kind, seen, fail)
    with pytest.raises(ZeroDivisionError):
        operation(container)
    globals()["HOOK"] = nothing
    assert not container.lock.locked()
    assert repr(container) == before[-1]
    (container if kind != "Namespace" else container._entries).verify()


@pytest.mark.parametrize("name", CALLED)
def test_it_may_kill_its_process_or_block_for_ever(name: str) -> None:
    for ends in (True, False):
        container, kind, operation = made(name)
        there, told = os.pipe()
        child = os.fork()
        if child == 0:
            try:

                def then() -> None:
                    os.write(told, b"x")
                    if ends:
                        os.kill(os.getpid(), signal.SIGKILL)
                    time.sleep(60)

                seen = [False] * (DISTURBED if name in ONCE else 0)
                disturb(container, kind, seen, then)
                operation(container)
            finally:
                os._exit(0)
        os.close(told)
        os.read(there, 1)  # or its end: an operation that calls it less often
        os.close(there)
        begun = time.monotonic()
        extra(kind, 5)(container)
        container.lock.acquire(timeout=5)
        container.lock.release()
        assert container.lock.deaths == 0
        assert time.monotonic() - begun < 9, "a writer waited for the code of others"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_it_may_use_the_container() -> None:
    numbers, counts = onecopy.List([3, 1, 2]), onecopy.Dict(a=1)
    numbers.sort(key=lambda x: -x * len(numbers) * list(numbers).count(x))
    assert numbers == [3, 2, 1]
    # It writes to another key, so that its own is as it was.
    assert counts.update_with("a", lambda old: old + counts.add("calls")) == 2
    with pytest.raises(RuntimeError, match="changes what it is to be given"):
        counts.update_with("a", lambda old: counts.add("a") + old)
    with pytest.raises(ValueError, match="list modified during sort"):
        numbers.sort(key=lambda x: [numbers.append(x), x])  # type: ignore[func-returns-value]
    # In another container it may do as it likes.
    assert counts.update_with("calls", lambda old: numbers.add(0) - numbers.add(0) + old + 2) == 2
    with counts.lock:
        assert counts.update_with("a", lambda old: old + len(counts)) > 0
        with pytest.raises(RuntimeError, match="changes what it is to be given"):
            counts.update_with("a", lambda old: counts.add("a") + old)
    assert not counts.lock.locked()


def test_plain_values_get_their_turn_under_the_lock() -> None:
    numbers, counts = onecopy.List(range(2000)), onecopy.Counter(range(500))
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            numbers[0] = 5
            counts.add(0)

    writer = threading.Thread(target=change)
    writer.start()
    try:
        numbers.sort(reverse=True)
        numbers.remove(1999)
        counts += {7: 1.5}  # type: ignore[arg-type]
        counts.update({7: 0.5})
    finally:
        stop.set()
        writer.join()
    assert counts[7] == 3.0
    assert 1999 not in numbers
