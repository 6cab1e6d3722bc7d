"""`onecopy inspect`: what is in a file, without running any of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onecopy


class Bomb:
    """Would leave a file behind if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def inspect(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "onecopy", "inspect", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    data: dict[str, Any] = {
        "rows": [{"id": i, "name": f"n{i}", "box": [1.0]} for i in range(10)],
        "array": np.zeros((3, 4)),
        "set": {1, 2},
        "bomb": Bomb(tmp_path / "boom"),
        "long": "x" * 1000,
    }
    data["self"] = data
    onecopy.save(data, tmp_path / "data")
    return tmp_path / "data"


def test_the_tree_as_text(file: Path) -> None:
    shown = inspect(file)
    assert shown.returncode == 0, shown.stderr
    for part in (
        "root dict of anything, 6 of them",
        '["rows"] table of dicts, 10 of them',
        'column "id" list of int, 10 of them',
        ": 0, 1, 2, …",
        "array 3 × 4 of <f8, 12 of them",
        '["set"] set, 2 of them',
    ):
        assert part in shown.stdout
    assert not (file.parent / "boom").exists()
    assert "shown above" in inspect(file, "--samples", "10").stdout


def test_the_tree_as_json(file: Path) -> None:
    shown = json.loads(inspect(file, "--json", "--samples", "10").stdout)
    assert shown["schema"] == "onecopy.inspect/1"
    assert shown["bytes"] == file.stat().st_size
    root = shown["root"]
    assert set(root) == {"name", "kind", "count", "bytes", "offset", "samples", "children"}
    assert root["samples"][3].startswith('"bomb": pickled object')
    assert [child["name"] for child in root["children"]][:2] == ['["rows"]', '["array"]']
    assert len(json.loads(inspect(file, "--json", "--depth", "0").stdout)["root"]["children"]) == 0


def test_errors(file: Path) -> None:
    missing = inspect(file.parent / "nothing")
    assert missing.returncode == 1
    assert "nothing" in missing.stderr
    os.truncate(file, 500)
    cut = inspect(file)
    assert cut.returncode == 1
    assert "truncated" in cut.stderr
    assert "500" in cut.stderr
    assert inspect().returncode == 2
    assert "Examples:" in inspect("--help").stdout
