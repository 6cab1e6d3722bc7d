"""`watch()` and `mark()`: a process that watches itself and its children, whatever they do with the watch."""

from __future__ import annotations

import gc
import json
import mmap
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import onecopy
from families import MIB, WATCHDOG_S, Workers
from onecopy import _side

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = mmap.PAGESIZE


class Pages:
    """Private memory of which nothing exists before it is written."""

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, count * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._memory.madvise(mmap.MADV_NOHUGEPAGE)
        view = memoryview(self._memory)
        onecopy.tag("pages", view)
        view.release()

    def write(self, first: int, end: int) -> None:
        for page in range(first, end):
            self._memory[page * PAGE] = 1


def tagged(found: dict[str, Any], pids: list[int]) -> tuple[list[int], list[list[int]]]:
    """Distinct pages, frames and new pages; and what each process has copied and has new, in pages."""
    rows = [row for row in found["report"]["mappings"] if row["label"] == "pages" and row["tagged"]]
    assert len(rows) == 1
    users = {user["pid"]: user["pages"] for user in rows[0]["processes"]}
    each = [[users[pid][key] // PAGE if pid in users else 0 for key in ("copied", "new")] for pid in pids]
    return [rows[0][key] for key in ("pages", "frames", "new")], each


def test_what_was_there_at_the_fork_is_known_however_late_a_reading_comes() -> None:
    pages = Pages(3_000)
    pages.write(0, 1_000)

    def work() -> None:
        pages.write(0, 100)
        pages.write(1_000, 1_200)

    # One reading at the start, and then none for minutes: the next one is that of the end.
    watched = onecopy.watch(overhead=0.00001)
    watched.start()
    with Workers(lambda: None, work) as workers:
        pages.write(500, 530)
        pages.write(1_000, 1_500)
        pages.write(2_000, 2_300)
        watched.stop()
    found = watched.to_dict()
    sums, each = tagged(found, [os.getpid(), *workers.pids])
    # Both have allocated pages 1,000 to 1,199 since the fork. The child copied 100, and the parent 30.
    assert sums == [1_000, 1_130, 1_000]
    assert each == [[30, 800], [0, 0], [100, 200]]
    assert found["overhead"]["readings"] <= 3


def in_a_child(work: Callable[[], object]) -> None:
    """Runs it in a child that leaves as a program does, and fails if it fails or hangs."""
    with Workers(work):
        pass


def test_a_child_has_no_part_in_its_parents_watch() -> None:
    watched = onecopy.watch(overhead=0.5)

    def child() -> None:
        watched.stop()
        watched.stop()
        with pytest.raises(RuntimeError, match=f"belongs to process {parent}, which started it"):
            _ = watched.report()
        with pytest.raises(RuntimeError, match="can be used once"):
            watched.start()
        # One of its own is another matter.
        with onecopy.watch(overhead=0.5) as own:
            pass
        report = own.report()
        assert report is not None
        assert [row.pid for row in report.processes] == [os.getpid()]

    parent = os.getpid()
    with watched:
        in_a_child(child)
    assert watched.report() is not None


LEAVING = """
import os, signal, sys
import onecopy
signal.alarm(120)
for way in range(40):
    with onecopy.watch(overhead=1.0) as watched:
        child = os.fork()
        if child == 0:
            if way % 2:
                watched = None  # the last reference goes
            sys.exit(7)  # leaves the block, and does all that is done at exit
        assert os.waitpid(child, 0)[1] == 7 << 8
    assert watched.report() is not None
"""


def test_children_that_leave_the_block_neither_hang_nor_end_the_watch() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", LEAVING],
        capture_output=True,
        text=True,
        timeout=2 * WATCHDOG_S,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_forks_of_several_threads_and_other_programs_pass() -> None:
    failures: list[BaseException] = []

    def fork_often() -> None:
        try:
            for _ in range(20):
                pid = os.fork()
                if pid == 0:
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
                subprocess.run(["true"], check=True)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=fork_often) for _ in range(4)]
    watches = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with onecopy.watch(overhead=1.0) as watched:
            watches.append(watched)
    for thread in threads:
        thread.join()
    assert failures == []
    assert watches


def test_a_watch_that_nobody_stops_goes_with_its_last_reference() -> None:
    watched = onecopy.watch()
    watched.start()
    del watched
    gc.collect()
    in_a_child(lambda: None)  # the hook finds nothing


def test_watch_is_used_once_and_in_order() -> None:
    watched = onecopy.watch()
    with pytest.raises(RuntimeError, match="not started"):
        watched.stop()
    with watched:
        pass
    with pytest.raises(RuntimeError, match="once"):
        watched.start()
    with pytest.raises(ValueError, match="above 0"), onecopy.watch(overhead=0):
        pass


