"""`memory()`: the kernel's accounting as a table and as data, and what it says about shared data."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onecopy
from conftest import summed_pss_bytes
from families import MIB, WATCHDOG_S, pss_at_rest, remember_barrier, stay, while_all_stay

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from pathlib import Path


def test_report_of_this_process() -> None:
    report = onecopy.memory(children=False)
    (row,) = report.processes
    assert (report.root, row.pid, row.parent) == (os.getpid(), os.getpid(), os.getppid())
    assert report.complete
    assert report.skipped == ()
    assert row.threads >= 1
    assert 0 < row.private_dirty <= row.uss <= row.pss <= row.rss
    assert (report.sum_rss, report.sum_pss, report.sum_uss) == (row.rss, row.pss, row.uss)
    assert report.sum_private_dirty == row.private_dirty


IN_PLACE = """
import subprocess, sys
program = "import sys, onecopy; v = onecopy.open(sys.argv[1]); print(sum(v), flush=True); sys.stdin.read()"
command = [sys.executable, "-c", program, sys.argv[1]]
readers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
for reader in readers:
    reader.stdout.readline()
import onecopy
report = onecopy.memory()
print(report.copies, report.copies_reason)
for reader in readers:
    reader.communicate(b"")
"""


def test_files_that_processes_read_in_place_are_named_and_counted(tmp_path: Path) -> None:
    image = tmp_path / "rows.onecopy"
    onecopy.save(list(range(1000, 200_000)), image)
    environment = {name: value for name, value in os.environ.items() if name != "ONECOPY_STORE"}
    command = [sys.executable, "-c", IN_PLACE, str(image)]
    said = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    assert "shares nothing" not in said
    assert re.search(rf"None .*{re.escape(str(image))} \(1\.5 MiB in 2 processes\)", said), said


NAMESPACE = """
import os, onecopy
for pid in (None, os.getppid() or 1, os.getpid()):
    try:
        print("measured", onecopy.memory(pid).root)
    except RuntimeError as error:
        assert error.pid == os.getpid()
        print(f"process {os.getpid()} is called {os.readlink('/proc/self')} there" in str(error))
try:
    onecopy.watch().start()
except RuntimeError as error:
    print("pid namespace" in str(error))
"""


def test_a_proc_of_another_pid_namespace_is_refused() -> None:
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--"]
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True, timeout=60, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("NOT TESTED: needs unshare(1) and the right to make a pid namespace")
    program = [*command, sys.executable, "-c", NAMESPACE]
    found = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout.split() == ["True"] * 4, found.stdout + found.stderr


def test_report_is_a_table() -> None:
    view = onecopy.share(list(range(100_000)))
    report = onecopy.memory()
    text = str(report)
    assert text == repr(report)
    assert str(os.getpid()) in text
    assert len(view) == 100_000
    # In the words of the command, and its order: the number, what it is made of, who has what.
    # Servers that earlier tests have started may be in the tree, too.
    head = text.splitlines()[0]
    assert head.startswith("── onecopy ─ ")
    assert f" ─ level {report.level} " in head
    heads = [line.split()[0] for line in text.splitlines() if line.strip()]
    places = [heads.index(word) for word in ("copies", "physical", "top/ps", "stores", "MAPPING", "PID")]
    assert places == sorted(places)
    (columns,) = [line.split() for line in text.splitlines() if line.split()[:1] == ["PID"]]
    assert columns == ["PID", "NAME", "ROLE", "SHARED", "COPIED", "LAST", "OWNER", "NEW", "RSS"]
    assert "\x1b" not in text


def test_report_is_data() -> None:
    view = onecopy.share(np.ones(MIB))
    report = onecopy.memory()
    data = report.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["root"] == report.root
    assert data["tree"]["sum_pss"] == report.sum_pss
    assert [process["pid"] for process in data["processes"]] == [process.pid for process in report.processes]
    store = max(report.stores, key=lambda store: store.allocated or 0)
    assert os.getpid() in store.pids
    assert store.allocated is not None
    assert store.allocated >= view.nbytes
    assert report.allocated is not None
    assert report.allocated >= store.allocated
    assert "pid=" in repr(report.processes[0])
    assert store.id in repr(store)
    assert report.processes[0] == report.processes[0]


def test_process_that_does_not_exist() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(WATCHDOG_S)
    with pytest.raises(ProcessLookupError, match=f"process {process.pid} is gone") as raised:
        onecopy.memory(process.pid)
    assert raised.value.pid == process.pid  # type: ignore[attr-defined]


OTHER_USER = """
import os, onecopy
from onecopy import *  # another user may not be able to load it later
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
watched = onecopy.watch(pid=1)
data = bytearray(10**6)
for call in (
    lambda: onecopy.memory(1), lambda: onecopy.memory(1, children=False), watched.start,
    lambda: onecopy.assert_shared(data, pid=1),
):
    try:
        call()
    except (PermissionError, AssertionError) as error:
        print(type(error).__name__, getattr(error, "pid", None))
