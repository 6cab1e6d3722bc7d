#!/usr/bin/env python3
"""Reads views while another process writes to the bytes behind them, in child processes that may die of it.

Nothing in the kernel keeps a process of the same user from writing to a published image. A reader may then get wrong
data or an error, but it must not die. In each run a forked writer changes some places of an image to and fro as fast
as it can, through a writable mapping of the store, while every operation of every view goes on: of views that were
there before, and of views that are made meanwhile. A death by signal, a panic of the extension, a str that `CPython`
could not have made, and two minutes without an answer are findings. What is written follows from `--seed` and the
number of the run; what the reader meets does not, as the two race.
"""

from __future__ import annotations

import argparse
import contextlib
import fractions
import gc
import json
import mmap
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

import onecopy
from fuzz_views import (
    DTYPES,
    ENVIRONMENT,
    EXIT_MEMORY,
    EXIT_PANIC,
    HEADER_LEN,
    OPERATIONS,
    Chance,
    Outcomes,
    Point,
    Totals,
    User,
    change,
    data,
    nodes,
    number,
    parser_of,
    prepare,
    with_changes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 2000
RUNS_PER_CHILD = 50
# How long a run reads.
RUN_S = 0.08
HANG_S = 120.0
BEAT_S = 0.5
EXIT_TEXT = 72
KEPT_VIEWS = 40


# -- the writer --------------------------------------------------------------------------------------------------------


def file_of(address: int) -> tuple[int, int]:
    """The inode of the memory file that is mapped at an address, and the offset there."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, _, offset, _, inode, *_ = line.split()
        start, end = (int(part, 16) for part in place.split("-"))
        if start <= address < end:
            return int(inode), int(offset, 16) + address - start
    raise LookupError(hex(address))


def writable(image: memoryview) -> tuple[mmap.mmap, int]:
    """A mapping of the image's pages that may be written, and where the image begins in it."""
    inode, offset = file_of(np.asarray(image).ctypes.data)
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if entry.stat().st_ino == inode:
                descriptor = os.open(entry, os.O_RDWR)
                break
    else:
        raise LookupError("no descriptor of the store")
    start = offset - offset % mmap.PAGESIZE
    mapping = mmap.mmap(descriptor, offset - start + image.nbytes, offset=start)
    os.close(descriptor)
    return mapping, offset - start


# NumPy reads the text of an array twice to make a str of it: one that is broken then is none of our doing.
DTYPES[:] = [dtype for dtype in DTYPES if "U" not in str(dtype)]

Place = tuple[int, int, bytes, bytes]


def near_a_node(chance: Chance, image: bytes) -> tuple[int, bytes]:
    """Another number in a field of a node: at most 8 bytes."""
    at = chance.choice(nodes(image)) + chance.choice([0, 0, 2, 4, 8, *range(16, 80, 8)])
    width = chance.choice([1, 1, 2, 4, 8])
    return at, (number(chance, image, nodes(image)) & ((1 << 8 * width) - 1)).to_bytes(width, "little")


def stretch(chance: Chance, image: bytes) -> tuple[int, bytes]:
    """Many bytes at once, the same bits in each or in one of a few: letters, offsets, kinds of text."""
    at = chance.randrange(HEADER_LEN, len(image))
    mask, step = chance.choice([0x80, 0xFF, 0x01, 0x10, 0xC0]), chance.choice([1, 1, 2, 4, 8])
    part = image[at : at + chance.choice([1, 8, 64, 500])]
    return at, bytes(byte ^ mask if index % step == 0 else byte for index, byte in enumerate(part))


def places(chance: Chance, image: bytes) -> list[Place]:
    """What to write: where, what, and what was there before."""
    found = []
    for _ in range(chance.choice([1, 1, 2, 4, 12])):
        at, new = chance.choice([change, near_a_node, stretch])(chance, image)
        changed = with_changes(image, [(at, new)])
        differ = np.flatnonzero(np.frombuffer(image, np.uint8) != np.frombuffer(changed, np.uint8))
        if differ.size:
            start, end = int(differ[0]), int(differ[-1]) + 1
            found.append((start, end, image[start:end], changed[start:end]))
    return found


def write_for_ever(memory: mmap.mmap, base: int, changes: list[Place], *, together: bool) -> NoReturn:
    """Changes the image to and fro; one place after the other, or all together."""
    there = [(slice(base + start, base + end), old, new) for start, end, old, new in changes]
    while True:
        if together:
            for place, _, new in there:
                memory[place] = new
            for place, old, _ in there:
                memory[place] = old
        else:
            for place, old, new in there:
                memory[place] = new
                memory[place] = old
                memory[place] = new
                memory[place] = old


@contextlib.contextmanager
def written_to(view: Any, chance: Chance) -> Any:
    """Has another process write to the image of a view meanwhile."""
    image = memoryview(onecopy.image_of(view))
    memory, base = writable(image)
    content = bytes(image)
    changes = places(chance, content)
    together = chance.random() < 0.3  # noqa: PLR2004
    writer = os.fork()
    if writer == 0:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(60)
            write_for_ever(memory, base, changes, together=together)
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        memory[base : base + len(content)] = content
        image.release()
        memory.close()


# -- the reader --------------------------------------------------------------------------------------------------------


@dataclass
class Reader(User):
    """Does everything to views, and says from time to time that it is alive."""

    heard: float = field(default_factory=time.monotonic)

    def attempt(self, what: str, use: Callable[[], Any]) -> Any:
        """One operation."""
        now = time.monotonic()
        if now - self.heard > BEAT_S:
            self.heard = now
            print("beat", flush=True)
        result = super().attempt(what, use)
        for part in result if type(result) in {list, tuple} else (result,):
            if type(part) is str and not is_str(part):
                self.give_up(EXIT_TEXT, ValueError("a str that is none"))
        return result

    def give_up(self, code: int, error: BaseException) -> Any:
        """Ends the process with what was found; a pickle that asks for all memory is none."""
        if code != EXIT_MEMORY:
            super().give_up(code, error)


def is_str(text: str) -> bool:
    """Whether a str lies in memory as another with the same characters does."""
    try:
        again = "".join([chr(ord(letter)) for letter in text])
    except (ValueError, SystemError):
        return False
    same = again == text and hash(again) == hash(text) and again.isascii() == text.isascii()
    # Somebody may have asked for its UTF-8, which the str keeps.
    return same and sys.getsizeof(text) >= sys.getsizeof(again)


class Weight:
    """A harmless class whose instances are pickled one by one."""

    def __init__(self, grams: int) -> None:
        self.grams = grams

    def __eq__(self, other: object) -> bool:
        """By weight."""
        return isinstance(other, Weight) and self.grams == other.grams

    def __hash__(self) -> int:
        """By weight."""
        return hash(self.grams)

    def __getstate__(self) -> dict[str, Any]:
        """As every object's."""
        return {"grams": self.grams}


def columns(chance: Chance) -> Any:
    """A list of one kind, longer than those of `data`: what is read without a look at anything else."""
    count = chance.choice([3, 40, 700])
    text = ["plain", "naïve", "日本語の文", "🦀🦀", "é" * 20, "x"]
    ways: list[Callable[[], Any]] = [
        lambda: [chance.randrange(-100, 100) for _ in range(count)],
        lambda: [chance.getrandbits(chance.choice([40, 64, 90])) for _ in range(count)],
        lambda: [chance.random() for _ in range(count)],
        lambda: [chance.random() < 0.5 for _ in range(count)],  # noqa: PLR2004
        lambda: [f"text {chance.getrandbits(40)}" for _ in range(count)],
        lambda: [chance.choice(text) * chance.randrange(1, 4) for _ in range(count)],
        lambda: [chance.choice([None, "text", "é", 1.5, 2**70, b"some bytes", True]) for _ in range(count)],
        lambda: [chance.randbytes(chance.randrange(20)) for _ in range(count)],
        lambda: [chance.choice([None, 1, 2]) for _ in range(count)],
        lambda: [fractions.Fraction(at, 7) for at in range(count)],
        lambda: [Weight(at) for at in range(count)],
        lambda: {f"key {at}": chance.choice(text) for at in range(count)},
        lambda: {(at, "é"): [at] for at in range(count)},
        lambda: {chance.choice(text) * (at % 40) for at in range(count)},
        lambda: frozenset(range(count)),
        lambda: [{"id": at, "name": chance.choice(text), "fraction": fractions.Fraction(at, 3)} for at in range(count)],
        lambda: [Point(at, 0.5, ["t"]) for at in range(count)],
        lambda: [{"id": at} | ({"more": [at]} if at % 3 else {}) for at in range(count)],
        lambda: {"array": np.zeros((count, 2), chance.choice(["<f8", "<i4", "<M8[s]"])), "list": [[1, 2], [3]]},
        lambda: [[at, str(at)] for at in range(count)],
        lambda: tuple((at, at + 0.5) for at in range(count)),
    ]
    return chance.choice(ways)()


def views_in(view: Any, limit: int) -> list[Any]:
    """A view and some of those in it, made while nothing changes."""
    found, user = [view], User(Outcomes(), left=100)
    for outer in found:
        if len(found) > limit or user.left <= 0:
            break
        if not isinstance(outer, np.ndarray):
            parts = user.parts(outer)
            found += [part for part in parts if type(part).__module__.startswith("onecopy")]
    return found[:limit]


def run(seed: int, index: int, outcomes: Outcomes) -> None:
    """One image, one writer, one reader."""
    chance = random.Random(f"{seed} {index}")
    view = onecopy.share((columns if index % 2 else data)(chance))
    if not type(view).__module__.startswith("onecopy"):
        return
    kept = views_in(view, KEPT_VIEWS)
    # Its own object, which has no part that was met before.
    user = Reader(outcomes)
    with written_to(view, chance):
        until = time.monotonic() + RUN_S
        while time.monotonic() < until:
            user.left = OPERATIONS
            for part in kept:
                user.use(part, depth=3)
            user.left = OPERATIONS
            fresh = user.attempt("attach", lambda: pickle.loads(pickle.dumps(view)))  # noqa: S301 - our own
            user.use(fresh)
            user.attempt("real", lambda: onecopy.to_python(view))


# -- children ----------------------------------------------------------------------------------------------------------


def child(seed: int, start: int, end: int) -> None:
    """Makes run after run, saying before each which it is, and at last how the operations ended."""
    prepare()
    outcomes = Outcomes()
    for index in range(start, end):
        print(index, flush=True)
        run(seed, index, outcomes)
        gc.collect()
    print(json.dumps(outcomes), flush=True)


KNOWN = {EXIT_PANIC: "panic", EXIT_TEXT: "broken str"}


def batch(seed: int, start: int, end: int, folder: Path, totals: Totals) -> int:
    """Has a child make runs, under a watchdog; returns the run to go on with."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, __file__, "--child", str(seed), str(start), str(end)],
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None  # noqa: S101 - asked for above
        os.set_blocking(process.stdout.fileno(), False)
        index, pending, heard, hung = start - 1, b"", time.monotonic(), False
        while True:
            text = process.stdout.read()
            if text:
                heard = time.monotonic()
                *lines, pending = (pending + text).split(b"\n")
                for line in lines:
                    if line[:1] == b"{":
                        totals.outcomes.update(json.loads(line))
                    elif line != b"beat":
                        index = int(line)
            elif process.poll() is not None:
                break
            elif time.monotonic() - heard > HANG_S and not hung:
                hung = True
                process.send_signal(signal.SIGABRT)
            else:
                time.sleep(0.01)
        process.stdout.close()
        totals.cases += index - start + 1
        if process.returncode != 0:
            totals.findings += 1
            how = "hang" if hung else KNOWN.get(process.returncode, f"exit {process.returncode}")
            errors.seek(0)
            folder.mkdir(parents=True, exist_ok=True)
            found = folder / f"changes-{seed}-{index}.txt"
            again = f"tools/fuzz_changes.py --seed {seed} --first {index} --runs 1"
            found.write_text(f"{how}\nagain, with luck: {again}\n\n{errors.read()[-8000:]}")
            print(f"changes: FINDING {how}: {found}", flush=True)
    return max(index, start) + 1


def main() -> int:
    """Parses the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--first", type=int, default=0, metavar="RUN")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="make no more runs after this time")
    parser.add_argument("--child", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return 0
    print(f"changes: seed {options.seed}", flush=True)
    totals = Totals()
    index, last = options.first, options.first + options.runs
    until = time.monotonic() + options.seconds
    while index < last and time.monotonic() < until:
        index = batch(options.seed, index, min(index + RUNS_PER_CHILD, last), options.findings, totals)
    return totals.conclude("changes", "runs")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