def test_a_process_that_is_gone_cannot_be_watched() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait(WATCHDOG_S)
    watched = onecopy.watch(pid=process.pid)
    with pytest.raises(ProcessLookupError, match="is gone"):
        watched.start()


def test_another_process_is_watched() -> None:
    data = bytearray(8 * MIB)
    with Workers(lambda: None) as workers, onecopy.watch(pid=workers.pids[0], overhead=0.5) as watched:
        pass
    report = watched.report()
    assert report is not None
    assert [row.pid for row in report.processes] == workers.pids
    assert len(data) == 8 * MIB


def test_a_reading_on_demand_sees_what_workers_have_done_by_then() -> None:
    pages = Pages(1_000)
    pages.write(0, 1_000)
    # None would come by itself for minutes.
    with onecopy.watch(overhead=0.00001) as watched, Workers(lambda: pages.write(0, 300)) as workers:
        report = watched.read()
        again = watched.read()
    for read in (report, again):
        sums, each = tagged({"report": read.to_dict()}, [os.getpid(), *workers.pids])
        assert sums == [1_000, 1_300, 0]
        assert each == [[0, 0], [300, 0]]
    found = watched.to_dict()
    assert found["max_copies"] >= (report.copies or 0) > 1
    # Servers that earlier tests have started may be in the tree, too.
    assert sum(sample["processes"] >= 2 and sample["reading"] is not None for sample in found["samples"]) >= 2


def test_only_a_running_watch_of_this_process_reads() -> None:
    watched = onecopy.watch()
    with pytest.raises(RuntimeError, match="does not run"):
        watched.read()

    def child() -> None:
        with pytest.raises(RuntimeError, match="belongs to process"):
            watched.read()

    with watched:
        in_a_child(child)
    with pytest.raises(RuntimeError, match="does not run"):
        watched.read()


def test_threads_may_ask_for_readings_at_once_and_each_has_one() -> None:
    reports: list[onecopy.meter.Report] = []
    with onecopy.watch() as watched:
        threads = [threading.Thread(target=lambda: reports.append(watched.read())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [report.root for report in reports] == [os.getpid()] * 8


HIDDEN_CHILD = """
import ctypes, os, signal, onecopy
def become_nobody(dumpable):
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    assert ctypes.CDLL(None).prctl(4, dumpable, 0, 0, 0) == 0  # PR_SET_DUMPABLE: whether others may look
with onecopy.watch() as watched:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        become_nobody(0)
        os.write(writer, b"x")
        signal.pause()
    assert os.read(reader, 1) == b"x"
    become_nobody(1)
    try:
        watched.read()
    except RuntimeError as error:
        print(error)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
"""


def test_a_reading_of_a_part_is_refused() -> None:
    run = subprocess.run([sys.executable, "-c", HIDDEN_CHILD], capture_output=True, text=True, timeout=WATCHDOG_S)
    assert run.stdout.startswith("not all processes could be read"), run.stderr


FORKING = """
import os, onecopy
with onecopy.watch():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
"""


def test_the_warning_about_threads_is_what_the_guide_says() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "meter.md").read_text()
    (entry,) = set(re.findall(r'"(ignore:[^"]*:DeprecationWarning)"', guide))
    # As pytest reads it; -W would take the message literally.
    _, message, category = entry.split(":")
    filters = f"import warnings\nwarnings.filterwarnings('ignore', {message!r}, {category})\n"
    strict = "import warnings\nwarnings.simplefilter('error')\n"
    quiet, loud = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WATCHDOG_S)
        for program in (strict + filters + FORKING, "import warnings\nwarnings.simplefilter('always')\n" + FORKING)
    ]
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert ("DeprecationWarning" in loud.stderr) == (sys.version_info >= (3, 12))


# Marks.


def test_marks_are_events_in_order_with_the_time_of_the_watch(tmp_path: Path) -> None:
    onecopy.mark("before anybody watches")
    with onecopy.watch(overhead=0.5) as watched:
        before = time.monotonic()
        onecopy.mark("épisode 1 <b>")
        with Workers(lambda: onecopy.mark("in a child")) as workers:
            pass
        onecopy.mark("the end")
        after = time.monotonic()
    onecopy.mark("too late")
    found = watched.to_dict()
    marks = [event for event in found["events"] if event["kind"] == "mark"]
    assert [(mark["label"], mark["pid"]) for mark in marks] == [
        ("épisode 1 <b>", os.getpid()),
        ("in a child", workers.pids[0]),
        ("the end", os.getpid()),
    ]
    times = [mark["t"] for mark in marks]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] - times[0] <= after - before
    assert [event["t"] for event in found["events"]] == sorted(event["t"] for event in found["events"])
    page = tmp_path / "page.html"
    watched.to_html(page)
    assert "<title>épisode 1 &lt;b&gt; (process" in page.read_text()


