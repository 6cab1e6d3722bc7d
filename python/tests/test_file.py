"""Files and buffers: atomic, lazy, refusing what would run code, and never fatal however damaged."""

from __future__ import annotations

import datetime as dt
import errno
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings

import onecopy
from test_nested import Point, identical, nested

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext

DATA: dict[str, Any] = {
    "rows": [{"id": i, "name": f"n{i}", "box": [1.0, float(i)]} for i in range(100)],
    "array": np.arange(2000.0).reshape(20, 100),
    "set": {1, "a", (2, 3)},
    "words": [None, True, 1 << 70, "x" * 100, b"y" * 100, 1j],
    "many": {f"key {i}": i for i in range(100)},
}


@given(nested)
@settings(deadline=None, max_examples=50)
def test_what_is_saved_comes_back(data: Any) -> None:
    path = Path(os.environ["PYTEST_FILE_DIR"]) / "data.onecopy"
    onecopy.save(data, path)
    view = onecopy.open(path, allow_pickle=True, validate="full")
    assert identical(onecopy.to_python(view.get() if isinstance(view, onecopy.views.ObjectView) else view), data)
    buffered = onecopy.from_buffer(path.read_bytes(), allow_pickle=True, validate="full")
    assert identical(onecopy.to_python(buffered), data)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTEST_FILE_DIR", str(tmp_path))
    return tmp_path


def total(view: Any) -> tuple[int, float, bool]:
    """Reads a file's view in a worker."""
    return sum(row["id"] for row in view["rows"]), float(view["array"].sum()), view["many"]["key 7"] == 7


def test_a_view_of_a_file_goes_to_workers_by_its_path(tmp_path: Path, context: BaseContext) -> None:
    onecopy.save(DATA, tmp_path / "data")
    view = onecopy.open(tmp_path / "data")
    pickled = pickle.dumps(view)
    assert len(pickled) < 600
    with context.Pool(2) as pool:
        assert pool.map(total, [view, view]) == [(4950, 1999000.0, True)] * 2
    onecopy.save([1], tmp_path / "data")
    with pytest.raises(ValueError, match="replaced or changed"):
        pickle.loads(pickled)
    assert total(view) == (4950, 1999000.0, True)  # the old file is still mapped


