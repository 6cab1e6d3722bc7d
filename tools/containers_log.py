"""What workers of `torture_containers` do, and the log that outlives them, in plain memory."""

from __future__ import annotations

import mmap
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KINDS = (
    "count", "count", "set", "set", "delete", "add", "discard", "value", "append", "insert", "extend", "board",
    "pop", "pop first", "pop middle", "pop", "sum", "update", "update", "reverse", "read", "read",
)  # fmt: skip
POPS = ("pop", "pop first", "pop middle")
OWN_KEYS = 4
TOGETHER = 64
"""Keys that one `update` sets, all or none."""
SHARED_KEYS = 8
BOARD = 16
NUMBER_BITS = 24
SECOND = 1 << 23
"""Set in the number of the second element of an `extend`."""
MOST_POPS = 1 << 15
MOST_WORKERS = 1 << 16
HEADER = 8
BEGUN, DONE, POPPED, LONGEST, SLOW = range(5)
SLOW_MS = (10, 50, 250)
"""From the word `SLOW` on: how many operations took longer than each of these."""


class WrongError(Exception):
    """A worker has read what cannot be there."""


def check(is_right: bool, what: str) -> None:
    """An `assert` that is always made."""
    if not is_right:
        raise WrongError(what)


@dataclass(frozen=True)
class Step:
    """What a worker does as its `number`-th operation."""

    worker: int
    number: int
    kind: str
    choice: int

    @property
    def id(self) -> int:
        """Says who wrote a record, and when."""
        return self.worker << NUMBER_BITS | self.number

    @property
    def ids(self) -> list[int]:
        """The records that it adds to the list."""
        added = {"append": [self.id], "insert": [self.id], "extend": [self.id, self.id | SECOND]}
        return added.get(self.kind, [])

    @property
    def key(self) -> str:
        """A key that only this worker uses."""
        return f"a key of worker {self.worker}: {self.choice % OWN_KEYS}"

    @property
    def items(self) -> dict[str, object]:
        """What an `update` sets, in one step."""
        return {f"a key of worker {self.worker}, one of many: {nth}": record(self.id) for nth in range(TOGETHER)}

    @property
    def shared_key(self) -> str | int:
        """A key that all use."""
        which = self.choice % SHARED_KEYS
        return which if which % 2 else f"shared by all: {which}"

    @property
    def amount(self) -> int:
        """What is added to a shared number: never 0."""
        return 1 + self.choice % 5


def step(seed: int, worker: int, number: int) -> Step:
    """The same to the worker that does it and to the oracle."""
    mixed = zlib.crc32(f"{seed} {worker} {number}".encode())
    return Step(worker, number, KINDS[mixed % len(KINDS)], mixed // len(KINDS))


def record(number: int) -> object:
    """A value that carries its number and a check, in one of the forms that containers keep."""
    which = number % 3
    if which == 0:
        return number * 97
    text = f"{number}:{zlib.crc32(str(number).encode())}:" + "é~"[number % 2] * (number % 61)
    return text if which == 1 else text.encode()


def number_of(value: object) -> int:
    """The number of a record; an error for what is none."""
    if isinstance(value, int):
        number = value // 97
    else:
        text = value.decode() if isinstance(value, bytes) else str(value)
        number = int(text.split(":")[0])
    check(record(number) == value, f"never written: {value!r}")
    return number


class Log:
    """Words in two files: what each worker has begun and done, and what it has taken from the list."""

    def __init__(self, folder: Path, slots: int) -> None:
        self.words = self._open(folder / "headers", MOST_WORKERS * HEADER)
        self.pops = self._open(folder / "pops", slots * MOST_POPS)

    def _open(self, path: Path, words: int) -> memoryview:
        with path.open("a+b") as file:
            file.truncate(8 * words)
            return memoryview(mmap.mmap(file.fileno(), 8 * words)).cast("Q")

    @property
    def stop(self) -> bool:
        """Whether workers end. Word 0 belongs to no worker: they count from 1."""
        return self.words[0] != 0

    @stop.setter
    def stop(self, value: bool) -> None:
        self.words[0] = value

    def header(self, worker: int) -> memoryview:
        """What a worker says of itself."""
        return self.words[worker * HEADER : (worker + 1) * HEADER]

    def popped(self, slot: int) -> memoryview:
        """Numbers of the records that the worker with this place in the round has taken; 0 for none."""
        return self.pops[slot * MOST_POPS : (slot + 1) * MOST_POPS]

    def was_begun(self, number: int) -> bool:
        """Whether a record can have been written."""
        worker, nth = number >> NUMBER_BITS, number & (SECOND - 1)
        return 0 < worker < MOST_WORKERS and 0 < nth <= self.words[worker * HEADER + BEGUN]
