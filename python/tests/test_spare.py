"""An object that was read and let go is written anew for the next read: nobody who kept one may notice."""

from __future__ import annotations

import gc
import random
import struct
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KINDS: dict[str, list[Any]] = {
    "ints of one digit": [5_000 + 7 * i for i in range(50)],
    "negative ints": [-(10**6) - i for i in range(50)],
    "ints of two digits": [2**40 + i for i in range(50)],
    "ints of three digits": [2**62 + i for i in range(50)],
    "ints of all sizes": [(-1) ** i * 3**i for i in range(39)],
    "floats": [i / 7 for i in range(50)],
    "odd floats": [0.0, -0.0, float("inf"), -float("inf"), 5e-324, 1.7976931348623157e308],
    "strs of one length": [f"{i:016d}" for i in range(50)],
    "strs of all lengths": ["x" * i for i in range(80)],
    "strs of two letters": ["ab", "cd", "ef"],
    "other strs": [f"é{i:05d}" for i in range(50)],
    "strs with others between": ["abcdefgh", "ébcdefgh", "ijklmnop", "漢字漢字漢字漢字", "qrstuvwx"],
    "with None": [2**40, None, 2**41, None, 2**42],
    "a mixture": [2**40, "abcdefgh", 0.5, 2**41, "ijklmnop", 1.5, None, True, b"bytes", "ab", 3.5],
}


def _by_index(view: Any) -> list[Any]:
    return [view[i] for i in range(len(view))]


def _by_loop(view: Any) -> list[Any]:
    kept = []
    for each in view:
        kept.append(each)  # noqa: PERF402 - the loop is what is tried
    return kept


def _by_map(view: Any) -> list[Any]:
    return list(map(view.__getitem__, range(len(view))))


WAYS: dict[str, Callable[[Any], list[Any]]] = {"index": _by_index, "loop": _by_loop, "map": _by_map}


@pytest.fixture(params=KINDS)
def data(request: pytest.FixtureRequest) -> list[Any]:
    return KINDS[request.param]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_kept_stays_what_it_was(data: list[Any], way: str) -> None:
    view = onecopy.share(data)
    for _ in range(3):
        kept = WAYS[way](view)
        assert [(type(each), repr(each)) for each in kept] == [(type(each), repr(each)) for each in data]


def test_every_second_is_kept(data: list[Any]) -> None:
    view = onecopy.share(data)
    kept = {place: each for place, each in enumerate(view) if place % 2}
    assert all(repr(each) == repr(data[place]) for place, each in kept.items())


def test_cells_of_rows(data: list[Any]) -> None:
    rows = onecopy.share([{"a": each, "b": place} for place, each in enumerate(data)])
    kept = [row["a"] for row in rows]
    assert list(map(repr, kept)) == list(map(repr, data))
    shared = onecopy.share(dict(enumerate(data)))
    assert [repr(shared[place]) for place in range(len(data))] == list(map(repr, data))


@pytest.mark.parametrize("kind", ["ints of two digits", "floats", "strs of one length"])
def test_what_nobody_kept_is_used_again(kind: str) -> None:
    """The optimisation is there: or the other tests here try nothing."""
    view = onecopy.share(KINDS[kind])
    places = {id(view[i]) for i in range(len(view))}
    assert len(places) == 1


def test_a_hash_is_that_of_the_new_text() -> None:
    texts = [f"{i:016d}" for i in range(100)]
    view = onecopy.share(texts)
    index = {text: i for i, text in enumerate(texts)}
    for place in range(len(view)):
        hash(view[place])
        assert index[view[place]] == place


def test_an_interned_str_is_not_written_to() -> None:
    texts = [f"interned_{i:07d}" for i in range(50)]
    view = onecopy.share(texts)
    names = type("Names", (), {})()
    for place in range(len(view)):
        setattr(names, view[place], place)
        assert getattr(names, view[place]) == place
        sys.intern(view[place])
    assert vars(names) == {text: i for i, text in enumerate(texts)}
    assert [sys.intern(f"interned_{i:07d}") for i in range(50)] == texts


def test_strs_with_a_wide_form() -> None:
    """Before 3.12 an old C function keeps a wide form beside the text."""
    view = onecopy.share([f"{i:08d}" for i in range(20)])
    for place in range(len(view)):
        assert struct.pack("8s", view[place].encode()) == f"{place:08d}".encode()
        assert float(view[place]) == place
        assert int(view[place]) == place
        assert view[place].upper() == f"{place:08d}"


def test_arithmetic_on_what_is_read() -> None:
    numbers = [random.Random(1).getrandbits(40) for _ in range(500)]
    view = onecopy.share(numbers)
    assert sum(view) == sum(numbers)
    assert sum(x + y for x, y in zip(view, view[::-1], strict=True)) == 2 * sum(numbers)
    assert max(view) == max(numbers)
    assert sorted(view) == sorted(numbers)
    floats = [number / 3 for number in numbers]
    shared = onecopy.share(floats)
    assert sum(shared) == sum(floats)
    assert min(shared) == min(floats)


def test_several_iterators_of_one_view_do_not_meet() -> None:
    view = onecopy.share([f"{i:016d}" for i in range(100)])
    pairs = list(zip(view, view, view[1:], strict=False))
    assert pairs == [(f"{i:016d}", f"{i:016d}", f"{i + 1:016d}") for i in range(99)]


def test_threads_get_what_they_ask_for() -> None:
    texts = [f"{i:016d}" for i in range(200)]
    view = onecopy.share(texts)
    wrong: list[tuple[str, str]] = []

    def read(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(5_000):
            place = chance.randrange(200)
            found = view[place]
            if found != texts[place]:
                wrong.append((found, texts[place]))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert wrong == []


def _generator(view: Any) -> Iterator[Any]:
    yield from view


def test_nothing_stays_behind() -> None:
    """One object for each view that was read, until the view or its iterator goes."""

    def passes() -> None:
        for _ in range(200):
            view = onecopy.share([2**40 + i for i in range(10)])
            list(_generator(view))
            for i in range(10):
                view[i]
            half_read = iter(view)
            next(half_read)

    passes()
    gc.collect()
    before = sys.getallocatedblocks()
    passes()
    gc.collect()
    assert sys.getallocatedblocks() - before < 100


def test_a_view_can_go_before_what_was_read() -> None:
    view = onecopy.share([f"{i:016d}" for i in range(10)])
    gone = weakref.ref(view)
    first = view[0]
    last = None
    for last in view:  # noqa: B007 - the last one is kept
        pass
    del view
    gc.collect()
    assert gone() is None
    assert (first, last) == (f"{0:016d}", f"{9:016d}")


def test_damage_that_comes_between_two_reads(tmp_path: Path) -> None:
    """A str that got bytes that are no text is thrown away, not handed out."""
    path = tmp_path / "texts.onecopy"
    texts = [f"{i:016d}" for i in range(20)]
    onecopy.save(texts, path)
    view = onecopy.open(path)
    kept = view[3]
    assert view[4] == texts[4]
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(content.index(texts[5].encode()) + 9)
        file.write(b"\xff")
    with pytest.raises(onecopy.CorruptImage):
        view[5]
    assert kept == texts[3]
    assert [view[i] for i in range(20) if i != 5] == [text for i, text in enumerate(texts) if i != 5]
