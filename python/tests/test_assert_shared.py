"""`tag()` and `assert_shared()`: what they judge, what they refuse, and that asking changes nothing."""

from __future__ import annotations

import array
import collections
import ctypes
import gc
import json
import mmap
import os
import re
import signal
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import onecopy
from families import MIB, WATCHDOG_S, Workers, copies_of, is_shared, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.context import BaseContext

OBJECTS = 40_000


def words(count: int = OBJECTS) -> list[str]:
    return [f"the word with number {number}" for number in range(count)]


def nothing() -> None:
    pass


def test_a_failure_says_which_tree_was_looked_at_and_shows_the_test_s_own_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = onecopy.share(np.ones(MIB))
    program = "import sys; print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as other:  # type: ignore[call-overload]
        other.stdout.readline()
        with pytest.raises(AssertionError, match=rf"process {os.getpid()} and what it has started") as raised:
            onecopy.assert_shared(data)
        assert "pid=" in str(raised.value)
        monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw3")
        with pytest.raises(AssertionError, match="pytest-xdist's worker gw3") as raised:
            onecopy.assert_shared(data)
        # What pytest hides.
        assert raised.traceback[-1].frame.f_locals["__tracebackhide__"] is True
        other.communicate(b"")


@pytest.fixture(autouse=True)
def clean_collector() -> Iterator[None]:
    """A collection in the parent, while workers live, would write to the objects that a test judges."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def covered(folder: Path, name: str) -> set[int]:
    """The pages under a tag."""
    lines = [json.loads(line) for line in (folder / f"tags-{os.getpid()}.jsonl").read_text().splitlines()]
    found: set[int] = set()
    for line in lines:
        if line["name"] == name:
            found |= set(range(line["start"] // 4096, -(-(line["start"] + line["len"]) // 4096)))
    return found


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONECOPY_SIDE", str(tmp_path))
    return tmp_path


def unshared(worker: int) -> int:
    """What a worker that waits shares with nobody: all that its parent has written to is in it, and nothing else.

    A report of the meter would be written to memory that the worker shares, and depend on all servers and workers that
    earlier tests have started.
    """
    lines = Path(f"/proc/{worker}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


# Arrays of objects.


def test_tags_of_object_arrays_cover_their_elements(side: Path) -> None:
    values = words()
    onecopy.tag("objects", np.array(values, object))
    pages = covered(side, "objects")
    assert sum(id(value) // 4096 in pages for value in values) > 0.9 * len(values)


def test_tags_of_structured_arrays_cover_the_objects_in_their_fields(side: Path) -> None:
    values = words()
    rows = np.zeros(len(values), [("number", "i8"), ("inner", [("weight", "f4"), ("word", object)])])
    rows["inner"]["word"] = values
    onecopy.tag("rows", rows)
    pages = covered(side, "rows")
    assert rows.ctypes.data // 4096 in pages
    assert sum(id(value) // 4096 in pages for value in values) > 0.9 * len(values)


def test_readers_of_an_object_array_copy_its_elements() -> None:
    data = np.array(words(), object)
    onecopy.tag("words", data)

    def read() -> None:
        assert sum(map(len, data)) > 0

    with Workers(nothing):
        onecopy.assert_shared(data)
    # The pointers themselves stay shared: an eighth of the pages. The elements do not.
    with Workers(read), pytest.raises(AssertionError, match=r"1\.[6-9]\d\d copies"):
        onecopy.assert_shared(data)


# Containers: tagged before the fork, or refused.


@dataclass
class Record:
    number: int
    word: str


CONTAINERS: dict[str, Callable[[], Any]] = {
    "list": words,
    "tuple": lambda: tuple(words()),
    "dict": lambda: dict.fromkeys(words(), None),
    "set": lambda: set(words()),
    "deque": lambda: collections.deque(words()),
    "list of records": lambda: [Record(number, f"word {number}") for number in range(OBJECTS)],
    "object": lambda: types.SimpleNamespace(words=words()),
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_asking_for_a_tagged_container_writes_nothing(make: Callable[[], Any]) -> None:
    data = make()
    onecopy.tag("data", data)
    with Workers(nothing):
        found = [copies_of(data) for _ in range(4)]
    # Every page that was asked would make it 2. Some lie between objects of earlier tests, and how many of these the
    # worker and this process write to is nobody's doing here.
    assert found[0] < 1.5
    assert found[-1] - found[0] < 0.1


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_a_container_that_was_not_tagged_is_refused_and_left_alone(make: Callable[[], Any]) -> None:
    first, data = make(), make()

    def is_refused(found: Any) -> None:
        with pytest.raises(ValueError, match=r"tag\(\) it before the fork"):
            onecopy.assert_shared(found)
        with pytest.raises(ValueError, match=r"tag\(\) it before the fork"):
            onecopy.tag("data", found)

    with Workers(nothing) as workers:
        is_refused(first)  # whatever is loaded and allocated once
        before = unshared(workers.pids[0])
        is_refused(data)
        after = unshared(workers.pids[0])
    assert after - before < 2 * MIB  # the data are more than three


def test_workers_may_ask_for_what_their_parent_has_tagged() -> None:
    data = words()
    onecopy.tag("data", data)
    parent = os.getpid()
    with Workers(lambda: onecopy.assert_shared(data, pid=parent)):
        pass

    def untagged() -> None:
        with pytest.raises(ValueError, match=r"tag\(\) it before the fork"):
            onecopy.assert_shared(list(data), pid=parent)

    with Workers(untagged):
        pass


def test_what_has_changed_since_it_was_tagged_is_not_judged_by_its_old_place() -> None:
    data = words()
    onecopy.tag("data", data)
    data.append("one more")
    with Workers(nothing), pytest.raises(ValueError, match="again, as it has changed since"):
        onecopy.assert_shared(data)


SIDE_FOLDER = """
import os, pathlib, sys
import onecopy, onecopy._side
data = bytearray(10**6)
onecopy.tag("data", data)
folder = pathlib.Path(onecopy._side.folder())
child = os.fork()
if child == 0:
    onecopy.tag("of the child", data)
    sys.exit()  # with everything that is done at exit
