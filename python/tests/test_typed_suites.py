"""CPython's own tests of `deque`, `defaultdict` and `Counter` against views of them: what only reads must hold.

Most tests change their object and look at it afterwards. So they are given objects that are changed as the real ones
are, and of which each method that reads is called on a view that is made at that moment.
"""

from __future__ import annotations

import collections
import copy
import operator
import pickle
import sys
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import onecopy
from cpython_suites import Exempt, adopt, names_in, require_full_test_package
from onecopy import _pickle

require_full_test_package()

from test import test_collections, test_defaultdict, test_deque  # noqa: E402

if TYPE_CHECKING:
    import unittest
    from types import ModuleType


WRITES: Final = {
    collections.deque: "append appendleft clear extend extendleft insert pop popleft remove reverse rotate __setitem__ "
    "__delitem__ __iadd__ __imul__ __init__",
    collections.defaultdict: "__setitem__ __delitem__ __ior__ clear pop popitem setdefault update __init__",
    collections.Counter: "__setitem__ __delitem__ __ior__ __iadd__ __isub__ __iand__ clear pop popitem setdefault "
    "update subtract __init__ _keep_positive",
}
SKIPPED: Final = frozenset(
    "__new__ __init__ __class__ __getattribute__ __getattr__ __setattr__ __delattr__ __init_subclass__ "
    "__subclasshook__ __class_getitem__ __dict__ __weakref__ __doc__ __module__ __slots__ __slotnames__ __getstate__ "
    "__reduce__ __sizeof__ __dir__ __format__ __str__ fromkeys".split()
)


