#!/usr/bin/env python3
"""Damages images and does everything to their views that Python can, in child processes that may die of it.

An exception is an answer. A death by signal, a panic of the extension, an operation that neither ends nor can be
interrupted, and memory without bound are findings: each is written with its seed and the smallest image that still
shows it into a folder, and makes the run fail. A case follows from `--seed` and its number alone.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import datetime as dt
import faulthandler
import itertools
import json
import math
import operator
import os
import pickle
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
HEADER_LEN = 64
NODE_KINDS = 12
TAG_BLOB, TAG_NODE = 0xFFFD << 48, 0xFFFE << 48
LAST64 = 2**64 - 1
# An operation that takes longer is interrupted, as by Ctrl-C; one that cannot be is a finding.
SLOW_S = 2.0
HANG_S = 120.0
SLOW_LIMIT = 3
MEMORY_BYTES = 2 * 2**30
# A list of more elements is looked at in part.
LONG = 3000
OPERATIONS = 400
DEPTH = 5
CASES_PER_CHILD = 300
EXIT_PANIC = 70
EXIT_MEMORY = 71


# -- data of every kind ------------------------------------------------------------------------------------------------


@dataclass
class Point:
    """Rows of a table of dataclass instances."""

    x: int
    y: float
    tags: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    """Rows of a table of namedtuples."""

    left: Any
    right: Any


class Scores(dict[Any, Any]):
    """A dict with a class, and attributes, of its own."""

    def best(self) -> Any:
        """Reads the view that it is called on."""
        return max(self.values(), key=repr, default=None)


class Words(list[Any]):
    """A list with a class of its own."""


class Boxed:
    """An object that pickles with a buffer outside."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Gives the buffer away from protocol 5 on."""
        return Boxed, (pickle.PickleBuffer(self.content),)


Chance = random.Random
WORDS = ["", "a", "id", "name", "é", "naïve", "日本語", "🦀", "a longer text of some kind", "\udc80"]


def plain(chance: Chance) -> Any:
    """A value that is no container."""
    ways: list[Callable[[], Any]] = [
        lambda: None,
        lambda: chance.random() < 0.5,  # noqa: PLR2004
        lambda: chance.randrange(-300, 300),
        lambda: chance.getrandbits(chance.choice([31, 62, 63, 64, 65, 200])) * chance.choice([1, -1]),
        lambda: chance.choice([0.0, -0.0, 1.5, math.inf, math.nan, chance.random()]),
        lambda: complex(chance.randrange(3), chance.randrange(3)),
        lambda: chance.choice(WORDS),
        lambda: chance.choice(WORDS) * chance.randrange(5),
        lambda: chance.randbytes(chance.choice([0, 3, 5, 6, 40])),
        lambda: dt.date(2026, 1, 1 + chance.randrange(28)),
    ]
    return chance.choice(ways)()


def key(chance: Chance) -> Any:
    """A value that a dict takes for a key."""
    if chance.random() < 0.15:  # noqa: PLR2004
        return chance.choice([tuple, frozenset])(key(chance) for _ in range(chance.randrange(4)))
    return plain(chance)


STRUCTURE = [("a", "<i4"), ("b", "<f8", (2,)), ("c", "<U2")]
DTYPES: list[Any] = ["<f8", "|u1", "<i2", ">i4", "|b1", "<M8[ns]", "<U3", "|S4", "<c16", STRUCTURE, "<f2"]


def array(chance: Chance) -> np.ndarray[Any, Any]:
    """A small array of any type."""
    kind: Any = chance.choice(DTYPES)
    shape = tuple(chance.randrange(4) for _ in range(chance.randrange(4)))
    made: np.ndarray[Any, Any] = np.zeros(shape, kind)
    return made.T if chance.random() < 0.3 else made  # noqa: PLR2004


def column(chance: Chance, count: int) -> list[Any]:
    """Values of one kind, some of them None."""
    few = [plain(chance) for _ in range(chance.randrange(1, 3))]
    return [chance.choice(few) for _ in range(count)]


