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
    "test_container_machines.py": "any order of what test_dict.py, test_list_container.py … do on every interpreter",
    "test_dependencies.py": "reads files",
    "test_docs.py": "the documents; what their examples use is tested on every interpreter",
    "test_fuzz.py": "damaged bytes are found by Rust; test_file.py damages files on every interpreter",
    "test_hostile.py": "files and folders are opened by Rust, and by Python that only calls the kernel",
    "test_inspect.py": "the command is Rust, and reads what the core has written",
    "test_large_values.py": "large values are objects of the store, which is Rust; test_references.py has such objects",
    "test_layers.py": "reads sources",
    "test_manager_libraries.py": "programs over what test_sync.py and test_manager_suite.py test on every interpreter",
    "test_manager_programs.py": "programs over what test_sync.py and test_manager_suite.py test on every interpreter",
    "test_manager_suite_spawned.py": "the same tests as test_manager_suite.py, under start methods that take longer",
    "test_models.py": "other packages over what test_array.py and test_tokens.py test on every interpreter",
    "test_pytest_plugin.py": "plain Python over the meter, which test_assert_shared.py tests on every interpreter",
    "test_question.py": "an example over share() and multiprocessing, which are tested on every interpreter",
    "test_torture.py": "what it kills is in the store, which is Rust; test_lifetime.py kills on every interpreter",
    "test_torture_waiting.py": "what it kills is in the store, which is Rust; test_sync.py kills on every interpreter",
    "test_types.py": "types do not depend on the interpreter; mypy reads them for the oldest and the newest",
    "test_users.py": "whose a store is, Rust asks the kernel",
    "test_watch.py": "the sampler is Rust; test_fork_handlers.py and test_meter.py run on every interpreter",
}
"""Suites whose code under test is the same whatever the interpreter, with what that code is."""


def count_left(report: Path) -> int:
    """How many tests the newest interpreter ran for the others."""
    if not report.is_file():
        return 0
    modules = {name.removesuffix(".py") for name in LEFT_TO_NEWEST}
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314 - our own pytest wrote it
    return sum((case.get("classname") or "").rpartition(".")[2] in modules for case in cases)
