"""Which file of a Rust crate uses which other: read from its sources."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# `a::b` is ("a", "b"), the root of the crate ().
Module: TypeAlias = tuple[str, ...]
Graph: TypeAlias = dict[Module, set[Module]]

_TESTS: Final = re.compile(r"#\[cfg\((?:all\()?test\b[^\]]*\]\s*mod\s+\w+\s*\{")
_INLINE: Final = re.compile(r"\bmod\s+(\w+)\s*\{")
_USE: Final = re.compile(r"\buse\s+([^;]+);")
_PATH: Final = re.compile(r"(?<![\w$:])(?:\w+\s*::\s*)+\w+")
# A name that is handed on by module after module; more of them are a circle of names.
_HANDS: Final = 8


def without_comments(rust: str) -> str:
    """Blanks what is no code: comments, and strings, which may hold `//`."""
    pattern = r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/'
    return re.sub(pattern, lambda found: '""' if found[0].startswith('"') else " ", rust, flags=re.DOTALL)


def split(tree: str) -> Iterator[str]:
    """The parts between the commas of what stands in braces, whose own braces stay whole."""
    depth = start = 0
    for at, letter in enumerate(tree + ","):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            if tree[start:at].strip():
                yield tree[start:at]
            start = at + 1


def branches(tree: str) -> Iterator[tuple[str, list[str]]]:
    """The paths of what follows `use`, each with the name by which it is known here."""
    head, brace, rest = tree.partition("{")
    if brace:
        for part in split(rest[: rest.rindex("}")]):
            yield from branches(head + part)
        return
    path, _, other = tree.partition(" as ")
    names = [name.strip() for name in path.split("::")]
    if names[-1] == "self":
        names.pop()
    yield other.strip() or names[-1], names


class Crate:
    """The modules of a crate, without its tests."""

    def __init__(self, source: Path) -> None:
        self._names: dict[Module, dict[str, list[str]]] = {}
        self._paths: dict[Module, list[list[str]]] = {}
        self._inline: dict[Module, set[str]] = {}
        code: dict[Module, str] = {}
        for path in sorted(source.rglob("*.rs")):
            parts = path.relative_to(source).with_suffix("").parts
            if parts[-1] != "tests":
                module = parts[:-1] if parts[-1] in {"mod", "lib"} else parts
                code[module] = _TESTS.split(without_comments(path.read_text(encoding="utf-8")))[0]
        self.modules: Final = frozenset(code)
        for module, text in code.items():
            self._inline[module] = set(_INLINE.findall(text))
            uses = [branch for found in _USE.finditer(text) for branch in branches(found[1])]
            self._names[module] = dict(uses)
            others = (re.sub(r"\s", "", found[0]).split("::") for found in _PATH.finditer(_USE.sub(" ", text)))
            self._paths[module] = [names for _, names in uses] + list(others)

    def home(self, module: Module, names: list[str], hands: int = 0) -> Module | None:
        """The module that a path in `module` leads to, past those that only hand a name on; None outside the crate.

        A module inside a file is the file's.
        """
        at = module
        if names[0] == "crate":
            at, names = (), names[1:]
        elif names[0] in {"self", "super"}:
            while names and names[0] in {"self", "super"}:
                at, names = at[:-1] if names[0] == "super" else at, names[1:]
        elif names[0] in self._inline[module]:
            return module
        elif (*module, names[0]) not in self.modules:
            return None
        while names and (*at, names[0]) in self.modules:
            at, names = (*at, names[0]), names[1:]
        handed = self._names[at].get(names[0]) if names and at != module and at in self._names else None
        if handed is None or hands == _HANDS:
            return at
        return self.home(at, handed + names[1:], hands + 1)

    def arrows(self) -> Graph:
        """Which modules each one uses."""
        graph: Graph = {}
        for module, paths in self._paths.items():
            homes = {self.home(module, names) for names in paths}
            graph[module] = {home for home in homes if home is not None and home != module}
        return graph


def circles(graph: Graph) -> list[list[str]]:
    """The modules that use each other in circles, a list for each knot of them."""
    reached: Graph = {}
    for start in graph:
        found: set[Module] = set()
        rest = [start]
        while rest:
            new = graph.get(rest.pop(), set()) - found
            found |= new
            rest.extend(new)
        reached[start] = found
    knots = {frozenset(other for other in reached[module] if module in reached.get(other, ())) for module in graph}
    return sorted(sorted("::".join(module) or "lib" for module in knot) for knot in knots if knot)
