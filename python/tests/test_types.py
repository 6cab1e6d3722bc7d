"""What type checkers are told is true: the documents' programs pass mypy, and `share()` returns what its types say."""

from __future__ import annotations

import array
import ast
import enum
import subprocess
import sys
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict, assert_type

import numpy as np
import pytest

import onecopy
from onecopy.views import (
    ArrayView,
    BytesView,
    ChainMapView,
    CounterView,
    DefaultDictView,
    DequeView,
    DictView,
    FrozenSetView,
    ListView,
    NamedTupleView,
    ObjectView,
    OrderedDictView,
    RecordView,
    RowView,
    SetView,
    SharedArray,
    StrView,
    TableView,
    TupleView,
    UserDictView,
    UserListView,
)
from test_docs import DOCUMENTS, ROOT, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE: Final = ROOT / "python" / "onecopy"


def mypy(*arguments: str | Path) -> str:
    """What mypy says with the project's settings, which are strict; nothing if all is well."""
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", "--no-error-summary", *arguments]
    environment = {"MYPYPATH": str(PACKAGE.parent), "PATH": ""}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert run.returncode in {0, 1}, run.stdout + run.stderr
    return run.stdout + run.stderr


def programs(folder: Path) -> list[Path]:
    """The Python programs of all documents, each in a file that says where it comes from."""
    found = []
    for block in blocks("python"):
        path = folder / f"{block.document.stem.replace('-', '_')}_{block.line}.py"
        path.write_text(block.text)
        found.append(path)
    return found


@pytest.mark.slow
def test_the_programs_of_the_documents_have_types(tmp_path: Path) -> None:
    found = programs(tmp_path)
    assert {path.stem.rpartition("_")[0] for path in found} >= {"README", "meter", "nested_data", "which_door"}
    assert len(DOCUMENTS) > 4
    assert mypy(*found, *sorted((ROOT / "examples").glob("*.py")), __file__) == ""


@pytest.mark.slow
def test_a_wrong_program_is_found(tmp_path: Path) -> None:
    program = tmp_path / "wrong.py"
    program.write_text(WRONG)
    said = mypy(program)
    expected = [number for number, line in enumerate(WRONG.splitlines(), 1) if line.endswith("# wrong")]
    assert sorted({int(line.split(":")[1]) for line in said.splitlines() if ": error:" in line}) == expected
    # People read where a class is to be had.
    assert '"onecopy.views.ListView[int]"' in said
    assert '"onecopy.views.SharedArray[tuple[int], numpy.dtype[numpy.float64]]"' in said
    assert '"onecopy.containers.Dict[str, int]"' in said
    assert "_stubs" not in said


WRONG = """
import numpy as np
import onecopy
from onecopy.errors import FreezeRefused
view = onecopy.share([1, 2])
reveal_type(view)
reveal_type(onecopy.share(np.ones(3)))
view.append(3)  # wrong
view[0] = 1  # wrong
view[0].upper()  # wrong
onecopy.nothing  # wrong
onecopy.share({"a": 1})["a"].upper()  # wrong
onecopy.share([[1], [2]])[0].append(1)  # wrong
onecopy.share([{"a": 1}])[0]["a"] = 2  # wrong
onecopy.share({1, 2}).add(3)  # wrong
onecopy.watch().report.complete  # wrong
onecopy.memory().sum_rss + 1  # wrong
reveal_type(onecopy.Dict(a=1))
onecopy.List([1]).append("text")  # wrong
onecopy.Dict({"a": 1})["a"].upper()  # wrong
onecopy.Dict({"a": 1})[1]  # wrong
onecopy.Dict({"a": 1}).pop("a", None).upper()  # wrong
onecopy.Set([1]).add("text")  # wrong
onecopy.Counter("ab").total().upper()  # wrong
onecopy.Value(1).set("text")  # wrong
onecopy.Value("text").add(1)  # wrong
"""


