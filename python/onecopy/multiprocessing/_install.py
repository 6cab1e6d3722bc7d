"""Puts the Manager without a server in the place of the standard library's."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing import context, spawn, util
from multiprocessing import managers as standard
from typing import Any, Final

from onecopy import managers
from onecopy._stand_ins import STAND_INS

__all__ = ["install"]

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
    anything = standard
    anything.SyncManager = managers.SyncManager
    for name, stand_in in STAND_INS.items():
        if hasattr(standard, name):
            # A program without this package finds its own class by the name, if it gets a proxy of the server's.
            stand_in.__module__ = standard.__name__
            setattr(standard, name, stand_in)
    torch: Any = sys.modules.get("torch.multiprocessing")
    if torch is not None:
        torch.Manager = managers.Manager
    _install_in_children()


_CHILD: Final = """
import sys
known, sys.path[:] = sys.path[:], {path!r}
try:
    from onecopy.multiprocessing import install
except ImportError:  # an interpreter that does not have this package
    pass
else:
    install()
finally:
    sys.path[:] = known
"""
"""What processes do that were started by a program with the Manager installed, before they import its modules."""

_SERVER: Final = "from multiprocessing.forkserver import main"
"""In what a fork server is told to run."""


class _Installing:
    """Among what a process is told at its start: unpickling it installs."""

    def __init__(self, path: list[str]) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (_CHILD.format(path=self._path), {})


def _install_in_children() -> None:
    """Processes install before they import the main module, and fork servers before they import anything."""
    get_preparation_data, spawnv_passfds = spawn.get_preparation_data, util.spawnv_passfds

    def with_install(name: str) -> dict[str, Any]:
        known = get_preparation_data(name)
        return {"onecopy": _Installing(known["sys_path"]), **known}

    def with_install_in_server(path: Any, args: Any, passfds: Any) -> int:
        # Arguments of the program may follow the text of `-c`.
        places = (place for place, part in enumerate(args) if isinstance(part, str) and _SERVER in part)
        if (place := next(places, None)) is not None:
            text = _CHILD.format(path=get_preparation_data("")["sys_path"])
            args = [*args[:place], f"exec({text!r}, {{}}); {args[place]}", *args[place + 1 :]]
        return spawnv_passfds(path, args, passfds)

    anything: Any = spawn
    anything.get_preparation_data = with_install
    anything = util
    anything.spawnv_passfds = with_install_in_server
