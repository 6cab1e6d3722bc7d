"""Instances of ordinary classes are shared by their attributes: alone, in other data, and in lists."""

from __future__ import annotations

import abc
import collections
import copy
import copyreg
import dataclasses
import functools
import gc
import operator
import pickle
import sys
import types
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onecopy
from onecopy.views import NamedTupleView, ObjectView, RecordView, TableView

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext

T = TypeVar("T")


class Plain:
    """A class like any."""

    kind = "plain"
    made: ClassVar[list[str]] = []

    def __init__(self, label: Any, items: Any) -> None:
        self.label = label
        self.items = items

    def __init_subclass__(cls) -> None:
        Plain.made.append(cls.__name__)

    @property
    def twice(self) -> Any:
        return self.label * 2

    @functools.cached_property
    def length(self) -> int:
        return len(self.items)

    @classmethod
    def named(cls) -> str:
        return cls.__name__

    @staticmethod
    def three() -> int:
        return 3

    def first(self) -> Any:
        return self.items[0]

    def rename(self) -> None:
        self.label = "other"


class Derived(Plain):
    """Asks its base."""

    def first(self) -> Any:
        return "first", super().first()


class Ordered:
    """Defines what is looked up on the type."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ordered) and self.n == other.n

    def __hash__(self) -> int:
        return hash(self.n)

    def __lt__(self, other: Ordered) -> bool:
        return self.n < other.n

    def __len__(self) -> int:
        return self.n

    def __bool__(self) -> bool:
        return self.n > 1

    def __iter__(self) -> Any:
        return iter(range(self.n))

    def __contains__(self, item: object) -> bool:
        return item == self.n

    def __getitem__(self, key: Any) -> Any:
        return self.n, key

    def __call__(self, *args: Any) -> Any:
        return self.n, args

    def __add__(self, other: Any) -> Any:
        return self.n + getattr(other, "n", other)

    def __radd__(self, other: Any) -> Any:
        return other + self.n

    def __neg__(self) -> int:
        return -self.n

    def __int__(self) -> int:
        return self.n

    __index__ = __int__

    def __float__(self) -> float:
        return float(self.n)

    def __str__(self) -> str:
        return f"ordered {self.n}"

    def __format__(self, how: str) -> str:
        return f"{how}{self.n}"

    def __enter__(self) -> int:
        return self.n

    def __exit__(self, *args: object) -> None:
        pass


class Slots:
    """Has slots, one of them private, and maybe not all set."""

    __slots__ = ("__hidden", "a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a
        self.__hidden = [a]

    def hidden(self) -> Any:
        return self.__hidden


class SlotsAndDict(Slots):
    """Has a dict beside the slots of its base."""

    def __init__(self, a: Any, more: Any) -> None:
        super().__init__(a)
        self.more = more


class Shadowed:
    """A property comes before the attribute of the same name."""

    def __init__(self) -> None:
        self.__dict__["x"] = 1

    @property
    def x(self) -> Any:
        return self.__dict__["x"], "by the property"


class Answers:
    """Answers for attributes that are not there."""

    default = 5

    def __init__(self) -> None:
        self.there = 1

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return f"answer for {name}"


class Abstract(abc.ABC):
    """A base class that is abstract."""

    @abc.abstractmethod
    def read(self) -> Any: ...


class Concrete(Abstract):
    """And what derives from it."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def read(self) -> Any:
        return self.data[0]


class Boxed(Generic[T]):
    """A generic class."""

    def __init__(self, value: T) -> None:
        self.value = value


@dataclass
class Box:
    """A dataclass with a method."""

    label: Any
    items: Any = None
    n: int = field(default=3, compare=False)

    def doubled(self) -> Any:
        return self.label * 2


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A dataclass that hashes."""

    a: Any
    b: Any = ""


class Pair(NamedTuple):
    """Fields that are named as methods of tuples."""

    index: Any
    count: Any

    def total(self) -> Any:
        return self.index + self.count


class Derivative(collections.namedtuple("Derivative", "x y")):  # noqa: PYI024, SLOT002 - as people write it
    """A class that derives from a namedtuple."""

    def norm(self) -> Any:
        return abs(self.x) + abs(self.y)


class Own:
    """Pickled in its own way, and so an object."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return Own, (self.value,)


