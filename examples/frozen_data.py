"""What `frozen_loader.py` lets the fork server import before it starts a worker: the samples, frozen.

The fork server imports it once; its workers inherit the objects. Whoever imports it anywhere else pays for a copy.
"""

from __future__ import annotations

from dataclasses import dataclass

import onecopy

SAMPLES = 200_000


@dataclass(slots=True)
class Sample:
    """One sample of a data set."""

    path: str
    label: int
    weight: float


def load() -> list[Sample]:
    """Stands for reading an annotation file."""
    return [Sample(f"images/{index:08}.jpg", index % 1000 + 1_000_000, index / 7) for index in range(SAMPLES)]


DATASET = load()
if onecopy.freeze_supported()[0]:
    onecopy.freeze(DATASET)
