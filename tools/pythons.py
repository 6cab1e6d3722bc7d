#!/usr/bin/env python3
"""Finds the supported Pythons of this machine: `python3 tools/pythons.py` prints them, and which are missing.

A name on PATH proves nothing: pyenv puts a `python3.12` there that only prints "command not found", Debian's Python has
a stub of the `test` package, and several names may lead to one interpreter. So every candidate is run, duplicates are
told apart by version and real path, and among several of one minor version the most complete one is taken.

`PYTHONS="3.11 /opt/python/bin/python3.14"` names versions or paths instead; then a missing one is an error.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")

# Runs in the candidate, which may be any Python at all: old syntax only. A virtual environment stands for its base.
PROBE = """
import importlib.util, json, platform, sys, sysconfig
def has(name):
    try:
        __import__(name)
    except Exception:
        return False
    return True
print(json.dumps({
    "implementation": platform.python_implementation(),
    "version": list(sys.version_info[:3]),
    "executable": getattr(sys, "_base_executable", sys.executable) or sys.executable,
    "has_venv": has("venv") and has("ensurepip"),
    "has_test": has("test.list_tests"),
    "has_torch": importlib.util.find_spec("torch") is not None,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
}))
"""


class PythonNotFoundError(Exception):
    """No Python, or not every Python that was asked for, could be found."""


@dataclass(frozen=True)
class Python:
    """One interpreter that was run and answered."""

    version: tuple[int, int, int]
    executable: str
    has_venv: bool
    has_test: bool
    has_torch: bool = False

    @property
    def minor(self) -> str:
        """The version without its patch level, such as `3.12`."""
        return "{}.{}".format(*self.version)

    @property
    def full_version(self) -> str:
        """The version with its patch level, such as `3.12.1`."""
        return "{}.{}.{}".format(*self.version)

    @property
    def completeness(self) -> tuple[bool, bool, tuple[int, int, int]]:
        """Orders interpreters of one minor version: the greater, the more can be tested with it."""
        return (self.has_venv, self.has_test, self.version)


@functools.cache
def probe(candidate: str) -> Python | None:
    """Runs one candidate; None when it is no working CPython that the project supports."""
    try:
        run = subprocess.run(
            [candidate, "-I", "-c", PROBE], capture_output=True, text=True, timeout=60, check=True, cwd="/"
        )
        answer = json.loads(run.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if answer["implementation"] != "CPython" or answer["free_threaded"]:
        return None
    major, minor, patch = answer["version"]
    return Python(
        (major, minor, patch), answer["executable"], answer["has_venv"], answer["has_test"], answer["has_torch"]
    )


def candidates() -> list[str]:
    """Every file that may be a supported interpreter: PATH first, then pyenv's versions folder."""
    names = [f"python{minor}" for minor in SUPPORTED] + ["python3", "python"]
    found = [Path(folder) / name for folder in os.environ.get("PATH", "").split(os.pathsep) if folder for name in names]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found += sorted(pyenv.glob("versions/*/bin/python"))
    return [str(path) for path in found if os.access(path, os.X_OK) and path.is_file()]


def with_torch(minors: Container[str]) -> Python | None:
    """An interpreter of one of these versions that sees torch; Debian's torch is for Debian's Python alone."""
    found = (probe(candidate) for candidate in candidates())
    return next((python for python in found if python and python.has_torch and python.minor in minors), None)


def installed() -> dict[str, Python]:
    """The best interpreter of each supported minor version, oldest first."""
    best: dict[str, Python] = {}
    probed: dict[str, Python | None] = {}
    for candidate in candidates():
        real = os.path.realpath(candidate)
        # A pyenv shim is one script under many names, and which Python it starts depends on the name.
        key = candidate if "shims" in Path(candidate).parts else real
        if key in probed:
            continue
        python = probed[key] = probe(candidate)
        if python is None or python.minor not in SUPPORTED:
            continue
        if python.minor not in best or python.completeness > best[python.minor].completeness:
            best[python.minor] = python
    return {minor: best[minor] for minor in SUPPORTED if minor in best}


def chosen(wanted: str | None = None) -> list[Python]:
    """The interpreters to work with: those that `wanted` (by default $PYTHONS) names, or all that are installed."""
    names = (os.environ.get("PYTHONS", "") if wanted is None else wanted).split()
    found = installed()
    if not names:
        if not found:
            raise PythonNotFoundError(
                f"no CPython {SUPPORTED[0]} to {SUPPORTED[-1]} on PATH or in pyenv's versions folder: "
                "install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: PYTHONS=/path/to/python"
            )
        return list(found.values())
    pythons = []
    for name in names:
        python = probe(name) if os.sep in name else found.get(name)
        if python is None or python.minor not in SUPPORTED:
            where = "does not run or is not supported" if os.sep in name else "is not installed"
            raise PythonNotFoundError(f"PYTHONS names {name}, which {where}; supported: {', '.join(SUPPORTED)}")
        pythons.append(python)
    return pythons


def main() -> int:
    """Prints what was found and what was not; with `newest`, the path of the newest only."""
    try:
        pythons = chosen()
    except PythonNotFoundError as error:
        print(f"pythons: {error}", file=sys.stderr)
        return 1
    if sys.argv[1:] == ["newest"]:
        print(pythons[-1].executable)
        return 0
    for python in pythons:
        notes = [] if python.has_test else ["no full `test` package"]
        notes += [] if python.has_venv else ["no venv"]
        print(f"{python.full_version:8} {python.executable}{'  (' + ', '.join(notes) + ')' if notes else ''}")
    for minor in SUPPORTED:
        if minor not in {python.minor for python in pythons}:
            print(f"{minor:8} not found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
