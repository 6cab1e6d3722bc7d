"""What `onecopy run` costs: the processor time it takes, and how much longer a tree of 16 processes works under it.

`overhead.py tree` is the tree itself: a parent with 256 MiB in small pages, and 15 forked workers, so that RSS adds up
to 4 GiB. Each worker reads all of it and takes and gives back new memory, turn by turn; the parent prints the seconds
from the moment when all are ready until the last one is done, and the processor time of the workers.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from measure import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 2**20
WORKERS = 15
INHERITED = 256 * MIB


def small_pages(size: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Zeroed private memory without huge pages, which would make counting it cheap."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.uint64)


def work(data: np.ndarray[Any, np.dtype[np.uint64]], turns: int) -> None:
    """A turn reads what was inherited, and faults 4 MiB in and gives them back."""
    for _ in range(turns):
        int(data.sum())
        small_pages(4 * MIB)[:: mmap.PAGESIZE // 8] = 1


def tree(turns: int) -> dict[str, float]:
    """Runs the tree once."""
    data = small_pages(INHERITED)
    data[:: mmap.PAGESIZE // 8] = 1
    ready, go = os.pipe(), os.pipe()
    pids = []
    for _ in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            os.close(go[1])
            int(data.sum())  # maps all of it
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            work(data, turns)
            os._exit(0)
        pids.append(pid)
    for _ in range(WORKERS):
        os.read(ready[0], 1)
    started = time.perf_counter()
    os.close(go[1])
    for pid in pids:
        _, status = os.waitpid(pid, 0)
        if status:
            raise ChildProcessError(f"worker {pid} ended with {os.waitstatus_to_exitcode(status)}")
    taken = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"seconds": taken, "cpu_seconds": used.ru_utime + used.ru_stime}


def once(turns: int, *before: str) -> dict[str, float]:
    """Runs the tree in a process of its own, after the given words."""
    command = [*before, sys.executable, __file__, "tree", str(turns)]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    figures: dict[str, float] = json.loads(run.stdout)
    return figures


def overhead(command: Path, *, quick: bool) -> Iterator[Row]:
    """Turn by turn with and without, changing who goes first."""
    # A minute and more: before that, the credit for a first reading outweighs the 1 % (docs/guide/meter.md).
    rounds, turns = (3, 20) if quick else (5, 400)
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "run.json")
        measured = (str(command), "run", "-q", "--json", str(record), "--")
        costs, readings, peaks = [], [], []
        once(turns)
        for number in range(rounds):
            plain = once(turns) if number % 2 else None
            watched = once(turns, *measured)
            pairs.append((watched, plain or once(turns)))
            said = json.loads(record.read_text())
            costs.append(said["overhead"]["cpu_seconds"] / said["seconds"])
            readings.append(said["overhead"]["readings"])
            peaks.append(said["peak_sum_rss"])
    peak = max(peaks) / 2**30
    ratios = {
        name: statistics.median(watched[name] / plain[name] for watched, plain in pairs)
        for name in ("seconds", "cpu_seconds")
    }
    longest = statistics.median(plain["seconds"] for _, plain in pairs)
    cost = statistics.median(costs)
    yield Row(
        f"`onecopy run`, 16 processes, Σ RSS {peak:.1f} GiB: its processor time",
        "one core",
        "≤ 1 %",
        f"{100 * cost:.2f} % ({min(readings)} to {max(readings)} readings in {longest:.0f} s)",
        cost <= 0.01,
        {"fraction": cost, "all": costs, "at_most": 0.01},
    )
    for name, what in (("seconds", "time of the work"), ("cpu_seconds", "processor time of the workers")):
        spread = sorted(watched[name] / plain[name] for watched, plain in pairs)
        yield Row(
            f"`onecopy run`, 16 processes, Σ RSS {peak:.1f} GiB: {what}",
            "without it",
            "≤ 1.01 ×",
            f"{ratios[name]:.3f} × (of {rounds} pairs {spread[0]:.3f} to {spread[-1]:.3f})",
            ratios[name] <= 1.01,
            {"ratio": ratios[name], "all": spread, "at_most": 1.01},
        )


if __name__ == "__main__":
    if sys.argv[1:2] != ["tree"]:
        sys.exit("usage: overhead.py tree TURNS; the rows: make bench ONLY=overhead")
    print(json.dumps(tree(int(sys.argv[2]))))
