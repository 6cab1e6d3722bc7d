"""What stops containers: no memory, a holder that stands still, a key that nobody finds, a fork, the end of it all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

# Tests do what types forbid.
LIST: Any = onecopy.List
DICT: Any = onecopy.Dict
SET: Any = onecopy.Set
COUNTER: Any = onecopy.Counter
VALUE: Any = onecopy.Value
WATCHDOG_S = 120


def run_program(program: str, *arguments: str) -> str:
    """What a program prints that has a store of its own."""
    command = [sys.executable, "-c", program, *arguments]
    alone = {name: value for name, value in os.environ.items() if name != "ONECOPY_STORE"}
    done = subprocess.run(command, env=alone, capture_output=True, text=True, timeout=WATCHDOG_S)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


# No memory.

FULL = """
import collections, resource, sys, onecopy
limit = 64 << 20
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

words = [f"word {number}" for number in range(2000)]
start = {
    "List": lambda: onecopy.List(words),
    "Dict": lambda: onecopy.Dict((word, word) for word in words),
    "Set": lambda: onecopy.Set(words),
    "Counter": lambda: onecopy.Counter(words),
    "Value": lambda: onecopy.Value("word"),
}
kind, change = sys.argv[1], eval(sys.argv[2])
held = start[kind]()
kept, size = [], 8 << 20
while size >= 1 << 10:
    try:
        kept.append(onecopy.share([bytes(size)]))
    except MemoryError:
        size //= 2
containers = onecopy.stats().containers

def state():
    return held.get() if kind == "Value" else held.to_python()

for at in range(3000):
    before = state()
    try:
        change(held, at)
    except MemoryError:
        print("no memory")
        break
assert state() == before, "the container changed"
if kind != "Value":
    assert list(state()) == list(before), "its order changed"
    held.verify()
assert onecopy.stats().containers == containers, "a container was left"
assert not held.lock.locked(), "the lock was kept"
kept.clear()
before = state()
change(held, at)
print("memory again", state() != before)
"""
BIG = "'x' * 200_000"
CHANGES = [
    ("List", f"lambda x, at: x.append({BIG})"),
    ("List", f"lambda x, at: x.insert(3, {BIG})"),
    ("List", f"lambda x, at: x.__setitem__(at, {BIG})"),
    ("List", "lambda x, at: x.extend(['text %d' % i for i in range(2000)])"),
    ("List", f"lambda x, at: x.extend([1, 2, {BIG}])"),
    ("List", "lambda x, at: x.__imul__(2)"),
    ("List", f"lambda x, at: x.__setitem__(slice(2, 5), [1, {BIG}])"),
    ("List", f"lambda x, at: x.__setitem__(slice(0, 30, 3), [{BIG}] * 10)"),
    ("List", f"lambda x, at: x.__init__(['a', {BIG}] * (at + 1))"),
    ("List", f"lambda x, at: x.compare_exchange(at, x[at], {BIG})"),
    ("List", f"lambda x, at: x.update_with(at, lambda _: {BIG})"),
    ("Dict", f"lambda x, at: x.__setitem__(at, {BIG})"),
    ("Dict", f"lambda x, at: x.__setitem__(words[at], {BIG})"),
    ("Dict", f"lambda x, at: x.__setitem__({BIG} + str(at), 1)"),
    ("Dict", f"lambda x, at: x.setdefault(at, {BIG})"),
    ("Dict", f"lambda x, at: x.update({{'a': 1, 'b': {BIG}, at: {BIG}, 'word 1': 2}})"),
    ("Dict", f"lambda x, at: x.__ior__([(at, {BIG}), ('word 2', at)])"),
    ("Dict", "lambda x, at: x.update((at * 1000 + i, 'some text') for i in range(1000))"),
    ("Dict", "lambda x, at: x.update((at * 1000 + i, 'some text') for i in range(3000))"),
    ("Dict", "lambda x, at: x.add(('k' * 50_000, at))"),
    ("Dict", f"lambda x, at: x.compare_exchange(words[at], words[at], {BIG})"),
    ("Dict", f"lambda x, at: x.update_with(at, lambda _: {BIG}, 0)"),
    ("Set", f"lambda x, at: x.add({BIG} + str(at))"),
    ("Set", f"lambda x, at: x.update(['a', 'b', {BIG} + str(at)])"),
    ("Set", f"lambda x, at: x.__ior__({{'a', 'b', {BIG} + str(at)}})"),
    ("Set", f"lambda x, at: x.symmetric_difference_update([words[at], 'a', {BIG} + str(at)])"),
    ("Set", f"lambda x, at: x.__ixor__({{words[at], {BIG} + str(at)}})"),
    ("Set", f"lambda x, at: x.__init__(['a'] + [{BIG} + str(i) for i in range(at + 1)])"),
    ("Set", "lambda x, at: x.__init__(f'another {at} {i}' for i in range(1000 * at))"),
    ("Counter", "lambda x, at: x.update(f'word {i}' for i in range(1000, 5000))"),
    ("Counter", f"lambda x, at: x.add({BIG} + str(at))"),
    ("Counter", f"lambda x, at: x.update(['word 1', 'a', {BIG} + str(at)])"),
    ("Counter", f"lambda x, at: x.subtract(['word 1', 'a', {BIG} + str(at)])"),
    ("Counter", f"lambda x, at: x.__iadd__(collections.Counter(['word 1', {BIG} + str(at)]))"),
    ("Counter", f"lambda x, at: x.__init__(['word 1', 'a', {BIG} + str(at)])"),
    ("Value", f"lambda x, at: x.set({BIG} * (at + 1))"),
    ("Value", f"lambda x, at: x.compare_exchange(x.get(), {BIG} * (at + 1))"),
]


@pytest.mark.parametrize(("kind", "change"), CHANGES)
def test_without_memory_a_container_stays_as_it_was(kind: str, change: str) -> None:
    assert run_program(FULL, kind, change) == "no memory\nmemory again True\n"


MAKE = """
import resource, sys, onecopy
limit = 64 << 20
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
make = getattr(onecopy, sys.argv[1])
first = make()
before = onecopy.stats().containers
for data in (["x" * (100 << 20)], [f"{number} " + "x" * 100_000 for number in range(1000)]):
    try:
        make(data if sys.argv[1] in {"List", "Set", "Counter", "Value"} else dict.fromkeys(data, 1))
    except MemoryError:
        print("no memory", onecopy.stats().containers - before)
