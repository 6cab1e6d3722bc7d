"""What runs at a fork loses no signal: Ctrl-C that arrives meanwhile finds the program, after the fork."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

import onecopy

if TYPE_CHECKING:
    from pathlib import Path

WATCHDOG_S = 120
# Handlers run in the reverse order of their registration, so this one comes first, and it is no Python code: whatever
# bytecode runs next raises KeyboardInterrupt.
INTERRUPT_AT_FORK = """
import _thread, functools, os, signal, sys
def interrupt_at_next_fork():
    once = map(_thread.interrupt_main, iter([signal.SIGINT]))
    os.register_at_fork(before=functools.partial(next, once, None))
def fork_and_report():
    try:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        for _ in range(1000):
            pass
        print("lost")
    except KeyboardInterrupt:
        print("interrupted")
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
"""


def run(program: str) -> str:
    """Runs a program, which must not say anything on standard error, and returns what it prints."""
    done = subprocess.run(
        # CPython's own warning of threads at a fork runs Python code, and clears what that raises.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", INTERRUPT_AT_FORK + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=WATCHDOG_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_ctrl_c_while_a_watch_notes_a_fork_is_raised_after_the_fork() -> None:
    printed = run(
        """
        import onecopy
        with onecopy.watch() as watched:
            interrupt_at_next_fork()
            fork_and_report()
        print(watched._stopped().forks()[0])
        """
    )
    assert printed == "interrupted\n1\n"


def test_ctrl_c_while_the_table_of_objects_is_written_is_raised_after_the_fork(tmp_path: Path) -> None:
    printed = run(
        f"""
        from onecopy import _objects
        _objects.install({str(tmp_path)!r})
        interrupt_at_next_fork()
        fork_and_report()
        fork_and_report()
        """
    )
    # Once: the fork after it is an ordinary one, and writes the table.
    assert printed == "interrupted\nlost\n"
    assert len(list(tmp_path.glob("objects-*.json"))) == 1


@pytest.mark.skipif(not onecopy.freeze_supported()[0], reason=f"freeze(): {onecopy.freeze_supported()[1]}")
def test_a_child_can_freeze_while_its_parent_does() -> None:
    printed = run(
        """
        import warnings
        from onecopy import _freeze
        import onecopy
        warnings.simplefilter("ignore")
        with _freeze._state.running:
            pid = os.fork()
            if pid == 0:
                onecopy.freeze([1001, 1002], gc=False, seal=False)
                os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
    )
    assert printed == "7\n"
