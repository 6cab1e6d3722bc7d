"""The side folder: what a program leaves for whoever measures it, `onecopy run` or a watch of its own."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import shutil
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, Final

from onecopy import _left, _onecopy

__all__ = ["check_text", "folder", "leave", "leave_name", "mark", "start_time_ticks"]

MOST_MARKS: Final = 1_000
"""Marks that one process leaves; the rest are dropped."""

_own_folder: str | None = None
_trusted: Final[dict[str, bool]] = {}
_has_warned = False
_marks: dict[int, itertools.count[int]] = {}
"""Counts the marks of this process, by the number of forks between it and the one that imported this module."""


def folder() -> str:
    """Where things are left: the folder of `onecopy run`, or one of this program's own."""
    global _own_folder  # noqa: PLW0603 - made when it is first needed
    given = _given()
    if given is not None:
        return given
    if _own_folder is None:
        _own_folder = tempfile.mkdtemp(prefix="onecopy-tags-")
        atexit.register(_remove, _own_folder, os.getpid())
        # If all of the family are killed, the next program that makes such a folder removes this one.
        _onecopy._hold_side_folder(_own_folder)  # noqa: SLF001 - our own module
    return _own_folder


def _given() -> str | None:
    """The folder of `onecopy run`, if there is one that can be trusted. Whatever is left there looks at it again."""
    given = os.environ.get("ONECOPY_SIDE")
    # A program with more rights than its caller does not write where that one says.
    if not given or _onecopy._environment_is_untrusted:  # noqa: SLF001 - our own module
        return None
    if given not in _trusted:
        try:
            os.close(_left.open_folder(given))
            _trusted[given] = True
        except FileNotFoundError:
            # It has gone with whoever measured.
            return given
        except OSError as error:
            _trusted[given] = False
            text = f"ONECOPY_SIDE is ignored, and reports show no names: {error}; unset it, or name a private folder"
            warnings.warn(text, RuntimeWarning, stacklevel=3)
    return given if _trusted[given] else None


def _remove(folder: str, owner: int) -> None:
    """Children inherit the folder, and what is to be done at the end; it is not theirs."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def leave(kind: str, lines: list[dict[str, Any]]) -> None:
    """Appends to one of this process's own files, in one write, so that threads do not mix their lines."""
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    # The folder goes with whoever measures; this process may stay longer.
    with contextlib.suppress(FileNotFoundError):
        _left.append(folder(), f"{kind}-{os.getpid()}.jsonl", text)


def leave_name(name: str, lines: list[dict[str, Any]]) -> None:
    """Leaves a tag. A program does not fail because it is measured: a name that is lost is said, the first time."""
    global _has_warned  # noqa: PLW0603 - once per process
    try:
        leave("tags", lines)
    except OSError as error:
        if not _has_warned:
            _has_warned = True
            text = f"reports will not show the name {name!r}, nor perhaps later ones: {error}"
            warnings.warn(text, RuntimeWarning, stacklevel=3)


def start_time_ticks() -> int:
    """When this process began, in clock ticks since the system did (proc(5)): its pid may come again."""
    # The name of the process stands in parentheses and may hold anything.
    return int(Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()[19])


def check_text(what: str, text: object) -> None:
    """Refuses what a report could not show."""
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(f"{what} must be printable text, not {text!r}")


def mark(label: str) -> None:
    """Marks this moment, so that reports show what the program was doing.

    Under `onecopy run`, and while a `watch()` of this process or of one that forked it runs, it is an event of the
    report and a labelled line in the picture. It writes to a file, which costs some ten microseconds; less than one
    where nobody measures. The first thousand marks of a process are kept.

    Args:
        label: What to call it; printable text.

    Raises:
        ValueError: The label is no printable text.

    Example:
        >>> import onecopy
        >>> with onecopy.watch() as watched:
        ...     onecopy.mark("epoch 1")
        >>> [event["label"] for event in watched.to_dict()["events"] if event["kind"] == "mark"]
        ['epoch 1']
    """
    check_text("a mark's label", label)
    if _own_folder is None and _given() is None:
        return
    moment = time.monotonic()
    marks = _marks.setdefault(_onecopy._fork_count(), itertools.count())  # noqa: SLF001 - our own module
    if next(marks) >= MOST_MARKS:
        return
    # A program does not fail because it is measured.
    with contextlib.suppress(OSError):
        leave("marks", [{"pid": os.getpid(), "kind": "mark", "label": label, "t": moment}])
