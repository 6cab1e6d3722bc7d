"""What a program finds: modules that one would guess, classes that say where they are, no method that only raises."""

from __future__ import annotations

import copy
import importlib
import multiprocessing
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

import onecopy
from onecopy import containers, errors, meter, store, views

if TYPE_CHECKING:
    from types import ModuleType

MODULES: Final = (containers, errors, meter, store, views)
CLASSES: Final = [
    (module, name) for module in MODULES for name in module.__all__ if isinstance(getattr(module, name), type)
] + [(onecopy, "FreezeReport")]


@dataclass
class Box:
    label: str


@pytest.mark.parametrize(("module", "name"), CLASSES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_class_says_where_it_is(module: ModuleType, name: str) -> None:
    kind = getattr(module, name)
    assert (kind.__module__, kind.__qualname__) == (module.__name__, name)
    assert repr(kind) == f"<class '{module.__name__}.{name}'>"
    assert pickle.loads(pickle.dumps(kind)) is kind
    assert getattr(importlib.import_module(kind.__module__), name) is kind


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_module_shows_what_is_public_and_nothing_else(module: ModuleType) -> None:
    assert [name for name in dir(module) if not name.startswith("_")] == sorted(module.__all__)


def test_errors_that_many_catch_are_in_the_package_too() -> None:
    for name in ("AttachError", "CorruptImage", "Gone", "OnecopyError", "Unsupported"):
        assert getattr(onecopy, name) is getattr(errors, name)
    for name in ("memory", "watch", "assert_shared", "tag", "mark"):
        assert getattr(onecopy, name) is getattr(meter, name)
    for name in ("stats", "collect"):
        assert getattr(onecopy, name) is getattr(store, name)


@pytest.mark.parametrize(
    ("statement", "loads"),
    [
        ("import onecopy", []),
        ("import onecopy; onecopy.share([1, {'a': 2}])", []),
        ("import onecopy; onecopy.List([1])", []),
        ("import onecopy; onecopy.containers.WriterLock", ["containers"]),
        ("import onecopy; onecopy.errors", ["errors"]),
        ("import onecopy; onecopy.views.ListView", ["views"]),
        ("import onecopy; onecopy.stats()", ["store"]),
        ("import onecopy; onecopy.memory", ["meter"]),
        ("from onecopy.errors import Gone", ["errors"]),
    ],
)
def test_modules_are_loaded_when_they_are_asked_for(statement: str, loads: list[str]) -> None:
    program = f"{statement}\nimport sys\nprint(sorted(name for name in sys.modules if name.startswith('onecopy.')))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    public = [name for name in ("containers", "errors", "meter", "store", "views") if f"'onecopy.{name}'" in run.stdout]
    assert public == loads


# What would change the data: nothing of it is there, so that `hasattr` and completion tell the truth.
# --------------------------------------------------------------------------------------------------------------------

SHARED: Final[dict[str, tuple[Any, Any]]] = {
    "list": ([1, 2], [1, 2]),
    "tuple": ((1, 2), (1, 2)),
    "table": ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
    "dict": ({"a": 1}, {"a": 1}),
    "set": ({1, 2}, {1, 2}),
    "frozenset": (frozenset({1, 2}), frozenset({1, 2})),
}


@pytest.mark.parametrize("kind", SHARED)
def test_a_view_has_no_method_that_would_change_it(kind: str) -> None:
    view = onecopy.share(SHARED[kind][0])
    changing = {
        *("append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse"),
        *("popitem", "setdefault", "update", "add", "discard"),
        *("difference_update", "intersection_update", "symmetric_difference_update"),
    }
    assert changing & set(dir(view)) == set()
    assert onecopy.to_python(view) == SHARED[kind][1]


def test_no_method_of_a_view_says_that_it_only_raises() -> None:
    found = [
        f"{name}.{key}"
        for name in views.__all__
        for key, value in vars(getattr(views, name)).items()
        if (getattr(value, "__doc__", None) or "").startswith("Raises ")
    ]
    assert found == []


def test_row_views_have_none_either() -> None:
    for row in (onecopy.share([{"a": 1}, {"a": 2}])[0], onecopy.share([Box("a"), Box("b")])[0]):
        assert not {"pop", "update", "clear", "setdefault"} & set(dir(row))


@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_assignment_still_says_what_to_do_instead(kind: str) -> None:
    view = onecopy.share(SHARED[kind][0])
    key = "a" if kind == "dict" else 0
    with pytest.raises(TypeError, match=r"does not support item assignment.*to_python\(view\)"):
        view[key] = 3
    with pytest.raises(TypeError, match=r"does not support item deletion.*to_python\(view\)"):
        del view[key]


def test_a_view_of_an_object_has_its_attributes_and_its_errors() -> None:
    view: Any = onecopy.share(range(1, 3))
    assert view.start == 1
    with pytest.raises(AttributeError, match="'range' object has no attribute 'append'") as caught:
        _ = view.append
    assert (caught.value.name, caught.value.obj) == ("append", view.get())


# Sets give what the builtins give.
# --------------------------------------------------------------------------------------------------------------------

OPERATORS: Final = {
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "-": lambda a, b: a - b,
    "^": lambda a, b: a ^ b,
}
METHODS: Final = ("union", "intersection", "difference", "symmetric_difference")


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("left", [set, frozenset])
@pytest.mark.parametrize("right", [set, frozenset])
def test_set_operators_give_what_the_builtins_give(operator: str, left: type, right: type) -> None:
    ours, theirs = left({1, 2, 3}), right({2, 3, 4})
    expected = OPERATORS[operator](ours, theirs)
    shared = onecopy.share(ours), onecopy.share(theirs)
    for a, b in ((shared[0], theirs), (ours, shared[1]), shared):
        found = OPERATORS[operator](a, b)
        assert type(found) is type(expected)
        assert found == expected


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [set, frozenset])
def test_set_methods_give_what_the_builtins_give(method: str, kind: type) -> None:
    ours = kind({1, 2, 3})
    for other in ({2, 4}, [2, 4], frozenset({2, 4}), onecopy.share({2, 4}), iter([2, 4])):
        others = (list(other),) if not isinstance(other, set | frozenset | list) else (other,)
        expected = getattr(ours, method)(*others)
        found = getattr(onecopy.share(ours), method)(*others)
        assert type(found) is type(expected)
        assert found == expected
    if method != "symmetric_difference":
        for several in ((), ({1}, {2, 9})):
            found = getattr(onecopy.share(ours), method)(*several)
            assert type(found) is kind
            assert found == getattr(ours, method)(*several)


