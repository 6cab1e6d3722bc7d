#!/usr/bin/env python3
"""What the project is built from, checked without a network: every crate and every package is pinned and may be used.

`make audit` asks the databases of known vulnerabilities as well, which needs one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOKEN = re.compile(r"\(|\)|[^\s()]+(?: WITH [^\s()]+)?")


def is_allowed(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met with allowed licences; AND binds closer than OR (SPDX 2.3, Annex D)."""
    # Older crates have a slash for OR.
    tokens: list[str] = TOKEN.findall(expression.replace("/", " OR "))

    def either() -> bool:
        found = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            found = both() or found
        return found

    def both() -> bool:
        found = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            found = one() and found
        return found

    def one() -> bool:
        first = tokens.pop(0) if tokens else ""
        if first != "(":
            return first in allowed
        found = either()
        return bool(tokens) and tokens.pop(0) == ")" and found

    return either() and not tokens


def crates() -> list[dict[str, Any]]:
    """All crates of the lock file, as cargo knows them."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--all-features"]
    metadata = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    packages: list[dict[str, Any]] = json.loads(metadata)["packages"]
    return packages


def faults_of_crates() -> list[str]:
    """Crates that do not come from one registry, without a checksum, or with a licence that is not allowed."""
    allowed = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(package["name"], package["version"]) for package in locked if "checksum" in package}
    found = crates()
    # Whichever mirror serves it, cargo writes the default registry (the Cargo book, Source Replacement).
    sources = sorted({crate["source"] for crate in found if crate["source"]})
    faults = [] if len(sources) == 1 else [f"crates come from several places: {', '.join(sources)}"]
    for crate in found:
        name = f"{crate['name']} {crate['version']}"
        if crate["source"] is None and Path(crate["manifest_path"]).is_relative_to(ROOT):
            continue
        if not (crate["source"] or "").startswith("registry+"):
            faults.append(f"{name}: comes from {crate['source'] or crate['manifest_path']}, not from a registry")
        if (crate["name"], crate["version"]) not in checksums:
            faults.append(f"{name}: Cargo.lock has no checksum of it")
        if not is_allowed(crate["license"] or "", allowed):
            faults.append(f"{name}: its licence is {crate['license']}, which deny.toml does not allow")
    return faults


def faults_of_packages() -> list[str]:
    """Lines of the requirements that leave a choice."""
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    return [f"{line}: not an exact version" for line in wanted if not re.fullmatch(r"[\w.-]+==[\w.]+", line)]


def main() -> int:
    """Prints the faults; returns the exit code."""
    faults = [*faults_of_crates(), *faults_of_packages()]
    for fault in faults:
        print(f"dependencies: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