# What may be anything, and why. Nobody adds to this without a reason.
ANYTHING: Final = {
    "from_buffer": "the bytes say what they are when they are read",
    "open": "the file says what is in it when it is opened",
    "share": "objects of a class of which nothing is known; all that is known has a view of its own",
    "private": "the elements' dtype is that of the column, which the numbers decide: an int may not fit 64 bits signed",
    "empty": "a dtype that is computed",
    "full": "a dtype that is computed",
    "ones": "a dtype that is computed",
    "zeros": "a dtype that is computed",
    "Report.to_dict": "JSON",
    "Watch.to_dict": "JSON",
    "_ElementsView.__array__": "as for private()",
    "UserListView.__array__": "likewise",
    "_ElementsView.column": "the type of a field does not follow from its name, but for dicts with values of one type",
    "TableView.column": "likewise",
    "NamedTupleView.__getitem__": "fields have types of their own, and the class is known at run time",
    "NamedTupleView.__iter__": "likewise",
    "_Record.__getattr__": "likewise",
    **{
        f"ObjectArray.{name}": "the elements are of any type"
        for name in ("__getitem__", "__iter__", "tolist", "__array__", "__array_ufunc__", "__getattr__")
    },
    "CallableView.__call__": "the object decides",
    "_Copied.__getattr__": "the other methods of bytes and of str",
    **{
        f"ObjectView.__{name}__": "the object decides"
        for name in (
            "getattribute getitem iter reversed enter exit neg pos abs invert round trunc floor ceil "
            "add radd sub rsub mul rmul matmul rmatmul truediv rtruediv floordiv rfloordiv mod rmod divmod rdivmod "
            "lshift rlshift rshift rrshift and rand xor rxor or ror pow rpow array_ufunc"
        ).split()
    },
}
# What pickle, copy and NumPy call.
PROTOCOLS: Final = {"__reduce__", "__reduce_ex__", "__array_wrap__", "__array_function__", "__copy__", "__deepcopy__"}


def signatures() -> Iterator[tuple[str, ast.FunctionDef, set[str]]]:
    """Public functions and methods as type checkers see them (of overloaded ones, the overloads), and what is anything
    in their file."""
    classes = {
        *onecopy.views.__all__,
        *onecopy.containers.__all__,
        *onecopy.meter.__all__,
        *onecopy.store.__all__,
        *onecopy.errors.__all__,
    }
    homes = {name: getattr(getattr(onecopy, name), "__module__", "") for name in onecopy.__all__}
    for path in [*PACKAGE.glob("*.pyi"), *PACKAGE.glob("*.py")]:
        # The views of `collections` are declared in `views.pyi`.
        if path.suffix == ".py" and (path.with_suffix(".pyi").exists() or path.stem == "_typed_views"):
            continue
        tree = ast.parse(path.read_text())
        aliases = {
            node.target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
            if ast.unparse(node.annotation) == "TypeAlias" and mentions(node.value, {"Any"})
        }
        here = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        found = [("", node) for node in here if homes.get(node.name) == f"onecopy.{path.stem}"]
        for kind in tree.body:
            # The bases of the views, which exist for type checkers, pass on what they declare.
            if isinstance(kind, ast.ClassDef) and (kind.name in classes or path.name == "views.pyi"):
                methods = [node for node in kind.body if isinstance(node, ast.FunctionDef)]
                found += [(f"{kind.name}.", node) for node in methods if is_public(node.name)]
        overloaded = {(scope, node.name) for scope, node in found if is_overload(node)}
        for scope, node in found:
            if (scope, node.name) not in overloaded or is_overload(node):
                yield scope + node.name, node, {"Any", *aliases}


def mentions(annotation: ast.expr | None, names: set[str]) -> bool:
    """Whether a type is made of one of these; whatever has no type is anything."""
    return annotation is None or any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(annotation))


def is_public(name: str) -> bool:
    return (not name.startswith("_") or name.endswith("__")) and name not in PROTOCOLS


def is_overload(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)


def test_only_what_nobody_can_know_may_be_anything() -> None:
    assert {"share", "open", "memory", "TableView.column", "Watch.read", "Stats.to_dict"} <= {
        name for name, *_ in signatures()
    }
    assert {name for name, node, anything in signatures() if mentions(node.returns, anything)} == set(ANYTHING)


