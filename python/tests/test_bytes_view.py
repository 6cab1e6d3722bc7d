"""Bytes, strs and arrays of Python's own, shared as buffers: they read as the real thing does, in place."""

from __future__ import annotations

import array
import copy
import enum
import hashlib
import io
import mmap
import operator
import os
import pickle
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onecopy
from onecopy import _onecopy
from onecopy.views import ArrayView, BytesView, DictView, ListView, StrView, TableView
from test_property import identical, strings

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

MIB = 2**20
TYPECODES = "bBhHiIlLqQfd"


def mapped(content: bytes) -> mmap.mmap:
    made = mmap.mmap(-1, len(content))
    made[:] = content
    return made


def readers(real: Any, view: Any, folder: Path | None = None) -> list[Any]:
    """The same data through the store, through another token, a buffer and a file."""
    found = [
        view,
        pickle.loads(pickle.dumps(view)),
        onecopy.from_buffer(bytes(onecopy.image_of(view)), validate="full"),
    ]
    if folder is not None:
        for name, data in [("real", real), ("view", view)]:
            onecopy.save(data, folder / name)
            found.append(onecopy.open(folder / name, validate="full"))
    return found


BUFFERS: dict[str, Any] = {
    "nothing": b"",
    "short": b"ab",
    "in a word": b"\0\xff\0",
    "bytes": bytes(range(256)) * 9,
    "bytearray": bytearray(b"one, two, two"),
    "mmap": mapped(b"one, two" * 512),
    "memoryview": memoryview(b"one, two, two"),
    "memoryview of a part": memoryview(b"one, two, two")[4:],
    "memoryview backwards": memoryview(b"one, two, two")[::-2],
}
TEXTS = {
    "nothing": "",
    "ASCII": "one, two, two",
    "long": "to be or not to be " * 999,
    "Latin-1": "déjà vu",
    "short Latin-1": "é",
    "UCS-2": "日本語、日本",
    "UCS-4": "a😀b😀",
    "lone": "x\udc80y\ud800",
}
ARRAYS = {code: array.array(code, [1, 0, 100, 7, 7]) for code in TYPECODES}


@pytest.mark.parametrize("name", BUFFERS)
def test_bytes_come_back_through_every_door(name: str, tmp_path: Path) -> None:
    real = BUFFERS[name]
    for view in readers(real, onecopy.share(real), tmp_path):
        assert type(view) is BytesView
        assert view == real
        assert view == bytes(real)
        assert bytes(view) == bytes(real)
        assert len(view) == len(real)
        again = onecopy.to_python(view)
        assert type(again) is type(real)
        assert bytes(again) == bytes(real)


@pytest.mark.parametrize("name", TEXTS)
def test_strs_come_back_through_every_door(name: str, tmp_path: Path) -> None:
    real = TEXTS[name]
    for view in readers(real, onecopy.share(real), tmp_path):
        assert type(view) is StrView
        assert view == real
        assert real == view
        assert str(view) == real
        assert type(str(view)) is str
        assert hash(view) == hash(real)
        assert onecopy.to_python(view) == real


@pytest.mark.parametrize("code", TYPECODES)
def test_arrays_come_back_through_every_door(code: str, tmp_path: Path) -> None:
    real = ARRAYS[code]
    for view in readers(real, onecopy.share(real), tmp_path):
        assert type(view) is ArrayView
        assert view == real
        assert real.tolist() == view.tolist() == list(view)
        assert (view.typecode, view.itemsize, len(view)) == (code, real.itemsize, len(real))
        assert type(view[2]) is type(real[2])
        assert view[1:4] == real[1:4]
        assert view[::-2] == real[::-2]
        assert view.index(7) == real.index(7)
        assert view.index(7, 4) == 4
        assert view.count(7) == real.count(7)
        assert 100 in view
        assert view > array.array(code, [1, 0, 99])
        again = onecopy.to_python(view)
        assert type(again) is array.array
        assert again == real
        assert again.typecode == code
        assert onecopy.to_python(view[::2]) == real[::2]
        assert np.asarray(view).tolist() == real.tolist()
        buffer: Any = view  # NumPy's types know few before Python 3.12
        assert np.shares_memory(np.asarray(view), np.frombuffer(buffer, np.asarray(view).dtype))
    with pytest.raises(TypeError, match="unhashable"):
        hash(onecopy.share(real))