# Figures are plain.
# --------------------------------------------------------------------------------------------------------------------


def figures() -> dict[str, Any]:
    report = onecopy.memory()
    counted = onecopy.Counter("abb")
    with onecopy.watch() as watched:
        pass
    return {
        "Stats": onecopy.stats(),
        "Collected": onecopy.collect(),
        "ContainerStats": next(row for row in store.containers() if row.length == len(counted)),
        "Report": report,
        "Report of a watch": watched.report(),
        "ProcessMemory": report.processes[0],
        "StoreMemory": report.stores[0],
        "SkippedProcess": meter.SkippedProcess(1, "init", "denied", None),
        "FreezeReport": onecopy.FreezeReport(1, 2, 0.5, 0.25, {int: 1}, {ValueError: 1}, {ValueError: "obj[0]"}),
    }


def returned(figure: Any) -> Any:
    """In a worker."""
    return figure, repr(figure), figure.to_dict() if hasattr(figure, "to_dict") else None


@pytest.fixture(scope="module")
def family() -> Any:
    onecopy.share([1, 2])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


def test_figures_can_be_copied_and_sent(family: Any) -> None:
    view = onecopy.share([1, 2, 3])
    found = figures()
    kinds = {type(figure) for figure in found.values()}
    plain = {kind for module in (meter, store) for kind in map(module.__dict__.get, module.__all__)}
    assert kinds >= {kind for kind in plain if isinstance(kind, type)} - {meter.Watch}
    for name, figure in found.items():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(figure, protocol))
            assert type(again) is type(figure), name
            assert again == figure, name
            assert repr(again) == repr(figure), name
        assert copy.copy(figure) == copy.deepcopy(figure) == figure
        there, text, as_dict = family.apply(returned, (figure,))
        assert there == figure, name
        assert text == repr(figure), name
        assert as_dict == (figure.to_dict() if hasattr(figure, "to_dict") else None)
    assert found["Stats"] != onecopy.store.Stats(**{**found["Stats"].to_dict(), "units": 10**6})
    assert found["Report"] != onecopy.memory(children=False)
    assert len(view) == 3


def test_figures_do_not_change() -> None:
    report = onecopy.memory()
    for figure, name in ((report, "copies"), (report.processes[0], "rss"), (onecopy.stats(), "holds")):
        with pytest.raises(AttributeError):
            setattr(figure, name, 0)
    assert hash(report) == hash(copy.copy(report))


INTERPRETERS: Final = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
if {isolated}:
    other = interpreters.create()
elif sys.version_info >= (3, 13):
    other = interpreters.create("legacy")
else:
    other = interpreters.create(isolated=False)
script = '''
try:
    import onecopy
except ImportError as error:
    assert "subinterpreter" in str(error), error
else:
    raise AssertionError("imported")
'''
run = getattr(interpreters, "exec", None) or interpreters.run_string
assert run(other, script) is None
interpreters.destroy(other)
import onecopy
assert onecopy.share([1, 2])[1] == 2
"""


@pytest.mark.parametrize("isolated", [False, True])
def test_a_subinterpreter_is_refused(*, isolated: bool) -> None:
    """Whether it has a lock of its own or shares that of the others, as those of servers do."""
    script = INTERPRETERS.format(isolated=isolated)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