"""


@pytest.mark.parametrize("kind", ["List", "Dict", "Set", "Counter", "Value"])
def test_a_container_that_cannot_be_filled_is_not_left(kind: str) -> None:
    assert run_program(MAKE, kind) == 2 * "no memory 0\n"


# Keys.


class Foreign:
    """Hashable, but not to be found by its bytes."""


KEY_USES: dict[str, Callable[[Any], Any]] = {
    "Dict[k]": lambda key: DICT(a=1)[key],
    "Dict[k] = v": lambda key: DICT().__setitem__(key, 1),
    "del Dict[k]": lambda key: DICT(a=1).__delitem__(key),
    "k in Dict": lambda key: key in DICT(a=1),
    "k in Dict.keys()": lambda key: key in DICT(a=1).keys(),  # noqa: SIM118
    "item in Dict.items()": lambda key: (key, 1) in DICT(a=1).items(),
    "Dict.setdefault": lambda key: DICT().setdefault(key),
    "Dict.add": lambda key: DICT().add(key),
    "Dict.compare_exchange": lambda key: DICT().compare_exchange(key, 1, 2),
    "Dict.update_with": lambda key: DICT().update_with(key, lambda old: old, 0),
    "Dict.fromkeys": lambda key: DICT.fromkeys([key]),
    "Dict(pairs)": lambda key: DICT([(key, 1)]),
    "Set(...)": lambda key: SET([key]),
    "Set.add": lambda key: SET().add(key),
    "k in Set": lambda key: key in SET([1]),
    "Set.remove": lambda key: SET([1]).remove(key),
    "Set.update": lambda key: SET([1]).update([key]),
    "Counter(...)": lambda key: COUNTER([key]),
    "Counter[k]": lambda key: COUNTER("a")[key],
    "Counter.add": lambda key: COUNTER().add(key),
    "Counter.update": lambda key: COUNTER().update([key]),
}


@pytest.mark.parametrize("use", KEY_USES)
def test_a_key_that_cannot_be_found_is_named_with_the_way_out(use: str) -> None:
    with pytest.raises(TypeError, match=r"Foreign cannot be a key: .*Use a str, an int, or a tuple"):
        KEY_USES[use](Foreign())
    with pytest.raises(TypeError, match=r"Foreign cannot be a key"):
        KEY_USES[use]((1, Foreign()))
    with pytest.raises(TypeError, match=r"unhashable type: 'bytearray'"):
        KEY_USES[use](bytearray())


# Holders.

KINDS: dict[str, Callable[[], Any]] = {
    "List": lambda: LIST([1, 2]),
    "Dict": lambda: DICT(a=1),
    "Set": lambda: SET([1]),
    "Counter": lambda: COUNTER("a"),
    "Value": lambda: VALUE(1),
}
WRITES: list[tuple[str, Callable[[Any], Any]]] = [
    ("List", lambda x: x.append(1)),
    ("List", lambda x: x.append("a text of some length")),
    ("List", lambda x: x.__setitem__(0, 5)),
    ("List", lambda x: x.__setitem__(slice(0, 1), "ab")),
    ("List", lambda x: x.pop()),
    ("List", lambda x: x.sort(reverse=True)),
    ("List", lambda x: x.add(0)),
    ("List", lambda x: x.clear()),
    ("Dict", lambda x: x.__setitem__("b", 1)),
    ("Dict", lambda x: x.__delitem__("a")),
    ("Dict", lambda x: x.add("a")),
    ("Dict", lambda x: x.setdefault("b", 1)),
    ("Dict", lambda x: x.popitem()),
    ("Dict", lambda x: x.update(b=1)),
    ("Dict", lambda x: x.update_with("a", lambda old: old + 1)),
    ("Set", lambda x: x.add(5)),
    ("Set", lambda x: x.pop()),
    ("Set", lambda x: x.difference_update([1])),
    ("Counter", lambda x: x.add("a")),
    ("Counter", lambda x: x.update("ab")),
    ("Value", lambda x: x.set(5)),
    ("Value", lambda x: x.add()),
]


def content(held: Any) -> Any:
    return held.get() if isinstance(held, onecopy.Value) else held.to_python()


def hold_and_wait(containers: Any, pipe: Any) -> None:
    for each in containers:
        each.lock.acquire()
    pipe.send(os.getpid())
    signal.pause()


class Holder:
    """A process that has the locks of containers until it is told to go."""

    def __init__(self, method: str, *containers: Any) -> None:
        context: Any = multiprocessing.get_context(method)
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=hold_and_wait, args=(containers, theirs))
        self.process.start()
        assert self.pipe.poll(WATCHDOG_S)
        self.pid = self.pipe.recv()

    def __enter__(self) -> Self:
        return self

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        while " (stopped)" not in (status := status_of(self.pid)):
            assert "zombie" not in status

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join(WATCHDOG_S)
        self.pipe.close()


def status_of(pid: int) -> str:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:  # noqa: PTH123
        return next(line for line in file if line.startswith("State:"))


def test_a_stopped_holder_is_named_and_keeps_out_writers_alone(start_method: str) -> None:
    containers = [make() for make in KINDS.values()]
    with Holder(start_method, *containers) as holder:
        holder.stop()
        for each in containers:
            assert content(each)
            assert each.lock.locked()
            with pytest.raises(TimeoutError, match=rf"\b{holder.pid}\b.*stopped"):
                each.lock.acquire(timeout=0)
        before = list(map(content, containers))
    for each, was in zip(containers, before, strict=True):
        with each.lock:  # the holder is dead
            assert content(each) == was
        assert each.lock.deaths == 1


class Interrupt(Exception):
    """What a signal's handler raises."""


