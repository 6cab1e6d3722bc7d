"""`onecopy.Namespace`: attributes that all processes see and change."""

from __future__ import annotations

import copy
import os
import pickle
import signal
from typing import Any

import pytest

import onecopy
from conftest import least_growth


def test_attributes_are_set_read_and_deleted() -> None:
    ns = onecopy.Namespace(a=1, b="text")
    ns.c = [1, 2]
    other = pickle.loads(pickle.dumps(ns))
    assert (other.a, other.b, other.c) == (1, "text", [1, 2])
    other.a = 2
    del other.b
    assert ns.a == 2
    assert not hasattr(ns, "b")
    assert getattr(ns, "b", None) is None
    for use in (lambda: ns.b, lambda: delattr(ns, "b")):
        with pytest.raises(AttributeError, match="'Namespace' object has no attribute 'b'") as caught:
            use()
        assert caught.value.name == "b"
    setattr(ns, "not an identifier", 5)
    assert getattr(other, "not an identifier") == 5


def test_it_shows_what_it_has() -> None:
    ns = onecopy.Namespace(b=1, a="x")
    assert repr(ns) == "onecopy.Namespace(b=1, a='x')"
    assert repr(onecopy.Namespace()) == "onecopy.Namespace()"
    assert vars(ns) == {"b": 1, "a": "x"}
    vars(ns)["b"] = 2
    assert ns.b == 1
    assert list(ns) == ["b", "a"]
    assert len(ns) == 2
    assert "a" in ns
    assert "z" not in ns
    assert 1 not in ns
    assert set(dir(ns)) == {"a", "b", "lock", "update_with"}
    assert bool(onecopy.Namespace())
    assert ns == onecopy.Namespace(a="x", b=1)
    assert ns != onecopy.Namespace(a="x")
    assert ns != {"a": "x", "b": 1}
    with pytest.raises(TypeError, match="unhashable"):
        hash(ns)
    own = copy.deepcopy(copy.copy(ns))
    own.b = 7
    assert ns.b == 1


@pytest.mark.parametrize("name", ["_x", "__x", "__dict__", "__class__", "_entries", "lock", "update_with"])
def test_some_names_are_refused(name: str) -> None:
    ns = onecopy.Namespace(a=1)
    text = "underscore" if name.startswith("_") else "is a method"
    for use in (
        lambda: setattr(ns, name, 1),
        lambda: delattr(ns, name),
        lambda: onecopy.Namespace(**{name: 1}),
        lambda: ns.update_with(name, lambda old: old),
    ):
        with pytest.raises(AttributeError, match=text):
            use()
    assert vars(ns) == {"a": 1}


def test_what_cannot_be_kept_is_refused() -> None:
    ns = onecopy.Namespace(a=1)
    with pytest.raises(TypeError, match="cannot hold"):
        ns.f = lambda: 1
    with pytest.raises(TypeError, match="cannot be inside"):
        onecopy.share([ns])
    assert vars(ns) == {"a": 1}


def test_update_with_is_one_step() -> None:
    ns = onecopy.Namespace(a=1)
    assert ns.update_with("a", lambda old: old + 1) == 2
    assert ns.update_with("new", lambda old: old + 1, 10) == 11
    assert ns.update_with("none", lambda old: old, None) is None
    assert vars(ns) == {"a": 2, "new": 11, "none": None}
    with pytest.raises(AttributeError, match="no attribute 'z'"):
        ns.update_with("z", lambda old: old)
    with pytest.raises(KeyError, match="own"):
        ns.update_with("a", lambda _: dict[str, int]()["own"])
    with pytest.raises(TypeError):
        ns.update_with("a", lambda old: old, 1, 2)  # type: ignore[call-arg]
    with ns.lock:
        ns.a += 1
        assert ns.lock.locked()
    assert ns.a == 3


def count(ns: Any, times: int) -> None:
    for _ in range(times):
        ns.update_with("total", lambda total: total + 1)
        with ns.lock:
            ns.locked += 1
    ns.last = os.getpid()


def test_workers_change_it(context: Any) -> None:
    ns = onecopy.Namespace(total=0, locked=0)
    workers = [context.Process(target=count, args=(ns, 200)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert (ns.total, ns.locked) == (600, 600)
    assert ns.last in {worker.pid for worker in workers}


def die(ns: Any) -> None:
    ns.lock.acquire()
    ns.a = 2
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_leaves_it_usable(context: Any) -> None:
    ns = onecopy.Namespace(a=1)
    worker = context.Process(target=die, args=(ns,))
    worker.start()
    worker.join(120)
    ns.b = 3
    assert vars(ns) == {"a": 2, "b": 3}
    assert ns.lock.deaths == 1


def test_any_number_of_passes_leaves_as_many_blocks_as_the_first() -> None:
    ns = onecopy.Namespace(a=1, b=[1])

    def one_pass() -> None:
        for _ in range(5):
            ns.a = 1
            ns.a = ns.a + 1
            ns.c = ns.b
            del ns.c
            ns.update_with("a", lambda old: old + 1)
            repr(ns), vars(ns), dir(ns), list(ns)
            pickle.loads(pickle.dumps(ns)).a = 1
            for use in (lambda: ns.absent, lambda: setattr(ns, "_x", 1)):
                with pytest.raises(AttributeError):
                    use()

    for _ in range(40):  # until the interpreter's lists of free objects are full
        one_pass()
    assert least_growth(one_pass) <= 0
