"""Queues and locks under kills at random: a short run of `tools/torture_waiting.py`, and what its comparison finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

from torture_waiting import compare, names_of_nobody  # noqa: E402


def test_nothing_is_lost_when_processes_are_killed() -> None:
    command = [sys.executable, str(TOOLS / "torture_waiting.py"), "--kills=15", "--seed=1", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)["methods"]
    assert [one["method"] for one in found] == ["fork", "forkserver", "spawn"]
    for one in found:
        assert one["kills"] > 15
        assert one["items"] > 0


OTHER_PROGRAM = """
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(create=True, size=1)
print(memory._name, flush=True)
input()
memory.close()
input()
memory.unlink()
"""


def test_only_names_that_nobody_uses_are_left_behind() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", OTHER_PROGRAM], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        name = other.stdout.readline().strip().removeprefix("/")
        assert Path("/dev/shm", name).exists()  # noqa: S108 - another program's
        assert name not in names_of_nobody()
        other.stdin.write("\n")
        other.stdin.flush()
        while name not in names_of_nobody():  # until it has let the memory go
            assert other.poll() is None
        other.stdin.write("\n")
    assert name not in names_of_nobody()


GOOD = [
    "putting 1",
    "put 1",
    "putting 2",
    "took 1 0",
    "done 1",
    "took 2 0",
    "took 2 1",
    "done 2",
    "counting",
    "counted",
]


def logged(folder: Path, lines: list[str]) -> str:
    (folder / "1.log").write_text("\n".join(lines) + "\n")
    return str(folder)


def test_what_may_happen_is_no_fault(tmp_path: Path) -> None:
    found = compare(logged(tmp_path, GOOD), 1)
    assert found == {"items": 2, "done": 2, "came again": 1, "counted": 1}


@pytest.mark.parametrize(
    ("change", "total", "what"),
    [
        (lambda lines: [line for line in lines if line != "took 1 0"], 1, "nobody has taken them"),
        (lambda lines: [*lines, "took 3 0"], 1, "nobody has put them"),
        (lambda lines: [*lines, "took 1 0"], 1, "for the first time twice"),
        (lambda lines: [*lines, "done 1"], 1, "done twice"),
        (lambda lines: lines, 0, "the total is 0, between 1 and 1"),
        (lambda lines: lines, 2, "the total is 2, between 1 and 1"),
    ],
)
def test_what_must_not_happen_is_found(
    tmp_path: Path,
    change: object,
    total: int,
    what: str,
) -> None:
    assert callable(change)
    with pytest.raises(SystemExit, match=what):
        compare(logged(tmp_path, change(list(GOOD))), total)
