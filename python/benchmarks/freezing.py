"""Rows about `freeze()`: what forked children copy when they read, hash, look up, collect and allocate.

As a program it prints its figures as JSON: `freezing.py matrix --size 60000`. Each subject runs in a process of its
own, because nothing that was frozen is ever freed.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import onecopy
from measure import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB: Final = 2**20
WORKERS: Final = 4
KEPT: list[Any] = []  # what a child allocates stays until it ends


@dataclass
class Plain:
    """A row with a `__dict__`."""

    number: int
    text: str
    value: float


@dataclass(slots=True)
class Slots:
    """A row without."""

    number: int
    text: str
    value: float


def fields(index: int) -> tuple[int, str, float]:
    """The three fields of a row, none of them shared with another row."""
    return index + 1_000_000, f"text {index:011}", index + 0.5


MAKERS: Final[dict[str, Callable[[int], Any]]] = {
    "ints": lambda size: [number + 1_000_000 for number in range(2 * size)],
    "strs": lambda size: [f"text {number:011}" for number in range(2 * size)],
    "index": lambda size: {f"text {number:011}": number + 1_000_000 for number in range(2 * size)},
    "dicts": lambda size: [dict(zip(("number", "text", "value"), fields(row), strict=True)) for row in range(size)],
    "dataclass": lambda size: [Plain(*fields(row)) for row in range(size)],
    "slots": lambda size: [Slots(*fields(row)) for row in range(size)],
    "tuples": lambda size: [fields(row) for row in range(size)],
}


def read(name: str, data: Any) -> int:
    """Takes a reference to everything once."""
    if name in {"ints", "strs", "index"}:
        return read_flat(name, data)
    total = 0
    if name == "dicts":
        for row in data:
            total += row["number"] + len(row["text"]) + (row["value"] > 0)
    elif name == "tuples":
        for number, text, value in data:
            total += number + len(text) + (value > 0)
    else:
        for row in data:
            total += row.number + len(row.text) + (row.value > 0)
    return total


def read_flat(name: str, data: Any) -> int:
    """The shapes without rows."""
    total = 0
    if name == "ints":
        for number in data:
            total += number
    elif name == "strs":
        for text in data:
            total += len(text)
    else:
        for text, number in data.items():
            total += len(text) + number
    return total


def hash_or_look_up(name: str, data: Any) -> int:
    """Hashes what can be hashed; looks every key up."""
    total = 0
    if name == "index":
        for text in data:
            total += data[text]
    elif name == "dicts":
        for row in data:
            total ^= hash(row["text"])
    elif name in {"dataclass", "slots"}:
        for row in data:
            total ^= hash(row.text)
    else:
        for one in data:
            total ^= hash(one)
    return total


def collect(_name: str, _data: Any) -> int:
    """What an automatic collection of all generations does."""
    return gc.collect()


OPERATIONS: Final = {"read": read, "hash or look up": hash_or_look_up, "gc.collect()": collect}


def private_dirty(pid: int | str = "self") -> int:
    """Bytes in pages that only this process has, and has written."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise LookupError("Private_Dirty")


def pss(pids: list[int]) -> int:
    """Bytes of memory of the processes, each shared page counted in parts."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def in_child(action: Callable[[], Any]) -> Any:
    """What `action` returns in a forked child."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.write(writing, json.dumps(action()).encode())
            code = 0
        except BaseException:  # noqa: BLE001 - the parent sees the code, and a person the text
            traceback.print_exc()
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"a child ended with status {status}")
    return json.loads(answer)


def copied_by(action: Callable[[], Any]) -> int:
    """Bytes that a forked child copies or takes while it does something."""

    def measure() -> int:
        private_dirty()
        before = private_dirty()
        action()
        return private_dirty() - before

    return int(in_child(measure))


def shape(name: str, size: int) -> dict[str, Any]:
    """One line of the matrix: bytes that a child copies by each operation, as things are, with gc.freeze(), frozen."""
    data = MAKERS[name](size)
    gc.collect()

    def copies() -> dict[str, int]:
        return {label: copied_by(functools.partial(operation, name, data)) for label, operation in OPERATIONS.items()}

    found: dict[str, Any] = {"plain": copies()}
    gc.freeze()
    found["gc.freeze()"] = copies()
    gc.unfreeze()
    onecopy.freeze(data)
    found["frozen"] = copies()
    return found


def walk(size: int) -> dict[str, Any]:
    """Nanoseconds of the processor that freezing takes, per object."""
    return {name: in_child(functools.partial(walk_of, name, size)) for name in MAKERS}


def walk_of(name: str, size: int) -> tuple[int, float]:
    """One shape of `walk`."""
    data = MAKERS[name](size)
    gc.collect()
    with quiet():
        started = time.process_time()
        objects = onecopy.freeze(data, gc=False, seal=False).objects
        return objects, (time.process_time() - started) / objects * 1e9