def test_no_public_function_takes_anything_where_an_object_would_do() -> None:
    def annotations(node: ast.FunctionDef) -> list[ast.expr | None]:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        return [argument.annotation for argument in arguments if argument.arg not in {"self", "cls"}]

    vague = {
        name
        for name, node, _ in signatures()
        # Comparing with something else raises TypeError, or asks the other; items of annotations are types.
        if not name.endswith(("__lt__", "__le__", "__gt__", "__ge__", "__class_getitem__", "__array__"))
        and any(isinstance(given, ast.Name) and given.id == "Any" for given in annotations(node))
    }
    assert vague == {"SharedArray.__setitem__"}  # as NumPy's


# What the checker is told, and what there is.
# --------------------------------------------------------------------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 1


@dataclass
class Box:
    label: str
    width: float


class Point(NamedTuple):
    x: int
    y: int


class Image(TypedDict):
    file: str
    boxes: list[Box]


def test_atoms_are_returned_as_they_are() -> None:
    assert assert_type(onecopy.share(1), int) == 1
    assert assert_type(onecopy.share(np.float64(1.5)), np.float64) == 1.5


def test_buffers_are_views_of_whatever_size() -> None:
    for size in (0, 1, 1 << 20):
        text = assert_type(onecopy.share("x" * size), StrView)
        content = assert_type(onecopy.share(b"x" * size), BytesView)
        assert type(text) is StrView
        assert type(content) is BytesView
        assert assert_type(onecopy.to_python(text), str) == "x" * size
        assert type(onecopy.share(bytearray(size))) is BytesView
        assert type(onecopy.share(memoryview(bytes(size)))) is BytesView
    numbers = assert_type(onecopy.share(array.array("d", [1.5])), ArrayView[float])
    assert type(numbers) is ArrayView
    assert assert_type(numbers[0], float) == 1.5
    assert assert_type(onecopy.to_python(numbers), array.array[float]) == array.array("d", [1.5])
    assert assert_type(onecopy.share(["a"]).peek(0), StrView) == "a"
    assert assert_type(onecopy.share({"a": b"b"}).peek("a"), BytesView) == b"b"
    assert assert_type(onecopy.share([1]).peek(0), int) == 1


def test_lists() -> None:
    numbers = assert_type(onecopy.share([1, 2]), ListView[int])
    assert type(numbers) is ListView
    assert assert_type(numbers[0], int) == 1
    assert type(assert_type(numbers[1:], ListView[int])) is ListView
    assert type(assert_type(numbers + ["a"], list[int | str])) is list  # noqa: RUF005 - that is what is tested
    assert type(assert_type(numbers.copy(), list[int])) is list
    assert type(assert_type(onecopy.to_python(numbers), list[int])) is list
    assert type(assert_type(onecopy.share([1, None]), ListView[int | None])) is ListView
    nested = assert_type(onecopy.share([[1, 2], [3]]), ListView[ListView[int]])
    assert type(nested[0]) is ListView
    assert type(assert_type(onecopy.to_python(nested), list[list[int]])[0]) is list
    assert type(assert_type(onecopy.share(nested), ListView[ListView[int]])) is ListView


def test_strict_changes_no_type() -> None:
    nested = assert_type(onecopy.share({"a": {"b": 1}}, strict=True), DictView[str, DictView[str, int]])
    assert type(nested["a"]) is DictView
    lists = assert_type(onecopy.share({"a": [1, 2]}, strict=True), DictView[str, ListView[int]])
    assert type(lists["a"]) is ListView
    assert type(assert_type(onecopy.share({"a": {1, 2}}, strict=True), DictView[str, SetView[int]])["a"]) is SetView
    array = assert_type(onecopy.share(np.ones(3), strict=True), SharedArray[tuple[int], np.dtype[np.float64]])
    assert type(array) is SharedArray


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_lists_of_dicts_have_columns_however_many_there_are(count: int) -> None:
    rows = assert_type(
        onecopy.share([{"a": n, "b": 2 * n} for n in range(count)]),
        TableView[RowView[str, int]] | ListView[DictView[str, int]],
    )
    assert type(rows) is (TableView if count > 1 else ListView)
    column = assert_type(rows.column("a"), ListView[int | None] | Sequence[int | None])
    assert list(column) == list(range(count))
    assert np.asarray(column, np.int64).sum() == sum(range(count))
    for row in rows:
        assert assert_type(row["a"], int) * 2 == row["b"]
        assert type(row) in {RowView, DictView}
    assert onecopy.to_python(rows) == [{"a": n, "b": 2 * n} for n in range(count)]
    assert type(onecopy.share(rows)) is type(rows)


