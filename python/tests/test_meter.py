"""What the meter says of Python programs: from within, and as the command that runs them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onecopy
from families import MIB, WATCHDOG_S, Workers, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(sys.executable).with_name("onecopy")
pytest_plugins = ["onecopy.pytest_plugin"]


def test_processes_say_what_they_copied() -> None:
    data = np.ones(32 * MIB, np.uint8)

    def write() -> None:
        data[: 8 * MIB] = 2

    with Workers(write, data.sum) as workers:
        report = onecopy.memory()
    assert report.level in {"A", "B"}
    assert report.agreement is not None
    assert report.agreement > 0.9
    # Servers that earlier tests have started may be in the tree, too.
    rows = {row.pid: row for row in report.processes}
    parent, writer, reader = (rows[pid] for pid in (os.getpid(), *workers.pids))
    assert (parent.role, writer.role, reader.role) == ("parent", "worker", "worker")
    assert writer.copied >= 8 * MIB
    assert reader.copied < writer.copied
    assert report.wasted is not None
    assert report.wasted >= 8 * MIB


def test_watch_samples_and_reports(tmp_path: Path) -> None:
    data = np.ones(16 * MIB, np.uint8)
    onecopy.tag("the data", data)

    def write() -> None:
        data[: 8 * MIB] = 2

    watched = onecopy.watch(overhead=0.5)
    with Workers(write, lambda: None), watched:
        pass
    found = watched.to_dict()
    assert found["schema"] == "onecopy.run/1"
    assert watched.report() is not None
    assert (watched.max_copies() or 0) > 1.0  # this process may be large
    rows = [row for row in found["report"]["mappings"] if row["label"] == "the data"]
    assert rows
    assert rows[0]["tagged"]
    assert rows[0]["copies"] == pytest.approx(1.5, abs=0.01)
    page = tmp_path / "report.html"
    watched.to_html(page)
    text = page.read_text()
    assert "the data" in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")  # no network
    assert "<script" not in text


def test_fixture_watches_the_test(onecopy_watch: onecopy.meter.Watch) -> None:
    data = bytearray(4 * MIB)
    with Workers(lambda: None):
        onecopy_watch.stop()
    assert onecopy_watch.max_copies() is not None
    assert len(data) == 4 * MIB


def test_tags_of_containers_cover_their_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONECOPY_SIDE", str(tmp_path))
    words = [f"word {number}" for number in range(50_000)]
    onecopy.tag("words", words)
    lines = [json.loads(line) for line in (tmp_path / f"tags-{os.getpid()}.jsonl").read_text().splitlines()]
    # That it is the right one the test of watch() shows: the name would not be in its report.
    assert lines[0].pop("start_time_ticks") > 0
    assert lines[0] == {"pid": os.getpid(), "name": "words", "start": 0, "len": 0}
    covered = [range(line["start"], line["start"] + line["len"]) for line in lines[1:]]
    sample = words[::1000]
    assert sum(any(id(word) in part for part in covered) for word in sample) > 0.8 * len(sample)


def test_object_tables_name_types_and_hidden_objects_too(tmp_path: Path) -> None:
    # In an interpreter of its own: the objects of all other tests would be in the table, too.
    run = subprocess.run(
        [sys.executable, "-c", OBJECT_TABLE, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr


OBJECT_TABLE = """
import gc, json, os, pathlib, sys, weakref
import onecopy
folder = pathlib.Path(sys.argv[1])
kept = [{"number": number} for number in range(1_000)]
gc.freeze()
count = onecopy.write_objects(folder)
head = json.loads((folder / f"objects-{os.getpid()}.json").read_text())
rows = (folder / f"objects-{os.getpid()}.bin").read_bytes()
assert len(rows) % 16 == 0
assert count <= len(rows) // 16
assert {"dict", "str", "list items"} <= {kind["name"] for kind in head["types"]}
assert 0 < head["seconds"] < 240
addresses = {int.from_bytes(rows[at : at + 8], "little") for at in range(0, len(rows), 16)}
found = [record for record in kept if {id(record), id(record) - 16} & addresses]
assert len(found) == len(kept)
# Nobody holds on to what was walked: a worker's collector would free it, and write to everything in it.
class Plain:
    pass