def test_views_are_saved_as_they_are(tmp_path: Path) -> None:
    view: Any = onecopy.share(DATA)
    onecopy.save(view, tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == bytes(onecopy.image_of(view))
    onecopy.save(view["rows"][10:20], tmp_path / "part")
    assert onecopy.open(tmp_path / "part") == DATA["rows"][10:20]
    onecopy.save(view["array"], tmp_path / "array")
    again = onecopy.open(tmp_path / "array")
    assert np.array_equal(again, DATA["array"])
    scratch = onecopy.private(again)
    scratch[0, 0] = 7
    assert again[0, 0] == 0
    with pytest.raises(TypeError, match="whole"):
        onecopy.image_of(view["rows"])
    # It says that it is an array; that does not make it one.
    other = SimpleNamespace(__array_interface__=view["array"].__array_interface__)
    with pytest.raises(TypeError, match="whole"):
        onecopy.image_of(other)


@pytest.mark.parametrize("value", [1, "text", None, 2.5, True, b"bytes", 1 << 80, [], {}, (), dt.date(2026, 1, 2)])
def test_roots_of_every_kind(value: Any, tmp_path: Path) -> None:
    onecopy.save(value, tmp_path / "value")
    again: Any = onecopy.open(tmp_path / "value", allow_pickle=True, validate="full")
    assert identical(onecopy.to_python(again), value)


def test_pickles_in_files_are_refused(tmp_path: Path) -> None:
    onecopy.save({"plain": 1, "when": dt.date(2026, 1, 2), "points": [Point(1, 2.0), Point(3, 4.0)]}, tmp_path / "data")
    view: Any = onecopy.open(tmp_path / "data")
    assert view["plain"] == 1
    assert view["points"][1].y == 4.0  # fields need no code
    reads: list[Callable[[], Any]] = [
        lambda: view["when"],
        lambda: view["points"][0].norm1,
        lambda: onecopy.to_python(view),
        lambda: pickle.loads(pickle.dumps(view))["when"],
        lambda: onecopy.open(tmp_path / "data", copy=True)["when"],
        lambda: pickle.loads(pickle.dumps(onecopy.open(tmp_path / "data", copy=True)))["when"],
        lambda: onecopy.from_buffer((tmp_path / "data").read_bytes())["when"],
    ]
    for read in reads:
        with pytest.raises(pickle.UnpicklingError, match="allow_pickle=True"):
            read()
    assert onecopy.open(tmp_path / "data", allow_pickle=True)["when"].year == 2026


def test_errors_of_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        onecopy.open(tmp_path / "nothing")
    assert (missing.value.errno, missing.value.filename) == (errno.ENOENT, str(tmp_path / "nothing"))
    with pytest.raises(IsADirectoryError):
        onecopy.open(tmp_path)
    with pytest.raises(IsADirectoryError):
        onecopy.save([1], tmp_path)
    with pytest.raises(FileNotFoundError):
        onecopy.save([1], tmp_path / "nowhere" / "data")
    with pytest.raises(TypeError, match=r"data\[1\]: cannot share"):
        onecopy.save([1, lambda: 1], tmp_path / "data")
    assert list(tmp_path.iterdir()) == []
    onecopy.save(DATA, tmp_path / "lost")
    pickled = pickle.dumps(onecopy.open(tmp_path / "lost"))
    (tmp_path / "lost").unlink()
    with pytest.raises(onecopy.AttachError, match="lost") as lost:
        pickle.loads(pickled)
    assert (lost.value.errno, lost.value.filename) == (errno.ENOENT, str(tmp_path / "lost"))  # type: ignore[attr-defined]
    assert isinstance(lost.value.__cause__, FileNotFoundError)
    with pytest.raises(ValueError, match="validate"):
        onecopy.open(tmp_path / "nothing", validate="some")  # type: ignore[arg-type]
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("no image, but long enough to have had a header " * 3)
    onecopy.save(DATA, tmp_path / "cut")
    os.truncate(tmp_path / "cut", 3000)
    (tmp_path / "short").write_text("short!")
    damaged = bytearray((tmp_path / "cut").read_bytes()[:64])
    damaged[30] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    for name, offset, said in (
        ("empty", 0, " is empty, so it is not an image: perhaps a copy was interrupted; save it again"),
        (
            "text",
            0,
            " is not an image file (it does not begin with onecopy's signature); name a file that onecopy.save",
        ),
        ("short", 6, " is not an image file: it has 6 bytes, and a header has 64"),
        ("cut", 3000, ": truncated image: "),
        ("damaged", 56, ": corrupt image at offset 56: "),
    ):
        for copy in (False, True):
            with pytest.raises(onecopy.CorruptImage) as caught:
                onecopy.open(tmp_path / name, copy=copy)
            assert caught.value.offset == offset  # type: ignore[attr-defined]
            assert str(caught.value).startswith(f"{tmp_path / name}{said}")
    # What is found only when everything is looked at names the file, too.
    onecopy.save({"a": [1, 2, 3]}, tmp_path / "nested")
    image = bytearray((tmp_path / "nested").read_bytes())
    image[64:] = bytes(len(image) - 64)
    (tmp_path / "nested").write_bytes(image)
    with pytest.raises(onecopy.CorruptImage, match=f"^{tmp_path / 'nested'}: "):
        onecopy.open(tmp_path / "nested", validate="full")
    with pytest.raises(onecopy.CorruptImage, match=f"^{tmp_path / 'nested'}: "):
        onecopy.open(tmp_path / "nested")


def test_what_is_refused_is_said_with_the_way_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ff")
    with pytest.raises(
        OSError, match=r"\] cannot replace a named pipe with a file; choose another name: '.*/ff'"
    ) as saved:
        onecopy.save([1], tmp_path / "ff")
    assert saved.value.errno == errno.EINVAL
    with pytest.raises(
        IsADirectoryError, match=r"\] a folder is not an image file; name a file that onecopy.save\(\) wrote"
    ):
        onecopy.open(tmp_path)


def test_names_may_be_bytes_as_elsewhere_in_python(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff"
    onecopy.save([1, 2], name)
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"\xff"]
    assert onecopy.open(name) == [1, 2]


def test_a_file_past_the_size_limit_leaves_nothing(tmp_path: Path) -> None:
    limit = f"""
import resource, signal, sys
import onecopy
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    onecopy.save([b"x" * 1000 + bytes([i % 256]) for i in range(10_000)], {str(tmp_path / "data")!r})
except OSError as error:
    sys.exit(7)
"""
    run = subprocess.run([sys.executable, "-c", limit], check=False, timeout=120)
    assert run.returncode == 7
    assert list(tmp_path.iterdir()) == []


def test_buffers_that_could_change_are_copied() -> None:
    image = bytes(onecopy.image_of(onecopy.share(DATA)))
    # numpy's arrays are buffers, which typeshed can say only since 3.12.
    array: Any = np.frombuffer(image, np.uint8).copy()
    for buffer in (bytearray(image), memoryview(b"x" + image)[1:], array):
        view = onecopy.from_buffer(buffer)
        if isinstance(buffer, bytearray):
            buffer[:] = bytes(len(image))
        if isinstance(buffer, np.ndarray):
            buffer[:] = 0
        assert total(view) == (4950, 1999000.0, True)
        assert total(pickle.loads(pickle.dumps(view))) == (4950, 1999000.0, True)


def test_a_buffer_that_is_only_read_only_is_copied() -> None:
    image = bytes(onecopy.image_of(onecopy.share(DATA)))
    wraps: list[Any] = [memoryview, np.frombuffer, lambda changing: memoryview(np.frombuffer(changing, np.uint8))]  # type: ignore[arg-type,unused-ignore]
    for wrap in wraps:
        changing = bytearray(image)
        view = onecopy.from_buffer(memoryview(wrap(changing)).cast("B").toreadonly())
        changing[:] = bytes(len(image))
        assert total(view) == (4950, 1999000.0, True)


def test_bytes_and_memory_of_images_are_not_copied(tmp_path: Path) -> None:
    onecopy.save(DATA, tmp_path / "data")
    image = bytes(onecopy.image_of(onecopy.share(DATA)))
    buffers: list[Any] = [image, memoryview(image), memoryview(memoryview(image)).toreadonly()]
    buffers += [onecopy.image_of(view) for view in (onecopy.share(DATA), onecopy.open(tmp_path / "data"))]
    for buffer in buffers:
        address = np.frombuffer(buffer, np.uint8).ctypes.data
        again = onecopy.image_of(onecopy.from_buffer(buffer))
        assert np.frombuffer(again, np.uint8).ctypes.data == address


@dataclass
class Plainly:
    """A row, of a class whose name has as many letters as another."""

    number: int


def test_names_in_a_file_are_no_commands_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    onecopy.save([[Plainly(1), Plainly(2)], np.zeros(3)], path)
    image = path.read_bytes()
    assert image.count(b"Plainly") == 1
    assert image.count(b"<f8") == 1
    path.write_bytes(image.replace(b"Plainly", b"\x1b[31mRe").replace(b"<f8", b"\x1b[m"))
    command = [sys.executable, "-m", "onecopy", "inspect", str(path)]
    run = subprocess.run(command, check=False, capture_output=True, timeout=120)
    assert b"\x1b" not in run.stdout + run.stderr
    assert rb"\u{1b}[31mRe" in run.stdout + run.stderr, run


class Shifting(bytes):
    """Bytes of a class that may give another buffer than its content."""


def test_the_content_of_a_pickled_buffer_may_be_of_any_bytes() -> None:
    image = Shifting(bytes(onecopy.image_of(onecopy.share(DATA))))
    view = onecopy.from_buffer(image)
    assert total(view) == (4950, 1999000.0, True)
    attach, (content, allowed) = view.__reduce__()[1][0].__reduce__()
    assert total(onecopy._onecopy._attach_node(attach(Shifting(content), allowed), view.__reduce__()[1][1]))


def test_a_file_is_checked_before_it_is_copied(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 42)  # more than any memory
    with pytest.raises(onecopy.CorruptImage):
        onecopy.open(tmp_path / "sparse", copy=True)
    onecopy.save(DATA, tmp_path / "data")
    with (tmp_path / "data").open("ab") as file:
        file.write(bytes(5000))
    assert total(onecopy.open(tmp_path / "data", copy=True)) == (4950, 1999000.0, True)


def test_savers_of_one_path_do_not_disturb_each_other(tmp_path: Path) -> None:
    def save(number: int) -> None:
        for _ in range(100):
            onecopy.save([number], tmp_path / "data")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save, range(4)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


SAVER = """
import sys
import onecopy
path = sys.argv[1]
round = 0
while True:
    round += 1
    onecopy.save([round] * 50_000, path)
"""


def test_a_killed_save_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "data"
    chance = random.Random(7)
    onecopy.save([0] * 50_000, path)
    seen = set()
    for _ in range(12):
        saver = subprocess.Popen([sys.executable, "-c", SAVER, str(path)])
        first = path.stat().st_ino
        while path.stat().st_ino == first and saver.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.random() * 0.02)
        saver.send_signal(signal.SIGKILL)
        saver.wait()
        view = onecopy.open(path, validate="full")
        assert len(view) == 50_000
        assert view.count(view[0]) == 50_000
        seen.add(view[0])
    assert seen != {0}
    onecopy.save([1], path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


BREAKER = """
import random, sys
import onecopy
image = open(sys.argv[1], "rb").read()
chance = random.Random(int(sys.argv[2]))
def read(view, depth=0):
    if depth > 6:
        return
    repr(type(view))
    for use in (len, hash, lambda v: v == v, lambda v: list(v.items())[:5], lambda v: v.columns, lambda v: v["id"],
                lambda v: v["key 7"], lambda v: "a" in v, lambda v: v.sum(), lambda v: v[0:3], onecopy.to_python):
        try:
            use(view)
        except Exception:
            pass
    try:
        parts = list(view.values()) if hasattr(view, "values") else list(view)
    except Exception:
        return
    if not isinstance(view, (str, bytes)):
        for part in parts[:8]:
            read(part, depth + 1)
for _ in range(int(sys.argv[3])):
    broken = bytearray(image)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(64, len(broken))
        broken[at] = chance.choice([0, 1, 0xff, 0x80, chance.randrange(256), broken[at] ^ (1 << chance.randrange(8))])
    for validate in ("full", "lazy"):
        try:
            view = onecopy.from_buffer(bytes(broken), validate=validate)
        except onecopy.CorruptImage as error:
            assert isinstance(error.offset, int)
            continue
        read(view)
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_image_never_kills_python(seed: int, tmp_path: Path) -> None:
    small = {**DATA, "rows": DATA["rows"][:6], "array": DATA["array"][:2, :3]}
    onecopy.save(small, tmp_path / "image")
    command = [sys.executable, "-c", BREAKER, str(tmp_path / "image"), str(seed), "400"]
    run = subprocess.run(command, check=False, timeout=240, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


def test_saving_again_keeps_the_mode_and_follows_links(tmp_path: Path) -> None:
    onecopy.save([1], tmp_path / "data")
    (tmp_path / "data").chmod(0o600)
    (tmp_path / "link").symlink_to("data")
    onecopy.save(["secret"], tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert onecopy.open(tmp_path / "data")[0] == "secret"
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o600
