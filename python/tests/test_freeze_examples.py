"""The examples about freezing, as a person runs them. On Pythons that cannot freeze they work, and say so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import onecopy

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SUPPORTED, REASON = onecopy.freeze_supported()


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def summed_mib(output: str) -> int:
    found = re.search(r"(\d+) MiB \(Σ PSS\)", output)
    assert found
    return int(found[1])


def test_the_server_answers_from_one_copy() -> None:
    plain = run("preload_server.py", "--rows", "60000", "--plain")
    frozen = run("preload_server.py", "--rows", "60000")
    assert "'name': 'product 1'" in plain
    assert re.findall("row:.*", plain) == re.findall("row:.*", frozen)
    if SUPPORTED:
        assert summed_mib(frozen) < summed_mib(plain)
    else:
        assert f"not frozen: {REASON}" in frozen


def test_the_loaders_workers_copy_nothing() -> None:
    output = run("frozen_loader.py")
    copied = [float(number) for number in re.findall(r"copied ([\d.]+) MiB", output)]
    assert len(copied) == 4
    if SUPPORTED:
        assert max(copied) <= 0.3
        assert output.count("frozen: True") == 4
    else:
        assert f"not frozen: {REASON}" in output