def test_memoryviews_of_numbers_are_arrays_that_come_back_as_memoryviews() -> None:
    for letter in "hHiIlLqQfdbc?":
        plain: Any = memoryview(bytes(range(16)))
        real: Any = plain.cast(letter)
        view: Any = onecopy.share(real)
        again: Any = onecopy.to_python(view)
        assert [type(view), type(again)] == [ArrayView, memoryview]
        assert again.format == letter
        assert again == real
        assert list(view) == real.tolist()
    with pytest.raises(onecopy.Unsupported, match="memoryview"):
        onecopy.share(memoryview(bytes(8)).cast("B", (2, 4)))


CUTS = [
    slice(None),
    slice(2, None),
    slice(None, -2),
    slice(1, 9, 3),
    slice(None, None, -1),
    slice(-1, 0, -2),
    slice(5, 5),
]


@pytest.mark.parametrize("real", [*BUFFERS.values(), *TEXTS.values(), *ARRAYS.values()])
def test_slices_of_slices_are_views(real: Any) -> None:
    view: Any = onecopy.share(real)
    for first in CUTS:
        for second in CUTS:
            part, expected = view[first][second], real[first][second]
            assert type(part) is type(view)
            assert part == expected
            assert list(part) == list(expected)
            assert pickle.loads(pickle.dumps(part)) == expected
            assert onecopy.to_python(part[:3]) == expected[:3]
    for index in (0, -1, len(real) - 1):
        if len(real):
            assert view[index] == real[index]
            assert type(view[index]) is type(real[index])
    for index in (len(real), -len(real) - 1):
        with pytest.raises(IndexError, match="index out of range"):
            view[index]
    with pytest.raises(TypeError, match="indices must be integers"):
        view["x"]


SEARCHES: list[tuple[Any, ...]] = [(), (0,), (1,), (3, 9), (-4,), (2, -1), (99,), (4, 2), (None, 5)]


