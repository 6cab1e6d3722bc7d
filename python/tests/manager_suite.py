"""CPython's own tests of Managers, run with ours: `python manager_suite.py START_METHOD`, the outcome as JSON.

A program of its own: the processes that the tests start import it as their main module.
"""

from __future__ import annotations

import json
import sys
import unittest
from typing import Any

import onecopy.multiprocessing

onecopy.multiprocessing.install()

from test import _test_multiprocessing as suite  # noqa: E402 - it takes names from `multiprocessing`

EXEMPT = {
    "WithManagerTestEvent.test_repr": "a proxy's repr names its server's type; ours names the class",
    "WithManagerTestContainers.test_dict_iter": "a dict that changes ends its iterators by RuntimeError; "
    "a Dict's go over the keys of one moment, since others may change it at any time",
}
"""What is not as in the standard library, with the reason."""

METHOD = sys.argv[1] if len(sys.argv) > 1 else "fork"

suite.install_tests_in_module_dict(globals(), METHOD)


def classes() -> list[type[unittest.TestCase]]:
    """The classes that test a Manager."""
    found: list[Any] = list(globals().values())
    return [one for one in found if isinstance(one, type) and issubclass(one, suite.ManagerMixin)]


def main() -> None:
    """Runs them, and prints what came of it."""
    globals()["setUpModule"]()
    loader = unittest.TestLoader()
    tests = unittest.TestSuite(loader.loadTestsFromTestCase(one) for one in classes())
    result = unittest.TextTestRunner(stream=sys.stderr).run(tests)
    globals()["tearDownModule"]()
    failed = [(str(test.id()).partition(".")[2], text) for test, text in [*result.failures, *result.errors]]
    print(json.dumps({"run": result.testsRun, "skipped": len(result.skipped), "failed": failed}))


if __name__ == "__main__":
    main()