assert os.waitpid(child, 0)[1] == 0
expected = sorted(["lock", *(f"tags-{pid}.jsonl" for pid in (os.getpid(), child))])
assert sorted(file.name for file in folder.iterdir()) == expected
print(folder)
os.environ["ONECOPY_SIDE"] = str(folder / "gone")
onecopy.tag("data", data)  # whoever measured has ended
"""


def test_the_folder_for_tags_goes_with_the_process_that_made_it() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SIDE_FOLDER],
        capture_output=True,
        text=True,
        timeout=WATCHDOG_S,
        env={name: value for name, value in os.environ.items() if name != "ONECOPY_SIDE"},
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert not Path(run.stdout.strip()).exists()


def test_tags_do_not_keep_objects_alive() -> None:
    class Data(list[int]):
        gone = False

        def __del__(self) -> None:
            Data.gone = True

    data = Data(range(1_000))
    onecopy.tag("data", data)
    del data
    assert Data.gone


def test_readers_of_a_list_are_found() -> None:
    data = words()
    onecopy.tag("words", data)

    def read() -> None:
        assert sum(map(len, data)) > 0

    with Workers(read, read, nothing) as workers, pytest.raises(AssertionError) as raised:
        onecopy.assert_shared(data)
    message = str(raised.value)
    assert re.search(r"list, \d\.\d\d MiB: 2\.\d\d\d copies of it exist, and 1\.050 are allowed", message)
    assert re.search(r"level [AB], agreement with PSS \d+\.\d %", message)
    rows = dict(re.findall(r"process (\d+) .*MiB +(\d+\.\d\d) MiB +\d+\.\d\d MiB", message))
    assert float(rows[str(workers.pids[0])]) > 1.0
    assert float(rows[str(workers.pids[1])]) > 1.0
    assert float(rows[str(os.getpid())]) < 0.1
    assert f"process {os.getpid()} (this one)" in message


# Frozen objects, and arrays in containers.

FROZEN = """
import os, signal, sys, onecopy
data = [{"number": number, "name": f"name {number}"} for number in range(40_000)]
onecopy.freeze(data)
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    assert sum(len(record["name"]) for record in data)
    os.write(writer, b"x")
    signal.pause()
