"""The famous question: why does `Manager().list()` make the calculation take ages, and what to use instead?

`sum(x < t for x in l)` for four thresholds over random ints from 1 to 1000, one threshold per worker process, as its
asker wrote it. Only the way in which the list gets to the workers differs:

    plain list             passed as an argument, so pickled for each worker
    Manager().list()       a proxy; every element read is a round trip to a server process
    onecopy.Manager()      the same program with another Manager, which needs no server process
    ShareableList          the standard library's list of scalars in shared memory
    onecopy.share          packed once; under fork, forkserver and spawn
    onecopy.List           a list that the workers could write to as well
    numpy over the view    the same shared memory, counted by numpy instead of a Python loop

Every way runs in a process of its own with a running pool of four workers; rounds go turn by turn, so that each ratio
compares two measurements taken side by side. All results are checked against each other.

seconds    hand-over and calculation: `onecopy.share(l)`, `manager.list(l)` and pickling are in it. The pool's start is
           listed apart. The median of the rounds; one untimed round comes first
ratio      to the plain list; the median over the rounds
copies     growth of the summed PSS (anonymous and shared memory, as the kernel splits it) of the parent and all its
           descendants, from just before the list is made until every worker has read everything and still holds it,
           divided by one copy of the data in the way's own representation: the list and its ints for `plain list` and
           `Manager`, the bytes in shared memory for the others. Where a way lets the program give up its own
           list after handing it over (all but the plain list), it does. Small lists are lost in the kernel's
           accounting, so this one figure is taken with a million ints (--copies-n). It comes from a run of its own,
           in which free memory goes back to the kernel before it is counted
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import multiprocessing
import os
import platform
import random
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import ShareableList
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

THRESHOLDS = (200, 400, 600, 800)
WORKERS = len(THRESHOLDS)
BIG = 10_000_000
LIST_TARGETS = (1.5, 500)  # at most so many times the plain list; so many times faster than the Manager
SLICE = 1_000  # elements read through the Manager where reading all would take hours
SEED = 20_260_101
MIB = 2**20


# ── the calculation, and how each way hands the list over ────────────────────────────────────────────────────────────


def count_below(l: Sequence[int], t: int) -> int:  # noqa: E741 - as its asker wrote it
    """The calculation of the question."""
    return sum(x < t for x in l)


def count_below_numpy(l: Any, t: int) -> int:  # noqa: E741
    """The same with numpy; a view of ints is an array without a copy."""
    import numpy as np

    return int((np.asarray(l) < t).sum())


@dataclass(frozen=True)
class Way:
    """One way of getting the list to the workers."""

    name: str
    label: str
    start_method: str
    count: Callable[[Any, int], int] = count_below

    @property
    def is_ours(self) -> bool:
        """Whether the list is given up for a view or a container."""
        return self.name.startswith(("share-", "numpy", "list", "our-"))

    @property
    def is_slow(self) -> bool:
        """Whether every element costs a round trip to another process."""
        return self.name == "manager"


WAYS = (
    Way("plain", "plain list as argument", "fork"),
    Way("manager", "Manager().list()", "fork"),
    Way("our-manager", "onecopy.Manager().list()", "fork"),
    Way("shareable", "ShareableList", "fork"),
    Way("share-fork", "onecopy.share", "fork"),
    Way("share-forkserver", "onecopy.share", "forkserver"),
    Way("share-spawn", "onecopy.share", "spawn"),
    Way("list", "onecopy.List", "fork"),
    Way("numpy", "numpy over the view", "fork", count_below_numpy),
)


def hand_over(way: Way, data: list[int], manager: Any) -> Any:
    """What the workers get as their argument."""
    if way.name == "plain":
        return data
    if manager is not None:
        return manager.list(data)
    if way.name == "shareable":
        return ShareableList(data)
    if way.name == "list":
        return onecopy.List(data)
    return onecopy.share(data)


def clean_up(handed: Any) -> None:
    """What the standard library's shared memory asks for; all others let go by themselves."""
    if isinstance(handed, ShareableList):
        handed.shm.close()
        handed.shm.unlink()


