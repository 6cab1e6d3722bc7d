"""Reading objects that add to containers takes no memory of a worker."""

from __future__ import annotations

import collections
import copy
import gc
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import onecopy
from test_typed import SAMPLES, Scores, Words

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ProcessPoolExecutor

WORDS = [f"word number {number}" for number in range(200_000)]


def large(kind: str) -> Any:
    """200,000 elements in one of these."""
    made: dict[str, Callable[[], Any]] = {
        "Counter": lambda: collections.Counter(WORDS),
        "OrderedDict": lambda: collections.OrderedDict.fromkeys(WORDS, 1),
        "defaultdict": lambda: collections.defaultdict(list, {n: [n] for n in range(200_000)}),
        "deque": lambda: collections.deque(WORDS),
        "UserDict": lambda: collections.UserDict(dict.fromkeys(WORDS, 1)),
        "ChainMap": lambda: collections.ChainMap(dict.fromkeys(WORDS[:100_000], 1), dict.fromkeys(WORDS[100_000:], 1)),
        "Scores": lambda: Scores(dict.fromkeys(WORDS, 1)),
        "Words": lambda: Words(WORDS),
    }
    return made[kind]()


def uss_bytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def read(shown: Any) -> None:
    """Reads all elements."""
    values = shown.items() if isinstance(shown, Mapping) else shown
    collections.deque(values, 0)


def read_all(view: Any, small: Any) -> int:
    """How much memory of its own a process has more after it has read all elements."""
    # Modules, classes and buffers that any reading takes.
    read(small)
    gc.collect()
    before = uss_bytes()
    read(view)
    gc.collect()
    return uss_bytes() - before


@pytest.mark.parametrize("where", ["whole", "inside"])
@pytest.mark.parametrize(
    "kind", ["Counter", "UserDict", "ChainMap", "OrderedDict", "defaultdict", "deque", "Scores", "Words"]
)
def test_reading_takes_no_memory_of_a_worker(kind: str, where: str, spawned: ProcessPoolExecutor) -> None:
    data, small = large(kind), copy.copy(SAMPLES[kind])
    view: Any = onecopy.share(data) if where == "whole" else onecopy.share({"x": data})["x"]
    read(view)  # pages that only one process has mapped count as its own
    gained = spawned.submit(read_all, view, onecopy.share(small)).result(120)
    assert gained <= 2**20


@pytest.fixture(scope="module")
def spawned() -> Any:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(int).result(120)
        yield pool
