"""Fixtures for pytest; put `pytest_plugins = ["onecopy.pytest_plugin"]` into conftest.py.

    def test_workers_share(onecopy_watch):
        run_workers()
        assert onecopy_watch.max_copies < 1.1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from onecopy._meter import watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy._meter import Watch


@pytest.fixture
def onecopy_watch() -> Iterator[Watch]:
    """Watches the memory of the test and its children, with up to a fifth of one processor."""
    with watch(overhead=0.2) as watched:
        yield watched