def test_columns_of_what_is_no_table() -> None:
    sparse = onecopy.share([{"a": 1}, {"b": 2}, {"c": 3}])
    assert type(sparse) is ListView
    assert sparse.column("b") == [None, 2, None]
    with pytest.raises(KeyError, match="d"):
        sparse.column("d")
    assert onecopy.share([Box("cat", 1.0)]).column("width") == [1.0]
    assert onecopy.share((Point(1, 2),)).column("y") == [2]
    one_of_each: Any = onecopy.share([Point(1, 2), {"y": 3}, Box("cat", 1.0)])
    assert one_of_each.column("y") == [2, 3, None]
    assert onecopy.share([]).column("anything") == []
    # An int has attributes, but no fields.
    with pytest.raises(TypeError, match="element 0 is no row with fields: found int"):
        onecopy.share([1, 2]).column("real")
    table = onecopy.share([Point(1, 2), Point(3, 4)])
    assert type(table) is TableView
    mixed: Any = onecopy.share([table[0], {"y": 5}])
    assert mixed.column("y") == [2, 5]


def test_lists_of_instances_are_read_like_these() -> None:
    boxes = assert_type(onecopy.share([Box("cat", 1.0), Box("dog", 2.0)]), ListView[Box] | TableView[Box])
    assert assert_type(boxes[1].width, float) == 2.0
    points = assert_type(onecopy.share([Point(1, 2), Point(3, 4)]), ListView[Point] | TableView[Point])
    assert assert_type(points[1].y, int) == 4
    images: list[Image] = [{"file": "a", "boxes": [Box("cat", 1.0)]}, {"file": "b", "boxes": []}]
    shared = assert_type(onecopy.share(images), ListView[Image] | TableView[Image])
    assert assert_type(shared[0]["file"], str) == "a"
    assert assert_type(shared[0]["boxes"][0].label, str) == "cat"


def test_other_containers() -> None:
    assert type(assert_type(onecopy.share((1, 2)), TupleView[int])) is TupleView
    assert type(assert_type(onecopy.share({"a": 1}), DictView[str, int])) is DictView
    lists = assert_type(onecopy.share({"a": [1], "b": [2]}), DictView[str, ListView[int]])
    assert type(lists["a"]) is ListView
    assert type(assert_type(onecopy.to_python(lists), dict[str, list[int]])["a"]) is list
    dicts = assert_type(onecopy.share({"a": {1: 2.5}}), DictView[str, DictView[int, float]])
    assert type(dicts["a"]) is DictView
    assert type(assert_type(dicts | {"b": 1}, dict[str, DictView[int, float] | int])) is dict
    assert type(assert_type(onecopy.share({1, 2}), SetView[int])) is SetView
    assert type(assert_type(onecopy.share(frozenset({1})), FrozenSetView[int])) is FrozenSetView


def test_sets_give_what_they_were_made_from() -> None:
    numbers, frozen = onecopy.share({1, 2}), onecopy.share(frozenset({1, 2}))
    assert type(assert_type(numbers | {"a"}, set[int | str])) is set
    assert type(assert_type(numbers & {1}, set[int])) is set
    assert type(assert_type(frozen | {"a"}, frozenset[int | str])) is frozenset
    assert type(assert_type(frozen.union(["a"]), frozenset[int | str])) is frozenset
    assert type(assert_type(frozen.difference([1]), frozenset[int])) is frozenset