"""


def test_process_of_somebody_else() -> None:
    run = subprocess.run([sys.executable, "-W", "error", "-c", OTHER_USER], capture_output=True, text=True, check=False)
    assert run.stderr == ""
    # A part of a tree that cannot be read leaves the sums unknown; without its root there is nothing at all.
    assert run.stdout.splitlines() == ["PermissionError 1"] * 3 + ["AssertionError None"]


DENIED_CHILD = """
import ctypes, os, signal, onecopy
from onecopy import memory  # who has become nobody may not be able to import it
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    # Nobody but root may look into what is not dumpable.
    assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0
    os.write(writer, b"x")
    signal.pause()
assert os.read(reader, 1) == b"x"
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
    assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0
try:
    report = onecopy.memory()
    (skipped,) = report.skipped
    print(skipped.pid == child, skipped.reason, report.complete, report.sum_pss, len(report.processes))
finally:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


def test_child_that_nobody_may_look_into() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", DENIED_CHILD], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert run.stdout.split() == ["True", "denied", "False", "None", "1"]  # shown, and never counted as zero


NO_PIDS: list[tuple[Any, type[Exception], str]] = [
    ("1", TypeError, "expected a process's number, found str"),
    (1.5, TypeError, "expected a process's number, found float"),
    (-1, ValueError, "pid must be at least 1, not -1"),
    (0, ValueError, "pid must be at least 1, not 0"),
    (-(2**80), ValueError, "pid must be at least 1"),
    (2**80, ProcessLookupError, "does not exist"),
    (2**31, ProcessLookupError, "is gone"),
]


