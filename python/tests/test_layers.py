"""Each folder and module imports only what lies below it, as ARCHITECTURE.md says: read from the sources."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest

from rust_modules import Crate, circles, without_comments

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]

# From the bottom to the top. Modules of one step do not import each other.
Steps: TypeAlias = list[set[str]]
Arrow: TypeAlias = tuple[str, str, str]

EXTENSION: Final[Steps] = [
    {"error"},
    {"cpython"},
    {"value"},
    {"image"},
    {"column"},
    {"view"},
    {"container", "pack", "freeze"},
    {"api"},
    {"lib"},
]
# Lower than their step: these use nothing between them and what stands here.
EXTENSION_ONLY: Final = {
    "freeze": {"error", "cpython"},
    "container": {"error", "cpython", "value", "image", "column"},
}

CORE: Final[Steps] = [
    {"primitive", "printable"},
    {"error"},
    {"testing"},
    {"sys"},
    {"store", "image", "fork"},
    {"file", "shared"},
    {"lib"},
]
# Types alone: an error names the store that it is about, and tests look at a store's words.
CORE_BACK: Final = {("error", "store"), ("testing", "store")}

PACKAGE: Final[Steps] = [
    {"_onecopy"},
    {
        "_content",
        "_dtypes",
        "_handlers",
        "_keys",
        "_left",
        "_progress",
        "_purpose",
        "_rebuilt",
        "_reducers",
        "_refusals",
        "_samples",
        "_sitecustomize",
        "_views",
    }
    | {"_freeze_support", "_importing", "_namespace", "_ways", "containers", "errors", "store", "sync"},
    {
        "_array",
        "_array_proxy",
        "_buffers",
        "_frames",
        "_freeze",
        "_handover",
        "_managed_namespace",
        "_numpy_kinds",
        "_numpy_views",
        "_object_array",
        "_objects",
        "_records",
        "_report",
        "_tensors",
    },
    {"_born", "_file", "_ranges", "_share", "_side", "_stand_ins", "_writable"},
    {"_kept", "_pickle"},
    {"_asserting", "_containers", "_typed"},
    {"_typed_base"},
    {"_typed_views"},
    {"_typed_classes", "views"},
    {"managers", "meter"},
    {"multiprocessing"},
    {"__init__", "__main__", "pytest_plugin"},
]


def heads(tree: str) -> Iterator[str]:
    """The first names in what follows `crate::`: of one path, or of each path in braces."""
    tree = tree.lstrip()
    if not tree.startswith("{"):
        name = re.match(r"\w+", tree)
        if name:
            yield name[0]
        return
    depth, start = 0, 1
    for at, letter in enumerate(tree):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if (letter == "," and depth == 1) or depth == 0:
            yield from heads(tree[start:at])
            start = at + 1
        if depth == 0:
            return


def rust_arrows(source: Path) -> Iterator[Arrow]:
    """File, its folder, and the folder or module of the crate's root that a path in it leads to."""
    for path in sorted(source.rglob("*.rs")):
        parts = path.relative_to(source).with_suffix("").parts
        # `a/mod.rs` is the module `a`, `a/b.rs` is `a::b`.
        module = parts[:-1] if parts[-1] == "mod" else parts
        code = without_comments(path.read_text(encoding="utf-8"))
        for found in re.finditer(r"(?<![\w$:])(crate\s*::|(?:super\s*::\s*)+)\s*", code):
            if re.search(r"pub\s*\(\s*in\s+$", code[: found.start()]):
                continue
            levels = found[1].count("super")
            # From a module so far up that it is the root; a `mod tests` in the file stands one deeper.
            if levels and levels < len(module):
                continue
            for head in heads(code[found.end() :]):
                yield str(path.relative_to(source)), parts[0], head


