"""A fixture, a marker and an option for pytest; put `pytest_plugins = ["onecopy.pytest_plugin"]` into conftest.py.

A test that takes `onecopy_watch` is watched, and may ask for `onecopy_watch.max_copies()` in the end.
`@pytest.mark.onecopy_max_copies(1.1)` watches a test and fails it if there were more copies at any reading, or if
nothing was shared. `--onecopy-max-copies 1.1` does so for every test that is watched and has no such marker, if
anything was shared. `onecopy_watch.read()` makes a reading at the moment that matters: while the workers are alive and
have done their work.

Only this process counts and those that come during the test. What earlier tests have left behind, such as the resource
tracker of multiprocessing, would make the verdict depend on their order. `@pytest.mark.onecopy_max_copies(1.1,
earlier=True)` counts all that is there, for workers of a fixture that serves several tests.

The plugin is not loaded by itself: importing this package into every test run of every program that has it installed
would be no service.
"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

import pytest

from onecopy.meter import Watch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_MARKER = "onecopy_max_copies"
_FIXTURE = "onecopy_watch"
_OVERHEAD = 0.2
_UNREAD = pytest.StashKey[str]()
_READ = "let workers wait until onecopy_watch.read() has returned in the test"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option."""
    parser.getgroup("onecopy").addoption(
        "--onecopy-max-copies",
        type=_number,
        metavar="COPIES",
        help="fail a test with the fixture onecopy_watch if there were more physical copies; 1.00 is one copy for all",
    )


def _number(text: str) -> float:
    """What the option may be; argparse names it in the message."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not _is_possible(value):
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, found {text!r}")
    return value


def _is_possible(copies: float) -> bool:
    return 1 <= copies < math.inf


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(copies, earlier=False): watch the test, and fail it if there were more physical copies of its "
        "memory; with earlier, processes that were there before the test count as well",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Gives the fixture to tests with the marker."""
    if item.get_closest_marker(_MARKER) and isinstance(item, pytest.Function) and _FIXTURE not in item.fixturenames:
        item.fixturenames.append(_FIXTURE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fails a test that has passed, but with more copies than it may have."""
    result = yield
    watched = getattr(item, "funcargs", {}).get(_FIXTURE)
    marker = item.get_closest_marker(_MARKER)
    most = _argument(marker) if marker else item.config.getoption("onecopy_max_copies", default=None)
    if not isinstance(watched, Watch) or most is None:
        return result
    found, unread = watched._verdict()  # noqa: SLF001 - of this package
    if found is not None and found.copies is not None and found.copies > most:
        pytest.fail(f"{found.copies:.2f} copies, and {most:.2f} are allowed\n{found}", pytrace=False)
    if found is None and marker:
        pytest.fail(_nothing(watched, unread), pytrace=False)
    if unread:
        item.stash[_UNREAD] = unread
    return result


def _nothing(watched: Watch, unread: str) -> str:
    """Why a test with the marker has no number."""
    if unread:
        return f"{unread}: {_READ}"
    report = watched.report()
    denied = [f"process {row.pid} ({row.name})" for row in report.skipped if row.reason == "denied"] if report else []
    if denied:
        return f"it is not known what was shared: {', '.join(denied)} may not be looked into"
    if report is not None and len(report.processes) > 1 and report.copies is None and report.copies_reason:
        return f"nothing was shared: {report.copies_reason}"
    return (
        "nothing was shared: no process came during the test that has memory in common with another "
        "(those that were there before count with earlier=True)"
    )


def _argument(marker: pytest.Mark) -> float:
    """The number of copies."""
    match marker.args, marker.kwargs:
        case [float() | int() as most], {**rest} if _is_possible(most) and rest in (
            {},
            {"earlier": True},
            {"earlier": False},
        ):
            return float(most)
    found = ", ".join([*map(repr, marker.args), *(f"{name}={value!r}" for name, value in marker.kwargs.items())])
    pytest.fail(
        f"@pytest.mark.{_MARKER}: expected one number of at least 1, and perhaps earlier=True, found ({found})",
        pytrace=False,
    )


@pytest.fixture
def onecopy_watch(request: pytest.FixtureRequest) -> Iterator[Watch]:
    """Watches the memory of the test and of the processes that come during it, with up to a fifth of one processor."""
    marker = request.node.get_closest_marker(_MARKER)
    # A marker that says anything else fails the test itself.
    earlier = marker is not None and marker.kwargs.get("earlier") is True
    with Watch(_OVERHEAD, None, earlier=earlier) as watched:
        yield watched


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Sends along what no reading has seen, to whichever process prints the summary."""
    report = yield
    if report.when == "call" and _UNREAD in item.stash:
        report.__dict__["onecopy_unread"] = item.stash[_UNREAD]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Lists the tests about which the number of copies says nothing, or not all."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    unread = [report for report in reports if getattr(report, "onecopy_unread", None)]
    if unread:
        terminalreporter.section("onecopy: workers that were not read")
        for report in unread:
            terminalreporter.line(f"{report.nodeid}: {report.onecopy_unread}", yellow=True)
        terminalreporter.line(f"What they copied is not known: {_READ}.")