@pytest.mark.parametrize(("pid", "error", "text"), NO_PIDS)
def test_pid_is_checked(pid: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        onecopy.memory(pid)
    with pytest.raises(error, match=text):
        onecopy.watch(pid=pid).start()
    with pytest.raises(error, match=text):
        onecopy.assert_shared(np.ones(10**6), pid=pid)


def read_all(view: Any) -> float:
    """Touches every page, and holds the view until the parent has measured."""
    total = float(np.asarray(view).sum())
    stay()
    return total


READERS = 4


def in_workers(pool: Any, barrier: Any, task: Any, view: Any) -> tuple[int, Any]:
    """Runs the task once in each worker; growth of ΣPSS and the report while all of them wait."""
    grown, report = 0, None
    # The first round, on a small piece, brings every worker's heap and modules to their working size.
    for data in (view[:10], view):
        before = pss_at_rest(pool, barrier)
        workers = barrier.parties - 1
        working = pool.map_async(task, [data] * workers, chunksize=1)
        after, report = while_all_stay(barrier, lambda: (summed_pss_bytes(), onecopy.memory()))
        grown = after - before
        assert len(set(working.get(WATCHDOG_S))) == 1
    return grown, report


def measured_readers(context: BaseContext, data: Any) -> tuple[int, Any]:
    """Growth of ΣPSS from one holder to READERS readers beside it, and the report meanwhile."""
    barrier = context.Barrier(READERS + 1)
    with context.Pool(READERS, remember_barrier, (barrier,)) as pool:
        return in_workers(pool, barrier, read_all, data)


def test_readers_add_nothing_by_pss_and_the_report_says_so(context: BaseContext) -> None:
    view = onecopy.share(np.arange(4 * MIB))  # 32 MiB
    assert int(view.sum()) > 0  # this process has touched all of it
    grown, report = measured_readers(context, view)
    assert grown <= 0.01 * view.nbytes + READERS * MIB / 2
    assert report.complete
    assert sum(process.rss for process in report.processes) >= (READERS + 1) * view.nbytes
    # The store by itself: what its users have of it, each page divided by its users, adds up to one copy.
    users = [user for store in report.to_dict()["stores"] for user in store["users"]]
    assert len(users) == READERS + 1
    assert report.allocated is not None
    assert view.nbytes <= sum(user["pss"] for user in users) <= report.allocated


def test_what_is_not_shared_does_count(context: BaseContext) -> None:
    """The measurement can fail: the same array sent by content makes a copy per reader."""
    array = np.arange(4 * MIB)
    grown, _ = measured_readers(context, array)
    assert grown >= 0.9 * READERS * array.nbytes


def write_half(view: Any) -> float:
    mine = onecopy.private(view)
    mine[: mine.size // 2] = 1
    stay()
    return float(mine[0])


def test_private_writes_are_counted_as_copies(context: BaseContext) -> None:
    view = onecopy.share(np.zeros(32 * MIB, np.uint8), huge=False)
    assert int(view.sum()) == 0
    barrier = context.Barrier(3)
    with context.Pool(2, remember_barrier, (barrier,)) as pool:
        grown, _ = in_workers(pool, barrier, write_half, view)
    assert 32 * MIB <= grown <= 32 * MIB + 4 * MIB  # two halves
    assert int(view.sum()) == 0


def test_stats_are_data() -> None:
    stats = onecopy.stats()
    figures = stats.to_dict()
    assert figures["live_objects"] == stats.live_objects
    assert set(figures) == {name for name in dir(stats) if not name.startswith("_")} - {"to_dict"}
    assert repr(stats).startswith("Stats(live_objects=")
    assert stats == onecopy.stats()
    view = onecopy.share([1, 2])
    assert stats != onecopy.stats()
    assert len(view) == 2
    # How much there is to collect depends on what earlier tests and their workers have left.
    pattern = r"Collected\(processes=\d+, holds=\d+, units=0, cycles=\d+, objects=\d+, bytes=\d+\)"
    assert re.fullmatch(pattern, repr(onecopy.collect()))


KILLED_WORKERS = """
import mmap, os, signal, threading, onecopy
SIZE, WORKERS, ROUNDS, SLACK = 16 << 20, 4, 8, 4 << 20
data = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE)
def write(value):
    for place in range(0, SIZE, mmap.PAGESIZE):
        data[place] = value
def started(number):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(240)
            write(number)
            os.write(writer, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b"x"
    os.close(reader)
    return pid
def is_whole(pids, least=0):
    report = onecopy.memory()
    if not report.complete:
        assert report.wasted is report.sum_pss is report.copies is None, report
        assert report.limits
        return False
    counted = [row for row in report.processes if row.pid in pids]
    # Whoever is there has all that it wrote, and the sums are theirs.
    assert all(row.copied >= SIZE for row in counted), report
    assert len(counted) >= least, report
    wasted = len(counted) * SIZE
    assert wasted <= report.wasted < wasted + (len(counted) + 1) * SLACK, report
    return True
def kill(victim, begins):
    begins.wait()
    os.kill(victim, signal.SIGKILL)
write(1)
for _ in range(ROUNDS):
    pids = [started(2 + number) for number in range(WORKERS)]
    try:
        assert is_whole(pids, WORKERS), "nobody was killed"
        for alive, victim in zip(reversed(range(WORKERS)), pids):
            begins = threading.Barrier(2)
            killer = threading.Thread(target=kill, args=(victim, begins))
            killer.start()
            begins.wait()
            is_whole(pids)  # before, while or after it goes: whole or not complete
            killer.join()
            os.waitid(os.P_PID, victim, os.WEXITED | os.WNOWAIT)
            assert is_whole(pids, alive), "the others are there, and hold still"
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
"""


def test_a_reading_while_workers_are_killed_is_whole_or_not_complete() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", KILLED_WORKERS], capture_output=True, text=True, timeout=2 * WATCHDOG_S
    )
    assert (run.returncode, run.stderr) == (0, "")


SAME_USER = """
import ctypes, os, signal, sys, onecopy
from onecopy import memory  # who has become nobody may not be able to import it
prctl = ctypes.CDLL(None).prctl
if "nobody" in sys.argv:
    os.setgid(65534)
    os.setuid(65534)
    prctl(4, 1, 0, 0, 0)
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    assert prctl(4, 0, 0, 0, 0) == 0
    os.write(writer, b"x")
    signal.pause()
assert os.read(reader, 1) == b"x"
try:
    onecopy.memory(child)
except PermissionError as error:
    print(error)
finally:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


def test_the_same_user_is_not_told_to_be_that_user() -> None:
    # Root may look into what is not dumpable, as long as it has all its privileges.
    arguments = ["nobody"] if os.geteuid() == 0 else []
    run = subprocess.run(
        [sys.executable, "-c", SAME_USER, *arguments], capture_output=True, text=True, timeout=WATCHDOG_S
    )
    assert run.stderr == ""
    assert "its user is the same, but it has more privileges or is not dumpable" in run.stdout
    assert "run as its user" not in run.stdout
    refusal = None
    try:
        onecopy.memory(1)
    except PermissionError as error:
        refusal = str(error)
    if os.geteuid() == 0 and refusal is not None:
        # A container whose first process has more privileges than its root.
        assert "more privileges than this process, though that is run by root" in refusal


def test_help_says_what_arguments_mean_and_dir_shows_what_is_public() -> None:
    text = inspect.getdoc(onecopy.memory) or ""
    for word in ("Args:", "pid:", "children:", "Returns:", "Raises:", "PermissionError", "ValueError"):
        assert word in text
    text = inspect.getdoc(onecopy.write_objects) or ""
    for word in ("Args:", "Returns:", "Raises:", "FileNotFoundError", ">>>"):
        assert word in text
    public = [name for name in dir(onecopy) if not name.startswith("_")]
    assert public == sorted(name for name in onecopy.__all__ if not name.startswith("_"))
    assert all(hasattr(onecopy, name) for name in dir(onecopy))
