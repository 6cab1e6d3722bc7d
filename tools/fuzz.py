#!/usr/bin/env python3
"""`make fuzz`: the fuzz targets in fuzz/ and tools/fuzz_views.py, side by side for a bounded time, and a summary.

The targets need no nightly toolchain and no cargo-fuzz: the pinned compiler has what they are built with, the address
sanitizer and LLVM's coverage for libFuzzer, behind a switch. What they learn stays in build/fuzz/corpus, where the next
run begins; findings go to build/fuzz/findings and make the run fail.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "fuzz"
FINDINGS = FOLDER / "findings"
FIXTURES = ROOT / "crates" / "onecopy" / "tests" / "fixtures"
TRIPLE = "x86_64-unknown-linux-gnu"
COVERAGE = ("level=4", "inline-8bit-counters", "pc-table", "trace-compares")
RUSTFLAGS = [
    "--cfg fuzzing",
    "-Zsanitizer=address",
    "-Cpasses=sancov-module",
    *(f"-Cllvm-args=-sanitizer-coverage-{part}" for part in COVERAGE),
]
# Options of libFuzzer: images have tables of sections and page-aligned data, so they may be long.
LENGTHS = {"image_validate": 8192, "image_access": 16384, "image_build": 4096}
INPUT_TIMEOUT_S = 25
MEMORY_MIB = 2048


class FuzzError(Exception):
    """Fuzzing could not begin; the message says what to do."""


@dataclass
class Summary:
    """What one target came to."""

    name: str
    seconds: float
    executions: str
    coverage: str
    findings: int

    def line(self) -> str:
        """One line of the closing table."""
        return (
            f"  {self.name:15} {self.seconds:6.0f} s  {self.executions:>28}  {self.coverage:36} "
            f"{self.findings} findings"
        )


def target_folder() -> Path:
    """Where the targets are built: apart from all else, as every crate is compiled with other flags."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "fuzz"


def build() -> Path:
    """Builds the targets; returns the folder of the programs."""
    if shutil.which("g++") is None and "CXX" not in os.environ:
        raise FuzzError(
            "libFuzzer is C++: there is no g++ here. Debian, Ubuntu: apt install g++. Fedora: dnf install gcc-c++"
        )
    if os.uname().machine != "x86_64":
        raise FuzzError(f"the pinned toolchain has the address sanitizer for {TRIPLE}; this is {os.uname().machine}")
    # With --target the flags do not reach build scripts, which need no sanitizer.
    command = ["cargo", "build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target", TRIPLE]
    variables = {"RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": " ".join(RUSTFLAGS), "CARGO_TARGET_DIR": str(target_folder())}
    subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=True)
    return target_folder() / TRIPLE / "release"


def new_findings(prefix: str) -> int:
    """How many findings lie there whose names begin so."""
    return len([path for path in FINDINGS.glob(f"{prefix}*") if path.suffix != ".txt"])


def log_of(name: str) -> Path:
    """Where a target's output goes."""
    return FOLDER / f"{name}.log"


def run_target(programs: Path, name: str, seconds: float, seed: int) -> Summary:
    """Runs a libFuzzer target."""
    corpus = FOLDER / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    prefix = f"{name}-{seed}-"
    command = [
        str(programs / name),
        f"-max_total_time={max(1, int(seconds))}",
        f"-max_len={LENGTHS[name]}",
        f"-seed={seed}",
        f"-timeout={INPUT_TIMEOUT_S}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-artifact_prefix={FINDINGS / prefix}",
        "-len_control=10",
        "-print_final_stats=1",
        str(corpus),
    ]
    if name != "image_build":
        # The values of that target are no images.
        command.append(str(FOLDER / "seeds"))
    started = time.monotonic()
    with log_of(name).open("w") as log:
        # A test's data are leaked on purpose, and nothing else could leak: all of it is safe Rust.
        variables = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
        failed = subprocess.run(command, stdout=log, stderr=log, env=variables, check=False).returncode != 0
    output = log_of(name).read_text(errors="replace")
    runs = re.search(r"number_of_executed_units: (\d+)", output)
    covered = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", output)
    edges, features, inputs = covered[-1] if covered else ("?", "?", "?")
    return Summary(
        name,
        time.monotonic() - started,
        f"{runs[1] if runs else '?'} executions",
        f"{edges} edges, {features} features, {inputs} inputs",
        max(new_findings(prefix), failed),
    )


def run_views(seconds: float, seed: int) -> Summary:
    """Runs the fuzzer of Python's views."""
    command = [
        sys.executable,
        "tools/fuzz_views.py",
        f"--seconds={seconds}",
        f"--seed={seed}",
        f"--findings={FINDINGS}",
    ]
    started = time.monotonic()
    with log_of("views").open("w") as log:
        failed = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False).returncode != 0
    output = log_of("views").read_text(errors="replace")
    counts = re.search(r"views: (\d+) images, (\d+) operations, (\d+) findings", output)
    images, operations, findings = counts.groups() if counts else ("?", "?", "0")
    return Summary(
        "views", time.monotonic() - started, f"{images} images", f"{operations} operations", max(int(findings), failed)
    )


def fuzz(seconds: float, seed: int) -> list[Summary]:
    """Builds, and runs everything for so long in total."""
    programs = build()
    shutil.rmtree(FOLDER / "seeds", ignore_errors=True)
    FINDINGS.mkdir(parents=True, exist_ok=True)
    seeds = [str(programs / "seeds"), str(FOLDER / "seeds"), str(FIXTURES)]
    subprocess.run(seeds, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}, check=True)
    workers = max(1, len(os.sched_getaffinity(0)))
    names = [*LENGTHS, "views"]
    each = min(seconds, seconds * workers / len(names))
    print(
        f"fuzz: seed {seed}, {len(names)} targets, {each:.0f} s each on {workers} cores; logs in {FOLDER}", flush=True
    )
    with ThreadPoolExecutor(workers) as pool:
        jobs = [
            pool.submit(run_views, each, seed)
            if name == "views"
            else pool.submit(run_target, programs, name, each, seed)
            for name in reversed(names)
        ]
        return [job.result() for job in jobs]


def main() -> int:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="in total (default: 60)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31), help="default: random")
    options = parser.parse_args()
    try:
        summaries = fuzz(options.seconds, options.seed)
    except FuzzError as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"fuzz: {error.cmd[0]} failed with {error.returncode}", file=sys.stderr)
        return 1
    print("── fuzz " + "─" * 72)
    for summary in summaries:
        print(summary.line())
    findings = sum(summary.findings for summary in summaries)
    if findings:
        print(f"fuzz: {findings} FINDINGS, seed {options.seed}: see {FINDINGS} and the logs in {FOLDER}")
    else:
        print(f"fuzz: nothing found, seed {options.seed}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
