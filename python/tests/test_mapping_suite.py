"""CPython's `test.mapping_tests` against `onecopy.Dict`, and what `test.test_set` has against `onecopy.Set`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import onecopy
from cpython_suites import Exempt, adopt, names_in, require_full_test_package

require_full_test_package()

from test import mapping_tests, test_set  # noqa: E402

if TYPE_CHECKING:
    import unittest

# Tests do what types forbid.
DICT: Any = onecopy.Dict
SET: Any = onecopy.Set
DERIVED = "derives a class; containers cannot be derived from"
REAL = "expects the class itself of a copy or an operator; containers give real dicts and sets"
FOREIGN = "a key or element of a class whose objects other processes cannot find"
TEXT = "expects the repr of a dict or set; that of a container names its class"
PICTURE = "expects an error when the container changes while it is iterated; a container yields what was there"
SELF = "expects the same object back; each read makes a new one"

EXEMPT_DICT = {
    "test_fromkeys": Exempt(DERIVED, (TypeError,)),
    "test_getitem": Exempt(FOREIGN, (TypeError,)),
    "test_mutatingiteration": Exempt(PICTURE, (AssertionError,)),
    "test_pop": Exempt(FOREIGN, (TypeError,)),
    "test_repr": Exempt(TEXT, (AssertionError,)),
    "test_setdefault": Exempt(FOREIGN, (TypeError,)),
}

DictSuite = adopt(mapping_tests.TestHashMappingProtocol, DICT, EXEMPT_DICT)


def shared_operands(suite: type[unittest.TestCase]) -> Any:
    """`setUp` of a suite whose sets are attributes: they become shared ones."""

    def setUp(self: Any) -> None:
        suite.setUp(self)
        for name in ("set", "dup", "left"):
            if isinstance(getattr(self, name, None), set):
                setattr(self, name, SET(getattr(self, name)))

    return setUp


EXEMPT_SET: dict[str, Exempt] = {}

SetSuite = adopt(test_set.TestSet, SET, EXEMPT_SET, thetype=SET, basetype=set)

OTHERS: dict[str, dict[str, Exempt]] = {
    name: {}
    for name in (
        "TestBasicOpsEmpty",
        "TestBasicOpsSingleton",
        "TestBasicOpsTuple",
        "TestBasicOpsTriple",
        "TestBasicOpsString",
        "TestBasicOpsBytes",
        "TestBasicOpsMixedStringBytes",
        "TestBinaryOps",
        "TestUpdateOps",
        "TestMutate",
        "TestSubsetEqualEmpty",
        "TestSubsetEqualNonEmpty",
        "TestSubsetEmptyNonEmpty",
        "TestSubsetPartial",
        "TestSubsetNonOverlap",
        "TestOnlySetsNumeric",
        "TestOnlySetsDict",
        "TestOnlySetsOperator",
        "TestOnlySetsTuple",
        "TestOnlySetsString",
        "TestOnlySetsGenerator",
        "TestCopyingEmpty",
        "TestCopyingSingleton",
        "TestCopyingTriple",
        "TestCopyingTuple",
        "TestCopyingNested",
        "TestIdentities",
    )
}
for _name, _exempt in OTHERS.items():
    _suite = getattr(test_set, _name)
    globals()[f"{_name}Suite"] = adopt(_suite, SET, _exempt, setUp=shared_operands(_suite))


def test_every_exemption_names_a_test_of_cpython() -> None:
    assert set(EXEMPT_DICT) <= set(names_in(mapping_tests.TestHashMappingProtocol))
    assert set(EXEMPT_SET) <= set(names_in(test_set.TestSet))
    for name, exempt in OTHERS.items():
        assert set(exempt) <= set(names_in(getattr(test_set, name)))
    assert sys.version_info >= (3, 11)
