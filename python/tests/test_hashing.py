"""Whoever hashes what a view is pickled as gets the same each time, and the store keeps nothing for it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import types
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onecopy
from onecopy import _purpose

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATA: dict[str, Any] = {
    "list": list(range(5000)),
    "table": [{"id": n, "name": f"row {n}"} for n in range(100)],
    "dict": {f"key {n}": float(n) for n in range(100)},
    "tuple": ("a", 2, None),
    "set": {1, 2, 3},
    "array": np.arange(3000.0),
    "object": Counter("abracadabra"),
}
PARTS: dict[str, Callable[[Any], Any]] = {
    "whole": lambda view: view,
    "list": lambda view: view["list"],
    "slice": lambda view: view["list"][5:50:3],
    "table": lambda view: view["table"],
    "row": lambda view: view["table"][7],
    "column": lambda view: view["table"].column("id"),
    "dict": lambda view: view["dict"],
    "keys": lambda view: view["dict"].keys(),
    "tuple": lambda view: view["tuple"],
    "set": lambda view: view["set"],
    "array": lambda view: view["array"],
    "part of an array": lambda view: view["array"][::2],
    "inside other data": lambda view: {"it": [view["list"], (view["table"][3],)], "n": 1},
    "in a closure": lambda view: Holder(view["list"]),
}


class Holder:
    """Some object that has a view."""

    def __init__(self, view: Any) -> None:
        self.view = view


def joblib_hash(thing: Any) -> str:
    found: str = pytest.importorskip("joblib").hash(thing)
    return found


def dask_hash(thing: Any) -> str:
    found: str = pytest.importorskip("dask.base").tokenize(thing, ensure_deterministic=True)
    return found


def datasets_hash(thing: Any) -> str:
    found: str = pytest.importorskip("datasets.fingerprint").Hasher.hash(thing)
    return found


HASHES = [joblib_hash, dask_hash, datasets_hash]


@pytest.mark.parametrize("hash_of", HASHES)
@pytest.mark.parametrize("name", PARTS)
def test_a_hash_is_the_same_each_time_and_makes_no_unit(name: str, hash_of: Callable[[Any], str]) -> None:
    view = onecopy.share(DATA)
    part = PARTS[name](view)
    before = onecopy.stats().units
    assert hash_of(part) == hash_of(part)
    assert hash_of(PARTS[name](pickle.loads(pickle.dumps(view)))) == hash_of(part)
    assert onecopy.stats().units == before
    others = [hash_of(make(view)) for key, make in PARTS.items() if key != name]
    assert hash_of(part) not in others


@pytest.mark.parametrize("hash_of", HASHES)
def test_other_data_have_another_hash(hash_of: Callable[[Any], str]) -> None:
    one, other = onecopy.share([1, 2, 3]), onecopy.share([1, 2, 4])
    assert hash_of(one) != hash_of(other)
    assert hash_of(one) == hash_of(onecopy.share([1, 2, 3]))


def send_hashes(pipe: Any, view: Any) -> None:
    pipe.send([joblib_hash(make(view)) for make in PARTS.values()])


def test_a_hash_is_the_same_in_a_worker(context: Any) -> None:
    view = onecopy.share(DATA)
    ours, theirs = context.Pipe()
    worker = context.Process(target=send_hashes, args=(theirs, view))
    worker.start()
    assert ours.poll(120), "the worker sends nothing"
    assert ours.recv() == [joblib_hash(make(view)) for make in PARTS.values()]
    worker.join()


def test_hashes_of_equal_files_are_the_same_in_every_run(tmp_path: Path) -> None:
    data = {**DATA, "set": {1}}
    paths = [tmp_path / name for name in ("one", "two")]
    for path in paths:
        onecopy.save(data, path)
    program = "import sys, joblib, onecopy; print(joblib.hash(onecopy.open(sys.argv[1], allow_pickle=True)['list']))"
    runs = [[sys.executable, "-c", program, str(path)] for path in (*paths, paths[0])]
    found = {subprocess.run(run, capture_output=True, text=True, check=True, timeout=120).stdout for run in runs}
    assert found == {joblib_hash(onecopy.open(paths[0], allow_pickle=True)["list"]) + "\n"}


def test_joblib_memory_finds_what_it_has_computed(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    calls: list[int] = []

    def total(numbers: Any) -> int:
        calls.append(1)
        return sum(numbers)

    cached = joblib.Memory(tmp_path, verbose=0).cache(total)
    view = onecopy.share(list(range(1000)))
    assert cached(view) == cached(view) == 499500
    assert len(calls) == 1


def test_dask_asks_by_its_own_protocol() -> None:
    view = onecopy.share(DATA)
    before = onecopy.stats().units
    assert view.__dask_tokenize__() == view.__dask_tokenize__() != view["list"].__dask_tokenize__()
    assert onecopy.stats().units == before


def test_what_was_pickled_to_be_hashed_is_read_in_the_same_process_alone() -> None:
    view = onecopy.share([1, 2, 3])
    hashed = _purpose.dask_token(view)
    assert pickle.loads(hashed) == view
    del view
    with pytest.raises(pickle.UnpicklingError, match="to be hashed, not to be read"):
        pickle.loads(hashed)


def test_what_was_pickled_to_be_hashed_is_read_as_long_as_one_of_equal_data_lives() -> None:
    first, second = onecopy.share([1, 2, 3]), onecopy.share([1, 2, 3])
    hashed = [_purpose.dask_token(view) for view in (first, second)]
    del second
    assert [pickle.loads(one) for one in hashed] == [first, first]
    third = onecopy.share([1, 2, 3])
    _purpose.dask_token(third)
    del first
    assert pickle.loads(hashed[0]) == third


def test_what_is_sent_by_a_function_that_was_called_by_a_hash_is_still_a_token() -> None:
    joblib_hash(onecopy.share([1]))
    assert pickle.loads(pickle.dumps(onecopy.share([1, 2]))) == [1, 2]


def test_a_thread_that_comes_while_another_looks_for_functions_looks_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    class Slow(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            seen.append(_purpose._looked_at == len(sys.modules))
            raise AttributeError(name)

    monkeypatch.setitem(sys.modules, "slow_module", Slow("slow_module"))
    monkeypatch.setattr(_purpose, "_HASHING", (("slow_module", "function"), *_purpose._HASHING))
    pickle.dumps(onecopy.share([1]))
    assert seen == [False]
