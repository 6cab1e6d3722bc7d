"""Queues and locks under kills at random: a short run of `tools/torture_waiting.py`, and what its comparison finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

from torture_waiting import compare  # noqa: E402


def test_nothing_is_lost_when_processes_are_killed() -> None:
    command = [sys.executable, str(TOOLS / "torture_waiting.py"), "--kills=15", "--seed=1", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["looked at /dev/shm"] or "NOT LOOKED AT: /dev/shm" in run.stderr
    found = said["methods"]
    assert [one["method"] for one in found] == ["fork", "forkserver", "spawn"]
    for one in found:
        assert one["kills"] > 15
        assert one["items"] > 0


OWN_SHARED_MEMORY = """
import os, sys
from multiprocessing import shared_memory
sys.path.insert(0, sys.argv[1])
import torture_waiting
if not torture_waiting.takes_shared_memory():
    sys.exit("no right to")
assert os.listdir("/dev/shm") == []
memory = shared_memory.SharedMemory(create=True, size=1)
assert os.listdir("/dev/shm") == [memory._name.removeprefix("/")]
print(memory._name.removeprefix("/"), flush=True)
input()
memory.close()
memory.unlink()
"""


def test_what_other_programs_leave_in_shared_memory_is_not_seen() -> None:
    command = [sys.executable, "-c", OWN_SHARED_MEMORY, str(TOOLS)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as run:
        assert run.stdout is not None
        name = run.stdout.readline().strip()
        is_seen_outside = name and Path("/dev/shm", name).exists()  # noqa: S108 - looked at
        _, errors = run.communicate("\n")
    if "no right to" in errors:
        pytest.skip("a /dev/shm of its own takes CAP_SYS_ADMIN")
    assert run.returncode == 0, errors
    assert not is_seen_outside


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


@pytest.mark.parametrize("torn", ["took", "took 2", "took 2 ", "took 2 0", "done 2", "cou"])
def test_a_line_that_a_kill_has_cut_short_says_nothing(tmp_path: Path, torn: str) -> None:
    folder = logged(tmp_path, ["putting 1", "put 1", "took 1 0", "done 1"])
    (tmp_path / "2.log").write_text(f"counting\ncounted\n{torn}")
    assert compare(folder, 1) == {"items": 1, "done": 1, "came again": 0, "counted": 1}


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
