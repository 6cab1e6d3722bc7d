"""Whether `freeze()` works in this interpreter, and if not, why."""

from __future__ import annotations

import os
import platform
import struct
import sys
import sysconfig
from dataclasses import dataclass

from onecopy import _onecopy
from onecopy._onecopy import FreezeUnsupported


@dataclass(frozen=True)
class _Facts:
    """What decides whether this interpreter can freeze at all."""

    version: tuple[int, int, int]
    implementation: str
    free_threaded: bool
    bits: int
    can_fork: bool
    audited: dict[int, int]
    """The first patch level of each minor version that somebody has looked at."""


def _facts() -> _Facts:
    return _Facts(
        version=sys.version_info[:3],
        implementation=platform.python_implementation(),
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        bits=struct.calcsize("P") * 8,
        can_fork=hasattr(os, "fork"),
        audited=dict(_onecopy._freeze_rows()),  # noqa: SLF001
    )


def _refusal(facts: _Facts) -> str | None:
    """Why it cannot work, from what the interpreter says of itself."""
    major, minor, patch = facts.version
    this = f"{facts.implementation} {major}.{minor}.{patch}"
    audited = sorted(facts.audited)
    reason = None
    if facts.implementation != "CPython":
        reason = f"it writes the object headers of CPython, and this is {this}"
    elif facts.bits != 64:  # noqa: PLR2004
        reason = f"it knows the object headers of 64-bit builds, and this one has {facts.bits} bits"
    elif facts.free_threaded:
        reason = f"{this} is a free-threaded build, which counts references in another way"
    elif (major, minor) < (3, audited[0]):
        reason = f"{this} has no immortal objects; they came with CPython 3.{audited[0]}"
    elif (major, minor) > (3, audited[-1]):
        reason = f"nobody has audited the object headers of {this} yet; the newest known is 3.{audited[-1]}"
    elif patch < facts.audited[minor]:
        reason = (
            f"{this} has a collector that was taken back in 3.{minor}.{facts.audited[minor]}; "
            "that version or a later one works"
        )
    elif not facts.can_fork:
        reason = "this system has no fork"
    return reason


def freeze_supported() -> tuple[bool, str]:
    """Tells whether `freeze()` works in this process, and if not, why.

    The first call forks a child for a few milliseconds, which reads some frozen objects and looks whether that wrote
    to them.

    Returns:
        `(True, "")`, or `(False, reason)`.

    Example:
        >>> import onecopy
        >>> supported, reason = onecopy.freeze_supported()
        >>> supported == (reason == "")
        True
    """
    reason = _refusal(_facts()) or _onecopy._freeze_trouble()  # noqa: SLF001 - our own module
    return reason is None, reason or ""


def require_support() -> None:
    """Fails where `freeze()` does not work."""
    supported, reason = freeze_supported()
    if not supported:
        raise FreezeUnsupported(
            f"freeze() does not work here: {reason}. Use onecopy.share(), which works on every supported Python"
        )