class Speaks:
    """Has a text of its own."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"<{self.text}>"


def share(data: Any) -> Any:
    """As the checker does not follow what instances become."""
    return onecopy.share(data, strict=True)


def attributes(real: Any) -> dict[str, Any]:
    """All that an instance has, by name."""
    slots: list[str] = copyreg._slotnames(type(real))  # type: ignore[attr-defined]
    return {name: getattr(real, name) for name in slots if hasattr(real, name)} | getattr(real, "__dict__", {})


def same(left: Any, right: Any) -> bool:
    """Whether two real things have the same classes and attributes all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(map(same, left.values(), right.values()))
    if type(left).__module__ in {__name__, "types"}:
        return same(attributes(left), attributes(right))
    return bool(left == right)


def test_one_instance_has_its_attributes_methods_and_properties() -> None:
    real = Plain("ab", [1, 2, {"x": 3}])
    view = share(real)
    assert all(isinstance(view, base) for base in (Plain, RecordView))
    assert view.__class__ is Plain
    assert (view.label, view.items[2]["x"], view.kind) == ("ab", 3, "plain")
    assert (view.twice, view.first(), view.named(), view.three(), view.length) == ("abab", 1, "Plain", 3, 3)
    assert vars(view) == view.__dict__ == {"label": "ab", "items": [1, 2, {"x": 3}]}
    assert set(dir(real)) - {"__weakref__"} <= set(dir(view))
    assert same(onecopy.to_python(view), real)
    assert onecopy.share_check(real).rebuilt == ()
    assert share(Derived("ab", [7])).first() == ("first", 7)


def test_a_view_is_no_news_for_the_class() -> None:
    before = list(Plain.made)
    share(Plain("a", []))
    assert Plain.made == before


def test_what_a_view_does_not_do_it_says_with_the_way_out() -> None:
    view = share(Plain("a", []))
    for change in (view.rename, lambda: setattr(view, "new", 1), lambda: delattr(view, "label")):
        with pytest.raises(AttributeError, match=r"onecopy\.to_python"):
            change()
    # Before 3.12 Python itself does not let anybody go past the view's class.
    with pytest.raises((AttributeError, TypeError), match=r"never change|can't apply this __setattr__"):
        object.__setattr__(share(Slots(1)), "a", 2)
    with pytest.raises(AttributeError, match=r"no attribute 'get'.*onecopy.to_python"):
        _ = view.get
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = view.missing
    assert not hasattr(view, "missing")
    with pytest.raises(TypeError, match="base type"):
        type("Evil", (type(view),), {})
    with pytest.raises(TypeError, match="base type"):
        type("Evil", (RecordView,), {})
    with pytest.raises(TypeError):
        object.__new__(type(view))
    made: Any = type(view)("x", [1])
    assert type(made) is Plain


def test_names_that_are_made_at_run_time_are_found() -> None:
    view = share(Plain("a", [1]))
    for name in ("label", "items", "kind"):
        fresh = "".join(list(name))
        assert getattr(view, fresh) == getattr(Plain("a", [1]), fresh)


def test_operators_are_the_class_s_own() -> None:
    one, two = share(Ordered(1)), share(Ordered(2))
    assert (len(two), bool(one), bool(two), list(two), 2 in two, 3 in two) == (2, False, True, [0, 1], True, False)
    assert (two["k"], two(1), two + 1, 1 + two, two + one, -two) == ((2, "k"), (2, (1,)), 3, 3, 3, -2)
    assert (int(two), float(two), operator.index(two), [5, 6, 7][two]) == (2, 2.0, 2, 7)
    assert (str(two), f"{two:>}", f"{two!s}") == ("ordered 2", ">2", "ordered 2")
    assert one < two
    assert two > one
    assert two > Ordered(1)
    assert two == Ordered(2)
    assert Ordered(2) == two
    assert hash(two) == hash(Ordered(2))
    assert sorted([two, Ordered(0), one]) == [Ordered(0), Ordered(1), Ordered(2)]
    with two as entered:
        assert entered == 2
    plain = share(Plain("a", []))
    assert not callable(plain)
    assert plain
    for refused in (len, iter, int, float, operator.index, operator.neg, operator.call):
        with pytest.raises(TypeError):
            refused(plain)
    with pytest.raises(TypeError):
        _ = plain + 1
    with pytest.raises(TypeError):
        operator.lt(plain, plain)


