"""Fixtures for pytest; put `pytest_plugins = ["onecopy.pytest_plugin"]` into conftest.py.

A test that takes `onecopy_watch` is watched, and may ask for `onecopy_watch.max_copies` in the end.
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
