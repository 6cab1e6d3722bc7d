"""Rows about the memory that a spawned worker gains by reading the kinds of data that people have."""

from __future__ import annotations

import array
import collections
import gc
import multiprocessing
import types
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import onecopy
from measure import Row
from workers import uss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNT = 200_000
MB = 1e6
AT_MOST_MB = 1.0
WARM = 10
"""Elements of what a worker reads first: modules and caches are no copies."""


class Words(dict[str, int]):
    """Somebody's kind of dict."""


class Numbers(list[int]):
    """Somebody's kind of list."""


@dataclass
class Dataset:
    """A dataclass with a large attribute."""

    name: str
    data: dict[str, int]


class Pair(NamedTuple):
    """A namedtuple with a large field."""

    name: str
    data: dict[str, int]


class Holder:
    """An ordinary object."""

    def __init__(self, data: dict[str, int]) -> None:
        self.name = "words"
        self.data = data


def words(count: int) -> dict[str, int]:
    """Strs and ints, none of which the interpreter keeps anyway."""
    return {f"word {n}": n + 1000 for n in range(count)}


def grouped(count: int) -> collections.defaultdict[int, list[int]]:
    """A defaultdict of lists."""
    found: collections.defaultdict[int, list[int]] = collections.defaultdict(list)
    for n in range(count):
        found[n // 4].append(n + 1000)
    return found


def masked(count: int) -> Any:
    """An array with a mask."""
    return np.ma.masked_less(np.arange(float(count)), 5.0)


def records(count: int) -> Any:
    """A record array."""
    return np.rec.fromarrays([np.arange(count), np.arange(float(count))], dtype=[("a", "i8"), ("b", "f8")])


def frame(count: int) -> Any:
    """A DataFrame whose column is strs, as objects."""
    import pandas as pd

    return pd.DataFrame({"x": pd.Series([f"word {n}" for n in range(count)], dtype=object), "y": range(count)})


def graph(count: int) -> Any:
    """A graph of half as many nodes as edges."""
    import networkx as nx  # type: ignore[import-untyped]

    return nx.gnm_random_graph(count // 4, count // 2, seed=1)


def parts(thing: Any) -> Iterator[Any]:
    """What something consists of."""
    if isinstance(thing, onecopy.views.ObjectView):
        yield thing.get()
    elif isinstance(thing, (np.ndarray, onecopy.views.ObjectArray)):
        yield from thing  # of one dimension
    elif isinstance(getattr(thing, "data", None), collections.abc.Mapping) and hasattr(thing, "name"):
        yield from (thing.name, thing.data)
    elif hasattr(thing, "columns"):
        yield from (np.asarray(thing[name]) for name in thing.columns)
    elif hasattr(thing, "edges"):
        yield from thing.edges
    elif hasattr(thing, "keys"):
        for key in thing:
            yield from (key, thing[key])
    else:
        yield from thing


def read(thing: Any) -> int:
    """Goes through all elements, and those of large attributes; returns how many there were."""
    if isinstance(thing, np.ndarray) and not thing.dtype.hasobject:
        return len(thing.tobytes())
    if isinstance(thing, (str, bytes, int, float, np.generic)) or thing is None:
        return 1
    return sum(read(part) for part in parts(thing))


KINDS: dict[str, Callable[[int], Any]] = {
    "dict": words,
    "Counter": lambda count: collections.Counter(words(count)),
    "UserDict": lambda count: collections.UserDict(words(count)),
    "ChainMap": lambda count: collections.ChainMap({"a": 1}, words(count)),
    "subclass of dict": lambda count: Words(words(count)),
    "SimpleNamespace": lambda count: types.SimpleNamespace(name="words", data=words(count)),
    "OrderedDict": lambda count: collections.OrderedDict(words(count)),
    "defaultdict(list)": grouped,
    "defaultdict(list) in a dict": lambda count: {"groups": grouped(count)},
    "deque": lambda count: collections.deque(range(1000, count + 1000)),
    "subclass of list": lambda count: Numbers(range(1000, count + 1000)),
    "dataclass that holds a dict": lambda count: Dataset("words", words(count)),
    "namedtuple that holds a dict": lambda count: Pair("words", words(count)),
    "object that holds a dict": lambda count: Holder(words(count)),
    "array of objects": lambda count: np.array([f"word {n}" for n in range(count)], dtype=object),
    "array of StringDType": lambda count: np.array([f"word {n}" for n in range(count)], dtype=np.dtypes.StringDType()),
    "masked array": masked,
    "np.matrix": lambda count: np.asmatrix(np.arange(float(count))),
    "recarray": records,
    "bytearray": lambda count: bytearray(count * 10),
    "array.array": lambda count: array.array("q", range(count)),
    "bytes": lambda count: bytes(count * 10),
    "str": lambda count: "word " * (count * 2),
    "bytes in a list": lambda count: [bytes(count * 10)],
    "DataFrame with a column of strs": frame,
    "graph of networkx": graph,
}


def work(pipe: Any) -> None:
    """A worker: reads something small, then something large, and sends by how many bytes it has grown."""
    read(pipe.recv())
    gc.collect()
    before = uss()
    data = pipe.recv()
    read(data)
    gc.collect()
    pipe.send(uss() - before)
    pipe.recv()
    del data


def gain_bytes(small: Any, large: Any) -> int:
    """What a spawned worker gains by reading."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=work, args=(theirs,))
    worker.start()
    theirs.close()
    ours.send(small)
    ours.send(large)
    gained: int = ours.recv()
    ours.send(None)
    worker.join()
    return gained


def kinds(scale: int) -> Iterator[Row]:
    """One worker for each kind, beside one that gets the real thing."""
    for name, make in KINDS.items():
        try:
            large = make(COUNT // scale)
        except (ImportError, AttributeError) as error:
            print(f"NOT MEASURED: {name}: {error}", flush=True)
            continue
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            view = onecopy.share(large)
        # What nobody but the worker has mapped would count as its own.
        read(view)
        ours, plain = (gain_bytes(*pair) / MB for pair in ((onecopy.share(make(WARM)), view), (make(WARM), large)))
        has_warned = any(issubclass(one.category, onecopy.errors.RebuiltWarning) for one in said)
        how = f"{max(ours, 0):.1f} MB" + (", and share() warned" if has_warned else "")
        yield Row(
            f"memory that a spawned worker gains by reading a {name} of {COUNT // scale:,}",
            f"pickled: {plain:.1f} MB",
            f"≤ {AT_MOST_MB:.0f} MB, or a warning",
            how,
            ours <= AT_MOST_MB or has_warned,
            {"mb": ours, "plain_mb": plain, "at_most": AT_MOST_MB, "warned": has_warned},
        )