def test_classes_that_do_not_compare_have_views_that_are_the_same_row() -> None:
    data = {"a": Plain("x", []), "b": Plain("x", [])}
    view = share(data)
    assert view["a"] == view["a"]
    assert hash(view["a"]) == hash(view["a"])
    assert view["a"] != view["b"]
    assert view["a"] != data["a"]
    again = pickle.loads(pickle.dumps(view["a"]))
    assert again == view["a"]
    assert hash(again) == hash(view["a"])
    assert len({view["a"], view["b"], view["a"], again}) == 2


def test_keys_that_are_equal_to_themselves_alone_are_found_by_their_views() -> None:
    for count in (1, 100):
        data = {Plain(n, []): n for n in range(count)}
        view = share(data)
        keys = list(view)
        assert [view[key] for key in keys] == list(range(count))
        assert all(key not in view for key in data)
        members = share(set(data))
        assert all(member in members for member in members)
    before = onecopy.stats().allocated_bytes
    view = share({Plain(n, []): n for n in range(10_000)})
    assert view[next(iter(view))] == 0
    del view
    gc.collect()
    assert onecopy.stats().allocated_bytes <= before


def test_slots_are_fields() -> None:
    view = share(Slots([1, 2]))
    assert (view.a[1], view.hidden()[0][1], view._Slots__hidden[0][0]) == (2, 2, 1)
    assert not hasattr(view, "b")
    assert not hasattr(view, "__dict__")
    real: Any = onecopy.to_python(view)
    assert same(real, Slots([1, 2]))
    assert not hasattr(real, "b")
    both = share([SlotsAndDict(1, {"k": 2}), SlotsAndDict(3, 4)])
    assert type(both) is TableView
    assert (both[0].more["k"], both[1].a, both[1].__dict__) == (2, 3, {"more": 4})
    assert same(onecopy.to_python(both), [SlotsAndDict(1, {"k": 2}), SlotsAndDict(3, 4)])


def test_attributes_are_looked_for_as_of_any_object() -> None:
    assert share(Shadowed()).x == (1, "by the property")
    assert same(onecopy.to_python(share(Shadowed())), Shadowed())
    answers = share(Answers())
    assert (answers.there, answers.default, answers.other) == (1, 5, "answer for other")
    assert not hasattr(answers, "_private")
    real = Answers()
    real.default = 6
    assert share(real).default == 6
    assert [row.default for row in share([Answers(), real])] == [5, 6]
    cached = Plain("a", [1, 2])
    assert cached.length == 2
    assert vars(share(cached))["length"] == 2


def test_dataclasses_are_known_to_their_module() -> None:
    real = Box("ab", [1, 2])
    view = share(real)
    assert view == real
    assert real == view
    assert view.doubled() == "abab"
    is_dataclass: Any = dataclasses.is_dataclass
    assert is_dataclass(view)
    assert [part.name for part in dataclasses.fields(view)] == ["label", "items", "n"]
    assert dataclasses.asdict(view) == dataclasses.asdict(real)
    assert dataclasses.astuple(view) == ("ab", [1, 2], 3)
    changed = dataclasses.replace(view, label="c")
    assert type(changed) is Box
    assert changed == Box("c", [1, 2])
    with pytest.raises(TypeError, match="unhashable"):
        hash(view)
    match view:
        case Box(label=label):
            assert label == "ab"
    key = share(Key(1, "z"))
    assert hash(key) == hash(Key(1, "z"))
    assert {Key(1, "z"): "found"}[key] == "found"
    assert key < Key(2)
    assert Key(0) < key
    extra = Box(1)
    extra.beside = [5]  # type: ignore[attr-defined]
    assert share(extra).beside[0] == 5


def test_namedtuples_alone() -> None:
    real = Pair(5, 7)
    view = share(real)
    assert all(isinstance(view, base) for base in (Pair, tuple, NamedTupleView))
    assert (view.index, view.count, view[0], view[-1], view[:1], len(view), [*view]) == (5, 7, 5, 7, (5,), 2, [5, 7])
    assert view == real == view
    assert hash(view) == hash(real)
    assert (view.total(), view._asdict(), view._fields) == (12, {"index": 5, "count": 7}, ("index", "count"))
    one = (1,)
    assert (view + one, one + view, view * 2, 2 * view) == ((5, 7, 1), (1, 5, 7), (5, 7, 5, 7), (5, 7, 5, 7))
    assert type(view._replace(index=1)) is Pair
    assert same(onecopy.to_python(view), real)
    assert list(share([Pair(1, 2), Pair(3, 4)]).column("index")) == [1, 3]
    assert share([Pair(1, 2), Pair(3, 4), {"index": 5}]).column("index") == [1, 3, 5]
    derived = share([Derivative(-1, 2), Derivative(3, 4)])
    assert type(derived) is TableView
    assert derived[0].norm() == 3
    assert same(onecopy.to_python(derived), [Derivative(-1, 2), Derivative(3, 4)])


