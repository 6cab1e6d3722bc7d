"""Short slices of the fuzzing, and everything that it ever found; `make fuzz` and `make torture` take longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import onecopy

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "crates" / "onecopy" / "tests" / "fixtures"


def run_fuzzer(*arguments: str, tool: str = "fuzz_views.py") -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "tools" / tool), *arguments], capture_output=True, text=True, timeout=240
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]


def test_damaged_images_never_kill_python(tmp_path: Path) -> None:
    run_fuzzer("--cases=400", "--seconds=200", "--seed=1", f"--findings={tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_images_that_are_written_to_while_they_are_read_never_kill_python(tmp_path: Path) -> None:
    run_fuzzer("--runs=80", "--seed=2", f"--findings={tmp_path}", tool="fuzz_changes.py")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", sorted(path.name for path in FIXTURES.iterdir()))
def test_released_images_and_what_was_found_are_used(folder: str) -> None:
    run_fuzzer("--replay", *(str(path) for path in sorted((FIXTURES / folder).iterdir())))


def test_a_list_in_itself_is_no_array() -> None:
    cycle: list[object] = [1]
    cycle.append(cycle)
    view = onecopy.share(cycle)
    with pytest.raises(ValueError, match=r"nested|sequence|inhomogeneous"):
        np.asarray(view)
    deep: list[object] = [1, 2]
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueError, match=r"nested|sequence|inhomogeneous"):
        np.asarray(onecopy.share(deep))
    assert np.asarray(onecopy.share([[[1, 2]], [[3, 4]]])).tolist() == [[[1, 2]], [[3, 4]]]
