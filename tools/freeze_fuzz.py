#!/usr/bin/env python3
"""Random changes to a frozen graph and to a mortal one that is equal: they have to stay equal, and nothing may crash.

Each round runs in a forked child, because nothing that was frozen is ever freed. There a thread reads the frozen graph
all the while, collections run at every chance, and now and then a grandchild reads and changes its own picture.
"""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import decimal
import faulthandler
import gc
import os
import random
import sys
import threading
import time
import traceback
import types
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 60
BATCH = 50
LARGEST = 200_000
DEPTH = 4


@dataclass
class Row:
    """Has a `__dict__`."""

    number: Any
    text: Any


@dataclass(slots=True)
class SlotRow:
    """Has none."""

    number: Any
    text: Any


class MyList(list[Any]):
    """A subclass with a `__dict__`."""


class MyDict(dict[Any, Any]):
    """A subclass with a `__dict__`."""


def leaf(dice: random.Random) -> Any:
    """A new object that holds no others."""
    number = dice.getrandbits(40)
    makers: list[Callable[[], Any]] = [
        lambda: number,
        lambda: -(number**3),
        lambda: number / 7,
        lambda: f"text {number}",
        lambda: f"t\N{GREEK SMALL LETTER ALPHA} {number}",
        lambda: str(number).encode(),
        lambda: (number, f"in a tuple {number}"),
        lambda: frozenset({number, f"in a frozenset {number}"}),
        lambda: dt.date.fromordinal(700_000 + number % 9999),
        lambda: decimal.Decimal(number) / 3,
        lambda: range(number, number + 10**6, 1000),
        lambda: None,
    ]
    return dice.choice(makers)()


def key(dice: random.Random) -> Any:
    """A key out of a few dozen, so that keys meet again."""
    number = dice.randrange(30)
    return dice.choice([f"key {number}", number + 1_000_000, (number, "pair")])


def branch(dice: random.Random, depth: int) -> Any:
    """A new object that may hold others."""
    if depth == 0 or dice.random() < 0.2:  # noqa: PLR2004
        return leaf(dice)
    below = [branch(dice, depth - 1) for _ in range(dice.randrange(5))]
    pairs = [(key(dice), one) for one in below]
    named = {f"name_{index}": one for index, one in enumerate(below)}
    makers: list[Callable[[], Any]] = [
        lambda: below,
        lambda: MyList(below),
        lambda: tuple(below),
        lambda: dict(pairs),
        lambda: MyDict(pairs),
        lambda: collections.OrderedDict(pairs),
        lambda: collections.defaultdict(list, pairs),
        lambda: collections.deque(below),
        lambda: {key(dice) for _ in below},
        lambda: types.SimpleNamespace(**named),
        lambda: Row(below, leaf(dice)),
        lambda: SlotRow(below, leaf(dice)),
    ]
    return dice.choice(makers)()


def holders(root: Any) -> list[Any]:
    """All objects below that can be changed, in an order that follows from the graph alone."""
    found: dict[int, Any] = {}
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in found:
            continue
        if isinstance(one, dict):
            found[id(one)] = one
            waiting += one.values()
        elif isinstance(one, (list, collections.deque, tuple)):
            found[id(one)] = one
            waiting += one
        elif isinstance(one, (Row, SlotRow)):
            found[id(one)] = one
            waiting += [one.number, one.text]
        elif isinstance(one, types.SimpleNamespace):
            found[id(one)] = one
            waiting += vars(one).values()
        elif isinstance(one, set):
            found[id(one)] = one
    return [one for one in found.values() if not isinstance(one, tuple)]


def change_sequence(dice: random.Random, one: Any) -> None:
    """A list or deque."""
    action = dice.randrange(7)
    if action == 0 or not one:
        one.append(branch(dice, 2))
    elif action == 1:
        one.pop()
    elif action == 2:  # noqa: PLR2004
        one[dice.randrange(len(one))] = branch(dice, 2)
    elif action == 3:  # noqa: PLR2004
        del one[dice.randrange(len(one))]
    elif action == 4:  # noqa: PLR2004
        one.reverse()
    elif action == 5:  # noqa: PLR2004
        one.extend([leaf(dice) for _ in range(dice.randrange(40))])
    elif dice.random() < 0.1:  # noqa: PLR2004
        one.clear()


def change_dict(dice: random.Random, one: dict[Any, Any]) -> None:
    """A dict of any class."""
    action = dice.randrange(6)
    if action == 0:
        one[key(dice)] = branch(dice, 2)
    elif action == 1:
        one.pop(key(dice), None)
    elif action == 2 and one:  # noqa: PLR2004
        one.popitem()
    elif action == 3:  # noqa: PLR2004
        one.update({key(dice): leaf(dice) for _ in range(dice.randrange(20))})
    elif action == 4:  # noqa: PLR2004
        copied = one.copy()
        copied["self"] = copied
    elif dice.random() < 0.1:  # noqa: PLR2004
        one.clear()