plain = Plain()
left = weakref.ref(plain)
gc.disable()
onecopy.write_objects(folder)
del plain
assert left() is None
"""

# Programs under `onecopy run`. They wait until they are told to end, so that no reading is missed.

PRELUDE = """
import gc, mmap, os, signal, sys, time
signal.alarm(240)  # whatever hangs ends, and so do the children of a parent that was killed
def readings():
    while True:
        try:
            return int(open(os.environ["ONECOPY_SIDE"] + "/readings").read())
        except ValueError:
            pass  # it is being written
        except (KeyError, OSError):
            return 0
def forked(count, work):
    pids = []
    for number in range(count):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.alarm(240)
            try:
                work(number)
                os.write(writer, b"x")
                time.sleep(1000)
            finally:
                os._exit(1)
        os.close(writer)
        pids.append(pid)
        assert os.read(reader, 1) == b"x"
    # A reading may have begun before the workers were done; the one after it has not. Something must move.
    first = readings()
    while readings() < first + 2:
        mmap.mmap(-1, 4096)[0] = 1  # a page fault for certain: an allocator may have memory left over
        time.sleep(0.05)
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
"""
ARRAY = """
import numpy as np
data = np.ones((N, N))
forked(4, lambda number: float(data.sum()))
"""
STRINGS = """
data = [{"number": number, "name": str(number)} for number in range(150_000)]
if "freeze" in sys.argv:
    gc.collect(); gc.freeze()
def work(number):
    if "collect" in sys.argv:
        gc.collect()
    else:
        sum(len(record["name"]) for record in data)
forked(4, work)
"""
SHARED = """
import onecopy
data = onecopy.share([{"number": number, "name": str(number)} for number in range(150_000)])
forked(4, lambda number: sum(map(len, data.column("name"))))
"""


def measured(tmp_path: Path, program: str, *arguments: str, why: bool = True) -> dict[str, Any]:
    """Runs a program under `onecopy run` and returns its record."""
    path = tmp_path / "run.json"
    command: list[str | Path] = [SCRIPT, "run", "-q", "--overhead", "60", "--json", path]
    command += ["--why"] if why else []
    command += ["--", sys.executable, "-c", PRELUDE + program, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=WATCHDOG_S)
    assert run.returncode == 0, run.stderr
    record: dict[str, Any] = json.loads(path.read_text())
    assert record["report"]["complete"], record["report"]["limits"]
    return record


def objects(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in record["why"]["objects"]["types"]}


def is_nameless(why: dict[str, Any]) -> bool:
    """Whether the interpreter comes without symbols, as Debian's does: then that is said, and both causes are."""
    return any("whose functions have no names here" in line for line in why["advice"])


def pages_by(why: dict[str, Any], cause: str) -> int:
    """Pages that were copied for a cause, or for one without a name."""
    causes = {cause, "other"} if is_nameless(why) else {cause}
    return sum(row["pages"] for row in why["stacks"] if row["cause"] in causes)


def test_run_says_one_copy_of_an_array_that_is_read(tmp_path: Path) -> None:
    record = measured(tmp_path, ARRAY.replace("N", "3000"), why=False)
    assert len(record["report"]["processes"]) == 5
    # 69 MiB of data beside some MiB of interpreter, in each of which reference counts are written.
    assert record["report"]["tree"]["copies"]["value"] < 1.12
    largest = record["report"]["mappings"][0]
    assert largest["copies"] == pytest.approx(1.0, abs=0.001)
    assert (
        largest["pages"] * record["report"]["page_size"] >= 0.99 * 3000 * 3000 * 8
    )  # its edges share pages with others