def rows(chance: Chance) -> list[Any]:
    """What becomes a table."""
    count = chance.randrange(2, 12)
    kind = chance.randrange(3)
    if kind == 0:
        names = chance.sample(WORDS, chance.randrange(1, 5))
        lacking = chance.random() < 0.4  # noqa: PLR2004
        columns = [column(chance, count) for _ in names]
        return [
            {
                name: cells[row]
                for name, cells in zip(names, columns, strict=True)
                if not lacking or chance.random() < 0.8  # noqa: PLR2004
            }
            for row in range(count)
        ]
    cells = column(chance, count)
    if kind == 1:
        return [Point(row, 0.5, ["t"] * (row % 3)) for row in range(count)]
    return [Pair(cell, nested(chance, DEPTH - 1)) for cell in cells]


def nested(chance: Chance, depth: int = 0) -> Any:
    """Data of every kind, to some depth."""
    if depth >= DEPTH:
        return plain(chance)

    def some(limit: int = 6) -> Iterator[Any]:
        return (nested(chance, depth + 1) for _ in range(chance.randrange(limit)))

    ways: list[Callable[[], Any]] = [
        lambda: plain(chance),
        lambda: list(some()),
        lambda: tuple(some()),
        lambda: column(chance, chance.choice([1, 3, 9, 600])),
        lambda: tuple(column(chance, chance.randrange(1, 10))),
        lambda: {key(chance): value for value in some()},
        lambda: {f"key {at}": value for at, value in enumerate(some(14))},
        lambda: {key(chance) for _ in range(chance.randrange(14))},
        lambda: frozenset(key(chance) for _ in range(chance.randrange(5))),
        lambda: rows(chance),
        lambda: tuple(rows(chance)),
        lambda: array(chance),
        lambda: typed(chance, list(some()), {key(chance): value for value in some()}),
        lambda: Boxed(chance.randbytes(chance.randrange(100))),
    ]
    return chance.choice(ways)()


def typed(chance: Chance, content: list[Any], entries: dict[Any, Any]) -> Any:
    """What adds to a container."""
    scores = Scores(entries)
    vars(scores).update(dict.fromkeys(chance.sample("abc", chance.randrange(3)), content))
    return chance.choice(
        [
            collections.Counter(dict.fromkeys(entries, 3)),
            collections.OrderedDict(entries),
            collections.defaultdict(chance.choice([None, list]), entries),
            collections.deque(content, chance.choice([None, 9])),
            collections.UserDict(entries),
            collections.UserList(content),
            collections.ChainMap(entries, {"a": content}),
            scores,
            Words(content),
        ]
    )


def data(chance: Chance) -> Any:
    """One root; sometimes with a cycle, or with parts that several owners refer to."""
    shape = chance.randrange(6)
    if shape == 0:
        return nested(chance)
    root: Any = [nested(chance, 1) for _ in range(chance.randrange(1, 5))]
    if shape == 1:
        root.append(root)
    if shape == 2:  # noqa: PLR2004
        table = rows(chance)
        root += [table, table[0], {"again": table[-1]}, root[0]]
    return {"root": root} if shape == 3 else root  # noqa: PLR2004


def image_of(value: Any) -> bytes:
    """The bytes that `save()` writes."""
    with tempfile.TemporaryDirectory() as folder:
        onecopy.save(value, Path(folder) / "image")
        return (Path(folder) / "image").read_bytes()


# -- damage ------------------------------------------------------------------------------------------------------------


def repaired(image: bytearray) -> bytes:
    """The image with the header that its length and root ask for."""
    root = struct.unpack_from("<Q", image, 24)[0]
    header = struct.pack("<8sIIQQ24x", b"\x89OCPY\r\n\x1a", 1 if image[8] == 1 else 2, 0, len(image), root)
    check = 0xCBF29CE484222325
    for byte in header:
        check = ((check ^ byte) * 0x100000001B3) & LAST64
    image[:HEADER_LEN] = header + struct.pack("<Q", check)
    return bytes(image)


def nodes(image: bytes) -> list[int]:
    """Offsets where a node may begin."""
    return [
        at
        for at in range(HEADER_LEN, len(image) - 15, 8)
        if 1 <= image[at] <= NODE_KINDS and image[at + 1] <= 10 and image[at + 2] <= 7 and image[at + 3] <= 4  # noqa: PLR2004
    ] or [HEADER_LEN]