def test_namespaces() -> None:
    real = types.SimpleNamespace(a=1, b={"x": [1]})
    view = share(real)
    assert isinstance(view, types.SimpleNamespace)
    assert (view.a, view.b["x"][0]) == (1, 1)
    assert view == real
    assert real == view
    assert view != types.SimpleNamespace(a=1)
    assert vars(view) == vars(real)
    assert onecopy.to_python(view) == real
    with pytest.raises(TypeError, match="unhashable"):
        hash(view)
    odd = types.SimpleNamespace(**{"__class__": 1, "two words": 2, "__dict__": 3})
    assert getattr(share(odd), "two words") == 2
    assert onecopy.to_python(share(odd)) == odd


def test_abstract_and_generic_classes() -> None:
    view = share(Concrete([4]))
    assert isinstance(view, Abstract)
    assert view.read() == 4
    assert isinstance(view, type(view))
    assert not isinstance(Concrete([1]), type(view))
    assert share(Boxed[int](5)).value == 5


def test_copies_are_the_view_itself_and_pickles_are_tokens() -> None:
    view = share(Plain("a", list(range(10_000))))
    assert copy.copy(view) is view
    assert copy.deepcopy(view) is view
    assert copy.deepcopy([view])[0] is view
    assert len(pickle.dumps(view)) < 400
    assert pickle.loads(pickle.dumps(view)).items == view.items
    assert weakref.ref(view)() is view
    assert not gc.is_tracked(view)
    assert onecopy.share(view) is view


def test_what_goes_past_the_class_is_kept_by_the_view() -> None:
    view = share(Plain("a", [1]))
    beside = {"beside": ["kept"], "more": 1}
    try:
        for name, value in beside.items():
            object.__setattr__(view, name, value)
    except TypeError:  # before 3.12
        beside = {}
    gc.collect()
    assert {name: getattr(view, name, None) for name in beside} == beside
    assert (view.label, vars(view)) == ("a", {"label": "a", "items": [1]})
    gone = weakref.ref(view)
    del view
    assert gone() is None
    assert sys.getsizeof(share(Plain("a", [1]))) < 120


def test_what_is_pickled_in_its_own_way_stays_an_object() -> None:
    assert isinstance(onecopy.share(Own(1)), ObjectView)
    assert type(share({"a": Own(1)})["a"]) is Own


def test_instances_anywhere_are_records() -> None:
    shared = Plain("shared", [])
    data = {
        "alone": Plain("a", [1]),
        "mixed": [Plain("b", []), 5, Box("c"), shared, Key(1)],
        "tuple": (shared, Pair(1, Plain("d", []))),
        "set": {Key(1), Key(2)},
        Key(3): "key",
    }
    view = share(data)
    assert onecopy.share_check(data).rebuilt == ()
    assert (view["alone"].items[0], view["mixed"][0].label, view["mixed"][2].label) == (1, "b", "c")
    assert view["tuple"][1].count.label == "d"
    assert view["mixed"][3] == view["tuple"][0]
    assert Key(2) in view["set"]
    assert view[Key(3)] == "key"
    real: Any = onecopy.to_python(view)
    assert real["mixed"][3] is real["tuple"][0]
    assert same(real["mixed"], data["mixed"])


def test_cycles_and_chains() -> None:
    one, two = Plain("one", []), Plain("two", [])
    one.items, two.items = [two], one
    view = share(one)
    assert view.items[0].items.label == "one"
    assert view.items[0].items == view
    real: Any = onecopy.to_python(view)
    assert real.items[0].items is real
    head: Any = None
    for n in range(20_000):
        head = types.SimpleNamespace(n=n, after=head)
    chain = share(head)
    for n in reversed(range(20_000)):
        assert chain.n == n
        chain = chain.after
    assert chain is None