assert os.read(reader, 1) == b"x"
try:
    for _ in range(3):
        onecopy.assert_shared(data, max_copies=1.02)
finally:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not onecopy.freeze_supported()[0], reason=onecopy.freeze_supported()[1])
def test_frozen_lists_can_be_asked_for_at_any_time() -> None:
    # In an interpreter of its own: what is frozen stays.
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", FROZEN], capture_output=True, text=True, timeout=WATCHDOG_S
    )
    assert run.returncode == 0, run.stderr


def numbers(count: int = 4) -> dict[str, Any]:
    return {f"column {number}": np.full(MIB, number, np.uint8) for number in range(count)}


def test_arrays_in_a_container_are_judged_without_tagging_it() -> None:
    data: dict[str, Any] = {"views": [onecopy.share(np.arange(MIB))], "columns": numbers()}
    total = sum(map(np.sum, data["columns"].values()))

    def read() -> None:
        assert sum(map(np.sum, data["columns"].values())) == total

    def write() -> None:
        data["columns"]["column 1"][:] = 0

    with Workers(read):
        onecopy.assert_shared(data)
    with Workers(write), pytest.raises(AssertionError, match="not judged: tag"):
        onecopy.assert_shared(data)


def test_data_frames_are_judged_by_their_blocks() -> None:
    frame = pd.DataFrame({**numbers(), "floats": np.arange(MIB, dtype=float)})

    def read() -> None:
        assert frame["floats"].sum() > 0

    def write() -> None:
        frame["floats"].to_numpy().flags.writeable = True
        block = frame["floats"].array.to_numpy()
        block.setflags(write=True)
        block[:] = 0

    with Workers(read):
        onecopy.assert_shared(frame)
    with Workers(write), pytest.raises(AssertionError, match="copies of it exist"):
        onecopy.assert_shared(frame)


def test_objects_in_a_data_frame_need_a_tag() -> None:
    # The first ones fill the gaps that earlier tests have left, on pages with what every worker writes to.
    frame = pd.DataFrame({"word": pd.Series(words(10 * OBJECTS), dtype=object)})
    with Workers(nothing), pytest.raises(ValueError, match=r"tag\(\) it before the fork"):
        onecopy.assert_shared(frame)
    onecopy.tag("frame", frame)
    with Workers(nothing):
        onecopy.assert_shared(frame)


