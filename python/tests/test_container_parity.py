"""Containers side by side with what they stand for: each of these programs has the same outcome for both."""

# ruff: noqa: PLR0124, RUF005, SIM300 - which operand stands on the left, and that there is one, matters
from __future__ import annotations

import collections
import operator
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

# Tests do what types forbid.
LIST: Any = onecopy.List
DICT: Any = onecopy.Dict
SET: Any = onecopy.Set
COUNTER: Any = onecopy.Counter
OP: Any = operator  # its types take no container

CONTAINERS = (LIST, DICT, SET, COUNTER)


def plain(found: Any) -> Any:
    """What a program gave, with containers as what they stand for."""
    if isinstance(found, CONTAINERS):
        return found.to_python()
    if isinstance(found, (tuple, list)):
        return type(found)(map(plain, found))
    return found


def outcome(program: Callable[[Any, Any], Any], make: Any, start: Any) -> Any:
    """What a program returns or raises, and what is there afterwards."""
    held = make(start)
    try:
        found = plain(program(held, make))
    except Exception as error:
        found = type(error)
    return found, type(found), plain(held)


class Index:
    """An index of its own class."""

    def __index__(self) -> int:
        return 1


def itself(used: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    """Whether an operator in place gives the same object, and changes it."""

    def program(held: Any, make: Any) -> bool:
        return used(held, make) is held

    return program


LIST_PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {
    "l + [4]": lambda x, _: x + [4],
    "[4] + l": lambda x, _: [4] + x,
    "l + l": lambda x, make: x + make([9]),
    "l + (4,)": lambda x, _: x + (4,),
    "(4,) + l": lambda x, _: (4,) + x,
    "l + None": lambda x, _: x + None,
    "plain += l": lambda x, _: OP.iadd([0], x),
    "l += plain": itself(lambda x, _: OP.iadd(x, [4, 5])),
    "l += tuple": itself(lambda x, _: OP.iadd(x, (4, 5))),
    "l += generator": itself(lambda x, _: OP.iadd(x, (i for i in range(3)))),
    "l += l": itself(lambda x, _: OP.iadd(x, x)),
    "l += 1": lambda x, _: OP.iadd(x, 1),
    "l.extend(l)": lambda x, _: x.extend(x),
    "l[:0] = l": lambda x, _: x.__setitem__(slice(0, 0), x),
    "l[1:1] = l": lambda x, _: x.__setitem__(slice(1, 1), x),
    "l[::2] = l": lambda x, _: x.__setitem__(slice(None, None, 2), x),
    "l[::-1] = l": lambda x, _: x.__setitem__(slice(None, None, -1), x),
    "l[:] = text": lambda x, _: x.__setitem__(slice(None), "ab"),
    "l[:] = dict": lambda x, _: x.__setitem__(slice(None), {"a": 1, "b": 2}),
    "l[5:2] = [9]": lambda x, _: x.__setitem__(slice(5, 2), [9]),
    "l[Index()]": lambda x, _: x[Index()],
    "l[True]": lambda x, _: x[True],
    "l[1.0]": lambda x, _: x[1.0],
    "l['a']": lambda x, _: x["a"],
    "l['a':]": lambda x, _: x["a":],
    "l['a'] = 1": lambda x, _: x.__setitem__("a", 1),
    "del l[9]": lambda x, _: x.__delitem__(9),
    "del l[-3]": lambda x, _: x.__delitem__(-3),
    "del l[-4]": lambda x, _: x.__delitem__(-4),
    "l[-3]": lambda x, _: x[-3],
    "l[-4]": lambda x, _: x[-4],
    "l[-1] = 9": lambda x, _: x.__setitem__(-1, 9),
    "l[Index()] = 9": lambda x, _: x.__setitem__(Index(), 9),
    "l * 2": lambda x, _: x * 2,
    "2 * l": lambda x, _: 2 * x,
    "l * -1": lambda x, _: x * -1,
    "l * Index()": lambda x, _: x * Index(),
    "l * 1.5": lambda x, _: x * 1.5,
    "l * l": lambda x, _: x * x,
    "l *= 0": itself(lambda x, _: OP.imul(x, 0)),
    "l *= -3": itself(lambda x, _: OP.imul(x, -3)),
    "l *= 3": itself(lambda x, _: OP.imul(x, 3)),
    "l *= Index()": itself(lambda x, _: OP.imul(x, Index())),
    "l *= 'a'": lambda x, _: OP.imul(x, "a"),
    "l == plain": lambda x, _: (x == [3, 1, 2], [3, 1, 2] == x, x == [3, 1], x == (3, 1, 2), x == None),  # noqa: E711
    "l != plain": lambda x, _: (x != [3, 1, 2], [3, 1, 2] != x, x != [3, 1], x != (3, 1, 2)),
    "l < plain": lambda x, _: (x < [3, 1, 3], [3, 1, 3] > x, x < [3, 1, 2], x <= [3, 1, 2], x >= [], x > [3]),
    "l < l": lambda x, make: (x < make([4]), x == make([3, 1, 2]), x >= x, make([3, 1]) > x),
    "l < tuple": lambda x, _: x < (1,),
    "l < text": lambda x, make: make(["a"]) < x,
    "in": lambda x, _: (1 in x, 1.0 in x, "1" in x, [1] in x, float("nan") in x),
    "index": lambda x, _: (x.index(1), x.index(2, -1), x.index(True)),
    "index in vain": lambda x, _: x.index(3, 1),
    "count": lambda x, _: (x.count(1), x.count(True), x.count("a")),
    "insert": lambda x, _: (x.insert(-100, 0), x.insert(100, 9), x.insert(-1, 8), x.insert(Index(), 7)),
    "insert in vain": lambda x, _: x.insert("a", 1),
    "pop": lambda x, _: (x.pop(), x.pop(0), x.pop(-1)),
    "pop Index()": lambda x, _: x.pop(Index()),
    "pop 1.5": lambda x, _: x.pop(1.5),
    "pop from empty": lambda _, make: make([]).pop(),
    "pop 1, 2": lambda x, _: x.pop(1, 2),
    "append()": lambda x, _: x.append(),
    "append(1, 2)": lambda x, _: x.append(1, 2),
    "extend(None)": lambda x, _: x.extend(None),
    "sort": lambda x, _: x.sort(),
    "sort reversed": lambda x, _: x.sort(reverse=True),
    "sort by key": lambda x, _: x.sort(key=lambda i: -i),
    "sort by None": lambda x, _: x.sort(key=None, reverse=1),
    "sort(1)": lambda x, _: x.sort(1),
    "sort mixed": lambda _, make: make([1, "a"]).sort(),
    "reverse": lambda x, _: x.reverse(),
    "reversed": lambda x, _: list(reversed(x)),
    "clear": lambda x, _: (x.clear(), len(x), bool(x)),
    "unpacking": lambda x, _: [*x, *x],
    "call": lambda x, _: max(*x),
    "sorted, sum": lambda x, _: (sorted(x), sum(x), min(x), tuple(x), set(x)),
    "init": lambda x, _: x.__init__([7, 8]),
    "init empty": lambda x, _: x.__init__(),
    "init by itself": lambda _, make: make(make([1, 2])),
    "list(None)": lambda _, make: make(None),
    "list(1)": lambda _, make: make(1),
    "list(1, 2)": lambda _, make: make([], []),
    "list(iterable=)": lambda _, make: make(iterable=[]),
    "attribute": lambda x, _: setattr(x, "a", 1),
    "iterator": lambda x, _: (it := iter(x), next(it), it.__length_hint__(), list(it), list(it))[1:],
    "pickled iterator": lambda x, _: (it := iter(x), next(it), list(pickle.loads(pickle.dumps(it))))[1:],
    "growing while iterated": lambda x, _: [x.append(i) or i for i in x if len(x) < 9],
    "shrinking while iterated": lambda x, _: [x.pop() for _ in x],
    "match": lambda x, _: __import__("collections.abc").abc.MutableSequence.__instancecheck__(x),
    "doc": lambda x, _: bool(type(x).__doc__),
    "format": lambda x, _: format(x, "5"),
}

DICT_PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {
    "d['c']": lambda x, _: x["c"],
    "del d['c']": lambda x, _: x.__delitem__("c"),
    "d[[]]": lambda x, _: x[[]],
    "d[[]] = 1": lambda x, _: x.__setitem__([], 1),
    "[] in d": lambda x, _: [] in x,
    "d.get([])": lambda x, _: x.get([]),
    "get": lambda x, _: (x.get("a"), x.get("c"), x.get("c", 5), x.get("a", 5)),
    "get(key=)": lambda x, _: x.get(key="a"),
    "pop": lambda x, _: (x.pop("a"), x.pop("a", None), x.pop("a", 5)),
    "pop in vain": lambda x, _: x.pop("c"),
    "pop(key=)": lambda x, _: x.pop(key="a"),
    "pop of three": lambda x, _: x.pop("a", 1, 2),
    "pop of none": lambda x, _: x.pop(),
    "setdefault": lambda x, _: (x.setdefault("a", 5), x.setdefault("c"), x.setdefault("d", 5)),
    "setdefault()": lambda x, _: x.setdefault(),
    "popitem": lambda x, _: (x.popitem(), x.popitem()),
    "popitem of empty": lambda _, make: make({}).popitem(),
    "update": lambda x, _: x.update({"b": 7}, c=8),
    "update pairs": lambda x, _: x.update([("b", 7), ["c", 8]]),
    "update text pairs": lambda x, _: x.update(["xy"]),
    "update()": lambda x, _: x.update(),
    "update(None)": lambda x, _: x.update(None),
    "update(1)": lambda x, _: x.update(1),
    "update by itself": lambda x, _: x.update(x),
    "update by two": lambda x, _: x.update({}, {}),
    "update keyword source": lambda x, _: x.update(source=1, self=2, key=3),
    "clear": lambda x, _: (x.clear(), len(x), bool(x)),
    "d == plain": lambda x, _: (x == {"b": 2, "a": 1}, {"a": 1} == x, x != {"a": 1}, x == [("a", 1)], x == None),  # noqa: E711
    "d == d": lambda x, make: (x == make({"b": 2, "a": 1}), x == x, x != make({})),
    "d < d": lambda x, _: x < x,
    "d | plain": lambda x, _: (x | {"b": 3, "c": 4}, {"b": 3, "c": 4} | x),
    "d | d": lambda x, make: x | make({"b": 3}),
    "d | pairs": lambda x, _: x | [("a", 1)],
    "pairs | d": lambda x, _: [("a", 1)] | x,
    "d |= plain": itself(lambda x, _: OP.ior(x, {"b": 3, "c": 4})),
    "d |= pairs": itself(lambda x, _: OP.ior(x, [("b", 3)])),
    "d |= d": itself(lambda x, _: OP.ior(x, x)),
    "d |= None": lambda x, _: OP.ior(x, None),
    "plain |= d": lambda x, _: OP.ior({"z": 0}, x),
    "keys": lambda x, _: (list(x), list(x.keys()), list(reversed(x)), list(reversed(x.keys()))),
    "values": lambda x, _: (list(x.values()), 1 in x.values(), [] in x.values()),
    "items": lambda x, _: (list(x.items()), ("a", 1) in x.items(), ("a", 2) in x.items(), "a" in x.items()),
    "key operators": lambda x, _: (x.keys() & {"a"}, x.keys() | {"z"}, x.keys() - {"a"}, x.keys() ^ {"a", "z"}),
    "key operators reflected": lambda x, _: (
        {"a"} & x.keys(),
        {"z"} | x.keys(),
        {"a", "z"} - x.keys(),
        {"z"} ^ x.keys(),
    ),
    "key operators of iterables": lambda x, _: (x.keys() & ["a"], x.keys() | ["z"], x.keys() - iter("a")),
    "key comparisons": lambda x, _: (
        x.keys() == {"a", "b"},
        x.keys() <= {"a", "b", "c"},
        x.keys() > {"a"},
        x.keys() != 1,
    ),
    "keys == keys": lambda x, make: (x.keys() == make({"b": 0, "a": 0}).keys(), x.keys() == x.keys()),
    "item operators": lambda x, _: (x.items() & {("a", 1)}, x.items() - {("a", 1)}, x.items() == {("a", 1), ("b", 2)}),
    "values == values": lambda x, _: x.values() == x.values(),
    "isdisjoint": lambda x, _: (x.keys().isdisjoint("cd"), x.keys().isdisjoint("a"), x.items().isdisjoint([])),
    "hash of keys": lambda x, _: hash(x.keys()),
    "views' lengths": lambda x, _: (len(x.keys()), len(x.values()), len(x.items())),
    "fromkeys": lambda x, _: (type(x).fromkeys("ab"), type(x).fromkeys("ab", 1), x.fromkeys([])),
    "fromkeys(1)": lambda x, _: type(x).fromkeys(1),
    "init": lambda x, _: x.__init__({"c": 1}, b=5),
    "init()": lambda x, _: x.__init__(),
    "dict(None)": lambda _, make: make(None),
    "dict(1)": lambda _, make: make(1),
    "dict(x, y)": lambda _, make: make({}, {}),
    "dict(**)": lambda _, make: make({"a": 1}, a=2, source=3, self=4, items=5),
    "dict(d)": lambda x, _: (dict(x), dict(**x), {**x}, list(zip(x, x.values()))),  # noqa: B905
    "attribute": lambda x, _: setattr(x, "a", 1),
    "iterator": lambda x, _: (it := iter(x), next(it), it.__length_hint__(), list(it), list(it))[1:],
    "len, bool": lambda x, make: (len(x), bool(x), bool(make({}))),
    "tuple keys": lambda _, make: make({(1, ("a", None)): 2})[1.0, ("a", None)],
    "1 and True": lambda _, make: list(make([(1, "a"), (True, "b"), (1.0, "c")]).items()),
    "copy": lambda x, _: (x.copy(), len(x)),
    "format": lambda x, _: format(x, "5"),
    "formatted": lambda x, _: "%(a)s" % x,  # noqa: UP031
    "format_map": lambda x, _: "{a}".format_map(x),
    "__missing__": lambda x, _: hasattr(x, "__missing__"),
}

ABC = ("union", "intersection", "difference", "symmetric_difference")
SET_PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {
    "operators": lambda x, _: (x | {9}, x & {1, 9}, x - {1}, x ^ {1, 9}),
    "operators with frozensets": lambda x, _: (x | frozenset({9}), x & frozenset({1}), x - frozenset({1})),
    "operators with sets of the kind": lambda x, make: (x | make({9}), x & make({1}), x - make({1}), x ^ make({1, 9})),
    "operators with keys": lambda x, _: (x | {9: 0}.keys(), x & {1: 0}.keys(), x - {1: 0}.keys(), x ^ {9: 0}.keys()),
    "keys with it": lambda x, _: ({9: 0}.keys() | x, {1: 0}.keys() & x, {9: 0}.keys() - x),
    "reflected": lambda x, _: ({9} | x, {1, 9} & x, {1, 9} - x, {1, 9} ^ x),
    "reflected, in place": lambda x, _: OP.ior({9}, x),
    "with a list": lambda x, _: x | [1],
    "a list with it": lambda x, _: [1] | x,
    "|= list": lambda x, _: OP.ior(x, [1]),
    "&= list": lambda x, _: OP.iand(x, [1]),
    "-= None": lambda x, _: OP.isub(x, None),
    "|=": itself(lambda x, _: OP.ior(x, {9})),
    "&=": itself(lambda x, _: OP.iand(x, {1, 9})),
    "-=": itself(lambda x, _: OP.isub(x, {1, 9})),
    "^=": itself(lambda x, _: OP.ixor(x, {1, 9})),
    "|= itself": itself(lambda x, _: OP.ior(x, x)),
    "&= itself": itself(lambda x, _: OP.iand(x, x)),
    "-= itself": itself(lambda x, _: OP.isub(x, x)),
    "^= itself": itself(lambda x, _: OP.ixor(x, x)),
    "comparisons": lambda x, _: (
        x == {1, 2, 3},
        x != {1},
        x < {1, 2, 3, 4},
        x <= {1, 2, 3},
        x > {1},
        x >= {4},
        {1} < x,
    ),
    "comparisons with frozensets": lambda x, _: (x == frozenset({1, 2, 3}), frozenset({1}) < x, frozenset() == x),
    "comparisons with the kind": lambda x, make: (x == make({3, 2, 1}), x < make({1}), make({1}) < x),
    "== list": lambda x, _: (x == [1, 2, 3], x != [1], x == None),  # noqa: E711
    "< list": lambda x, _: x < [1],
    "in": lambda x, _: (1 in x, 1.0 in x, True in x, "1" in x),
    "[] in": lambda x, _: [] in x,
    "{} in": lambda x, _: {} in x,
    "a set in": lambda _, make: ({1, 2} in make([frozenset({1, 2})]), {1} in make([frozenset({1, 2})])),
    "one of the kind in": lambda _, make: make([1, 2]) in make([frozenset({1, 2})]),
    "discard one of the kind": lambda _, make: (y := make([frozenset({1})]), y.discard(make([1])), len(y))[1:],
    "remove one of the kind": lambda _, make: (y := make([frozenset({1})]), y.remove(make([1])), len(y))[1:],
    "remove in vain": lambda x, make: x.remove(make([1])),
    "add one of the kind": lambda x, make: x.add(make([1])),
    "a kind of two": lambda _, make: make([make([1])]),
    "add": lambda x, _: (x.add(9), x.add(9), x.add(1.0)),
    "add []": lambda x, _: x.add([]),
    "remove": lambda x, _: (x.remove(1), x.discard(1), x.discard(9)),
    "remove 9": lambda x, _: x.remove(9),
    "pop": lambda _, make: make({5}).pop(),
    "pop of empty": lambda _, make: make([]).pop(),
    "clear": lambda x, _: (x.clear(), len(x), bool(x)),
    "update": lambda x, _: (x.update([8], (9,), "a"), x.update(), x.update(x)),
    "update(None)": lambda x, _: x.update(None),
    "updates": lambda x, _: (x.intersection_update([1, 2], (2, 3)), x.symmetric_difference_update([2, 5])),
    "intersection_update()": lambda x, _: (x.intersection_update(), x.difference_update()),
    "intersection_update(1)": lambda x, _: x.intersection_update(1),
    "difference_update": lambda x, _: x.difference_update([1], iter([2])),
    "difference_update itself": lambda x, _: x.difference_update(x),
    "symmetric_difference_update itself": lambda x, _: x.symmetric_difference_update(x),
    "methods": lambda x, _: [getattr(x, name)([1, 9]) for name in ABC],
    "methods with the kind": lambda x, make: [getattr(x, name)(make([1, 9])) for name in ABC],
    "methods of a set": lambda x, _: [getattr({1, 9}, name)(x) for name in ABC],
    "questions": lambda x, _: (x.isdisjoint([9]), x.issubset(range(9)), x.issuperset([1]), {1}.issubset(x)),
    "questions of the kind": lambda x, make: (
        x.isdisjoint(make([9])),
        x.issubset(make(range(9))),
        x.issuperset(make([])),
    ),
    "isdisjoint(1)": lambda x, _: x.isdisjoint(1),
    "init": lambda x, _: x.__init__([7]),
    "init()": lambda x, _: x.__init__(),
    "set(None)": lambda _, make: make(None),
    "set(1)": lambda _, make: make(1),
    "set(x, y)": lambda _, make: make([], []),
    "hash": lambda x, _: hash(x),
    "frozenset": lambda x, _: (frozenset(x), sorted(x), len(x), sum(x)),
    "attribute": lambda x, _: setattr(x, "a", 1),
    "copy": lambda x, _: (x.copy(), len(x)),
    "x[0]": lambda x, _: x[0],
}

COUNTER_PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {
    "operators": lambda x, _: [
        op(x, collections.Counter(a=1, c=2)) for op in (operator.add, operator.sub, operator.and_, operator.or_)
    ],
    "operators with the kind": lambda x, make: [
        op(x, make({"a": 1, "c": 2})) for op in (operator.add, operator.sub, operator.and_, operator.or_)
    ],
    "reflected": lambda x, _: [
        op(collections.Counter(a=9), x) for op in (operator.add, operator.sub, operator.and_, operator.or_)
    ],
    "unary": lambda x, _: (+x, -x),
    "+ dict": lambda x, _: x + {"a": 1},
    "dict + it": lambda x, _: {"a": 1} + x,
    "| dict": lambda x, _: x | {"a": 5},
    "& list": lambda x, _: x & ["a"],
    "+ 1": lambda x, _: x + 1,
    "+=": itself(lambda x, _: OP.iadd(x, collections.Counter(a=1, b=1))),
    "-=": itself(lambda x, _: OP.isub(x, collections.Counter(a=9))),
    "&=": itself(lambda x, _: OP.iand(x, collections.Counter(a=1))),
    "|=": itself(lambda x, _: OP.ior(x, collections.Counter(z=1))),
    "+= itself": itself(lambda x, _: OP.iadd(x, x)),
    "-= itself": itself(lambda x, _: OP.isub(x, x)),
    "+= dict": itself(lambda x, _: OP.iadd(x, {"a": 1})),
    "comparisons": lambda x, _: (
        x == collections.Counter(a=3, b=-1, z=0),
        x <= collections.Counter(a=9),
        x > collections.Counter(),
        x != x,
    ),
    "comparisons with the kind": lambda x, make: (x == make({"a": 3, "b": -1, "z": 0}), x < make({"a": 9}), x >= x),
    "== dict": lambda x, _: (x == {"a": 3, "b": -1}, {"a": 3, "b": -1} == x, x == None),  # noqa: E711
    "< dict": lambda x, _: x < {"a": 9},
    "missing": lambda x, _: (x["z"], x.get("z"), x.get("z", 4), "z" in x, len(x)),
    "missing []": lambda x, _: x[[]],
    "del": lambda x, _: (x.__delitem__("z"), x.__delitem__("a")),
    "pop": lambda x, _: (x.pop("a"), x.pop("a", 5)),
    "pop in vain": lambda x, _: x.pop("z"),
    "popitem": lambda x, _: x.popitem(),
    "setdefault": lambda x, _: (x.setdefault("a", 9), x.setdefault("z", 9)),
    "most_common": lambda x, _: (
        x.most_common(),
        x.most_common(1),
        x.most_common(0),
        x.most_common(None),
        x.most_common(n=9),
    ),
    "elements": lambda x, _: (list(x.elements()), sorted(x.elements())),
    "total": lambda x, _: x.total(),
    "update": lambda x, _: (x.update("aaz"), x.update({"a": 2}, b=5), x.update(None), x.update()),
    "update by itself": lambda x, _: x.update(x),
    "update(1)": lambda x, _: x.update(1),
    "update two": lambda x, _: x.update("a", "b"),
    "subtract": lambda x, _: (x.subtract("aaz"), x.subtract({"a": 2}, b=5), x.subtract(None), x.subtract()),
    "subtract itself": lambda x, _: x.subtract(x),
    "fromkeys": lambda x, _: type(x).fromkeys("ab"),
    "init": lambda x, _: x.__init__("az", b=2),
    "init()": lambda x, _: x.__init__(),
    "Counter(None)": lambda _, make: make(None),
    "Counter(1)": lambda _, make: make(1),
    "Counter(**)": lambda _, make: make("ab", a=2, source=3, counts=4),
    "views": lambda x, _: (list(x.keys()), list(x.values()), list(x.items()), list(reversed(x))),
    "key operators": lambda x, _: (x.keys() & {"a"}, {"z"} | x.keys(), x.items() - {("a", 3)}),
    "copy": lambda x, _: x.copy(),
    "floats": lambda x, _: (x.update(a=0.5), x["a"]),
    "dict(c)": lambda x, _: (dict(x), sorted(x), len(x), bool(x)),
}


def cases(*tables: tuple[Any, Any, Any, dict[str, Callable[[Any, Any], Any]]]) -> list[Any]:
    return [
        pytest.param(ours, real, start, program, id=f"{real.__name__}: {name}")
        for ours, real, start, table in tables
        for name, program in table.items()
    ]


@pytest.mark.parametrize(
    ("ours", "real", "start", "program"),
    cases(
        (LIST, list, [3, 1, 2], LIST_PROGRAMS),
        (DICT, dict, {"a": 1, "b": 2}, DICT_PROGRAMS),
        (SET, set, [1, 2, 3], SET_PROGRAMS),
        (COUNTER, collections.Counter, {"a": 3, "b": -1}, COUNTER_PROGRAMS),
    ),
)
def test_a_program_has_the_same_outcome(ours: Any, real: Any, start: Any, program: Callable[[Any, Any], Any]) -> None:
    assert outcome(program, ours, start) == outcome(program, real, start)


# Where they differ on purpose.


@pytest.mark.parametrize(
    ("held", "change"),
    [
        (LIST([1]), lambda x: x.extend(1 // i for i in (1, 1, 0))),
        (LIST([1]), lambda x: x.__init__(1 // i for i in (1, 1, 0))),
        (DICT(a=1), lambda x: x.update([("b", 1), 2])),
        (DICT(a=1), lambda x: x.update({"b": 1, ("c", ()): 2, "d": lambda: 3})),
        (DICT(a=1), lambda x: x.__init__([("b", 1), 2])),
        (SET([1]), lambda x: x.update([2], [[]])),
        (SET([1]), lambda x: x.__init__([2, []])),
        (SET([1]), lambda x: x.intersection_update([2], [[]])),
        (COUNTER(a=1), lambda x: x.update(["b", []])),
        (COUNTER(a=1), lambda x: x.update({"b": "no count"})),
        (COUNTER(a=1), lambda x: x.__init__(["b", []])),
        (COUNTER(a=1, s="text"), lambda x: x.update(["a", "new", "a", "s"])),
        (COUNTER(a=1, s="text"), lambda x: x.subtract(["a", "new", "s"])),
        (COUNTER(a=0, f=0.1, w=2**60, s="text"), lambda x: x.update({"a": 1, "f": 0.2, "w": 2**61, "g": 0.5, "s": 1})),
        (COUNTER(w=2**60, f=2, s="text"), lambda x: x.update({"w": -(2**60), "f": 0.5, "s": 1})),
        (COUNTER(a=1), lambda x: OP.iadd(x, 1)),
    ],
)
def test_what_fails_half_way_changes_nothing(held: Any, change: Callable[[Any], Any]) -> None:
    before = repr(held)
    with pytest.raises((TypeError, ZeroDivisionError)):
        change(held)
    assert repr(held) == before
    held.verify()


def test_a_nan_is_one_key() -> None:
    """Each read makes a new object, so one that equals nothing but itself could never be found again."""
    nan = float("nan")
    held = DICT({nan: 1})
    assert float("nan") in held
    assert nan not in {next(iter(held)): 1}


def compared(compare: Callable[[Any, Any], bool], one: Any, other: Any) -> bool | type[TypeError]:
    """What a comparison gives, or that there is none."""
    try:
        return compare(one, other)
    except TypeError:
        return TypeError


@pytest.mark.parametrize("make", [LIST, SET, lambda values: DICT(enumerate(values))], ids=["list", "set", "dict"])
def test_a_container_is_to_itself_what_a_real_one_is_whatever_is_in_it(make: Any) -> None:
    """A NaN equals itself in a container that is itself, though each read makes another object of it."""
    nan = float("nan")
    held = make([nan])
    real = held.to_python()
    for compare in (OP.eq, OP.ne, OP.le, OP.lt, OP.ge, OP.gt):
        assert compared(compare, held, held) == compared(compare, real, real), compare
        assert compared(compare, held, make([nan])) == compared(compare, real, make([nan]).to_python()), compare
