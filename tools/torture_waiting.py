#!/usr/bin/env python3
"""`make torture`, queues and locks: processes pass items on, count under a lock and meet, while others are killed.

Producers and consumers write down in files of their own what they begin and what they have done. A killer sends SIGKILL
at random moments and puts another process in the place of each. In the end all items that were put have been taken,
each for the first time once, whatever came again was told so, and no increment under the lock is lost. Whoever makes no
progress while others are killed is found by a watchdog; the longest pause is reported.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import os
import platform
import queue
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

METHODS = ("fork", "forkserver", "spawn")
WATCHDOG_S = 60
LIFE = 1_000_000
"""Items of one life of a producer, at most."""
TICKETS = 10
"""Tickets that wait at a time, at most."""
ROUND_S = 30
"""Between two comparisons."""
LONGEST = "longest pause of a role, s"
PAGE = """# Queues, locks, conditions and barriers under `kill -9`

Written by `make torture-record SECONDS=3600`: producers and consumers pass items on, others count under a lock, share
the units of a semaphore, meet at a barrier and wait for a condition, while all of them are killed at random
(`tools/torture_waiting.py`). Thirteen processes and their killer share the processors; a *pause* is the time in which
nobody in a role got on, the start of the process that took a dead one's place included.

| | |
|---|---|
"""
KEPT = 12
"""Descriptors that stay open: of the store, of the fork server and of its pipes."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - looked at, and not written to
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18
"""Of unshare(2) and mount(2)."""


@dataclass
class Shared:
    """What all processes use."""

    items: Any = field(default_factory=lambda: onecopy.Queue(maxsize=50))
    lock: Any = field(default_factory=onecopy.Lock)
    total: Any = field(default_factory=lambda: onecopy.Value(0))
    units: Any = field(default_factory=lambda: onecopy.BoundedSemaphore(2))
    barrier: Any = field(default_factory=lambda: onecopy.Barrier(2))
    condition: Any = field(default_factory=onecopy.Condition)
    tickets: Any = field(default_factory=lambda: onecopy.Value(0))
    progress: Any = field(default_factory=onecopy.Counter)


