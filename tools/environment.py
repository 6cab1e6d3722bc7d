#!/usr/bin/env python3
"""Builds the package for an interpreter: a virtual environment, the pinned requirements, the extension.

`environment.py develop` does it for the newest Python and leaves it at `.venv`; `environment.py each` does it for all
of them. Each environment lives in `build/venv/3.X`. Two stamps make a second run quick: `.ready` (which interpreter and
requirements) and `.extension` (which Rust sources). One cargo target folder serves all interpreters, because the core,
the meter and the command are then compiled once; only PyO3 and the binding crate are compiled again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pythons

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements-dev.txt"
PACKAGE = ROOT / "python" / "onecopy"
RUST_SOURCES = ("*.rs", "*.toml", "*.txt", "*.md", "*.bin")


class EnvironmentFailedError(Exception):
    """An environment could not be made; the message says what to do."""


def digest(*parts: str | bytes) -> str:
    """One hash over all parts, for a stamp."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()


def rust_digest() -> str:
    """A hash over everything the extension is built from."""
    files = [ROOT / name for name in ("Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "pyproject.toml", "README.md")]
    files += [path for pattern in RUST_SOURCES for path in (ROOT / "crates").rglob(pattern)]
    return digest(*(part for path in sorted(files) if path.is_file() for part in (str(path), path.read_bytes())))


def location(python: pythons.Python) -> Path:
    """Where the environment of this interpreter lives."""
    return ROOT / "build" / "venv" / python.minor


def run(command: list[str], **variables: str) -> None:
    """Runs a step in the project's root, its output going where ours goes."""
    subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=True)


def ensure_venv(python: pythons.Python) -> Path:
    """Makes the environment and installs the requirements, unless its stamp says that it is done."""
    venv = location(python)
    ready = venv / ".ready"
    wanted = digest(python.full_version, python.executable, str(venv), REQUIREMENTS.read_bytes())
    if ready.is_file() and ready.read_text() == wanted:
        return venv
    shutil.rmtree(venv, ignore_errors=True)
    advice = (
        f"{python.executable} cannot make a virtual environment. Debian and Ubuntu keep that part apart:\n"
        f"    apt install python{python.minor}-venv"
    )
    if not python.has_venv:
        raise EnvironmentFailedError(advice)
    print(f"── Python {python.full_version}: environment in {venv.relative_to(ROOT)}", flush=True)
    try:
        run([python.executable, "-m", "venv", str(venv)])
    except subprocess.CalledProcessError as error:
        raise EnvironmentFailedError(advice) from error
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run([*pip, "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--requirement", str(REQUIREMENTS)])
    run([*pip, "check"])
    ready.write_text(wanted)
    return venv


def ensure_extension(python: pythons.Python, venv: Path) -> None:
    """Builds the extension and links the package into the environment, unless neither changed."""
    stamp = venv / ".extension"
    wanted = digest(rust_digest(), python.full_version)
    tag = python.minor.replace(".", "")
    built = list(PACKAGE.glob(f"_onecopy.cpython-{tag}-*.so"))
    if built and stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"── Python {python.full_version}: building the extension", flush=True)
    # PYO3_PYTHON from outside would win over the environment's own interpreter.
    os.environ.pop("PYO3_PYTHON", None)
    bin_folder = venv / "bin"
    run(
        [str(bin_folder / "maturin"), "develop", "--release", "--quiet", "--locked"],
        VIRTUAL_ENV=str(venv),
        PATH=f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}",
    )
    stamp.write_text(wanted)


def ensure(python: pythons.Python) -> Path:
    """A ready environment with the package in it."""
    venv = ensure_venv(python)
    ensure_extension(python, venv)
    return venv


def develop() -> None:
    """Leaves `.venv`, made from the newest Python that was found (or the first one that $PYTHONS names)."""
    found = pythons.chosen()
    python = found[0] if os.environ.get("PYTHONS") else found[-1]
    venv = ensure(python)
    link = ROOT / ".venv"
    if link.is_dir() and not link.is_symlink():
        raise EnvironmentFailedError(f"{link} is a folder that was not made by `make develop`: move it away")
    link.unlink(missing_ok=True)
    link.symlink_to(venv.relative_to(ROOT))
    print(f".venv: Python {python.full_version}, with `onecopy` importable and .venv/bin/onecopy", flush=True)


def each() -> None:
    """Makes every environment."""
    for python in pythons.chosen():
        ensure(python)


def main() -> int:
    """Runs the command that the Makefile names."""
    commands: dict[str, Callable[[], None]] = {"develop": develop, "each": each}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:  # noqa: PLR2004 - the program's name and one word
        print(f"usage: environment.py {'|'.join(commands)}", file=sys.stderr)
        return 2
    try:
        commands[sys.argv[1]]()
    except (pythons.PythonNotFoundError, EnvironmentFailedError) as error:
        print(f"environment: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"environment: {' '.join(error.cmd[:4])} … failed with {error.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
