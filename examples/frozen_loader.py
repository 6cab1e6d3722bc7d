#!/usr/bin/env python3
"""Worker processes that draw batches from frozen samples, as the workers of a data loader do, under a fork server.

Since Python 3.14 a fork server starts the workers by default. It is a process of its own, so data that the program
loads never reach it; a module that it preloads does. Here that is `frozen_data.py`: the samples are loaded and frozen
once, in the fork server, and every worker inherits them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
from pathlib import Path
from typing import Any

import onecopy

WORKERS = 4
BATCH = 64
MIB = 2**20


def private_dirty() -> int:
    """Bytes in pages that this process alone has, and has written."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise LookupError("Private_Dirty")


def work(seed: int, answers: Any) -> None:
    """One worker's epoch: visits every sample in an order of its own, batch by batch."""
    from frozen_data import DATASET

    order = list(range(len(DATASET)))
    random.Random(seed).shuffle(order)
    before = private_dirty()
    total = 0
    for start in range(0, len(order), BATCH):
        batch = [DATASET[index] for index in order[start : start + BATCH]]
        total += sum(sample.label + len(sample.path) for sample in batch)
    answers.put((total, private_dirty() - before, onecopy.is_frozen(DATASET)))


def main() -> int:
    """Starts the workers and prints what each of them copied."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    # The fork server of Python 3.12 takes the folder of its modules from here and from nowhere else.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).resolve().parent), *filter(None, sys.path)])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["frozen_data"])
    answers = context.SimpleQueue()
    workers = [context.Process(target=work, args=(seed, answers)) for seed in range(WORKERS)]
    for worker in workers:
        worker.start()
    totals = set()
    for _ in workers:
        total, copied, frozen = answers.get()
        totals.add(total)
        print(f"a worker has read every sample and copied {copied / MIB:.1f} MiB; samples frozen: {frozen}")
    for worker in workers:
        worker.join()
    supported, reason = onecopy.freeze_supported()
    if not supported:
        print(f"not frozen: {reason}")
    return 0 if len(totals) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