def test_run_names_reference_counts_and_bytes_per_type(tmp_path: Path) -> None:
    record = measured(tmp_path, STRINGS)
    assert record["report"]["tree"]["copies"]["value"] > 2
    why = record["why"]
    if why["reason"] is None:
        # Of what faults explain: when many are lost on a busy machine, the rest is none the less true.
        explained = why["pages"] - why["unattributed"]
        assert why["lost"] or explained > 0.5 * why["pages"], why
        assert pages_by(why, "interpreter") > 0.5 * explained, why
        assert any("share()" in line for line in why["advice"]) or explained < 0.2 * why["pages"]
    types = objects(record)
    assert types["dict"]["objects"] > 100_000
    assert types["str"]["bytes"] > MIB
    assert types["dict"]["counted"]


def test_run_names_the_collector_and_freezing_helps(tmp_path: Path) -> None:
    collected = measured(tmp_path, STRINGS, "collect")
    why = collected["why"]
    if why["reason"] is None:
        explained = why["pages"] - why["unattributed"]
        assert why["lost"] or explained > 0.5 * why["pages"], why
        assert pages_by(why, "garbage_collector") > 0.3 * explained, why
        assert any("gc.freeze()" in line for line in why["advice"]) or explained < 0.3 * why["pages"]
    frozen = measured(tmp_path, STRINGS, "collect", "freeze")
    copied = [record["report"]["tree"]["copies"]["wasted"] for record in (collected, frozen)]
    # What the interpreter itself writes in each worker stays.
    assert copied[1] < copied[0] / 2
    why = frozen["why"]
    assert is_nameless(why) or not any("gc.freeze()" in line for line in why["advice"])


def test_run_says_one_copy_of_what_is_shared(tmp_path: Path) -> None:
    record = measured(tmp_path, SHARED, why=False)
    report = record["report"]
    # Not of the moment before the fork, when the list was there as well.
    assert len(report["processes"]) == 5
    assert report["stores"]
    shared = [row for row in report["mappings"] if row["kind"] == "shared_memory"]
    assert shared
    assert all(row["copies"] == pytest.approx(1.0) for row in shared if row["label"].startswith("/memfd:onecopy-"))


WAYS = """
import onecopy
# With a list in it the collector has to look at each; dicts of numbers and texts alone it leaves out.
data = [{"number": number, "name": f"name {number}", "tags": [number]} for number in range(100_000)]
before, work = sys.argv[1:]
if before == "gc.freeze":
    gc.collect(); gc.freeze()
elif before == "freeze":
    onecopy.freeze(data)
elif before == "share":
    data = onecopy.share(data)
def read(number):
    assert sum(len(record["name"]) for record in data) > 0
forked(4, {"read": read, "collect": lambda number: gc.collect(), "nothing": lambda number: 0}[work])
"""

Ratio = Callable[[str, str], float]


@pytest.fixture(scope="module")
def ratio(tmp_path_factory: pytest.TempPathFactory) -> Ratio:
    """What is copied when something is done before the fork and something by four workers, as a part of what is copied
    when they read a plain list. What an interpreter copies that does nothing is left out.
    """
    known: dict[tuple[str, str], float] = {}

    def copied(before: str, work: str) -> float:
        if (before, work) not in known:
            record = measured(tmp_path_factory.mktemp("ways"), WAYS, before, work, why=False)
            # The last whole reading of the whole family: before a fork there may have been more memory than ever after,
            # and workers that are killed during a reading leave it without a total.
            samples = [sample for sample in record["samples"] if sample["processes"] == 5 and sample["reading"]]
            wasted = [sample["reading"]["wasted"] for sample in samples if sample["reading"]["complete"]]
            known[before, work] = float(wasted[-1])
        return known[before, work]

    def ratio(before: str, work: str) -> float:
        idle = copied("nothing", "nothing")
        return (copied(before, work) - idle) / (copied("nothing", "read") - idle)

    return ratio