def test_many_that_stand_alone_are_one_table() -> None:
    data = {f"key {n}": Plain(n, float(n)) for n in range(10_000)}
    view = share(data)
    # Two numbers, a word and a row each, beside the keys.
    assert onecopy.image_of(view).nbytes - onecopy.image_of(share(dict.fromkeys(data, 1))).nbytes < 50 * len(data)
    assert all(view[key].label == real.label and view[key].items == real.items for key, real in data.items())
    odd = [types.SimpleNamespace(**{f"name {n % 300}": n, "all": n}) for n in range(1000)]
    assert onecopy.to_python(share(dict(enumerate(odd)))) == dict(enumerate(odd))


def test_the_way_to_what_cannot_be_shared_goes_through_attributes() -> None:
    data = {"a": [Plain("x", {"k": Plain(1, lambda: 0)}), 1]}
    with pytest.raises(onecopy.Unsupported, match=r'^data\["a"\]\[0\]\.items\["k"\]\.items: cannot share function'):
        onecopy.share(data)
    report = onecopy.share_check({"a": Plain("x", Own(1)), "b": [Plain(1, Own(2)), Plain(1, 2)]})
    assert sorted((row.path, row.count) for row in report.rebuilt) == [('data["b"][0].items', 2)]


def test_texts_are_short_and_build_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    view = share(Box("x" * 5000, [Own(1), "y" * 5000]))
    assert len(repr(view)) < 4000
    assert repr(share(Plain("a", [1]))) == "PlainView(label='a', items=ListView([1]))"
    pickled = share(Plain("a", Own(1)))
    monkeypatch.setattr(Own, "__init__", None)
    assert repr(pickled) == "PlainView(label='a', items=<pickled>)"
    assert repr(share(Speaks("hello"))) == "<hello>"
    assert len(repr(share(Speaks("x" * 100_000)))) < 1100


def test_files_say_nothing_of_classes_that_nobody_allows(tmp_path: Path) -> None:
    onecopy.save(Box("a", [1, 2]), tmp_path / "box")
    onecopy.save({"n": Pair(1, 2), "p": Plain(3, [4])}, tmp_path / "both")
    view = onecopy.open(tmp_path / "box", validate="full")
    assert (view.label, view.items[1], vars(view)["n"]) == ("a", 2, 3)
    assert [isinstance(view, base) for base in (RecordView, Box)] == [True, False]
    for refused in (lambda: view.doubled, lambda: view == 1, lambda: hash(view), lambda: onecopy.to_python(view)):
        with pytest.raises(pickle.UnpicklingError, match="allow_pickle"):
            refused()
    both = onecopy.open(tmp_path / "both")
    assert (both["n"].count, both["p"].items[0]) == (2, 4)
    assert not isinstance(both["n"], Pair)
    trusted = onecopy.open(tmp_path / "both", allow_pickle=True)
    assert isinstance(trusted["n"], Pair)
    assert same(onecopy.to_python(trusted["p"]), Plain(3, [4]))
    assert onecopy.open(tmp_path / "box", allow_pickle=True).doubled() == "aa"
    with Path(tmp_path / "box").open("rb") as file:
        assert onecopy.from_buffer(file.read(), allow_pickle=True) == Box("a", [1, 2])


