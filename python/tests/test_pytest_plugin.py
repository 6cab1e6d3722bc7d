"""The plugin, as a project uses it: in a pytest of its own."""

from __future__ import annotations

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
    assert onecopy_watch.max_copies > 1.2

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
    words = (line.split() for line in result.outlines if line.startswith("test_copies.py::"))
    return {line[0].partition("::")[2]: line[1] for line in words}


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
            r"copies: \d\.\d\d \(1\.00 is one copy for all\)",  # the table
            r"nothing was shared: .*",
            r".*KeyError: 'its own failure'",
            r".*onecopy_max_copies: expected one number of at least 1, found \(0\.5,\)",
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
    helped.stdout.fnmatch_lines(["@pytest.mark.onecopy_max_copies(copies): *"])


def test_nothing_is_loaded_that_was_not_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import sys\ndef test_it():\n    assert 'onecopy' not in sys.modules")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
