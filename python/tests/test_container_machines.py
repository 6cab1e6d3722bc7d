"""Containers against what they stand for, through two handles of one container: any operations in any order."""

from __future__ import annotations

import collections
import operator
import pickle
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

# Tests do what types forbid.
OP: Any = operator
SETTINGS = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
EXPECTED = (IndexError, KeyError, TypeError, ValueError, OverflowError)


class Machine(RuleBasedStateMachine):
    """Does the same to a container, by one handle and the other in turn, and to the real thing."""

    make: ClassVar[Any]
    real: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        first = self.make()
        self.handles = [first, pickle.loads(pickle.dumps(first))]
        self.model = self.real()

    @property
    def held(self) -> Any:
        self.handles.reverse()
        return self.handles[0]

    def both(self, use: Callable[[Any], Any]) -> Any:
        """The outcomes are the same: what is returned, or the class of the error."""
        outcomes = []
        for each in (self.held, self.model):
            try:
                found = use(each)
            except EXPECTED as error:
                found = type(error)
            outcomes.append(found.to_python() if isinstance(found, type(self.handles[0])) else found)
        assert outcomes[0] == outcomes[1]
        return outcomes[1]

    @rule()
    def unpickle(self) -> None:
        self.handles[0] = pickle.loads(pickle.dumps(self.handles[1]))

    @rule()
    def shared(self) -> None:
        assert onecopy.to_python(onecopy.share(self.held)) == self.model

    @rule()
    def refused(self) -> None:
        with pytest.raises(TypeError, match="an argument of its own"):
            onecopy.share([self.held])

    @rule()
    def start_anew(self) -> None:
        other = self.make(self.model)
        assert other == self.model
        assert other == self.held
        other.clear()
        assert not other

    @rule()
    def clear(self) -> None:
        self.both(lambda each: each.clear())

    @invariant()
    def same(self) -> None:
        for handle in self.handles:
            assert handle == self.model
            assert handle.to_python() == self.model
            assert len(handle) == len(self.model)
        self.held.verify()


INT = st.one_of(st.integers(-3, 3), st.integers(), st.sampled_from([2**47, -(2**47) - 1, 2**64]))
ANY_VALUE = st.one_of(
    INT, st.floats(allow_nan=False), st.text(), st.binary(), st.none(), st.booleans(), st.lists(INT, max_size=2)
)
INDEX = st.one_of(st.integers(-12, 12), st.just(2**70), st.just(-(2**70)))
PART = st.one_of(st.none(), INDEX)
SLICE = st.builds(slice, PART, PART, st.one_of(st.none(), st.integers(-4, 4), st.just(2**70)))
VALUES = st.one_of(st.lists(ANY_VALUE, max_size=8), st.lists(INT, min_size=500, max_size=600))


def walk(held: Any, change: Callable[[Any, int], Any]) -> list[Any]:
    """What an iterator yields while the container changes."""
    seen = []
    for element in held:
        seen.append(element)
        if len(seen) > 40:
            break
        change(held, len(seen))
    return seen