def number(chance: Chance, image: bytes, found: list[int]) -> int:
    """A number that a field of an image could hold."""
    words = len(image) // 8
    other: int = struct.unpack_from("<Q", image, chance.randrange(words) * 8)[0]
    node = chance.choice(found)
    return (
        chance.choice(
            [
                node,
                node,
                TAG_NODE | node,
                TAG_NODE | node,
                TAG_BLOB | chance.randrange(words) * 8,
                other,
                other + chance.choice([1, 8, 16, -1, -8]),
                len(image) - chance.choice([0, 8, 16, 64]),
                chance.choice([0, 1, 2, 7, 8, 9, 16, 64]),
                1 << chance.randrange(64),
                chance.choice([LAST64, LAST64 - 7, 2**63 - 1, 2**32 - 1, 0xFFFA << 48, 0xFFF9 << 48]),
            ]
        )
        & LAST64
    )


def change(chance: Chance, image: bytes) -> tuple[int, bytes]:  # noqa: PLR0911 - one for each way
    """Where to write what."""
    found = nodes(image)
    words = len(image) // 8
    anywhere = chance.randrange(8, words) * 8
    node = chance.choice(found)
    how = chance.randrange(9)
    if how <= 1:
        return anywhere, struct.pack("<Q", number(chance, image, found))
    if how <= 3:  # noqa: PLR2004
        return node + 8 * chance.randrange(1, 9), struct.pack("<Q", number(chance, image, found))
    if how == 4:  # noqa: PLR2004
        return anywhere + chance.choice([0, 4]), struct.pack("<I", number(chance, image, found) & 0xFFFFFFFF)
    if how == 5:  # noqa: PLR2004
        byte, limit = chance.choice([(0, 13), (1, 12), (2, 9), (3, 6), (4, 17)])
        return node + byte, bytes([chance.randrange(limit)])
    if how == 6:  # noqa: PLR2004
        start = chance.choice([node, chance.randrange(words) * 8])
        return anywhere, image[start : start + 8 * chance.randrange(1, 11)]
    if how == 7:  # noqa: PLR2004
        return 24, struct.pack("<Q", number(chance, image, found))
    at = chance.randrange(HEADER_LEN, len(image))
    return at, bytes([chance.choice([0, 1, 0xFF, 0x80, ord("O"), chance.randrange(256), image[at] ^ 1])])


def with_changes(image: bytes, changes: Iterable[tuple[int, bytes]]) -> bytes:
    """The image as damaged."""
    broken = bytearray(image)
    for at, new in changes:
        broken[at : at + len(new)] = new[: max(0, len(broken) - at)]
    return repaired(broken)


@dataclass
class Case:
    """One damaged image, which follows from the seed and its number."""

    image: bytes
    changes: list[tuple[int, bytes]]

    @classmethod
    def of(cls, seed: int, index: int) -> Case:
        """Makes it."""
        # Some images are damaged more than once, as making them takes longer.
        image = image_of(data(random.Random(f"{seed} data {index // 4}")))
        chance = random.Random(f"{seed} damage {index}")
        return cls(image, [change(chance, image) for _ in range(chance.randrange(1, 5))])

    def bytes(self) -> bytes:
        """The damaged image."""
        return with_changes(self.image, self.changes)


# -- everything that can be done with a view ---------------------------------------------------------------------------


class SlowError(Exception):
    """An operation was interrupted."""


class Outcomes(collections.Counter[str]):
    """How operations ended, by the name of the exception."""


def interrupted(_number: int, _frame: Any) -> NoReturn:
    """Ends an operation that takes too long: what takes long can be interrupted."""
    raise SlowError


