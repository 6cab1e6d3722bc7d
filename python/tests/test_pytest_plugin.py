"""The plugin, as a project uses it: in a pytest of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import contextlib, os, signal
import pytest

data = bytearray(b"x" * 2**26)

@contextlib.contextmanager
def worker(work):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(120)
        work()
        os.write(writer, b"x")
        signal.pause()
    try:
        assert os.read(reader, 1) == b"x"
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

def read():
    assert data.count(b"x")

def write():
    data[:] = b"y" * 2**26

def test_fixture(onecopy_watch):
    with worker(write):
        onecopy_watch.stop()
    assert onecopy_watch.max_copies() > 1.2

def test_plain():
    with worker(write):
        pass

@pytest.mark.onecopy_max_copies(1.3)
def test_reads(onecopy_watch):
    with worker(read):
        onecopy_watch.stop()

@pytest.mark.onecopy_max_copies(1.3)
def test_writes(onecopy_watch):
    with worker(write):
        onecopy_watch.stop()

@pytest.mark.onecopy_max_copies(1.3)
def test_shares_nothing():
    pass

@pytest.mark.onecopy_max_copies(1.3)
def test_fails_by_itself(onecopy_watch):
    with worker(write):
        onecopy_watch.stop()
    raise KeyError("its own failure")

@pytest.mark.onecopy_max_copies(0.5)
def test_wrong_marker(onecopy_watch):
    pass
"""
COMMON = (
    "-p",
    "onecopy.pytest_plugin",
    "--strict-markers",
    "-W",
    "ignore::DeprecationWarning",
    "-p",
    "no:cacheprovider",
)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_copies=TESTS)
    return pytester


def outcomes(result: pytest.RunResult) -> dict[str, str]:
    lines = (line.split() for line in result.outlines if line.startswith("test_copies.py::"))
    words = (line[:2] for line in lines if not line[0].endswith(":"))  # those of the summary end so
    return {name.partition("::")[2]: outcome for name, outcome in words}


