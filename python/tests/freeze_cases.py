"""What the freeze tests run, each in an interpreter of its own: `freeze_cases.py NAME`.

Nothing that was frozen is ever freed, and a collection is frozen with it, so no test may do it in pytest's process.
A case fails by an exception or an exit code.
"""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import enum
import gc
import multiprocessing
import os
import pickle
import resource
import sys
import threading
import traceback
import types
import typing
import warnings
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onecopy
from onecopy import _onecopy

MIB = 2**20
KEPT: list[Any] = []


@dataclass
class Row:
    number: int
    text: str
    value: float


@dataclass(slots=True)
class SlotRow:
    number: int
    text: str
    value: float


class Named(typing.NamedTuple):
    number: int
    text: str


class Colour(enum.Enum):
    RED = 1_000_001
    BLUE = "a blue value"


class Level(enum.IntEnum):
    LOW = 1_000_002
    HIGH = 1_000_003


class MyList(list[Any]):
    pass


class MyDict(dict[Any, Any]):
    pass


class MyStr(str):
    __slots__ = ("extra",)


class MyInt(int):
    pass


class MyTuple(tuple[Any, ...]):
    __slots__ = ()


class MySet(set[Any]):
    pass


class MyMoment(dt.datetime):
    pass


class Finalised:
    def __del__(self) -> None:
        pass


class Node:
    def __init__(self) -> None:
        self.next = self


UTC_PLUS_ONE = dt.timezone(dt.timedelta(hours=1), "a zone")


def kinds() -> dict[str, Any]:
    """One object of each kind that is frozen, with contents that nothing else has."""
    moment = dt.datetime(2021, 3, 4, 5, 6, 7, 8)  # noqa: DTZ001 - naive on purpose
    namespace = types.SimpleNamespace(text="in a namespace", number=1_000_010)
    marked = MyStr("a str of a subclass")
    marked.extra = [1_000_020]  # type: ignore[attr-defined]
    listed = MyList([1_000_021, "in a list of a subclass"])
    listed.extra = "beside the list"  # type: ignore[attr-defined]
    materialised = Row(1_000_022, "with a dict of its own", 2.25)
    vars(materialised)
    return {
        "int": 1_000_030,
        "large int": 2**100,
        "float": 1.0625,
        "complex": 1.5 + 2.5j,
        "str": "a str of ASCII".lower(),
        "str of two bytes": "ein Wort mit \N{GREEK SMALL LETTER ALPHA}",
        "str of four bytes": "a \N{ROCKET}",
        "bytes": b"some bytes of data",
        "bytearray": bytearray(b"some more bytes"),
        "list": [1_000_031, "in a list", [1_000_032]],
        "tuple": (1_000_033, "in a tuple", (1_000_034, "deeper")),
        "dict": {"a key of str": 1_000_035, 1_000_036: "under a key of int"},
        "set": {1_000_037, "in a set"},
        "frozenset": frozenset({1_000_038, "in a frozenset"}),
        "deque": collections.deque([1_000_039, "in a deque"]),
        "OrderedDict": collections.OrderedDict([("an ordered key", 1_000_040)]),
        "defaultdict": collections.defaultdict(int, {"a defaulting key": 1_000_041}),
        "SimpleNamespace": namespace,
        "dataclass": Row(1_000_042, "in a dataclass", 3.25),
        "dataclass with a dict": materialised,
        "dataclass with slots": SlotRow(1_000_043, "in slots", 4.25),
        "namedtuple": Named(1_000_044, "in a namedtuple"),
        "enum": Colour.BLUE,
        "int enum": Level.HIGH,
        "date": dt.date(2021, 3, 4),
        "datetime": moment,
        "aware datetime": moment.replace(tzinfo=UTC_PLUS_ONE),
        "datetime of a subclass": MyMoment(2022, 3, 4, 5, 6, tzinfo=UTC_PLUS_ONE),
        "time": dt.time(1, 2, 3, 4),
        "aware time": dt.time(1, 2, 3, 4, tzinfo=UTC_PLUS_ONE),
        "timedelta": dt.timedelta(days=5, seconds=6),
        "timezone": UTC_PLUS_ONE,
        "Decimal": decimal.Decimal("1234567890.125"),
        "range": range(1_000_050, 9_000_050, 1_000),
        "array": array.array("l", [1_000_045, 1_000_046]),
        "list of a subclass": listed,
        "dict of a subclass": MyDict({"a key of a subclass": 1_000_047}),
        "str of a subclass": marked,
        "int of a subclass": MyInt(1_000_048),
        "tuple of a subclass": MyTuple((1_000_049, "in a tuple of a subclass")),
        "set of a subclass": MySet({1_000_051}),
    }


