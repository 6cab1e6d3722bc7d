"""Which suites do not run on every interpreter, and why."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TENSORS = "test_tensors.py"
"""Needs torch. Where only the system's Python sees one, an environment over it runs these tests, and these alone."""

LEFT_TO_NEWEST: dict[str, str] = {
    "test_cli.py": "the command is Rust; what it measures of each interpreter is in test_meter.py",
    "test_dependencies.py": "reads files",
    "test_docs.py": "the documents; what their examples use is tested on every interpreter",
    "test_hostile.py": "files and folders are opened by Rust, and by Python that only calls the kernel",
    "test_layers.py": "reads sources",
    "test_manager_programs.py": "programs over what test_sync.py and test_manager_suite.py test on every interpreter",
    "test_manager_suite_spawned.py": "the same tests as test_manager_suite.py, under start methods that take longer",
    "test_torture_waiting.py": "what it kills is in the store, which is Rust; test_sync.py kills on every interpreter",
    "test_question.py": "an example over share() and multiprocessing, which are tested on every interpreter",
}
"""Suites whose code under test is the same whatever the interpreter, with what that code is."""


def count_left(report: Path) -> int:
    """How many tests the newest interpreter ran for the others."""
    if not report.is_file():
        return 0
    modules = {name.removesuffix(".py") for name in LEFT_TO_NEWEST}
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314 - our own pytest wrote it
    return sum((case.get("classname") or "").rpartition(".")[2] in modules for case in cases)
