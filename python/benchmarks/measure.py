"""Ratios taken side by side: ours and theirs turn by turn in one process, so that load and clock speed hit both."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    against: str
    target: str
    """What ARCHITECTURE.md promises, in words; empty where it promises nothing and the row is for information."""
    measured: str
    met: bool | None
    """None where there is no target."""
    figures: dict[str, Any]
    """The same for machines."""


@dataclass(frozen=True)
class Ratio:
    """Medians over all rounds; the ratio is the median of the rounds' ratios, not the ratio of the medians."""

    ours_s: float
    theirs_s: float
    ratio: float
    spread: tuple[float, float]

    def row(self, what: str, against: str, at_most: float | None, *, faster: bool = False) -> Row:
        """A row; `at_most` bounds ours / theirs. With `faster` it reads as a speed-up."""
        target = "" if at_most is None else (f"≥ {1 / at_most:.0f} × faster" if faster else f"≤ {at_most:g} ×")
        speed = f"{1 / self.ratio:,.1f} × faster" if faster else f"{self.ratio:.2f} ×"
        measured = f"{speed} ({seconds(self.ours_s)} against {seconds(self.theirs_s)})"
        met = None if at_most is None else self.ratio <= at_most
        figures = {
            "ratio": self.ratio,
            "spread": self.spread,
            "ours_s": self.ours_s,
            "theirs_s": self.theirs_s,
            "at_most": at_most,
        }
        return Row(what, against, target, measured, met, figures)


def seconds(value: float) -> str:
    """A duration for people."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def timed(action: Callable[[], Any]) -> float:
    """Seconds that the action takes, without those for dropping its result."""
    started = time.perf_counter()
    result = action()
    taken = time.perf_counter() - started
    del result
    return taken


def side_by_side(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> Ratio:
    """Runs both turn by turn, after one unmeasured turn each, changing who goes first."""
    ours()
    theirs()
    gc.collect()
    gc.disable()
    try:
        pairs = []
        for number in range(rounds):
            if number % 2:
                second = timed(theirs)
                pairs.append((timed(ours), second))
            else:
                first = timed(ours)
                pairs.append((first, timed(theirs)))
    finally:
        gc.enable()
    ratios = sorted(mine / other for mine, other in pairs)
    return Ratio(
        statistics.median(mine for mine, _ in pairs),
        statistics.median(other for _, other in pairs),
        statistics.median(ratios),
        (ratios[0], ratios[-1]),
    )
