"""What of shared data is no shared memory: `share_check()`, and what `share()` says of it."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from onecopy import _content, _onecopy
from onecopy.errors import RebuiltWarning, Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

__all__ = ["Rebuilt", "ShareReport", "judge", "share_check"]

_LIMIT_BYTES: Final = 2**20
_SHOWN: Final = 5
"""Classes that a warning names."""
_FRAMES: Final = {("pandas", "DataFrame"), ("pandas", "Series"), ("pandas", "Index")}
_INSTEAD_OF_OBJECTS: Final = (
    "pandas' columns of dtype object are pickled, as pandas needs real objects: "
    'astype("string[pyarrow]") has those of strs shared, and so has a list of the column beside the frame'
)


@dataclass(frozen=True)
class Rebuilt:
    """Objects of one class that are pickled, and rebuilt in every process that reads them.

    Attributes:
        path: The way to the first of them, from `data` on.
        type: Their class.
        count: How many there are.
        bytes: What they take as pickles. As objects they take more, often several times as much.
    """

    __module__ = "onecopy"
    path: str
    type: type
    count: int
    bytes: int

    def __str__(self) -> str:
        size = f"{self.bytes / 2**20:.1f} MiB" if self.bytes >= 2**20 / 10 else f"{self.bytes:,} bytes"
        if self.count == 1:
            return f"{self.path}: {_name(self.type)}, {size} pickled, is rebuilt in every process that reads it"
        more = f"{self.path} and {self.count - 1:,} more"
        return f"{more}: {_name(self.type)}, {size} pickled, are rebuilt in every process that reads them"


@dataclass(frozen=True)
class ShareReport:
    """What sharing an object would do, as `share_check()` found.

    Attributes:
        bytes: Shared memory that it would take.
        rebuilt: What of it is pickled, by class: first what takes most.
        rebuilt_bytes: The pickles' bytes in all.
    """

    __module__ = "onecopy"
    bytes: int
    rebuilt: tuple[Rebuilt, ...]

    @property
    def rebuilt_bytes(self) -> int:
        """The pickles' bytes in all."""
        return sum(row.bytes for row in self.rebuilt)

    def __str__(self) -> str:
        return "\n".join([f"{self.bytes / 2**20:.1f} MiB of shared memory", *map(str, self.rebuilt)])


def _name(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def share_check(data: object) -> ShareReport:
    """Says what sharing an object would do, without sharing it.

    Args:
        data: What `share()` would be given.

    Returns:
        How much shared memory it would take, and what of it every process would have to rebuild. What is returned by
        `share()` as it is takes none.

    Raises:
        Unsupported: (a `TypeError`) Something cannot be pickled; the text names the path to it.
        RuntimeError: The data changed meanwhile.

    Example:
        >>> import onecopy, decimal
        >>> report = onecopy.share_check({"ids": [1, 2, 3], "prices": [decimal.Decimal("9.99")] * 2})
        >>> [(row.path, row.type.__name__, row.count) for row in report.rebuilt]
        [('data["prices"][0]', 'Decimal', 1)]
    """
    image_len, found = _onecopy._measure_graph(_content.plain(data))  # noqa: SLF001 - our own module
    return ShareReport(image_len, tuple(Rebuilt(*row) for row in found))


def judge(found: Sequence[tuple[str, type, int, int]], strict: bool) -> None:
    """Warns of all that would be rebuilt, or refuses it, if that is much."""
    rows = [Rebuilt(*row) for row in found]
    if sum(row.bytes for row in rows) <= _LIMIT_BYTES:
        return
    said = [*map(str, rows[:_SHOWN]), *(["…"] if len(rows) > _SHOWN else [])]
    if any((kind.__module__.partition(".")[0], kind.__name__) in _FRAMES for kind in (row.type for row in rows)):
        said.append(_INSTEAD_OF_OBJECTS)
    text = "; ".join(said)
    if strict:
        raise Unsupported(f"{text}; share() without strict=True allows it")
    warnings.warn(text, RebuiltWarning, stacklevel=_level())


def _level() -> int:
    """How far up the first caller outside of this package is, for a warning that names it."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as `warnings` looks for it
    level = 1
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "onecopy":
        frame, level = frame.f_back, level + 1
    return level