def raise_interrupt(*_: object) -> None:
    raise Interrupt


@pytest.fixture(scope="module")
def held_containers() -> Any:
    containers = {kind: make() for kind, make in KINDS.items()}
    with Holder("fork", *containers.values()):
        yield containers


@pytest.mark.parametrize(("kind", "write"), WRITES)
def test_a_signals_handler_ends_the_wait_of_any_write(held_containers: Any, kind: str, write: Any) -> None:
    held = held_containers[kind]
    before = content(held)
    old = signal.signal(signal.SIGALRM, raise_interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        with pytest.raises(Interrupt):
            write(held)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert content(held) == before


# Threads, forks, the end.


def test_threads_on_two_handles_lose_nothing() -> None:
    import pickle

    containers = [make() for make in KINDS.values()]
    again = [pickle.loads(pickle.dumps(each)) for each in containers]
    rounds = 300

    def work(handles: list[Any], name: int) -> None:
        numbers, mapping, group, counts, cell = handles
        for at in range(rounds):
            numbers.append((name, at))
            mapping.add("sum")
            mapping[name] = at
            group.add((name, at))
            counts.update(["all", name])
            cell.add()
            list(numbers[-2:]), list(mapping.items()), group & {(name, at)}

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=((containers, again)[at % 2], at)) for at in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    numbers, mapping, group, counts, cell = containers
    all_of_them = [(name, at) for name in range(4) for at in range(rounds)]
    assert sorted(numbers[2:]) == all_of_them
    assert mapping == {"a": 1, "sum": 4 * rounds} | dict.fromkeys(range(4), rounds - 1)
    assert group == {1, *all_of_them}
    assert counts == {"a": 1, "all": 4 * rounds} | dict.fromkeys(range(4), rounds)
    assert cell.get() == 1 + 4 * rounds
    for each in containers[:-1]:
        each.verify()


