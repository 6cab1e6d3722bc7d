"""CPython's tests of Managers with ours in the place of the standard one, under fork."""

from __future__ import annotations

import pytest

from manager_suites import check

pytest.importorskip("test._test_multiprocessing", reason="this interpreter comes without CPython's own tests")


def test_cpythons_own_tests_of_managers_pass() -> None:
    check("fork")
