"""CPython's `list_tests`, `mapping_tests` and `test_set` against `onecopy.List`, `Dict` and `Set`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onecopy
from cpython_suites import Exempt, adopt, names_in, require_full_test_package

require_full_test_package()

from test import list_tests, mapping_tests, test_set  # noqa: E402

if TYPE_CHECKING:
    import unittest

# Tests do what types forbid.
LIST: Any = onecopy.List
DICT: Any = onecopy.Dict
SET: Any = onecopy.Set
DERIVED = "derives a class; containers cannot be derived from"
REAL = "expects the class itself of a copy or an operator; containers give real dicts and sets"
FOREIGN = "a key or element of a class whose objects other processes cannot find"
UNPICKLED = "stores instances of a class made in a function, which cannot be pickled"
STATE = "sets an attribute of the set; containers have none"
TEXT = "expects the repr of the builtin; that of a container names its class"
SELF = "expects the same object back; each read makes a new one"

EXEMPT_LIST = {
    "test_contains_order": Exempt(UNPICKLED, (TypeError,)),
    "test_free_after_iterating": Exempt(DERIVED, (TypeError, AssertionError)),
    "test_index": Exempt(UNPICKLED, (TypeError,)),
    "test_remove": Exempt(UNPICKLED, (TypeError,)),
    "test_repr": Exempt(TEXT, (AssertionError,)),
}


class MakeList:
    """Makes a List; a class, because some tests derive from the type that they test."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return LIST(*args, **kwargs)


ListSuite = adopt(list_tests.CommonTest, MakeList, EXEMPT_LIST)

EXEMPT_DICT = {
    "test_copy": Exempt(REAL, (AssertionError,)),
    "test_eq": Exempt(FOREIGN, (TypeError,)),
    "test_fromkeys": Exempt(DERIVED, (TypeError,)),
    "test_getitem": Exempt(FOREIGN, (TypeError,)),
    "test_pop": Exempt(FOREIGN, (TypeError,)),
    "test_repr": Exempt(TEXT, (AssertionError,)),
    "test_setdefault": Exempt(SELF, (IndexError,)),
}

DictSuite = adopt(mapping_tests.TestHashMappingProtocol, DICT, EXEMPT_DICT)


def shared_operands(suite: type[unittest.TestCase]) -> Any:
    """`setUp` of a suite whose sets are attributes: they become shared ones; a function among the values, a str."""

    def setUp(self: Any) -> None:
        suite.setUp(self)
        if isinstance(getattr(self, "values", None), list):
            self.values = [repr(value) if callable(value) else value for value in self.values]
        for name in ("set", "dup", "left"):
            plain = getattr(self, name, None)
            if isinstance(plain, set):
                setattr(self, name, SET(repr(value) if callable(value) else value for value in plain))

    return setUp


EXEMPT_SET = {
    "test_badcmp": Exempt(FOREIGN, (TypeError,)),
    "test_cyclical_repr": Exempt(FOREIGN, (TypeError,)),
    "test_deepcopy": Exempt(FOREIGN, (TypeError,)),
    "test_do_not_rehash_dict_keys": Exempt(FOREIGN, (TypeError,)),
    "test_free_after_iterating": Exempt(DERIVED, (TypeError,)),
    "test_pickling": Exempt(STATE, (AttributeError,)),
    "test_subclass_with_custom_hash": Exempt(DERIVED, (TypeError,)),
}

if hasattr(test_set.TestSet, "test_hash_collision_remove_add"):  # CPython 3.13.1 and later
    EXEMPT_SET["test_hash_collision_remove_add"] = Exempt(FOREIGN, (TypeError,))

SetSuite = adopt(test_set.TestSet, SET, EXEMPT_SET, thetype=SET, basetype=set)

_TEXT = {"test_repr": Exempt(TEXT, (AssertionError,))}
_SELF = {"test_copy": Exempt(SELF, (AssertionError,))}
OTHERS: dict[str, dict[str, Exempt]] = {
    "TestBasicOpsEmpty": _TEXT,
    "TestBasicOpsSingleton": _TEXT,
    "TestBasicOpsTuple": _TEXT,
    "TestBasicOpsTriple": {},
    "TestBasicOpsString": _TEXT,
    "TestBasicOpsBytes": _TEXT,
    "TestBasicOpsMixedStringBytes": _TEXT,
    "TestBinaryOps": {},
    "TestUpdateOps": {},
    "TestMutate": {},
    "TestSubsetEqualEmpty": {},
    "TestSubsetEqualNonEmpty": {},
    "TestSubsetEmptyNonEmpty": {},
    "TestSubsetPartial": {},
    "TestSubsetNonOverlap": {},
    "TestOnlySetsNumeric": {},
    "TestOnlySetsDict": {},
    "TestOnlySetsOperator": {},
    "TestOnlySetsTuple": {},
    "TestOnlySetsString": {},
    "TestOnlySetsGenerator": {},
    "TestCopyingEmpty": {},
    "TestCopyingSingleton": _SELF,
    "TestCopyingTriple": _SELF,
    "TestCopyingTuple": _SELF,
    "TestCopyingNested": _SELF,
    "TestIdentities": {},
}
for _name, _exempt in OTHERS.items():
    _suite = getattr(test_set, _name)
    globals()[f"{_name}Suite"] = adopt(_suite, SET, _exempt, setUp=shared_operands(_suite))


def test_every_exemption_names_a_test_of_cpython() -> None:
    assert set(EXEMPT_LIST) <= set(names_in(list_tests.CommonTest))
    assert set(EXEMPT_DICT) <= set(names_in(mapping_tests.TestHashMappingProtocol))
    assert set(EXEMPT_SET) <= set(names_in(test_set.TestSet))
    for name, exempt in OTHERS.items():
        assert set(exempt) <= set(names_in(getattr(test_set, name)))