def python_arrows(source: Path) -> Iterator[Arrow]:
    """File, module, and the module of this package that is imported when the program runs, at once or later."""
    for path in sorted(source.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for_types = {
            child
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for part in node.body
            for child in ast.walk(part)
        }
        for node in ast.walk(tree):
            if node in for_types:
                continue
            found: list[str] = []
            if isinstance(node, ast.Import):
                found = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                whole = node.module == "onecopy"
                found = [f"onecopy.{name.name}" for name in node.names] if whole else [str(node.module)]
            elif isinstance(node, ast.ImportFrom):
                inner = [node.module] if node.module else [name.name for name in node.names]
                found = [f"onecopy.{name}" for name in inner]
            for name in found:
                if name.startswith("onecopy."):
                    yield path.name, path.stem, name.split(".")[1]


def faults(arrows: Iterator[Arrow], steps: Steps, back: frozenset[tuple[str, str]] = frozenset()) -> list[str]:
    """The arrows that run up, or across a step."""
    height = {module: index for index, step in enumerate(steps) for module in step}
    return [
        f"{file}: {module} imports {target}"
        for file, module, target in arrows
        # What is no module is a name that the root hands on.
        if module != target
        and target in height
        and (module not in height or height[target] >= height[module])
        and (module, target) not in back
    ]


def names(steps: Steps) -> set[str]:
    """All modules that have a place."""
    return {module for step in steps for module in step}


def modules(source: Path, suffix: str) -> set[str]:
    """What stands at the root of a crate or package."""
    return {path.stem for path in source.iterdir() if path.suffix == suffix or next(path.glob(f"*{suffix}"), None)}


EXTENSION_SOURCE: Final = ROOT / "crates/onecopy-py/src"
CORE_SOURCE: Final = ROOT / "crates/onecopy/src"
PACKAGE_SOURCE: Final = ROOT / "python/onecopy"


def with_line(folder: Path, name: str, line: str, source: Path = EXTENSION_SOURCE) -> Path:
    """A copy of the sources, with a line more in one file."""
    copy = shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("*.so"))
    file = copy / name
    file.write_text(file.read_text(encoding="utf-8") + "\n" + line + "\n", encoding="utf-8")
    return copy


def test_no_arrow_of_the_extension_runs_back_up() -> None:
    arrows = list(rust_arrows(EXTENSION_SOURCE))
    assert faults(iter(arrows), EXTENSION) == []
    for module, allowed in EXTENSION_ONLY.items():
        used = {target for _, origin, target in arrows if origin == module} & names(EXTENSION)
        assert used <= allowed | {module}
    # The test has seen something.
    assert ("view/make.rs", "view", "image") in arrows


def test_no_arrow_of_the_core_runs_back_up() -> None:
    assert faults(rust_arrows(CORE_SOURCE), CORE, frozenset(CORE_BACK)) == []


def test_no_arrow_of_the_package_runs_back_up() -> None:
    assert faults(python_arrows(PACKAGE_SOURCE), PACKAGE) == []


@pytest.mark.parametrize("source", [EXTENSION_SOURCE, CORE_SOURCE])
def test_no_file_of_a_crate_uses_one_that_uses_it(source: Path) -> None:
    arrows = Crate(source).arrows()
    # It looks at words of the store, for tests alone.
    arrows.pop(("testing",), None)
    assert circles(arrows) == []
    # The test has seen something.
    assert sum(map(len, arrows.values())) > 200


@pytest.mark.parametrize(
    ("lower", "planted"),
    [
        ("value/failure.rs", "use super::text;"),
        ("value/failure.rs", "use super::{index, text::new};"),
        ("value/failure.rs", "use crate::{error, value::text as other};"),
        ("value/failure.rs", "fn f() { super::text::ascii(b); }"),
        # `value` hands it on.
        ("value/item.rs", "use super::key_hash;"),
        ("value/item.rs", "use crate::value::key_hash;"),
    ],
)
def test_a_planted_circle_of_files_is_found(lower: str, planted: str, tmp_path: Path) -> None:
    source = with_line(tmp_path, lower, planted)
    (knot,) = circles(Crate(source).arrows())
    assert lower.removesuffix(".rs").replace("/", "::") in knot