def one_copy_of(way: Way, data: list[int], handed: Any) -> int:
    """Bytes of one copy of the data in the way's own representation."""
    if isinstance(handed, ShareableList):
        return handed.shm.size
    if isinstance(handed, onecopy.List):
        return max(row.live_bytes for row in onecopy.store.containers() if row.length == len(handed))
    if way.name in {"plain", "manager"}:  # a pointer each, and 32 bytes for each int that CPython does not keep ready
        return sys.getsizeof(data) + 32 * sum(x > 256 for x in data)
    return memoryview(handed).nbytes


def make_list(n: int) -> list[int]:
    """The same random ints from 1 to 1000 in every process; each a separate object, as from `random.randint`."""
    words = memoryview(random.Random(SEED).randbytes(2 * n)).cast("H")
    return [1 + word % 1000 for word in words]


# ── memory, from the kernel ──────────────────────────────────────────────────────────────────────────────────────────


def family(root: int) -> list[int]:
    """This process and all its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def give_back_free_memory() -> None:
    """Returns the pages of lists that were given up to the kernel."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def summed_pss() -> int:
    """Bytes of anonymous and shared memory of the family, each page counted once among those that map it."""
    give_back_free_memory()
    total = 0
    for pid in family(os.getpid()):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total += int(line.split()[1]) * 1024
    return total


# ── one way, in a process of its own ─────────────────────────────────────────────────────────────────────────────────

_barrier: Any = None


def remember_barrier(barrier: Any) -> None:
    """Initializer of the pool's workers."""
    global _barrier  # noqa: PLW0603 - a pool hands barriers over only when a worker starts
    _barrier = barrier


def meet(_number: int) -> None:
    """Returns when all workers are there, with nothing left of earlier work."""
    _barrier.wait(120)
    give_back_free_memory()


def count_and_hold(count: Callable[[Any, int], int], l: Any, t: int, limit: int | None) -> int:  # noqa: E741
    """Counts, then keeps the argument until the parent has measured."""
    result = count(l, t) if limit is None else sum(l[i] < t for i in range(limit))
    give_back_free_memory()
    _barrier.wait(600)
    _barrier.wait(600)
    return result


def manager_of(way: Way, context: Any) -> Any:
    """The Manager of a way that has one."""
    if way.name == "our-manager":
        return onecopy.Manager()
    return context.Manager() if way.name == "manager" else None


class Runner:
    """The pool of one way, and what can be measured with it."""

    def __init__(self, way: Way) -> None:
        self.way = way
        context = multiprocessing.get_context(way.start_method)
        # Workers that were forked before the parent has a tracker start their own, which then reports leaks of
        # blocks that are not theirs (python/cpython#82300).
        resource_tracker.ensure_running()
        started = time.perf_counter()
        self.manager = manager_of(way, context)
        self.barrier = context.Barrier(WORKERS + 1)
        self.pool = context.Pool(WORKERS, remember_barrier, (self.barrier,))
        self.everybody_meets()
        self.pool_start_s = time.perf_counter() - started

    def everybody_meets(self) -> None:
        """Waits until every worker is there, and idle."""
        ready = self.pool.map_async(meet, range(WORKERS), chunksize=1)
        self.barrier.wait(120)
        ready.get()

    def round(self, n: int) -> tuple[float, list[int]]:
        """Seconds for handing over and calculating, and the results."""
        data = make_list(n)
        started = time.perf_counter()
        handed = hand_over(self.way, data, self.manager)
        results = self.pool.starmap(self.way.count, [(handed, t) for t in THRESHOLDS], chunksize=1)
        seconds = time.perf_counter() - started
        clean_up(handed)
        return seconds, results

    def held(self, n: int) -> tuple[int, int]:
        """Bytes of one copy, and bytes by which the family has grown while every worker holds the data."""
        self.everybody_meets()
        before = summed_pss()
        data = make_list(n)
        handed = hand_over(self.way, data, self.manager)
        one_copy = one_copy_of(self.way, data, handed)
        del data  # which the plain list survives, being what was handed over
        limit = SLICE if self.way.is_slow else None
        working = self.pool.starmap_async(
            count_and_hold, [(self.way.count, handed, t, limit) for t in THRESHOLDS], chunksize=1
        )
        self.barrier.wait(600)
        growth = summed_pss() - before
        self.barrier.wait(600)
        working.get()
        clean_up(handed)
        return one_copy, growth

    def copies(self, n: int) -> tuple[int, int]:
        """`held`, after a round that brings every heap to its working size."""
        self.held(n)
        gc.collect()
        return self.held(n)

    def stop(self) -> None:
        """Ends the pool and the server."""
        self.pool.terminate()
        self.pool.join()
        if self.manager is not None:
            self.manager.shutdown()


