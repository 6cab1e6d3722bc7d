"""What a program makes at the top level of its main module, which spawned workers import anew."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import multiprocessing, sys
import onecopy

{made}

def work():
    print("worked", flush=True)

if __name__ == "__main__":
    for _ in range(2):
        worker = multiprocessing.get_context(sys.argv[1]).Process(target=work)
        worker.start()
        worker.join()
"""

GUARDED = """
import multiprocessing, sys
import onecopy

_view = None

def keep(view):
    global _view
    _view = view

def work(number):
    return _view[number]

if __name__ == "__main__":
    view = onecopy.share([10, 11, 12])
    with multiprocessing.get_context(sys.argv[1]).Pool(2, initializer=keep, initargs=(view,)) as pool:
        print(pool.map(work, range(3)))
"""


def run(folder: Path, text: str, method: str) -> tuple[str, list[str]]:
    program = folder / "program.py"
    program.write_text(text)
    done = subprocess.run(
        [sys.executable, "-W", "always", str(program), method], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "RuntimeWarning" in line]


@pytest.mark.parametrize(
    "made",
    [
        "VIEW = onecopy.share([1, 2])",
        "WORDS = onecopy.List(); MORE = onecopy.Dict()",
        "LOCK = onecopy.Lock()",
        "ITEMS = onecopy.Manager().Queue()",
        "ARRAY = onecopy.Array(3)",
        "NAMES = onecopy.Namespace(a=1)",
    ],
)
def test_a_spawned_process_is_told_once_that_it_makes_its_own(tmp_path: Path, made: str) -> None:
    said, warned = run(tmp_path, PROGRAM.format(made=made), "spawn")
    assert said == "worked\nworked\n"
    # Once in each of two workers, and not in the parent.
    assert len(warned) == 2
    assert all('if __name__ == "__main__"' in line and "initializer" in line for line in warned)
    # Where it was made, whatever of this package lies in between.
    line = PROGRAM.splitlines().index("{made}") + 1
    assert all(line_of.startswith(f"{tmp_path / 'program.py'}:{line}: ") for line_of in warned)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_is_passed_on_warns_nobody(tmp_path: Path, method: str) -> None:
    assert run(tmp_path, GUARDED, method) == ("[10, 11, 12]\n", [])


def test_forked_processes_have_what_their_parent_has_made(tmp_path: Path) -> None:
    said, warned = run(tmp_path, PROGRAM.format(made="VIEW = onecopy.share([1, 2])"), "fork")
    assert (said, warned) == ("worked\nworked\n", [])
