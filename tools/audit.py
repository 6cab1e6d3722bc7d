#!/usr/bin/env python3
"""Asks the databases of known vulnerabilities about everything that is pinned: cargo-deny and pip-audit.

Needs a network: the RustSec database is a git repository, and pip-audit asks the package index. Both tools are
installed below build/. What could not be asked fails the audit: no answer is no good news.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "build" / "audit"
CARGO_DENY = "0.20.2"
PIP_AUDIT = "2.10.1"
NOT_ASKED = "not found on PyPI and could not be audited"
"""What pip-audit says of a package that the index gave no answer about."""


def install() -> None:
    """Installs both tools, pinned, unless they are there."""
    if not (TOOLS / "bin" / "cargo-deny").is_file():
        print(f"── installing cargo-deny {CARGO_DENY}, which takes some minutes", flush=True)
        command = ["cargo", "install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--root", str(TOOLS)]
        subprocess.run(command, check=True)
    if not (TOOLS / "venv" / "bin" / "pip-audit").is_file():
        print(f"── installing pip-audit {PIP_AUDIT}", flush=True)
        venv.create(TOOLS / "venv", with_pip=True)
        pip = [str(TOOLS / "venv" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, f"pip-audit=={PIP_AUDIT}"], check=True)


def rust() -> bool:
    """Whether cargo-deny knows nothing against the crates: sources, licences, bans, advisories."""
    deny = [str(TOOLS / "bin" / "cargo-deny"), "--workspace", "check"]
    # Apart, so that all that needs no database of advisories is checked without one.
    parts = [["bans", "licenses", "sources"], ["advisories"]]
    answers = [subprocess.run([*deny, *part], cwd=ROOT, check=False).returncode for part in parts]
    return answers == [0, 0]


def python() -> bool:
    """Whether pip-audit knows nothing against the packages, and was answered about each."""
    command = [str(TOOLS / "venv" / "bin" / "pip-audit"), "--no-deps", "--disable-pip", "-r", "requirements-dev.txt"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(run.stdout, run.stderr, sep="", end="", flush=True)
    return run.returncode == 0 and NOT_ASKED not in run.stdout


def main() -> int:
    """Runs both; returns the exit code."""
    install()
    passed = {"crates": rust(), "packages": python()}
    for what, ok in passed.items():
        print(f"{what}: {'nothing known' if ok else 'FAILED, OR COULD NOT BE ASKED; see above'}")
    return 0 if all(passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
