"""The proxy classes of `multiprocessing.managers`, by which our objects are told as well.

Programs register types of their own with them, derive from them and pickle what their servers make: all that is the
standard library's. They also ask `isinstance(x, DictProxy)`, which is true here of a `Dict` as well.
"""

from __future__ import annotations

import copyreg
from multiprocessing import managers as _standard
from types import GenericAlias
from typing import Any, Final

from onecopy import Dict, List, Set, Value
from onecopy._array_proxy import ManagedArray
from onecopy._managed_namespace import ManagedNamespace
from onecopy.sync import Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore

__all__ = ["STAND_INS"]

_LOCKS: Final = (Lock, RLock, Semaphore, BoundedSemaphore, Condition)
_OURS: Final[dict[str, tuple[type, ...]]] = {
    "AcquirerProxy": _LOCKS,
    "ArrayProxy": (ManagedArray,),
    "BarrierProxy": (Barrier,),
    "BaseListProxy": (List,),
    "ConditionProxy": (Condition,),
    "DictProxy": (Dict,),
    "EventProxy": (Event,),
    "ListProxy": (List,),
    "NamespaceProxy": (ManagedNamespace,),
    "SetProxy": (Set,),
    "ValueProxy": (Value,),
}


class _StandIn(type):
    """The class of these classes. Classes derived from them are ordinary ones."""

    def __instancecheck__(cls, instance: Any) -> bool:
        """Whether it is a proxy, or one of our objects that are in its place."""
        return super().__instancecheck__(instance) or isinstance(instance, cls.__dict__.get("_stands_for", ()))

    def __subclasscheck__(cls, subclass: type) -> bool:
        """The same of a class."""
        return super().__subclasscheck__(subclass) or issubclass(subclass, cls.__dict__.get("_stands_for", ()))


def _reduced(proxy: Any) -> tuple[Any, ...]:
    """Pickles a proxy as one of the class that has its name by now: the stand-in, if `install()` put one there."""
    rebuild, (kind, *arguments) = proxy.__reduce__()
    return rebuild, (getattr(_standard, kind.__name__, kind), *arguments)


def _made() -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, ours in _OURS.items():
        real: Any = getattr(_standard, name, None)
        if real is None:  # before CPython 3.14, `SetProxy`
            made[name] = ours[0]
            continue
        names = {"_stands_for": (*ours, real), "__class_getitem__": classmethod(GenericAlias)}
        made[name] = _StandIn(name, (real,), {**names, "__module__": "onecopy.managers", "__doc__": real.__doc__})
        copyreg.pickle(real, _reduced)
    return made


STAND_INS: Final = _made()
"""By name; `install()` puts them in the place of the standard ones."""
