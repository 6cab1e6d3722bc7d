"""What forked children copy, counted by the kernel: the benchmark's own subjects in small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import onecopy

SUPPORTED, REASON = onecopy.freeze_supported()
if not SUPPORTED:
    pytest.skip(f"memory of frozen objects: {REASON}", allow_module_level=True)

MIB = 2**20
PROGRAM = Path(__file__).resolve().parents[1] / "benchmarks" / "freezing.py"
SHAPES = ("ints", "strs", "index", "dicts", "dataclass", "slots", "tuples")


def measure(subject: str, size: int) -> Any:
    command = [sys.executable, str(PROGRAM), subject, "--size", str(size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", SHAPES)
def test_a_child_copies_less_than_a_mebibyte(name: str) -> None:
    found = measure(f"shape-{name}", 80_000)
    frozen = found["frozen"]
    assert frozen["read"] <= 0.3 * MIB
    assert max(frozen.values()) <= MIB
    assert found["plain"]["read"] >= 4 * MIB
    assert found["gc.freeze()"]["read"] >= 4 * MIB


def test_four_workers_add_a_tenth_of_the_parent_at_most() -> None:
    found = measure("family", 300_000)
    assert found["frozen"] <= 1.1
    assert found["plain"] > 3


def test_new_objects_do_not_land_between_frozen_ones() -> None:
    assert measure("sealed", 250_000)["dirtied"] <= 6 * MIB
    assert measure("unsealed", 250_000)["dirtied"] > 10 * MIB


def test_workers_of_a_fork_server_share_what_a_preloaded_module_froze() -> None:
    assert measure("forkserver", 60_000)["copied"] <= 0.1 * MIB
