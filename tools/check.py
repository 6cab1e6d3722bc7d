#!/usr/bin/env python3
"""The Python half of `make test`: for every interpreter, the stub test, the type check and the tests.

Two steps are done at a time, and every one is tried even if another failed. The suites of an interpreter are run in
parts, by a process each: one process for all would grow to a gigabyte, which makes each fork and each collection slow.
What all interpreters would only repeat is left to the newest (`suites.py`). The last lines say what passed, which
supported Pythons were not found, what was left to the newest, and which suites could not run for want of something; the
very last one adds up all tests, those of Rust too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
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
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

ROOT = environment.ROOT
TYPED = ["python/onecopy", "python/tests", "python/benchmarks", "examples", "tools"]
BUILD = ROOT / "build"
SUITES = ROOT / "python" / "tests"
AT_ONCE = 2
"""Steps that are done side by side: tests wait for one another's processes half of the time."""
PARTS = 8
"""Processes that run the suites of one interpreter, one after the other."""
NO_TESTS = 5
"""What pytest exits with if there was nothing to run."""


@dataclass
class Outcome:
    """What one interpreter's run came to."""

    python: pythons.Python
    failed_steps: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """By kind of step: what several parts of the tests took is added up."""
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
        verdict = f"FAILED at {', '.join(self.failed_steps)}" if self.failed_steps else "ok"
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
    outcome: Outcome = field(init=False)

    def __post_init__(self) -> None:
        """Begins with nothing, whatever an earlier run has left."""
        self.outcome = Outcome(self.python)
        for report in self.reports:
            report.unlink()

    @property
    def reports(self) -> list[Path]:
        """What pytest has written, one for each part of the tests."""
        return sorted(BUILD.glob(f"pytest-{self.python.minor}-*.xml"))

    def build(self) -> dict[str, list[str]]:
        """Makes the environment; the commands to run then, by name. None, if it cannot be made."""
        commands: dict[str, list[str]] = {}

        def build() -> None:
            profile = environment.RELEASE if self.is_newest else environment.FOR_TESTS
            commands.update(self.commands(environment.ensure(self.python, profile) / "bin"))

        self.step("build", build)
        return commands

    def commands(self, tool: Path) -> dict[str, list[str]]:
        """The commands to run, by name; what does not depend on the interpreter is done once."""
        mypy = [str(tool / "mypy"), "--cache-dir", f"build/mypy/{self.python.minor}"]
        once = {
            "ruff format": [str(tool / "ruff"), "format", "--check", "--quiet", "."],
            "ruff check": [str(tool / "ruff"), "check", "--quiet", "."],
            "mypy": [*mypy, *TYPED],
            f"mypy {pythons.SUPPORTED[0]}": [*mypy, "--python-version", pythons.SUPPORTED[0], *TYPED],
        }
        return {
            **(once if self.is_newest else {}),
            "stubtest": [str(tool / "python"), "tools/stubs.py"],
            **{f"pytest {part}": self.pytest(tool, part, files) for part, files in enumerate(self.parts(), 1)},
        }

    def parts(self) -> list[list[str]]:
        """The suites, in parts that are run by processes of their own."""
        away = [] if self.is_newest else [*suites.LEFT_TO_NEWEST]
        away += [suites.TENSORS] if self.torch else []
        files = [str(path) for path in sorted(SUITES.glob("test_*.py")) if path.name not in away]
        return [files[part::PARTS] for part in range(PARTS)]

    def pytest(self, tool: Path, part: object, files: list[str]) -> list[str]:
        """The command that runs some suites."""
        report = BUILD / f"pytest-{self.python.minor}-{part}.xml"
        return [str(tool / "python"), "-m", "pytest", "-q", *sys.argv[1:], f"--junit-xml={report}", *files]

    def tensors(self) -> None:
        """The tests of tensors, by an interpreter that sees torch."""
        if self.torch:
            tool = environment.ensure_tensors(self.torch) / "bin"
            environment.run(self.pytest(tool, "tensors", [str(SUITES / suites.TENSORS)]), PYTHONDONTWRITEBYTECODE="1")

    def run(self, name: str, command: list[str]) -> None:
        """Runs a command as a step."""
        self.step(name, lambda: environment.run(command, PYTHONDONTWRITEBYTECODE="1"))

    def step(self, name: str, work: Callable[[], None]) -> None:
        """Does a step, whose output is shown when it has ended; a failure is written down."""
        title = f"── Python {self.python.full_version}: {name}"
        print(f"{title}: begins", flush=True)
        started = time.monotonic()
        with tempfile.TemporaryFile("w+") as out:
            environment.output.set(out)
            verdict = "ok"
            try:
                work()
            except environment.EnvironmentFailedError as error:
                verdict = f"FAILED: {error}"
            except subprocess.CalledProcessError as error:
                # Somebody may have asked for tests that only some parts have.
                if not (sys.argv[1:] and error.returncode == NO_TESTS):
                    verdict = f"FAILED with {error.returncode}"
            seconds = time.monotonic() - started
            out.seek(0)
            print(f"{title}: {verdict}, {seconds:.0f} s\n{out.read()}", end="", flush=True)
        if verdict != "ok":
            self.outcome.failed_steps.append(name)
        kind = name.split(maxsplit=1)[0]
        self.outcome.seconds[kind] = self.outcome.seconds.get(kind, 0) + seconds


def build_and_submit(jobs: list[Job], pool: ThreadPoolExecutor) -> list[Future[None]]:
    """Builds for one interpreter after the other; what each has to do then waits in the pool's queue."""
    futures: list[Future[None]] = []
    for job in jobs:
        commands = job.build()
        futures += [pool.submit(job.run, name, command) for name, command in commands.items()]
        if commands and job.torch and job.torch.minor == job.python.minor:
            futures.append(pool.submit(job.step, "tensors", job.tensors))
    return futures


def run_all(jobs: list[Job]) -> list[Outcome]:
    """Runs everything. The newest, whose profile is its own, is built beside the others."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        builders = [pool.submit(build_and_submit, some, pool) for some in ([jobs[-1]], jobs[-2::-1])]
        for builder in builders:
            for step in builder.result():
                step.result()
    left = sum(suites.count_left(report) for report in jobs[-1].reports)
    for job in jobs:
        for report in job.reports:
            job.outcome.read(report)
        job.outcome.left = 0 if job.is_newest else left
    return [job.outcome for job in jobs]


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
    failed += sum(max(outcome.failures, len(outcome.failed_steps)) for outcome in outcomes)
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
    BUILD.mkdir(exist_ok=True)
    torch = pythons.with_torch({python.minor for python in found})
    return close(run_all([Job(python, python is found[-1], torch) for python in found]))


if __name__ == "__main__":
    sys.exit(main())