def serve(way: Way) -> None:
    """Answers one JSON line on stdout for each `COMMAND N` on stdin."""
    runner = Runner(way)
    print(json.dumps(runner.pool_start_s), flush=True)
    for line in sys.stdin:
        command, n = line.split()
        answer = runner.round(int(n)) if command == "round" else runner.copies(int(n))
        print(json.dumps(answer), flush=True)
    runner.stop()


# ── the comparison ───────────────────────────────────────────────────────────────────────────────────────────────────


class Bar:
    """A progress bar on a terminal's stderr; silent elsewhere."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.label = total, 0, ""
        self.started = time.monotonic()
        self.finished = threading.Event()
        self.thread = threading.Thread(target=self._draw, daemon=True)

    def step(self, label: str) -> None:
        """Says what begins now; what was said before is done."""
        self.done += bool(self.label)
        self.label = label

    def _draw(self) -> None:
        while not self.finished.wait(0.2):
            width = 30 * self.done // self.total
            seconds = time.monotonic() - self.started
            sys.stderr.write(f"\r\x1b[2K{'█' * width}{'░' * (30 - width)} {seconds:4.0f} s  {self.label}")
            sys.stderr.flush()

    def __enter__(self) -> Self:
        """Starts drawing if there is somebody to look at it."""
        if sys.stderr.isatty():
            self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Removes the bar."""
        self.finished.set()
        if self.thread.is_alive():
            self.thread.join()
            sys.stderr.write("\r\x1b[2K")


class Contestant:
    """A way in its own process, and what came out of it."""

    def __init__(self, way: Way, **variables: str) -> None:
        self.way = way
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", way.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        self.pool_start_s: float = self._answer()
        self.seconds: list[float] = []
        self.memory: tuple[int, int] | None = None

    def _answer(self) -> Any:
        assert self.process.stdout is not None  # noqa: S101 - asked for above
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.way.label}: its process ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, command: str, n: int) -> Any:
        """Sends one command and waits for its answer."""
        assert self.process.stdin is not None  # noqa: S101 - asked for above
        self.process.stdin.write(f"{command} {n}\n")
        self.process.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        """Lets the process end by itself."""
        self.process.communicate()


class Comparison:
    """All ways, turn by turn."""

    def __init__(self, n: int, rounds: int, copies_n: int, *, manager_in_full: bool) -> None:
        self.n, self.rounds, self.manager_in_full = n, rounds, manager_in_full
        self.memory_n = max(n, copies_n)
        self.expected = [count_below(make_list(n), t) for t in THRESHOLDS]
        self.slice_s: float | None = None

    def is_long(self, way: Way) -> bool:
        """Whether one round takes a minute: the Manager in full, a ShareableList of millions."""
        return way.is_slow or (way.name == "shareable" and not self.manager_in_full)

    def round(self, one: Contestant, number: int) -> None:
        """One turn; number 0 is not timed."""
        if one.way.is_slow and (number == 0 or not self.manager_in_full):
            seconds, _ = one.ask("round", min(self.n, SLICE))  # no full list: that would take hours
            self.slice_s = seconds if number else None
        elif number == 1 or not self.is_long(one.way):  # long rounds are all alike, so one is enough
            seconds, results = one.ask("round", self.n)
            if results != self.expected:
                raise SystemExit(f"{one.way.label}: counted {results}, expected {self.expected}")
            if number:
                one.seconds.append(seconds)

    def run(self, ways: Sequence[Way]) -> list[Contestant]:
        """Starts everybody, plays all rounds, measures the memory."""
        contestants = []
        with Bar(len(ways) * (self.rounds + 3)) as bar:
            for way in ways:
                bar.step(f"{way.label}, {way.start_method}: starting the pool")
                contestants.append(Contestant(way))
            for number in range(self.rounds + 1):
                for one in contestants:
                    bar.step(f"{one.way.label}, {one.way.start_method}: round {number} of {self.rounds}")
                    self.round(one, number)
            for one in contestants:
                bar.step(f"{one.way.label}, {one.way.start_method}: memory of {self.memory_n:,} ints")
                one.stop()
                if self.manager_in_full or not one.way.is_slow:
                    # Python's allocator keeps a whole arena for one small object, which would add the remains of the
                    # list that was given up. Malloc can be trimmed, but needs more for each int, hence only here.
                    other = Contestant(one.way, **({"PYTHONMALLOC": "malloc"} if one.way.is_ours else {}))
                    one.memory = other.ask("copies", self.memory_n)
                    other.stop()
        return contestants