@dataclass
class User:
    """Does everything to the views of one image."""

    outcomes: Outcomes
    left: int = OPERATIONS
    slow: int = 0
    last: str = ""

    def give_up(self, code: int, error: BaseException) -> NoReturn:
        """Ends the process with what was found."""
        print(f"{type(error).__name__} in {self.last}: {error}", file=sys.stderr, flush=True)
        os._exit(code)

    def attempt(self, what: str, use: Callable[[], Any]) -> Any:
        """One operation; an exception is an answer."""
        self.left -= 1
        self.last = what
        signal.setitimer(signal.ITIMER_REAL, SLOW_S)
        try:
            result = use()
        except SlowError:
            # Data that several lists refer to can take for ever, as real lists do; that it can be ended is enough.
            self.outcomes["interrupted"] += 1
            self.slow += 1
            if self.slow >= SLOW_LIMIT:
                self.left = 0
            return None
        except MemoryError as error:
            # An array may repeat its elements without end, and says how much a copy of it would take.
            if type(error) is MemoryError:
                self.give_up(EXIT_MEMORY, error)
            self.outcomes[type(error).__name__] += 1
            return None
        except Exception as error:  # noqa: BLE001 - any exception will do
            self.outcomes[type(error).__name__] += 1
            return None
        except BaseException as error:
            if type(error).__name__ == "PanicException":
                self.give_up(EXIT_PANIC, error)
            raise
        else:
            self.outcomes["ok"] += 1
            return result
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def use(self, view: Any, depth: int = 0) -> None:
        """All operations of a view, and then those of its parts."""
        length = self.attempt("len", lambda: len(view))
        short = length is None or length <= LONG
        for name, operation in operations(view, short=short).items():
            if self.left <= 0:
                return
            self.attempt(f"{type(view).__name__}: {name}", operation)
        if depth >= DEPTH:
            return
        for part in self.parts(view):
            if self.left <= 0:
                return
            if not isinstance(part, (str, bytes, int, float, complex, type(None))):
                self.use(part, depth + 1)

    def parts(self, view: Any) -> list[Any]:
        """A few of the parts of a view."""
        kinds: tuple[Callable[[], Any], ...]
        if isinstance(view, (onecopy.views.RecordView, onecopy.views.NamedTupleView)):
            names = self.attempt("dir", lambda: [name for name in dir(view) if name[:1] != "_"]) or []
            kinds = tuple(partial(field_of, view, name) for name in names[:6])
        elif self.attempt("hasattr", lambda: hasattr(view, "values")):
            kinds = (lambda: list(itertools.islice(view.values(), 8)), lambda: list(itertools.islice(view, 4)))
        else:
            kinds = (lambda: list(itertools.islice(view, 8)), lambda: [view[-1]])
        return [part for kind in kinds for part in self.attempt("parts", kind) or ()]


PROBES = (0, 1, -1, 1.0, True, None, "id", "key 7", "é", b"abc", (), (1, "a"), frozenset({1}), 2**70, math.nan, 1j)


def call(view: Any, name: str, *arguments: Any) -> Any:
    """Calls a method that not every view has."""
    return getattr(view, name)(*arguments)


def field_of(view: Any, name: str) -> list[Any]:
    """One field of a record."""
    return [getattr(view, name)]


def operations(view: Any, *, short: bool) -> dict[str, Callable[[], Any]]:
    """What can be done with any view, by name; what looks at all of it only if it is short."""
    every: dict[str, Callable[[], Any]] = {
        "type": lambda: (type(view), view.__class__, isinstance(view, collections.abc.Sequence)),
        "iterate": lambda: list(itertools.islice(view, 200)),
        "reverse": lambda: list(itertools.islice(reversed(view), 200)),
        "copy": lambda: copy.copy(view),
        "pickle": lambda: pickle.loads(pickle.dumps(view)),  # noqa: S301 - our own
        "nothing like it": lambda: (view == "other", view != "text", view == [], view == {}, view == (), view == set()),
        "image": lambda: onecopy.image_of(view),
        "private": lambda: onecopy.private(view),
    }
    if isinstance(view, np.ndarray):
        return every | array_operations(view)
    if short:
        every |= {
            "repr": lambda: repr(view),
            "hash": lambda: hash(view),
            "equal": lambda: (view == view, view != view),  # noqa: PLR0124 - nothing is compared by identity
            "equal to the real": lambda: view == onecopy.to_python(view),
            "real": lambda: onecopy.to_python(view),
            "deep copy": lambda: copy.deepcopy(view),
            "order": lambda: (view < view, view <= view),  # noqa: PLR0124
            "order with the real": lambda: view >= onecopy.to_python(view),
            "share": lambda: onecopy.share([view]),
        }
    every |= {f"{probe!r} in": partial(operator.contains, view, probe) for probe in PROBES}
    if isinstance(view, (onecopy.views.DictView, onecopy.views.RowView)):
        return every | mapping_operations(view)
    if isinstance(view, (onecopy.views.SetView, onecopy.views.FrozenSetView)):
        return every | set_operations(view)
    if isinstance(view, (onecopy.views.RecordView, onecopy.views.NamedTupleView)):
        every |= {"names": lambda: [getattr(view, name) for name in dir(view)[:60]]}
    if isinstance(view, (onecopy.views.BytesView, onecopy.views.StrView)):
        return every | text_operations(view, short=short)
    if isinstance(view, onecopy.views.TableView):
        every |= {
            "columns": lambda: view.columns,
            "each column": lambda: [list(itertools.islice(view.column(name), 100)) for name in view.columns],
            "no such column": lambda: view.column("no such"),
        }
    if isinstance(view, onecopy.views.ObjectView):
        every |= {"get": view.get}
    return every | sequence_operations(view, short=short)


