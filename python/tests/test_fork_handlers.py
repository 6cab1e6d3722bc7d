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


def test_ctrl_c_before_the_table_of_objects_is_written_is_raised_after_the_fork(tmp_path: Path) -> None:
    printed = run(
        f"""
        from onecopy import _objects
        _objects.install({str(tmp_path)!r})
        interrupt_at_next_fork()
        fork_and_report()
        fork_and_report()
        """
    )
    # Once: the fork after it is an ordinary one.
    assert printed == "interrupted\nlost\n"
    assert len(list(tmp_path.glob("objects-*.json"))) == 1


def test_a_worker_gets_no_ctrl_c_of_its_parent_at_its_own_first_fork(tmp_path: Path) -> None:
    printed = run(
        f"""
        from onecopy import _objects
        _objects.install({str(tmp_path)!r})
        interrupt_at_next_fork()
        pid = None
        try:
            pid = os.fork()
            for _ in range(1000):
                pass
        except KeyboardInterrupt:
            pass
        if pid == 0:
            fork_and_report()
            print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
            os._exit(0)
        os.wait()
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        """
    )
    assert printed == "lost\nTrue\nTrue\n"


# The object sends the signal while it is looked at.
SIGNAL_WHILE_WRITING = """
from onecopy import _objects
class Sends:
    def __sizeof__(self):
        signal.raise_signal({number})
        return 16
sends = Sends()
def handler(number, frame):
    raise {raised}
signal.signal({number}, handler)
_objects.install({folder!r})
pid = None
try:
    pid = os.fork()
    for _ in range(1000):
        pass
    if pid == 0:
        os._exit(0)
    print("lost")
except BaseException as error:
    print(repr(error))
os.wait()
print(signal.getsignal({number}) is handler, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


@pytest.mark.parametrize("raised", ["SystemExit(7)", "TimeoutError(1)", "MemoryError()", "KeyboardInterrupt()"])
def test_what_any_handler_raises_while_the_table_is_written_is_raised_after_the_fork(
    raised: str, tmp_path: Path
) -> None:
    printed = run(SIGNAL_WHILE_WRITING.format(number="signal.SIGTERM", raised=raised, folder=str(tmp_path)))
    assert printed == f"{raised}\nTrue True\n"
    # The handler ran, and the table is whole.
    assert len(list(tmp_path.glob("objects-*.json"))) == 1


def test_handlers_are_the_programs_own_again_whenever_one_of_them_raises(tmp_path: Path) -> None:
    printed = run(
        f"""
        from onecopy import _objects
        def handler(number, frame):
            raise InterruptedError(number)
        signal.signal(signal.SIGTERM, handler)
        signal.signal(signal.SIGUSR1, handler)
        def half_of_them():
            yield signal.SIGTERM
            # Nobody holds its handler yet.
            signal.raise_signal(signal.SIGUSR1)
        signal.valid_signals = half_of_them
        _objects.install({str(tmp_path)!r})
        try:
            if os.fork() == 0:
                os._exit(0)
            print("lost")
        except InterruptedError as error:
            print(error.args[0] == signal.SIGUSR1)
        print(all(signal.getsignal(number) is handler for number in (signal.SIGTERM, signal.SIGUSR1)))
        os.wait()
        """
    )
    assert printed == "True\nTrue\n"


def test_a_thread_that_forks_while_the_table_is_written_goes_on_without_it(tmp_path: Path) -> None:
    printed = run(
        f"""
        import threading
        from onecopy import _objects
        class Forks:
            def __sizeof__(self):
                threads = [threading.Thread(target=fork) for _ in range(2)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                return 16
        def fork():
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
            os.write(1, b"forked\\n")  # in one piece, as threads do it at once
        forks = Forks()
        _objects.install({str(tmp_path)!r})
        fork()
        """
    )
    assert printed == 3 * "forked\n"
    assert len(list(tmp_path.glob("objects-*.json"))) == 1


def test_no_table_is_written_into_a_folder_that_has_come_in_the_place_of_the_trusted_one(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    run(
        f"""
        from onecopy import _objects
        side = {str(tmp_path / "side")!r}
        os.mkdir(side, 0o700)
        _objects.install(side)
        os.rename(side, side + ".old")
        os.symlink({str(other)!r}, side)
        fork_and_report()
        """
    )
    assert list(other.iterdir()) == []


def test_a_program_that_never_forks_writes_no_table(tmp_path: Path) -> None:
    run(f"from onecopy import _objects; _objects.install({str(tmp_path)!r})")
    assert not list(tmp_path.glob("objects-*"))


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
