"""The command that the package installs says and does what the Rust binary does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "onecopy"
SCRIPT = Path(sys.executable).with_name("onecopy")
SMALL = ("demo", "--n", "256", "--workers", "2")

needs_binary = pytest.mark.skipif(
    not BINARY.is_file(), reason="the Rust binary is not built: cargo build --release -p onecopy-cli"
)


def run(command: list[str | Path], **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


@needs_binary
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["-h"],
        ["--version"],
        ["demo", "--help"],
        [],
        ["nonsense"],
        ["--nonsense"],
        ["demo", "--n", "none"],
        ["demo", "--workers", "0"],
        ["demo", "--write", "7"],
    ],
    ids=" ".join,
)
def test_same_text_and_codes_as_the_rust_binary(arguments: list[str]) -> None:
    rust = run([BINARY, *arguments])
    for command in ([SCRIPT], [sys.executable, "-m", "onecopy"]):
        python = run([*command, *arguments])
        assert (python.returncode, python.stdout, python.stderr) == (rust.returncode, rust.stdout, rust.stderr)
    assert rust.stdout or rust.stderr


def without_numbers(text: str) -> str:
    """The words of a table, whatever was measured and however wide the columns became."""
    return re.sub(r"[\d.,+−–-]+|\s+|[─━═]+", " ", text)


@needs_binary
def test_demo_prints_the_same_table() -> None:
    rust, python = run([BINARY, *SMALL]), run([SCRIPT, *SMALL])
    assert rust.returncode == python.returncode == 0, rust.stderr + python.stderr
    assert "copies" in python.stdout
    words = {word for word in without_numbers(rust.stdout).split() if word.isalpha()}
    assert words - set(without_numbers(python.stdout).split()) <= {"KiB", "MiB", "GiB", "kB", "B"}


@needs_binary
def test_demo_has_the_same_fields() -> None:
    def fields(value: object) -> object:
        """Names only: which processes and mappings there are differs, and what cannot be known is null."""
        return {key: fields(inner) for key, inner in value.items()} if isinstance(value, dict) else None

    rust, python = run([BINARY, *SMALL, "--json"]), run([SCRIPT, *SMALL, "--json"])
    assert fields(json.loads(rust.stdout)) == fields(json.loads(python.stdout))


def test_demo_too_big_is_refused_before_allocating() -> None:
    done = run([SCRIPT, "demo", "--n", "4000000"])
    assert done.returncode == 1
    assert "available" in done.stderr.lower()


def test_closed_pipe_ends_quietly() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{SCRIPT}' --help | true"], capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr
    assert "panicked" not in done.stderr


def test_interrupt_ends_the_command() -> None:
    process = subprocess.Popen(
        [SCRIPT, "demo", "--n", "12000", "--workers", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.read(1)  # it is at work
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    assert process.returncode in {-signal.SIGINT, 0, 130}  # 0: it was done before the signal came


def test_a_command_meets_a_limit_on_files_as_it_would_by_itself(tmp_path: Path) -> None:
    # The interpreter ignores the signal; the command must not.
    script = (
        f"ulimit -f 1; exec {sys.executable} -m onecopy run -q -- dd if=/dev/zero of={tmp_path}/file bs=4096 count=2"
    )
    done = run(["sh", "-c", script])
    assert done.returncode == 128 + signal.SIGXFSZ, done.stderr
    script = f"ulimit -f 1; exec {sys.executable} -m onecopy report $$ --json > {tmp_path}/report"
    done = run(["sh", "-c", script])
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
