"""CPython's `test.seq_tests` against views of lists and of tuples."""

from __future__ import annotations

from typing import Any

import onecopy
from cpython_suites import Exempt, adopt, require_full_test_package, tests_of

require_full_test_package()

from test import seq_tests  # noqa: E402

FOREIGN = "stores instances of a class in the sequence, which this version cannot share"


class SharedList:
    """Makes a view of `list(...)`; a class, because some tests derive from the type that they test."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return onecopy.share(list(*args, **kwargs))


class SharedTuple:
    """Makes a view of `tuple(...)`."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return onecopy.share(tuple(*args, **kwargs))


EXEMPT = {
    "test_contains_fake": Exempt(FOREIGN, (TypeError,)),
    "test_contains_order": Exempt(FOREIGN, (TypeError,)),
    "test_count": Exempt(FOREIGN, (TypeError,)),
    "test_index": Exempt(FOREIGN, (TypeError,)),
}

ListViewSuite = adopt(seq_tests.CommonTest, SharedList, EXEMPT)
TupleViewSuite = adopt(seq_tests.CommonTest, SharedTuple, EXEMPT)


def test_every_exemption_names_a_test_of_cpython() -> None:
    assert set(EXEMPT) <= set(tests_of(seq_tests.CommonTest))
