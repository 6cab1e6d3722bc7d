"""The store gives everything back: by dropping, by dying, by running out of memory."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onecopy
from conftest import summed_pss_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.context import BaseContext

MIB = 2**20
DEV_SHM = Path("/dev/shm")  # noqa: S108 - looked at, never written to
WATCHDOG_S = 120


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition under a watchdog."""
    deadline = time.monotonic() + WATCHDOG_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)


def run_program(program: str, *arguments: str, fresh: bool = True, prefix: tuple[str, ...] = ()) -> list[str]:
    """Runs a program and returns the words it printed; `fresh` makes it know nothing of this process's store."""
    environment = dict(os.environ)
    if fresh:
        environment.pop("ONECOPY_STORE", None)
    run = subprocess.run(
        [*prefix, sys.executable, "-W", "error", "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WATCHDOG_S * 2,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout.split()


@pytest.fixture
def clean() -> Iterator[onecopy.store.Stats]:
    """The store as it is before the test; fails unless it is so again afterwards."""
    gc.collect()
    onecopy.collect(0)
    before = onecopy.stats()
    yield before
    gc.collect()
    onecopy.collect(0)
    after = onecopy.stats()
    assert (after.live_objects, after.building_objects, after.dying_objects, after.holds, after.units) == (
        before.live_objects,
        before.building_objects,
        before.dying_objects,
        before.holds,
        before.units,
    )
    assert after.allocated_bytes == before.allocated_bytes


# ── dropping ─────────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS: dict[str, Callable[[int], Any]] = {
    "list": lambda n: [n, n + 1, None, "x" * (n % 100)],
    "ints": lambda n: list(range(n % 3000)),
    "array": lambda n: np.full(n % 3000, n),
}


@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_rounds_leave_the_store_flat(kind: str, clean: onecopy.store.Stats) -> None:
    make = KINDS[kind]
    sizes = []
    for number in range(10_000):
        view = onecopy.share(make(number))
        if number % 10 == 0:
            assert len(pickle.loads(pickle.dumps(view))) == len(view)
        del view
        if number % 1000 == 999:
            sizes.append(onecopy.stats().occupied_bytes)
    assert onecopy.stats().live_objects == clean.live_objects
    assert max(sizes) - min(sizes) <= 256 * 1024  # the tables reach their size in the first rounds
    assert sizes[-1] <= sizes[0]


@pytest.mark.usefixtures("clean")
def test_large_rounds_give_their_pages_back() -> None:
    array = np.ones(8 * MIB, np.uint8)
    onecopy.share(array)
    before = onecopy.stats().occupied_bytes
    for _ in range(200):
        onecopy.share(array)
    assert onecopy.stats().occupied_bytes <= before


print_nothing = lambda: None  # noqa: E731 - a lambda cannot be pickled, which is the point


@pytest.mark.usefixtures("clean")
def test_failed_share_leaves_nothing() -> None:
    before = onecopy.stats()
    refused: list[Any] = [[1, 2, {"a": [print_nothing]}], (*[None] * 1000, {print_nothing}), np.array([print_nothing])]
    for bad in refused:
        with pytest.raises(TypeError, match="data"):
            onecopy.share(bad)
    assert onecopy.stats() == before


@pytest.mark.usefixtures("clean")
def test_views_in_cycles_are_collected() -> None:
    before = onecopy.stats().live_objects

    class Node:
        pass

    for _ in range(100):
        node: Any = Node()
        node.me, node.view, node.array = node, onecopy.share([1, 2]), onecopy.share(np.ones(3))
    del node
    gc.collect()
    assert onecopy.stats().live_objects == before


# ── dying ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def hold(views: list[Any], connection: Any, made: int) -> None:
    """Holds what it got and what it makes until it is killed, an unshared array among it."""
    views += [onecopy.share(list(range(n))) for n in range(made)]
    views.append(onecopy.ones(MIB))
    connection.send(sum(len(view) for view in views))
    signal.pause()


@pytest.mark.usefixtures("clean")
def test_killed_holder_gives_its_holds_back(context: BaseContext) -> None:
    views: list[Any] = [onecopy.share(np.ones(MIB)), onecopy.share(["a", 1])]
    before = onecopy.stats()
    for _ in range(3):
        mine, theirs = context.Pipe()
        process = context.Process(target=hold, args=(views, theirs, 50))  # type: ignore[attr-defined]
        process.start()
        theirs.close()
        assert mine.poll(WATCHDOG_S)
        mine.recv()
        assert onecopy.stats().holds >= before.holds + 52
        assert onecopy.stats().building_objects == before.building_objects + 1
        process.kill()
        process.join(WATCHDOG_S)
        assert process.exitcode == -signal.SIGKILL

        def given_back() -> bool:
            onecopy.collect()
            now = onecopy.stats()
            return (now.holds, now.live_objects, now.building_objects, now.allocated_bytes) == (
                before.holds,
                before.live_objects,
                before.building_objects,
                before.allocated_bytes,
            )

        until(given_back, "the killed holder's holds are given back")
    assert onecopy.collect().processes == 0
    assert int(views[0].sum()) == MIB


def return_ten_million(connection: Any) -> None:
    connection.send(onecopy.share(list(range(10_000_000))))


@pytest.mark.usefixtures("clean")
def test_worker_returns_ten_million_ints_and_exits(context: BaseContext) -> None:
    mine, theirs = context.Pipe()
    process = context.Process(target=return_ten_million, args=(theirs,))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    assert mine.poll(WATCHDOG_S)
    process.join(WATCHDOG_S)
    assert process.exitcode == 0
    view = mine.recv()  # its maker is gone
    assert len(view) == 10_000_000
    assert (view[0], view[-1], view[1234567]) == (0, 9_999_999, 1234567)
    assert int(np.asarray(view).sum(dtype=np.int64)) == 49_999_995_000_000


FAMILY = """
import multiprocessing, os, signal, sys, time
import numpy as np, onecopy

def work(view, made, barrier):
    own = onecopy.share(np.ones(8 << 20, np.uint8))
    born = onecopy.ones(1 << 20)
    mine = onecopy.private(view)
    mine[0] = 1
    made.put(own)
    barrier.wait()
    while True:
        signal.pause()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    view = onecopy.share(np.arange(64 << 17))
    made, barrier = context.Queue(), context.Barrier(4)
    workers = [context.Process(target=work, args=(view, made, barrier)) for _ in range(3)]
    for worker in workers:
        worker.start()
    barrier.wait()
    others = [made.get() for _ in workers]
    print(onecopy.memory().stores[0].id, flush=True)
    while True:
        signal.pause()
"""


def family_of(group: int) -> list[int]:
    """The living processes of a session, whoever their parents are by now."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == group and fields[0] not in {"Z", "X"}:
                found.append(int(stat.parent.name))
    return found


def processes_with_store(store: str) -> list[str]:
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if f"memfd:onecopy-{store}" in str(link.readlink()):
                found.append(str(link))
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            if f"memfd:onecopy-{store}" in maps.read_text():
                found.append(str(maps))
    return found


def test_nothing_remains_of_a_family_that_was_killed(start_method: str, tmp_path: Path) -> None:
    program = tmp_path / "family.py"
    program.write_text(FAMILY)
    names_before = set(DEV_SHM.iterdir())
    environment = {name: value for name, value in os.environ.items() if name != "ONECOPY_STORE"}
    parent = subprocess.Popen(
        [sys.executable, str(program), start_method],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    store = parent.stdout.readline().strip()
    try:
        assert len(processes_with_store(store)) >= 4
        # What each has read of the store, divided by its readers.
        assert summed_pss_bytes(parent.pid) >= 24 * MIB
        # Nothing of onecopy's has a name; multiprocessing's own semaphores may.
        assert [path for path in set(DEV_SHM.iterdir()) - names_before if "onecopy" in path.name] == []
    finally:
        while family := family_of(parent.pid):
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            parent.poll()
        parent.wait(WATCHDOG_S)
        parent.stdout.close()
    # It has no name, so its pages go with the last process that has it.
    until(lambda: processes_with_store(store) == [], "no process has the store any more")
    assert [path for path in set(DEV_SHM.iterdir()) - names_before if "onecopy" in path.name] == []


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────

MANY = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import os, pickle, onecopy
views = [onecopy.share([n, n + 1]) for n in range(10_000)]
assert [view[0] for view in views] == list(range(10_000))
assert onecopy.stats().live_objects == 10_000
again = [pickle.loads(pickle.dumps(view)) for view in views[::100]]
child = os.fork()
if child == 0:
    good = sum(view[1] for view in views) == sum(range(1, 10_001))
    os._exit(0 if good else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(len(os.listdir("/proc/self/fd")))
del views, again
onecopy.collect()  # the child, which did not give its holds back itself
print(onecopy.stats().live_objects)
"""


def test_ten_thousand_live_shares_under_64_descriptors() -> None:
    descriptors, live = map(int, run_program(MANY))
    assert descriptors < 20
    assert live == 0


SMALL_SHM = """
import os, subprocess, sys, numpy as np, onecopy
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "/dev/shm"], check=True)
assert os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize == 64 << 20
array = np.ones(256 << 20, np.uint8)
view = onecopy.share(array)
print(int(view.sum()))
"""


def test_size_of_dev_shm_does_not_matter() -> None:
    assert run_program(SMALL_SHM, prefix=can_unshare()) == [str(256 * MIB)]


TOO_MUCH = """
from pathlib import Path
# Should the refusal ever fail, the kernel is to end this process and nobody else.
Path("/proc/self/oom_score_adj").write_text("1000")
import os, numpy as np, onecopy
lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
total, available = (int(lines[name].split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
windows = np.lib.stride_tricks.sliding_window_view(np.ones(1 << 20), 1 << 15)
assert windows.nbytes > 2 * total
for ask in (
    lambda: onecopy.empty(2 * total, np.uint8),
    lambda: onecopy.zeros((2, total // 8)),
    lambda: onecopy.share(windows[:, ::-1]),
):
    try:
        ask()
    except MemoryError as error:
        print(error.requested >= total, 0 < error.available <= 2 * available, "not enough memory" in str(error))
stores = [fd for fd in Path("/proc/self/fd").iterdir() if "memfd:onecopy" in os.path.realpath(fd)]
print(0 < stores[0].stat().st_blocks * 512 < 64 << 20, onecopy.stats().live_objects, onecopy.share([1, 2])[1])
"""


def test_more_than_the_machine_has_is_refused_before_it_is_taken() -> None:
    assert run_program(TOO_MUCH) == ["True"] * 9 + ["True", "0", "2"]


def test_beyond_all_address_space() -> None:
    with pytest.raises(MemoryError):
        onecopy.empty(2**62, np.uint8)
    with pytest.raises((MemoryError, ValueError)):
        onecopy.empty((2**40, 2**40))
    assert onecopy.share([1])[0] == 1


LITTLE_LEFT = """
import subprocess, sys
from pathlib import Path
import numpy as np, onecopy
keep = onecopy.share(np.ones(16 << 20, np.uint8))
lines = Path("/proc/meminfo").read_text().splitlines()
# A 64th of the total is left to others: 64 MiB of the 128.
figures = {"MemTotal": 4 << 20, "MemAvailable": 128 << 10, "SwapFree": 0}
with open(sys.argv[1], "w") as fake:
    for line in lines:
        name = line.split(":")[0]
        fake.write(f"{name}: {figures[name]} kB\\n" if name in figures else line + "\\n")
subprocess.run(["mount", "--bind", sys.argv[1], "/proc/meminfo"], check=True)
before = onecopy.stats()
for ask in (lambda: onecopy.empty(128 << 20, np.uint8), lambda: onecopy.share(list(range(2**40, 2**40 + 10_000_000)))):
    try:
        ask()
    except MemoryError as error:
        print(error.requested >= 80_000_000, error.available == 64 << 20)
print(onecopy.stats() == before)
print(int(keep.sum()), onecopy.share([1, 2])[1], int(onecopy.share(np.ones(1 << 20, np.uint8)).sum()))
"""


def can_unshare() -> tuple[str, ...]:
    """The command that gives a child a mount namespace of its own, or a loud skip."""
    unshare = shutil.which("unshare")
    prefix = (unshare or "unshare", "--mount")
    if not unshare or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT TESTED: needs unshare(1) and the right to make a mount namespace, as root has")
    return prefix


def test_little_memory_left_is_an_error_and_the_store_still_works(tmp_path: Path) -> None:
    # The machine only says so: memory that really ran out would take other programs with it.
    words = run_program(LITTLE_LEFT, str(tmp_path / "meminfo"), prefix=can_unshare())
    assert words == ["True", "True"] * 2 + ["True", str(16 * MIB), "2", str(MIB)]


ADDRESS_SPACE = """
import resource, sys, onecopy
limit = int(sys.argv[1]) << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    print(sum(onecopy.share([1, 2])), onecopy.stats().capacity_bytes >> 20)
except MemoryError as error:
    print("MemoryError", error.requested >> 20)
"""


@pytest.mark.parametrize(
    ("limit_mib", "words"),
    [(40 << 10, ["3", "8192"]), (16 << 10, ["3", "4096"]), (2 << 10, ["3", "512"]), (400, ["MemoryError", "256"])],
)
def test_a_store_takes_no_more_than_half_of_the_address_space(limit_mib: int, words: list[str]) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    assert soft == resource.RLIM_INFINITY, "this test sets its own limit"
    assert run_program(ADDRESS_SPACE, str(limit_mib)) == words


FILE_SIZE = """
import errno, pickle, resource, signal, sys, onecopy
# Python ignores the signal; a program in which it is embedded may not.
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
limit = int(sys.argv[1]) << 20
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
kept = []
try:
    for number in range(100):
        kept.append(onecopy.share([bytes([number]) * (16 << 20)]))
except (MemoryError, onecopy.OnecopyError) as error:
    print(type(error).__name__, len(kept), "RLIMIT_FSIZE" in str(error))
    if isinstance(error, OSError):
        again = pickle.loads(pickle.dumps(error))
        assert again.errno == error.errno == errno.EFBIG and str(again) == str(error)
print(all(view[0][-1] == number for number, view in enumerate(kept)))
if kept:
    print(onecopy.stats().live_objects, onecopy.stats().building_objects)
"""


@pytest.mark.parametrize(
    ("limit_mib", "error", "shared"), [(1, "KernelError", 0), (64, "MemoryError", 3), (1024, "MemoryError", 54)]
)
def test_a_limit_of_file_sizes_is_kept_and_named(limit_mib: int, error: str, shared: int) -> None:
    words = run_program(FILE_SIZE, str(limit_mib))
    # What could not be had has left nothing behind.
    assert words == [error, str(shared), "True", "True", *([str(shared), "0"] if shared else [])]


BEYOND_THE_RANGE = """
import onecopy
try:
    onecopy.empty(1 << 50, "u1")
except MemoryError as error:
    capacity = onecopy.stats().capacity_bytes
    print(error.requested >= 1 << 50, capacity // 2 < error.available <= capacity, "address range" in str(error))
"""


def test_more_than_a_store_can_ever_have_says_how_much_that_is() -> None:
    assert run_program(BEYOND_THE_RANGE) == ["True", "True", "True"]


BEYOND_CAPACITY = """
import resource, onecopy
limit = 60 << 20
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    onecopy.empty(1 << 30, "u1")
except MemoryError as error:
    print("RLIMIT_FSIZE" in str(error), error.requested >= 1 << 30, error.available < limit)
"""


def test_the_limit_is_named_too_where_it_made_the_store_small() -> None:
    assert run_program(BEYOND_CAPACITY) == ["True", "True", "True"]
