"""CPython's own tests of `deque`, `defaultdict` and `Counter` against views of them: what only reads must hold."""

from __future__ import annotations

import collections
import operator
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import onecopy
from cpython_suites import Exempt, adopt, mutates, names_in, require_full_test_package

require_full_test_package()

from test import test_collections, test_defaultdict, test_deque  # noqa: E402

if TYPE_CHECKING:
    import unittest
    from types import ModuleType


WRITES: Final = {
    collections.deque: "append appendleft clear extend extendleft insert pop popleft remove reverse rotate __setitem__ "
    "__delitem__ __iadd__ __imul__ __init__",
    collections.defaultdict: "__setitem__ __delitem__ __ior__ clear pop popitem setdefault update __init__",
    collections.Counter: "__setitem__ __delitem__ __ior__ __iadd__ __isub__ __iand__ clear pop popitem setdefault update "
    "subtract __init__ _keep_positive",
}
SKIPPED: Final = frozenset(
    "__new__ __init__ __class__ __getattribute__ __getattr__ __setattr__ __delattr__ __init_subclass__ __subclasshook__ "
    "__class_getitem__ __dict__ __weakref__ __doc__ __module__ __slots__ __getstate__ __reduce__ __reduce_ex__ "
    "__sizeof__ __dir__ __format__ __str__ fromkeys".split()
)


class Meta(type):
    """`isinstance()` as of the real class."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.real) or type.__instancecheck__(cls, instance)  # type: ignore[attr-defined]


def bare(obj: Any) -> Any:
    """What an argument stands for: another such object is a view, too."""
    return onecopy.share(obj.behind) if type(type(obj)) is Meta else obj


def shared(real: Any) -> Any:
    """A class whose objects are changed as the real one is, and read through a view of what they are at the moment."""

    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        object.__setattr__(self, "behind", real(*map(bare, args), **kwargs))

    def writes(name: str) -> Any:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            # What is added to itself must be itself here as well.
            given = (self.behind if arg is self else bare(arg) for arg in args)
            result = getattr(self.behind, name)(*given, **kwargs)
            return self if result is self.behind else result

        return method

    def reads(name: str) -> Any:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return getattr(onecopy.share(self.behind), name)(*map(bare, args), **kwargs)

        return method

    def operates(name: str) -> Any:
        how: Any = getattr(operator, name.strip("_") + ("_" if name in {"__and__", "__or__"} else ""))

        def method(self: Any, *args: Any) -> Any:
            return how(onecopy.share(self.behind), *map(bare, args))

        return method

    def attribute(name: str) -> Any:
        return property(
            lambda self: getattr(onecopy.share(self.behind), name),
            lambda self, value: setattr(self.behind, name, value),
        )

    body: dict[str, Any] = {"real": real, "__init__": make, "fromkeys": getattr(real, "fromkeys", None)}
    for name in sorted({*dir(real)} - SKIPPED):
        if not callable(getattr(real, name)):
            body[name] = None if getattr(real, name) is None else attribute(name)
        elif name in WRITES[real].split():
            body[name] = writes(name)
        elif name in OPERATORS:
            body[name] = operates(name)
        else:
            body[name] = reads(name)
    body["__getattr__"] = lambda self, name: getattr(onecopy.share(object.__getattribute__(self, "behind")), name)
    return Meta(real.__name__, (), body)


OPERATORS: Final = frozenset(
    "__add__ __sub__ __mul__ __and__ __or__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __pos__ __neg__".split()
)


def suite_of(module: ModuleType, suite: Any, real: Any, exempt: dict[str, Exempt]) -> type[unittest.TestCase]:
    """A suite whose tests make such objects where they name the real class."""
    name = real.__name__

    def set_up(self: unittest.TestCase) -> None:
        patch = mock.patch.object(module, name, shared(real))
        patch.start()
        self.addCleanup(patch.stop)
        suite.setUp(self)

    return adopt(suite, shared(real), exempt, setUp=set_up)


CHANGES: Final = mutates("its methods, or an item")
FOREIGN: Final = Exempt(
    "stores instances of a class that is made in a function, which cannot be pickled", (onecopy.errors.Unsupported,)
)
ITSELF: Final = Exempt("a copy of a view is the view: it cannot change", (AssertionError,))
NAMES: Final = Exempt("expects the name of the class in the text; a view has its own", (AssertionError, NameError))
DERIVES: Final = Exempt(
    "derives a class, and makes objects by its __init__; views cannot be derived from", (TypeError,)
)

DEQUE: Final = {
    **dict.fromkeys(
        "test_basics test_big_queue_popleft test_big_queue_popright test_big_stack_left test_big_stack_right "
        "test_clear test_comparisons test_contains test_delitem test_extend test_extendleft test_gc_doesnt_blowup "
        "test_getitem test_iadd test_index test_insert test_insert_bug_26194 test_iterator_pickle test_len "
        "test_long_steadystate_queue_popleft test_long_steadystate_queue_popright test_maxlen_zero "
        "test_pickle_recursive test_remove test_reverse test_rotate test_setitem test_underflow".split(),
        CHANGES,
    ),
    **dict.fromkeys("test_container_iterator test_contains_count_index_stop_crashes test_count".split(), FOREIGN),
    **dict.fromkeys(("test_copy", "test_deepcopy"), ITSELF),
    **dict.fromkeys(("test_maxlen", "test_repr"), NAMES),
    "test_reversed_new": Exempt("makes an iterator by its class; that of views cannot be called", (TypeError,)),
    "test_sizeof": Exempt("counts the memory of a deque of this process, which a view is not", (AssertionError,)),
}
DEFAULT_DICT: Final = {
    **dict.fromkeys("test_basic test_deep_copy test_missing test_shallow_copy test_union".split(), CHANGES),
    "test_copy": Exempt("expects that a copy has the class that made it; one of a view is real", (AssertionError,)),
    **dict.fromkeys(("test_recursive_repr", "test_repr"), NAMES),
}
COUNTER: Final = {
    **dict.fromkeys(
        "test_inplace_operations test_multiset_operations test_order_preservation test_subtract test_update".split(),
        CHANGES,
    ),
    "test_basics": Exempt("expects that the class derives from dict", (AssertionError,)),
    "test_copy_subclass": Exempt("expects that a copy has the class of its original; real here", (AssertionError,)),
    "test_copying": ITSELF,
    "test_helper_function": DERIVES,
}

DequeSuite = suite_of(test_deque, test_deque.TestBasic, collections.deque, {})
DefaultDictSuite = suite_of(test_defaultdict, test_defaultdict.TestDefaultDict, collections.defaultdict, {})
CounterSuite = suite_of(test_collections, test_collections.TestCounter, collections.Counter, {})


def test_every_exemption_names_a_test_of_cpython() -> None:
    assert set(DEQUE) <= set(names_in(test_deque.TestBasic))
    assert set(DEFAULT_DICT) <= set(names_in(test_defaultdict.TestDefaultDict))
    assert set(COUNTER) <= set(names_in(test_collections.TestCounter))
