"""What containers must hold after workers were killed: worked out from the log alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NoReturn

import containers_log
import onecopy
from containers_log import BEGUN, BOARD, DONE, POPPED, POPS, SHARED_KEYS, Log, Step, number_of, record, step


@dataclass
class Containers:
    """What all workers use."""

    counts: onecopy.Counter[Any] = field(default_factory=onecopy.Counter)
    table: onecopy.Dict[Any, Any] = field(default_factory=onecopy.Dict)
    members: onecopy.Set[str] = field(default_factory=onecopy.Set)
    value: onecopy.Value[Any] = field(default_factory=lambda: onecopy.Value(None))
    queue: onecopy.List[Any] = field(default_factory=onecopy.List)
    board: onecopy.List[Any] = field(default_factory=lambda: onecopy.List([None] * BOARD))

    def all(self) -> dict[str, object]:
        """Each with its name."""
        return dict(vars(self))

    def deaths(self) -> int:
        """Holders of a lock that have died in it, as far as somebody has taken it over."""
        return sum(container.lock.deaths for container in vars(self).values())

    def verify(self) -> None:
        """Every block in exactly one place, every count right."""
        for container in (self.counts, self.table, self.members, self.queue, self.board):
            container.verify()


def fail(what: str) -> NoReturn:
    """Ends the run."""
    raise SystemExit(f"torture_containers: {what}")


@dataclass
class Worker:
    """One worker of a round, dead by now."""

    number: int
    slot: int


@dataclass
class Tally:
    """What was found."""

    done: int = 0
    in_flight: int = 0
    happened: int = 0


class Oracle:
    """Keeps what must be there from round to round."""

    def __init__(self, seed: int, log: Log, containers: Containers) -> None:
        self.seed, self.log, self.containers = seed, log, containers
        self.sums: dict[str, Counter[object]] = {"count": Counter(), "sum": Counter()}
        self.queue: set[int] = set()
        self.tally = Tally()

    def settle(self, workers: list[Worker]) -> None:
        """Compares everything with the log when all workers of a round have ended."""
        self.containers.verify()
        done: list[Step] = []
        in_flight: list[Step] = []
        for worker in workers:
            header = self.log.header(worker.number)
            done += [step(self.seed, worker.number, n) for n in range(1, header[DONE] + 1)]
            if header[BEGUN] != header[DONE]:
                in_flight.append(step(self.seed, worker.number, header[BEGUN]))
        self.tally.done += len(done)
        self.tally.in_flight += len(in_flight)
        self.check_sums("count", self.containers.counts, done, in_flight)
        self.check_sums("sum", self.containers.table, done, in_flight)
        self.check_own(done, in_flight)
        self.check_queue(workers, done, in_flight)
        self.check_written()
        self.containers.verify()

    def check_sums(
        self,
        kind: str,
        container: onecopy.Counter[Any] | onecopy.Dict[Any, Any],
        done: list[Step],
        in_flight: list[Step],
    ) -> None:
        """Each sum is that of all that was done, and of some of what was in flight."""
        expected = self.sums[kind]
        for one in done:
            if one.kind == kind:
                expected[one.shared_key] += one.amount
        for which in range(SHARED_KEYS):
            key = Step(0, 0, kind, which).shared_key
            amounts = [one.amount for one in in_flight if one.kind == kind and one.shared_key == key]
            possible = {expected[key]}
            for amount in amounts:
                possible |= {total + amount for total in possible}
            found = container.get(key, 0)
            if found not in possible:
                fail(f"{kind} of {key!r} is {found}, not one of {sorted(possible)}")
            self.tally.happened += found != expected[key]
            expected[key] = found

    def check_own(self, done: list[Step], in_flight: list[Step]) -> None:
        """Keys and members that one worker alone uses are as it left them, then go."""
        table: dict[str, object] = {}
        members: dict[str, bool] = {}
        for one in done:
            self.apply(one, table, members)
        later_table, later_members = dict(table), dict(members)
        for one in in_flight:
            self.apply(one, later_table, later_members)
            if one.kind == "update" and len({self.containers.table.get(key) for key in one.items}) != 1:
                fail(f"some of what was set together, in step {one.number} of worker {one.worker}")
        for key, later in later_table.items():
            found = self.containers.table.pop(key, None)
            if found not in (table.get(key), later):
                fail(f"{key!r} is {found!r}, not {table.get(key)!r} or {later!r}")
        for key, is_later in later_members.items():
            is_there = key in self.containers.members
            if is_there not in (members.get(key, False), is_later):
                fail(f"whether {key!r} is in the set: {is_there}")
            self.containers.members.discard(key)
        left = [key for key in self.containers.table if key not in self.sums["sum"]]
        if left or len(self.containers.members):
            fail(f"nobody's: {left}, {list(self.containers.members)}")

    def apply(self, one: Step, table: dict[str, object], members: dict[str, bool]) -> None:
        """Does a step to the model of what one worker alone uses."""
        if one.kind in ("set", "delete"):
            table[one.key] = record(one.id) if one.kind == "set" else None
        if one.kind == "update":
            table.update(one.items)
        if one.kind in ("add", "discard"):
            members[one.key] = one.kind == "add"

    def check_queue(self, workers: list[Worker], done: list[Step], in_flight: list[Step]) -> None:
        """Each record that was put into the list is there once, or was taken by one worker."""
        popped: list[int] = []
        unlogged = 0
        for worker in workers:
            header = self.log.header(worker.number)
            popped += [number for number in self.log.popped(worker.slot)[: header[POPPED]] if number]
        logged = {worker.number: self.log.header(worker.number)[POPPED] for worker in workers}
        for one in done:
            self.queue.update(one.ids)
            logged[one.worker] -= one.kind in POPS
        found = [number_of(value) for value in self.containers.queue]
        present = Counter(popped + found)
        if twice := [number for number, times in present.items() if times > 1]:
            fail(f"there twice, or taken twice: {twice}")
        for one in in_flight:
            unlogged += one.kind in POPS and not logged[one.worker]
            if any(number in present for number in one.ids):
                self.tally.happened += 1
                self.queue.update(one.ids)
        if phantoms := present.keys() - self.queue:
            fail(f"in the list, but never put there: {phantoms}")
        lost = self.queue - present.keys()
        if len(lost) > unlogged:
            fail(f"{len(lost)} records lost, but only {unlogged} can have been taken")
        self.queue = set(found)

    def check_written(self) -> None:
        """What all may write holds what somebody wrote there."""
        kinds = [("board", value) for value in self.containers.board] + [("value", self.containers.value.get())]
        for kind, value in kinds:
            if value is None:
                continue
            number = number_of(value)
            nth = number & ((1 << containers_log.NUMBER_BITS) - 1)
            if not self.log.was_begun(number) or step(self.seed, number >> 24, nth).kind != kind:
                fail(f"never written there: {value!r}")