class Log:
    """A process's own file: each line is one write.

    SIGKILL may cut a write short where a page of the file ends. What the line was to say has then not been said.
    """

    def __init__(self, folder: str, life: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(Path(folder) / f"{life}.log", flags, 0o600)

    def say(self, *words: object) -> None:
        """Writes a line."""
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


def produce(shared: Shared, log: Log, life: int) -> None:
    """Puts items that are its own."""
    for item in range(life * LIFE, (life + 1) * LIFE):
        log.say("putting", item)
        shared.items.put(item)
        log.say("put", item)
        shared.progress.add("produce")


def consume(shared: Shared, log: Log, _life: int) -> None:
    """Takes items for a lease."""
    while True:
        try:
            lease = shared.items.get(timeout=1, lease=True)
        except queue.Empty:
            continue
        log.say("took", lease.item, int(lease.is_again))
        lease.done()
        log.say("done", lease.item)
        shared.progress.add("consume")


def count(shared: Shared, log: Log, _life: int) -> None:
    """Counts in two steps, which the lock makes one."""
    while True:
        with shared.lock:
            log.say("counting")
            shared.total.set(shared.total.get() + 1)
            log.say("counted")
        shared.progress.add("count")


def share_units(shared: Shared, _log: Log, _life: int) -> None:
    """Takes and gives back."""
    while True:
        with shared.units:
            pass
        shared.progress.add("share_units")


def meet(shared: Shared, _log: Log, _life: int) -> None:
    """Meets another one; mends what a death has broken."""
    while True:
        try:
            shared.barrier.wait(WATCHDOG_S)
            shared.progress.add("meet")
        except threading.BrokenBarrierError:
            if shared.barrier.broken:
                shared.barrier.reset()


def call(shared: Shared, _log: Log, _life: int) -> None:
    """Makes tickets, and tells those who wait for them."""
    while True:
        with shared.condition:
            if shared.tickets.get() < TICKETS:
                shared.tickets.add(1)
            shared.condition.notify()
        shared.progress.add("call")


def listen(shared: Shared, _log: Log, _life: int) -> None:
    """Waits for tickets."""
    while True:
        with shared.condition:
            shared.condition.wait_for(shared.tickets.get)
            shared.tickets.add(-1)
        shared.progress.add("listen")


ROLES: tuple[Callable[[Shared, Log, int], None], ...] = (
    *(produce, produce, consume, consume, count, count),
    *(share_units, share_units, share_units, meet, meet, call, listen, listen),
)


def work(role: Callable[[Shared, Log, int], None], shared: Shared, folder: str, life: int) -> None:
    """A process: works until it is killed."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # Nobody outlives a killer that was killed itself.
    signal.alarm(20 * WATCHDOG_S)
    role(shared, Log(folder, life), life)


@dataclass
class Killer:
    """Starts the processes, and kills them."""

    method: str
    folder: str
    chance: random.Random
    shared: Shared = field(default_factory=Shared)
    lives: int = 0
    kills: int = 0
    workers: list[Any] = field(default_factory=list)
    moved: dict[str, tuple[int, float]] = field(default_factory=dict)
    longest_s: dict[str, float] = field(default_factory=dict)

    def start(self, number: int) -> Any:
        """Starts a process for a role."""
        self.lives += 1
        context: Any = multiprocessing.get_context(self.method)
        process = context.Process(target=work, args=(ROLES[number], self.shared, self.folder, self.lives))
        process.start()
        return process

    def kill(self, number: int) -> None:
        """Kills the process of a role."""
        process = self.workers[number]
        if process.exitcode is not None:
            fail(f"a process of {ROLES[number].__name__} has ended by itself: {process.exitcode}")
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        process.close()
        self.kills += 1

    def look(self) -> None:
        """Whether all roles go on."""
        now = time.monotonic()
        for role in {role.__name__ for role in ROLES}:
            done = self.shared.progress.get(role, 0)
            before, since = self.moved.get(role, (-1, now))
            if done != before:
                self.moved[role] = (done, now)
                since = now if before == -1 else since
            self.longest_s[role] = max(self.longest_s.get(role, 0), now - since)
            if now - since > WATCHDOG_S:
                fail(f"{role} has made no progress for {now - since:.0f} s")

    def run(self, kills: int, end: float) -> None:
        """Kills so many, or until the end."""
        self.workers = [self.start(number) for number in range(len(ROLES))]
        # However long processes take to start here, all have done something before the first is killed.
        while any(not self.shared.progress.get(role.__name__, 0) for role in ROLES):
            self.look()
            time.sleep(0.01)
        while self.kills < kills and time.monotonic() < end:
            time.sleep(self.chance.random() * 0.03)
            number = self.chance.randrange(len(ROLES))
            self.kill(number)
            self.workers[number] = self.start(number)
            self.look()
        self.settle()

    def settle(self) -> None:
        """Ends the producers, has all items taken, and ends the rest."""
        names = [role.__name__ for role in ROLES]
        for number in [number for number, name in enumerate(names) if name == "produce"]:
            self.kill(number)
        self.shared.items.join()
        for number in [number for number, name in enumerate(names) if name != "produce"]:
            self.kill(number)
        self.shared.items.verify()
        if not self.shared.items.empty():
            fail("items are left in a queue whose join() has returned")


def fail(what: str) -> None:
    """Ends the torture."""
    sys.exit(f"torture_waiting: {what}")


def compare(folder: str, total: int) -> dict[str, int]:
    """What the files say, against what the queue and the lock have made of it."""
    said: dict[str, Counter[str]] = {}
    firsts: Counter[str] = Counter()
    again = 0
    for path in Path(folder).glob("*.log"):
        for line in path.read_text().split("\n")[:-1]:  # whole lines
            verb, *words = line.split()
            said.setdefault(verb, Counter())[words[0] if words else ""] += 1
            if verb == "took" and words[1] == "0":
                firsts[words[0]] += 1
            again += verb == "took" and words[1] == "1"
    none: Counter[str] = Counter()
    putting, put, took, done = (set(said.get(verb, none)) for verb in ("putting", "put", "took", "done"))
    # Whoever was killed between taking an item and saying so has its item told as one that came again.
    for what, wrong in {
        "were put, and nobody has taken them": put - took,
        "were taken, and nobody has put them": took - putting,
        "were taken for the first time twice": {item for item, times in firsts.items() if times > 1},
        "were done twice": {item for item, times in said.get("done", none).items() if times > 1},
    }.items():
        if wrong:
            fail(f"{len(wrong)} items {what}: {sorted(wrong)[:5]}")
    begun, counted = said.get("counting", none)[""], said.get("counted", none)[""]
    if not counted <= total <= begun:
        fail(f"the total is {total}, between {counted} and {begun} were counted")
    return {"items": len(took), "done": len(done), "came again": again, "counted": total}


def torture(method: str, kills: int, end: float, seed: int) -> dict[str, Any]:
    """A round under one start method."""
    with tempfile.TemporaryDirectory(prefix="onecopy-torture-") as folder:
        killer = Killer(method, folder, random.Random(seed))
        killer.run(kills, end)
        found: dict[str, Any] = compare(folder, killer.shared.total.get())
        found |= {"kills": killer.kills, "deaths in the lock": killer.shared.lock.deaths}
        found[LONGEST] = round(max(killer.longest_s.values()), 2)
        return found


def torture_all(kills: int, end: float, seed: int) -> dict[str, dict[str, Any]]:
    """Rounds under all start methods in turn, until the end; what they came to, by start method."""
    chance = random.Random(seed)
    sums: dict[str, dict[str, Any]] = {method: {} for method in METHODS}
    while True:
        for number, method in enumerate(METHODS):
            now = time.monotonic()
            round_end = min(now + ROUND_S, now + max(end - now, 0) / (len(METHODS) - number))
            of_round = torture(method, kills, round_end, chance.randrange(1 << 32))
            of_all = sums[method]
            for name, value in of_round.items():
                of_all[name] = max(of_all.get(name, 0), value) if name == LONGEST else of_all.get(name, 0) + value
        if time.monotonic() >= end or kills < sys.maxsize:
            return sums


def page(found: dict[str, dict[str, Any]], seconds: float, seed: int, load: float) -> str:
    """What is kept of a run."""
    rows = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}; "
        f"load before: {load:.1f}",
        "duration": f"{seconds / 60:.0f} minutes, seed {seed}",
    }
    for name in found[METHODS[0]]:
        values = [of_method[name] for of_method in found.values()]
        whole = max(values) if name == LONGEST else sum(values)
        parts = ", ".join(f"{value:,} under {method}" for method, value in zip(found, values, strict=True))
        rows[name] = f"{whole:,}: {parts}"
    rows["lost, done twice, or left in /dev/shm or a table of descriptors"] = "none"
    return PAGE + "\n".join(f"| {what} | {figure} |" for what, figure in rows.items()) + "\n"


def takes_shared_memory() -> bool:
    """Gives this process and its children a /dev/shm of their own, where no other program puts anything.

    Returns:
        False where the kernel lets only others do that: it takes CAP_SYS_ADMIN.
    """
    libc: Any = ctypes.CDLL(None)
    folder = os.fsencode(SHARED_MEMORY)
    return bool(
        libc.unshare(CLONE_NEWNS) == 0
        and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
        and libc.mount(b"tmpfs", folder, b"tmpfs", 0, None) == 0
    )


def main() -> None:
    """Runs all start methods, and says what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="for all start methods together")
    parser.add_argument("--kills", type=int, default=sys.maxsize, help="one round of so many under each start method")
    parser.add_argument("--seed", type=int, default=None, help="chooses who is killed when")
    parser.add_argument("--record", type=Path, help="write the figures there as a page, if nothing was wrong")
    parser.add_argument("--json", action="store_true", help="for machines")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    load, started = os.getloadavg()[0], time.monotonic()
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, as it is while it is listed
    is_alone = takes_shared_memory()
    if not is_alone:
        print(f"torture_waiting: NOT LOOKED AT: {SHARED_MEMORY}, where others put theirs as well", file=sys.stderr)
    print(f"torture_waiting: seed {seed}", file=sys.stderr, flush=True)
    found = torture_all(options.kills, started + options.seconds, seed)
    if is_alone and (left := os.listdir(SHARED_MEMORY)):  # noqa: PTH208
        fail(f"left in {SHARED_MEMORY}: {sorted(left)}")
    more = len(os.listdir("/proc/self/fd")) - descriptors  # noqa: PTH208
    if more > KEPT:
        fail(f"{more} more file descriptors are open than before")
    if options.record:
        options.record.write_text(page(found, time.monotonic() - started, seed, load))
    if options.json:
        methods = [{"method": name} | value for name, value in found.items()]
        print(json.dumps({"seed": seed, "looked at /dev/shm": is_alone, "methods": methods}))
    else:
        for method, values in found.items():
            print(f"{method}: " + ", ".join(f"{name} {value}" for name, value in values.items()))


if __name__ == "__main__":
    main()
