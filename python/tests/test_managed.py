"""What only a manager makes, and the classes by which its objects are told."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from typing import Any

import pytest

import onecopy
from onecopy import managers

KINDS = [
    ("dict", (), "DictProxy"),
    ("list", (), "ListProxy"),
    ("set", (), "SetProxy"),
    ("Value", ("i", 5), "ValueProxy"),
    ("Array", ("i", [1]), "ArrayProxy"),
    ("Namespace", (), "NamespaceProxy"),
    ("Lock", (), "AcquirerProxy"),
    ("RLock", (), "AcquirerProxy"),
    ("Semaphore", (), "AcquirerProxy"),
    ("BoundedSemaphore", (), "AcquirerProxy"),
    ("Condition", (), "ConditionProxy"),
    ("Condition", (), "AcquirerProxy"),
    ("Event", (), "EventProxy"),
    ("Barrier", (2,), "BarrierProxy"),
]


@pytest.mark.parametrize(("name", "args", "proxy"), KINDS)
def test_each_is_an_instance_of_the_class_that_programs_name(name: str, args: tuple[Any, ...], proxy: str) -> None:
    made = getattr(onecopy.Manager(), name)(*args)
    classes: Any = managers
    kinds = {
        kind: getattr(classes, kind) for kind in managers.__all__ if kind.endswith("Proxy") and kind != "BaseProxy"
    }
    found = {kind for kind, one in kinds.items() if isinstance(made, one)}
    assert proxy in found
    assert found <= {proxy, "AcquirerProxy", "ConditionProxy", "BaseListProxy"}
    assert found == {kind for kind, one in kinds.items() if issubclass(type(made), one)}
    if proxy != "SetProxy":
        derived = type("Derived", (kinds[proxy],), {})
        assert not isinstance(made, derived)


def test_a_proxy_of_a_server_goes_by_the_class_that_stands_in() -> None:
    manager = managers.SyncManager(address=("127.0.0.1", 0), authkey=multiprocessing.current_process().authkey)
    manager.start()
    try:
        proxy: Any = manager.dict(a=1)
        again: Any = pickle.loads(pickle.dumps(proxy))
        assert [isinstance(one, managers.DictProxy) for one in (proxy, again)] == [True, True]
        assert not isinstance(again, managers.ListProxy)
        assert not isinstance(again, onecopy.Dict)
        again["b"] = 2
        assert proxy.copy() == {"a": 1, "b": 2}
        del proxy, again
    finally:
        manager.shutdown()


STANDARD = """
import multiprocessing, pickle
import onecopy.managers
with multiprocessing.Manager() as manager:
    for proxy in (manager.dict(), manager.list(), manager.Lock(), manager.Namespace()):
        assert b"onecopy" not in pickle.dumps(proxy), type(proxy)
        assert type(pickle.loads(pickle.dumps(proxy))) is type(proxy)
"""


def test_proxies_of_the_standard_manager_stay_its_own_until_ours_is_installed() -> None:
    run = subprocess.run([sys.executable, "-c", STANDARD], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", ["lock", "update_with"])
def test_all_names_of_a_namespace_are_the_programs(name: str) -> None:
    ns = onecopy.Manager().Namespace()
    assert not hasattr(ns, name)
    with pytest.raises(AttributeError, match=name):
        delattr(ns, name)
    setattr(ns, name, 1)
    assert getattr(pickle.loads(pickle.dumps(ns)), name) == 1
    assert vars(ns) == {name: 1}
    delattr(ns, name)
    assert not hasattr(ns, name)
    assert not hasattr(onecopy.Manager().Namespace(), name)
    lock = onecopy.Lock()
    made = onecopy.Manager().Namespace(**{name: lock})
    with getattr(made, name):
        assert lock.locked()


def test_a_managers_namespace_comes_out_of_a_container_as_one() -> None:
    ns = onecopy.Manager().Namespace(a=1)
    ns._own_thing = 1
    boxes: list[Any] = [onecopy.List([ns]), onecopy.Dict({0: ns}), onecopy.List([(ns,)])[0]]
    queue: onecopy.Queue[Any] = onecopy.Queue()
    queue.put(ns)
    outs: list[Any] = [box[0] for box in boxes] + [queue.get()]
    assert [type(out) for out in outs] == [managers.ManagedNamespace] * len(outs)
    for out in outs:
        assert not hasattr(out, "_own_thing")
        out._own_thing = 2
        out.lock = 3
        assert ns.lock == 3
        assert out == ns
        del ns.lock
    assert ns._own_thing == 1


@pytest.mark.parametrize(("typecode", "value"), [("i", 2**40), ("l", 2**70), ("b", 128), ("i", "a"), ("i", 0.5)])
def test_an_array_refuses_what_does_not_fit_as_the_standard_one(typecode: str, value: Any) -> None:
    import array

    numbers = onecopy.Manager().Array(typecode, [1, 2])
    with pytest.raises((OverflowError, TypeError)) as expected:
        array.array(typecode, [1, 2])[0] = value
    with pytest.raises(expected.type):
        numbers[0] = value
    with pytest.raises(expected.type):
        numbers[0:1] = [value]
    assert numbers.tolist() == [1, 2]
