"""What every test shares: the three start methods, and watchdogs that leave no process behind."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.context import BaseContext

START_METHODS = ("fork", "forkserver", "spawn")

faulthandler.enable()


@pytest.fixture(params=START_METHODS)
def start_method(request: pytest.FixtureRequest) -> str:
    """Each way in which multiprocessing can start a worker on Linux."""
    return str(request.param)


@pytest.fixture
def context(start_method: str) -> BaseContext:
    """The multiprocessing context of the start method."""
    return multiprocessing.get_context(start_method)


@pytest.fixture(scope="module", params=START_METHODS)
def other_process(request: pytest.FixtureRequest) -> Iterator[ProcessPoolExecutor]:
    """One worker that serves all tests of a module."""
    context = multiprocessing.get_context(request.param)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(int).result(120)
        yield pool


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    """Fails a test that leaves a worker behind, and ends the worker, so that the next test starts clean."""
    before = set(multiprocessing.active_children())  # a pool of the whole module's
    yield
    left = [process for process in multiprocessing.active_children() if process not in before]
    for process in left:
        process.kill()
        process.join(30)
    assert not left, f"the test left workers behind: {left}"


@pytest.fixture(autouse=True)
def nothing_is_left_to_be_counted(request: pytest.FixtureRequest) -> None:
    """Collects what earlier tests have left, and their dead workers, before a test that counts what is there."""
    code = getattr(getattr(request, "function", None), "__code__", None)
    if code is not None and "stats" in code.co_names:
        gc.collect()
        onecopy.collect()


def descendants(root: int) -> list[int]:
    """The process and all below it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def summed_pss_bytes(root: int | None = None) -> int:
    """PSS of anonymous and shared memory, summed over a process and all below it.

    The pages of programs and libraries are left out: how they are divided depends on who else on the machine runs
    Python at the moment.
    """
    total = 0
    for pid in descendants(os.getpid() if root is None else root):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total += int(line.split()[1]) * 1024
    return total


def in_store(address: int) -> bool:
    """Whether an address lies in a mapping of a store."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "onecopy" in line:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if start <= address < end:
                return True
    return False


def least_growth(use: Callable[[], object], passes: int = 70) -> int:
    """Blocks that even the best of many passes leaves behind: caches fill up now and then, a leak comes every time."""
    grown = []
    gc.collect()
    gc.freeze()  # what other tests have left need not be gone through again and again
    try:
        for _ in range(passes):
            gc.collect()
            before = sys.getallocatedblocks()
            use()
            gc.collect()
            grown.append(sys.getallocatedblocks() - before)
            if grown[-1] <= 0:
                break
    finally:
        gc.unfreeze()
    return min(grown)
