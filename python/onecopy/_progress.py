"""The bar on stderr while a long build is under way."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress: TypeAlias = bool | Callable[[str, int, int], object]

_FIRST_AFTER_S: Final = 0.5
_EVERY_S: Final = 0.1
_BAR_WIDTH: Final = 30


@contextlib.contextmanager
def reporter(progress: Progress) -> Iterator[Callable[[str, int, int], object] | None]:
    """Yields what the build calls with (phase, steps done, steps in all), or None for nothing."""
    if callable(progress):
        yield progress
    elif progress and sys.stderr is not None and sys.stderr.isatty():
        bar = Bar()
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield None


class Bar:
    """One line that is drawn again and again, and removed at the end."""

    def __init__(self) -> None:
        """Shows nothing before half a second has passed."""
        self._next_s = time.monotonic() + _FIRST_AFTER_S
        self._shown = False

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Draws the bar if it is time to."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _EVERY_S
        self._shown = True
        sys.stderr.write("\r\x1b[K" + line(phase, done, total))
        sys.stderr.flush()

    def close(self) -> None:
        """Removes the line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def line(phase: str, done: int, total: int) -> str:
    """Returns the bar as text.

    >>> line("writing", 50, 100)
    'onecopy: writing    [###############...............]  50 %'
    """
    if total <= 0:
        return f"onecopy: {phase:10} {done:,} values"
    part = min(done / total, 1.0)
    full = round(part * _BAR_WIDTH)
    return f"onecopy: {phase:10} [{'#' * full}{'.' * (_BAR_WIDTH - full)}] {part:4.0%}".replace("%", " %")
