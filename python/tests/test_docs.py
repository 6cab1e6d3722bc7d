"""Everything that the documents show is run: code blocks, shell commands, examples in docstrings."""

from __future__ import annotations

import doctest
import inspect
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import onecopy
from onecopy.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
# What a fence may say. Pictures and recorded output are `text`.
KNOWN_LANGUAGES = {"python", "ruby", "sh", "text", "json", "rust"}
FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    document: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(language: str | None = None) -> list[Block]:
    return [block for block in all_blocks() if language is None or block.language == language]


def all_blocks() -> Iterator[Block]:
    for document in DOCUMENTS:
        if not document.is_file():
            continue
        text = document.read_text()
        for match in FENCE.finditer(text):
            yield Block(document, text[: match.start()].count("\n") + 1, match[1], match[2])


def test_the_readme_has_python_and_commands() -> None:
    readme = {block.language for block in blocks() if block.document.name == "README.md"}
    assert {"python", "sh"} <= readme


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_a_block_says_what_it_is(block: Block) -> None:
    assert block.language in KNOWN_LANGUAGES | {""}


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_blocks_run_as_programs(block: Block, tmp_path: Path) -> None:
    program = tmp_path / "block.py"
    program.write_text(block.text)
    run = subprocess.run(
        [sys.executable, "-W", "error", str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert run.returncode == 0, run.stderr
    shown = re.findall(r"# prints: (.*)", block.text)  # a block may say what it prints
    assert [line for line in shown if line not in run.stdout] == []


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_shell_blocks_name_real_commands(block: Block) -> None:
    targets = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        while "=" in words[0]:  # variables before the command
            words.pop(0)
        match words:
            case ["make", *arguments]:
                names = [argument for argument in arguments if "=" not in argument]
                assert all(re.search(rf"make {name}\b", targets) for name in names), line
            case ["onecopy" | ".venv/bin/onecopy", *arguments]:
                # Its arguments are right: help after them parses them and runs nothing.
                command = Path(sys.executable).with_name("onecopy")
                run = subprocess.run([command, *arguments, "--help"], capture_output=True, text=True, timeout=120)
                assert run.returncode == 0, f"{line}: {run.stderr}"
            case [".venv/bin/python", program, *arguments]:
                run = subprocess.run(
                    [sys.executable, str(ROOT / program), *arguments, "--help"],
                    capture_output=True,
                    text=True,
                    timeout=120,
                )
                assert run.returncode == 0, f"{line}: {run.stderr}"
            case [command, *_] if command.startswith(".venv/bin/"):
                assert Path(sys.executable).with_name(Path(command).name).is_file(), f"{line}: no such command"
            case [command, *_]:
                assert shutil.which(command), f"{line}: no such command"


def test_no_merge_was_left_half_done() -> None:
    for document in (path for path in DOCUMENTS if path.is_file()):
        marks = re.findall(r"^(?:<{7}|={7}$|>{7}).*", document.read_text(), re.MULTILINE)
        assert marks == [], f"{document.name}: {marks}"


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        if not document.is_file():
            continue
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def public_objects() -> list[tuple[str, Any]]:
    """Whatever the package exports that can have a docstring with examples, the extension's classes included."""
    modules = [onecopy, onecopy.containers, onecopy.errors, onecopy.meter, onecopy.store, onecopy.views]
    found = {name: getattr(module, name) for module in modules for name in module.__all__}
    return [(name, thing) for name, thing in found.items() if not name.startswith("_")]


def docstrings() -> list[tuple[str, str]]:
    """All docstrings with examples: the package's, and those of what it exports and of its methods."""
    found = {"onecopy": onecopy.__doc__ or "", "onecopy.__main__.main": main.__doc__ or ""}
    for name, thing in public_objects():
        found[name] = inspect.getdoc(thing) or ""
        if isinstance(thing, type):
            # What a base has said already is the base's: NumPy's examples are not ours.
            found |= {
                f"{name}.{key}": inspect.getdoc(value) or ""
                for key, value in vars(thing).items()
                if not re.match("_[^_]", key)
                and inspect.getdoc(value)
                not in {inspect.getdoc(getattr(base, key, None)) for base in thing.__mro__[1:]}
            }
    return [(name, text) for name, text in found.items() if ">>>" in text]


@pytest.mark.parametrize(("name", "text"), docstrings(), ids=lambda value: value if ">>>" not in value else "")
def test_examples_in_docstrings(name: str, text: str) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(doctest.DocTestParser().get_doctest(text, {"onecopy": onecopy}, name, None, None))
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize(("name", "thing"), public_objects(), ids=lambda value: value if isinstance(value, str) else "")
def test_everything_public_has_a_docstring(name: str, thing: Any) -> None:
    if callable(thing):
        assert inspect.getdoc(thing), name


def test_share_has_an_example() -> None:
    assert ">>>" in (inspect.getdoc(onecopy.share) or "")