def test_arrays_keep_their_dtype() -> None:
    floats = assert_type(onecopy.share(np.ones(3)), SharedArray[tuple[int], np.dtype[np.float64]])
    assert type(floats) is SharedArray
    assert type(assert_type(onecopy.private(floats), np.ndarray[tuple[int], np.dtype[np.float64]])) is np.ndarray
    assert type(assert_type(onecopy.to_python(floats), np.ndarray[tuple[int], np.dtype[np.float64]])) is np.ndarray
    assert assert_type(onecopy.zeros(3).dtype, np.dtype[np.float64]) == np.float64
    assert assert_type(onecopy.ones((2, 2), np.int8).dtype, np.dtype[np.int8]) == np.int8
    assert assert_type(onecopy.full(2, 7, np.uint8).dtype, np.dtype[np.uint8]) == np.uint8
    objects = onecopy.share(np.array([1, "a"], dtype=np.object_))
    assert type(objects) is ObjectView
    assert objects.get().dtype == np.object_
    assert type(onecopy.private(onecopy.share([1, 2]))) is np.ndarray


def test_what_keeps_its_class_is_an_object_view() -> None:
    assert type(assert_type(onecopy.share(Colour.RED), ObjectView[Colour])) is ObjectView
    assert assert_type(onecopy.to_python(onecopy.share(Colour.RED)), Colour) is Colour.RED


def test_the_types_of_collections_have_views_of_their_own() -> None:
    counted = assert_type(onecopy.share(Counter("aab")), CounterView[str])
    assert type(counted) is CounterView
    assert assert_type(counted["a"], int) == 2
    assert type(assert_type(onecopy.to_python(counted), Counter[str])) is Counter
    assert type(assert_type(counted + counted, Counter[str])) is Counter
    ordered = assert_type(onecopy.share(OrderedDict({"a": 1.5})), OrderedDictView[str, float])
    assert type(assert_type(onecopy.to_python(ordered), OrderedDict[str, float])) is OrderedDict
    default = assert_type(onecopy.share(defaultdict(int, {"a": 1})), DefaultDictView[str, int])
    assert type(assert_type(default.copy(), defaultdict[str, int])) is defaultdict
    last = assert_type(onecopy.share(deque([1.5], maxlen=3)), DequeView[float])
    assert assert_type(last.maxlen, int | None) == 3
    assert type(assert_type(onecopy.to_python(last), deque[float])) is deque
    chain = assert_type(onecopy.share(ChainMap({"a": 1})), ChainMapView[str, int])
    assert type(assert_type(onecopy.to_python(chain), ChainMap[str, int])) is ChainMap
    user = assert_type(onecopy.share(UserDict({"a": 1})), UserDictView[str, int])
    assert type(assert_type(user.data, DictView[str, int])) is DictView
    users = assert_type(onecopy.share(UserList(["a"])), UserListView[str])
    assert assert_type(users[0], str) == "a"


def test_views_of_instances_have_the_types_of_the_instances() -> None:
    point = assert_type(onecopy.share(Point(1, 2)), Point)
    assert assert_type(point.y, int) == 2
    box = assert_type(onecopy.share(Box("a", 2.0)), Box)
    assert assert_type(box.label, str) == "a"
    names = assert_type(onecopy.share(SimpleNamespace(a=1)), SimpleNamespace)
    views: list[tuple[Any, type, type]] = [
        (point, Point, NamedTupleView),
        (box, Box, RecordView),
        (names, SimpleNamespace, RecordView),
    ]
    assert all(isinstance(view, kind) and isinstance(view, shown) for view, kind, shown in views)


def test_views_can_be_named_in_annotations_at_run_time() -> None:
    for name in onecopy.views.__all__:
        view = getattr(onecopy.views, name)
        assert view.__module__ == "onecopy.views"
        assert repr(view) == f"<class 'onecopy.views.{name}'>"
    assert repr(ObjectView[int]) == "onecopy.views.ObjectView[int]"
    assert repr(RowView[str, int]) == "onecopy.views.RowView[str, int]"
    assert repr(TableView[int]) == "onecopy.views.TableView[int]"
