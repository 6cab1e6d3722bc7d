#!/usr/bin/env python3
"""`make torture`: workers share, send, read and exit while others are killed with SIGKILL at random moments.

Workers start by fork, forkserver and spawn. Each gets views from this process, checks their contents, makes views of
its own and sends some back. After every kill the survivors' views and ours must read as before; at the end, with all
workers gone and what was in flight given up, the store must hold exactly what this process holds, and its memory must
be what it was.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import multiprocessing
import os
import random
import signal
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import onecopy

METHODS = ("fork", "forkserver", "spawn")
WATCHDOG_S = 60
MIB = 2**20


def make(seed: int) -> tuple[Any, int]:
    """A view whose contents follow from the seed, and their checksum."""
    rng = random.Random(seed)
    n = rng.choice([0, 1, 100, 5_000, 200_000])
    kind = rng.randrange(4)
    if kind == 0:
        data: list[Any] = [rng.getrandbits(40) for _ in range(n)]
    elif kind == 1:
        data = [f"{rng.getrandbits(64):x}" for _ in range(n // 4)]
    elif kind == 2:  # noqa: PLR2004
        data = [rng.choice([None, True, 1.5, "text", b"bytes", 2**70]) for _ in range(n // 4)]
    else:
        data = [rng.random() for _ in range(n)]
    return onecopy.share(data), checksum(data)


def checksum(data: Any) -> int:
    """The same for a list and for a view of it."""
    return zlib.crc32(repr(onecopy.to_python(data)).encode("utf-8", "surrogatepass"))


def work(connection: Any, seed: int) -> None:
    """A worker's whole life: until it is killed or told to stop."""
    rng = random.Random(seed)
    kept: list[tuple[Any, int]] = []
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while (item := connection.recv()) is not None:
            kept.append(item)
            mine = make(rng.getrandbits(32))
            kept.append(mine)
            wrong = sum(checksum(view) != expected for view, expected in kept)
            connection.send((wrong, mine if rng.random() < 0.5 else None))  # noqa: PLR2004 - every other one
            while len(kept) > 6:  # noqa: PLR2004 - a handful
                kept.pop(rng.randrange(len(kept)))


@dataclass
class Counts:
    """What happened."""

    workers: int = 0
    kills: int = 0
    jobs: int = 0
    returned: int = 0
    gone: int = 0


class Family:
    """This process's workers."""

    def __init__(self, rng: random.Random, count: int) -> None:
        self.rng = rng
        self.counts = Counts()
        self.members: list[tuple[Any, Any]] = []
        for _ in range(count):
            self.add()

    def add(self) -> None:
        """Starts a worker by any method."""
        context: Any = multiprocessing.get_context(self.rng.choice(METHODS))
        mine, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.rng.getrandbits(32)), daemon=True)
        process.start()
        theirs.close()
        self.members.append((process, mine))
        self.counts.workers += 1

    def round(self, views: list[tuple[Any, int]]) -> None:
        """Gives every worker a view; kills some before, while or after they work; takes what comes back."""
        for process, connection in self.members:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(self.rng.choice(views))
            if self.rng.random() < 0.15:  # noqa: PLR2004
                time.sleep(self.rng.expovariate(100))
                os.kill(process.pid, signal.SIGKILL)
                self.counts.kills += 1
        for process, connection in self.members:
            with contextlib.suppress(EOFError, ConnectionResetError):
                if not connection.poll(WATCHDOG_S):
                    raise SystemExit(f"torture: worker {process.pid} has hung for {WATCHDOG_S} s")
                try:
                    wrong, item = connection.recv()
                except onecopy.AttachError:
                    # It was killed after pickling and before we attached; nothing else held its view.
                    self.counts.gone += 1
                    continue
                if wrong:
                    raise SystemExit(f"torture: worker {process.pid} read {wrong} views with other contents")
                self.counts.jobs += 1
                if item is not None:
                    views.append(item)
                    self.counts.returned += 1
        for process, connection in self.members[:]:
            if not process.is_alive():
                process.join()
                connection.close()
                self.members.remove((process, connection))
                self.add()

    def stop(self) -> None:
        """Ends all workers in an orderly way."""
        for process, connection in self.members:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(None)
            process.join(WATCHDOG_S)
            connection.close()


def fail(what: str) -> NoReturn:
    """Ends the run."""
    raise SystemExit(f"torture: {what}")


def check_contents(views: list[tuple[Any, int]]) -> None:
    """Our own views read as they did."""
    for view, expected in views:
        if checksum(view) != expected:
            fail("a view of this process has changed")


def check_store(views: list[tuple[Any, int]], others: int) -> None:
    """With no worker left, the store holds what this process does, and then nothing."""
    gc.collect()
    # A worker that was killed between pickling and sending leaves a unit that only age can give up.
    onecopy.collect(max_age=0)
    check_contents(views)
    stats = onecopy.stats()
    held = others + len(views)
    if stats.live_objects != held or stats.building_objects or stats.dying_objects or stats.units:
        fail(f"this process holds {held} objects, but the store says {stats}")
    if stats.processes > 2:  # noqa: PLR2004 - this one, and the fork server
        fail(f"only this process and the fork server live, but the store says {stats}")
    views.clear()
    gc.collect()
    left = onecopy.stats()
    if left.live_objects != others or left.allocated_bytes:
        fail(f"nothing is held any more, but the store says {left}")
    named = [path for path in Path("/dev/shm").iterdir() if "onecopy" in path.name]  # noqa: S108 - looks, only
    if named:
        fail(f"left in /dev/shm: {named}")


def torture(seconds: float, seed: int) -> Counts:
    """Runs until the time is over, then checks that nothing is lost or left."""
    rng = random.Random(seed)
    others = onecopy.stats().live_objects
    views = [make(rng.getrandbits(32)) for _ in range(8)]
    family = Family(rng, 6)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        family.round(views)
        check_contents(views)
        while len(views) > 16:  # noqa: PLR2004 - enough to share among six workers
            views.pop(rng.randrange(len(views)))
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[2K{max(0, until - time.monotonic()):4.0f} s left  {family.counts}")
    family.stop()
    check_store(views, others)
    return family.counts


def main() -> int:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="default: random")
    options = parser.parse_args()
    print(f"torture: seed {options.seed}", flush=True)
    counts = torture(options.seconds, options.seed)
    print(
        f"\ntorture: {counts.kills} of {counts.workers} workers killed, {counts.jobs} jobs, {counts.returned} views "
        f"returned, {counts.gone} gone with their makers; nothing lost, nothing left"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
