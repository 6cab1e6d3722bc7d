"""A program that is measured: prepares data, forks workers that use them, and waits until it was read.

Run under `onecopy run` as `metering_template.py BEFORE WORK SIZE`.
"""

from __future__ import annotations

import gc
import mmap
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

WORKERS = 4
PATIENCE_S = 900


def readings() -> int:
    """How often the meter has counted this program's pages."""
    while True:
        try:
            return int(Path(os.environ["ONECOPY_SIDE"], "readings").read_text())
        except ValueError:
            continue  # it is being written
        except (KeyError, OSError):
            return 0


def prepared(before: str, size: int) -> Any:
    """The data, after what is done before the fork."""
    if before == "array":
        import numpy as np

        return np.ones((size, size))
    # With a list in it the collector has to look at each.
    data: Any = [{"number": number, "name": f"name {number}", "tags": [number]} for number in range(size)]
    if before == "gc.freeze":
        gc.collect()
        gc.freeze()
    elif before in {"freeze", "share"}:
        import onecopy

        if before == "share":
            return onecopy.share(data)
        onecopy.freeze(data)
    return data


def work(what: str, data: Any) -> None:
    """What a worker does."""
    if what == "sum":
        data.sum()
    elif what == "read":
        sum(len(record["name"]) for record in data)
    elif what == "collect":
        gc.collect()


def main() -> None:
    """Forks, and ends when two readings have begun since all workers were done."""
    signal.alarm(PATIENCE_S)
    before, what, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    data = prepared(before, size)
    pids = []
    for _ in range(WORKERS):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.alarm(PATIENCE_S)
            work(what, data)
            os.write(writer, b"x")
            time.sleep(PATIENCE_S)
            os._exit(1)
        os.close(writer)
        pids.append(pid)
        if os.read(reader, 1) != b"x":
            sys.exit("a worker has failed")
    first = readings()
    while readings() < first + 2:
        mmap.mmap(-1, mmap.PAGESIZE)[0] = 1  # something has to move: a page fault for certain
        time.sleep(0.05)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
