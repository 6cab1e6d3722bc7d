"""Forked families for tests of the meter: they do something, say so, and stay until they have been measured."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time
import traceback
from typing import TYPE_CHECKING, Any, Self

import onecopy
from conftest import summed_pss_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20
WATCHDOG_S = 120


class Workers:
    """Forked children that do something, say so, and wait to be killed."""

    def __init__(self, *tasks: Callable[[], object]) -> None:
        self.pids: list[int] = []
        try:
            for task in tasks:
                self._start(task)
        except BaseException:
            self.kill()
            raise

    def _start(self, task: Callable[[], object]) -> None:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            word = b"x"
            try:
                # No child outlives a parent that hangs or was killed: the alarm ends it.
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(3 * WATCHDOG_S)
                os.close(reader)
                task()
            except BaseException:
                word = traceback.format_exc().encode()
            os.write(writer, word)
            while True:
                signal.pause()
        os.close(writer)
        self.pids.append(pid)
        try:
            ready, _, _ = select.select([reader], [], [], WATCHDOG_S)
            word = os.read(reader, 1 << 16) if ready else b"it hangs"
        finally:
            os.close(reader)
        assert word == b"x", word.decode()

    def kill(self) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


# What a pool's worker meets the test at; a pool hands barriers over only when a worker starts.
_barrier: Any = None


def remember_barrier(barrier: Any) -> None:
    """The initializer of a pool whose workers stay where they are measured."""
    global _barrier  # noqa: PLW0603
    _barrier = barrier


def stay() -> None:
    """In a worker: it is where it is to be measured, and stays there until it has been."""
    _barrier.wait(WATCHDOG_S)
    _barrier.wait(WATCHDOG_S)


def while_all_stay(barrier: Any, measure: Callable[[], Any]) -> Any:
    """Measures while every worker stays."""
    barrier.wait(WATCHDOG_S)
    found = measure()
    barrier.wait(WATCHDOG_S)
    return found


def pss_at_rest(pool: Any, barrier: Any) -> int:
    """Summed PSS of the family while no worker does anything, not even the end of what it did before."""
    resting = [pool.apply_async(stay) for _ in range(barrier.parties - 1)]
    found: int = while_all_stay(barrier, summed_pss_bytes)
    for each in resting:
        each.get(WATCHDOG_S)
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    """Ends when it is true; a hang fails."""
    until = time.monotonic() + WATCHDOG_S
    while not condition():
        assert time.monotonic() < until, "the watchdog ended the waiting"
        time.sleep(0.02)


def is_shared(data: Any) -> bool:
    """Whether the assertion holds."""
    try:
        onecopy.assert_shared(data)
    except AssertionError:
        return False
    return True


def copies_of(data: Any) -> float:
    """How many copies the assertion finds."""
    try:
        onecopy.assert_shared(data, max_copies=1)
    except AssertionError as error:
        found = re.search(r"(\d+\.\d+) copies of it exist", str(error))
        if found is None:
            raise
        return float(found[1])
    return 1.0
