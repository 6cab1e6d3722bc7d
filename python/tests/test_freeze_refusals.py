"""Where `freeze()` does not work, it says why, and changes nothing. Runs on every Python."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

import onecopy
from onecopy import _freeze_support, _onecopy

AUDITED = {12: 0, 13: 0, 14: 5, 15: 0}
FINE = _freeze_support._Facts(
    version=(3, 13, 0),
    implementation="CPython",
    free_threaded=False,
    bits=64,
    can_fork=True,
    audited=AUDITED,
)


@pytest.mark.parametrize("version", [(3, 12, 0), (3, 12, 1), (3, 13, 0), (3, 14, 5), (3, 14, 10), (3, 15, 0)])
def test_audited_versions_are_accepted(version: tuple[int, int, int]) -> None:
    assert _freeze_support._refusal(replace(FINE, version=version)) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": (3, 11, 7)}, "CPython 3.11.7 has no immortal objects; they came with CPython 3.12"),
        ({"version": (3, 16, 0)}, "nobody has audited the object headers of CPython 3.16.0 yet"),
        ({"version": (3, 14, 0)}, "CPython 3.14.0 has a collector that was taken back in 3.14.5"),
        ({"version": (3, 14, 4)}, "that version or a later one works"),
        ({"free_threaded": True}, "CPython 3.13.0 is a free-threaded build"),
        ({"bits": 32}, "this one has 32 bits"),
        ({"implementation": "PyPy"}, "headers of CPython, and this is PyPy 3.13.0"),
        ({"can_fork": False}, "this system has no fork"),
    ],
)
def test_a_refusal_says_why(changes: dict[str, Any], expected: str) -> None:
    reason = _freeze_support._refusal(replace(FINE, **changes))
    assert reason is not None
    assert expected in reason


def test_the_extension_has_the_audited_versions() -> None:
    assert _freeze_support._facts().audited == AUDITED


@pytest.mark.parametrize("call", [onecopy.freeze, onecopy.freeze_check])
@pytest.mark.parametrize("source", ["facts", "self-test"])
def test_an_unsupported_interpreter_is_told_of_share(monkeypatch: pytest.MonkeyPatch, call: Any, source: str) -> None:
    if source == "facts":
        monkeypatch.setattr(_freeze_support, "_facts", lambda: replace(FINE, version=(3, 11, 7)))
    else:
        monkeypatch.setattr(_freeze_support, "_facts", lambda: FINE)
        monkeypatch.setattr(_onecopy, "_freeze_trouble", lambda: "reading wrote to headers")
    data = [[1_000_001]]
    with pytest.raises(onecopy.errors.FreezeUnsupported, match=r"onecopy\.share\(\)") as raised:
        call(data)
    assert isinstance(raised.value, RuntimeError)
    assert isinstance(raised.value, onecopy.OnecopyError)
    assert not onecopy.is_frozen(data)
    supported, reason = onecopy.freeze_supported()
    assert not supported
    assert reason in str(raised.value)


def test_this_interpreter_is_judged_by_its_version() -> None:
    supported, reason = onecopy.freeze_supported()
    assert supported == (sys.version_info >= (3, 12)), reason
    if not supported:
        assert "no immortal objects" in reason
        with pytest.raises(onecopy.errors.FreezeUnsupported, match=r"3\.11"):
            onecopy.freeze([1])
        with pytest.raises(RuntimeError):
            _onecopy._freeze_walk([1], True, False, False)
        assert not onecopy.is_frozen(None)


def test_importing_forks_nothing_and_freezes_nothing() -> None:
    program = """
import gc, os
os.register_at_fork(before=lambda: print("forked"))
before = gc.get_freeze_count()
import onecopy
assert gc.get_freeze_count() == before
try:
    os.waitpid(-1, 0x40000000)  # __WALL
except ChildProcessError:
    pass
else:
    print("had a child")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
