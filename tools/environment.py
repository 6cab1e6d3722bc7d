#!/usr/bin/env python3
"""Builds the package for an interpreter: a virtual environment, the pinned requirements, the extension.

`environment.py develop` does it for the newest Python and leaves it at `.venv`; `environment.py each` does it for all
of them. Each environment lives in `build/venv/3.X`. Two stamps make a second run quick: `.ready` (which interpreter and
requirements) and `.extension` (which Rust sources and profile). One cargo target folder for each profile serves all
interpreters, because the core, the meter and the command are then compiled once; only PyO3 and the binding crate are
compiled again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pythons

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements-dev.txt"
PACKAGE = ROOT / "python" / "onecopy"
PYTEST = ("pytest", "pytest-timeout", "iniconfig", "packaging", "pluggy", "Pygments")
"""What runs tests beside packages of the system's, which are not replaced."""
RELEASE, FOR_TESTS = "release", "test-extension"
"""Profiles of Cargo.toml: what people get and benchmarks measure, and what is built sooner."""
BUILDING = {RELEASE: threading.Lock(), FOR_TESTS: threading.Lock()}
"""maturin takes what cargo has left in the target folder: one build at a time in each."""
RUST_SOURCES = ("*.rs", "*.toml", "*.txt", "*.md", "*.bin")


output: ContextVar[IO[str] | None] = ContextVar("output", default=None)
"""Where this thread's steps write: a file of its own while several interpreters are at work."""


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
    files += [path for pattern in RUST_SOURCES for path in (ROOT / "crates").rglob(pattern) if not is_test(path)]
    return digest(*(part for path in sorted(files) if path.is_file() for part in (str(path), path.read_bytes())))


def is_test(path: Path) -> bool:
    """Whether it lies in a crate's folder of tests, of which nothing is built into the extension."""
    return path.relative_to(ROOT / "crates").parts[1] == "tests"


def location(python: pythons.Python) -> Path:
    """Where the environment of this interpreter lives."""
    return ROOT / "build" / "venv" / python.minor


def run(command: list[str], **variables: str) -> None:
    """Runs a step in the project's root, its output going where ours goes."""
    out = output.get()
    subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=True, stdout=out, stderr=out)


def say(text: str) -> None:
    """A line among the output of the steps."""
    print(text, file=output.get(), flush=True)


def make_venv(python: pythons.Python, venv: Path, *options: str) -> list[str]:
    """Makes an environment; returns the command that installs into it."""
    inside = str(venv / "bin" / "python")
    make = [python.executable, "-m", "venv", "--clear", *options, str(venv)]
    if subprocess.run(make, cwd=ROOT, capture_output=True, check=False).returncode == 0:
        pip = [inside, "-m", "pip"]
    else:
        # Its Python has no pip to put there (Debian keeps that apart): this Python's installs one, as is required.
        run([*make, "--without-pip"])
        pip = [sys.executable, "-m", "pip", "--python", inside]
    pip += ["--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, "--version"], cwd=ROOT, capture_output=True, check=True)
    return pip


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
    say(f"── Python {python.full_version}: environment in {venv.relative_to(ROOT)}")
    try:
        pip = make_venv(python, venv)
    except subprocess.CalledProcessError as error:
        raise EnvironmentFailedError(advice) from error
    run([*pip, "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--requirement", str(REQUIREMENTS)])
    run([*pip, "check"])
    ready.write_text(wanted)
    return venv


def ensure_extension(python: pythons.Python, venv: Path, profile: str) -> None:
    """Builds the extension and links the package into the environment, unless neither changed."""
    stamp = venv / ".extension"
    sources = rust_digest()
    # What is released serves tests as well; what is built for tests serves nothing else.
    good = [digest(sources, python.full_version, each) for each in {RELEASE, profile}]
    wanted = digest(sources, python.full_version, profile)
    tag = python.minor.replace(".", "")
    built = list(PACKAGE.glob(f"_onecopy.cpython-{tag}-*.so"))
    if built and stamp.is_file() and stamp.read_text() in good:
        return
    say(f"── Python {python.full_version}: building the extension ({profile})")
    stamp.unlink(missing_ok=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    # PYO3_PYTHON from outside would win over the environment's own interpreter.
    os.environ.pop("PYO3_PYTHON", None)
    bin_folder = venv / "bin"
    with BUILDING[profile]:
        run(
            [str(bin_folder / "maturin"), "develop", "--profile", profile, "--quiet", "--locked"],
            VIRTUAL_ENV=str(venv),
            PATH=f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}",
            CARGO_TARGET_DIR=str(target if profile == RELEASE else target / "for-tests"),
        )
    stamp.write_text(wanted)


def ensure(python: pythons.Python, profile: str = RELEASE) -> Path:
    """A ready environment with the package in it."""
    venv = ensure_venv(python)
    ensure_extension(python, venv, profile)
    return venv


def ensure_tensors(python: pythons.Python) -> Path:
    """An environment over the packages of an interpreter with torch: pytest, and the package as it was built."""
    venv = location(python).with_name(f"{python.minor}-tensors")
    ready = venv / ".ready"
    pins = dict(line.split("==") for line in REQUIREMENTS.read_text().splitlines() if "==" in line)
    tools = [f"{name}=={pins[name]}" for name in PYTEST]
    wanted = digest(python.full_version, python.executable, str(venv), *tools)
    if not (ready.is_file() and ready.read_text() == wanted):
        pip = make_venv(python, venv, "--system-site-packages")
        run([*pip, "install", "--quiet", "--no-deps", "--only-binary", ":all:", *tools])
        (venv / "lib" / f"python{python.minor}" / "site-packages" / "onecopy.pth").write_text(f"{PACKAGE.parent}\n")
        ready.write_text(wanted)
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