def sequence_operations(view: Any, *, short: bool) -> dict[str, Callable[[], Any]]:
    """Those of lists, tuples and tables."""
    every: dict[str, Callable[[], Any]] = {
        f"[{index}]": partial(operator.getitem, view, index)
        for index in (
            0,
            1,
            -1,
            7,
            8,
            63,
            2**31,
            -(2**31),
            2**63 - 1,
            -(2**63),
            2**64,
            slice(1, 3),
            slice(None, None, -1),
        )
    }
    every |= {
        "[last]": lambda: view[len(view) - 1],
        "[middle]": lambda: view[len(view) // 2],
        "[len]": lambda: view[len(view)],
        "part": lambda: list(itertools.islice(view[1::2], 50)),
        "part of a part": lambda: list(itertools.islice(view[::-1][1:5], 50)),
        "memoryview": lambda: memoryview(view).nbytes,
        "buffer": lambda: bytes(memoryview(view)[:100]),
    }
    if short:
        every |= {
            "tolist": partial(call, view, "tolist"),
            "peek": lambda: [repr(view.peek(index)) for index in range(len(view))],
            "column": partial(call, view, "column", "id"),
            "list": lambda: list(view),
            "real part": lambda: onecopy.to_python(view[1:]),
            "repr of a part": lambda: repr(view[:3]),
            "pickled part": lambda: pickle.loads(pickle.dumps(view[1:])),  # noqa: S301 - our own
            "plus": lambda: (view + view, [1] + view),  # noqa: RUF005 - is the operation
            "times": lambda: view * 2,
            "array": lambda: np.asarray(view),
            "array of floats": lambda: np.asarray(view, dtype=np.float64),
            "sum": lambda: sum(view),
            "sorted": lambda: sorted(view),
            "set": lambda: set(view),
        }
        every |= {f"count {probe!r}": partial(call, view, "count", probe) for probe in PROBES[:8]}
        every |= {f"index {probe!r}": partial(call, view, "index", probe) for probe in PROBES[:8]}
    return every


def text_operations(view: Any, *, short: bool) -> dict[str, Callable[[], Any]]:
    """Those of bytes and strs."""
    needle: Any = b"a" if type(view) is onecopy.views.BytesView else "a"
    every: dict[str, Callable[[], Any]] = {
        "[0]": lambda: view[0],
        "[-1]": lambda: view[-1],
        "part": lambda: list(itertools.islice(view[1::2], 50)),
        "find": lambda: (view.find(needle), view[::-1].find(needle), view.rfind(needle), view.count(needle)),
        "ends": lambda: (view.startswith(needle), view.endswith((needle, needle * 2))),
        "in place": lambda: memoryview(view).nbytes if needle == b"a" else view.codes().nbytes,
    }
    if short:
        every |= {
            "real part": lambda: onecopy.to_python(view[1:]),
            "pickled part": lambda: pickle.loads(pickle.dumps(view[1::2])),  # noqa: S301 - our own
            "plus": lambda: (view + needle, needle + view, view * 2),
            "text": lambda: (str(view), repr(view[:3]), hash(view[1:])),
            "upper": partial(call, view, "upper"),
        }
    return every


def mapping_operations(view: Any) -> dict[str, Callable[[], Any]]:
    """Those of dicts and rows."""
    return {
        "keys": lambda: list(itertools.islice(view.keys(), 100)),
        "values": lambda: list(itertools.islice(view.values(), 100)),
        "items": lambda: list(itertools.islice(view.items(), 100)),
        "backwards": lambda: [list(part) for part in (reversed(view.keys()), reversed(view.items()))],
        "views": lambda: (repr(view.keys()), repr(view.values()), repr(view.items())),
        "keys as a set": lambda: (view.keys() & {1}, view.keys() | {"id"}, view.keys() == {1}),
        "each": lambda: [view[name] for name in itertools.islice(view, 100)],
        "each got": lambda: [view.get(probe, 5) for probe in PROBES],
        "each peeked at": lambda: [repr(view.peek(name)) for name in itertools.islice(view, 100)],
        "real dict": lambda: (dict(view), view.copy(), {**view}),
        "or": lambda: (view | {1: 2}, {1: 2} | view, view | view),
        **{f"[{probe!r}]": partial(operator.getitem, view, probe) for probe in PROBES},
    }


def set_operations(view: Any) -> dict[str, Callable[[], Any]]:
    """Those of sets."""
    other = {1, "id", None}
    return {
        "each": lambda: [member in view for member in itertools.islice(view, 100)],
        "operators": lambda: (view & other, view | other, view - other, view ^ other),
        "reflected": lambda: (other & view, other | view, other - view, other ^ view),
        "itself": lambda: (view & view, view | view, view ^ view),
        "methods": lambda: (view.union([1]), view.intersection([1]), view.difference([1]), view.isdisjoint([1])),
        "symmetric": lambda: view.symmetric_difference([1]),
        "subsets": lambda: (view <= other, view >= other, view.issubset(view), view.issuperset([1]), view < view),  # noqa: PLR0124
        "frozen": lambda: frozenset(view),
    }


def array_operations(view: np.ndarray[Any, Any]) -> dict[str, Callable[[], Any]]:
    """Those of arrays; of one that repeats itself without end only those that look at little of it."""
    little: dict[str, Callable[[], Any]] = {
        "first": lambda: view.flat[0],
        "last": lambda: view[(-1,) * view.ndim],
        "about": lambda: (view.dtype, view.shape, view.strides, view.flags.writeable, view.nbytes, view.base),
        "interface": lambda: view.__array_interface__,
        "write": lambda: view.fill(0),
    }
    # An empty array may have any number of rows, each of which is a list for tolist().
    if max(view.size, *view.shape, 0) > LONG:
        return little
    return little | {
        "repr": lambda: repr(view),
        "tolist": view.tolist,
        "copy": view.copy,
        "sum": view.sum,
        "equal": lambda: bool((view == view).all()),  # noqa: PLR0124 - element by element
        "bytes": view.tobytes,
        "real": lambda: onecopy.to_python(view),
        "share": lambda: onecopy.share([view]),
    }


def use_image(image: bytes, outcomes: Outcomes, chance: Chance) -> None:
    """Opens an image in every way and uses what comes."""
    ways: list[Callable[[], Any]] = [
        lambda: onecopy.from_buffer(image),
        lambda: onecopy.from_buffer(image, validate="full"),
    ]
    user = User(outcomes)
    for way in ways:
        user.left = OPERATIONS
        user.use(user.attempt("open", way))
    if chance.random() < 0.2:  # noqa: PLR2004 - files take longer
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "image"
            path.write_bytes(image)
            user.left = OPERATIONS
            user.use(user.attempt("open", lambda: onecopy.open(path)))
            user.left = OPERATIONS // 4
            user.use(user.attempt("open", lambda: onecopy.open(path, copy=True)))


# -- children ----------------------------------------------------------------------------------------------------------


def prepare() -> None:
    """Limits of a process that may go wrong."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    signal.signal(signal.SIGALRM, interrupted)
    # Private memory: the store reserves addresses by the gigabyte.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def child(seed: int, start: int, end: int, until: float) -> None:
    """Works on case after case, saying before each which it is, and at last how its operations ended."""
    prepare()
    outcomes = Outcomes()
    for index in range(start, min(start + CASES_PER_CHILD, end)):
        if time.monotonic() > until:
            break
        print(index, flush=True)
        use_image(Case.of(seed, index).bytes(), outcomes, random.Random(index))
    print(json.dumps(outcomes), flush=True)


def replay(paths: list[Path]) -> None:
    """Uses images as they are."""
    prepare()
    for path in paths:
        print(path, flush=True)
        for chance in (0, 1, 4):
            use_image(path.read_bytes(), Outcomes(), random.Random(chance))


def command(*arguments: str) -> list[str]:
    """This program again."""
    return [sys.executable, __file__, *arguments]


ENVIRONMENT = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def dies(image: bytes) -> bool:
    """Whether an image still is a finding."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(image)
        file.flush()
        try:
            run = subprocess.run(
                command("--replay", file.name), capture_output=True, check=False, timeout=HANG_S, env=ENVIRONMENT
            )
        except subprocess.TimeoutExpired:
            return True
        return run.returncode != 0


@dataclass
class Totals:
    """What a run came to."""

    cases: int = 0
    findings: int = 0
    outcomes: Outcomes = field(default_factory=Outcomes)

    def conclude(self, what: str, cases: str) -> int:
        """Prints them; returns the exit code."""
        ended = ", ".join(f"{name} {count}" for name, count in self.outcomes.most_common())
        print(f"{what}: operations ended with {ended}")
        print(f"{what}: {self.cases} {cases}, {sum(self.outcomes.values())} operations, {self.findings} findings")
        return 1 if self.findings else 0


def save_finding(folder: Path, seed: int, index: int, how: str, output: str) -> None:
    """Writes what is needed to see it again; changes that are not needed are undone."""
    folder.mkdir(parents=True, exist_ok=True)
    case = Case.of(seed, index)
    for unneeded in list(case.changes):
        fewer = [other for other in case.changes if other is not unneeded]
        if dies(with_changes(case.image, fewer)):
            case.changes = fewer
    name = f"views-{seed}-{index}"
    (folder / f"{name}.image").write_bytes(case.bytes())
    (folder / f"{name}.txt").write_text(
        f"{how}\nseed {seed}, case {index}\nchanges {case.changes}\n"
        f"again: tools/fuzz_views.py --replay {name}.image\n\n{output}"
    )
    print(f"views: FINDING {how}: {folder / name}.image", flush=True)


def batch(seed: int, start: int, end: int, until: float, *, folder: Path, totals: Totals) -> int:
    """Runs a child under a watchdog; returns the case to go on with."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command("--child", str(seed), str(start), str(end), str(until)),
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            env=ENVIRONMENT,
        )
        index, hung = start - 1, False
        assert process.stdout is not None  # noqa: S101 - asked for above
        os.set_blocking(process.stdout.fileno(), False)
        pending, heard = b"", time.monotonic()
        while True:
            text = process.stdout.read()
            if text:
                heard = time.monotonic()
                *lines, pending = (pending + text).split(b"\n")
                for line in lines:
                    if line[:1] == b"{":
                        totals.outcomes.update(json.loads(line))
                    else:
                        index = int(line)
            elif process.poll() is not None:
                break
            elif time.monotonic() - heard > HANG_S:
                hung = True
                process.send_signal(signal.SIGABRT)
                process.wait()
            else:
                time.sleep(0.01)
        process.stdout.close()
        totals.cases += index - start + 1
        if process.returncode != 0:
            totals.findings += 1
            known = {EXIT_PANIC: "panic", EXIT_MEMORY: "memory without bound"}
            how = "hang" if hung else known.get(process.returncode, f"exit {process.returncode}")
            errors.seek(0)
            save_finding(folder, seed, max(index, start), how, errors.read()[-8000:])
        return max(index, start) + 1


def fuzz(seed: int, cases: int, seconds: float, folder: Path) -> Totals:
    """Runs children until that many cases are through, or the time is over."""
    totals = Totals()
    until = time.monotonic() + seconds
    index = 0
    while index < cases and time.monotonic() < until:
        index = batch(seed, index, cases, until, folder=folder, totals=totals)
    return totals


def parser_of(text: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all fuzzers of views have."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="default: random")
    parser.add_argument("--findings", type=Path, default=ROOT / "build" / "fuzz" / "findings", metavar="FOLDER")
    return parser


def main() -> int:
    """Parses the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--cases", type=int, default=sys.maxsize, help="end sooner, after so many images")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="IMAGE", help="use these images once, and no others")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        seed, start, end, until = options.child
        child(int(seed), int(start), int(end), float(until))
        return 0
    if options.replay:
        replay(options.replay)
        return 0
    print(f"views: seed {options.seed}", flush=True)
    totals = fuzz(options.seed, options.cases, options.seconds, options.findings)
    return totals.conclude("views", "images")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
