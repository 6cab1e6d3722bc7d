"""Puts the Manager without a server in the place of the standard library's."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing import context, forkserver, spawn
from multiprocessing import managers as standard
from typing import Any, Final

from onecopy import managers

__all__ = ["install"]

_NAMES: Final = (
    "AcquirerProxy",
    "ArrayProxy",
    "BarrierProxy",
    "ConditionProxy",
    "DictProxy",
    "EventProxy",
    "ListProxy",
    "NamespaceProxy",
    "SyncManager",
    "ValueProxy",
)
"""What `multiprocessing.managers` has, and is another here."""

_PRELOAD: Final = "onecopy.multiprocessing._installed"
"""Imported by fork servers: its import installs."""

_is_installed = False


def install() -> None:
    """Makes `multiprocessing.Manager()` and that of every context the one without a server, in this process and those that
    it starts. `torch.multiprocessing` has it, too.

    Call it before other modules import names from `multiprocessing`. Calling it again changes nothing.

    Example:
        >>> import multiprocessing
        >>> import onecopy.multiprocessing
        >>> onecopy.multiprocessing.install()  # doctest: +SKIP
    """
    global _is_installed  # noqa: PLW0603 - once per process
    if _is_installed:
        return
    _is_installed = True
    context.BaseContext.Manager = lambda _: managers.Manager()  # type: ignore[method-assign, assignment]
    multiprocessing.Manager = managers.Manager  # type: ignore[assignment]
    for name in _NAMES:
        setattr(standard, name, getattr(managers, name))
    torch: Any = sys.modules.get("torch.multiprocessing")
    if torch is not None:
        torch.Manager = managers.Manager
    _install_in_children()


def _install_in_children() -> None:
    """Spawned processes install before they import the main module, and fork servers before they fork."""
    get_command_line = spawn.get_command_line

    def with_install(**kwds: Any) -> list[str]:
        # The interpreter may be bytes.
        return [
            f"import {_PRELOAD}; {part}" if isinstance(part, str) and "spawn_main(" in part else part
            for part in get_command_line(**kwds)
        ]

    spawn.get_command_line = with_install
    known = getattr(forkserver._forkserver, "_preload_modules", ["__main__"])  # type: ignore[attr-defined]
    forkserver.set_forkserver_preload([*known, _PRELOAD])
