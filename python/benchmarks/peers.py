"""`make bench-peers`: `onecopy.Dict` and `List` beside what else shares dicts between processes.

Makes an environment of its own in build/peers, from peers.txt, and runs there. Each peer works in a process of its
own: ten thousand entries with ints as values, one operation at a time, visible to other processes when it returns. A
peer that cannot be installed or used is a line that says why.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
WANTED = Path(__file__).with_name("peers.txt")
INSIDE = "ONECOPY_PEERS"
ENTRIES = 10_000
BUDGET_S = 1.0
"""For each operation of each peer; a slow one does as many as fit."""
READERS = 4
PATIENCE_S = 300


class Peer:
    """A way to share a dict. A child process calls `attach` once, then the operations."""

    name = ""

    def __init__(self, folder: Path) -> None:
        """Makes it."""

    def leave(self) -> None:
        """Before others are forked."""

    def attach(self) -> None:
        """In another process."""

    def end(self) -> None:
        """Removes it."""

    def get(self, key: str) -> object:
        """Reads a value."""
        return self.shared[key]

    def set(self, key: str, value: int) -> None:
        """Sets a value."""
        self.shared[key] = value

    def add(self, key: str) -> None:
        """Adds 1, so that nothing is lost when others do so too."""
        raise NotImplementedError

    shared: Any = None


class Plain(Peer):
    """Nothing is shared; what a dict costs."""

    name = "a dict of one process"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.shared = {}

    def add(self, key: str) -> None:
        """Adds 1."""
        self.shared[key] += 1


class Ours(Peer):
    """onecopy."""

    name = "onecopy.Dict"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import onecopy

        self.shared = onecopy.Dict()

    def add(self, key: str) -> None:
        """Adds 1."""
        self.shared.add(key, 1)


class Managed(Peer):
    """The standard library's."""

    name = "Manager().dict()"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.manager = multiprocessing.Manager()
        self.shared = self.manager.dict()
        self.lock = self.manager.Lock()

    def add(self, key: str) -> None:
        """Adds 1."""
        with self.lock:
            self.shared[key] += 1


class Ultra(Peer):
    """UltraDict: a log of changes in shared memory, and a dict in each process."""

    name = "UltraDict"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        sizes = {"buffer_size": 1 << 22, "full_dump_size": 1 << 22}
        self.options = {"name": f"peers_{os.getpid()}", **sizes, "shared_lock": True, "auto_unlink": False}
        self.attach()

    def attach(self) -> None:
        """Opens it by its name."""
        from UltraDict import UltraDict  # type: ignore[import-not-found]

        self.shared = UltraDict(**self.options)

    def end(self) -> None:
        """Removes its memory."""
        self.shared.unlink()

    def add(self, key: str) -> None:
        """Adds 1."""
        with self.shared.lock:
            self.shared[key] += 1


class SharedMemory(Peer):
    """shared-memory-dict: one pickle of the whole dict in shared memory."""

    name = "shared-memory-dict"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        os.environ["SHARED_MEMORY_USE_LOCK"] = "1"
        from shared_memory_dict import SharedMemoryDict  # type: ignore[import-not-found]

        self.shared = SharedMemoryDict(name=f"peers_{os.getpid()}", size=1 << 22)
        self.lock = multiprocessing.Lock()

    def add(self, key: str) -> None:
        """Adds 1."""
        with self.lock:
            self.shared[key] += 1


class Lmdb(Peer):
    """LMDB: a B+ tree in a mapped file. Without writing to the disk, as nothing else here does."""

    name = "LMDB"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = str(folder / "lmdb")
        self.attach()

    def leave(self) -> None:
        """An environment must not be used after a fork."""
        self.shared.close()

    def attach(self) -> None:
        """Opens the file."""
        import lmdb  # type: ignore[import-not-found]

        self.shared = lmdb.open(self.folder, map_size=1 << 28, sync=False, metasync=False)

    def get(self, key: str) -> object:
        """Reads a value."""
        with self.shared.begin() as transaction:
            return int.from_bytes(transaction.get(key.encode()), "little")

    def set(self, key: str, value: int) -> None:
        """Sets a value."""
        with self.shared.begin(write=True) as transaction:
            transaction.put(key.encode(), value.to_bytes(8, "little"))

    def add(self, key: str) -> None:
        """Adds 1."""
        with self.shared.begin(write=True) as transaction:
            value = int.from_bytes(transaction.get(key.encode()), "little")
            transaction.put(key.encode(), (value + 1).to_bytes(8, "little"))


