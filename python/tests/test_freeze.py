"""`freeze()`: what it does, and what a process is like afterwards. Each case has an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import freeze_cases
import onecopy

SUPPORTED, REASON = onecopy.freeze_supported()
if not SUPPORTED:
    pytest.skip(f"freeze(), beyond its refusals: {REASON}", allow_module_level=True)

FOLDER = Path(__file__).resolve().parent
FUZZ = FOLDER.parents[1] / "tools" / "freeze_fuzz.py"


def run(program: Path, *arguments: str) -> str:
    command = [sys.executable, "-X", "faulthandler", "-W", "error", str(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", freeze_cases.CASES)
def test_frozen(name: str) -> None:
    assert run(FOLDER / "freeze_cases.py", name) == ""


def test_frozen_graphs_behave_like_mortal_ones() -> None:
    assert "no difference" in run(FUZZ, "--seconds", "3")


def test_what_the_interpreter_keeps_counts_as_frozen() -> None:
    assert onecopy.is_frozen(None)
    assert onecopy.is_frozen(7)
    assert not onecopy.is_frozen([])


def test_checking_marks_nothing() -> None:
    data = [[1_000_001], {"text": "a text".upper()}]
    report = onecopy.freeze_check(data)
    assert report.objects >= 5
    assert report.types[list] == 2
    assert report.bytes > 100
    assert not onecopy.is_frozen(data)
    assert not onecopy.is_frozen(data[0])
