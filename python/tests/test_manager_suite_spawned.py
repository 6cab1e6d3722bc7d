"""The same as test_manager_suite.py under the start methods that import the main module anew, which take longer."""

from __future__ import annotations

import pytest

from manager_suites import check

pytest.importorskip("test._test_multiprocessing", reason="this interpreter comes without CPython's own tests")


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_cpythons_own_tests_of_managers_pass(method: str) -> None:
    check(method)