class Disk(Peer):
    """diskcache: SQLite."""

    name = "diskcache"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from diskcache import Cache  # type: ignore[import-not-found]

        self.shared = Cache(str(folder / "diskcache"), sqlite_synchronous=0)

    def add(self, key: str) -> None:
        """Adds 1."""
        self.shared.incr(key)


class Projected(Peer):
    """InterProcessPyObjects: objects that are projected into shared memory."""

    name = "InterProcessPyObjects"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from ipc_py_objects import SharedMemory as Memory  # type: ignore[import-not-found]

        memory = Memory(f"peers_{os.getpid()}", True, size=1 << 26)
        self.shared = memory.map_object({})

    def add(self, key: str) -> None:
        """Adds 1; it has no lock for one operation."""
        self.shared[key] += 1


PEERS: list[type[Peer]] = [Plain, Ours, Managed, Ultra, SharedMemory, Lmdb, Disk, Projected]


@dataclass
class Measured:
    """What a peer took."""

    name: str
    seconds: dict[str, float] = field(default_factory=dict)
    """Of one operation."""
    private_kib: float | None = None
    """What each reading process has for itself after it has read all entries."""
    error: str = ""


def uss_kib() -> float:
    """What this process alone has."""
    fields = ("Private_Clean:", "Private_Dirty:")
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(fields))


def each(action: Callable[[Any], object], keys: list[Any]) -> float:
    """Seconds of one call, over as many keys as fit into the budget; the median over rounds."""
    rounds: list[float] = []
    end = time.perf_counter() + BUDGET_S
    size = 1
    at = 0
    while time.perf_counter() < end and len(rounds) < 200:
        part = keys[at : at + size]
        started = time.perf_counter()
        for key in part:
            action(key)
        rounds.append((time.perf_counter() - started) / len(part))
        at = at + size if at + 2 * size <= len(keys) else 0
        # Short enough for many rounds, long enough for the clock.
        size = max(1, min(1_000, round(0.004 / max(rounds[-1], 1e-9))))
    return statistics.median(rounds[1:] or rounds)


def read_all(peer: Peer, keys: list[str], gate: Any, answer: Any) -> None:
    """In a reader: reads every entry once; what that costs it in memory."""
    try:
        before = uss_kib()
        peer.attach()
        for key in keys:
            peer.get(key)
        gate.wait(PATIENCE_S)
        answer.send(uss_kib() - before)
        gate.wait(PATIENCE_S)
    finally:
        answer.close()


def readers(peer: Peer, keys: list[str]) -> float:
    """KiB that each of the readers has for itself."""
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(READERS)
    started = []
    peer.leave()
    for _ in range(READERS):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=read_all, args=(peer, keys, gate, theirs))
        process.start()
        theirs.close()
        started.append((process, ours))
    grown: list[float] = [ours.recv() for _, ours in started]
    for process, _ in started:
        process.join()
    return statistics.median(grown)


def measure(kind: type[Peer], answer: Any) -> None:
    """In a process of its own: everything about one peer."""
    measured = Measured(kind.name)
    folder = Path(tempfile.mkdtemp(prefix="onecopy-peers-", dir="/dev/shm"))
    try:
        peer = kind(folder)
        keys = [f"key {number:06d}" for number in range(ENTRIES)]
        if isinstance(peer, SharedMemory):
            # Each set pickles all that is there: filled one by one it would take minutes.
            peer.shared.update({key: number for number, key in enumerate(keys)})
        else:
            for number, key in enumerate(keys):
                peer.set(key, number)
        random.Random(1).shuffle(keys)
        measured.seconds["get"] = each(peer.get, keys)
        measured.seconds["set"] = each(lambda key: peer.set(key, 5), keys)
        measured.seconds["add"] = each(peer.add, keys)
        measured.private_kib = readers(peer, keys if not isinstance(peer, SharedMemory) else keys[:50])
        peer.end()
    except Exception as error:  # noqa: BLE001 - a peer that does not work here is a line of the table
        measured.error = f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            answer.send(measured)


