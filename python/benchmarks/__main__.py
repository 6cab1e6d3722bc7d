"""`make bench`: every promise of ARCHITECTURE.md that can be measured today, with the rows that lose.

Writes docs/benchmarks*.md and docs/benchmarks*.json. A figure is a median of ratios taken side by side in this one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import containers_dict
import containers_list
import containers_millions
import containers_processes
import freezing
import kinds
import memory
import metering
import nested
import overhead
import speed
import startup
import waiting
import workers
from measure import Row, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
QUESTION = ROOT / "examples" / "question.py"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def question(*arguments: str) -> dict[str, Any]:
    """The example's figures, by way."""
    command = [sys.executable, str(QUESTION), "--json", *arguments]
    report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return {way["name"]: way for way in report["ways"]}


def the_question() -> Iterator[Row]:
    """25,000 ints, as asked."""
    ways = question("--rounds", "9")
    for name, way in ways.items():
        if not name.startswith("share-"):
            continue
        versus = ways["manager"]["seconds"] / way["seconds"]
        yield Row(
            f"the question, 25,000 ints, {way['start_method']}",
            "`Manager().list()`",
            "≥ 100 × faster",
            f"{versus:,.0f} × faster ({seconds(way['seconds'])} against {seconds(ways['manager']['seconds'])})",
            versus >= 100,
            {"ratio": 1 / versus, "at_most": 0.01},
        )
        ratio = way["ratio_to_plain"]
        yield Row(
            f"the question, 25,000 ints, {way['start_method']}",
            "plain list, pickled",
            "≤ 1.2 ×",
            f"{ratio:.2f} × ({seconds(way['seconds'])} against {seconds(ways['plain']['seconds'])})",
            ratio <= 1.2,
            {"ratio": ratio, "at_most": 1.2},
        )


def the_big_question() -> Iterator[Row]:
    """10 M ints."""
    ways = question("--big", "--only", "plain,share-fork,share-forkserver,share-spawn,numpy")
    for name, way in ways.items():
        if name == "plain":
            continue
        ratio, copies = way["ratio_to_plain"], way["copies"]
        yield Row(
            f"the question, 10,000,000 ints, {way['label']}, {way['start_method']}",
            "plain list, pickled",
            "≥ 2 × faster",
            f"{1 / ratio:.1f} × faster ({seconds(way['seconds'])} against {seconds(ways['plain']['seconds'])})",
            ratio <= 0.5,
            {"ratio": ratio, "at_most": 0.5},
        )
        yield Row(
            f"its memory, {way['label']}, {way['start_method']}",
            f"plain list: {ways['plain']['copies']:.2f} copies",
            "≤ 1.02 copies",
            f"{copies:.3f} copies",
            copies <= 1.02,
            {"copies": copies, "at_most": 1.02},
        )


