#!/usr/bin/env python3
"""Compares the stub of the extension with the extension itself, as mypy's `stubtest` does.

What everybody names is declared in `containers.pyi`, `errors.pyi` and `views.pyi`, beside the modules that hand it on.
Other parts of the stub are in `python/onecopy/_stubs/`, modules that exist for type checkers only. `stubtest` checks a
name where it is defined, and never where it is only passed on. So each of these parts gets a module at hand that has
what the extension has of its names.
"""

from __future__ import annotations

import ast
import sys
import types
from pathlib import Path

from mypy import stubtest

import onecopy._onecopy as extension
from onecopy import views

PUBLIC = ["onecopy._onecopy", "onecopy.containers", "onecopy.errors", "onecopy.views"]
PACKAGE = Path(__file__).resolve().parent.parent / "python" / "onecopy"


def names(stub: Path) -> list[str]:
    """What a stub declares."""
    body = ast.parse(stub.read_text()).body
    return [node.name for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]


def forget_missing() -> None:
    """Takes away what stands in the place of methods that views do not have, and only raises errors."""
    for name in views.__all__:
        view = getattr(views, name)
        for method, value in list(vars(view).items()):
            if type(value).__name__ in {"Absent", "Missing"}:
                delattr(view, method)


def main() -> int:
    """Returns stubtest's exit code; extra arguments go to it."""
    forget_missing()
    parts = sorted((PACKAGE / "_stubs").glob("[!_]*.pyi"))
    modules = [f"onecopy._stubs.{part.stem}" for part in parts]
    # Whatever an older release of the tool would import is found in place.
    sys.modules["onecopy._stubs"] = types.ModuleType("onecopy._stubs")
    for module, part in zip(modules, parts, strict=True):
        stand_in = types.ModuleType(module)
        for name in names(part):
            if hasattr(extension, name):
                setattr(stand_in, name, getattr(extension, name))
        sys.modules[module] = stand_in
    return stubtest.test_stubs(stubtest.parse_options([*PUBLIC, *modules, *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(main())