def test_the_marker_holds_tests_to_their_number_of_copies(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess(*COMMON, "-v")
    assert outcomes(result) == {
        "test_fixture": "PASSED",
        "test_plain": "PASSED",
        "test_reads": "PASSED",
        "test_writes": "FAILED",
        "test_shares_nothing": "FAILED",
        "test_fails_by_itself": "FAILED",
        "test_wrong_marker": "FAILED",
    }
    result.stdout.re_match_lines_random(
        [
            r"1\.[4-9]\d copies, and 1\.30 are allowed",
            r"  copies +1\.[4-9]\d × .*",  # the table, of the same reading
            r"  MAPPING +DISTINCT +COPIED +NEW +COPIES +WHO COPIED",
            r"  +\d+ \S+ +worker( +\S+ \S+){2} .*",
            r"nothing was shared: no process came during the test .*",
            r".*KeyError: 'its own failure'",
            r".*onecopy_max_copies: expected one number of at least 1, and perhaps earlier=True, found \(0\.5\)",
        ]
    )


def test_the_option_holds_all_watched_tests_to_it(project: pytest.Pytester) -> None:
    strict = project.runpytest_subprocess(*COMMON, "-v", "--onecopy-max-copies", "1.1", "-k", "fixture or plain")
    assert outcomes(strict) == {"test_fixture": "FAILED", "test_plain": "PASSED"}
    generous = project.runpytest_subprocess(*COMMON, "-v", "--onecopy-max-copies", "2.1", "-k", "fixture or writes")
    # A marker counts more than the option.
    assert outcomes(generous) == {"test_fixture": "PASSED", "test_writes": "FAILED"}


def test_the_plugin_comes_with_a_line_in_conftest(project: pytest.Pytester) -> None:
    project.makeconftest('pytest_plugins = ["onecopy.pytest_plugin"]')
    result = project.runpytest_subprocess("-v", "--strict-markers", "--onecopy-max-copies=1.1", "-k", "plain")
    assert outcomes(result) == {"test_plain": "PASSED"}
    helped = project.runpytest_subprocess("--markers")
    helped.stdout.fnmatch_lines(["@pytest.mark.onecopy_max_copies(copies, earlier=False): *"])


def test_nothing_is_loaded_that_was_not_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import sys\ndef test_it():\n    assert 'onecopy' not in sys.modules")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


# Verdicts that depend on nothing but the test.

EARLIER = """
import multiprocessing, os, signal
import onecopy, pytest

data = bytearray(b"x" * 2**26)
context = multiprocessing.get_context("fork")

def run(work):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(120)
        work()
        os.write(writer, b"x")
        signal.pause()
    assert os.read(reader, 1) == b"x"
    return pid

def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

def write():
    data[:] = b"y" * 2**26

@pytest.fixture(scope="module")
def worker():
    pid = run(write)
    yield pid
    end(pid)

def test_uses_multiprocessing(worker):
    assert context.Semaphore(3)  # the resource tracker stays, and so does the memory of locks
    process = context.Process(target=int)
    process.start()
    process.join()
    global kept
    kept = onecopy.share(bytearray(2**19))

@pytest.mark.onecopy_max_copies(1.3)
def test_shares_nothing(worker):
    pass

@pytest.mark.onecopy_max_copies(1.3)
def test_starts_a_helper(onecopy_watch):
    mine = onecopy.share(bytearray(2**19))
    assert context.Semaphore(3)
    onecopy_watch.read()

@pytest.mark.onecopy_max_copies(1.3)
def test_shares(worker, onecopy_watch):
    pid = run(lambda: data.count(b"x"))
    report = onecopy_watch.read()
    assert {row.pid for row in report.processes} == {os.getpid(), pid}
    end(pid)

@pytest.mark.onecopy_max_copies(1.3, earlier=True)
def test_counts_the_worker_of_the_fixture(worker):
    pass

@pytest.mark.onecopy_max_copies(1.3, later=True)
def test_wrong_word():
    pass
"""
ALONE = {
    "test_shares_nothing": "FAILED",
    "test_starts_a_helper": "FAILED",
    "test_shares": "PASSED",
    "test_counts_the_worker_of_the_fixture": "FAILED",
    "test_wrong_word": "FAILED",
}


def test_processes_of_earlier_tests_do_not_count(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_copies=EARLIER)
    together = pytester.runpytest_subprocess(*COMMON, "-v")
    assert outcomes(together) == {"test_uses_multiprocessing": "PASSED", **ALONE}
    together.stdout.re_match_lines_random(
        [
            r"nothing was shared: no process came during the test .*",
            r"1\.[4-9]\d copies, and 1\.30 are allowed",
            r".*expected one number of at least 1, and perhaps earlier=True, found \(1\.3, later=True\)",
        ]
    )
    for name in ("test_shares_nothing", "test_starts_a_helper", "test_shares"):
        alone = pytester.runpytest_subprocess(*COMMON, "-v", f"test_copies.py::{name}")
        assert outcomes(alone) == {name: ALONE[name]}


SHORT = """
import os
import pytest
from onecopy._onecopy import _note_forks

data = bytearray(b"x" * 2**24)

def forked():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

@pytest.fixture
def unread(onecopy_watch):
    # As if every child had come and gone between two readings.
    _note_forks()
    _note_forks()

@pytest.mark.onecopy_max_copies(1.1)
def test_marked(unread):
    pass

def test_with_the_option(unread):
    pass

def test_without_forks(onecopy_watch):
    pass

@pytest.mark.onecopy_max_copies(1.1)
def test_some(unread, onecopy_watch):
    with held():
        onecopy_watch.stop()

@pytest.mark.onecopy_max_copies(1.1)
def test_some_on_purpose(unread, onecopy_watch):
    with held():
        assert onecopy_watch.read().copies < 1.1

import contextlib, signal
@contextlib.contextmanager
def held():
    pid = os.fork()
    if pid == 0:
        signal.alarm(120)
        signal.pause()
    yield
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


def test_workers_that_no_reading_has_seen_are_told_of(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_copies=SHORT)
    result = pytester.runpytest_subprocess(*COMMON, "-v", "--onecopy-max-copies=1.1")
    assert outcomes(result) == {
        "test_marked": "FAILED",
        "test_with_the_option": "PASSED",
        "test_without_forks": "PASSED",
        "test_some": "PASSED",
        "test_some_on_purpose": "PASSED",
    }
    text = result.stdout.str()
    short = "2 workers were forked, and none was there long enough to be read"
    assert f"{short}: let workers wait until onecopy_watch.read() has returned in the test" in text
    summary = text.partition("onecopy: workers that were not read")[2]
    told = [line for line in summary.splitlines() if line.startswith("test_copies.py::")]
    assert told[:2] == [
        f"test_copies.py::test_with_the_option: {short}",
        "test_copies.py::test_some: 2 of 3 workers that were forked were not read",
    ]
    assert not any("test_some_on_purpose" in line or "test_without_forks" in line for line in summary.splitlines())


def test_a_worker_that_is_gone_at_once_fails_the_test_or_is_read(pytester: pytest.Pytester) -> None:
    test = "\n@pytest.mark.onecopy_max_copies(1.1)\ndef test_it():\n    forked()\n"
    pytester.makepyfile(test_copies=SHORT.partition("@pytest.fixture")[0] + test)
    result = pytester.runpytest_subprocess(*COMMON, "-v")
    if outcomes(result) == {"test_it": "FAILED"}:
        result.stdout.fnmatch_lines(["1 worker was forked, and none was there long enough to be read: *"])


@pytest.mark.parametrize("wrong", ["nan", "0.2", "inf", "-1", "two", ""])
def test_the_option_is_a_number_of_copies(project: pytest.Pytester, wrong: str) -> None:
    result = project.runpytest_subprocess(*COMMON, f"--onecopy-max-copies={wrong}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = f"*argument --onecopy-max-copies: expected a number of at least 1, found '{wrong}'*"
    result.stderr.fnmatch_lines([message])


def test_the_example_of_the_guide_passes(pytester: pytest.Pytester) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "meter.md").read_text()
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "onecopy_watch" in block]
    pytester.makepyfile(test_copies=example)
    assert outcomes(pytester.runpytest_subprocess(*COMMON, "-v")) == {"test_workers_share_the_data": "PASSED"}
    # It can fail: the worker writes.
    pytester.makepyfile(test_copies=example.replace('data.count(b"x")', "data[:] = bytes(2**24)"))
    assert outcomes(pytester.runpytest_subprocess(*COMMON, "-v")) == {"test_workers_share_the_data": "FAILED"}