def sections(*, quick: bool) -> dict[str, Callable[[], Iterator[Row]]]:
    """All rows by section, the quick ones first."""
    scale, rounds = (10, 5) if quick else (1, 11)
    found: dict[str, Callable[[], Iterator[Row]]] = {
        "reading": lambda: speed.reading(rounds, scale),
        "making": lambda: speed.making(rounds, scale),
        "dicts": lambda: nested.dicts(rounds, scale),
        "instances": lambda: nested.instances(rounds, scale),
        "annotations": lambda: nested.coco(rounds, scale),
        "tokens": lambda: speed.tokens(3 if quick else 15),
        "readers": lambda: memory.eight_readers(scale),
        "peaks": lambda: memory.peaks(scale),
        "annotation-readers": lambda: workers.coco(scale),
        "file": lambda: workers.big_file(scale),
        "frames": lambda: workers.frames(scale),
        "kinds": lambda: kinds.kinds(scale),
        "fork": lambda: memory.fork_experiment(TARGET / "release" / "onecopy", 3_000 if quick else 15_000),
        "freeze": lambda: freezing.freezing(scale),
        "overhead": lambda: overhead.overhead(TARGET / "release" / "onecopy", quick=quick),
        "meter": lambda: metering.metering(TARGET / "release" / "onecopy", scale),
        "startup": lambda: startup.startup(5 if quick else 15),
        "container-processes": lambda: containers_processes.processes(scale),
        "waiting": lambda: waiting.waiting(scale),
        "container-millions": lambda: containers_millions.millions(scale),
        "container-lists": lambda: containers_list.lists(scale, rounds),
        "container-dicts": lambda: iter(containers_dict.rows(quick)),
        "question": the_question,
    }
    return found if quick else {**found, "big-question": the_big_question}


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory_gib() -> int:
    """The machine's memory."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def verdict(row: Row) -> str:
    """The last column."""
    return "" if row.met is None else ("met" if row.met else "**missed**")


def as_markdown(page: Page, machine: str, taken: list[Row]) -> str:
    """The page."""
    judged = [row for row in taken if row.met is not None]
    missed = [row for row in judged if not row.met]
    lines = [
        f"# {page.title}",
        "",
        "Each figure is the median of ratios taken side by side in one run. Rows without a target are for information;",
        f"{page.about}",
        "",
        f"Machine: {machine}. Date: {time.strftime('%Y-%m-%d', time.gmtime())}. Command: `{page.command}`.",
        f"{len(judged) - len(missed)} of {len(judged)} targets met.",
        "",
        "| what | against | target | measured | |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {row.what} | {row.against} | {row.target} | {row.measured} | {verdict(row)} |" for row in taken]
    return "\n".join([*lines, ""])


@dataclass
class Page:
    """A page in docs/ for the rows of some sections."""

    file: str
    title: str
    about: str
    command: str
    sections: list[str]

    def write(self, machine: str, rows: dict[str, list[Row]]) -> None:
        """Writes the page, and its figures beside it."""
        taken = [row for name in self.sections for row in rows[name]]
        figures = {
            "schema": "onecopy.benchmarks/1",
            "machine": machine,
            "command": self.command,
            "rows": [asdict(row) for row in taken],
        }
        docs = ROOT / "docs"
        (docs / f"{self.file}.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
        (docs / f"{self.file}.md").write_text(as_markdown(self, machine, taken))
        print(f"written: docs/{self.file}.md, docs/{self.file}.json")


def pages() -> dict[str, Page]:
    """All of them, by the name that stands for their sections in `--only`."""
    names = list(sections(quick=False))
    writable = [name for name in names if name.startswith("container-") or name == "waiting"]
    return {
        "views": Page(
            "benchmarks",
            "Benchmarks",
            "a view loses to a real list wherever an element has to be made into a Python object first.",
            "make bench ONLY=views",
            [name for name in names if name not in writable],
        ),
        "containers": Page(
            "benchmarks-containers",
            "Benchmarks of what workers write to",
            "a container loses to a real list or dict wherever a Python object has to be made, or taken apart, first.",
            "make bench ONLY=containers",
            writable,
        ),
    }


def main() -> int:
    """Runs everything; a missed target is printed, never an error: time decides no build."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks")
    parser.add_argument("--quick", action="store_true", help="small sizes, and nothing is written to docs/")
    names, written = list(sections(quick=False)), pages()
    parser.add_argument(
        "--only",
        metavar="NAME[,NAME]",
        help=f"all sections of a page, which is written to docs/: {', '.join(written)}; or some sections, and nothing "
        f"is written: {', '.join(names)}",
    )
    options = parser.parse_args()
    asked = options.only.split(",") if options.only else list(written)
    if unknown := set(asked) - set(names) - set(written):
        parser.error(f"--only: there is no section {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [part for name in asked for part in (written[name].sections if name in written else [name])]
    machine = (
        f"{os.cpu_count()} × {processor()}, {memory_gib()} GiB, Linux {platform.release()}, "
        f"CPython {platform.python_version()}"
    )
    print(machine, flush=True)
    started = time.monotonic()
    rows: dict[str, list[Row]] = {}
    made = sections(quick=options.quick)
    for name in (name for name in chosen if name in made):
        rows[name] = []
        for row in made[name]():
            rows[name].append(row)
            print(f"{verdict(row).strip('*'):7} {row.what:64} {row.target:24} {row.measured}", flush=True)
    missed = [row for taken in rows.values() for row in taken if row.met is False]
    print(f"{time.monotonic() - started:.0f} s; targets missed: {len(missed)}")
    for row in missed:
        print(f"  missed: {row.what} against {row.against}: {row.measured}, target {row.target}")
    for name in () if options.quick else asked:
        if name in written:
            written[name].write(machine, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