needs_freeze = pytest.mark.skipif(not onecopy.freeze_supported()[0], reason=onecopy.freeze_supported()[1])


@pytest.mark.parametrize(
    ("before", "work", "least", "most"),
    [
        # It hides objects from the collector; their reference counts are written all the same.
        ("gc.freeze", "read", 0.8, 1.2),
        ("nothing", "collect", 0.5, 2.0),
        ("gc.freeze", "collect", -0.1, 0.1),
        pytest.param("freeze", "read", -0.1, 0.1, marks=needs_freeze),
        pytest.param("freeze", "collect", -0.1, 0.1, marks=needs_freeze),
        ("share", "read", -0.1, 0.1),
        # The collector still writes to the objects of the interpreter itself, some MiB in each worker.
        ("share", "collect", -0.1, 0.35),
    ],
)
def test_what_helps_against_which_copies(ratio: Ratio, before: str, work: str, least: float, most: float) -> None:
    assert least <= ratio(before, work) <= most


MARKS = """
import onecopy
onecopy.mark("before the fork")
gc.collect()
def work(number):
    onecopy.mark(f"in worker {number}")
    gc.collect()
forked(2, work)
"""


@pytest.mark.parametrize("why", [False, True])
def test_run_shows_marks_and_with_why_full_collections(tmp_path: Path, why: bool) -> None:
    record = measured(tmp_path, MARKS, why=why)
    events = record["events"]
    assert [event["t"] for event in events] == sorted(event["t"] for event in events)
    marks = [event for event in events if event["kind"] == "mark"]
    assert [mark["label"] for mark in marks] == ["before the fork", "in worker 0", "in worker 1"]
    assert len({mark["pid"] for mark in marks}) == 3
    # Whichever process it was, its clock is that of the run.
    assert all(0 < mark["t"] < record["report_t"] for mark in marks)
    collections = [event for event in events if event["kind"] == "gc"]
    assert {event["pid"] for event in collections} == ({mark["pid"] for mark in marks} if why else set())
    form = re.compile(r"full collection, \d+\.\d{3} s, \d+ objects collected")
    assert all(form.fullmatch(event["label"]) for event in collections)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the interpreter shows its frames from 3.12 on")
def test_python_functions_are_named_where_the_interpreter_shows_them(tmp_path: Path) -> None:
    record = measured(tmp_path, STRINGS)
    if record["why"]["reason"] is not None:
        pytest.skip(f"page faults cannot be watched here: {record['why']['reason']}")
    if not record["why"]["python"]:
        pytest.skip("this interpreter was built without the perf trampoline")
    assert any("work" in name for row in record["why"]["python"] for name in row["stack"])


# The live view, and the page in a browser.


@pytest.fixture
def family(tmp_path: Path) -> Iterator[int]:
    """A program with two workers; its id."""
    program = PRELUDE + "data = bytearray(b'x' * 2**23)\nprint(os.getpid(), flush=True)\nforked(2, lambda number: 0)"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            assert int(process.stdout.readline()) == process.pid
            wait_until(lambda: len(onecopy.memory(process.pid).processes) == 3)
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_report_is_as_wide_as_the_terminal(family: int) -> None:
    lines: dict[int, list[str]] = {}
    for columns in (84, 160):
        terminal, inside = os.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("4H", 50, columns, 0, 0))
        with subprocess.Popen(
            [SCRIPT, "report", str(family)], stdout=inside, env={**os.environ, "NO_COLOR": "1"}
        ) as run:
            os.close(inside)
            said = b""
            with contextlib.suppress(OSError):  # the end of a terminal
                while part := os.read(terminal, 65536):
                    said += part
            os.close(terminal)
        assert run.returncode == 0
        lines[columns] = said.decode().splitlines()
        wide = [line for line in lines[columns] if len(line) > columns and " processes" not in line]
        assert wide == []
    assert len(lines[160]) < len(lines[84])