@pytest.mark.parametrize(
    "planted", ["// use super::text;", "#[cfg(test)]\nmod tests { use super::super::text; }", "use std::text;"]
)
def test_what_is_no_circle_is_not_taken_for_one(planted: str, tmp_path: Path) -> None:
    source = with_line(tmp_path, "value/failure.rs", planted)
    assert circles(Crate(source).arrows()) == []


@pytest.mark.parametrize(
    ("source", "suffix", "steps"),
    [(EXTENSION_SOURCE, ".rs", EXTENSION), (CORE_SOURCE, ".rs", CORE), (PACKAGE_SOURCE, ".py", PACKAGE)],
)
def test_every_module_has_its_place(source: Path, suffix: str, steps: Steps) -> None:
    built = {"_onecopy"} if suffix == ".py" else set()
    assert modules(source, suffix) - {"__pycache__", "_stubs"} == names(steps) - built


@pytest.mark.parametrize(
    "planted",
    [
        "use crate::view::kinds;",
        "use crate::{error, view::kinds};",
        "use crate::{\n    error::{Error, corrupt},\n    view,\n};",
        "use super::super::view;",
        "fn f() { crate::view::root_object(); }",
        "fn f() { super::super::api::register(); }",
        "pub(crate) use crate::pack::Planned;",
        "mod tests { use super::super::super::view; }",
    ],
)
def test_a_planted_arrow_of_the_extension_is_found(planted: str, tmp_path: Path) -> None:
    source = with_line(tmp_path, "column/steps.rs", planted)
    found = faults(rust_arrows(source), EXTENSION)
    assert len(found) == 1
    assert found[0].startswith("column/steps.rs: column imports ")


@pytest.mark.parametrize(
    "innocent",
    [
        "// use crate::view::kinds;",
        "/* crate::view */",
        'const TEXT: &str = "crate::view // ";',
        "pub(in crate::view) fn f() {}",
        "use super::parts::view;",
        "use crate::image::view;",
        "use onecopy::store::view;",
    ],
)
def test_what_is_no_arrow_is_not_taken_for_one(innocent: str, tmp_path: Path) -> None:
    source = with_line(tmp_path, "column/steps.rs", innocent)
    assert faults(rust_arrows(source), EXTENSION) == []


@pytest.mark.parametrize(
    "planted",
    [
        "from onecopy import meter",
        "import onecopy.meter",
        "from onecopy.meter import watch",
        "from . import meter",
        "from .meter import watch",
        "def f():\n    from onecopy import meter",
    ],
)
def test_a_planted_arrow_of_the_package_is_found(planted: str, tmp_path: Path) -> None:
    source = with_line(tmp_path, "_progress.py", planted, PACKAGE_SOURCE)
    assert faults(python_arrows(source), PACKAGE) == ["_progress.py: _progress imports meter"]


def test_a_module_without_a_place_is_found(tmp_path: Path) -> None:
    source = shutil.copytree(EXTENSION_SOURCE, tmp_path / "src")
    (source / "util").mkdir()
    (source / "util/mod.rs").write_text("use crate::view;", encoding="utf-8")
    assert modules(source, ".rs") - names(EXTENSION) == {"util"}
    assert faults(rust_arrows(source), EXTENSION) == ["util/mod.rs: util imports view"]


# What only somebody who knows CPython's structures can say: read from the sources, comments and strings aside.
STRUCTURES: Final = re.compile(
    r"ffi\s*::\s*_?Py(?!Type)[A-Za-z]+Object\b"  # a structure, that of classes aside, whose fields are documented
    r"|\b(?:PyGC_Head|HEAD_BYTES|ob_(?:item|size|refcnt|start|bytes|alloc|digit|hash|val)|ma_\w+|dk_\w+|lv_tag)\b"
    r"|\bbyte_(?:offset|sub)\b|\.cast::<ffi::Py(?!Type|Object)\w+>"
)
FOUND_OUT: Final = "_samples.py"
"""It reads memory where the extension is not there to tell, and knows no layout: it tries which word leads to what."""
MEMORY_READS: Final = {"from_address", "string_at", "wstring_at", "memmove", "PyObj_FromPtr", "pythonapi"}
LAYOUT_NAMES: Final = {"__flags__", "__dictoffset__", "__weakrefoffset__"}