def test_arrow_tables_are_judged_by_their_buffers() -> None:
    table = pa.table({"number": np.arange(MIB), "word": words() * (MIB // OBJECTS) + words()[: MIB % OBJECTS]})
    with Workers(nothing):
        onecopy.assert_shared(table)


def test_libraries_that_hide_their_data_are_refused_instead_of_judged_by_a_shell() -> None:
    frame = pl.DataFrame({"number": np.arange(MIB)})
    with Workers(nothing):
        for data in (frame, {"frame": frame}):
            with pytest.raises(TypeError, match="polars does not show where its data lie"):
                onecopy.assert_shared(data)
        onecopy.assert_shared(frame.to_arrow())


# Views and buffers.


def test_a_shared_view_that_no_worker_has_read_is_not_shared() -> None:
    view = onecopy.share(np.arange(MIB))
    other = onecopy.share(np.arange(MIB))

    def read_other() -> None:
        # As a worker does that has a pickled copy of the first and the second shared.
        assert np.asarray(other).sum() > 0

    def read_both() -> None:
        read_other()
        assert np.asarray(view).sum() > 0

    with Workers(read_other):
        onecopy.assert_shared(other)
        with pytest.raises(AssertionError, match=r"no other process of the tree .* has it"):
            onecopy.assert_shared(view)
    with Workers(read_both):
        onecopy.assert_shared(view)


def test_parts_of_views_are_judged_by_their_image() -> None:
    view: Any = onecopy.share({"numbers": list(range(100_000)), "inner": {"words": words()}})
    parts = [view, view["numbers"], view["numbers"][10:20], view["inner"], view["inner"]["words"]]

    def read() -> None:
        assert sum(map(len, view["inner"]["words"])) + sum(view["numbers"]) > 0

    with Workers(read):
        for part in parts:
            onecopy.assert_shared(part)
    with Workers(nothing):
        for part in parts:
            with pytest.raises(AssertionError, match=r"no other process of the tree .* has it"):
                onecopy.assert_shared(part)


def test_rows_of_views_are_refused() -> None:
    view = onecopy.share([{"number": number, "half": number / 2} for number in range(1_000)])
    with pytest.raises(TypeError, match="give the whole view"):
        onecopy.assert_shared(view[3])


def test_opened_files_are_shared_through_the_page_cache(tmp_path: Path) -> None:
    onecopy.save(np.arange(MIB), tmp_path / "numbers")
    view = onecopy.open(tmp_path / "numbers")

    def read() -> None:
        assert np.asarray(view).sum() > 0

    read()
    with Workers(read):
        onecopy.assert_shared(view)
    with Workers(nothing), pytest.raises(AssertionError, match=r"no other process of the tree .* has it"):
        onecopy.assert_shared(onecopy.open(tmp_path / "numbers"))


def test_private_views_are_judged_by_what_was_written() -> None:
    view = onecopy.share(np.zeros(4 * MIB, np.uint8))
    mine = onecopy.private(view)
    assert mine.sum() == 0

    def read() -> None:
        assert mine.sum() == 0

    def write() -> None:
        mine[: 2 * MIB] = 1

    with Workers(read):
        onecopy.assert_shared(mine)
    with Workers(read, write), pytest.raises(AssertionError, match=r"1\.500 copies"):
        onecopy.assert_shared(mine)


def _wait(view: Any) -> None:
    assert np.asarray(view).sum() > 0
    signal.pause()


def test_views_under_every_start_method(context: BaseContext) -> None:
    view = onecopy.share(np.arange(MIB))
    with context.Pool(2) as pool:
        assert pool.map(np.sum, [view] * 4) == [int(view.sum())] * 4
        pool.map_async(_wait, [view] * 2, chunksize=1)
        # Both workers hold it until they are killed, so what was true once stays true.
        wait_until(lambda: is_shared(view))
        pool.terminate()
        pool.join()
    wait_until(lambda: not is_shared(view))


def buffer_of(size: int) -> Any:
    data = mmap.mmap(-1, size, mmap.MAP_PRIVATE)
    data.write(b"x" * size)
    return data


BUFFERS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: bytes(range(256)) * 8192,
    "bytearray": lambda: bytearray(b"x" * 2 * MIB),
    "str": lambda: "x" * 2 * MIB,
    "array.array": lambda: array.array("q", range(100_000)),
    "memoryview": lambda: memoryview(bytearray(b"x" * 2 * MIB)),
    "memoryview backwards": lambda: memoryview(bytearray(b"x" * 2 * MIB))[::-3],
    "mmap": lambda: buffer_of(2 * MIB),
    "array": lambda: np.ones(2 * MIB, np.uint8),
    "array in Fortran's order": lambda: np.asfortranarray(np.ones((1000, 1000)))[::-2, 5:],
    "texts of numpy": lambda: np.full(100_000, "abcdefg"),
    "structured array": lambda: np.ones(100_000, "i8,f4"),
    "dates": lambda: np.arange("2000", "2100", dtype="M8[h]"),
}


@pytest.mark.parametrize("make", BUFFERS.values(), ids=BUFFERS)
def test_buffers_are_judged(make: Callable[[], Any]) -> None:
    data = make()
    with Workers(nothing):
        onecopy.assert_shared(data)


def test_the_whole_reach_of_a_strided_buffer_is_judged() -> None:
    base = bytearray(b"x" * 4 * MIB)

    def write() -> None:
        base[:MIB] = b"y" * MIB

    with Workers(write), pytest.raises(AssertionError, match=r"1\.2[45]\d copies"):
        onecopy.assert_shared(memoryview(base)[::-16])


class Interface:
    """Has an array interface, and nothing else that arrays have."""

    def __init__(self, base: np.ndarray[Any, Any], **changes: Any) -> None:
        self._base = base
        self.__array_interface__ = {**base.__array_interface__, **changes}


def test_an_array_interface_is_enough() -> None:
    base = np.ones((1000, 500))
    strided = np.ones((1000, 1000))[:, ::2]
    with Workers(nothing):
        onecopy.assert_shared(Interface(base))
        onecopy.assert_shared(Interface(base, strides=None))
        onecopy.assert_shared(Interface(strided))
        onecopy.assert_shared(Interface(base, data=base.data))
    for wrong in ({"shape": None}, {"typestr": 7}, {"data": 3.5}, {"strides": (8,)}):
        with pytest.raises(TypeError, match="__array_interface__ is not what numpy describes"):
            onecopy.assert_shared(Interface(base, **wrong))


# What is refused.


def function() -> None:
    pass


@pytest.mark.parametrize(
    "thing",
    [7, 2**70, True, 2.5, 1j, None, ..., NotImplemented, "", "name", b"", b"x", sys.intern("interned"), object(), ()],
    ids=repr,
)
def test_things_on_pages_of_the_interpreter_are_refused(thing: Any) -> None:
    with Workers(nothing):
        with pytest.raises(TypeError, match="lie on a page with other objects of the interpreter"):
            onecopy.assert_shared(thing)
        with pytest.raises(TypeError, match="lie on a page with other objects of the interpreter"):
            onecopy.tag("thing", thing)


@pytest.mark.parametrize("thing", [function, len, str, sys, Record, [].append, onecopy.share], ids=repr)
def test_code_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="code belongs to the whole program"):
        onecopy.assert_shared(thing)


# What an allocator returns may begin a page by chance, and then nobody can tell; the second item of it does not.
@pytest.mark.parametrize(
    "make", [lambda: np.ones(4)[1:], lambda: memoryview(bytearray(11))[1:], lambda: np.ones(MIB)[:2]]
)
def test_buffers_smaller_than_a_page_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="lie on a page with other data"):
        onecopy.assert_shared(make())