CHANGES: dict[str, Callable[[Any, int], Any]] = {
    "grow": lambda held, at: held.append(at) if at % 2 else None,
    "grow in front": lambda held, at: held.insert(0, at) if at % 3 else None,
    "shrink": lambda held, at: held.pop() if at % 2 else None,
    "shrink in front": lambda held, _: held.pop(0) if held else None,
    "cut": lambda held, at: held.__delitem__(slice(at // 2, None, 2)) if at % 5 == 0 else None,
    "clear": lambda held, at: held.clear() if at == 3 else held.append(at),
    "turn": lambda held, at: held.reverse() if at % 4 == 0 else None,
    "double": lambda held, at: held.extend(held) if at == 2 else None,
}


class ListMachine(Machine):
    make = onecopy.List
    real = list

    @rule(value=ANY_VALUE)
    def append(self, value: Any) -> None:
        self.both(lambda each: each.append(value))

    @rule(at=INDEX, value=ANY_VALUE)
    def insert(self, at: int, value: Any) -> None:
        self.both(lambda each: each.insert(at, value))

    @rule(at=INDEX, value=ANY_VALUE)
    def at(self, at: int, value: Any) -> None:
        self.both(lambda each: each[at])
        self.both(lambda each: each.__setitem__(at, value))

    @rule(at=st.one_of(st.just(-1), INDEX))
    def pop(self, at: int) -> None:
        self.both(lambda each: each.pop(at))

    @rule(at=INDEX)
    def delete(self, at: int) -> None:
        self.both(lambda each: each.__delitem__(at))

    @rule(part=SLICE)
    def look_at_part(self, part: slice) -> None:
        self.both(lambda each: each[part])

    @rule(part=SLICE)
    def delete_part(self, part: slice) -> None:
        self.both(lambda each: each.__delitem__(part))

    @rule(part=SLICE, values=VALUES, fits=st.booleans())
    def replace_part(self, part: slice, values: list[Any], fits: bool) -> None:
        if fits and part.step:
            values = [at if at % 2 else str(at) for at in range(len(self.model[part]))]
        self.both(lambda each: each.__setitem__(part, values))

    @rule(part=SLICE)
    def replace_part_by_itself(self, part: slice) -> None:
        if len(self.model) < 2000:
            self.both(lambda each: each.__setitem__(part, each))

    @rule(values=VALUES, how=st.sampled_from(["extend", "iadd", "front", "init"]))
    def take_in(self, values: list[Any], how: str) -> None:
        if how == "iadd":
            self.both(lambda each: OP.iadd(each, values) is each)
        elif how == "front":
            self.both(lambda each: each.__setitem__(slice(0, 0), iter(values)))
        else:
            self.both(lambda each: getattr(each, {"init": "__init__"}.get(how, how))(values))

    @rule(count=st.integers(-1, 3))
    def multiply(self, count: int) -> None:
        if len(self.model) < 2000:
            self.both(lambda each: each * count)
            self.both(lambda each: OP.imul(each, count) is each)

    @rule(values=st.lists(INT, max_size=3))
    def combine(self, values: list[Any]) -> None:
        self.both(lambda each: each + values)
        self.both(lambda each: values + each)
        self.both(lambda each: (each < values, each >= values))
        self.both(lambda each: (each == values, each != values, [*values, *each]))

    @rule(value=ANY_VALUE)
    def search(self, value: Any) -> None:
        self.both(lambda each: (value in each, each.count(value)))
        self.both(lambda each: each.index(value))
        self.both(lambda each: each.index(value, 1, -1))

    @rule(at=st.integers(0, 5))
    def remove(self, at: int) -> None:
        value = self.model[at] if at < len(self.model) else "absent"
        self.both(lambda each: each.remove(value))

    @rule(reverse=st.booleans(), key=st.sampled_from([None, repr, str]))
    def sort(self, reverse: bool, key: Any) -> None:
        before = list(self.model)
        if isinstance(self.both(lambda each: each.sort(key=key, reverse=reverse)), type):
            self.model[:] = before  # a list that cannot be sorted is left half sorted, a container as it was

    @rule()
    def turn(self) -> None:
        self.both(lambda each: each.reverse())
        self.both(lambda each: list(reversed(each)))

    @rule(name=st.sampled_from(sorted(CHANGES)))
    def change_while_iterated(self, name: str) -> None:
        self.both(lambda each: walk(each, CHANGES[name]))

    @rule(at=INDEX, amount=INT)
    def add(self, at: int, amount: int) -> None:
        if -len(self.model) <= at < len(self.model) and type(self.model[at]) is int:
            self.model[at] += amount
            assert self.held.add(at, amount) == self.model[at]
        else:
            with pytest.raises((IndexError, TypeError)):
                self.held.add(at, amount)

    @rule(at=st.integers(0, 5), new=ANY_VALUE, old=ANY_VALUE, fits=st.booleans())
    def exchange(self, at: int, old: Any, new: Any, fits: bool) -> None:
        if at < len(self.model):
            old = self.model[at] if fits else old
            same = type(old) is type(self.model[at]) and repr(old) == repr(self.model[at])
            assert self.held.compare_exchange(at, old, new) is same
            if same:
                self.model[at] = new
            assert self.held.update_with(at, lambda value: [value]) == [self.model[at]]
            self.model[at] = [self.model[at]]


SIMPLE = st.one_of(
    INT,
    st.sampled_from([0.0, -0.0, 1.0, 0.5, float(2**60), "a", "key", b"key"]),
    st.booleans(),
    st.none(),
    st.text(max_size=8),
)
KEY = st.one_of(SIMPLE, st.tuples(SIMPLE), st.frozensets(SIMPLE, max_size=2))
NO_KEY: list[Any] = [[], {}, (1, [])]
ITEMS = st.one_of(st.dictionaries(KEY, ANY_VALUE, max_size=10), st.dictionaries(INT, INT, min_size=60, max_size=90))


class DictMachine(Machine):
    make = onecopy.Dict
    real = dict

    @rule(key=KEY, value=ANY_VALUE)
    def set(self, key: Any, value: Any) -> None:
        self.both(lambda each: each.__setitem__(key, value))

    @rule(key=st.one_of(KEY, st.sampled_from(NO_KEY)), default=ANY_VALUE)
    def ask(self, key: Any, default: Any) -> None:
        self.both(lambda each: each[key])
        self.both(lambda each: (key in each, each.get(key), each.get(key, default)))
        self.both(lambda each: (key in each.keys(), (key, default) in each.items()))  # noqa: SIM118

    @rule(key=KEY, default=ANY_VALUE)
    def take(self, key: Any, default: Any) -> None:
        self.both(lambda each: each.pop(key, default))

    @rule(data=st.data(), how=st.sampled_from(["pop", "__delitem__"]))
    def take_one(self, data: Any, how: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.model, key=repr)) if self.model else KEY)
        self.both(lambda each: getattr(each, how)(key))

    @rule(key=KEY, value=ANY_VALUE)
    def setdefault(self, key: Any, value: Any) -> None:
        self.both(lambda each: each.setdefault(key, value))

    @rule(count=st.integers(1, 40))
    def popitem(self, count: int) -> None:
        for _ in range(count):
            self.both(lambda each: each.popitem())

    @rule(items=ITEMS, how=st.sampled_from(["update", "ior", "pairs", "init", "keywords"]))
    def take_in(self, items: dict[Any, Any], how: str) -> None:
        if how == "ior":
            self.both(lambda each: OP.ior(each, items) is each)
        elif how == "pairs":
            self.both(lambda each: each.update(list(items.items())))
        elif how == "keywords":
            self.both(lambda each: each.update({str(key): value for key, value in items.items()}, self=1))
        else:
            self.both(lambda each: getattr(each, {"init": "__init__"}.get(how, how))(items))

    @rule(items=ITEMS)
    def combine(self, items: dict[Any, Any]) -> None:
        self.both(lambda each: (list((each | items).items()), list((items | each).items())))
        self.both(lambda each: (each == items, each != items, each.keys() == items.keys()))
        self.both(lambda each: (each.keys() & items.keys(), items.keys() - each.keys(), each.keys() ^ items))
        self.both(lambda each: (each.keys() <= items.keys(), each.keys().isdisjoint(items)))

    @rule()
    def iterate_while_it_changes(self) -> None:
        expected = list(self.model.items())
        seen = []
        for at, (key, value) in enumerate(self.held.items()):
            seen.append((key, value))
            self.both(lambda each: each.pop(key, None))
            if at % 3 == 0:
                self.both(lambda each: each.__setitem__(("new", at), at))
        assert seen == expected

    @rule(key=KEY, amount=INT)
    def add(self, key: Any, amount: int) -> None:
        if type(self.model.get(key, 0)) is int:
            self.model[key] = self.model.get(key, 0) + amount
            assert self.held.add(key, amount) == self.model[key]

    @rule(data=st.data(), new=ANY_VALUE)
    def exchange(self, data: Any, new: Any) -> None:
        if self.model:
            key = data.draw(st.sampled_from(sorted(self.model, key=repr)))
            assert self.held.compare_exchange(key, self.model[key], new)
            assert self.held.update_with(key, lambda value: [value]) == [new]
            self.model[key] = [new]

    @invariant()
    def order(self) -> None:
        assert list(self.held.items()) == list(self.model.items())
        assert list(reversed(self.held)) == list(reversed(self.model))
        # The first form of a key stays; in tuples and frozensets alone a number becomes the int that it equals.
        numbers = [[repr(key) for key in each if isinstance(key, float | int)] for each in (self.held, self.model)]
        assert numbers[0] == numbers[1]
        assert list(self.held.values()) == list(self.model.values())


