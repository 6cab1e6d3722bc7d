"""What a new process pays: for `import onecopy`, and when it meets a view without having imported anything."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from measure import Ratio, Row, seconds, timed

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIRS = 20
TEMPLATE = Path(__file__).with_name("startup_template.py")


def startup(rounds: int) -> Iterator[Row]:
    """The import, and the question with cold workers."""
    yield the_import()
    for method in ("forkserver", "spawn"):
        yield from the_cold_question(method, rounds)


def the_import() -> Row:
    """`import onecopy` against an interpreter that imports nothing, in pairs that begin with either."""
    bare, ours = ([sys.executable, "-c", code] for code in ("pass", "import onecopy"))
    differences, alone = [], []
    for number in range(PAIRS + 1):
        order = (bare, ours) if number % 2 else (ours, bare)
        taken = {command[-1]: timed(lambda c=command: subprocess.run(c, check=True)) for command in order}  # type: ignore[misc]
        if number:  # the first pair reads the files
            differences.append(taken["import onecopy"] - taken["pass"])
            alone.append(taken["pass"])
    value = statistics.median(differences)
    spread = (min(differences), max(differences))
    return Row(
        "`import onecopy`",
        f"bare interpreter, {seconds(statistics.median(alone))}",
        "≤ 10 ms more",
        f"{value * 1e3:.1f} ms more ({spread[0] * 1e3:.1f} to {spread[1] * 1e3:.1f} in {PAIRS} pairs)",
        value <= 10e-3,
        {"seconds": value, "at_most": 10e-3, "spread": spread},
    )


def the_cold_question(method: str, rounds: int) -> Iterator[Row]:
    """25,000 ints, as asked, in pools whose workers have not imported onecopy; and once more in the same pools."""
    command = [sys.executable, str(TEMPLATE), method, "25000", str(rounds)]
    pairs = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    for turn, (label, at_most) in enumerate((("that never imported onecopy", 2.0), ("the second time", 1.0))):
        ours, theirs = ([pair[side][turn] for pair in pairs] for side in (0, 1))
        ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
        ratio = Ratio(
            statistics.median(ours), statistics.median(theirs), statistics.median(ratios), (ratios[0], ratios[-1])
        )
        yield ratio.row(
            f"the question, 25,000 ints, {method} workers {label}", "plain list, pickled, likewise", at_most
        )