@pytest.mark.parametrize("real", [bytes(BUFFERS["bytes"]), b"", b"one, two, two", b"aaaa"])
def test_bytes_are_searched_as_bytes_are(real: bytes) -> None:
    view = onecopy.share(real)
    for value in (b"", b"two", b"o", b"aa", b"\0\1", 111, 0, b"nothing"):
        assert (value in view) == (value in real)
        for limits in SEARCHES:
            for method in ("find", "rfind", "count"):
                assert getattr(view, method)(value, *limits) == getattr(real, method)(value, *limits), (value, limits)
            if isinstance(value, bytes):
                for method in ("startswith", "endswith"):
                    assert getattr(view, method)(value, *limits) == getattr(real, method)(value, *limits)
                    pair = (b"zz", value)
                    assert getattr(view, method)(pair, *limits) == getattr(real, method)(pair, *limits)
            for method in ("index", "rindex"):
                same_outcome(view, real, method, value, *limits)
    with pytest.raises(TypeError):
        view.find("text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="byte must be in range"):
        view.find(256)


@pytest.mark.parametrize("real", TEXTS.values())
def test_strs_are_searched_as_strs_are(real: str) -> None:
    view = onecopy.share(real)
    for value in ("", "two", "o", "本", "😀", "é", "\udc80", "語、", "nothing", real[1:3], real[::-1]):
        assert (value in view) == (value in real)
        for limits in SEARCHES:
            for method in ("find", "rfind", "count", "startswith", "endswith"):
                assert getattr(view, method)(value, *limits) == getattr(real, method)(value, *limits), (value, limits)
                assert getattr(view[::-1], method)(value, *limits) == getattr(real[::-1], method)(value, *limits)
            for method in ("index", "rindex"):
                same_outcome(view, real, method, value, *limits)
    with pytest.raises(TypeError, match="must be str, not bytes"):
        view.find(b"o")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be str, not int"):
        operator.contains(view, 1)


def same_outcome(view: Any, real: Any, method: str, *arguments: Any) -> None:
    """The same result, or the same kind of error."""
    try:
        expected = getattr(real, method)(*arguments)
    except ValueError:
        with pytest.raises(ValueError, match="not found"):
            getattr(view, method)(*arguments)
    else:
        assert getattr(view, method)(*arguments) == expected


def test_what_is_not_in_a_multiple_of_the_width_is_no_character() -> None:
    """The bytes of a character may stand in the middle of two others."""
    view = onecopy.share("\u0141\u4201\u0142")
    assert "\u4101" not in view
    assert view.find("\u4201") == 1
    assert onecopy.share("\u1111" * 9).count("\u1111\u1111") == 4
    assert onecopy.share("\u1111" * 9).rfind("\u1111\u1111") == 7


def test_bytes_and_strs_compare_join_and_hash_as_the_real_things() -> None:
    content, text = onecopy.share(b"abc"), onecopy.share("abc")
    assert {b"abc": 1}[content] == 1  # type: ignore[index]
    assert {content: 1}[b"abc"] == 1  # type: ignore[index]
    assert {"abc": 1}[text] == 1  # type: ignore[index]
    assert hash(content[1:]) == hash(b"bc")
    assert hash(content[::-1]) == hash(b"cba")
    assert content < b"abd"
    assert content <= content  # noqa: PLR0124
    assert content > b"abb"
    assert content != "abc"
    assert content != [97, 98, 99]
    assert text < "abd"
    assert text < "日本"
    assert text != b"abc"
    assert text == onecopy.share("xabc")[1:]
    assert onecopy.share("日abc")[1:] == "abc"
    assert hash(onecopy.share("日abc")[1:]) == hash("abc")
    assert content + b"d" == b"abcd"
    assert b"d" + content == b"dabc"
    assert text + "d" == "abcd"
    assert "d" + text == "dabc"
    assert text + text == "abcabc"
    assert content * 2 == b"abcabc" == 2 * content
    assert text * 2 == "abcabc" == 2 * text
    assert b"-".join([content, content]) == b"abc-abc"
    assert f"{text:>5}" == "  abc"
    assert (repr(content), repr(text)) == ("BytesView(b'abc')", "StrView('abc')")
    assert len(repr(onecopy.share("x" * MIB))) < 2000
    assert bool(content)
    assert not onecopy.share(b"")
    with pytest.raises(TypeError, match="unhashable type: a view of a bytearray"):
        hash(onecopy.share(bytearray(b"abc")))
    with pytest.raises(TypeError):
        content < 3  # noqa: B015
    with pytest.raises(TypeError):
        text < 3  # noqa: B015


def test_other_methods_work_on_a_copy_and_nothing_is_written() -> None:
    content: Any = onecopy.share(b"one two")
    text: Any = onecopy.share("one two")
    assert content.split() == [b"one", b"two"]
    assert content.decode() == "one two"
    assert content.hex() == b"one two".hex()
    assert text.upper() == "ONE TWO"
    assert text.encode() == b"one two"
    assert "split" in dir(b"")
    for view in (content, text):
        with pytest.raises(AttributeError, match="has no attribute 'append'"):
            view.append(1)
        with pytest.raises(TypeError, match=r"onecopy\.to_python\(view\)"):
            view[0] = view[1]
        with pytest.raises(TypeError, match=r"onecopy\.to_python\(view\)"):
            del view[0]
        with pytest.raises(AttributeError, match="cannot be changed"):
            view.name = 1
        assert copy.copy(view) is view
        assert copy.deepcopy(view) is view
        assert onecopy.share(view) is view


def test_libraries_read_in_place() -> None:
    content = onecopy.share(b"one, two, three; " * 1000)
    memory = memoryview(content)
    assert memory.readonly
    assert memory.contiguous
    assert re.findall(rb"t\w+", content)[:2] == [b"two", b"three"]
    assert hashlib.sha256(content).digest() == hashlib.sha256(bytes(content)).digest()
    assert io.BytesIO(content).read(3) == b"one"
    assert struct.unpack_from("<H", content, 2) == struct.unpack_from("<H", bytes(content), 2)
    buffer: Any = content  # NumPy's types know few before Python 3.12
    numbers = np.frombuffer(buffer, np.uint8)
    assert numbers.base is not None
    assert np.shares_memory(numbers, np.asarray(content[5:]))
    assert not numbers.flags.writeable
    assert int.from_bytes(content[:4], "little") == int.from_bytes(b"one,", "little")
    stepped = memoryview(content[::3])
    assert stepped.strides == (3,)
    assert stepped.tolist() == list(bytes(content)[::3])
    with pytest.raises(BufferError):
        hashlib.sha256(content[::3])
    text = onecopy.share("one, two, three")
    assert re.search(rb"t\w+", text.codes())[0] == b"two"  # type: ignore[index]
    assert onecopy.share("日本").codes().tolist() == [ord("日"), ord("本")]
    assert onecopy.share("a😀b")[::-1].codes().tolist() == [ord("b"), ord("😀"), ord("a")]
    assert onecopy.share("")[::-1].codes().tolist() == []
    assert "".join(map(chr, onecopy.share("abc")[1:].codes())) == "bc"


VIEWS: dict[type, type] = {str: StrView, bytes: BytesView}
NESTED: dict[str, Any] = {
    "text": "a long text " * 99,
    "short": "ab",
    "wide": "日本語" * 9,
    "content": bytes(range(256)) * 99,
    "few": b"q",
    "list": ["one", "two" * 99, None],
    "bytes": [b"1", b"2" * 99],
    "mixed": [1, "two", b"three" * 9, None, 2.5, [b"x"]],
    "tuple": ("a", b"b" * 50),
    "rows": [{"name": "first", "blob": b"1" * 99}, {"name": "second" * 99, "blob": b""}],
    "none": None,
    "number": 7,
}


def test_parts_of_other_data_are_had_without_a_copy(tmp_path: Path) -> None:
    for view in readers(NESTED, onecopy.share(NESTED), tmp_path):
        assert onecopy.to_python(view) == NESTED
        for key, real in NESTED.items():
            kind = VIEWS.get(type(real))
            part = view.peek(key)
            assert part == real
            assert type(view[key]) is type(part) if kind is None else type(part) is kind
            assert kind is None or type(view[key]) is type(real)
            assert pickle.loads(pickle.dumps(part)) == real
        for key in ("list", "bytes", "mixed", "tuple"):
            for index, real in enumerate(NESTED[key]):
                assert view[key].peek(index) == real
                assert view[key].peek(index - len(NESTED[key])) == real
            with pytest.raises(IndexError):
                view[key].peek(len(NESTED[key]))
        rows = view["rows"]
        assert type(rows) is TableView
        for index, row in enumerate(NESTED["rows"]):
            assert type(rows[index].peek("name")) is StrView
            assert rows[index].peek("name") == row["name"] == rows.column("name").peek(index)
            assert rows[index].peek("blob") == row["blob"]
        with pytest.raises(KeyError):
            view.peek("nothing")
        with pytest.raises(KeyError):
            rows[0].peek("nothing")


def test_a_part_lies_in_the_image() -> None:
    view: Any = onecopy.share(NESTED)
    whole = np.frombuffer(onecopy.image_of(view), np.uint8)
    for part in (view.peek("content"), view.peek("few"), view["bytes"].peek(1), view["rows"][0].peek("blob")):
        assert np.shares_memory(whole, np.frombuffer(part, np.uint8))
    for text in (view.peek("text"), view.peek("short"), view["list"].peek(1)):
        assert np.shares_memory(whole, np.frombuffer(text.codes(), np.uint8))
    with pytest.raises(TypeError, match="a view of a whole image"):
        onecopy.image_of(view.peek("content"))
    assert onecopy.share([view.peek("content"), view.peek("text")]) == [NESTED["content"], NESTED["text"]]


def test_buffers_inside_other_data_are_views_that_are_not_pickled() -> None:
    real = {
        "bytearray": bytearray(b"x" * MIB),
        "array": ARRAYS["d"],
        "twice": [ARRAYS["i"]] * 2,
        "view": memoryview(b"abc"),
    }
    assert onecopy.share_check(real).rebuilt == ()
    view: Any = onecopy.share(real, strict=True)
    assert type(view) is DictView
    assert [type(view[key]) for key in real] == [BytesView, ArrayView, ListView, BytesView]
    assert view["array"] == ARRAYS["d"]
    again = onecopy.to_python(view)
    assert identical_types(again, real)
    assert again["twice"][0] is again["twice"][1]
    again["bytearray"][0] = 0
    assert view["bytearray"][0] == ord("x")
    # A class of one's own keeps its class, and so it is pickled.
    own = Own(b"abc")
    assert type(onecopy.to_python(onecopy.share([own]))[0]) is Own


class Own(bytearray):
    """Somebody's own bytearray."""


def identical_types(left: Any, right: Any) -> bool:
    if isinstance(right, (dict, list)):
        keys = right if isinstance(right, dict) else range(len(right))
        return type(left) is type(right) and all(identical_types(left[key], right[key]) for key in keys)
    return type(left) is type(right) and left == right


def test_containers_take_views_of_buffers() -> None:
    box: Any = onecopy.List([onecopy.share("text"), onecopy.share(b"content")])
    assert box[0] == "text"
    assert box[1] == b"content"
    assert onecopy.share(onecopy.Value(b"abc")) == b"abc"


@settings(max_examples=60)
@given(st.binary() | st.binary(max_size=8).map(bytearray), st.slices(20), st.binary(max_size=3))
def test_any_bytes(real: Any, cut: slice, needle: bytes) -> None:
    for view in readers(real, onecopy.share(real)):
        assert identical(onecopy.to_python(view), real)
        assert identical(onecopy.to_python(view[cut]), real[cut])
        assert view[cut].find(needle) == real[cut].find(needle)
        assert view.rfind(needle) == real.rfind(needle)
        assert view.count(needle) == real.count(needle)


@settings(max_examples=60)
@given(strings, st.slices(20), strings)
def test_any_str(real: str, cut: slice, needle: str) -> None:
    for view in readers(real, onecopy.share(real)):
        assert identical(onecopy.to_python(view), real)
        assert identical(str(view[cut]), real[cut])
        assert hash(view[cut]) == hash(real[cut])
        assert list(view) == list(real)
        assert view[cut].find(needle) == real[cut].find(needle)
        assert view.rfind(needle) == real.rfind(needle)
        assert view.count(needle) == real.count(needle)
        assert (view < needle, view == needle) == (real < needle, real == needle)


@settings(max_examples=40)
@given(st.sampled_from(TYPECODES), st.binary(), st.slices(9))
def test_any_array(code: str, content: bytes, cut: slice) -> None:
    real = array.array(code)
    real.frombytes(content[: len(content) // real.itemsize * real.itemsize])
    for view in readers(real, onecopy.share(real)):
        again = onecopy.to_python(view)
        assert (type(again), again.typecode, again.tobytes()) == (array.array, code, real.tobytes())
        assert view[cut].tobytes() == real[cut].tobytes()


def own_bytes() -> int:
    """Memory that is this process's alone, and not the store's."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) * 1024


def read_all(view: Any) -> tuple[int, int, str]:
    """What a worker finds in a large buffer, the bytes of its own that reading took, and the view's class."""
    memory = view.codes() if type(view) is StrView else view
    len(view)
    before = own_bytes()
    total = sum(memory[:: MIB // 4])
    total += view.count("needle" if type(view) is StrView else b"needle") if type(view) is not ArrayView else 0
    total += int(np.asarray(memory).max())
    return int(total), own_bytes() - before, type(view).__name__


LARGE: dict[str, Any] = {
    "bytes": b"a needle " * (4 * MIB),
    "bytearray": bytearray(b"a needle " * (4 * MIB)),
    "str": "a needle " * (4 * MIB),
    "array": array.array("q", range(4 * MIB)),
}


@pytest.mark.parametrize("name", LARGE)
def test_workers_read_one_copy(name: str, other_process: ProcessPoolExecutor) -> None:
    view = onecopy.share(LARGE[name])
    pickled = pickle.dumps(view)
    assert len(pickled) < 200
    # The first time the worker loads numpy.
    other_process.submit(read_all, onecopy.share(LARGE[name][: 2 * MIB])).result(120)
    total, gained, kind = other_process.submit(read_all, view).result(120)
    assert total == read_all(view)[0]
    assert kind == type(view).__name__
    assert gained < MIB
    onecopy.assert_shared(view)


def test_tokens_of_parts_reach_workers(other_process: ProcessPoolExecutor) -> None:
    view: Any = onecopy.share(NESTED)
    for part in (view.peek("text"), view.peek("content"), view["list"].peek(0), view.peek("content")[7::3]):
        assert other_process.submit(as_real, part).result(120) == onecopy.to_python(part)


def as_real(view: Any) -> Any:
    assert type(view) in {BytesView, StrView}
    return onecopy.to_python(view)


def test_memory_is_given_back() -> None:
    before = onecopy.stats().live_objects
    view = onecopy.share(b"x" * MIB)
    assert onecopy.stats().live_objects == before + 1
    part = view[10:]
    del view
    assert onecopy.stats().live_objects == before + 1
    assert part[0] == ord("x")
    del part
    assert onecopy.stats().live_objects == before


def test_what_a_pickle_says_of_a_part_is_checked() -> None:
    image: Any = _onecopy._image_behind(onecopy.share([b"x" * 999]))
    for name, offset, count, steps in [
        ("bytes", 0, 1 << 40, (0, 1, 1)),
        ("bytes", 1 << 60, 8, (0, 1, 8)),
        ("array:d", 0, 1 << 62, (0, 1, 8)),
        ("bytes", 0, 8, (4, 1, 8)),
        ("bytes", 0, 8, (-1, 1, 2)),
        ("array:Z", 0, 8, (0, 1, 8)),
        ("else", 0, 8, (0, 1, 8)),
    ]:
        with pytest.raises(IndexError):
            _onecopy._attach_run(image, name, offset, count, *steps)
    for offset, count, steps in [(0, 1 << 62, (0, 1, 1)), (1 << 60, 8, (0, 1, 8)), (0, 8, (7, 1, 2))]:
        with pytest.raises(IndexError):
            _onecopy._attach_text(image, 3, offset, count, *steps)
    # Bytes that are no characters.
    broken = _onecopy._attach_text(image, 3, 0, 8, 0, 1, 8)
    for part in (broken, broken[0:2], broken[0:1]):
        with pytest.raises(onecopy.CorruptImage):
            str(part)


class Colour(str, enum.Enum):  # noqa: UP042 - a StrEnum says what it is
    """Its members are strs that say something else of themselves."""

    RED = "red"


class Liar(str):
    """Says something else of itself, or fails to."""

    __slots__ = ()

    def __str__(self) -> str:
        raise LookupError("nothing is to ask")


@pytest.mark.parametrize("text", [Colour.RED, Liar("red")])
def test_strs_of_other_classes_are_their_characters(text: Any) -> None:
    view = onecopy.share("red")
    assert view == text
    assert text == view
    assert not view < text
    assert hash(view) == hash(text)
    assert text in view
    assert view.find(text) == 0
    assert {text: 1}[view] == 1
    assert onecopy.share("a red one").count(text) == 1


def test_a_damaged_buffer_is_an_error() -> None:
    content = bytearray(onecopy.image_of(onecopy.share(array.array("d", range(8)))))
    at = content.index(b"array:d")
    for name in (b"array:i", b"array:Z", b"bytes\0\0"):
        damaged = content.copy()
        damaged[at : at + 7] = name
        with pytest.raises(onecopy.CorruptImage):
            onecopy.from_buffer(bytes(damaged))


def test_forked_children_read_the_same_memory() -> None:
    view = onecopy.share(b"x" * MIB)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if view.count(b"x") == MIB else 1)
    assert os.waitpid(pid, 0)[1] == 0