def rust_structures(source: Path) -> list[str]:
    """Where the extension looks into an object, outside of `cpython/`."""
    return [
        f"{path.relative_to(source)}: {found[0]}"
        for path in sorted(source.rglob("*.rs"))
        if path.relative_to(source).parts[0] != "cpython"
        for found in STRUCTURES.finditer(without_comments(path.read_text(encoding="utf-8")))
    ]


def python_structures(source: Path) -> list[str]:
    """Where the package reads memory by its address, asks how a class is laid out, or adds to where an object lies."""
    found = []
    for path in sorted(set(source.glob("*.py")) - {source / FOUND_OUT}):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_read = isinstance(node, ast.Attribute) and (
                node.attr in MEMORY_READS | LAYOUT_NAMES or ast.unparse(node) == "ctypes.cast"
            )
            is_import = isinstance(node, ast.ImportFrom) and node.module == "ctypes"
            is_offset = isinstance(node, ast.BinOp) and any(is_address(side) for side in (node.left, node.right))
            is_offset = is_offset and any(
                isinstance(side, ast.Constant) or ast.unparse(side).endswith("basicsize__")
                for side in ast.walk(node)
                if isinstance(side, ast.expr)
            )
            if is_read or is_import or (is_offset and not is_page(node)):
                found.append(f"{path.name}: {ast.unparse(node)}")
    return found


def is_address(node: ast.expr) -> bool:
    """Whether this is `id(…)`."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "id"


def is_page(node: ast.AST) -> bool:
    """Whether an address is divided: which page it is on tells nothing of the object."""
    return isinstance(node, ast.BinOp) and isinstance(node.op, (ast.FloorDiv, ast.RShift))


def test_the_structures_of_cpython_are_known_to_one_folder() -> None:
    assert rust_structures(EXTENSION_SOURCE) == []
    assert python_structures(PACKAGE_SOURCE) == []
    # The test sees them where they are.
    code = without_comments((EXTENSION_SOURCE / "cpython/containers.rs").read_text(encoding="utf-8"))
    assert {"ma_keys", "ffi::PyDictObject", "ffi::PySetObject"} <= {found[0] for found in STRUCTURES.finditer(code)}


@pytest.mark.parametrize(
    "planted",
    [
        "fn f(o: *mut ffi::PyObject) { unsafe { (*o.cast::<ffi::PyListObject>()).allocated }; }",
        "fn f(o: *mut ffi::PyObject) { unsafe { o.byte_sub(16) }; }",
        "fn f(o: &ffi::PyVarObject) { o.ob_size; }",
    ],
)
def test_a_planted_structure_of_the_extension_is_found(planted: str, tmp_path: Path) -> None:
    assert rust_structures(with_line(tmp_path, "freeze/size.rs", planted))


@pytest.mark.parametrize(
    "planted",
    [
        "import ctypes\nctypes.c_void_p.from_address(1)",
        "from ctypes import c_void_p",
        "import ctypes\nctypes.string_at(1, 2)",
        "def f(x):\n    return id(x) + 24",
        "def f(x):\n    return id(x) + tuple.__basicsize__",
        "def f(x):\n    return type(x).__flags__ & 1 << 14",
    ],
)
def test_a_planted_structure_of_the_package_is_found(planted: str, tmp_path: Path) -> None:
    source = with_line(tmp_path, "_progress.py", planted, PACKAGE_SOURCE)
    assert python_structures(source)