class Meta(type):
    """`isinstance()` as of the real class."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.real) or type.__instancecheck__(cls, instance)  # type: ignore[attr-defined]


def reduced(self: Any, protocol: Any) -> Any:
    """Pickles as the view; an element that leads back to its deque cannot be shared by way of a pickle."""
    if sys._getframe(1).f_code.co_name == "dumps" and sys._getframe(1).f_globals is vars(_pickle):
        raise TypeError("its elements lead back to it")
    return onecopy.share(behind(self)).__reduce_ex__(protocol)


def bare(obj: Any) -> Any:
    """What an argument stands for: another such object is a view, too."""
    return onecopy.share(obj.behind) if type(type(obj)) is Meta else obj


def behind(obj: Any) -> Any:
    """The real object that changes; a real one stands for itself."""
    return obj.behind if type(type(obj)) is Meta else obj


def shared(real: Any) -> Any:  # noqa: C901 - a few lines for each kind of method
    """A class whose objects are changed as the real one is, and read through a view of what they are at the moment."""

    def make(self: Any, /, *args: Any, **kwargs: Any) -> None:
        object.__setattr__(self, "behind", real(*map(bare, args), **kwargs))

    def writes(name: str) -> Any:
        def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            # What is added to itself must be itself here as well.
            given = (self.behind if arg is self else bare(arg) for arg in args)
            result = getattr(behind(self), name)(*given, **kwargs)
            return self if result is behind(self) else result

        return method

    def reads(name: str) -> Any:
        def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            return getattr(onecopy.share(behind(self)), name)(*map(bare, args), **kwargs)

        return method

    def operates(name: str) -> Any:
        how: Any = getattr(operator, name.strip("_") + ("_" if name in {"__and__", "__or__"} else ""))

        def method(self: Any, /, *args: Any) -> Any:
            return how(onecopy.share(behind(self)), *map(bare, args))

        return method

    def attribute(name: str) -> Any:
        return property(
            lambda self: getattr(onecopy.share(behind(self)), name),
            lambda self, value: setattr(behind(self), name, value),
        )

    body: dict[str, Any] = {
        "real": real,
        "__class__": property(lambda _: real),
        "__init__": make,
        "fromkeys": getattr(real, "fromkeys", None),
    }
    for name in sorted({*dir(real)} - SKIPPED):
        if not callable(getattr(real, name)):
            body[name] = None if getattr(real, name) is None else attribute(name)
        elif name in WRITES[real].split():
            body[name] = writes(name)
        elif name in OPERATORS:
            body[name] = operates(name)
        else:
            body[name] = reads(name)
    body["__reduce_ex__"] = reduced
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


FOREIGN: Final = Exempt(
    "stores instances of a class that is made in a function, or that lead back, which cannot be pickled",
    (onecopy.errors.Unsupported,),
)
PARTS: Final = Exempt("changes a list in a copy, where it is a view of the same list", (AssertionError,))
NAMES: Final = Exempt("expects the name of the class in the text; a view has its own", (AssertionError, NameError))

DEQUE = {
    **dict.fromkeys(
        "test_container_iterator test_contains test_count test_index".split(),
        FOREIGN,
    ),
    **dict.fromkeys(("test_copy", "test_copy_method"), PARTS),
    **dict.fromkeys(("test_maxlen", "test_repr"), NAMES),
    "test_iterator_pickle": Exempt("changes what came out of a pickle, which is a view", (TypeError,)),
    "test_pickle_recursive": Exempt("expects one object where a part is read twice", (AssertionError,)),
    "test_remove": Exempt("changes the deque while one of its elements is compared", (AssertionError,)),
    "test_reversed_new": Exempt("makes an iterator by its class; that of views cannot be called", (TypeError,)),
    "test_sizeof": Exempt("counts the memory of a deque of this process, which a view is not", (AssertionError,)),
}
DEFAULT_DICT = {
    "test_basic": Exempt("expects that what the factory has made is kept", (AssertionError,)),
    "test_copy": Exempt("compares the class of a copy, which is the real one, with this file's", (AssertionError,)),
    "test_recursive_repr": Exempt("derives a class, which views do not allow", (AttributeError,)),
    "test_repr": NAMES,
}
COUNTER = {
    "test_basics": Exempt("asks for the bases of the class, which here is this file's", (AssertionError,)),
    "test_copy_subclass": Exempt("derives a class, which views do not allow", (AssertionError,)),
    "test_helper_function": Exempt("derives a class, which views do not allow", (AssertionError,)),
}

# Tests that only some versions have.
for exempt, suite, reason, names in (
    (
        DEQUE,
        test_deque.TestBasic,
        FOREIGN,
        {"test_contains_count_index_stop_crashes", "test_contains_count_stop_crashes"},
    ),
    (
        DEFAULT_DICT,
        test_defaultdict.TestDefaultDict,
        FOREIGN,
        {"test_factory_conflict_with_set_value", "test_repr_recursive_factory"},
    ),
    (
        COUNTER,
        test_collections.TestCounter,
        Exempt("changes the counter while one of its values is added", (AssertionError,)),
        {"test_update_reentrant_add_clears_counter"},
    ),
):
    exempt.update(dict.fromkeys(names & set(names_in(suite)), reason))

DequeSuite = suite_of(test_deque, test_deque.TestBasic, collections.deque, DEQUE)
DefaultDictSuite = suite_of(test_defaultdict, test_defaultdict.TestDefaultDict, collections.defaultdict, DEFAULT_DICT)
CounterSuite = suite_of(test_collections, test_collections.TestCounter, collections.Counter, COUNTER)
# Its parts are tests of their own, one of which evaluates a text with the class's name.
CounterSuite.test_copying = lambda _: copies(collections.Counter("which witch"))  # type: ignore[attr-defined]


def copies(words: Any) -> None:
    """What the test of copies asks for, where a view's copy is itself."""
    view = onecopy.share(words)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(view, protocol)) == words
    assert copy.copy(view) is copy.deepcopy(view) is view
    for made in (view.copy(), collections.Counter(view)):
        assert type(made) is collections.Counter
        assert made == words


def test_every_exemption_names_a_test_of_cpython() -> None:
    assert set(DEQUE) <= set(names_in(test_deque.TestBasic))
    assert set(DEFAULT_DICT) <= set(names_in(test_defaultdict.TestDefaultDict))
    assert set(COUNTER) <= set(names_in(test_collections.TestCounter))
