"""Rows about the meter: what `onecopy run --why` says of known programs, and what measuring from within costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onecopy
from measure import Row, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATE = Path(__file__).with_name("metering_template.py")
MIB = 2**20
NOTHING = ("nothing", "nothing")


def record_of(command: Path, before: str, work: str, size: int, *, why: bool) -> dict[str, Any]:
    """What `onecopy run` says of the program."""
    with tempfile.TemporaryDirectory(prefix="onecopy-benchmark-") as folder:
        path = Path(folder, "run.json")
        words = [str(command), "run", "-q", "--overhead", "60", "--json", str(path), *(["--why"] if why else [])]
        words += ["--", sys.executable, str(TEMPLATE), before, work, str(size)]
        subprocess.run(words, check=True)
        record: dict[str, Any] = json.loads(path.read_text())
    if not record["report"]["complete"]:
        raise RuntimeError(f"not measured: {record['report']['limits']}")
    return record


def of_an_array(command: Path, side: int) -> Iterator[Row]:
    """The program that everything began with: workers that sum a large array."""
    record = record_of(command, "array", "sum", side, why=True)
    copies = record["report"]["tree"]["copies"]["value"]
    data = record["report"]["mappings"][0]["copies"]
    yield Row(
        f"`onecopy run --why`: numpy {side:,}², 4 forked workers that sum it",
        "one copy",
        "1.00",
        f"{copies:.3f} copies of everything, {data:.3f} of the array, agreement with PSS "
        f"{100 * record['report']['tree']['copies']['agreement']:.2f} %",
        copies < 1.005 if side >= 15_000 else None,
        {"copies": copies, "array_copies": data},
    )


def of_a_list(command: Path, size: int) -> Iterator[Row]:
    """A list of dicts, read and collected after each of the things that are said to help."""
    supported, _ = onecopy.freeze_supported()
    idle: float | None = None
    for before, work in (
        NOTHING,
        ("nothing", "read"),
        ("nothing", "collect"),
        ("gc.freeze", "read"),
        ("gc.freeze", "collect"),
        ("freeze", "read"),
        ("freeze", "collect"),
        ("share", "read"),
        ("share", "collect"),
    ):
        if before == "freeze" and not supported:
            continue
        why = (before, work) in {("nothing", "read"), ("nothing", "collect")}
        record = record_of(command, before, work, size, why=why)
        reading = last_reading(record)
        wasted = reading["wasted"]
        idle = wasted if idle is None else idle
        target, met = judged(before, work, reading["copies"], wasted - idle)
        yield Row(
            f"`onecopy run`: {size:,} dicts, before the fork {before}, 4 workers {work}",
            "the same with workers that do nothing",
            target,
            f"{reading['copies']:.2f} copies, {(wasted - idle) / MIB:+.1f} MiB copied{causes(record)}",
            met,
            {"copies": reading["copies"], "copied_bytes": wasted, "idle_bytes": idle},
        )


def last_reading(record: dict[str, Any]) -> dict[str, Any]:
    """The last one of the parent and all four workers; before the fork there may have been more memory."""
    samples = [sample for sample in record["samples"] if sample["processes"] == 5 and sample["reading"]]
    found: dict[str, Any] = samples[-1]["reading"]
    return found


def judged(before: str, work: str, copies: float, more_bytes: float) -> tuple[str, bool | None]:
    """The target of a way and whether it is met: what helps leaves a worker with what one has that does nothing."""
    if before == "freeze" or (before, work) in {("gc.freeze", "collect"), ("share", "read")}:
        return "≤ 1 MiB each", more_bytes <= 4 * MIB
    if (before, work) == ("nothing", "read"):
        return "> 2 copies", copies > 2
    return "", None


def causes(record: dict[str, Any]) -> str:
    """The first cause and the types that lie on the copied pages."""
    why = record["why"]
    if why is None:
        return ""
    by_cause: dict[str, int] = {}
    for row in why["stacks"]:
        by_cause[row["cause"]] = by_cause.get(row["cause"], 0) + row["pages"]
    types = sorted(why["objects"]["types"] if why["objects"] else [], key=lambda row: -row["bytes"])[:2]
    named = ", ".join(f"{row['name']} {row['bytes'] / MIB:.1f} MiB" for row in types)
    first = max(by_cause, key=lambda cause: by_cause[cause], default="faults not seen")
    return f"; {first.replace('_', ' ')}; {named}"


def from_within(scale: int) -> Iterator[Row]:
    """What a program pays that measures itself."""
    rounds = 300
    with onecopy.watch():
        started = time.perf_counter()
        for number in range(rounds):
            onecopy.mark(f"mark {number}")
        each = (time.perf_counter() - started) / rounds
    yield Row("`onecopy.mark()` under a watch", "", "", seconds(each), None, {"seconds": each})
    data = bytearray(b"x" * (2**30 // scale))
    for watched in (False, True):
        watch = onecopy.watch(overhead=1.0)
        if watched:
            watch.start()
        taken = [fork_once() for _ in range(9)]
        if watched:
            watch.stop()
        value = sorted(taken)[len(taken) // 2]
        yield Row(
            f"`os.fork()` of {len(data) / 2**30:.1f} GiB, {'under a watch' if watched else 'not watched'}",
            "",
            "",
            seconds(value),
            None,
            {"seconds": value},
        )
    rows = [{"number": number, "name": f"name {number}"} for number in range(1_000_000 // scale)]
    started = time.perf_counter()
    onecopy.tag("rows", rows)
    taken_s = time.perf_counter() - started
    yield Row(f"`onecopy.tag()` of {len(rows):,} dicts", "", "", seconds(taken_s), None, {"seconds": taken_s})


def fork_once() -> float:
    """Seconds until the parent goes on."""
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    taken = time.perf_counter() - started
    os.waitpid(pid, 0)
    return taken


def metering(command: Path, scale: int) -> Iterator[Row]:
    """All of them."""
    yield from of_an_array(command, 15_000 if scale == 1 else 3_000)
    yield from of_a_list(command, 1_000_000 // scale)
    yield from from_within(scale)