def compare(n: int, rounds: int, copies_n: int, names: Sequence[str], *, manager_in_full: bool) -> dict[str, Any]:
    """Runs the comparison and returns everything that was measured."""
    comparison = Comparison(n, rounds, copies_n, manager_in_full=manager_in_full)
    contestants = comparison.run([way for way in WAYS if way.name in names])
    slice_s = comparison.slice_s
    return {
        "schema": "onecopy.question/1",
        "n": n,
        "copies_n": comparison.memory_n,
        "thresholds": THRESHOLDS,
        "results": comparison.expected,
        "machine": f"{os.cpu_count()} CPUs, Linux {platform.release()}",
        "python": platform.python_version(),
        "manager_estimate_s": slice_s * n / SLICE if slice_s else None,
        "ways": [as_row(one, contestants[0]) for one in contestants],
    }


def as_row(one: Contestant, plain: Contestant) -> dict[str, Any]:
    """One contestant's figures."""
    ratios = [mine / theirs for mine, theirs in zip(one.seconds, plain.seconds, strict=False)]
    one_copy, growth = one.memory or (None, None)
    return {
        "name": one.way.name,
        "label": one.way.label,
        "is_ours": one.way.is_ours,
        "start_method": one.way.start_method,
        "pool_start_s": one.pool_start_s,
        "rounds_s": one.seconds,
        "seconds": statistics.median(one.seconds) if one.seconds else None,
        "ratio_to_plain": statistics.median(ratios) if ratios else None,
        "one_copy_bytes": one_copy,
        "growth_bytes": growth,
        "copies": growth / one_copy if one_copy and growth is not None else None,
    }


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def in_words(ratio: float | None) -> str:
    """`3.1 × faster`, `170 × slower`."""
    if ratio is None:
        return "–"
    if 0.95 < ratio < 1.05:
        return "the same"
    factor, word = (ratio, "slower") if ratio > 1 else (1 / ratio, "faster")
    return f"{factor:,.0f} × {word}" if factor >= 10 else f"{factor:.1f} × {word}"


