"""Rows about memory: eight readers, the peak while sharing, the fork experiment. The kernel does the counting."""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import onecopy
from measure import Row
from speed import ints_of_40_bits, strings_of_16

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 2**20
READERS = 8
ANONYMOUS = "Pss_Anon:"
SHARED = ("Pss_Shmem:",)
_barrier: Any = None


def family(root: int) -> list[int]:
    """The process and all below it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def summed_pss(fields: tuple[str, ...] = (ANONYMOUS, *SHARED)) -> int:
    """Bytes of anonymous and shared memory of the family, or of one of them, each page once."""
    gc.collect()
    total = 0
    for pid in family(os.getpid()):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(fields):
                total += int(line.split()[1]) * 1024
    return total


def remember_barrier(barrier: Any) -> None:
    """Initializer of the workers."""
    global _barrier  # noqa: PLW0603 - a pool hands barriers over only when a worker starts
    _barrier = barrier


def read_everything(view: Any) -> int:
    """Reads every element and holds the view until all workers have."""
    if isinstance(view, np.ndarray):
        total = int(view.sum())
    else:
        total = sum(len(one) if isinstance(one, str) else one for one in view)
    _barrier.wait(300)
    _barrier.wait(300)
    return total


def eight_readers(scale: int) -> Iterator[Row]:
    """Growth of the family's memory while eight workers have read everything, under each start method."""
    makers: list[tuple[str, Callable[[], Any]]] = [
        ("ints", lambda: ints_of_40_bits(4_000_000 // scale)),
        ("strs", lambda: strings_of_16(1_000_000 // scale)),
        ("ndarray", lambda: np.ones(64 * MIB // 8 // scale)),
    ]
    for method in ("fork", "forkserver", "spawn"):
        context = multiprocessing.get_context(method)
        barrier = context.Barrier(READERS + 1)
        with context.Pool(READERS, remember_barrier, (barrier,)) as pool:
            for label, make in makers:
                for _ in range(2):  # the first brings every heap to its working size
                    data = make()
                    start = summed_pss()
                    allocated = onecopy.stats().allocated_bytes
                    view = onecopy.share(data)
                    image = onecopy.stats().allocated_bytes - allocated
                    working = pool.map_async(read_everything, [view] * READERS, chunksize=1)
                    barrier.wait(300)
                    grown = summed_pss() - start
                    barrier.wait(300)
                    working.get(300)
                    del data, view
                allowed = int(1.01 * image + READERS * MIB / 2)
                yield Row(
                    f"8 workers reading everything, {method}, {label}",
                    "one copy",
                    "Σ PSS ≤ 1.01 × image + 0.5 MiB each",
                    f"{grown / MIB:.1f} MiB for an image of {image / MIB:.1f} MiB",
                    0.9 * image <= grown <= allowed,
                    {"grown_bytes": grown, "image_bytes": image, "at_most_bytes": allowed},
                )


def status_bytes(field: str) -> int:
    """A field of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def peak_of_sharing(make: Callable[[], Any], answers: Any) -> None:
    """In a process of its own: bytes by which its peak exceeds what it had with the source alone, and the image."""
    onecopy.share([1])
    data = make()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the present
    before = status_bytes("VmRSS")
    allocated = onecopy.stats().allocated_bytes
    view = onecopy.share(data)
    peak = status_bytes("VmHWM") - before
    answers.put((peak, onecopy.stats().allocated_bytes - allocated))
    del view


def peaks(scale: int) -> Iterator[Row]:
    """The most memory that a process takes while it shares."""
    makers: list[tuple[str, Callable[[], Any]]] = [
        ("ints", lambda: ints_of_40_bits(10_000_000 // scale)),
        ("strs", lambda: strings_of_16(1_000_000 // scale)),
        ("ndarray", lambda: np.ones(256 * MIB // 8 // scale)),
    ]
    context = multiprocessing.get_context("fork")
    for label, make in makers:
        answers = context.SimpleQueue()
        process = context.Process(target=peak_of_sharing, args=(make, answers))
        process.start()
        peak, image = answers.get()
        process.join()
        ratio = peak / image
        yield Row(
            f"peak memory while sharing, {label}",
            "source + image",
            "≤ source + 1.02 × image",
            f"source + {ratio:.3f} × image of {image / MIB:.1f} MiB",
            ratio <= 1.02,
            {"peak_bytes": peak, "image_bytes": image, "ratio": ratio, "at_most": 1.02},
        )


def fork_experiment(command: Path, n: int) -> Iterator[Row]:
    """`onecopy demo`: an array of n × n floats that four forked workers read."""
    run = subprocess.run([command, "demo", "--n", str(n), "--json"], capture_output=True, text=True, check=True)
    report = json.loads(run.stdout)
    copies = report["verdict"]["copies"]
    yield Row(
        f"fork experiment, {n:,}² float64, 4 workers: copies",
        "one copy",
        "≤ 1.001",
        f"{copies:.5f}",
        copies <= 1.001,
        {"copies": copies, "at_most": 1.001},
    )
