"""CPython's `test.seq_tests` against views of lists and of tuples."""

from __future__ import annotations

from typing import Any

import onecopy
from cpython_suites import Exempt, adopt, mutates, names_in, require_full_test_package

require_full_test_package()

from test import seq_tests  # noqa: E402

FOREIGN = "stores instances of a class that is made in a function, which cannot be pickled"


class SharedList:
    """Makes a view of `list(...)`; a class, because some tests derive from the type that they test."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return onecopy.share(list(*args, **kwargs))


class SharedTuple:
    """Makes a view of `tuple(...)`."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return onecopy.share(tuple(*args, **kwargs))


DERIVED = "derives a class with __del__ to see its object go; views cannot be derived from"

EXEMPT = {
    "test_contains_order": Exempt(FOREIGN, (TypeError,)),
    "test_free_after_iterating": Exempt(DERIVED, (AssertionError,)),
}
# A list is changed in place by `+=` and `*=`, which a view refuses; a tuple is not, so there it makes a real tuple.
LIST_ONLY = {"test_iadd": mutates("l += …"), "test_imul": mutates("l *= …")}

ListViewSuite = adopt(seq_tests.CommonTest, SharedList, {**EXEMPT, **LIST_ONLY})
TupleViewSuite = adopt(seq_tests.CommonTest, SharedTuple, EXEMPT)


def test_every_exemption_names_a_test_of_cpython() -> None:
    assert set(EXEMPT) <= set(names_in(seq_tests.CommonTest))
