#!/usr/bin/env python3
"""Reads a shared list of objects that go through pickle, epoch after epoch, as a data loader's workers do.

Prints what each worker has for itself (USS) after each epoch, and fails if it grows from the second epoch on: then
something that was unpickled has not been released.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import random
import sys
from pathlib import Path
from typing import Any

import onecopy

MIB = 2**20


class Sample:
    """What a data set is made of: its own state methods keep it from becoming a row."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = f"sample number {index}"
        self.box = (index, index + 1.5, str(index))

    def __getstate__(self) -> tuple[Any, ...]:
        """As a tuple."""
        return self.index, self.name, self.box

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """From a tuple."""
        self.index, self.name, self.box = state


def uss() -> int:
    """Bytes that this process has for itself."""
    lines = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(kib) * 1024 for name, kib, *_ in lines if name in {"Private_Clean:", "Private_Dirty:"})


def work(samples: Any, epochs: int, connection: Any) -> None:
    """A worker: reads all samples, in another order each time."""
    order = list(range(len(samples)))
    for epoch in range(epochs):
        random.Random(epoch).shuffle(order)
        if any(samples[index].index != index for index in order):
            raise ValueError("the worker read something else")
        gc.collect()
        connection.send(uss())


def measure(method: str, samples: Any, epochs: int) -> list[int]:
    """USS of a worker after each epoch."""
    context: Any = multiprocessing.get_context(method)
    ours, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=work, args=(samples, epochs, theirs))
    worker.start()
    theirs.close()
    after = [ours.recv() for _ in range(epochs)]
    worker.join()
    return after


def main() -> int:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=["fork", "spawn"])
    parser.add_argument("--most-mib", type=float, default=2.0, help="a worker that grows by more fails")
    options = parser.parse_args()
    samples = onecopy.share([Sample(index) for index in range(options.objects)])
    failed = False
    for method in options.methods:
        after = measure(method, samples, options.epochs)
        grown = (max(after[1:]) - after[0]) / MIB
        failed |= grown > options.most_mib
        shown = ", ".join(f"{size / MIB:.1f}" for size in after)
        print(f"{method}: USS after each epoch {shown} MiB; grown by {grown:.1f} MiB", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
