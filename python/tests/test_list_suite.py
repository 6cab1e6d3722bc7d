"""CPython's `test.list_tests` against views of lists."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import onecopy
from cpython_suites import Exempt, adopt, mutates, names_in, require_full_test_package

require_full_test_package()

from test import list_tests  # noqa: E402
from test.support import ALWAYS_EQ, NEVER_EQ  # noqa: E402

DERIVED = "derives a class with __del__ to see its object go; views cannot be derived from"
FOREIGN = "stores instances of a class made in a function, which cannot be pickled"


class SharedList:
    """Makes a view of `list(...)`; a class, because some tests derive from the type that they test."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return onecopy.share(list(*args, **kwargs))


EXEMPT = {
    "test_append": mutates("append"),
    "test_clear": mutates("clear"),
    "test_contains_order": Exempt(FOREIGN, (TypeError,)),
    "test_delitem": mutates("del l[i]"),
    "test_delslice": mutates("del l[i:j]"),
    "test_exhausted_iterator": mutates("append"),
    "test_extend": mutates("extend"),
    "test_extendedslicing": mutates("del l[::2]"),
    "test_index": mutates("remove"),
    "test_free_after_iterating": Exempt(DERIVED, (AssertionError,)),
    "test_iadd": mutates("l += …"),
    "test_imul": mutates("l *= …"),
    "test_init": Exempt("empties the list by calling __init__ again; a view is read-only", (AssertionError,)),
    "test_insert": mutates("insert"),
    "test_pop": mutates("pop"),
    "test_repr": Exempt("expects the repr of a list; that of a view names its type", (AssertionError,)),
    "test_remove": mutates("remove"),
    "test_reverse": mutates("reverse"),
    "test_set_subscript": mutates("l[i:j] = …"),
    "test_setitem": mutates("l[i] = …"),
    "test_setslice": mutates("l[i:j] = …"),
    "test_slice": mutates("l[:2] = …"),
    "test_slice_assign_iterator": mutates("l[:] = …"),
    "test_sort": mutates("sort"),
}
if sys.version_info >= (3, 14):  # where the test also compares the text
    EXEMPT["test_setitem_error"] = Exempt(
        "assigns (l['a'] = …) and expects the list's own text; a view says how to get something writable",
        (AssertionError,),
    )


def repr_of_the_deepest(_: Any) -> None:
    """CPython's test with its lists made first: it shares each view in the next, which writes the whole image again."""
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    view = onecopy.share(deep)
    with pytest.raises(RecursionError):
        repr(view)


ListSuite = adopt(list_tests.CommonTest, SharedList, EXEMPT, test_repr_deep=repr_of_the_deepest)


def test_every_exemption_names_a_test_of_cpython() -> None:
    # `test_slice_assign_iterator` came with 3.12.
    assert set(EXEMPT) - set(names_in(list_tests.CommonTest)) <= {"test_slice_assign_iterator"}


# The halves of exempt tests that do hold for a view.


@pytest.mark.parametrize("walk", [iter, reversed])
@pytest.mark.parametrize("data", [[1, 2, 3], ("a", "b"), []])
def test_exhausted_iterator_lets_go_of_its_view(walk: Any, data: Any) -> None:
    before = onecopy.stats().live_objects
    iterator = walk(onecopy.share(data))
    assert onecopy.stats().live_objects == before + 1
    assert len(list(iterator)) == len(data)
    assert onecopy.stats().live_objects == before
    assert list(iterator) == []


def test_equality_of_foreign_objects_decides_what_is_found() -> None:
    view = onecopy.share([0, 1, 2] * 3)
    assert ALWAYS_EQ in view
    assert NEVER_EQ not in view
    assert ALWAYS_EQ not in onecopy.share([])
    assert view.count(ALWAYS_EQ) == 9
    assert view.count(NEVER_EQ) == 0
    assert view.index(ALWAYS_EQ) == 0
    assert view.index(ALWAYS_EQ, 4) == 4


class DoNotCompareError(Exception):
    """Raised by a comparison."""


class RaisesAtTwo:
    """Equal to nothing, and cannot be compared with 2."""

    def __eq__(self, other: object) -> bool:
        if other == 2:
            raise DoNotCompareError
        return False

    __hash__ = None  # type: ignore[assignment]


def test_exceptions_of_comparisons_get_through() -> None:
    view = onecopy.share([0, 1, 2, 3])
    for search in (view.count, view.index, view.__contains__):
        with pytest.raises(DoNotCompareError):
            search(RaisesAtTwo())
    assert RaisesAtTwo() not in view[:2]  # the search stops where the slice does
