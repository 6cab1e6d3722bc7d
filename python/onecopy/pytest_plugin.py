"""A fixture, a marker and an option for pytest; put `pytest_plugins = ["onecopy.pytest_plugin"]` into conftest.py.

A test that takes `onecopy_watch` is watched, and may ask for `onecopy_watch.max_copies` in the end.
`@pytest.mark.onecopy_max_copies(1.1)` watches a test and fails it if there were more copies at any reading, or if
nothing was shared. `--onecopy-max-copies 1.1` does so for every test that is watched and has no such marker, if
anything was shared.

The plugin is not loaded by itself: importing this package into every test run of every program that has it installed
would be no service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from onecopy._meter import Watch, watch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_MARKER = "onecopy_max_copies"
_FIXTURE = "onecopy_watch"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option."""
    parser.getgroup("onecopy").addoption(
        "--onecopy-max-copies",
        type=float,
        metavar="COPIES",
        help="fail a test with the fixture onecopy_watch if there were more physical copies; 1.00 is one copy for all",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker."""
    config.addinivalue_line(
        "markers", f"{_MARKER}(copies): watch the test, and fail it if there were more physical copies of its memory"
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
    found = _most_copies(watched)
    if found is None and marker:
        pytest.fail("nothing was shared: no process was seen that has memory in common with another", pytrace=False)
    if found is not None and found > most:
        pytest.fail(f"{found:.2f} copies, and {most:.2f} are allowed\n{watched.report}", pytrace=False)
    return result


def _most_copies(watched: Watch) -> float | None:
    """The highest number in any reading of more than one process: one alone shares nothing, whatever store it has."""
    samples = watched.to_dict()["samples"]
    readings = [sample["reading"] for sample in samples if sample["processes"] > 1 and sample["reading"]]
    return max((reading["copies"] for reading in readings if reading["copies"] is not None), default=None)


def _argument(marker: pytest.Mark) -> float:
    match marker.args, marker.kwargs:
        case [float() | int() as most], {**rest} if most >= 1 and not rest:
            return float(most)
    pytest.fail(f"@pytest.mark.{_MARKER}: expected one number of at least 1, found {marker.args}", pytrace=False)


@pytest.fixture
def onecopy_watch() -> Iterator[Watch]:
    """Watches the memory of the test and its children, with up to a fifth of one processor."""
    with watch(overhead=0.2) as watched:
        yield watched