def test_the_next_watch_begins_without_the_marks_of_the_last() -> None:
    with onecopy.watch():
        onecopy.mark("old")
    with onecopy.watch() as watched:
        onecopy.mark("new")
    events = watched.to_dict()["events"]
    assert [event["label"] for event in events if event["kind"] == "mark"] == ["new"]


@pytest.mark.parametrize("label", ["two\nlines", "\x1b[31m", 7, None])
def test_labels_are_printable(label: Any) -> None:
    with pytest.raises(ValueError, match="a mark's label must be printable text"):
        onecopy.mark(label)


def test_marks_are_bounded_in_each_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONECOPY_SIDE", str(tmp_path))
    monkeypatch.setattr(_side, "MOST_MARKS", 5)
    monkeypatch.setattr(_side, "_marks", {})

    def child() -> None:
        onecopy.mark("of the child")

    for number in range(10):
        onecopy.mark(f"mark {number}")
    with Workers(child) as workers:
        pass

    def labels(pid: int) -> list[str]:
        lines = (tmp_path / f"marks-{pid}.jsonl").read_text().splitlines()
        return [json.loads(line)["label"] for line in lines]

    assert labels(os.getpid()) == [f"mark {number}" for number in range(5)]
    assert labels(workers.pids[0]) == ["of the child"]


def test_nothing_is_written_where_nobody_measures() -> None:
    program = "import onecopy, onecopy._side as side\nonecopy.mark('x')\nassert side._own_folder is None"
    environment = {name: value for name, value in os.environ.items() if name != "ONECOPY_SIDE"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=WATCHDOG_S)


def test_marking_from_many_threads_keeps_lines_whole() -> None:
    def mark_often() -> None:
        for _ in range(50):
            onecopy.mark("x" * 200)

    with onecopy.watch() as watched:
        threads = [threading.Thread(target=mark_often) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(event["kind"] == "mark" for event in watched.to_dict()["events"]) == 200


HINDERED = """
import os, resource, sys, onecopy
from onecopy import *  # another user may not be able to load it later
side, hindrance = os.environ["ONECOPY_SIDE"], sys.argv[1]
if hindrance == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
elif hindrance == "a file":
    os.environ["ONECOPY_SIDE"] = sys.executable
elif os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
else:
    os.chmod(side, 0o500)
data = bytearray(10**6)
onecopy.mark("label")
onecopy.tag("first", data)
onecopy.tag("second", data)
"""


@pytest.mark.parametrize(
    ("hindrance", "reason"),
    [("full", "File too large"), ("a file", "Not a directory"), ("rights", "Permission denied")],
)
def test_a_program_goes_on_where_nothing_can_be_left_for_the_report(
    hindrance: str, reason: str, tmp_path: Path
) -> None:
    side = tmp_path / "side"
    side.mkdir(mode=0o700)
    environment = {**os.environ, "ONECOPY_SIDE": str(side)}
    program = [sys.executable, "-c", HINDERED, hindrance]
    run = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=WATCHDOG_S)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("RuntimeWarning") == 1
    said = "(reports will not show the name 'first'|ONECOPY_SIDE is ignored)"
    assert re.search(f"RuntimeWarning: {said}, .*{reason}", run.stderr)


def test_threads_may_end_a_watch_at_once_and_each_finds_it_ended() -> None:
    for _ in range(20):
        watched = onecopy.watch()
        watched.start()
        together = threading.Barrier(8)
        failed: list[BaseException] = []

        def stop(watched: onecopy.meter.Watch = watched, together: threading.Barrier = together) -> None:
            together.wait(WATCHDOG_S)
            try:
                watched.stop()
                assert watched.report() is not None
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=stop) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed


NO_THREADS = """
import os, resource, onecopy
from onecopy import *  # another user may not be able to load it later
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (0, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
try:
    onecopy.watch().start()
except RuntimeError as error:
    print(error)
"""


def test_a_watch_says_that_no_thread_can_be_made() -> None:
    run = subprocess.run([sys.executable, "-c", NO_THREADS], capture_output=True, text=True, timeout=WATCHDOG_S)
    assert run.stdout.startswith("no thread can be made to measure"), run.stderr
    assert (run.returncode, run.stderr) == (0, "")
