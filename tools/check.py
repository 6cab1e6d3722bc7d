#!/usr/bin/env python3
"""The Python half of `make test`: for every interpreter, the stub test, the type check and the tests.

Two interpreters are at work at a time, and every one is tried even if another failed. What all of them would only
repeat is left to the newest (`suites.py`). The last lines say what passed, which supported Pythons were not found, what
was left to the newest, and which suites could not run for want of something; the very last one adds up all tests, those
of Rust too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import environment
import pythons
import rust
import suites

if TYPE_CHECKING:
    from pathlib import Path

ROOT = environment.ROOT
TYPED = ["python/onecopy", "python/tests", "python/benchmarks", "examples", "tools"]
AT_ONCE = 2
"""Interpreters at work side by side: their tests wait for one another's processes half of the time."""


@dataclass
class Outcome:
    """What one interpreter's run came to."""

    python: pythons.Python
    failed_step: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    tests: int = 0
    failures: int = 0
    skips: list[str] = field(default_factory=list)
    left: int = 0
    """Tests that the newest interpreter runs for this one."""

    @property
    def passed(self) -> int:
        """Tests that ran and found nothing."""
        return self.tests - self.failures - len(self.skips)

    @property
    def summary(self) -> str:
        """Lines for the closing table."""
        verdict = f"FAILED at {self.failed_step}" if self.failed_step else "ok"
        counts = f"{self.passed} passed, {self.failures} failed, {len(self.skips)} skipped"
        counts += f", {self.left} left to the newest" if self.left else ""
        steps = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in self.seconds.items())
        return f"{self.python.full_version:8} {verdict:20} {counts}  ({self.python.executable})\n{'':11}{steps}"

    def read(self, report: Path) -> None:
        """Adds what pytest wrote into its JUnit file."""
        if not report.is_file():
            return
        for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - our own pytest wrote it
            self.tests += 1
            self.failures += case.find("failure") is not None or case.find("error") is not None
            skipped = case.find("skipped")
            # An expected failure did run, and would have failed had it passed.
            if skipped is not None and skipped.get("type") != "pytest.xfail":
                self.skips.append(f"{case.get('name')}: {skipped.get('message')}")


@dataclass
class Job:
    """What one interpreter has to do."""

    python: pythons.Python
    is_newest: bool
    torch: pythons.Python | None
    """Who runs the tests of tensors, if that is not each interpreter itself."""

    @property
    def reports(self) -> list[Path]:
        """Where pytest writes, for the tests and for those of tensors."""
        return [ROOT / "build" / f"{kind}-{self.python.minor}.xml" for kind in ("pytest", "tensors")]

    def steps(self, venv: Path) -> dict[str, list[str]]:
        """The commands to run, by name, in order; what does not depend on the interpreter is done once."""
        tool = venv / "bin"
        mypy = [str(tool / "mypy"), "--cache-dir", f"build/mypy/{self.python.minor}"]
        once = {
            "ruff format": [str(tool / "ruff"), "format", "--check", "--quiet", "."],
            "ruff check": [str(tool / "ruff"), "check", "--quiet", "."],
            "mypy": [*mypy, *TYPED],
            f"mypy {pythons.SUPPORTED[0]}": [*mypy, "--python-version", pythons.SUPPORTED[0], *TYPED],
        }
        left = [] if self.is_newest else suites.LEFT_TO_NEWEST
        ignored = [f"--ignore=python/tests/{name}" for name in [*left, *([suites.TENSORS] if self.torch else [])]]
        pytest = ["-m", "pytest", "-q", *sys.argv[1:]]
        return {
            **(once if self.is_newest else {}),
            "stubtest": [str(tool / "python"), "tools/stubs.py"],
            "pytest": [str(tool / "python"), *pytest, f"--junit-xml={self.reports[0]}", *ignored],
        }

    def tensors(self, torch: pythons.Python) -> list[str]:
        """The tests of tensors, by an interpreter that sees torch."""
        python = str(environment.ensure_tensors(torch) / "bin" / "python")
        tests = f"python/tests/{suites.TENSORS}"
        return [python, "-m", "pytest", "-q", f"--junit-xml={self.reports[1]}", tests]

    def run(self) -> Outcome:
        """Builds and checks the interpreter; the first failing step ends its run."""
        outcome = Outcome(self.python)
        for report in self.reports:
            report.unlink(missing_ok=True)
        step = "build"
        started = time.monotonic()

        def done(next_step: str) -> None:
            nonlocal step, started
            outcome.seconds[step] = time.monotonic() - started
            step, started = next_step, time.monotonic()
            environment.say(f"── Python {self.python.full_version}: {step}")

        try:
            profile = environment.RELEASE if self.is_newest else environment.FOR_TESTS
            venv = environment.ensure(self.python, profile)
            for name, command in self.steps(venv).items():
                done(name)
                environment.run(command, PYTHONDONTWRITEBYTECODE="1")
            if self.torch and self.torch.minor == self.python.minor:
                done("tensors")
                environment.run(self.tensors(self.torch), PYTHONDONTWRITEBYTECODE="1")
        except environment.EnvironmentFailedError as error:
            environment.say(f"environment: {error}")
            outcome.failed_step = step
        except subprocess.CalledProcessError as error:
            environment.say(f"── {step} failed with {error.returncode}")
            outcome.failed_step = step
        outcome.seconds[step] = time.monotonic() - started
        for report in self.reports:
            outcome.read(report)
        return outcome

    def run_aside(self) -> Outcome:
        """Runs with the output kept in a file, and shows it when all is over."""
        log = ROOT / "build" / f"check-{self.python.minor}.log"
        print(f"── Python {self.python.full_version}: begins; what it says is in {log.relative_to(ROOT)}", flush=True)
        with log.open("w+") as out:
            environment.output.set(out)
            outcome = self.run()
            out.seek(0)
            print(out.read(), end="", flush=True)
        return outcome


def run_all(jobs: list[Job]) -> list[Outcome]:
    """The newest first, which has the most to do; in the order of the versions."""
    if len(jobs) == 1:
        return [jobs[0].run()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(job.run_aside) for job in reversed(jobs)]
    outcomes = [run.result() for run in reversed(runs)]
    left = suites.count_left(jobs[-1].reports[0])
    for outcome in outcomes[:-1]:
        outcome.left = left
    return outcomes


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
    if len(outcomes) > 1:
        newest = outcomes[-1].python.minor
        for name, reason in suites.LEFT_TO_NEWEST.items():
            print(f"  only on {newest}: {name}: {reason}")
    for outcome in outcomes:
        for skip in outcome.skips:
            print(f"  {outcome.python.minor:8} DID NOT RUN  {skip}")
    passed, failed, skips = rust.counts()
    for skip in skips:
        print(f"  Rust     DID NOT RUN  {skip}")
    print(f"  Rust     {passed} passed, {failed} failed, {len(skips)} skipped")
    passed += sum(outcome.passed for outcome in outcomes)
    failed += sum(max(outcome.failures, bool(outcome.failed_step)) for outcome in outcomes)
    skipped = len(skips) + sum(len(outcome.skips) for outcome in outcomes)
    print(f"all: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def main() -> int:
    """Runs everything; extra arguments go to pytest."""
    try:
        found = sorted(pythons.chosen(), key=lambda python: python.version)
    except pythons.PythonNotFoundError as error:
        print(f"check: {error}", file=sys.stderr)
        return 1
    (ROOT / "build").mkdir(exist_ok=True)
    torch = pythons.with_torch({python.minor for python in found})
    return close(run_all([Job(python, python is found[-1], torch) for python in found]))


if __name__ == "__main__":
    sys.exit(main())
