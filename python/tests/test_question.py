"""`examples/question.py` as a person runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

QUESTION = Path(__file__).resolve().parents[2] / "examples" / "question.py"
OURS = {"share-fork", "share-forkserver", "share-spawn", "list", "our-manager", "numpy"}


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, str(QUESTION), *arguments], capture_output=True, text=True, timeout=280, env=environment
    )


@pytest.mark.slow
def test_all_ways_agree_and_ours_hold_one_copy() -> None:
    done = run("--n", "1000", "--rounds", "1", "--copies-n", "400000", "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    ways = {way["name"]: way for way in report["ways"]}
    assert {"plain", "manager", "shareable"} | OURS == set(ways)
    assert report["schema"] == "onecopy.question/1"
    assert report["results"] == sorted(report["results"])
    assert {name for name, way in ways.items() if way["is_ours"]} == OURS
    for way in ways.values():
        assert way["seconds"] > 0
        assert way["ratio_to_plain"] > 0
    # Five processes with a list each, against one image. These ints are small beside five interpreters, so what
    # the kernel counts is allowed a quarter MiB of noise per process here; `--big` has the strict figure.
    assert ways["plain"]["copies"] > 4
    for name in OURS:
        way = ways[name]
        assert way["growth_bytes"] <= 1.02 * way["one_copy_bytes"] + 5 * 2**18, name
        assert way["growth_bytes"] >= 0.9 * way["one_copy_bytes"], name


@pytest.mark.slow
def test_table_is_plain_text_when_nobody_looks() -> None:
    ways = "plain,manager,our-manager,share-spawn,list"
    done = run("--n", "500", "--rounds", "1", "--copies-n", "1000", "--only", ways, NO_COLOR="1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # the progress bar is for terminals
    assert "\x1b" not in done.stdout
    assert "plain list as argument" in done.stdout
    assert "onecopy.share" in done.stdout
    assert re.search(
        r"^onecopy\.List: [\d.]+ × the plain list \(at most 1\.5 was aimed at\), [\d,]+ × faster than the Manager",
        done.stdout,
        re.MULTILINE,
    )
    assert re.search(r"^The answer: onecopy\.Manager\(\) .* become .*, [\d,]+ × faster\.$", done.stdout, re.MULTILINE)
    assert "All ways agree" in done.stdout


def test_help_defines_copies() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "PSS" in done.stdout
    assert "one copy of the data in the way's own representation" in done.stdout


@pytest.mark.parametrize("wrong", [("--n", "0"), ("--n", "x"), ("--only", "nonsense"), ("--rounds", "0"), ("--what",)])
def test_wrong_arguments_are_usage_errors(wrong: tuple[str, ...]) -> None:
    done = run(*wrong)
    assert done.returncode == 2
    assert "usage:" in done.stderr
