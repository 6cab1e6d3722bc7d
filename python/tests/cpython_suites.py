"""Runs CPython's own test suites for sequences against views.

The suites make their objects by calling `type2test`. Here that shares the argument, so every assertion of the suite is
made about a view. What cannot hold for a view is listed by name with its reason and the exception that shows it; such a
test still runs, and its passing, or its failing in another way, is an error: the list can only shrink on purpose.
"""

from __future__ import annotations

import sys
import unittest
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Exempt:
    """Why one of CPython's tests cannot pass for a view, and how it fails."""

    reason: str
    raises: tuple[type[BaseException], ...]


def mutates(how: str) -> Exempt:
    """A test that changes its object, which no view allows."""
    return Exempt(f"changes the sequence ({how}); a view is read-only", (TypeError, AttributeError))


def require_full_test_package() -> None:
    """Skips the calling module loudly where CPython's tests are not installed."""
    try:
        import test.list_tests
        import test.seq_tests  # noqa: F401
    except ImportError:
        minor = f"{sys.version_info.major}.{sys.version_info.minor}"
        pytest.skip(
            f"CPython's own sequence tests: this Python has a stub of the `test` package. "
            f"Debian, Ubuntu: apt install libpython{minor}-testsuite",
            allow_module_level=True,
        )


def names_in(suite: type[unittest.TestCase]) -> list[str]:
    """The names of a suite's tests on this version of Python."""
    return list(unittest.TestLoader().getTestCaseNames(suite))


def adopt(
    suite: type[unittest.TestCase], type2test: Any, exempt: dict[str, Exempt], **instead: Any
) -> type[unittest.TestCase]:
    """The suite as a class of its own, with the exempt tests expected to fail as listed, and some tests replaced."""
    body: dict[str, Any] = {"type2test": type2test, "__doc__": suite.__doc__, **instead}
    for name, why in exempt.items():
        inherited = getattr(suite, name, None)
        if inherited is not None:  # not every version has every test
            body[name] = pytest.mark.xfail(reason=why.reason, raises=why.raises, strict=True)(renamed(name))
    adopted: type[unittest.TestCase] = type(suite.__name__, (suite,), body)
    return adopted


def renamed(name: str) -> Any:
    """A method that calls the inherited one; a mark on the inherited function itself would reach other suites."""

    def method(self: unittest.TestCase) -> None:
        # The first base is the suite; the class itself was made by `adopt`.
        getattr(type(self).__bases__[0], name)(self)

    method.__name__ = name
    return method