def pss_with_workers(action: Callable[[], Any]) -> int:
    """PSS of this process and four forked workers that have all done it."""
    ready, go = os.pipe(), os.pipe()
    workers = []
    for _ in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            action()
            os.write(ready[1], b"1")
            os.read(go[0], 1)
            os._exit(0)
        workers.append(pid)
    for _ in workers:
        os.read(ready[0], 1)
    together = pss([os.getpid(), *workers])
    os.write(go[1], b"g" * WORKERS)
    for pid in workers:
        os.waitpid(pid, 0)
    return together


def family(size: int) -> dict[str, Any]:
    """PSS of a parent and four workers that read, hash and collect, against that of the parent before."""

    def work() -> None:
        for operation in OPERATIONS.values():
            operation("dataclass", data)

    data = MAKERS["dataclass"](size)
    gc.collect()
    plain = pss_with_workers(work) / pss([os.getpid()])
    onecopy.freeze(data)
    return {"plain": plain, "frozen": pss_with_workers(work) / pss([os.getpid()])}


def timed(action: Callable[[], Any]) -> float:
    """Seconds."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def doors(size: int) -> dict[str, Any]:
    """`share()` and `freeze()` side by side: preparation, loop in a worker, memory of five processes."""
    return {
        name: {door: in_child(functools.partial(doors_of, name, size, door)) for door in ("plain", "share", "freeze")}
        for name in ("dataclass", "dicts", "strs", "ints")
    }


def doors_of(name: str, size: int, door: str) -> dict[str, float]:
    """One way to hand one shape to workers; bytes are what the family has beyond a process without data."""
    empty = pss([os.getpid()])
    data: Any = MAKERS[name](size)
    gc.collect()
    reading = functools.partial(read, name, data)
    reading()
    plain_s = statistics.median(timed(reading) for _ in range(3))
    alone = pss([os.getpid()])
    started = time.perf_counter()
    if door == "share":
        view: Any = onecopy.share(data)
        reading = functools.partial(read, name, view)
    elif door == "freeze":
        with quiet():
            onecopy.freeze(data)
    prepared_s = time.perf_counter() - started
    loop = in_child(lambda: [timed(reading) for _ in range(3)][-1]) / plain_s
    if door == "share":
        # The source can be dropped; it counts in neither figure.
        grown = pss_with_workers(reading) - pss([os.getpid()]) + onecopy.stats().allocated_bytes
    else:
        grown = pss_with_workers(reading) - empty
    return {"alone": alone - empty, "prepared_s": prepared_s, "loop": loop, "bytes": grown}


def holes(size: int, *, seal: bool) -> dict[str, Any]:
    """Bytes that 4 MiB of new objects of a child dirty, if garbage lay between the frozen objects."""
    data: list[Any] = []
    garbage: list[Any] = []
    for row in range(size):
        data.append(Plain(*fields(row)))
        if row % 16 == 0:
            garbage.append(Plain(*fields(row)))
    garbage.clear()
    onecopy.freeze(data, seal=seal)

    def allocate() -> None:
        # A str of 57 bytes lies in a block of 64, and a list's place has 8.
        KEPT.append([None] * (4 * MIB // 72))
        for number in range(4 * MIB // 72):
            KEPT[-1][number] = f"text {number:011}"

    return {"dirtied": copied_by(allocate)}


def forkserver_child(name: str, answers: Any) -> None:
    """A worker of the fork server reads what its template has frozen."""
    import freezing_template

    private_dirty()
    before = private_dirty()
    read(name, freezing_template.DATA)
    hash_or_look_up(name, freezing_template.DATA)
    answers.put((private_dirty() - before, onecopy.is_frozen(freezing_template.DATA)))


def forkserver(size: int) -> dict[str, Any]:
    """Bytes that a worker of a fork server copies; the data are frozen by a preloaded module."""
    os.environ["FREEZING_SIZE"] = str(size)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])  # 3.12 forgets it
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["freezing_template"])
    copied = []
    for _ in range(2):
        answers = context.SimpleQueue()
        process = context.Process(target=forkserver_child, args=("dataclass", answers))
        process.start()
        dirtied, frozen = answers.get()
        process.join()
        if not frozen:
            raise RuntimeError("the fork server has not preloaded the template")
        copied.append(dirtied)
    return {"copied": max(copied)}


def speed(size: int, rounds: int = 9) -> dict[str, Any]:
    """Median over rounds of a child's loop over frozen data against its parent's over the same, mortal and unforked."""
    return {name: in_child(functools.partial(speed_of, name, size, rounds)) for name in MAKERS}


def speed_of(name: str, size: int, rounds: int) -> float:
    """One shape of `speed`."""
    mortal, frozen = MAKERS[name](size), MAKERS[name](size)
    gc.disable()
    ours, theirs = functools.partial(read, name, frozen), functools.partial(read, name, mortal)
    with quiet():
        onecopy.freeze(frozen)
    theirs()
    found = []
    for number in range(rounds):
        before = timed(theirs) if number % 2 else 0.0
        # The first loop of a child also fills its page tables.
        mine: float = in_child(lambda: [timed(ours) for _ in range(2)][-1])
        found.append(mine / (before or timed(theirs)))
    return statistics.median(found)


def quiet() -> Any:
    """The benchmark freezes in a child on purpose."""
    return warnings.catch_warnings(action="ignore")


SUBJECTS: Final[dict[str, Callable[[int], Any]]] = {
    **{f"shape-{name}": functools.partial(shape, name) for name in MAKERS},
    "family": family,
    "sealed": lambda size: holes(size, seal=True),
    "unsealed": lambda size: holes(size, seal=False),
    "forkserver": forkserver,
    "walk": walk,
    "speed": speed,
    "doors": doors,
}


def run(subject: str, size: int) -> Any:
    """A subject in a process of its own."""
    command = [sys.executable, str(Path(__file__)), subject, "--size", str(size)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=900).stdout)


def freezing(scale: int) -> Iterator[Row]:
    """All rows; `scale` divides the million rows."""
    supported, reason = onecopy.freeze_supported()
    if not supported:
        yield Row(f"freeze(): {reason}", "", "", "not on this Python", None, {"reason": reason})
        return
    size = 1_000_000 // scale
    for name in MAKERS:
        found = run(f"shape-{name}", size)
        for label in OPERATIONS:
            copied = found["frozen"][label]
            allowed = 0.3 * MIB if label == "read" else MIB
            yield Row(
                f"a forked child copies, {name}, {label}",
                f"plain {found['plain'][label] / MIB:.1f} MiB, gc.freeze() {found['gc.freeze()'][label] / MIB:.1f} MiB",
                f"≤ {allowed / MIB:g} MiB",
                f"{copied / MIB:.2f} MiB",
                copied <= allowed,
                {"copied_bytes": copied, "plain_bytes": found["plain"][label], "at_most_bytes": allowed},
            )
    yield from family_and_holes(size)
    for name, (objects, each) in run("walk", size).items():
        yield Row(
            f"freeze(), {objects:,} objects, {name}",
            "",
            "≤ 60 ns an object",
            f"{each:.0f} ns",
            each <= 60,
            {"ns_per_object": each, "at_most": 60},
        )
    for name, ratio in run("speed", size // 4).items():
        yield Row(
            f"loop in a child over frozen {name}",
            "loop over mortal ones, no fork",
            "≤ 1 ×",
            f"{ratio:.2f} ×",
            ratio <= 1,
            {"ratio": ratio, "at_most": 1},
        )


def family_and_holes(size: int) -> Iterator[Row]:
    """The rows that are not about one shape."""
    found = run("family", size)
    yield Row(
        f"4 forked workers over {size:,} dataclass rows, Σ PSS",
        f"plain {found['plain']:.2f} × the parent alone",
        "≤ 1.10 × the parent alone",
        f"{found['frozen']:.3f} ×",
        found["frozen"] <= 1.1,
        {**found, "at_most": 1.1},
    )
    sealed, unsealed = run("sealed", size)["dirtied"], run("unsealed", size)["dirtied"]
    yield Row(
        "4 MiB of new objects in a child, holes between frozen ones",
        f"seal=False {unsealed / MIB:.1f} MiB",
        "≤ 6 MiB",
        f"{sealed / MIB:.1f} MiB",
        sealed <= 6 * MIB,
        {"dirtied_bytes": sealed, "unsealed_bytes": unsealed, "at_most_bytes": 6 * MIB},
    )
    copied = run("forkserver", size)["copied"]
    yield Row(
        "a fork server's worker copies, frozen in a preloaded module",
        "",
        "≤ 0.1 MiB",
        f"{copied / MIB:.2f} MiB",
        copied <= 0.1 * MIB,
        {"copied_bytes": copied, "at_most_bytes": int(0.1 * MIB)},
    )


def main() -> int:
    """Prints one subject's figures, or with `rows` all rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", choices=[*SUBJECTS, "matrix", "rows"])
    parser.add_argument("--size", type=int, default=1_000_000)
    options = parser.parse_args()
    if options.subject == "rows":
        for row in freezing(max(1, 1_000_000 // options.size)):
            verdict = "" if row.met is None else ("met" if row.met else "MISSED")
            print(f"{verdict:7} {row.what:64} {row.target:26} {row.measured:12} {row.against}", flush=True)
        return 0
    if options.subject == "matrix":
        print(json.dumps({name: run(f"shape-{name}", options.size) for name in MAKERS}))
        return 0
    print(json.dumps(SUBJECTS[options.subject](options.size)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
