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
    """Puts the Manager without a server in the place of `multiprocessing.Manager()` and that of every context.

    Processes that this one starts have it as well, and so has `torch.multiprocessing`. Call it before other modules
    import names from `multiprocessing`. Calling it again changes nothing.

    Example:
        >>> import multiprocessing
        >>> import onecopy.multiprocessing
        >>> onecopy.multiprocessing.install()  # doctest: +SKIP
    """
    global _is_installed  # noqa: PLW0603 - once per process
    if _is_installed:
        return
    _is_installed = True
    anything: Any = context.BaseContext
    anything.Manager = lambda _: managers.Manager()
    anything = multiprocessing
    anything.Manager = managers.Manager
    for name in _NAMES:
        setattr(standard, name, getattr(managers, name))
    torch: Any = sys.modules.get("torch.multiprocessing")
    if torch is not None:
        torch.Manager = managers.Manager
    _install_in_children()


def _install_in_children() -> None:
    """Spawned processes install before they import the main module, and fork servers before they fork."""
    get_command_line = spawn.get_command_line

    def with_install(**kwds: Any) -> list[Any]:
        # The interpreter may be bytes.
        parts: list[Any] = get_command_line(**kwds)
        calls = [isinstance(part, str) and "spawn_main(" in part for part in parts]
        return [f"import {_PRELOAD}; {part}" if is_call else part for part, is_call in zip(parts, calls, strict=True)]

    spawn.get_command_line = with_install
    server: Any = forkserver._forkserver  # noqa: SLF001 - what is preloaded already has no public name
    known = getattr(server, "_preload_modules", ["__main__"])
    forkserver.set_forkserver_preload([*known, _PRELOAD])