def lists() -> dict[str, float]:
    """Seconds of reading one element of a list of 10,000 ints."""
    import onecopy

    manager = multiprocessing.Manager()
    kinds: dict[str, Any] = {
        "onecopy.List": onecopy.List(range(ENTRIES)),
        "Manager().list()": manager.list(range(ENTRIES)),
    }
    indices = random.Random(2).sample(range(ENTRIES), ENTRIES)
    found = {}
    for name, kind in kinds.items():
        found[name] = each(kind.__getitem__, indices)
    return found


def in_own_process(kind: type[Peer]) -> Measured:
    """One peer at a time, so that none inherits another's memory."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(kind, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(PATIENCE_S) else Measured(kind.name, error="no answer")
    except EOFError:
        return Measured(kind.name, error="its process died")
    finally:
        process.kill()
        process.join()


def duration(value: float | None) -> str:
    """For people."""
    if value is None:
        return "-"
    return (
        f"{value * 1e9:,.0f} ns"
        if value < 1e-6
        else (f"{value * 1e6:.3g} µs" if value < 1e-3 else f"{value * 1e3:.3g} ms")
    )


def against(measured: Measured, ours: Measured, operation: str) -> str:
    """A cell: the time, and how many times ours that is."""
    taken = measured.seconds.get(operation)
    if taken is None:
        return "-"
    times = taken / ours.seconds[operation]
    return duration(taken) if measured is ours else f"{duration(taken)} ({times:,.3g} ×)"


def table(found: list[Measured]) -> str:
    """Markdown; a cell in which ours loses is bold."""
    ours = next(each for each in found if each.name == Ours.name)
    lines = ["| dict of 10,000 ints | get | set | add 1 | KiB of each reader |", "|---|---|---|---|---|"]
    for measured in found:
        if measured.error:
            lines.append(f"| {measured.name} | not measured: {measured.error} | | | |")
            continue
        cells = []
        for operation in ("get", "set", "add"):
            cell = against(measured, ours, operation)
            loses = measured.seconds[operation] < ours.seconds[operation]
            cells.append(f"**{cell}**" if loses else cell)
        kib = measured.private_kib
        cells.append("-" if kib is None else f"{kib:,.0f}")
        lines.append(f"| {measured.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdicts(found: list[Measured], read: dict[str, float]) -> list[str]:
    """The promises against the standard library's Manager."""
    by_name = {each.name: each for each in found}
    ours, managed = by_name[Ours.name], by_name[Managed.name]
    listed = read["Manager().list()"] / read["onecopy.List"]
    ratios = [
        ("dict get", managed.seconds["get"] / ours.seconds["get"], 140),
        ("dict set", managed.seconds["set"] / ours.seconds["set"], 140),
        ("list get", listed, 500),
        ("add", managed.seconds["add"] / ours.seconds["add"], 1_000),
    ]
    lines = []
    for what, ratio, least in ratios:
        verdict = "met" if ratio >= least else "missed"
        lines.append(f"{verdict:7} {what} against a Manager: {ratio:,.0f} × faster, target ≥ {least:,} ×")
    return lines


def environment() -> Path:
    """The interpreter of the environment with the peers, made if it is not there."""
    folder = ROOT / "build" / "peers"
    python = folder / "bin" / "python"
    stamp = folder / "peers.txt"
    if stamp.exists() and stamp.read_text() == WANTED.read_text():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([base, "-m", "venv", str(folder)], check=True)
    for line in WANTED.read_text().splitlines():
        done = subprocess.run([str(python), "-m", "pip", "install", "--quiet", line], check=False)
        if done.returncode != 0:
            print(f"not installed: {line}", file=sys.stderr)
    stamp.write_text(WANTED.read_text())
    return python


def main() -> int:
    """Prints the table; a missed target is printed, never an error."""
    parser = argparse.ArgumentParser(description=__doc__, prog="peers", formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true", help="figures for machines")
    parser.parse_args()
    if INSIDE not in os.environ:
        path = os.pathsep.join([str(ROOT / "python"), str(Path(__file__).parent)])
        command = [str(environment()), __file__, *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, INSIDE: "1", "PYTHONPATH": path}, check=False).returncode
    found = [in_own_process(kind) for kind in PEERS]
    read = lists()
    if "--json" in sys.argv:
        print(json.dumps({"dicts": [asdict(each) for each in found], "lists": read}, indent=1))
        return 0
    print(table(found))
    print(f"\nlist of 10,000 ints, get: {', '.join(f'{name} {duration(taken)}' for name, taken in read.items())}")
    print("\n".join(verdicts(found, read)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
