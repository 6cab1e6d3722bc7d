"""What of shared data every process has to rebuild is said: by a warning, by a refusal, and by `share_check()`."""

from __future__ import annotations

import json
import os
import warnings
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onecopy
from onecopy import _rebuilt
from onecopy.errors import RebuiltWarning

if TYPE_CHECKING:
    from collections.abc import Callable


class Trie:
    """An index of somebody's own, with an idea of its own of how it is pickled."""

    def __init__(self, count: int) -> None:
        self.nodes = {f"node {n}": n for n in range(count)}

    def __getstate__(self) -> dict[str, Any]:
        return {"nodes": self.nodes}


LARGE = Trie(100_000)


def test_what_is_rebuilt_is_said_once_with_its_path_type_and_bytes() -> None:
    with pytest.warns(RebuiltWarning) as warned:
        onecopy.share({"index": LARGE, "ids": list(range(1000)), "few": range(3)})
    assert len(warned) == 1
    text = str(warned[0].message)
    report = onecopy.share_check({"index": LARGE})
    size = f"{report.rebuilt_bytes / 2**20:.1f} MiB"
    whole = f"{__name__}.Trie, {size} pickled, is rebuilt in every process that reads it"
    assert text.startswith(f'data["index"]: {whole}; data["few"]: range, ')
    assert warned[0].filename == __file__


def test_many_small_ones_are_one_line() -> None:
    prices = [Decimal(n) for n in range(50_000)]
    with pytest.warns(
        RebuiltWarning, match=r"data\[0\] and 49,999 more: decimal.Decimal, .* are rebuilt in every process"
    ):
        onecopy.share(prices)


@pytest.mark.parametrize(
    "data",
    [
        list(range(500_000)),
        {"a": np.zeros(1 << 20), "rows": [{"x": n} for n in range(50_000)]},
        [range(3), Decimal(1)],
        np.zeros((1000, 1000)),
    ],
)
def test_what_is_shared_or_small_is_no_matter(data: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        onecopy.share(data)
        onecopy.share(data, strict=True)


def test_strict_refuses_and_leaves_nothing() -> None:
    before = onecopy.stats()
    with pytest.raises(onecopy.Unsupported, match=r'data\["a"\]\[1\]: .*Trie, .* MiB pickled, is rebuilt'):
        onecopy.share({"a": [1, LARGE]}, strict=True)
    assert onecopy.stats() == before


def test_the_check_lists_all_and_shares_nothing() -> None:
    data = {"index": LARGE, "prices": [Decimal(1), Decimal(2)], "array": np.zeros(1 << 17)}
    before = onecopy.stats()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = onecopy.share_check(data)
    assert onecopy.stats() == before
    assert [(row.path, row.type, row.count) for row in report.rebuilt] == [
        ('data["index"]', Trie, 1),
        ('data["prices"][0]', Decimal, 2),
    ]
    assert report.rebuilt_bytes == sum(row.bytes for row in report.rebuilt) > 2**20
    with pytest.warns(RebuiltWarning):
        assert len(onecopy.image_of(onecopy.share(data))) == report.bytes
    assert str(report).splitlines()[0].endswith("MiB of shared memory")
    with pytest.raises(onecopy.Unsupported, match=r"data\[0\]"):
        onecopy.share_check([lambda: 0])


def test_what_is_returned_as_it_is_or_read_in_place_has_nothing_to_rebuild() -> None:
    for data in (5, "text", onecopy.share([1, 2]), onecopy.List([1, 2]), np.arange(5), [1, 2.5, None, "x"]):
        assert onecopy.share_check(data).rebuilt == ()


def test_buffers_are_not_rebuilt() -> None:
    report = onecopy.share_check({"frame": pytest.importorskip("pandas").DataFrame({"x": np.arange(300_000)})})
    assert report.rebuilt_bytes < 10_000
    assert report.bytes > 2_000_000


class Place(str):  # noqa: SLOT000 - it has an attribute that mypy is to know
    """A place that lets go of an image when it is looked up, as the garbage collector may at any time."""

    let_go: Callable[[], object]

    def __hash__(self) -> int:
        self.let_go()
        return super().__hash__()


def test_an_image_may_go_while_sums_are_written() -> None:
    noted: Any = _rebuilt._Noted()
    place: Any = Place("one")
    place.let_go = lambda: (noted.images.pop(2, None), noted.sizes.pop(2, None))
    noted.images.update({1: (None, place, set()), 2: (None, "two", set())})
    noted.sizes.update({1: 10, 2: 20})
    noted.write()
    os.close(noted.file)


def test_sums_that_cannot_be_written_leave_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError("no memory")

    noted = _rebuilt._Noted()
    before = set(Path("/proc/self/fd").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        noted.write()
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_threads_that_rebuild_side_by_side_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    images: Any = [type("Image", (), {"place": f"place {n}"})() for n in range(2)]
    made = _rebuilt._Noted

    def while_another_comes() -> _rebuilt._Noted:
        monkeypatch.setattr(_rebuilt, "_Noted", made)
        _rebuilt.note(images[1], 8, 30_000)
        return made()

    monkeypatch.setattr(_rebuilt, "_noted", {})
    monkeypatch.setattr(_rebuilt, "_Noted", while_another_comes)
    _rebuilt.note(images[0], 8, 20_000)
    (noted,) = _rebuilt._noted.values()
    left = _rebuilt._sums(Path(f"/proc/self/fd/{noted.file}"), os.getpid())
    assert left == {images[0].place: 20_000, images[1].place: 30_000}
    os.close(noted.file)


def test_sums_that_no_process_can_have_do_not_count(tmp_path: Path) -> None:
    left = tmp_path / "left"
    sums = {"right": 5, "below": -1, "above": 1 << 60, "true": True, "text": "5"}
    left.write_text(json.dumps({"pid": 1, "images": sums}))
    assert _rebuilt._sums(left, 1) == {"right": 5}
