#!/usr/bin/env python3
"""The Python half of `make test`: for every interpreter, the stub test, the type check and the tests.

Every interpreter is tried even if another failed. The last lines say what passed, which supported Pythons were not
found, and which suites could not run for want of something; the very last one adds up the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import environment
import pythons

if TYPE_CHECKING:
    from pathlib import Path

ROOT = environment.ROOT
RUST_SKIPS = ROOT / "build" / "rust-skips.txt"
"""What Rust tests that could not run have written; see crates/skip."""
TYPED = ["python/onecopy", "python/tests", "python/benchmarks", "examples", "tools"]


@dataclass
class Outcome:
    """What one interpreter's run came to."""

    python: pythons.Python
    failed_step: str = ""
    seconds: float = 0.0
    tests: int = 0
    failures: int = 0
    skips: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """One line for the closing table."""
        verdict = f"FAILED at {self.failed_step}" if self.failed_step else "ok"
        passed = self.tests - self.failures - len(self.skips)
        counts = f"{passed} passed, {self.failures} failed, {len(self.skips)} skipped"
        return f"{self.python.full_version:8} {verdict:20} {counts}, {self.seconds:.0f} s  ({self.python.executable})"


def read_counts(outcome: Outcome, report: Path) -> None:
    """Adds what pytest wrote into its JUnit file."""
    if not report.is_file():
        return
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - our own pytest wrote it
        outcome.tests += 1
        outcome.failures += case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped")
        # An expected failure did run, and would have failed had it passed.
        if skipped is not None and skipped.get("type") != "pytest.xfail":
            outcome.skips.append(f"{case.get('name')}: {skipped.get('message')}")


def steps(python: pythons.Python, venv: Path, report: Path, *, style: bool) -> dict[str, list[str]]:
    """The commands to run, by name, in order; the style checks do not depend on the interpreter: once is enough."""
    tool = venv / "bin"
    checks = {
        "ruff format": [str(tool / "ruff"), "format", "--check", "--quiet", "."],
        "ruff check": [str(tool / "ruff"), "check", "--quiet", "."],
    }
    return {
        **(checks if style else {}),
        "stubtest": [str(tool / "python"), "tools/stubs.py"],
        "mypy": [str(tool / "mypy"), "--cache-dir", f"build/mypy/{python.minor}", *TYPED],
        "pytest": [str(tool / "python"), "-m", "pytest", "-q", f"--junit-xml={report}", *sys.argv[1:]],
    }


def check(python: pythons.Python, *, style: bool) -> Outcome:
    """Builds and checks one interpreter; the first failing step ends its run."""
    outcome = Outcome(python)
    started = time.monotonic()
    report = ROOT / "build" / f"pytest-{python.minor}.xml"
    report.unlink(missing_ok=True)
    step = "build"
    try:
        venv = environment.ensure(python)
        for step, command in steps(python, venv, report, style=style).items():
            print(f"── Python {python.full_version}: {step}", flush=True)
            environment.run(command, PYTHONDONTWRITEBYTECODE="1")
    except environment.EnvironmentFailedError as error:
        print(f"environment: {error}", file=sys.stderr)
        outcome.failed_step = step
    except subprocess.CalledProcessError as error:
        print(f"── {step} failed with {error.returncode}", file=sys.stderr)
        outcome.failed_step = step
    outcome.seconds = time.monotonic() - started
    read_counts(outcome, report)
    return outcome


def close(outcomes: list[Outcome]) -> int:
    """Prints the closing lines; returns the exit code."""
    print("\n── Python " + "─" * 70)
    for outcome in outcomes:
        print(f"  {outcome.summary}")
    tested = {outcome.python.minor for outcome in outcomes}
    for minor in pythons.SUPPORTED:
        if minor not in tested:
            why = "not asked for" if os.environ.get("PYTHONS") else "NOT FOUND"
            print(f"  {minor:8} {why}: NOTHING WAS TESTED ON PYTHON {minor}")
    for outcome in outcomes:
        for skip in outcome.skips:
            print(f"  {outcome.python.minor:8} DID NOT RUN  {skip}")
    rust = RUST_SKIPS.read_text().splitlines() if RUST_SKIPS.is_file() else []
    for skip in rust:
        print(f"  Rust     DID NOT RUN  {skip}")
    print(f"rust: {len(rust)} skipped, which cargo counts as passed")
    passed = sum(outcome.tests - outcome.failures - len(outcome.skips) for outcome in outcomes)
    failed = sum(max(outcome.failures, bool(outcome.failed_step)) for outcome in outcomes)
    print(f"python: {passed} passed, {failed} failed, {sum(len(outcome.skips) for outcome in outcomes)} skipped")
    return 1 if failed else 0


def main() -> int:
    """Runs everything; extra arguments go to pytest."""
    try:
        found = pythons.chosen()
    except pythons.PythonNotFoundError as error:
        print(f"check: {error}", file=sys.stderr)
        return 1
    (ROOT / "build").mkdir(exist_ok=True)
    return close([check(python, style=python is found[-1]) for python in found])


if __name__ == "__main__":
    sys.exit(main())