def reach(root: Any) -> list[Any]:
    """Everything frozen below: by what the collector sees, and the keys that it does not."""
    found: dict[int, Any] = {}
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in found or isinstance(one, type | types.ModuleType | types.FunctionType):
            continue
        found[id(one)] = one
        waiting += gc.get_referents(one)
        if isinstance(one, dict):
            waiting += dict.keys(one)
    return list(found.values())


def in_child(action: Any) -> None:
    """Runs it in a forked child, whose failure is ours."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            action()
            code = 0
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status


def private_dirty() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise LookupError


def assert_copies_at_most(limit: float, action: Any) -> None:
    def measured() -> None:
        private_dirty()
        before = private_dirty()
        action()
        copied = private_dirty() - before
        assert copied <= limit, f"{copied / MIB:.2f} MiB"

    in_child(measured)


def quietly() -> Any:
    return warnings.catch_warnings(action="ignore")


def try_each(operation: Any, objects: Any) -> None:
    for one in objects:
        try:
            operation(one)
        except (TypeError, AttributeError):  # not hashable, or not ordered
            continue


def read(one: Any) -> None:
    kept = [one, one]
    del kept[:]
    if hasattr(one, "__iter__"):
        kept += list(one)
    if isinstance(one, dict):
        kept += list(one.items())
    for name in ("number", "text", "value", "extra", "tzinfo", "start", "stop", "step", "real"):
        kept.append(getattr(one, name, None))
    kept.append(one == one)  # noqa: PLR0124 - that is the operation
    kept.append(type(one))


OPERATIONS: dict[str, Any] = {
    "read": read,
    "hash": hash,
    "compare": lambda one: (one == one, one != one, one in [one, None], one <= one),  # noqa: PLR0124
    "repr": repr,
    "pickle": pickle.dumps,
}


def case_no_operation_in_a_child_writes_a_header() -> None:
    """34 kinds and more, five operations each, and a collection at the end."""
    data = kinds()
    with quietly():
        report = onecopy.freeze(data)
    assert len(data) >= 34
    everything = [one for one in reach(data) if onecopy.is_frozen(one)]
    assert len(everything) >= report.objects, (len(everything), report)
    for one in data.values():
        assert onecopy.is_frozen(one), one
    headers = [_onecopy._freeze_header(one) for one in everything]

    def scan() -> None:
        for _ in range(3):
            for name, operation in OPERATIONS.items():
                try_each(operation, data.values())
                after = [_onecopy._freeze_header(one) for one in everything]
                changed = [repr(one) for one, a, b in zip(everything, headers, after, strict=True) if a != b]
                assert not changed, (name, changed)
        gc.collect()
        assert headers == [_onecopy._freeze_header(one) for one in everything]

    scan()
    in_child(scan)


def case_everything_below_is_frozen() -> None:
    data = kinds()
    before = reach(data)
    with quietly():
        onecopy.freeze(data)
    left = [one for one in before if not onecopy.is_frozen(one)]
    # The dict of an instance that shows its fields only to gc.get_referents, classes' members, and this list.
    assert not left, left
    zone: Any = data["aware datetime"].tzinfo
    assert onecopy.is_frozen(zone.utcoffset(None))
    numbers = data["range"]
    assert all(onecopy.is_frozen(one) for one in (numbers.start, numbers.stop, numbers.step))
    assert onecopy.is_frozen(vars(data["dataclass with a dict"]))


def mutate(data: dict[str, Any]) -> None:
    """Changes, empties and replaces what can be changed."""
    fresh = ["fresh", [1, 2, 3]]
    for kind in ("list", "list of a subclass", "deque"):
        data[kind].extend(fresh * 100)
        data[kind].pop()
        data[kind].reverse()
        data[kind].clear()
        data[kind].append(fresh)
    for kind in ("dict", "OrderedDict", "defaultdict", "dict of a subclass"):
        data[kind].update({f"fresh {number}": [number] for number in range(1000)})
        data[kind].pop("fresh 7")
        copied = data[kind].copy()
        copied["self"] = copied
        data[kind].clear()
        data[kind]["again"] = fresh
    for kind in ("set", "set of a subclass"):
        data[kind] |= {str(number) for number in range(1000)}
        data[kind] -= {"7"}
        data[kind].clear()
        data[kind].add("again")
    for kind in ("dataclass", "dataclass with a dict", "dataclass with slots"):
        row = data[kind]
        row.text = "fresh"
        row.number = len(row.text)
        row.value = fresh
        del row.value
    data["dataclass"].__dict__ = {"number": 1, "text": "replaced", "value": None}
    data["dataclass with a dict"].more = fresh
    vars(data["dataclass with a dict"]).clear()
    data["SimpleNamespace"].more = fresh
    data["bytearray"].extend(b"fresh" * 1000)
    data["array"].extend([1] * 1000)
    data["list of a subclass"].extra = None
    data["str of a subclass"].extra = {}


def case_frozen_objects_live_on_and_the_process_ends_well() -> None:
    data = kinds()
    with quietly():
        onecopy.freeze(data)
    references = [weakref.ref(one) for one in data.values() if getattr(one, "__weakref__", 1) is None]
    assert references
    sys.intern(data["str"])
    sys.intern(str(b"a str of ascii", "ascii"))
    for _ in range(3):
        mutate(data)
        gc.collect()
    assert all(reference() is not None for reference in references)

    def use_up() -> None:
        mutate(data)
        data.clear()
        gc.collect()

    in_child(use_up)
    data.clear()
    gc.collect()
    Colour.BLUE.more = 1  # type: ignore[attr-defined]
    sys.setswitchinterval(1e-5)


def case_three_million_levels_are_no_problem() -> None:
    nested: list[Any] = []
    for _ in range(3_000_000):
        nested = [nested]
    report = onecopy.freeze(nested, hash=False)
    assert report.objects == 3_000_001
    deepest = nested
    while deepest:
        assert onecopy.is_frozen(deepest)
        deepest = deepest[0]
    assert onecopy.is_frozen(deepest)


def case_deep_tuples_are_hashed_level_by_level() -> None:
    nested: tuple[Any, ...] = (1_000_001,)
    for _ in range(300_000):
        nested = (nested,)
    report = onecopy.freeze([nested])
    assert report.objects >= 300_002
    if sys.version_info >= (3, 14):  # where tuples remember their hash
        hash(nested)  # would end the process if it went down


def case_running_out_of_memory_leaves_everything_usable() -> None:
    data = [[number, str(number)] for number in range(1_000_000)]
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    onecopy.freeze_supported()
    resource.setrlimit(resource.RLIMIT_AS, (size + 12 * MIB, hard))
    try:
        onecopy.freeze(data)
    except MemoryError as error:
        failed = str(error)
    else:
        failed = ""
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert failed
    assert onecopy.is_frozen(data)
    gc.collect()
    assert all(row == [number, str(number)] for number, row in enumerate(data))
    data[1:] = [["fresh"]]
    gc.collect()
    report = onecopy.freeze(data)  # goes down from the root once more
    assert report.objects >= 1, report
    assert onecopy.is_frozen(data[1])


def case_threads_may_read_meanwhile() -> None:
    data: list[dict[str, Any]] = [
        {"text": f"text {number}", "row": Row(number, "shared", 0.5)} for number in range(100_000)
    ]
    expected = sum(len(one["text"]) + one["row"].number for one in data)
    stop = threading.Event()
    sums: list[int] = []

    def reader() -> None:
        while not stop.is_set():
            sums.append(sum(len(one["text"]) + one["row"].number for one in data))

    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=reader) for _ in range(2)]
    for thread in threads:
        thread.start()
    while not sums:
        pass
    onecopy.freeze(data)
    count = len(sums)
    while len(sums) < count + 4:
        pass
    stop.set()
    for thread in threads:
        thread.join()
    assert set(sums) == {expected}


def case_a_finaliser_that_freezes_is_told_that_it_runs_already() -> None:
    raised: list[str] = []

    class Freezing:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            try:
                onecopy.freeze([1_000_001])
            except RuntimeError as error:
                raised.append(str(error))

    gc.disable()
    Freezing()
    onecopy.freeze([[1_000_002]])
    assert len(raised) == 1
    assert "running already" in raised[0]
    with quietly():
        onecopy.freeze([[1_000_003]])  # and the guard is gone


def case_objects_held_by_live_frames_do_not_drift() -> None:
    row, text, number = Row(1_000_001, "held by a frame", 0.5), "text held by a frame".lower(), 1_000_002
    held = [row, text, number, row.text, row.number]

    def generator() -> Any:
        mine = row
        while True:
            yield mine

    running = generator()
    next(running)
    onecopy.freeze(held)
    before = [_onecopy._freeze_header(one) for one in held]
    for _ in range(100_000):
        a, b, c = row, text, number
        d, e, f = c, a, b
        held[0] = row
        one = next(running)
        getattr(one, "text").upper  # noqa: B009 - a call that returns the object
    del a, b, c, d, e, f, one
    assert before == [_onecopy._freeze_header(one) for one in held]
    running.close()


def case_no_code_of_the_users_runs() -> None:
    ran: list[str] = []

    class Watched:
        __slots__ = ("value",)

        def __init__(self, value: Any) -> None:
            self.value = value

        def __hash__(self) -> int:
            ran.append("hash")
            return 7

        def __eq__(self, other: object) -> bool:
            ran.append("eq")
            return self is other

        def __getattribute__(self, name: str) -> Any:
            ran.append(name)
            return object.__getattribute__(self, name)

        def __sizeof__(self) -> int:
            ran.append("sizeof")
            return 1

    class WatchedStr(str):
        __slots__ = ()

        def __hash__(self) -> int:
            ran.append("hash of str")
            return 7

    class Zone(dt.tzinfo):
        def tzname(self, _when: Any) -> str:
            ran.append("tzname")
            return "zone"

        def dst(self, _when: Any) -> None:
            ran.append("dst")

        def utcoffset(self, _when: Any) -> dt.timedelta:
            ran.append("utcoffset")
            return dt.timedelta(0)

    watched = Watched(1_000_001)
    moment = dt.datetime(2021, 1, 1, tzinfo=Zone())
    data = [
        frozenset({watched}),
        (watched, 1),
        {watched: 2},
        WatchedStr("x y z"),
        moment,
        (moment, (WatchedStr("a b"),)),
    ]
    ran.clear()
    report = onecopy.freeze(data, dicts=True, utf8=True, gc=False)
    assert ran == []
    assert onecopy.is_frozen(watched)
    assert onecopy.is_frozen(moment.tzinfo), report


def case_what_is_left_alone_is_counted_with_its_path() -> None:
    lock = threading.Lock()
    row = Row(1_000_001, "x y", 0.5)
    row.lock = lock  # type: ignore[attr-defined]
    slotted: Any = SlotRow(1, "y z", 0.25)
    slotted.value = iter([])
    data = {"rows": [row, slotted], "finalised": (Finalised(), ValueError("no")), "named": Named(print, "text")}  # type: ignore[arg-type]
    check = onecopy.freeze_check(data)
    assert not any(onecopy.is_frozen(one) for one in (data, row, data["rows"]))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        report = onecopy.freeze(data)
    assert check.types[SlotRow] == report.types[SlotRow] == 1
    assert check.skipped == report.skipped
    assert check.paths == report.paths
    assert report.paths == {
        type(lock): "obj['rows'][0].lock",
        type(slotted.value): "obj['rows'][1].value",
        Finalised: "obj['finalised'][0]",
        ValueError: "obj['finalised'][1]",
        type(print): "obj['named'].number",
    }
    assert report.skipped == dict.fromkeys(report.paths, 1)
    assert [warning.category for warning in seen] == [RuntimeWarning]
    assert "obj['rows'][0].lock" in str(seen[0].message)
    assert "obj['rows'][0].lock" in str(report)
    assert f"{report.objects:,} objects" in str(report)
    with lock:
        del row.lock  # type: ignore[attr-defined]
    gc.collect()


def case_strict_refuses_before_anything_is_changed() -> None:
    data = [{"handler": print, "kind": int, "colour": Colour.RED}, [threading.Lock()]]
    refused: Any = None
    try:
        onecopy.freeze(data, strict=True)
    except onecopy.errors.FreezeRefused as error:
        refused = error
    assert issubclass(onecopy.errors.FreezeRefused, TypeError)
    assert refused.path == "obj[1][0]"
    assert "lock" in str(refused)
    assert not onecopy.is_frozen(data)
    data.pop()
    report = onecopy.freeze(data, strict=True)  # functions and classes are code, not data
    assert onecopy.is_frozen(data[0])
    assert report.objects >= 2


def case_a_second_call_warns_and_finds_what_was_appended_to_the_root() -> None:
    data: list[Any] = [[int("1000001")]]
    first = onecopy.freeze(data)
    data.append([int("1000002")])
    inner = data[0]
    inner.append(["not found by the root"])
    assert not onecopy.is_frozen(data[1])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        second = onecopy.freeze(data)
    assert ["second time" in str(warning.message) for warning in seen] == [True]
    assert seen[0].filename == __file__
    assert (first.objects, second.objects) == (3, 2)
    assert onecopy.is_frozen(data[1])
    assert not onecopy.is_frozen(inner[1])
    with quietly():
        onecopy.freeze(inner)
    assert onecopy.is_frozen(inner[1])


def case_a_forked_child_is_warned() -> None:
    def child() -> None:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            onecopy.freeze([[1_000_001]])
        assert "forked" in str(seen[0].message)

    in_child(child)


def case_the_collector_forgets_frozen_objects() -> None:
    data = [[1_000_001], {"a": [1_000_002]}, Row(1, "x y", 0.5)]
    report = onecopy.freeze(data, gc=False, seal=False)
    assert report.sealed_bytes == 0
    tracked = {id(one) for one in gc.get_objects()}
    assert not {id(data), id(data[0]), id(data[2])} & tracked
    stays = sys.version_info < (3, 14) or hasattr(sys, "gettotalrefcount")
    assert gc.is_tracked(data[1]) == stays
    copied = data[1].copy()  # type: ignore[attr-defined]
    copied["self"] = copied
    assert gc.is_tracked(copied)
    assert gc.get_freeze_count() == 0 or stays
    with quietly():
        onecopy.freeze([[1_000_003]])
    assert gc.get_freeze_count() > 0


def case_many_calls_take_little_to_fill_holes() -> None:
    """Each takes from the holes what is worth it for what it froze, and one that freezes nothing takes nothing."""
    data = [str(number) for number in range(1000, 61_000)]
    first = onecopy.freeze(data)
    assert 0 < first.sealed_bytes <= 3 * first.bytes
    assert f"{first.sealed_bytes / MIB:.2f} MiB taken" in str(first)
    with quietly():
        again = [onecopy.freeze(data, gc=False).sealed_bytes for _ in range(200)]
        small = [onecopy.freeze([number, str(number)], gc=False) for number in range(2000, 2200)]
        rows = [onecopy.freeze([{str(number): (number,)}] * 4, gc=False) for number in range(3000, 3200)]
    assert again == [0] * 200
    for reports in (small, rows):
        sealed = sum(report.sealed_bytes for report in reports)
        assert sealed <= min(MIB, 3 * sum(report.bytes for report in reports)), sealed


def case_a_worker_that_asks_for_dicts_copies_nothing_if_told_before() -> None:
    rows = [Row(number, f"text {number}", 0.5) for number in range(60_000)]
    onecopy.freeze(rows, dicts=True)
    assert onecopy.is_frozen(vars(rows[7]))
    assert_copies_at_most(MIB, lambda: collections.deque(map(vars, rows), 0))


def case_a_worker_that_asks_for_utf8_copies_nothing_if_told_before() -> None:
    import sqlite3

    texts = [f"{number} \N{GREEK SMALL LETTER ALPHA}" for number in range(60_000)] + ["\ud800 alone"]
    onecopy.freeze(texts, utf8=True)
    connection = sqlite3.connect(":memory:")

    def bind() -> None:
        for text in texts[:-1]:
            connection.execute("select length(?)", (text,)).fetchone()

    assert_copies_at_most(MIB, bind)
    connection.close()


def case_frozensets_and_dates_have_their_hash() -> None:
    data: list[list[Any]] = [
        [frozenset({number, str(number)}) for number in range(20_000)],
        [dt.datetime(2021, 1, 1) + dt.timedelta(seconds=number) for number in range(20_000)],  # noqa: DTZ001
        [decimal.Decimal(number) / 8 for number in range(20_000)],
        [Named(number, str(number)) for number in range(20_000)],
        [((number, "x"), frozenset({number})) for number in range(20_000)],
    ]
    onecopy.freeze(data)
    for column in data:
        assert_copies_at_most(MIB / 2, lambda: collections.deque(map(hash, column), 0))


def case_arrays_are_frozen_with_the_objects_in_them() -> None:
    try:
        import numpy as np
    except ModuleNotFoundError:
        return
    rows = [Row(number, f"text {number}", 0.5) for number in range(40_000)]
    objects = np.array([*rows, None], dtype=object)[::-1]
    scalar = np.array(None, dtype=object)
    scalar[()] = [int("1000001")]
    square = np.array([[str(one) for one in range(100)] for _ in range(100)], dtype=object)
    numbers = [np.arange(number, number + 5) for number in range(10_000)]
    structured = np.zeros(3, dtype=[("object", object), ("number", int)])
    data = [objects, scalar, square, numbers, structured]
    report = onecopy.freeze(data, strict=True)
    assert report.types[np.ndarray] == 10_004
    assert all(onecopy.is_frozen(one) for one in rows)
    assert onecopy.is_frozen(scalar[()][0])
    assert all(onecopy.is_frozen(one) for one in square.ravel())

    def look() -> None:
        for row in objects:
            if row is not None:
                hash(row.text)
        for one in numbers:
            assert one is not None

    assert_copies_at_most(MIB, look)
    objects[5] = None
    numbers[7] += 1
    numbers.clear()
    data.clear()
    gc.collect()


def case_a_worker_ends_without_copying() -> None:
    rows = [Row(number, f"text {number}", 0.5) for number in range(100_000)]
    onecopy.freeze(rows)
    context = multiprocessing.get_context("fork")
    process = context.Process(target=sys.exit)
    process.start()
    process.join()
    assert process.exitcode == 0
    pid = os.fork()
    if pid == 0:
        sys.exit(0)  # with everything that a normal end does
    assert os.waitpid(pid, 0)[1] == 0


def case_classes_that_cannot_be_keys_are_counted_under_their_bases() -> None:
    class Meta(type):
        __hash__ = None  # type: ignore[assignment]

    class Odd(metaclass=Meta):
        pass

    data: list[Any] = [Odd(), Odd(), [1_000_001]]
    report = onecopy.freeze(data)
    assert onecopy.is_frozen(data[2][0])
    assert onecopy.is_frozen(data[0])
    assert report.types[object] == 2
    assert str(report)


def case_a_metaclass_whose_hash_lets_go_of_the_data() -> None:
    data: dict[str, Any] = {}

    class Meta(type):
        def __hash__(cls) -> int:
            data.clear()
            gc.collect()
            return 1

    class Odd(metaclass=Meta):
        """Left alone, for its finaliser."""

        def __del__(self) -> None:
            pass

    data["rows"] = [[Odd() for _ in range(50)]]
    report = onecopy.freeze_check(data)
    assert sum(report.skipped.values()) == 50
    assert str(report)


CASES = {name.removeprefix("case_"): function for name, function in list(globals().items()) if name.startswith("case_")}

if __name__ == "__main__":
    CASES[sys.argv[1]]()
