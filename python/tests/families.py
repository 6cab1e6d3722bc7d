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
