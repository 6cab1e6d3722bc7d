#!/usr/bin/env python3
"""The Rust tests of `make test`, and how many there were; `check.py` adds them up.

Two test programs run at a time: the longest ones kill processes one by one, and leave the other processors alone. What
each says is printed when it has ended.

The harness calls a test passed that could not run. Such tests write a line each (see crates/skip), and are taken off.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COUNTS = ROOT / "build" / "rust-tests.json"
SKIPS = ROOT / "build" / "rust-skips.txt"
RESULT = re.compile(r"^test result: \S+ (\d+) passed; (\d+) failed", re.MULTILINE)
AT_ONCE = 2
WATCHDOG_S = 2400
"""Ends what hangs; nothing is decided by it."""
LONGEST = ("crash", "list_crash", "onecopy", "reference_crash")
"""They begin first."""


def counts() -> tuple[int, int, list[str]]:
    """What passed, what failed, and a line for each that could not run; nothing if nothing was run."""
    if not COUNTS.is_file():
        return 0, 0, []
    passed, failed = json.loads(COUNTS.read_text())
    skips = SKIPS.read_text().splitlines() if SKIPS.is_file() else []
    return passed - len(skips), failed, skips


def build(cargo: list[str]) -> list[tuple[str, str, str]]:
    """Builds all test programs: the name, the program and its package's folder of each."""
    command = [*cargo, "--no-run", "--message-format=json-render-diagnostics"]
    said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    messages = [json.loads(line) for line in said.splitlines()]
    programs = [
        (message["target"]["name"], message["executable"], str(Path(message["manifest_path"]).parent))
        for message in messages
        if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]
    ]
    return sorted(programs, key=lambda one: LONGEST.index(one[0]) if one[0] in LONGEST else len(LONGEST))


def run(command: list[str], folder: str, title: str) -> tuple[int, str]:
    """Runs tests; how they ended, and what they said, which is printed."""
    print(f"── {title}: begins", flush=True)
    environment = {**os.environ, "ONECOPY_SKIPS": str(SKIPS), "CARGO_MANIFEST_DIR": folder}
    with tempfile.TemporaryFile("w+") as output:
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output) as tests:
            try:
                code = tests.wait(WATCHDOG_S)
                verdict = "ok" if code == 0 else f"FAILED, {code}"
            except subprocess.TimeoutExpired:
                tests.kill()
                code, verdict = 1, f"FAILED: it has not ended in {WATCHDOG_S} s"
        output.seek(0)
        said = output.read()
    print(f"── {title}: {verdict}\n{said}", end="", flush=True)
    return code, said


def main() -> int:
    """Runs them; extra arguments go to cargo."""
    COUNTS.parent.mkdir(exist_ok=True)
    for file in (COUNTS, SKIPS):
        file.unlink(missing_ok=True)
    cargo = ["cargo", "test", "--features", "onecopy/testing", "--locked", *sys.argv[1:]]
    try:
        programs = build(cargo)
    except subprocess.CalledProcessError as error:
        return error.returncode
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(run, [program], folder, f"{program} in {folder}") for _, program, folder in programs]
        jobs.append(pool.submit(run, [*cargo, "--doc"], str(ROOT), "examples of the documentation"))
        ended = [job.result() for job in jobs]
    found = RESULT.findall("".join(said for _, said in ended))
    COUNTS.write_text(json.dumps([sum(int(pair[number]) for pair in found) for number in (0, 1)]))
    return max((abs(code) for code, _ in ended), default=0)


if __name__ == "__main__":
    sys.exit(main())