def duration(seconds: float | None) -> str:
    """Seconds for people."""
    if seconds is None:
        return "–"
    if seconds >= 120:
        return f"{seconds / 60:,.0f} min"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def print_table(report: dict[str, Any]) -> None:
    """The comparison as a table."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    print(
        f"The question: sum(x < t for x in l), {report['n']:,} ints, {WORKERS} workers, one threshold each"
        f"  (Python {report['python']}, {report['machine']})\n"
    )
    print_headline({way["name"]: way for way in report["ways"]}, is_bold=colour)
    header = ("how the list gets there", "workers by", "pool start", "seconds", "against plain", "copies", "memory")
    rows = [
        (
            way["label"],
            way["start_method"],
            duration(way["pool_start_s"]),
            duration(way["seconds"]),
            in_words(way["ratio_to_plain"]) if way["name"] != "plain" else "1",
            f"{way['copies']:.2f}" if way["copies"] is not None else "–",
            f"{way['growth_bytes'] / MIB:.1f} MiB" if way["growth_bytes"] is not None else "–",
        )
        for way in report["ways"]
    ]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for number, row in enumerate([header, *rows]):
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells).rstrip()
        ours = number and report["ways"][number - 1]["is_ours"]
        print(f"\x1b[32m{line}\x1b[0m" if colour and ours else line)
        if number == 0:
            print("  ".join("─" * width for width in widths))
    results = ", ".join(f"{count:,} < {t}" for count, t in zip(report["results"], report["thresholds"], strict=True))
    print(f"\nAll ways agree: {results}.")
    print(f"seconds: hand-over and calculation. copies, memory: {report['copies_n']:,} ints held by the parent and")
    print("four workers, 1.00 is one copy (question.py --help says how it is measured).")
    print_targets({way["name"]: way for way in report["ways"]})
    if report["manager_estimate_s"]:
        estimate = duration(report["manager_estimate_s"])
        print(f"Manager().list() was left out: by a measured slice of {SLICE:,} elements it would take {estimate}.")


def print_headline(ways: dict[str, dict[str, Any]], *, is_bold: bool) -> None:
    """What the answer comes to: another Manager, and nothing else in the program."""
    if not ways.keys() >= {"manager", "our-manager"} or ways["manager"]["seconds"] is None:
        return
    theirs, ours = ways["manager"]["seconds"], ways["our-manager"]["seconds"]
    line = f"The answer: onecopy.Manager() for multiprocessing.Manager(): {duration(theirs)} become {duration(ours)}, "
    line += f"{theirs / ours:,.0f} × faster."
    print(f"\x1b[1m{line}\x1b[0m\n" if is_bold else f"{line}\n")


def print_targets(ways: dict[str, dict[str, Any]]) -> None:
    """What was aimed at for the list that can be written to, and what it came to."""
    most, least = LIST_TARGETS
    manager = ways.get("manager", {}).get("seconds")
    for name in ("list", "our-manager"):
        if name not in ways:
            continue
        mine = ways[name]
        text = f"{mine['ratio_to_plain']:.2f} × the plain list (at most {most} was aimed at)"
        if manager:
            text += f", {manager / mine['seconds']:,.0f} × faster than the Manager (at least {least})"
        print(f"{mine['label']}: {text}.")


def main() -> None:
    """Parses the command line and runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  question.py\n  question.py --big\n  question.py --n 100000 --json | jq '.ways[].seconds'",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--n", type=int, default=25_000, help="how many ints (default 25,000)")
    size.add_argument("--big", action="store_true", help="10,000,000 ints, without the Manager (some minutes)")
    parser.add_argument("--rounds", type=int, help="timed rounds (default 5; 3 with --big)")
    parser.add_argument(
        "--copies-n",
        type=int,
        default=1_000_000,
        help="how many ints at least for the column `copies` (default 1,000,000)",
    )
    parser.add_argument("--only", metavar="WAYS", help=f"comma-separated: {','.join(way.name for way in WAYS)}")
    parser.add_argument("--json", action="store_true", help="print figures instead of a table")
    parser.add_argument("--serve", choices=[way.name for way in WAYS], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(next(way for way in WAYS if way.name == options.serve))
        return
    n = BIG if options.big else options.n
    rounds = options.rounds if options.rounds is not None else (3 if options.big else 5)
    names = options.only.split(",") if options.only else [way.name for way in WAYS]
    unknown = set(names) - {way.name for way in WAYS}
    if unknown:
        parser.error(f"--only does not know {', '.join(sorted(unknown))}")
    if n < 1 or rounds < 1:
        parser.error("--n and --rounds must be at least 1")
    if "plain" not in names:
        names = ["plain", *names]
    if "numpy" in names and not has_numpy():
        print("numpy is not installed: its row is left out", file=sys.stderr)
        names = [name for name in names if name != "numpy"]
    report = compare(n, rounds, options.copies_n, names, manager_in_full=not options.big)
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print_table(report)


def has_numpy() -> bool:
    """Whether numpy can be imported."""
    try:
        import numpy as np
    except ImportError:
        return False
    return bool(np.__version__)


if __name__ == "__main__":
    main()