def test_top_prints_once_into_a_pipe(family: int) -> None:
    run = subprocess.run([SCRIPT, "top", str(family)], capture_output=True, text=True, timeout=WATCHDOG_S)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(" copies 1.0")
    assert run.stdout.count(" worker ") == 2
    assert "\x1b" not in run.stdout


def test_top_lives_in_eighty_columns_and_obeys_keys(family: int, tmp_path: Path) -> None:
    tmux = shutil.which("tmux")
    if tmux is None:
        pytest.skip("tmux is not installed: apt install tmux; the live view of `onecopy top` was NOT tried")
    terminal = [tmux, "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]

    def screen() -> str:
        done = subprocess.run([*terminal, "capture-pane", "-p"], capture_output=True, text=True, timeout=WATCHDOG_S)
        return done.stdout

    def press(key: str) -> None:
        subprocess.run([*terminal, "send-keys", key], check=True, timeout=WATCHDOG_S)

    command = f"TERM=screen NO_COLOR=1 '{SCRIPT}' top --every 0.1 --overhead 50 {family}; sleep 1000"
    subprocess.run([*terminal, "new-session", "-d", "-x", "80", "-y", "24", command], check=True, timeout=WATCHDOG_S)
    try:
        wait_until(lambda: "worker" in screen())
        first = screen()
        assert len(first.splitlines()) <= 24
        assert all(len(line) <= 80 for line in first.splitlines())
        assert " copies 1.0" in first
        press("v")
        wait_until(lambda: "mappings by" in screen() and "[heap]" in screen())
        press("s")
        wait_until(lambda: "by copied" in screen())
        press("o")
        wait_until(lambda: "nothing is tagged" in screen())
        press("p")
        wait_until(lambda: "PAUSED" in screen())
        press("q")
        wait_until(lambda: "copies" not in screen())  # the terminal is as it was
    finally:
        subprocess.run([*terminal, "kill-server"], check=False, timeout=WATCHDOG_S)


@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_phones_and_desktops(family: int, tmp_path: Path, width: int) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed: apt install chromium; the page was NOT looked at")
    page, picture = tmp_path / "report.html", tmp_path / "page.png"
    report = subprocess.run(
        [SCRIPT, "report", str(family), "--format", "html"], capture_output=True, text=True, timeout=WATCHDOG_S
    )
    # What the page itself finds about its layout, written where --dump-dom shows it.
    probe = (
        "<script>window.onload = () => { const shown = [...document.querySelectorAll('svg.chart')].filter(svg => "
        "svg.getBoundingClientRect().width > 0); document.title = JSON.stringify({ over: document.documentElement"
        ".scrollWidth - window.innerWidth, charts: shown.length, answer: parseFloat(getComputedStyle(document"
        ".querySelector('.answer b')).fontSize) }); };</script>"
    )
    page.write_text(report.stdout.replace("</body>", probe + "</body>"))
    frame = tmp_path / "frame.html"
    # Headless windows have a least width; a frame has none.
    frame.write_text(f"<body style='margin:0'><iframe src='report.html' width='{width}' height='1600'></iframe></body>")
    common = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command = [*common, f"--window-size={max(width, 500)},1600", "--virtual-time-budget=3000"]
    subprocess.run([*command, f"--screenshot={picture}", frame.as_uri()], capture_output=True, timeout=WATCHDOG_S)
    assert picture.stat().st_size > 10_000
    # The frame's own title is out of reach from here; the page by itself has the same style sheet.
    dump = subprocess.run(
        [*common, f"--window-size={width},1600", "--virtual-time-budget=3000", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=WATCHDOG_S,
    )
    found = json.loads(re.findall(r"<title>(\{.*?\})</title>", dump.stdout)[0])
    assert found["over"] <= 0  # nothing sticks out
    assert found["charts"] >= 2
    assert found["answer"] >= 48  # the number of copies is what one sees first
