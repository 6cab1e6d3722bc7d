"""Programs as people write them, with the standard Manager and unedited with ours: the same output.

What the programs do is what some hundred public programs do with a Manager.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted(Path(__file__).with_name("manager_programs").glob("*.py"))
NEED_SERVER = ("proxy_classes", "registered", "server_proxies")
NO_SERVER = [program for program in PROGRAMS if program.stem not in NEED_SERVER]

COUNTED = """
import runpy, sys
from multiprocessing import managers
start = managers.BaseManager.start
def refused(self, *args, **kwds):
    sys.exit(f"a server is started for {type(self).__name__}")
managers.BaseManager.start = refused
from onecopy.multiprocessing import __main__
__main__.main(sys.argv[1:])
"""


def output(*command: str) -> str:
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", *command], capture_output=True, text=True, timeout=300
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_a_program_says_the_same_with_either_manager(program: Path) -> None:
    expected = output(str(program))
    assert expected
    assert output("-m", "onecopy.multiprocessing", str(program)) == expected


@pytest.mark.parametrize("program", NO_SERVER, ids=lambda program: program.stem)
def test_no_server_is_started(program: Path) -> None:
    assert output("-c", COUNTED, str(program))
