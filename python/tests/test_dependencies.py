"""The check of what the project is built from finds what it is there for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import dependencies


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("MIT/Apache-2.0", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-3.0-only) AND Apache-2.0 WITH LLVM-exception", True),
        ("MIT AND GPL-3.0-only OR Apache-2.0", False),
        ("GPL-3.0-only AND (MIT", False),
        ("", False),
    ],
)
def test_licences_are_read_as_spdx_expressions(expression: str, is_allowed: bool) -> None:
    allowed = {"MIT", "Apache-2.0 WITH LLVM-exception"}
    assert dependencies.is_allowed(expression, allowed) is is_allowed