def test_a_fork_in_the_middle_of_things() -> None:
    numbers, mapping = LIST(range(1000)), DICT.fromkeys(range(1000))
    iterators = [iter(numbers), iter(mapping), iter(mapping.items()), reversed(numbers)]
    firsts = [next(each) for each in iterators]
    assert firsts == [0, 0, (0, None), 999]

    def fork_once(old: Any) -> Any:
        fork_once.pid = fork_once.pid if hasattr(fork_once, "pid") else os.fork()  # type: ignore[attr-defined]
        return [old]

    numbers.update_with(0, fork_once)
    pid = fork_once.pid  # type: ignore[attr-defined]
    if pid == 0:
        code = 1
        try:
            rest = [list(each) for each in iterators]
            numbers.append("child")
            mapping["child"] = 1
            code = 0 if list(map(len, rest)) == [999] * 4 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    # Both have put a list around the element, and the second saw what the first had done.
    assert numbers[0] == [[0]]
    assert numbers[-1] == "child"
    assert mapping["child"] == 1
    numbers.verify()
    mapping.verify()


AT_THE_END = {
    "globals": "held.append(len(held))",
    "cycle": "held = [held, holder := []]; holder.append(held)",
    "atexit": "import atexit; atexit.register(lambda: held.extend([1, 2]) or print(len(held)))",
    "a method at the end": """
class Last:
    def __del__(self, held=held):
        held.append("last")
        print(held[-1])
last = Last()
""",
    "an iterator": "it = iter(held); next(it)",
    "a daemon thread that writes": """
import threading
def write():
    while True:
        held.append(1)
        held.pop()
        list(held)
threading.Thread(target=write, daemon=True).start()
while len(held) < 1: pass
""",
    "a daemon thread that waits": """
import threading
held.lock.acquire()
started = threading.Event()
def write():
    started.set()
    held.append(1)
for _ in range(4):
    threading.Thread(target=write, daemon=True).start()
started.wait()
""",
    "a daemon thread that has the lock": """
import threading, time
taken = threading.Event()
def keep():
    held.lock.acquire()
    taken.set()
    time.sleep(1000)
threading.Thread(target=keep, daemon=True).start()
taken.wait()
""",
}


@pytest.mark.parametrize("what", AT_THE_END)
@pytest.mark.parametrize("rounds", [3])
def test_the_end_of_a_program(what: str, rounds: int) -> None:
    program = f"import onecopy\nheld = onecopy.List(range(3))\n{AT_THE_END[what]}\n"
    expected = {"atexit": "5\n", "a method at the end": "last\n"}.get(what, "")
    for _ in range(rounds):
        assert run_program(program) == expected