def change_instance(dice: random.Random, one: Any) -> None:
    """A row or a namespace."""
    if isinstance(one, types.SimpleNamespace):
        setattr(one, f"name_{dice.randrange(6)}", branch(dice, 2))
        return
    one.text = leaf(dice)
    if dice.random() < 0.3:  # noqa: PLR2004
        one.number = branch(dice, 2)
    if isinstance(one, Row) and dice.random() < 0.2:  # noqa: PLR2004
        one.__dict__ = {"number": leaf(dice), "text": leaf(dice)}
    elif isinstance(one, Row) and dice.random() < 0.2:  # noqa: PLR2004
        vars(one)["text"] = leaf(dice)


def change(seed: int, root: list[Any]) -> None:
    """A batch of changes, which follow from the seed and the graph."""
    dice = random.Random(seed)
    candidates = holders(root)
    for _ in range(BATCH):
        one = dice.choice(candidates)
        if isinstance(one, dict):
            change_dict(dice, one)
        elif isinstance(one, set):
            one.symmetric_difference_update({key(dice), key(dice)})
        elif isinstance(one, (list, collections.deque)):
            change_sequence(dice, one)
        else:
            change_instance(dice, one)


def same(one: Any, other: Any) -> bool:
    """Equal, down to the classes; `==` alone takes 1 for True."""
    return one == other and repr(one) == repr(other)


def grandchild(seed: int, frozen: list[Any], mortal: list[Any]) -> None:
    """Forks; the grandchild changes its own picture of both."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for number in range(3):
                change(seed + number, frozen)
                change(seed + number, mortal)
            gc.collect()
            code = 0 if same(frozen, mortal) else 3
        except BaseException:  # noqa: BLE001 - the parent sees the code, and a person the text
            traceback.print_exc()
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"freeze_fuzz: a grandchild ended with status {status}")


class Reader:
    """A thread that reads the graph until it is told to stop."""

    def __init__(self, root: list[Any]) -> None:
        self.root = root
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self) -> None:
        """Looks at everything, again and again."""
        while not self.stopped.is_set():
            for one in holders_or_nothing(self.root):
                hash(type(one))
                str(one)[:10]

    def stop(self) -> None:
        """Waits for its end."""
        self.stopped.set()
        self.thread.join()


def play(seed: int) -> int:
    """One round; returns the number of changes."""
    frozen, mortal = ([branch(random.Random(seed + root), DEPTH) for root in range(2)] for _ in range(2))
    dice = random.Random(seed - 1)
    onecopy.freeze(frozen, dicts=dice.random() < 0.3, utf8=dice.random() < 0.3, gc=dice.random() < 0.7)  # noqa: PLR2004
    gc.set_threshold(1)
    reader = Reader(frozen)
    done = 0
    try:
        for step in range(STEPS):
            change(seed + step, frozen)
            change(seed + step, mortal)
            done += BATCH
            if step % 4 == 0:
                if not same(frozen, mortal):
                    raise SystemExit(f"freeze_fuzz: seed {seed}, step {step}: the graphs differ")
                gc.collect()
            if step % 20 == 19:  # noqa: PLR2004
                reader.stop()  # a child has no other threads
                grandchild(seed + step, frozen, mortal)
                reader = Reader(frozen)
            if len(repr(mortal)) > LARGEST:
                break
    finally:
        reader.stop()
    return done


def holders_or_nothing(root: Any) -> list[Any]:
    """The other thread may change what is being looked at."""
    try:
        return holders(root)
    except RuntimeError:
        return []


def child(seed: int, writing: int) -> None:
    """A round's process, which ends as a program does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.write(writing, str(play(seed)).encode())


def main() -> int:
    """Rounds until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="default: random")
    options = parser.parse_args()
    supported, reason = onecopy.freeze_supported()
    if not supported:
        print(f"freeze_fuzz: nothing to do: {reason}")
        return 0
    faulthandler.enable()
    print(f"freeze_fuzz: seed {options.seed}", flush=True)
    changes = rounds = 0
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(options.seed + 10_000 * rounds, writing)
            return 0  # a normal end of the interpreter is part of what is tested
        os.close(writing)
        with os.fdopen(reading) as pipe:
            answer = pipe.read()
        _, status = os.waitpid(pid, 0)
        if status or not answer:
            print(f"freeze_fuzz: the round with seed {options.seed + 10_000 * rounds} ended with status {status}")
            return 1
        changes += int(answer)
        rounds += 1
    print(f"freeze_fuzz: {changes:,} changes in {rounds} rounds on Python {sys.version.split()[0]}; no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