def test_what_is_empty_has_nothing_to_share() -> None:
    with pytest.raises(AssertionError, match="no memory of its own"):
        onecopy.assert_shared(np.empty(0))


@pytest.mark.parametrize("most", [0.99, -1, float("nan")])
def test_fewer_copies_than_one_are_refused(most: float) -> None:
    with pytest.raises(ValueError, match="max_copies must be at least 1"):
        onecopy.assert_shared(np.ones(MIB), max_copies=most)


# When it fails.


def test_it_fails_when_nobody_else_has_it() -> None:
    for data in (np.ones(MIB, np.uint8), words(), onecopy.share(np.ones(MIB))):
        with pytest.raises(AssertionError, match=r"no other process of the tree .* has it"):
            onecopy.assert_shared(data)


# Texts of one character, and names like "name", lie in the interpreter's own file, which every Python has.
STRANGER = """
import array, subprocess, sys, time
import onecopy

tagged = {"name": ["x", "name", array.array("b", bytes(2**20))]}
onecopy.tag("tagged", tagged)
stranger = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1)
stranger.stdout.readline()
for data in (tagged, [array.array("b", bytes(2**20)), "x"], {"key": "name", "data": bytearray(2**20)}):
    try:
        onecopy.assert_shared(data)
    except AssertionError as error:
        assert "no other process of the tree" in str(error), error
    else:
        raise SystemExit(f"{type(data)} counts as shared")
for data in (["x"], {"key": "name"}):
    try:
        onecopy.assert_shared(data)
    except (AssertionError, ValueError):
        pass
    else:
        raise SystemExit(f"{data} counts as shared")
stranger.communicate(b"\\n")
"""


def test_the_interpreters_own_texts_are_nobodys_data() -> None:
    run = subprocess.run([sys.executable, "-c", STRANGER], capture_output=True, text=True, timeout=WATCHDOG_S)
    assert run.returncode == 0, run.stderr


def test_immortal_texts_in_what_is_younger_than_the_workers_are_no_proof() -> None:
    text = sys.intern("a text that the interpreter may keep for ever")
    with Workers(nothing):
        data = [np.ones(64 * MIB, np.uint8), text, "x"]
        with pytest.raises(AssertionError, match=r"no other process of the tree .* has it"):
            onecopy.assert_shared(data)
        for untagged in (["x", "y"], {"key": "name"}, [text]):
            with pytest.raises(ValueError, match=r"tag\(\) it before the fork"):
                onecopy.assert_shared(untagged)


