#!/usr/bin/env python3
"""The Rust tests of `make test`, and how many there were; `check.py` adds them up.

The harness calls a test passed that could not run. Such tests write a line each (see crates/skip), and are taken off.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COUNTS = ROOT / "build" / "rust-tests.json"
SKIPS = ROOT / "build" / "rust-skips.txt"
RESULT = re.compile(r"^test result: \S+ (\d+) passed; (\d+) failed", re.MULTILINE)


def counts() -> tuple[int, int, list[str]]:
    """What passed, what failed, and a line for each that could not run; nothing if nothing was run."""
    if not COUNTS.is_file():
        return 0, 0, []
    passed, failed = json.loads(COUNTS.read_text())
    skips = SKIPS.read_text().splitlines() if SKIPS.is_file() else []
    return passed - len(skips), failed, skips


def main() -> int:
    """Runs them; extra arguments go to cargo."""
    COUNTS.parent.mkdir(exist_ok=True)
    for file in (COUNTS, SKIPS):
        file.unlink(missing_ok=True)
    command = ["cargo", "test", "--features", "onecopy/testing", "--locked", *sys.argv[1:]]
    said = []
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "ONECOPY_SKIPS": str(SKIPS)}, stdout=subprocess.PIPE, text=True
    ) as run:
        for line in run.stdout or ():
            print(line, end="", flush=True)
            said.append(line)
    found = RESULT.findall("".join(said))
    COUNTS.write_text(json.dumps([sum(int(pair[number]) for pair in found) for number in (0, 1)]))
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