def test_a_class_that_is_gone_leaves_the_fields(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    onecopy.save(Plain("a", [1]), tmp_path / "plain")
    monkeypatch.delattr(sys.modules[__name__], "Plain")
    view = onecopy.open(tmp_path / "plain", allow_pickle=True)
    assert (view.label, view.items[0]) == ("a", 1)
    with pytest.raises(AttributeError, match="Plain"):
        view.first()


def test_a_single_instance_is_a_whole_image() -> None:
    view = share(Plain("a", list(range(1000))))
    assert onecopy.image_of(view).nbytes > 1000
    assert onecopy.from_buffer(bytes(onecopy.image_of(view)), allow_pickle=True).items[999] == 999
    inner = share({"a": Plain(1, [2])})["a"]
    with pytest.raises(TypeError, match="whole"):
        onecopy.image_of(inner)


def test_libraries_with_classes_of_their_own() -> None:
    attrs = pytest.importorskip("attrs")
    cases = pytest.importorskip("record_classes")
    real = cases.Defined(1, [2])
    view = share(real)
    assert isinstance(view, cases.Defined)
    assert view == real == view
    assert attrs.asdict(view) == {"x": 1, "y": [2]}
    assert type(attrs.evolve(view, x=3)) is cases.Defined
    assert onecopy.to_python(view) == real
    assert hash(share(cases.Frozen(2))) == hash(cases.Frozen(2))
    assert share(cases.WithDict(1)).x == 1


def test_pydantic_models() -> None:
    pytest.importorskip("pydantic")
    cases = pytest.importorskip("record_models")
    real = cases.Model(name="a", tags=[1, 2])
    view = share(real)
    assert isinstance(view, cases.Model)
    assert (view.name, view.tags[1], view.total(), view._private) == ("a", 2, 3, 4)
    assert view == real
    assert real == view
    assert view.model_fields_set == {"name", "tags"}
    back: Any = onecopy.to_python(view)
    assert back == real
    assert (back._private, back.model_dump_json()) == (4, real.model_dump_json())
    more = share(cases.Open(name="a", other=[3]))
    assert more.other[0] == 3
    assert onecopy.to_python(more) == cases.Open(name="a", other=[3])


def read(jobs: Any, answers: Any) -> None:
    """What a worker says of each view that it gets."""
    for view in iter(jobs.get, None):
        kind = view.__class__
        size = len(view.items if kind is not Pair else view.count)
        answers.put((kind.__name__, isinstance(view, kind), size, onecopy.to_python(view) == view))


CASES: dict[str, Callable[[dict[str, int]], Any]] = {
    "dataclass": lambda data: Box("a", data),
    "namedtuple": lambda data: Pair(1, data),
    "namespace": lambda data: types.SimpleNamespace(items=data),
    "plain": lambda data: Plain("a", data),
}


def test_workers_read_instances_as_their_parent(context: BaseContext) -> None:
    jobs, answers = context.SimpleQueue(), context.SimpleQueue()
    worker: Any = context.Process(target=read, args=(jobs, answers))  # type: ignore[attr-defined]
    worker.start()
    try:
        for name, make in CASES.items():
            view = share(make({"a": 1, "b": 2}))
            jobs.put(view)
            assert answers.get() == (view.__class__.__name__, True, 2, name != "plain")
        jobs.put(None)
    finally:
        worker.join(60)


def gained(answers: Any, view: Any) -> None:
    """Says how much memory of its own a worker gets by reading."""
    data = view.count if isinstance(view, Pair) else view.items
    assert data["key 0"] == 0
    before = own_bytes()
    assert sum(data[f"key {n}"] for n in range(0, 200_000, 7)) > 0
    assert view.__class__.__name__
    answers.put(own_bytes() - before)


def own_bytes() -> int:
    """Memory that this process alone has."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


@pytest.mark.parametrize("name", CASES)
def test_reading_one_instance_takes_no_memory_of_the_worker_s_own(context: BaseContext, name: str) -> None:
    view = share(CASES[name]({f"key {n}": n for n in range(200_000)}))
    answers = context.SimpleQueue()
    worker: Any = context.Process(target=gained, args=(answers, view))  # type: ignore[attr-defined]
    worker.start()
    try:
        assert answers.get() <= 2**20
    finally:
        worker.join(60)


ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda name: not name.startswith("__"))


def instances(inner: Any) -> Any:
    """Data with instances in them."""
    return (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.builds(Plain, inner, inner)
        | st.lists(st.builds(Plain, inner, inner), max_size=3)
        | st.builds(Box, inner, inner)
        | st.builds(Slots, inner)
        | st.builds(SlotsAndDict, inner, inner)
        | st.builds(Pair, inner, inner)
        | st.builds(Derivative, inner, inner)
        | st.builds(Key, inner, inner)
        | st.dictionaries(NAMES, inner, max_size=3).map(lambda names: types.SimpleNamespace(**names))
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.recursive(ATOMS, instances, max_leaves=12))
def test_the_same_comes_back_from_store_file_and_buffer(data: Any, tmp_path: Path) -> None:
    view: Any = onecopy.share(data)
    real = view.get() if isinstance(view, ObjectView) else onecopy.to_python(view)
    assert same(real, data)
    onecopy.save(data, tmp_path / "data")
    opened: Any = onecopy.open(tmp_path / "data", allow_pickle=True, validate="full")
    assert same(opened.get() if isinstance(opened, ObjectView) else onecopy.to_python(opened), data)
    buffer = (tmp_path / "data").read_bytes()
    shown: Any = onecopy.from_buffer(buffer, allow_pickle=True)
    assert same(shown.get() if isinstance(shown, ObjectView) else onecopy.to_python(shown), data)