def test_it_fails_for_what_is_younger_than_the_workers() -> None:
    with Workers(nothing):
        data = np.ones(64 * MIB, np.uint8)  # a mapping of its own
        with pytest.raises(AssertionError, match=r"no other process of the tree .* has it"):
            onecopy.assert_shared(data)


def mapped_at(address: int | None, length: int) -> int:
    """Private memory, full of ones; at the address, if one is given, where nothing may be yet."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    noreplace = 0x100000 if address else 0  # MAP_FIXED_NOREPLACE of mmap(2)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | noreplace
    place = libc.mmap(address, length, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    assert address in {None, place}, ctypes.get_errno()
    ctypes.memset(place, 1, length)
    return int(place)


def test_what_a_worker_has_at_the_same_addresses_is_no_proof() -> None:
    length = 64 * MIB
    address = mapped_at(None, length)
    libc = ctypes.CDLL(None)
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    assert libc.munmap(address, length) == 0
    with Workers(lambda: mapped_at(address + length // 2, MIB)):
        memory: Any = (ctypes.c_ubyte * length).from_address(mapped_at(address, length))
        data = np.frombuffer(memory, np.uint8)
        with pytest.raises(AssertionError, match=r"no other process of the tree .* has it"):
            onecopy.assert_shared(data)


def test_it_fails_in_another_tree() -> None:
    data = np.ones(MIB, np.uint8)
    with Workers(nothing) as workers, pytest.raises(AssertionError, match="not in the tree below process"):
        onecopy.assert_shared(data, pid=workers.pids[0])


def test_classes_with_a_strange_module_can_be_tagged(side: Path) -> None:
    strange = type("Strange", (), {"__module__": 5})()
    strange.held = words()
    onecopy.tag("strange", strange)
    assert covered(side, "strange")


# What processes have rebuilt from an image.


class Index:
    """What goes by a pickle of its own making."""

    def __init__(self, found: list[Any]) -> None:
        self.found = found

    def __reduce__(self) -> Any:
        return Index, (self.found,)


INDEXES: dict[str, Any] = {
    "whole": lambda: onecopy.share(Index(words(20_000))),
    "inside": lambda: onecopy.share({"numbers": list(range(1000)), "index": Index(words(20_000))}),
}


def read_index(view: Any) -> Callable[[], object]:
    """What a worker does: it reads what it has to rebuild."""
    return view.get if isinstance(view, onecopy.views.ObjectView) else lambda: view["index"]


@pytest.mark.parametrize("name", INDEXES)
def test_what_workers_rebuild_from_an_image_counts_as_copies(name: str) -> None:
    view = INDEXES[name]()
    with Workers(lambda: bytes(onecopy.image_of(view)), nothing):
        onecopy.assert_shared(view)  # whoever reads bytes has rebuilt nothing
        assert onecopy.memory().rebuilt == {}
    tasks = [read_index(view)] * 3
    with Workers(*tasks) as workers:
        with pytest.raises(AssertionError, match=r"copies of it exist.*pickled were rebuilt \(process \d+ ") as raised:
            onecopy.assert_shared(view)
        assert all(f"process {pid} " in str(raised.value) for pid in workers.pids)
        onecopy.assert_shared(view, max_copies=5)
        report = onecopy.memory()
        assert set(report.rebuilt) == set(workers.pids)
        assert min(report.rebuilt.values()) > 500_000
        assert f"process {workers.pids[0]}" in str(report).splitlines()[-1]
    assert onecopy.memory().rebuilt == {}


def test_what_a_process_has_dropped_or_was_forked_with_is_no_copy() -> None:
    view = INDEXES["whole"]()
    view.get()
    assert set(onecopy.memory(children=False).rebuilt) == {os.getpid()}
    with Workers(nothing, nothing):
        assert set(onecopy.memory().rebuilt) == {os.getpid()}
    del view
    assert onecopy.memory(children=False).rebuilt == {}
