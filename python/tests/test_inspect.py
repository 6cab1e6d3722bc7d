"""`onecopy inspect`: what is in a file, without running any of it, and in the stores of a process."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onecopy
from conftest import START_METHODS


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


class Stopped:
    """A worker that has containers until it is told to go."""

    def __init__(self, method: str, *containers: Any) -> None:
        context = multiprocessing.get_context(method)
        self.ready, self.go = context.Event(), context.Event()
        self.process = context.Process(target=hold, args=(self.ready, self.go, *containers))  # type: ignore[attr-defined]

    def __enter__(self) -> int:
        self.process.start()
        assert self.ready.wait(120)
        pid: int = self.process.pid
        return pid

    def __exit__(self, *_: object) -> None:
        self.go.set()
        self.process.join(120)


def hold(ready: Any, go: Any, *_: Any) -> None:
    ready.set()
    go.wait(120)


@pytest.mark.parametrize("method", START_METHODS)
def test_the_containers_of_a_process(method: str) -> None:
    # Other tests' containers may be in the store, and their workers on their way out.
    others = {row.id for row in onecopy.store.containers()}
    numbers, words = onecopy.List(range(1000)), onecopy.Counter("abb")
    array = onecopy.Array((2, 500), "u1")
    with Stopped(method, numbers, words, array) as pid:
        shown = json.loads(inspect(str(pid), "--json").stdout)
        text = inspect(str(pid)).stdout
        own = onecopy.store.containers()
    assert (shown["schema"], shown["pid"]) == ("onecopy.inspect-process/1", pid)
    (store,) = shown["stores"]
    new = [row for row in store["containers"] if row["id"] not in others]
    assert new == [row.to_dict() for row in own if row.id not in others]
    assert all(row["holds"] > 1 for row in new)
    found = {row["kind"]: row for row in new}
    assert {kind: row["length"] for kind, row in found.items()} == {"List": 1000, "Counter": 2, "Array": 1000}
    for row in found.values():
        assert row["total_bytes"] == row["live_bytes"] + row["free_bytes"] + row["limbo_bytes"]
        line = next(
            line for line in text.splitlines() if line.startswith(f" {row['kind']} ") and f" {row['id']} " in line
        )
        assert f"{row['length']:,}" in line
    assert f"store {store['id']}" in text
    onecopy.collect()
    assert [row.holds for row in onecopy.store.containers() if row.id not in others] == [1, 1, 1]


def test_processes_without_a_store_and_without_a_name() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ONECOPY_STORE"}
    with subprocess.Popen(["sleep", "100"], env=environment) as sleeping:
        nothing = inspect(str(sleeping.pid))
        sleeping.kill()
    assert nothing.returncode == 1
    assert "uses no onecopy store" in nothing.stderr
    gone = inspect("4194305")
    assert gone.returncode == 1
    assert "does not exist" in gone.stderr
    assert "No such file" in inspect("99999999999999999999").stderr


def test_a_file_whose_name_is_a_number(file: Path) -> None:
    number = file.with_name(str(os.getpid()))
    file.rename(number)
    command = [sys.executable, "-m", "onecopy", "inspect", f"./{number.name}"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=number.parent, timeout=120)
    assert "root dict of anything" in shown.stdout