ELEMENTS = st.one_of(st.sets(KEY, max_size=8), st.sets(INT, min_size=60, max_size=90))
KINDS: dict[str, Callable[[Any], Any]] = {
    "set": set,
    "frozenset": frozenset,
    "list": list,
    "keys": lambda values: dict.fromkeys(values).keys(),
    "shared": onecopy.Set,
    "shared keys": lambda values: onecopy.Dict.fromkeys(values).keys(),
    "iterator": iter,
}
UPDATES = ("update", "intersection_update", "difference_update", "symmetric_difference_update", "__init__")
QUESTIONS = ("union", "intersection", "difference", "symmetric_difference", "isdisjoint", "issubset", "issuperset")
OPERATORS = ("__or__", "__and__", "__sub__", "__xor__", "__le__", "__lt__", "__ge__", "__gt__", "__eq__", "__ne__")


class SetMachine(Machine):
    make = onecopy.Set
    real = set

    @rule(element=st.one_of(KEY, st.sampled_from(NO_KEY)))
    def add(self, element: Any) -> None:
        self.both(lambda each: (element in each, each.add(element)))

    @rule(element=KEY, how=st.sampled_from(["discard", "remove"]))
    def take(self, element: Any, how: str) -> None:
        self.both(lambda each: getattr(each, how)(element))
        self.both(lambda each: getattr(each, how)({1, 2}))

    @rule(data=st.data())
    def take_one(self, data: Any) -> None:
        if self.model:
            element = data.draw(st.sampled_from(sorted(self.model, key=repr)))
            self.both(lambda each: each.remove(element))

    @rule(count=st.integers(1, 40))
    def pop(self, count: int) -> None:
        for _ in range(count):
            if not self.model:
                self.both(lambda each: each.pop())
                return
            self.model.remove(self.held.pop())

    @rule(name=st.sampled_from(UPDATES), values=ELEMENTS, kind=st.sampled_from(sorted(KINDS)))
    def change(self, name: str, values: set[Any], kind: str) -> None:
        self.both(lambda each: getattr(each, name)(KINDS[kind](values)))

    @rule(name=st.sampled_from(["ior", "iand", "isub", "ixor"]), values=ELEMENTS, kind=st.sampled_from(sorted(KINDS)))
    def change_in_place(self, name: str, values: set[Any], kind: str) -> None:
        other = KINDS[kind](values)
        if kind in {"list", "iterator"}:
            self.both(lambda each: getattr(OP, name)(each, other))
            return
        # With views and containers the operator of a real set gives another one.
        self.model = set(getattr(OP, name)(self.model, other))
        held = self.held
        assert getattr(OP, name)(held, other) is held

    @rule(name=st.sampled_from(QUESTIONS), values=ELEMENTS, kind=st.sampled_from(sorted(KINDS)))
    def ask(self, name: str, values: set[Any], kind: str) -> None:
        self.both(lambda each: getattr(each, name)(KINDS[kind](values)))

    @rule(name=st.sampled_from(OPERATORS), values=ELEMENTS, kind=st.sampled_from(["set", "frozenset", "list", "keys"]))
    def operate(self, name: str, values: set[Any], kind: str) -> None:
        other = KINDS[kind](values)
        self.both(lambda each: getattr(OP, name)(each, other))
        self.both(lambda each: getattr(OP, name)(other, each))

    @rule()
    def iterate_while_it_changes(self) -> None:
        seen = []
        for element in self.held:
            seen.append(element)
            self.both(lambda each: each.discard(element))
            self.both(lambda each: each.add(("new", len(seen))))
        assert len(seen) == len(set(seen))
        assert self.model == {("new", at + 1) for at in range(len(seen))}


