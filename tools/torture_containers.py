#!/usr/bin/env python3
"""`make torture`, containers: workers change a List, a Dict, a Set, a Counter and a Value while others are killed.

Each worker says in plain memory what it begins and what it has done. A killer sends SIGKILL at random moments and puts
another worker in the place of each; when a round of kills is over, what the containers hold is compared with the log:
nothing that was done is lost, what was in flight has happened or not, nothing else is there.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import platform
import random
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onecopy
from containers_log import (
    BEGUN,
    BOARD,
    DONE,
    LONGEST,
    MOST_POPS,
    POPPED,
    SECOND,
    SLOW,
    SLOW_MS,
    Log,
    Step,
    check,
    number_of,
    record,
    step,
)
from containers_oracle import Containers, Oracle, Worker, fail

if TYPE_CHECKING:
    from collections.abc import Callable

METHODS = ("fork", "forkserver", "spawn")
WATCHDOG_S = 60
WORKERS = 4
ROUND = 50
"""Kills between two comparisons."""
SLOTS = 4 * ROUND
PAGE = """# Containers under `kill -9`

Written by `make torture-record SECONDS=3600`: workers change a List, a Dict, a Set, a Counter and a Value while others
are killed at random, and an oracle outside compares (`tools/torture_containers.py`). Four workers and their killer
share the processors, so an operation also waits for its turn.

| | |
|---|---|
"""


def at_one_moment(table: dict[Any, Any]) -> list[tuple[str, Any]]:
    """The items that are records, after a look at those that were set together."""
    items = [(key, value) for key, value in table.items() if str(key).startswith("a key")]
    together: dict[str, Any] = {}
    for key, value in items:
        owner, _, nth = key.partition(", one of many: ")
        if nth:
            check(together.setdefault(owner, value) == value, f"{key!r} is of another moment: {value!r}")
    return items


class Life:
    """A worker: what it does, and what it has seen."""

    def __init__(self, log: Log, worker: int, slot: int, containers: Containers) -> None:
        self.log, self.worker, self.containers = log, worker, containers
        self.header, self.popped = log.header(worker), log.popped(slot)
        self.seen: dict[str, int] = {}
        self.steps: dict[str, Callable[[Step], object]] = {
            "count": lambda one: containers.counts.add(one.shared_key, one.amount),
            "sum": lambda one: containers.table.add(one.shared_key, one.amount),
            "set": self.set,
            "update": lambda one: containers.table.update(one.items),
            "reverse": lambda _: containers.queue.reverse(),
            "delete": lambda one: containers.table.pop(one.key, None),
            "add": lambda one: containers.members.add(one.key),
            "discard": lambda one: containers.members.discard(one.key),
            "value": lambda one: containers.value.set(record(one.id)),
            "append": lambda one: containers.queue.append(record(one.id)),
            "insert": lambda one: containers.queue.insert(one.choice % 9, record(one.id)),
            "extend": lambda one: containers.queue.extend([record(one.id), record(one.id | SECOND)]),
            "board": lambda one: containers.board.__setitem__(one.choice % BOARD, record(one.id)),
            "pop": lambda _: self.pop(-1),
            "pop first": lambda _: self.pop(0),
            "pop middle": lambda one: self.pop(one.choice % 9),
            "read": self.read,
        }

    def set(self, one: Step) -> None:
        """Nobody else uses the key."""
        self.containers.table[one.key] = record(one.id)
        check(self.containers.table[one.key] == record(one.id), "another value than was set")

    def pop(self, index: int) -> None:
        """Takes a record, and says which."""
        try:
            number = number_of(self.containers.queue.pop(index))
        except IndexError:
            number = 0
        place = self.header[POPPED]
        self.popped[place] = number
        self.header[POPPED] = place + 1

    def read(self, one: Step) -> None:
        """Looks at what others do, in all ways: only what was written, and nothing of a key that goes back."""
        containers = self.containers
        other = max(1, self.worker + one.choice // 8 % 9 - 4)
        key = Step(other, 0, "set", one.choice // 128).key
        ways: list[Callable[[], Any]] = [
            lambda: [(key, containers.table.get(key))],
            lambda: [item for item in containers.table.items() if str(item[0]).startswith("a key")],
            lambda: at_one_moment(containers.table.to_python()),
            lambda: [("", value) for value in containers.queue],
            lambda: [("", value) for value in containers.queue.copy()],
            lambda: [("", value) for value in containers.queue[-1:]],
            lambda: [("", value) for value in [*containers.board, containers.board[one.choice % BOARD]]],
            lambda: [("", containers.value.get())],
        ]
        for read_key, value in ways[one.choice % len(ways)]():
            if value is None:
                continue
            number = number_of(value)
            check(self.log.was_begun(number), f"read, but never written: {value!r}")
            if read_key:
                check(self.seen.get(read_key, 0) <= number, f"{read_key!r} has gone back to {value!r}")
                self.seen[read_key] = number
        check(containers.counts["never counted"] == 0, "a number that nobody counts")
        check(len(containers.board) == BOARD, "a length that nobody changes")

    def run(self, seed: int) -> None:
        """Until it is killed, or told to stop."""
        for number in range(1, SECOND):
            if self.log.stop or self.header[POPPED] == MOST_POPS:
                return
            one = step(seed, self.worker, number)
            self.header[BEGUN] = number
            start = time.perf_counter_ns()
            self.steps[one.kind](one)
            took = time.perf_counter_ns() - start
            self.header[DONE] = number
            if one.kind == "read":
                continue
            self.header[LONGEST] = max(self.header[LONGEST], took)
            for nth, limit in enumerate(SLOW_MS):
                self.header[SLOW + nth] += took > limit * 1_000_000


def work(folder: Path, worker: int, slot: int, seed: int, containers: Containers) -> None:
    """A worker's whole life."""
    Life(Log(folder, SLOTS), worker, slot, containers).run(seed)


