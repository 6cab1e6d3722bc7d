"""Runs manager_suite.py, and says what failed that should not, or passed that should not."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

SUITE = Path(__file__).with_name("manager_suite.py")


def exemptions() -> set[str]:
    """The names in EXEMPT, without importing a file that installs a Manager."""
    tree = ast.parse(SUITE.read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(to, "id", "") == "EXEMPT" for to in node.targets):
            return set(ast.literal_eval(node.value))
    raise AssertionError("no EXEMPT")


def check(method: str) -> None:
    """Runs all tests of Managers under a start method."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(SUITE), method],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert run.stdout, run.stderr[-4000:]
    outcome = json.loads(run.stdout.splitlines()[-1])
    failed = dict(outcome["failed"])
    expected = exemptions()
    unexpected = {name: text for name, text in failed.items() if name not in expected}
    assert not unexpected, "\n".join([*unexpected, *unexpected.values()])
    assert set(failed) == expected
    assert outcome["run"] - outcome["skipped"] > 40