COUNTS = st.dictionaries(KEY, st.integers(-3, 3), max_size=6)


class CounterMachine(Machine):
    make = onecopy.Counter
    real = collections.Counter

    @rule(key=KEY, amount=INT)
    def add(self, key: Any, amount: int) -> None:
        self.model[key] += amount
        assert self.held.add(key, amount) == self.model[key]

    @rule(key=st.one_of(KEY, st.sampled_from(NO_KEY)), count=st.integers(-5, 5))
    def set(self, key: Any, count: int) -> None:
        self.both(lambda each: (each[key], each.get(key), key in each))
        self.both(lambda each: each.__setitem__(key, count))

    @rule(name=st.sampled_from(["update", "subtract", "__init__"]), counts=COUNTS, is_mapping=st.booleans())
    def change(self, name: str, counts: dict[Any, int], is_mapping: bool) -> None:
        self.both(lambda each: getattr(each, name)(counts if is_mapping else [*counts, *counts], self=2))

    @rule(name=st.sampled_from(["iadd", "isub", "iand", "ior"]), counts=COUNTS, is_counter=st.booleans())
    def change_in_place(self, name: str, counts: dict[Any, int], is_counter: bool) -> None:
        if is_counter or name != "iand":  # which asks a dict for keys that it has not
            other = collections.Counter(counts) if is_counter else counts
            self.both(lambda each: getattr(OP, name)(each, other) is each)

    @rule(name=st.sampled_from(["add", "sub", "and_", "or_", "eq", "ne", "le", "lt", "ge", "gt"]), counts=COUNTS)
    def operate(self, name: str, counts: dict[Any, int]) -> None:
        other = collections.Counter(counts)
        self.both(lambda each: getattr(OP, name)(each, other))
        self.both(lambda each: getattr(OP, name)(other, each))
        self.both(lambda each: getattr(OP, name)(each, self.make(counts)) == getattr(OP, name)(self.model, other))

    @rule(n=st.one_of(st.none(), st.integers(-1, 4)))
    def ask(self, n: int | None) -> None:
        self.both(lambda each: (each.most_common(n), each.total()))
        self.both(lambda each: (+each, -each))
        if self.model.total() < 1000 and max(self.model.values(), default=0) < 1000:
            self.both(lambda each: list(each.elements()))

    @rule(key=KEY)
    def take(self, key: Any) -> None:
        self.both(lambda each: each.pop(key))
        self.both(lambda each: each.__delitem__(key))

    @rule()
    def popitem(self) -> None:
        self.both(lambda each: each.popitem())

    @invariant()
    def items(self) -> None:
        assert dict(self.held.items()) == dict(self.model)


TestList = ListMachine.TestCase
TestDict = DictMachine.TestCase
TestSet = SetMachine.TestCase
TestCounter = CounterMachine.TestCase
for _case in (TestList, TestDict, TestSet, TestCounter):
    _case.settings = SETTINGS