@dataclass
class Figures:
    """What happened."""

    seed: int
    workers: int = 0
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(METHODS, 0))
    killed_in_lock: int = 0
    operations: int = 0
    killed_in_operation: int = 0
    happened_nevertheless: int = 0
    longest_operation_ms: float = 0.0
    slower_operations: dict[str, int] = field(default_factory=lambda: {f"{limit} ms": 0 for limit in SLOW_MS})
    """How many took longer; they wait for a processor, for living holders of a lock and for dead ones."""


class Torture:
    """Workers, and who kills them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.rng = random.Random(seed)
        self.log = Log(folder, SLOTS)
        self.containers = Containers()
        self.oracle = Oracle(seed, self.log, self.containers)
        self.figures = Figures(seed)
        self.living: list[tuple[Any, Worker]] = []
        self.round_workers: list[Worker] = []

    def add(self, method: str) -> None:
        """Starts a worker."""
        self.figures.workers += 1
        worker = Worker(self.figures.workers, len(self.round_workers))
        context: Any = multiprocessing.get_context(method)
        arguments = (self.folder, worker.number, worker.slot, self.seed, self.containers)
        process = context.Process(target=work, args=arguments, daemon=True)
        process.start()
        self.round_workers.append(worker)
        self.living.append((process, worker))

    def end(self, process: Any, worker: Worker, expected: tuple[int, ...]) -> None:
        """Sees a worker out."""
        process.join(WATCHDOG_S)
        if process.exitcode not in expected:
            fail(f"worker {worker.number} ended with {process.exitcode}; seed {self.seed}")
        header = self.log.header(worker.number)
        self.figures.longest_operation_ms = max(self.figures.longest_operation_ms, header[LONGEST] / 1e6)
        for nth, limit in enumerate(self.figures.slower_operations):
            self.figures.slower_operations[limit] += header[SLOW + nth]
        process.close()

    def kill_one(self, method: str) -> None:
        """Kills a worker that is at work, and puts another in its place."""
        until = time.monotonic() + WATCHDOG_S
        while not (ready := [one for one in self.living if self.log.header(one[1].number)[DONE]]):
            if time.monotonic() > until:
                fail(f"no worker does anything for {WATCHDOG_S} s")
            time.sleep(0.001)
        process, worker = self.rng.choice(ready)
        time.sleep(self.rng.expovariate(1000))
        os.kill(process.pid, signal.SIGKILL)
        self.living.remove((process, worker))
        self.end(process, worker, (0, -signal.SIGKILL))
        self.figures.kills[method] += 1
        self.add(method)

    def round(self, method: str, kills: int) -> None:
        """Kills, and a comparison."""
        self.log.stop = False
        self.round_workers.clear()
        for _ in range(WORKERS):
            self.add(method)
        for _ in range(kills):
            self.kill_one(method)
        self.log.stop = True
        for process, worker in self.living:
            self.end(process, worker, (0,))
        self.living.clear()
        self.oracle.settle(self.round_workers)
        # Each lock has been taken since, so all deaths are counted.
        tally, figures = self.oracle.tally, self.figures
        figures.killed_in_lock = self.containers.deaths()
        figures.operations, figures.killed_in_operation = tally.done, tally.in_flight
        figures.happened_nevertheless = tally.happened

    def rounds(self, seconds: float, kills: int) -> None:
        """Rounds of all start methods in turn, until there were `kills`, or the time is over."""
        until = time.monotonic() + seconds
        methods = METHODS
        for nth in range(kills):
            left = kills - sum(self.figures.kills.values())
            if left <= 0 or (time.monotonic() > until and nth >= len(methods)):
                return
            self.round(methods[nth % len(methods)], min(ROUND, left if kills > ROUND * 3 else -(-kills // 3)))
            if sys.stderr.isatty():
                sys.stderr.write(f"\r\x1b[2K{max(0, until - time.monotonic()):4.0f} s left  {self.figures.kills}")


def page(figures: Figures, seconds: float, load: float) -> str:
    """What is kept of a run."""
    kills = ", ".join(f"{count:,} under {method}" for method, count in figures.kills.items())
    slower = ", ".join(f"{count:,} longer than {limit}" for limit, count in figures.slower_operations.items())
    machine = f"{os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}"
    rows = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{machine}; load before: {load:.1f}",
        "duration": f"{seconds / 60:.0f} minutes, seed {figures.seed}",
        "SIGKILLs": f"{sum(figures.kills.values()):,}: {kills}",
        "of these, in a container's lock": f"{figures.killed_in_lock:,}",
        "of these, in the middle of an operation": f"{figures.killed_in_operation:,}",
        "operations that were in flight and have happened": f"{figures.happened_nevertheless:,}",
        "operations": f"{figures.operations:,}",
        "longest operation of anybody": f"{figures.longest_operation_ms:.1f} ms; {slower}",
        "lost, torn, from nowhere, or left behind": "none",
    }
    table = "\n".join(f"| {what} | {figure} |" for what, figure in rows.items())
    return PAGE + table + "\n"


def main() -> int:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="begin no round after that")
    parser.add_argument("--kills", type=int, default=10**6, help="end after so many")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="default: random")
    parser.add_argument("--record", type=Path, help="write the figures there as a page, if nothing was wrong")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    print(f"torture_containers: seed {options.seed}", file=sys.stderr, flush=True)
    # The store may be that of the program which started this one, with what its dead workers have left.
    onecopy.collect(max_age=0)
    before = onecopy.stats()
    started, load = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        torture = Torture(Path(folder), options.seed)
        torture.rounds(options.seconds, options.kills)
        figures = torture.figures
        del torture
    gc.collect()
    # A worker that was killed before it attached a container leaves a unit that only age can give up.
    onecopy.collect(max_age=0)
    after = onecopy.stats()
    if (after.live_objects, after.allocated_bytes, after.units) != (before.live_objects, before.allocated_bytes, 0):
        fail(f"no container is left, but the store says {after}")
    if options.record:
        options.record.write_text(page(figures, time.monotonic() - started, load))
    if options.json:
        print(json.dumps(asdict(figures)))
    else:
        print(f"torture_containers: {figures}; nothing lost, torn or left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
